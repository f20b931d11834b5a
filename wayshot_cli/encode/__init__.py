"""Frames to bytes: the formats of stills, and the one place that chooses among them."""

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from wayshot_cli.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from wayshot_cli.frame import Frame

EXTENSIONS = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".avif": "avif",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".ppm": "ppm",
    ".pnm": "ppm",
    ".qoi": "qoi",
    ".raw": "raw",
}
FORMATS = tuple(dict.fromkeys(EXTENSIONS.values()))
LOSSY = ("jpeg", "webp", "avif")  # those with a quality


class Options(NamedTuple):
    """What the formats let one choose.

    ``level`` is PNG's, 0 (stored) to 9 (smallest). ``quality`` is that of JPEG, WebP and AVIF,
    1 to 100, or None for each one's own default. ``metadata`` adds time, software and
    resolution to a PNG, which is otherwise the same for the same picture.
    """

    level: int = 2
    quality: int | None = None
    metadata: bool = False


DEFAULTS = Options()


def format_of(path: "str | os.PathLike[str]") -> str:
    """Return the format that a file's extension names; without one, ``"png"``.

    Raises InvalidArgumentError for an extension that is not known.
    """
    extension = os.path.splitext(os.fspath(path))[1].lower()
    if not extension:
        return "png"
    if extension not in EXTENSIONS:
        message = f"unknown extension {extension!r}"
        hint = f"known are {' '.join(EXTENSIONS)}; wayshot record makes videos"
        raise InvalidArgumentError(message, hint=hint)
    return EXTENSIONS[extension]


def load(format: str) -> "ModuleType":  # noqa: A002 - as in encode
    """Import the module that encodes a format, and what it needs; ``encode`` does so, too.

    Raises InvalidArgumentError for an unknown format.
    """
    match format:
        case "png":
            from wayshot_cli.encode import png  # noqa: PLC0415 - each format loads its own

            return png
        case "ppm" | "qoi" | "raw":
            from wayshot_cli.encode import plain  # noqa: PLC0415

            return plain
        case "jpeg" | "webp" | "avif" | "tiff":
            from wayshot_cli.encode import image  # noqa: PLC0415

            return image
    message = f"unknown format {format!r}"
    raise InvalidArgumentError(message, hint=f"known are {' '.join(FORMATS)}")


def encode(
    frame: "Frame",
    format: str,  # noqa: A002 - as in Frame.save and PIL
    options: Options = DEFAULTS,
) -> "Iterator[bytes | memoryview]":
    """Return the frame's picture, upright, as the pieces of a file in one of ``FORMATS``.

    An extension's name serves, too, as ``"jpg"``. The pieces are made as they are asked for, and
    stay valid as long as they are held.
    Raises InvalidArgumentError, before anything is encoded, for an unknown format
    or an option out of range; UnsupportedError where Pillow was built without the format.
    """
    if not 0 <= options.level <= 9:  # noqa: PLR2004 - zlib's levels
        message = f"level {options.level} is not from 0 to 9"
        raise InvalidArgumentError(message)
    if options.quality is not None and not 1 <= options.quality <= 100:  # noqa: PLR2004 - percent
        message = f"quality {options.quality} is not from 1 to 100"
        raise InvalidArgumentError(message)
    format = EXTENSIONS.get(f".{format}", format)  # noqa: A001 - as in Frame.save and PIL
    encoder: Any = load(format)
    if format == "png":
        return encoder.encode(frame, options.level, metadata=options.metadata)  # type: ignore[no-any-return]
    if format in ("ppm", "qoi", "raw"):
        return encoder.ENCODERS[format](frame)  # type: ignore[no-any-return]
    return encoder.encode(frame, format, options.quality)  # type: ignore[no-any-return]
