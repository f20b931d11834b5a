"""What a producer says of a buffer, judged before its memory is touched. Pure.

All of it lies in memory that the producer may write to at any time: each word is read once, then
judged.
"""

import struct
import sys
from typing import NamedTuple

from wayshot_cli.backends.pipewire import offers
from wayshot_cli.backends.pipewire.offers import Agreed
from wayshot_cli.geometry import Box, Size, Transform

_CORRUPTED, _EMPTY = "marked as corrupted", "without a picture"
ROUTINE = (_CORRUPTED, _EMPTY)
"""Reasons that need no warning: Mutter tells so of a cursor that moves."""

_CORRUPTED_CHUNK = 1  # SPA_CHUNK_FLAG_CORRUPTED
_CORRUPTED_HEADER = 2  # SPA_META_HEADER_FLAG_CORRUPTED
_MOST_BYTES = 2**30  # of one picture: 8K with 16 bits a channel has a quarter of it
_MOST_DAMAGE = 64  # regions

_HEADER = struct.Struct("=IIqqQ")  # flags, offset, pts, dts_offset, seq
_REGION = struct.Struct("=iiII")


class UnusableError(Exception):
    """This buffer shows no picture; the message says why, in the same words for the same reason."""


class Data(NamedTuple):
    """The one block of memory of a buffer, and the chunk of it that is in use."""

    type: int
    map_offset: int
    max_size: int
    offset: int
    size: int
    stride: int
    flags: int


class Rows(NamedTuple):
    """Where a picture lies: bytes behind the start of its block, and from a row to the next."""

    offset: int
    stride: int
    size: Size

    def nbytes(self, bytes_per_pixel: int) -> int:
        """Return the bytes from its first pixel to its last."""
        return self.stride * (self.size.height - 1) + self.size.width * bytes_per_pixel


def rows(data: Data, agreed: Agreed, part: Box) -> Rows:
    """Return where a part of the buffer lies, as ``read_crop`` says it. Raises UnusableError."""
    if data.flags & _CORRUPTED_CHUNK:
        raise UnusableError(_CORRUPTED)
    is_dmabuf = data.type == offers.DMA_BUF
    if not data.size and not is_dmabuf:
        raise UnusableError(_EMPTY)
    size, bytes_per_pixel = agreed.size, agreed.format.bytes_per_pixel
    row = size.width * bytes_per_pixel
    stride = data.stride or row
    if stride < row:
        message = "with rows shorter than the picture is wide"
        raise UnusableError(message)
    whole = Rows(data.offset, stride, size)
    nbytes = whole.nbytes(bytes_per_pixel)
    # Of a dmabuf only its own length tells the truth: sizes of 0 and 9 have been seen.
    room = min(data.size, data.max_size - data.offset)
    if nbytes > _MOST_BYTES or (not is_dmabuf and nbytes > room):
        message = "shorter than the picture"
        raise UnusableError(message)
    start = data.offset + part.y * stride + part.x * bytes_per_pixel
    return Rows(start, stride, part.size)


def read_header(meta: bytes | None) -> int:
    """Return the time of the picture in nanoseconds, 0 when unknown. Raises UnusableError."""
    if meta is None or len(meta) < _HEADER.size:
        return 0
    flags, _, pts, _, _ = _HEADER.unpack_from(meta)
    if flags & _CORRUPTED_HEADER:
        raise UnusableError(_CORRUPTED)
    return max(0, int(pts))


def read_crop(meta: bytes | None, size: Size) -> Box:
    """Return the part of a buffer of that size that is the picture. Raises UnusableError."""
    whole = Box(0, 0, *size)
    if meta is None or len(meta) < _REGION.size:
        return whole
    crop = Box(*_REGION.unpack_from(meta))
    if min(crop.size) <= 0:
        return whole
    part = crop.intersection(whole)
    if part is None:
        message = "cropped to nothing"
        raise UnusableError(message)
    return part


def read_damage(meta: bytes | None) -> tuple[Box, ...] | None:
    """Return what has changed since the buffer before; None when that is not known."""
    if meta is None:
        return None
    found: list[Box] = []
    for position in range(0, len(meta) - _REGION.size + 1, _REGION.size):
        box = Box(*_REGION.unpack_from(meta, position))
        if min(box.size) <= 0:
            return tuple(found)
        found.append(box)
    return tuple(found) if len(found) <= _MOST_DAMAGE else None


def read_transform(meta: bytes | None) -> Transform:
    """Return how the buffer was turned. Raises UnusableError."""
    if meta is None or len(meta) < offers.TRANSFORM_SIZE:
        return Transform.NORMAL
    number = int.from_bytes(meta[: offers.TRANSFORM_SIZE], sys.byteorder)
    if number not in tuple(Transform):
        message = "turned in a way that there is not"
        raise UnusableError(message)
    return Transform(number)
