"""Slow and plain: what the kernels must compute, pixel by pixel, in exact fractions."""

import random
import struct
from array import array
from fractions import Fraction
from math import floor
from typing import TYPE_CHECKING

from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Box, Size, Transform
from wayshot_cli.pixels import Kind, PixelFormat

if TYPE_CHECKING:
    from wayshot_cli.kernels import Target


def _half(word: int) -> Fraction:
    """An IEEE half float, clamped to 0..1; NaN is 0."""
    value = struct.unpack("<e", word.to_bytes(2, "little"))[0]
    if value != value or value <= 0:  # noqa: PLR0124 - NaN
        return Fraction(0)
    return Fraction(1) if value >= 1 else Fraction(value)


def _channel(fmt: PixelFormat, pixel: bytes, position: int, name: str) -> Fraction:
    """One channel's value, 0 to 1."""
    word = int.from_bytes(pixel, "little")
    match fmt.kind:
        case Kind.BYTES:
            return Fraction(pixel[position], 255)
        case Kind.PACKED_565:
            bits = 6 if name == "green" else 5
        case Kind.PACKED_1010102:
            bits = 2 if name == "alpha" else 10
        case Kind.WORDS:
            return Fraction(word >> 16 * position & 0xFFFF, 65535)
        case Kind.HALFS:
            return _half(word >> 16 * position & 0xFFFF)
    return Fraction(word >> position & (1 << bits) - 1, (1 << bits) - 1)


def _colours(frame: Frame, pixel: bytes, channels: int) -> tuple[Fraction, ...]:
    fmt = frame.format
    red, green, blue = (
        _channel(fmt, pixel, getattr(fmt, name), name) for name in ("red", "green", "blue")
    )
    if frame.alpha is Alpha.IGNORED:
        return (red, green, blue, Fraction(1))[:channels]
    alpha = _channel(fmt, pixel, fmt.alpha, "alpha")
    if channels == 3:
        factor = alpha if frame.alpha is Alpha.STRAIGHT else Fraction(1)
        return (red * factor, green * factor, blue * factor)
    if frame.alpha is Alpha.STRAIGHT:
        return (red, green, blue, alpha)
    if alpha == 0:
        return (alpha,) * 4
    return (*(min(colour / alpha, Fraction(1)) for colour in (red, green, blue)), alpha)


def pixel_at(frame: Frame, box: Box, x: int, y: int) -> bytes:
    """The bytes of an upright pixel of a crop, found by turning coordinates, not steps."""
    width, height = frame.size
    x, y = x + box.x, y + box.y
    match frame.transform:
        case Transform.NORMAL:
            bx, by = x, y
        case Transform.ROTATED_90:
            bx, by = y, height - 1 - x
        case Transform.ROTATED_180:
            bx, by = width - 1 - x, height - 1 - y
        case Transform.ROTATED_270:
            bx, by = width - 1 - y, x
        case Transform.FLIPPED:
            bx, by = width - 1 - x, y
        case Transform.FLIPPED_90:
            bx, by = y, x
        case Transform.FLIPPED_180:
            bx, by = x, height - 1 - y
        case Transform.FLIPPED_270:
            bx, by = width - 1 - y, height - 1 - x
    size = frame.format.bytes_per_pixel
    start = frame.offset + by * frame.stride + bx * size
    return bytes(frame.memory[start : start + size])


def native(frame: Frame, box: Box) -> bytes:
    """Tight upright rows of a crop of the frame, bytes unchanged."""
    return b"".join(pixel_at(frame, box, x, y) for y in range(box.height) for x in range(box.width))


def packed(frame: Frame, box: Box, target: "Target", order: str = "<") -> bytes:
    """Tight upright rows of a crop of the frame as the target has them."""
    top = 2**target.depth - 1
    values = [
        floor(colour * top + Fraction(1, 2))
        for y in range(box.height)
        for x in range(box.width)
        for colour in _colours(frame, pixel_at(frame, box, x, y), target.channels)
    ]
    return struct.pack(f"{order}{len(values)}{'B' if target.depth == 8 else 'H'}", *values)


def random_frame(  # noqa: PLR0913 - a frame has that many facts
    fmt: PixelFormat,
    size: Size,
    transform: Transform = Transform.NORMAL,
    alpha: Alpha = Alpha.IGNORED,
    *,
    padding: int = 0,
    offset: int = 0,
) -> Frame:
    """A frame of noise in memory that ends with the last row's last pixel."""
    stride = size.width * fmt.bytes_per_pixel + padding
    length = offset + stride * size.height - padding
    memory = array("B", random.Random(1).randbytes(length))
    return Frame(memoryview(memory), fmt, size, stride, transform, offset=offset, alpha=alpha)
