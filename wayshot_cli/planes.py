"""Formats of luma and chroma planes, which recordings alone have, by ffmpeg's names."""

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wayshot_cli.geometry import Size


class Chroma(IntEnum):
    """Where a YUV format keeps its two chroma samples; the numbers are those of yuv.c."""

    PLANAR = 0  # in two planes, Cb first
    INTERLEAVED = 1  # in turn in one plane, Cb first
    NONE = 2


class PlaneLayout(NamedTuple):
    """A plane in memory that holds all planes, tight: bytes before it and in a row of it."""

    offset: int
    stride: int
    rows: int


class YuvFormat(NamedTuple):
    """A format of luma and chroma planes, by ffmpeg's name.

    ``depth`` is 8 or 10 bits a sample; ``shift_x`` and ``shift_y`` say how often
    chroma is halved along and down the picture.
    """

    name: str
    depth: int
    shift_x: int
    shift_y: int
    chroma: Chroma

    @property
    def bytes_per_sample(self) -> int:
        """1 or 2; words are little-endian."""
        return (self.depth + 7) // 8

    @property
    def sample_shift(self) -> int:
        """How far left in its word a sample is: p010le has 10 bits in the highest places."""
        return 6 if self.depth == 10 and self.chroma is Chroma.INTERLEAVED else 0  # noqa: PLR2004 - bits

    def planes(self, size: "Size") -> list[PlaneLayout]:
        """Return the planes of a picture, tight and one behind the other.

        Where a side is odd, the chroma's half of it is rounded up.
        """
        width = -(-size.width >> self.shift_x)
        rows = -(-size.height >> self.shift_y)
        sides = [(size.width, size.height)]
        if self.chroma is Chroma.PLANAR:
            sides += [(width, rows), (width, rows)]
        elif self.chroma is Chroma.INTERLEAVED:
            sides += [(2 * width, rows)]
        found, offset = [], 0
        for samples, count in sides:
            found.append(PlaneLayout(offset, samples * self.bytes_per_sample, count))
            offset += found[-1].stride * count
        return found

    def nbytes(self, size: "Size") -> int:
        """Return the bytes of a picture whose planes lie as ``planes`` says."""
        return sum(plane.stride * plane.rows for plane in self.planes(size))


class YuvTarget(NamedTuple):
    """What becomes of a picture as YUV.

    ``colorspace`` says how luma weighs the colours: "bt709" or "bt601" (ITU-R BT.709, 3.2, and
    BT.601, 2.5.1). Samples of a full range use every number; of a limited one, at
    8 bits, luma 16 to 235 and chroma 16 to 240. ``siting`` says where chroma is that is halved
    along the row: "left" on every second column (MPEG-2's way, H.264's default),
    "center" between two (JPEG's and MPEG-1's); down the picture it is between two rows.
    """

    format: YuvFormat
    colorspace: str
    full_range: bool
    siting: str


def _yuv_table() -> dict[str, YuvFormat]:
    planar, interleaved, none = Chroma
    rows: tuple[tuple[str, int, int, int, Chroma], ...] = (
        ("yuv420p", 8, 1, 1, planar),
        ("yuv422p", 8, 1, 0, planar),
        ("yuv444p", 8, 0, 0, planar),
        ("yuv420p10le", 10, 1, 1, planar),
        ("yuv422p10le", 10, 1, 0, planar),
        ("yuv444p10le", 10, 0, 0, planar),
        ("nv12", 8, 1, 1, interleaved),
        ("p010le", 10, 1, 1, interleaved),
        ("gray", 8, 0, 0, none),
        ("gray10le", 10, 0, 0, none),
    )
    return {row[0]: YuvFormat(*row) for row in rows}


YUV_FORMATS = _yuv_table()
