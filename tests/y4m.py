"""A strict reader of YUV4MPEG2 streams, to judge with what wayshot writes.

    with open("clip.y4m", "rb") as file:
        stream = Stream(file)
        assert stream.header.size == (640, 480)
        for frame in stream:
            rgb = frame.rgb("bt709")

The format is that of yuv4mpeg(5) of the mjpegtools, with what ffmpeg added to it: more than 8 bits
and the range.  Where that page lets a reader guess, this one refuses: every field has to be there
once and to be known.  It shares no code with wayshot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8] | NDArray[np.uint16]

MAGIC = "YUV4MPEG2"
FRAME = b"FRAME\n"

LONGEST_HEADER = 95
"""Bytes without the newline: ffmpeg 5.1 reads no longer one."""


class Y4mError(Exception):
    """This is no YUV4MPEG2, or not all of it."""


@dataclass(frozen=True)
class Chroma:
    """What a C tag says: the chroma planes' subsampling as log2, None if there are none."""

    subsampling: tuple[int, int] | None
    depth: int = 8


CHROMAS = {
    # Of 4:2:0 there are three by where the chroma samples lie: between the luma samples, beside
    # them or on them. The planes' sizes are the same.
    "420jpeg": Chroma((1, 1)),
    "420mpeg2": Chroma((1, 1)),
    "420paldv": Chroma((1, 1)),
    "422": Chroma((1, 0)),
    "444": Chroma((0, 0)),
    "mono": Chroma(None),
    "420p10": Chroma((1, 1), 10),
    "422p10": Chroma((1, 0), 10),
    "444p10": Chroma((0, 0), 10),
    "mono10": Chroma(None, 10),
}

MATRICES = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
"""Kr and Kb, as ITU-R BT.601 and BT.709 define them."""


@dataclass(frozen=True)
class Header:
    """The first line. ``full_range`` is None where it is not said."""

    width: int
    height: int
    rate: Fraction
    aspect: Fraction | None
    chroma: str
    full_range: bool | None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the luma plane."""
        return self.width, self.height

    @property
    def depth(self) -> int:
        """Bits per sample: 8, or 10 in the low bits of little-endian words."""
        return CHROMAS[self.chroma].depth

    @property
    def planes(self) -> list[tuple[int, int]]:
        """Rows and columns of each plane; half of an odd number is rounded up."""
        luma = self.height, self.width
        subsampling = CHROMAS[self.chroma].subsampling
        if subsampling is None:
            return [luma]
        x, y = subsampling
        return [luma, *[(-(-self.height >> y), -(-self.width >> x))] * 2]

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame without its FRAME line."""
        return sum(rows * columns for rows, columns in self.planes) * (1 + (self.depth > 8))


@dataclass(frozen=True)
class Frame:
    """The planes of one frame, each of the shape (rows, columns): luma, blue and red difference."""

    header: Header
    planes: tuple[Plane, ...]

    @property
    def luma(self) -> Plane:
        """The Y plane."""
        return self.planes[0]

    def rgb(self, matrix: str, *, full_range: bool | None = None) -> NDArray[np.float64]:
        """Return the colours, shape (height, width, 3), from 0 to 255: neither rounded nor clipped.

        ``matrix`` is bt601 or bt709, of which the stream says nothing; ``full_range`` is needed
        where the stream does not say it. A chroma sample counts for all luma samples of its block,
        whatever the siting: that is right where colours do not change.
        """
        if self.header.full_range is not None:
            assert full_range in {None, self.header.full_range}
            full_range = self.header.full_range
        assert full_range is not None
        return to_rgb(self._full_size(), self.header.depth, matrix, full_range=full_range)

    def _full_size(self) -> tuple[Plane, ...]:
        width, height = self.header.size
        x, y = CHROMAS[self.header.chroma].subsampling or (0, 0)
        luma, *chroma = self.planes
        return luma, *(
            plane.repeat(1 << y, axis=0).repeat(1 << x, axis=1)[:height, :width] for plane in chroma
        )


def to_rgb(
    planes: tuple[Plane, ...], depth: int, matrix: str, *, full_range: bool
) -> NDArray[np.float64]:
    """Return the colours of planes of equal size, shape (height, width, 3), from 0 to 255.

    The equations are those of ITU-R BT.709 and BT.601 (and of H.273 for the full range), solved
    for R'G'B'; luma alone is grey.
    """
    step, top = 1 << (depth - 8), (1 << depth) - 1
    black, luma_span, chroma_span = (
        (0, top, top) if full_range else (16 * step, 219 * step, 224 * step)
    )
    luma = (planes[0].astype(np.float64) - black) / luma_span
    if len(planes) == 1:
        return np.dstack([luma] * 3) * 255
    kr, kb = MATRICES[matrix]
    blue, red = ((plane.astype(np.float64) - 128 * step) / chroma_span for plane in planes[1:])
    r = luma + 2 * (1 - kr) * red
    b = luma + 2 * (1 - kb) * blue
    g = (luma - kr * r - kb * b) / (1 - kr - kb)
    return np.dstack((r, g, b)) * 255


class Stream:
    """The header, and the frames one after the other as they are asked for.

    ``file`` is read to its end, never further than asked, and may be a pipe. With ``allow_cut``
    the stream may end anywhere after its header, as that of a killed process does: then
    ``cut_bytes`` is what there was of one more frame. All else that is wrong raises Y4mError.
    """

    def __init__(self, file: BinaryIO, *, allow_cut: bool = False) -> None:
        """Read the header."""
        self._file = file
        self._allow_cut = allow_cut
        self.header = parse_header(self._header_line())
        self.frames = 0
        self.cut_bytes = 0

    def __iter__(self) -> Iterator[Frame]:
        """Read frames until the stream ends."""
        while (data := self._frame_data()) is not None:
            self.frames += 1
            yield Frame(self.header, tuple(self._split(data)))

    def _header_line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            byte = self._file.read(1)
            if not byte or len(line) > LONGEST_HEADER:
                message = f"no header: {line!r}"
                raise Y4mError(message)
            line += byte
        return line[:-1]

    def _frame_data(self) -> bytes | None:
        line = self._read(len(FRAME))
        if line != FRAME[: len(line)]:
            message = f"{line!r} where frame {self.frames} should begin"
            raise Y4mError(message)
        data = self._read(self.header.frame_bytes) if line == FRAME else b""
        missing = len(FRAME) + self.header.frame_bytes - len(line) - len(data)
        if line and missing and not self._allow_cut:
            message = f"frame {self.frames} lacks its last {missing} bytes"
            raise Y4mError(message)
        self.cut_bytes = len(line) + len(data) if missing else 0
        return None if missing else data

    def _read(self, count: int) -> bytes:
        """Read that much, or what there is."""
        data = bytearray()
        while len(data) < count and (part := self._file.read(count - len(data))):
            data += part
        return bytes(data)

    def _split(self, data: bytes) -> Iterator[Plane]:
        samples = np.frombuffer(data, np.uint8 if self.header.depth == 8 else "<u2")
        if samples.max() >> self.header.depth:
            message = f"a sample of {samples.max()} in frame {self.frames - 1} of {self.header}"
            raise Y4mError(message)
        for rows, columns in self.header.planes:
            yield samples[: rows * columns].reshape(rows, columns)
            samples = samples[rows * columns :]


def parse_header(line: bytes) -> Header:
    """Return what a stream's first line says. Raises Y4mError."""
    try:
        magic, *fields = line.decode("ascii").split(" ")
    except UnicodeDecodeError:
        magic, fields = "", []
    if magic != MAGIC:
        message = f"no {MAGIC}: {line!r}"
        raise Y4mError(message)
    values = _by_tag(fields)
    missing = {"W", "H", "F", "I", "A", "C"} - set(values)
    if missing:
        message = f"the header lacks {', '.join(sorted(missing))}: {line!r}"
        raise Y4mError(message)
    if values["I"] != "p":
        message = f"I{values['I']}: not progressive"
        raise Y4mError(message)
    rate = _ratio("F", values["F"])
    if rate is None:
        message = "the rate is unknown"
        raise Y4mError(message)
    chroma = values["C"]
    if chroma not in CHROMAS:
        message = f"unknown C{chroma}"
        raise Y4mError(message)
    if values.get("XYSCSS", chroma.upper()) != chroma.upper():
        message = f"XYSCSS={values['XYSCSS']} beside C{chroma}"
        raise Y4mError(message)
    return Header(
        _length("W", values["W"]),
        _length("H", values["H"]),
        rate,
        _ratio("A", values["A"]),
        chroma,
        _full_range(values.get("XCOLORRANGE")),
    )


def _by_tag(fields: list[str]) -> dict[str, str]:
    """Return the values by their tags; those of X by the name before their equals sign."""
    values: dict[str, str] = {}
    for field in fields:
        match = re.fullmatch(r"([WHFIAC])(.+)|(XYSCSS|XCOLORRANGE)=(.+)", field)
        if match is None:
            message = f"unknown field {field!r}"
            raise Y4mError(message)
        tag, value = match[1] or match[3], match[2] or match[4]
        if tag in values:
            message = f"{tag} twice"
            raise Y4mError(message)
        values[tag] = value
    return values


def _length(tag: str, text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        message = f"{tag}{text}: no length"
        raise Y4mError(message)
    return int(text)


def _ratio(tag: str, text: str) -> Fraction | None:
    """Return a ratio, None if it is 0:0, which means that it is unknown."""
    if text == "0:0":
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,9}):([1-9][0-9]{0,9})", text)
    if match is None:
        message = f"{tag}{text}: no ratio"
        raise Y4mError(message)
    return Fraction(int(match[1]), int(match[2]))


def _full_range(text: str | None) -> bool | None:
    ranges = {None: None, "FULL": True, "LIMITED": False}
    if text not in ranges:
        message = f"unknown XCOLORRANGE={text}"
        raise Y4mError(message)
    return ranges[text]
