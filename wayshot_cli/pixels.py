"""Pixel formats: one table from fourcc and wl_shm code to the layout that the kernels read.

Names are ffmpeg's, fourccs DRM's (drm_fourcc.h). Channel orders below are those of
memory on a little-endian machine, which DRM formats always describe.
"""

from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """How a pixel's channels are stored; the numbers are those of kernels.c."""

    BYTES = 0  # 8 bits a channel; a channel's position is its byte
    PACKED_565 = 1  # 16-bit word; position is the channel's lowest bit
    PACKED_1010102 = 2  # 32-bit word; position is the channel's lowest bit
    WORDS = 3  # 16 bits a channel; position is its index
    HALFS = 4  # IEEE half floats; position is the channel's index


class PixelFormat(NamedTuple):
    """A format of one plane.

    ``red``, ``green``, ``blue`` and ``alpha`` are positions in the unit that
    ``kind`` names; ``alpha`` is -1 where the format has none.
    ``name`` is ffmpeg's name, empty where ffmpeg has none.
    """

    drm_name: str
    fourcc: int
    name: str
    kind: Kind
    bytes_per_pixel: int
    red: int
    green: int
    blue: int
    alpha: int

    @property
    def has_alpha(self) -> bool:
        """Whether the format stores an alpha channel (outputs leave it undefined)."""
        return self.alpha >= 0

    @property
    def is_deep(self) -> bool:
        """Whether a channel has more than 8 bits, so that a PNG of it needs 16."""
        return self.kind in (Kind.PACKED_1010102, Kind.WORDS, Kind.HALFS)

    def __str__(self) -> str:
        """Write DRM's name."""
        return self.drm_name


def fourcc(code: str) -> int:
    """Return the number of a four-character code: ``fourcc("XR24") == 0x34325258``."""
    return int.from_bytes(code.encode("ascii"), "little")


def _table() -> tuple[PixelFormat, ...]:
    b, p565, p10, words, halfs = Kind
    rows: tuple[tuple[str, str, str, Kind, int, int, int, int, int], ...] = (
        ("XRGB8888", "XR24", "bgr0", b, 4, 2, 1, 0, -1),
        ("ARGB8888", "AR24", "bgra", b, 4, 2, 1, 0, 3),
        ("XBGR8888", "XB24", "rgb0", b, 4, 0, 1, 2, -1),
        ("ABGR8888", "AB24", "rgba", b, 4, 0, 1, 2, 3),
        ("RGBX8888", "RX24", "0bgr", b, 4, 3, 2, 1, -1),
        ("RGBA8888", "RA24", "abgr", b, 4, 3, 2, 1, 0),
        ("BGRX8888", "BX24", "0rgb", b, 4, 1, 2, 3, -1),
        ("BGRA8888", "BA24", "argb", b, 4, 1, 2, 3, 0),
        ("RGB888", "RG24", "bgr24", b, 3, 2, 1, 0, -1),
        ("BGR888", "BG24", "rgb24", b, 3, 0, 1, 2, -1),
        ("RGB565", "RG16", "rgb565le", p565, 2, 11, 5, 0, -1),
        ("BGR565", "BG16", "bgr565le", p565, 2, 0, 5, 11, -1),
        ("XRGB2101010", "XR30", "x2rgb10le", p10, 4, 20, 10, 0, -1),
        ("ARGB2101010", "AR30", "", p10, 4, 20, 10, 0, 30),
        ("XBGR2101010", "XB30", "x2bgr10le", p10, 4, 0, 10, 20, -1),
        ("ABGR2101010", "AB30", "", p10, 4, 0, 10, 20, 30),
        ("RGBX1010102", "RX30", "", p10, 4, 22, 12, 2, -1),
        ("RGBA1010102", "RA30", "", p10, 4, 22, 12, 2, 0),
        ("BGRX1010102", "BX30", "", p10, 4, 2, 12, 22, -1),
        ("BGRA1010102", "BA30", "", p10, 4, 2, 12, 22, 0),
        ("XBGR16161616", "XB48", "", words, 8, 0, 1, 2, -1),
        ("ABGR16161616", "AB48", "rgba64le", words, 8, 0, 1, 2, 3),
        ("XRGB16161616", "XR48", "", words, 8, 2, 1, 0, -1),
        ("ARGB16161616", "AR48", "bgra64le", words, 8, 2, 1, 0, 3),
        ("XBGR16161616F", "XB4H", "", halfs, 8, 0, 1, 2, -1),
        ("ABGR16161616F", "AB4H", "rgbaf16le", halfs, 8, 0, 1, 2, 3),
        ("XRGB16161616F", "XR4H", "", halfs, 8, 2, 1, 0, -1),
        ("ARGB16161616F", "AR4H", "", halfs, 8, 2, 1, 0, 3),
    )
    return tuple(PixelFormat(row[0], fourcc(row[1]), *row[2:]) for row in rows)


FORMATS = _table()
_BY_FOURCC = {format_.fourcc: format_ for format_ in FORMATS}
BY_DRM_NAME = {format_.drm_name: format_ for format_ in FORMATS}
"""The formats by DRM's names, as XRGB8888."""

XRGB8888 = BY_DRM_NAME["XRGB8888"]
ARGB8888 = BY_DRM_NAME["ARGB8888"]
ABGR8888 = BY_DRM_NAME["ABGR8888"]
BGR888 = BY_DRM_NAME["BGR888"]
ABGR16161616 = BY_DRM_NAME["ABGR16161616"]

_SHM_CODES = {ARGB8888.fourcc: 0, XRGB8888.fourcc: 1}
_BY_SHM_CODE = {_SHM_CODES.get(format_.fourcc, format_.fourcc): format_ for format_ in FORMATS}


def by_fourcc(code: int) -> PixelFormat | None:
    """Return the format of a DRM fourcc, or None where wayshot cannot read it."""
    return _BY_FOURCC.get(code)


def by_shm_code(code: int) -> PixelFormat | None:
    """Return the format of a wl_shm code: DRM's fourcc, but for 0 and 1 (wayland.xml)."""
    return _BY_SHM_CODE.get(code)


def shm_code(format_: PixelFormat) -> int:
    """Return the wl_shm code of a format; the inverse of by_shm_code."""
    return _SHM_CODES.get(format_.fourcc, format_.fourcc)
