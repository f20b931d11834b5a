"""What the fake outputs show, and how it lies in memory.

Every pixel tells its place: a shot that is turned, flipped, shifted, cropped wrong or taken from
another output differs almost everywhere.  The packing follows the names of the DRM formats, which
read from the highest bit down, and shares no code with wayshot: two readings of one definition.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Picture: TypeAlias = NDArray[np.uint8]
"""Height, width, (r, g, b)."""


def pattern(output_index: int, x: int, y: int) -> tuple[int, int, int]:
    """Return the colour of one pixel: x and y count from the top left as the user sees it.

    73 and 151 are odd, so x and y can be had back from red and green modulo 256, and neighbours
    differ even with five bits; blue holds the rest of the place and the output.
    """
    blue = output_index << 6 | (x >> 8 & 7) << 3 | y >> 8 & 7
    return x * 73 & 255, y * 151 & 255, blue & 255


def picture(output_index: int, width: int, height: int) -> Picture:
    """Return the whole of what an output shows, upright."""
    y, x = np.ogrid[0:height, 0:width]
    upright = np.empty((height, width, 3), np.uint8)  # alone: a process in the guest has 250 MB
    upright[:, :, 0], upright[:, :, 1] = x * 73 & 255, y * 151 & 255
    blue = (output_index << 6 | (x >> 8 & 7) << 3) & 255
    upright[:, :, 2] = blue.astype(np.uint8) | (y >> 8 & 7).astype(np.uint8)
    return upright


def to_buffer(upright: Picture, transform: int) -> Picture:
    """Lay an upright picture out as the buffer of an output with a wl_output transform.

    90 means counter-clockwise: the panel was turned, the buffer has the content turned back.
    Flipping comes before turning.
    """
    return np.rot90(upright[:, ::-1] if transform & 4 else upright, transform & 3)


def turned(width: int, height: int, transform: int) -> tuple[int, int]:
    """Swap width and height if the transform does."""
    return (height, width) if transform & 1 else (width, height)


@dataclass(frozen=True)
class Format:
    """A wl_shm format: its code and its channels from the highest bit down."""

    name: str
    code: int
    channels: tuple[tuple[str, int], ...]
    floating: bool

    @property
    def bytes_per_pixel(self) -> int:
        """The size of a pixel in memory."""
        return sum(bits for _, bits in self.channels) // 8

    def level(self, value: Picture, bits: int) -> NDArray[np.uint64]:
        """Widen or narrow 8-bit values to a channel's depth, to the nearest level."""
        if self.floating:
            return (value / 255).astype(np.float16).view(np.uint16).astype(np.uint64)
        level: NDArray[np.uint64] = np.round(value * ((2**bits - 1) / 255)).astype(np.uint64)
        return level

    def pack(self, pixels: Picture, stride: int, filler: int = 0x5A) -> bytes:
        """Return the memory of a picture: rows of ``stride`` bytes, the end of each junk.

        ``filler`` goes where an X or an A stands, since of an output neither may matter.
        """
        height, width, _ = pixels.shape
        words = np.zeros((height, width), np.uint64)
        for channel, bits in self.channels:
            values = (
                pixels[:, :, "RGB".index(channel)]
                if channel in "RGB"
                else np.full((height, width), filler, np.uint8)
            )
            words = words << np.uint64(bits) | self.level(values, bits)
        rows = words.astype("<u8").view(np.uint8).reshape(height, width, 8)
        memory = np.full((height, stride), 0xE7, np.uint8)
        memory[:, : width * self.bytes_per_pixel] = rows[:, :, : self.bytes_per_pixel].reshape(
            height, -1
        )
        return memory.tobytes()

    def shown(self, pixels: Picture, depth: int = 8) -> NDArray[np.uint16]:
        """Return what is left of a picture in this format, at 8 or 16 bits per channel."""
        top = 2**depth - 1
        planes = []
        for index, channel in enumerate("RGB"):
            bits = dict(self.channels)[channel]
            level = self.level(pixels[:, :, index], bits)
            fraction = (
                level.astype(np.uint16).view(np.float16).astype(np.float64)
                if self.floating
                else level / (2**bits - 1)
            )
            planes.append(np.floor(fraction * top + 0.5))
        return np.dstack(planes).astype(np.uint16)


def _format(name: str, fourcc: bytes) -> Format:
    letters, digits, floating = re.fullmatch(r"([XARGB]+)(\d+)(F?)", name).groups()  # type: ignore[union-attr]
    # 8888, 565, 2101010 and 16161616: as many numbers as letters, each of one or two digits.
    numbers = re.fullmatch(r"(16|10|\d)" * len(letters), digits)
    assert numbers is not None
    channels = tuple(zip(letters, map(int, numbers.groups()), strict=True))
    return Format(name, int.from_bytes(fourcc, "little"), channels, bool(floating))


# wl_shm's codes are DRM's fourccs but for these two.
ARGB8888 = _format("ARGB8888", b"\0")
XRGB8888 = _format("XRGB8888", b"\1")

FORMATS = {
    shm_format.name: shm_format
    for shm_format in (
        ARGB8888,
        XRGB8888,
        *(
            _format(name, fourcc)
            for name, fourcc in {
                "XBGR8888": b"XB24",
                "ABGR8888": b"AB24",
                "RGBX8888": b"RX24",
                "RGBA8888": b"RA24",
                "BGRX8888": b"BX24",
                "BGRA8888": b"BA24",
                "RGB888": b"RG24",
                "BGR888": b"BG24",
                "RGB565": b"RG16",
                "BGR565": b"BG16",
                "XRGB2101010": b"XR30",
                "XBGR2101010": b"XB30",
                "ARGB2101010": b"AR30",
                "ABGR2101010": b"AB30",
                "RGBX1010102": b"RX30",
                "RGBA1010102": b"RA30",
                "BGRX1010102": b"BX30",
                "BGRA1010102": b"BA30",
                "XRGB16161616": b"XR48",
                "ARGB16161616": b"AR48",
                "XBGR16161616": b"XB48",
                "ABGR16161616": b"AB48",
                "XRGB16161616F": b"XR4H",
                "ARGB16161616F": b"AR4H",
                "XBGR16161616F": b"XB4H",
                "ABGR16161616F": b"AB4H",
            }.items()
        ),
    )
}
BY_CODE = {shm_format.code: shm_format for shm_format in FORMATS.values()}
