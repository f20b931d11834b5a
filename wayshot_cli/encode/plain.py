"""Formats without libraries: PPM, QOI, and raw pixels."""

import struct
from collections.abc import Callable, Iterator

from wayshot_cli import kernels
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Transform

PACKED = {
    "bgr0": (4, True),
    "rgb0": (4, False),
    "bgr24": (3, True),
    "rgb24": (3, False),
    "bgra": (4, True),
    "rgba": (4, False),
}
"""Channels of a packed format, and whether blue comes first: then pack ``kernels.exchanged``."""

_STRIP_ROWS = 64  # what is converted, then written, at a time


def _strips(frame: Frame) -> Iterator[tuple[int, int]]:
    """Yield the first row and the number of rows of each strip."""
    for y in range(0, frame.height, _STRIP_ROWS):
        yield y, min(_STRIP_ROWS, frame.height - y)


def ppm(frame: Frame) -> Iterator[bytes | memoryview]:
    """Yield a binary PPM (P6): 8 or 16 bits a channel, over black where translucent."""
    target = kernels.Target.of(frame)._replace(channels=3)
    yield b"P6\n%d %d\n%d\n" % (frame.width, frame.height, 2**target.depth - 1)
    for y, rows in _strips(frame):
        yield kernels.pack(frame, target, y=y, rows=rows, big_endian=True)


def qoi(frame: Frame) -> Iterator[bytes | memoryview]:
    """Yield a QOI image (qoiformat.org, specification 1.0): RGB or RGBA, 8 bits a channel."""
    channels = 3 if kernels.is_opaque(frame) else 4
    target = kernels.Target(8, channels)
    yield struct.pack(">4sIIBB", b"qoif", frame.width, frame.height, channels, 0)
    encoder = kernels.QoiEncoder(channels)
    for y, rows in _strips(frame):
        yield encoder.encode(kernels.pack(frame, target, y=y, rows=rows))
    yield encoder.finish() + b"\0\0\0\0\0\0\0\1"


def raw_format(frame: Frame) -> str:
    """Return ffmpeg's name for what ``raw`` yields of this frame (as in ``-pixel_format``)."""
    return frame.format.name or "bgr0"


def raw(frame: Frame) -> Iterator[bytes | memoryview]:
    """Yield the pixels alone: tight rows, upright, in the format that ``raw_format`` names.

    A frame in a format that ffmpeg has a name for keeps its bytes, and is not copied where it is
    upright and tight; else it becomes 8-bit bgr0, over black where translucent.
    """
    if not frame.format.name:
        yield from _bgr0(frame)
        return
    row = frame.width * frame.format.bytes_per_pixel
    if frame.transform is Transform.NORMAL and (frame.step_y == row or frame.height == 1):
        yield frame.memory[frame.origin : frame.origin + frame.height * row]
        return
    for y, rows in _strips(frame):
        yield kernels.copy(frame, y=y, rows=rows)


def _bgr0(frame: Frame) -> Iterator[memoryview]:
    """Yield rows of blue, green, red, 255."""
    other = kernels.exchanged(kernels.over_black(frame))
    for y, rows in _strips(frame):
        yield kernels.pack(other, kernels.Target(8, 4), y=y, rows=rows)


ENCODERS: dict[str, Callable[[Frame], Iterator[bytes | memoryview]]] = {
    "ppm": ppm,
    "qoi": qoi,
    "raw": raw,
}
