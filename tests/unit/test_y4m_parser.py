"""The reader of YUV4MPEG2 that other tests judge with: it takes what is right, and nothing else."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.y4m import FRAME, LONGEST_HEADER, Stream, Y4mError, parse_header, to_rgb

if TYPE_CHECKING:
    from typing import BinaryIO

    from tests.y4m import Plane

# By C tag: bits, and the chroma planes' (columns, rows) of a 5x3 picture.
CHROMA_OF_5X3 = {
    "420jpeg": (8, (3, 2)),
    "420mpeg2": (8, (3, 2)),
    "420paldv": (8, (3, 2)),
    "422": (8, (3, 3)),
    "444": (8, (5, 3)),
    "mono": (8, None),
    "420p10": (10, (3, 2)),
    "422p10": (10, (3, 3)),
    "444p10": (10, (5, 3)),
    "mono10": (10, None),
}
HEADER = b"YUV4MPEG2 W2 H2 F60:1 Ip A1:1 C420mpeg2 XCOLORRANGE=LIMITED\n"
ONE_FRAME = FRAME + b"YYYYUV"


def read(data: bytes, *, allow_cut: bool = False) -> Stream:
    """Return a stream that was read to its end."""
    stream = Stream(io.BytesIO(data), allow_cut=allow_cut)
    for _ in stream:
        pass
    return stream


class Dribble(io.RawIOBase):
    """A file that gives no more than a few bytes at once, as a pipe may."""

    def __init__(self, data: bytes, most: int) -> None:
        self.rest, self.most = data, most

    def read(self, size: int = -1) -> bytes:
        assert size > 0
        count = min(size, self.most)
        data, self.rest = self.rest[:count], self.rest[count:]
        return data


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[list[list[list[int]]]]]:
    """Write a stream by hand: its bytes, and the rows of the planes of its frames."""
    tag = draw(st.sampled_from(sorted(CHROMA_OF_5X3)))
    depth, chroma = CHROMA_OF_5X3[tag]
    planes = [(5, 3), *([chroma] * 2 if chroma else [])]
    size = depth + 7 >> 3
    data = b"YUV4MPEG2 W5 H3 F30000:1001 Ip A0:0 C" + tag.encode() + b"\n"
    frames = []
    for _ in range(draw(st.integers(0, 3))):
        data += b"FRAME\n"
        frame = []
        for columns, rows in planes:
            row = st.lists(st.integers(0, 2**depth - 1), min_size=columns, max_size=columns)
            plane = draw(st.lists(row, min_size=rows, max_size=rows))
            data += b"".join(sample.to_bytes(size, "little") for line in plane for sample in line)
            frame.append(plane)
        frames.append(frame)
    return data, frames


@given(streams(), st.integers(1, 40))
def test_planes_are_read_as_they_were_written(
    written: tuple[bytes, list[list[list[list[int]]]]], most: int
) -> None:
    data, expected = written
    stream = Stream(cast("BinaryIO", Dribble(data, most)))
    frames = list(stream)
    assert [[plane.tolist() for plane in frame.planes] for frame in frames] == expected
    assert stream.frames == len(expected)
    assert all(frame.luma is frame.planes[0] for frame in frames)


@pytest.mark.parametrize("tag", CHROMA_OF_5X3)
def test_half_of_an_odd_number_is_rounded_up(tag: str) -> None:
    depth, chroma = CHROMA_OF_5X3[tag]
    header = parse_header(f"YUV4MPEG2 W5 H3 F1:1 Ip A1:1 C{tag}".encode())
    assert header.depth == depth
    assert header.planes == [(3, 5), *([chroma[::-1]] * 2 if chroma else [])]
    samples = 15 + (2 * chroma[0] * chroma[1] if chroma else 0)
    assert header.frame_bytes == samples * (2 if depth == 10 else 1)


@given(st.permutations(["W33", "H17", "F60000:1001", "Ip", "A4:3", "C422", "XCOLORRANGE=FULL"]))
def test_fields_may_stand_in_any_order(fields: list[str]) -> None:
    header = parse_header(" ".join(["YUV4MPEG2", *fields]).encode())
    assert header.size == (33, 17)
    assert header.rate == Fraction(60_000, 1001)
    assert header.aspect == Fraction(4, 3)
    assert (header.chroma, header.full_range) == ("422", True)


# As ffmpeg 5.1 writes them.
@pytest.mark.parametrize(
    ("line", "chroma", "full_range"),
    [
        ("C420jpeg XYSCSS=420JPEG", "420jpeg", None),
        ("C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=LIMITED", "420mpeg2", False),
        ("C420paldv XYSCSS=420PALDV XCOLORRANGE=FULL", "420paldv", True),
        ("C444p10 XYSCSS=444P10 XCOLORRANGE=LIMITED", "444p10", False),
        ("Cmono10 XCOLORRANGE=FULL", "mono10", True),
    ],
)
def test_headers_of_ffmpeg_are_read(line: str, chroma: str, *, full_range: bool | None) -> None:
    header = parse_header(b"YUV4MPEG2 W32 H16 F30000:1001 Ip A0:0 " + line.encode())
    assert (header.chroma, header.full_range) == (chroma, full_range)
    assert header.aspect is None


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (("YUV4MPEG2", "YUV4MPEG"), "no YUV4MPEG2"),
        (("YUV4MPEG2 ", "\xe9"), "no YUV4MPEG2"),
        (("W64", "W0"), "W0: no length"),
        (("W64", "W064"), "W064: no length"),
        (("W64", "W-64"), "W-64: no length"),
        (("H48", "H4.8"), "H4.8: no length"),
        (("W64 ", ""), "lacks W"),
        (("H48 ", ""), "lacks H"),
        (("F60:1 ", ""), "lacks F"),
        (("Ip ", ""), "lacks I"),
        (("A1:1 ", ""), "lacks A"),
        (("C422 ", ""), "lacks C"),
        (("W64", "W64 W64"), "W twice"),
        (("C422", "C422 C420jpeg"), "C twice"),
        (("=FULL", "=FULL XCOLORRANGE=FULL"), "XCOLORRANGE twice"),
        (("F60:1", "F0:0"), "rate is unknown"),
        (("F60:1", "F60:0"), "F60:0: no ratio"),
        (("F60:1", "F59.94:1"), "no ratio"),
        (("F60:1", "F60"), "no ratio"),
        (("A1:1", "A0:1"), "A0:1: no ratio"),
        (("Ip", "I?"), "not progressive"),
        (("Ip", "It"), "not progressive"),
        (("C422", "C420"), "unknown C420"),
        (("C422", "C444alpha"), "unknown C444alpha"),
        (("C422", "C422 XYSCSS=420JPEG"), "XYSCSS=420JPEG beside C422"),
        (("=FULL", "=full"), "unknown XCOLORRANGE=full"),
        (("XCOLORRANGE=FULL", "XCOLORRANGE="), "unknown field"),
        (("XCOLORRANGE=FULL", "XMATRIX=709"), "unknown field 'XMATRIX=709'"),
        (("Ip", "Ip Z1"), "unknown field 'Z1'"),
        (("Ip ", "Ip  "), "unknown field ''"),
        (("=FULL", "=FULL "), "unknown field ''"),
        (("=FULL", "=FULL\r"), "unknown XCOLORRANGE"),
    ],
)
def test_a_header_that_is_not_exact_is_refused(wrong: tuple[str, str], complaint: str) -> None:
    line = "YUV4MPEG2 W64 H48 F60:1 Ip A1:1 C422 XCOLORRANGE=FULL"
    parse_header(line.encode())
    changed = line.replace(*wrong)
    assert changed != line
    with pytest.raises(Y4mError, match=complaint.replace("?", r"\?")):
        parse_header(changed.encode("latin1"))


def test_a_header_longer_than_ffmpeg_reads_is_refused() -> None:
    line = b"YUV4MPEG2 W64 H48 F60:1 Ip A1:1 C422 XCOLORRANGE=FULL"
    assert len(line) <= LONGEST_HEADER
    room = LONGEST_HEADER - len(line)
    with pytest.raises(Y4mError, match="unknown field"):
        read(line + b" X" + b"x" * (room - 2) + b"\n")
    with pytest.raises(Y4mError, match="no header"):
        read(line + b" X" + b"x" * (room - 1) + b"\n")


def test_nothing_and_half_a_header_are_no_streams_even_where_cuts_are_allowed() -> None:
    for length in range(len(HEADER)):
        with pytest.raises(Y4mError, match="no header"):
            read(HEADER[:length], allow_cut=True)


def test_a_stream_may_be_cut_where_that_is_allowed_and_nowhere_else() -> None:
    whole = HEADER + ONE_FRAME * 2
    for length in range(len(HEADER), len(whole) + 1):
        frames, rest = divmod(length - len(HEADER), len(ONE_FRAME))
        stream = read(whole[:length], allow_cut=True)
        assert (stream.frames, stream.cut_bytes) == (frames, rest)
        if rest:
            missing = len(ONE_FRAME) - rest
            with pytest.raises(Y4mError, match=f"frame {frames} lacks its last {missing} bytes"):
                read(whole[:length])
        else:
            assert read(whole[:length]).cut_bytes == 0


@pytest.mark.parametrize("allow_cut", [False, True])
@pytest.mark.parametrize(
    "line", [b"FRAME \n", b"FRAME Ip\n", b"FRAME\r\n", b"frame\n", b"FRX", b"\n"]
)
def test_a_frame_begins_with_its_line_to_the_byte(line: bytes, *, allow_cut: bool) -> None:
    with pytest.raises(Y4mError, match="where frame 1 should begin"):
        read(HEADER + ONE_FRAME + line, allow_cut=allow_cut)


def test_a_frame_with_a_byte_too_many_or_too_few_is_noticed_at_the_next() -> None:
    for frame in (ONE_FRAME + b"x", ONE_FRAME[:-1]):
        with pytest.raises(Y4mError, match="where frame 1 should begin"):
            read(HEADER + frame + ONE_FRAME)


def test_a_sample_with_more_bits_than_its_format_has_is_refused() -> None:
    header = b"YUV4MPEG2 W1 H1 F60:1 Ip A1:1 Cmono10\n"
    assert read(header + FRAME + b"\xff\x03").frames == 1
    with pytest.raises(Y4mError, match="a sample of 1024 in frame 0"):
        read(header + FRAME + b"\x00\x04")


def test_frames_are_read_as_they_are_asked_for() -> None:
    file = io.BytesIO(HEADER + ONE_FRAME * 3)
    stream = Stream(file)
    assert file.tell() == len(HEADER)
    next(iter(stream))
    assert file.tell() == len(HEADER + ONE_FRAME)


# Colours. Y, Cb, Cr in limited range at 8 bits: black, white and grey; and the primaries at full
# saturation by the equations of BT.601 and BT.709, rounded, as tables of colour bars give them.
LEVELS = {
    "bt601": {(81, 90, 240): "r", (145, 54, 34): "g", (41, 240, 110): "b"},
    "bt709": {(63, 102, 240): "r", (173, 42, 26): "g", (32, 240, 118): "b"},
}


@pytest.mark.parametrize("matrix", LEVELS)
def test_primaries_are_where_the_tables_put_them(matrix: str) -> None:
    for levels, letter in LEVELS[matrix].items():
        expected = [255.0 * (letter == channel) for channel in "rgb"]
        assert colour(levels, 8, matrix) == pytest.approx(expected, abs=1.2)
    assert colour((16, 128, 128), 8, matrix) == pytest.approx([0, 0, 0], abs=1e-9)
    assert colour((235, 128, 128), 8, matrix) == pytest.approx([255] * 3, abs=1e-9)
    assert colour((940, 512, 512), 10, matrix) == pytest.approx([255] * 3, abs=1e-9)


def colour(levels: tuple[int, ...], depth: int, matrix: str, *, full: bool = False) -> list[float]:
    """Return the colour of one pixel."""
    planes: tuple[Plane, ...] = tuple(np.array([[level]], np.uint16) for level in levels)
    rgb = to_rgb(planes, depth, matrix, full_range=full)
    assert rgb.shape == (1, 1, 3)
    return [float(value) for value in rgb[0, 0]]


LEVEL = st.integers(0, 1023)


@given(
    st.tuples(LEVEL, LEVEL, LEVEL), st.sampled_from([8, 10]), st.sampled_from(["limited", "full"])
)
@pytest.mark.parametrize(
    ("matrix", "kr", "kb"),
    [
        ("bt601", Fraction(299, 1000), Fraction(114, 1000)),
        ("bt709", Fraction(2126, 10_000), Fraction(722, 10_000)),
    ],
)
def test_colours_solve_the_equations_of_their_standard(  # noqa: PLR0913, PLR0917, what varies
    matrix: str, kr: Fraction, kb: Fraction, levels: tuple[int, ...], depth: int, span: str
) -> None:
    levels = tuple(level >> (10 - depth) for level in levels)
    r, g, b = (
        Fraction(value) / 255 for value in colour(levels, depth, matrix, full=span == "full")
    )
    luma = kr * r + (1 - kr - kb) * g + kb * b
    blue, red = (b - luma) / (2 * (1 - kb)), (r - luma) / (2 * (1 - kr))
    top = 2**depth - 1
    if span == "full":
        back = [top * luma, top * blue + 2 ** (depth - 1), top * red + 2 ** (depth - 1)]
    else:
        scale = 2 ** (depth - 8)
        back = [(219 * luma + 16) * scale, (224 * blue + 128) * scale, (224 * red + 128) * scale]
    assert [float(value) for value in back] == pytest.approx(list(levels), abs=1e-6)


def test_luma_alone_is_grey() -> None:
    grey = np.array([[16, 126], [235, 255]], np.uint8)
    rgb = to_rgb((grey,), 8, "bt709", full_range=False)
    assert rgb[0, 0] == pytest.approx([0, 0, 0])
    assert rgb[1, 0] == pytest.approx([255] * 3)
    assert rgb[0, 1] == pytest.approx([110 / 219 * 255] * 3)
    assert rgb[1, 1] == pytest.approx([239 / 219 * 255] * 3)  # not clipped


@pytest.mark.parametrize("tag", CHROMA_OF_5X3)
def test_each_chroma_sample_colours_its_block(tag: str) -> None:
    depth, chroma = CHROMA_OF_5X3[tag]
    data = np.full(15, 0, "<u2" if depth == 10 else np.uint8).tobytes()
    if chroma:
        columns, rows = chroma
        for level in (100, 110):
            plane = level + np.arange(rows)[:, None] * 10 + np.arange(columns)
            data += plane.astype("<u2" if depth == 10 else np.uint8).tobytes()
    header = f"YUV4MPEG2 W5 H3 F1:1 Ip A1:1 C{tag} XCOLORRANGE=FULL\n".encode()
    (frame,) = Stream(io.BytesIO(header + FRAME + data))
    rgb = frame.rgb("bt601")
    x_step, y_step = (-(-5 // chroma[0]), -(-3 // chroma[1])) if chroma else (1, 1)
    for y in range(3):
        for x in range(5):
            place = y // y_step * 10 + x // x_step
            levels = (0, 100 + place, 110 + place) if chroma else (0,)
            assert rgb[y, x] == pytest.approx(colour(levels, depth, "bt601", full=True))


def test_the_range_of_the_stream_counts_and_must_be_known() -> None:
    said = next(iter(Stream(io.BytesIO(HEADER + ONE_FRAME))))
    silent_header = HEADER.replace(b" XCOLORRANGE=LIMITED", b"")
    silent = next(iter(Stream(io.BytesIO(silent_header + ONE_FRAME))))
    planes: tuple[Plane, ...] = tuple(
        np.repeat(ord(letter), 4).reshape(2, 2).astype(np.uint8) for letter in "YUV"
    )
    assert np.array_equal(said.rgb("bt709"), to_rgb(planes, 8, "bt709", full_range=False))
    for full_range in (False, True):
        expected = to_rgb(planes, 8, "bt709", full_range=full_range)
        assert np.array_equal(silent.rgb("bt709", full_range=full_range), expected)
    with pytest.raises(AssertionError):
        said.rgb("bt709", full_range=True)
    with pytest.raises(AssertionError):
        silent.rgb("bt709")
