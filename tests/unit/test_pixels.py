"""The tables of pixel formats, against what DRM's and ffmpeg's names and wl_shm say."""

import re

import pytest
from pywayland.protocol.wayland import WlShm

from wayshot_cli import pixels
from wayshot_cli.geometry import Size
from wayshot_cli.pixels import FORMATS, Kind, PixelFormat
from wayshot_cli.planes import YUV_FORMATS, Chroma, YuvFormat


def wl_shm_code(fmt: PixelFormat) -> int:
    """What wayland.xml has under the format's name: wl_shm.format.xrgb8888."""
    return int(WlShm.format[fmt.drm_name.lower()].value)


def channels(fmt: PixelFormat) -> dict[str, tuple[int, int]]:
    """Read a DRM name: channels from the highest bit down, as (lowest bit, number of bits)."""
    match = re.fullmatch(r"([XARGB]+)((?:16|10|[82356])+)F?", fmt.drm_name)
    assert match, fmt.drm_name
    letters, digits = match.groups()
    numbers = re.findall("16|10|[82356]", digits)
    if len(numbers) == 1:
        numbers *= len(letters)
    assert len(numbers) == len(letters), fmt.drm_name
    found, bit = {}, 0
    for letter, bits in zip(reversed(letters), map(int, reversed(numbers)), strict=True):
        found[letter] = (bit, bits)
        bit += bits
    assert bit == 8 * fmt.bytes_per_pixel
    return found


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_codes_are_those_of_the_protocol(fmt: PixelFormat) -> None:
    code = wl_shm_code(fmt)
    assert pixels.shm_code(fmt) == code
    assert pixels.by_shm_code(code) is fmt


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_a_fourcc_is_the_shm_code_but_for_the_two_oldest(fmt: PixelFormat) -> None:
    oldest = {0: pixels.fourcc("AR24"), 1: pixels.fourcc("XR24")}
    code = wl_shm_code(fmt)
    assert fmt.fourcc == oldest.get(code, code)
    assert pixels.by_fourcc(fmt.fourcc) is fmt


def test_fourccs_read_as_letters_from_the_lowest_byte_up() -> None:
    assert pixels.fourcc("XR24") == 0x34325258


def test_codes_that_are_not_in_the_table_are_nobody() -> None:
    known = {wl_shm_code(fmt) for fmt in FORMATS}
    unknown = {int(code.value) for code in WlShm.format} - known
    assert unknown
    for code in (*unknown, 2, 0xFFFFFFFF):
        assert pixels.by_shm_code(code) is None
    assert pixels.by_fourcc(0) is None
    assert pixels.by_fourcc(1) is None


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_channels_lie_where_the_name_puts_them(fmt: PixelFormat) -> None:
    found = channels(fmt)
    unit = {Kind.BYTES: 8, Kind.WORDS: 16, Kind.HALFS: 16}.get(fmt.kind, 1)
    assert [fmt.red, fmt.green, fmt.blue] == [found[letter][0] // unit for letter in "RGB"]
    assert fmt.alpha == (found["A"][0] // unit if "A" in found else -1)
    assert fmt.has_alpha == ("A" in found)
    assert fmt.is_deep == (found["G"][1] > 8)


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_the_kind_is_that_of_the_channels(fmt: PixelFormat) -> None:
    bits = sorted(bits for _, bits in channels(fmt).values())
    if bits[-1] == 16:
        expected = Kind.HALFS if fmt.drm_name.endswith("F") else Kind.WORDS
    else:
        expected = {8: Kind.BYTES, 10: Kind.PACKED_1010102, 6: Kind.PACKED_565}[bits[-1]]
    assert fmt.kind is expected


@pytest.mark.parametrize("fmt", [fmt for fmt in FORMATS if fmt.kind is Kind.BYTES], ids=str)
def test_ffmpeg_names_bytes_in_the_order_of_memory(fmt: PixelFormat) -> None:
    letters = ["0"] * fmt.bytes_per_pixel
    letters[fmt.red], letters[fmt.green], letters[fmt.blue] = "rgb"
    if fmt.has_alpha:
        letters[fmt.alpha] = "a"
    assert fmt.name.removesuffix("24") == "".join(letters)


def test_names_and_codes_are_unique() -> None:
    for column in ("drm_name", "fourcc"):
        assert len({getattr(fmt, column) for fmt in FORMATS}) == len(FORMATS)
    names = [fmt.name for fmt in FORMATS if fmt.name]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("fmt", YUV_FORMATS.values(), ids=lambda fmt: fmt.name)
def test_a_yuv_name_says_depth_and_subsampling(fmt: YuvFormat) -> None:
    assert YUV_FORMATS[fmt.name] is fmt
    assert fmt.depth == (10 if "10" in fmt.name else 8)
    assert fmt.bytes_per_sample == (2 if "10" in fmt.name else 1)
    if match := re.match(r"yuv4(\d\d)p", fmt.name):
        halved = {"44": (0, 0), "22": (1, 0), "20": (1, 1)}[match[1]]
        assert (fmt.shift_x, fmt.shift_y, fmt.chroma) == (*halved, Chroma.PLANAR)
    elif fmt.name.startswith("gray"):
        assert (fmt.shift_x, fmt.shift_y, fmt.chroma) == (0, 0, Chroma.NONE)
    else:
        assert fmt.name in ("nv12", "p010le")
        assert (fmt.shift_x, fmt.shift_y, fmt.chroma) == (1, 1, Chroma.INTERLEAVED)


def test_only_p010_has_its_bits_in_the_highest_places() -> None:
    shifts = {name: fmt.sample_shift for name, fmt in YUV_FORMATS.items() if fmt.sample_shift}
    assert shifts == {"p010le": 6}


@pytest.mark.parametrize(
    ("name", "size", "planes", "nbytes"),
    [
        ("yuv420p", (6, 4), [(0, 6, 4), (24, 3, 2), (30, 3, 2)], 36),
        ("yuv420p", (5, 3), [(0, 5, 3), (15, 3, 2), (21, 3, 2)], 27),
        ("yuv422p", (5, 3), [(0, 5, 3), (15, 3, 3), (24, 3, 3)], 33),
        ("yuv444p", (5, 3), [(0, 5, 3), (15, 5, 3), (30, 5, 3)], 45),
        ("yuv420p10le", (5, 3), [(0, 10, 3), (30, 6, 2), (42, 6, 2)], 54),
        ("yuv422p10le", (5, 3), [(0, 10, 3), (30, 6, 3), (48, 6, 3)], 66),
        ("yuv444p10le", (5, 3), [(0, 10, 3), (30, 10, 3), (60, 10, 3)], 90),
        ("nv12", (5, 3), [(0, 5, 3), (15, 6, 2)], 27),
        ("p010le", (5, 3), [(0, 10, 3), (30, 12, 2)], 54),
        ("gray", (5, 3), [(0, 5, 3)], 15),
        ("gray10le", (5, 3), [(0, 10, 3)], 30),
        ("yuv420p", (1, 1), [(0, 1, 1), (1, 1, 1), (2, 1, 1)], 3),
    ],
)
def test_yuv_planes_lie_one_behind_the_other(
    name: str, size: tuple[int, int], planes: list[tuple[int, int, int]], nbytes: int
) -> None:
    fmt = YUV_FORMATS[name]
    assert fmt.planes(Size(*size)) == planes
    assert fmt.nbytes(Size(*size)) == nbytes
