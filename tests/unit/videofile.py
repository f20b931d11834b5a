"""Videos through PyAV for tests: frames to record, and what a file shows of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from wayshot_cli.encode.stream import VideoOptions
from wayshot_cli.encode.video import Video
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Size
from wayshot_cli.pixels import BGR888

if TYPE_CHECKING:
    from collections.abc import Iterable
    from fractions import Fraction
    from pathlib import Path

    import pytest
    from numpy.typing import NDArray

Colour = tuple[int, int, int]

SECOND = 1_000_000_000
SIZE = Size(64, 48)
TOLERANCE = 2
USUAL = VideoOptions()
FILMS = ("mp4", "mkv", "webm")
COLOURS: tuple[Colour, ...] = (
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (20, 30, 40), (200, 100, 50),
)  # fmt: skip


def framed(picture: NDArray[np.uint8]) -> Frame:
    """Return a frame of an array of shape (height, width, 3)."""
    height, width, _ = picture.shape
    return Frame(memoryview(picture.tobytes()), BGR888, Size(width, height), 3 * width)


def solid(colour: Colour, size: Size = SIZE) -> Frame:
    """Return a frame of one colour."""
    return framed(np.full((size.height, size.width, 3), colour, np.uint8))


def colour(number: int) -> Frame:
    """Return a frame that is told from its neighbours by its colour."""
    return solid(COLOURS[number % len(COLOURS)])


def noise(number: int) -> Frame:
    """Return a frame that is hard to compress."""
    return framed(np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8))


def shows(picture: NDArray[Any], wanted: Colour) -> bool:
    """Whether a picture is of one colour."""
    return bool(np.abs(picture.astype(int) - wanted).max() <= TOLERANCE)


def is_near(picture: NDArray[Any], wanted: Colour) -> bool:
    """Whether a picture is of one colour as codecs have it that had no time to refine it."""
    return bool(np.abs(picture.astype(int) - wanted).max() <= 8)


def record(  # noqa: PLR0913 - a recording's facts
    path: Path,
    pictures: Iterable[tuple[Frame, int]],
    end_ns: int,
    options: VideoOptions = USUAL,
    *,
    format: str | None = None,  # noqa: A002 - as in Video
    rate: Fraction | None = None,
) -> Path:
    """Write pictures, each from its time on, into a file that is named after its format."""
    stream: Video | None = None
    with path.open("wb", buffering=0) as file:
        for frame, time_ns in pictures:
            stream = stream or Video(file, format or path.suffix[1:], frame, rate, options)
            stream.write(frame, time_ns)
        assert stream
        stream.close(end_ns)
    return path


def animation(path: Path) -> list[tuple[NDArray[np.uint8], int]]:
    """Return the pictures of an animation with what each lasts, in milliseconds."""
    found = []
    with Image.open(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            found.append((np.asarray(image.convert("RGB")), round(image.info["duration"])))
    return found


class Pipe:
    """A file that cannot seek."""

    def __init__(self) -> None:
        self.data = bytearray()

    def seekable(self) -> bool:
        return False

    def write(self, data: memoryview) -> int:
        self.data += data
        return len(data)


def count_packets(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that fills with how many packets each picture, and at last the end, gives."""
    passed = []
    put = Video._put

    def count(self: Video, packets: list[Any]) -> None:
        passed.append(len(packets))
        put(self, packets)

    monkeypatch.setattr(Video, "_put", count)
    return passed
