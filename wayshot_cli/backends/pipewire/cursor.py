"""The cursor as metadata: where it is, what it looks like, and painting it into a picture."""

import struct
from typing import NamedTuple

from wayshot_cli.backends.pipewire import offers
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Box, Size
from wayshot_cli.pixels import Kind, PixelFormat

_CURSOR = struct.Struct("=IIiiiiI")  # id, flags, position, hotspot, offset of the bitmap
_BITMAP = struct.Struct("=IIIiI")  # format, width, height, stride, offset of the pixels


class Cursor(NamedTuple):
    """Where the pointer's hotspot is, in pixels of the buffer, and what it looks like."""

    x: int
    y: int
    hotspot: tuple[int, int] = (0, 0)
    image: Frame | None = None

    @property
    def box(self) -> Box | None:
        """What it covers; None where it has no image."""
        if self.image is None:
            return None
        return Box(self.x - self.hotspot[0], self.y - self.hotspot[1], *self.image.size)


def read_cursor(meta: bytes | None, before: Cursor | None) -> Cursor | None:
    """Return the cursor as it is now; None is none. An image comes only when it changes."""
    if meta is None or len(meta) < _CURSOR.size:
        return before
    id_, _, x, y, hotspot_x, hotspot_y, bitmap = _CURSOR.unpack_from(meta)
    if not id_:
        return None
    hotspot, image = (before.hotspot, before.image) if before else ((0, 0), None)
    if bitmap:
        hotspot, image = (hotspot_x, hotspot_y), _read_bitmap(meta[bitmap:])
    return Cursor(x, y, hotspot, image)


def _read_bitmap(meta: bytes) -> Frame | None:
    """Return a cursor's image, None where there is none that can be painted."""
    if len(meta) < _BITMAP.size:
        return None
    number, width, height, stride, offset = _BITMAP.unpack_from(meta)
    format_ = offers.FORMATS.get(number)
    if format_ is None or format_.kind is not Kind.BYTES or offset < _BITMAP.size:
        return None
    size, row = Size(width, height), width * format_.bytes_per_pixel
    end = offset + stride * (height - 1) + row
    if min(size) <= 0 or stride < row or end > len(meta):
        return None
    pixels = memoryview(meta)[offset:]
    return Frame(pixels, format_, size, stride, alpha=Alpha.PREMULTIPLIED)


def paint(cursor: Cursor, memory: memoryview, format_: PixelFormat, box: Box, stride: int) -> None:
    """Paint the cursor into the pixels that show ``box`` of the buffer, rows ``stride`` apart.

    Only formats with 8 bits a channel are painted into.
    """
    import numpy as np  # noqa: PLC0415 - 60 ms, for this alone

    covered = cursor.box and cursor.box.intersection(box)
    if cursor.image is None or cursor.box is None or not covered or format_.kind is not Kind.BYTES:
        return
    image = cursor.image.crop(covered.moved(-cursor.box.x, -cursor.box.y))
    source = np.ndarray(
        (covered.height, covered.width, image.format.bytes_per_pixel),
        np.uint8,
        image.memory,
        image.origin,
        (image.step_y, image.step_x, 1),
    ).astype(np.uint16)
    target = np.ndarray(
        (covered.height, covered.width, format_.bytes_per_pixel),
        np.uint8,
        memory,
        (covered.y - box.y) * stride + (covered.x - box.x) * format_.bytes_per_pixel,
        (stride, format_.bytes_per_pixel, 1),
    )
    fmt = image.format
    alpha = source[..., fmt.alpha] if fmt.has_alpha else np.full(source.shape[:2], 255, np.uint16)
    for ours, its in zip(
        (format_.red, format_.green, format_.blue), (fmt.red, fmt.green, fmt.blue), strict=True
    ):
        below = (target[..., ours] * (255 - alpha) + 127) // 255
        target[..., ours] = np.minimum(source[..., its] + below, 255)
