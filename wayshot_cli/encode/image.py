"""Formats by way of Pillow: JPEG, WebP, AVIF and TIFF, all with 8 bits a channel."""

from io import BytesIO
from threading import Thread
from typing import TYPE_CHECKING, Any

from PIL import Image, features

from wayshot_cli import kernels
from wayshot_cli.errors import InvalidArgumentError, UnsupportedError, WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wayshot_cli.frame import Frame

_FEATURES = {"jpeg": "jpg", "webp": "webp", "avif": "avif", "tiff": "libtiff"}
_LONGEST_SIDE = {"jpeg": 65500, "webp": 16383, "avif": 65535}  # what the libraries accept
_QUALITY = 90  # text without visible ringing
_UNSUBSAMPLED = 90  # from this quality on, JPEG keeps the colours of single pixels, too
_TIFF_PREDICTOR = 317


def to_pillow(frame: "Frame") -> Image.Image:
    """Return the upright picture: RGB, or RGBA with straight alpha where the frame has one."""
    return _image(frame, kernels.Target.of(frame).channels)


def encode(
    frame: "Frame",
    format: str,  # noqa: A002 - as in PIL
    quality: int | None = None,
) -> "Iterator[memoryview]":
    """Return the picture as JPEG (over black where translucent), WebP, AVIF or TIFF.

    ``quality`` is 1 to 100. Without one JPEG and AVIF take 90, and WebP is lossless, which for
    screens is smaller than the lossy kind at high quality. TIFF is always lossless.
    Raises InvalidArgumentError when the picture is larger than the format
    allows, UnsupportedError where Pillow was built without the format, and (while it is
    encoded) WriteError when Pillow fails.
    """
    if not features.check(_FEATURES[format]):
        message = f"Pillow was built without {format}"
        raise UnsupportedError(message, hint="choose png")
    longest = _LONGEST_SIDE.get(format)
    if longest and max(frame.width, frame.height) > longest:
        message = f"{frame.width}x{frame.height} is too large for {format}"
        raise InvalidArgumentError(message, hint="choose png")
    return _pieces(frame, format, _settings(format, quality))


def _settings(format_: str, quality: int | None) -> dict[str, Any]:
    """Return what Pillow's plugin is told: chosen for text and flat areas, and to be quick."""
    chosen = _QUALITY if quality is None else quality
    match format_:
        case "jpeg":
            subsampling = "4:4:4" if chosen >= _UNSUBSAMPLED else "4:2:0"
            return {"quality": chosen, "subsampling": subsampling}
        case "webp" if quality is None:
            return {"lossless": True, "quality": 50, "method": 1}  # quality is effort here
        case "webp":
            return {"quality": chosen, "method": 2}
        case "avif":
            return {"quality": chosen, "subsampling": "4:4:4", "speed": 8}
        case _:
            return {"compression": "tiff_adobe_deflate", "tiffinfo": {_TIFF_PREDICTOR: 2}}


def _pieces(frame: "Frame", format_: str, settings: dict[str, Any]) -> "Iterator[memoryview]":
    channels = 3 if format_ == "jpeg" or kernels.is_opaque(frame) else 4
    image, file = _image(frame, channels), BytesIO()
    failures: list[Exception] = []

    def save() -> None:
        try:
            image.save(file, format_, **settings)
        except Exception as error:  # noqa: BLE001 - raised below, in the thread that waits
            failures.append(error)

    # Signal handlers run between the main thread's steps only, and an AVIF is one long step.
    thread = Thread(target=save, daemon=True)
    thread.start()
    thread.join()
    if failures:
        message = f"Pillow cannot write this picture as {format_}: {failures[0]}"
        raise WriteError(message) from failures[0]
    yield file.getbuffer()


def _image(frame: "Frame", channels: int) -> Image.Image:
    packed = kernels.pack(frame, kernels.Target(8, channels))
    mode = "RGB" if channels == 3 else "RGBA"  # noqa: PLR2004 - channels
    # Pillow takes any buffer; its annotations do not say so
    size = (frame.width, frame.height)
    return Image.frombuffer(mode, size, packed, "raw", mode, 0, 1)  # type: ignore[arg-type]
