"""The conversion to YUV against exact arithmetic, for each way of compiling the kernels."""

from array import array
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.reference import random_frame
from wayshot_cli import kernels
from wayshot_cli.errors import InvalidArgumentError
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Box, Size, Transform
from wayshot_cli.pixels import BY_DRM_NAME, FORMATS, Kind, PixelFormat
from wayshot_cli.planes import YUV_FORMATS, Chroma, YuvFormat, YuvTarget

Levels = npt.NDArray[np.float64]

XRGB8888, ARGB8888 = BY_DRM_NAME["XRGB8888"], BY_DRM_NAME["ARGB8888"]
ONE_OF_EACH_SIZE = [
    BY_DRM_NAME[name] for name in ("RGB565", "BGR888", "XRGB8888", "RGBX8888", "ABGR16161616")
]
MEANINGS = [
    (fmt, alpha) for fmt in FORMATS for alpha in Alpha if fmt.has_alpha or alpha is Alpha.IGNORED
]
TARGETS = [
    YuvTarget(fmt, colorspace, full_range, siting)
    for fmt, colorspace, full_range, siting in product(
        YUV_FORMATS.values(), ("bt709", "bt601"), (False, True), ("left", "center")
    )
]
# How far from a tie everything is rounded to the nearest, in levels.
TIE = 0.001

pytestmark = pytest.mark.usefixtures("every_build")
frames = cache(random_frame)


def name_of(target: YuvTarget) -> str:
    span = "full" if target.full_range else "limited"
    return f"{target.format.name}-{target.colorspace}-{span}-{target.siting}"


def plain_target(name: str = "yuv420p", siting: str = "left") -> YuvTarget:
    return YuvTarget(YUV_FORMATS[name], "bt709", full_range=False, siting=siting)


# ------------------------------------------------------------ what must come out


def channel(fmt: PixelFormat, pixels: npt.NDArray[np.uint8], name: str) -> Levels:
    """One channel of pixels given as bytes, from 0 to 1."""
    position: int = getattr(fmt, name)
    values: npt.NDArray[np.integer[Any]]
    match fmt.kind:
        case Kind.HALFS:
            halfs = pixels.view("<f2")[..., position].astype(np.float64)
            return np.clip(np.nan_to_num(halfs, nan=0), 0, 1)
        case Kind.BYTES:
            values, top = pixels[..., position], 255
        case Kind.WORDS:
            values, top = pixels.view("<u2")[..., position], 65535
        case Kind.PACKED_565:
            top = 63 if name == "green" else 31
            values = pixels.view("<u2")[..., 0] >> position & top
        case Kind.PACKED_1010102:
            top = 3 if name == "alpha" else 1023
            values = pixels.view("<u4")[..., 0] >> position & top
    return np.asarray(values, np.float64) / top


def turned(picture: Levels, transform: Transform) -> Levels:
    """Undo a transform: first the turn, clockwise for what was turned the other way."""
    turns = transform.value % 4
    upright = np.rot90(picture, -turns)
    return upright if transform < Transform.FLIPPED else upright[:, ::-1]


def colours(frame: Frame) -> Levels:
    """Red, green and blue of the upright picture over black, from 0 to 1."""
    fmt, (width, height) = frame.format, frame.size
    row = width * fmt.bytes_per_pixel
    tail = np.zeros(frame.stride, np.uint8)
    memory = np.concatenate([np.frombuffer(frame.memory, np.uint8)[frame.offset :], tail])
    rows = memory[: height * frame.stride].reshape(height, frame.stride)[:, :row]
    pixels = np.ascontiguousarray(rows).reshape(height, width, fmt.bytes_per_pixel)
    rgb = np.stack([channel(fmt, pixels, name) for name in ("red", "green", "blue")], 2)
    if frame.alpha is Alpha.STRAIGHT:
        rgb *= channel(fmt, pixels, "alpha")[..., None]
    return turned(rgb, frame.transform)


def halved(chroma: Levels, fmt: YuvFormat, siting: str) -> Levels:
    """What a format keeps of the chroma of all pixels."""
    height, width = chroma.shape
    if fmt.shift_x:
        here = np.arange(0, width, 2)
        before, after = np.maximum(here - 1, 0), np.minimum(here + 1, width - 1)
        if siting == "left":
            chroma = (chroma[:, before] + 2 * chroma[:, here] + chroma[:, after]) / 4
        else:
            chroma = (chroma[:, here] + chroma[:, after]) / 2
    if fmt.shift_y:
        here = np.arange(0, height, 2)
        chroma = (chroma[here] + chroma[np.minimum(here + 1, height - 1)]) / 2
    return chroma


def exact(rgb: Levels, target: YuvTarget) -> list[Levels]:
    """Luma, Cb and Cr in levels, not rounded yet, but no more than a sample holds."""
    fmt = target.format
    red, green, blue = (rgb[..., i] for i in range(3))
    kr, kb = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114)}[target.colorspace]
    y = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - y) / (2 - 2 * kb), (red - y) / (2 - 2 * kr)
    unit, top = 2 ** (fmt.depth - 8), 2**fmt.depth - 1
    luma = top * y if target.full_range else unit * (16 + 219 * y)
    if fmt.chroma is Chroma.NONE:
        return [luma]
    span = top if target.full_range else 224 * unit
    return [
        luma,
        *(
            np.minimum(128 * unit + span * halved(chroma, fmt, target.siting), top)
            for chroma in (cb, cr)
        ),
    ]


# ------------------------------------------------------------- what comes out


def converted(frame: Frame, target: YuvTarget, padding: int = 0) -> list[npt.NDArray[np.int64]]:
    """Luma, Cb and Cr as samples; sees to it that nothing is written beside them."""
    fmt = target.format
    layout = fmt.planes(Size(frame.width, frame.height))
    memory = [
        array("B", b"\xa5" * ((plane.stride + padding) * plane.rows - padding)) for plane in layout
    ]
    strides = [plane.stride + padding for plane in layout]
    kernels.to_yuv(frame, target, list(zip(memory, strides, strict=True)))
    planes = []
    for plane, written in zip(layout, memory, strict=True):
        written.extend(b"\xa5" * padding)
        rows = np.frombuffer(written, np.uint8).reshape(plane.rows, plane.stride + padding)
        assert (rows[:, plane.stride :] == 0xA5).all()
        row = np.ascontiguousarray(rows[:, : plane.stride])
        planes.append(row.view("u1" if fmt.bytes_per_sample == 1 else "<u2").astype(np.int64))
    if fmt.chroma is Chroma.INTERLEAVED:
        planes[1:] = [planes[1][:, 0::2], planes[1][:, 1::2]]
    if fmt.name == "p010le":
        assert not any((plane & 63).any() for plane in planes)
        planes = [plane >> 6 for plane in planes]
    return planes


def check(frame: Frame, target: YuvTarget, padding: int = 0, rgb: Levels | None = None) -> None:
    """Every sample is the exact value, rounded to the nearest."""
    planes = converted(frame, target, padding)
    levels = exact(colours(frame) if rgb is None else rgb, target)
    assert [plane.shape for plane in planes] == [plane.shape for plane in levels]
    for samples, values in zip(planes, levels, strict=True):
        assert np.abs(samples - values).max() <= 0.5 + TIE


def frame_of(rgb: npt.NDArray[np.uint8]) -> Frame:
    """A frame of XRGB8888 with these pixels."""
    height, width, _ = rgb.shape
    noise = np.random.default_rng(1).integers(0, 256, (height, width, 1), np.uint8)
    pixels = np.concatenate([rgb[..., ::-1], noise], 2)
    return Frame(memoryview(pixels.tobytes()), XRGB8888, Size(width, height), width * 4)


# ---------------------------------------------------------------------- tests


@pytest.mark.parametrize("target", TARGETS, ids=name_of)
def test_every_target_is_rounded_to_the_nearest(target: YuvTarget) -> None:
    check(frames(XRGB8888, Size(37, 7), padding=5, offset=3), target, padding=6)


@pytest.mark.parametrize("target", TARGETS, ids=name_of)
def test_extremes_are_rounded_to_the_nearest(target: YuvTarget) -> None:
    """Only channels of none and all, in which every sum is as large or as small as can be."""
    noise = np.random.default_rng(2).integers(0, 2, (10, 60, 3), np.uint8)
    check(frame_of(noise * np.uint8(255)), target)


@pytest.mark.parametrize("target", [plain_target("yuv444p10le"), plain_target("nv12")], ids=name_of)
@pytest.mark.parametrize(("fmt", "alpha"), MEANINGS, ids=str)
def test_every_format_is_read_exactly(fmt: PixelFormat, alpha: Alpha, target: YuvTarget) -> None:
    frame = frames(fmt, Size(75, 5), Transform.NORMAL, alpha, padding=16, offset=8)
    check(frame, target)


def patterns() -> dict[str, npt.NDArray[np.uint8]]:
    """Pictures on which a filter that is off by a column or row shows."""
    rows, columns = np.mgrid[:24, :50]
    ramp = np.stack([columns * 5, 255 - columns * 5, rows * 10], 2)
    blue = np.array([0, 0, 255])
    return {
        "columns": columns[..., None] % 2 * blue,
        "columns but the first": (columns[..., None] + 1) % 2 * blue,
        "rows": rows[..., None] % 2 * blue,
        "checkers": (rows + columns)[..., None] % 2 * np.array([255, 0, 255]),
        "ramp": ramp,
        "edge": (columns >= 25)[..., None] * np.array([255, 128, 0]),
        "left and right": np.isin(columns, (0, 49))[..., None] * blue,
    }


@pytest.mark.parametrize("siting", ["left", "center"])
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "yuv444p", "nv12", "gray"])
@pytest.mark.parametrize("pattern", patterns())
def test_patterns_keep_their_place(pattern: str, name: str, siting: str) -> None:
    check(frame_of(patterns()[pattern].astype(np.uint8)), plain_target(name, siting))


@pytest.mark.parametrize("transform", Transform)
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "yuv444p", "p010le"])
@pytest.mark.parametrize("fmt", ONE_OF_EACH_SIZE, ids=str)
def test_every_transform_comes_upright(fmt: PixelFormat, name: str, transform: Transform) -> None:
    """The size is more than one tile of 128x32 pixels, whichever way it is turned."""
    check(frames(fmt, Size(131, 135), transform, padding=8), plain_target(name))


@pytest.mark.parametrize("transform", Transform)
@pytest.mark.parametrize("fmt", ONE_OF_EACH_SIZE, ids=str)
def test_a_crop_is_the_same_part_of_the_upright_picture(
    fmt: PixelFormat, transform: Transform
) -> None:
    """Its chroma is its own: what lies outside does not shine in."""
    frame = frames(fmt, Size(29, 21), transform, padding=8, offset=16)
    part = colours(frame)[4:15, 3:16]
    check(frame.crop(Box(3, 4, 13, 11)), plain_target(), rgb=part)


@pytest.mark.parametrize("transform", [Transform.NORMAL, Transform.ROTATED_90])
@pytest.mark.parametrize("siting", ["left", "center"])
@pytest.mark.parametrize("name", YUV_FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (1, 3), (3, 3)], ids=str)
def test_the_smallest_pictures(
    size: tuple[int, int], name: str, siting: str, transform: Transform
) -> None:
    check(frames(XRGB8888, Size(*size), transform), plain_target(name, siting), padding=1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    width=st.one_of(st.integers(1, 70), st.sampled_from([127, 128, 129, 1023, 1024, 1025, 2049])),
    height=st.integers(1, 70),
    fmt=st.sampled_from(ONE_OF_EACH_SIZE),
    transform=st.sampled_from(Transform),
    target=st.sampled_from(TARGETS),
    padding=st.integers(0, 9),
)
def test_any_size_of_any_format_to_any_target(  # noqa: PLR0913 - a conversion has that many facts
    *,
    width: int,
    height: int,
    fmt: PixelFormat,
    transform: Transform,
    target: YuvTarget,
    padding: int,
) -> None:
    frame = random_frame(fmt, Size(width, height), transform, padding=2 * padding)
    check(frame, target, padding)


@pytest.mark.parametrize("transform", [Transform.NORMAL, Transform.FLIPPED])
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "p010le"])
def test_rows_of_the_greatest_width(name: str, transform: Transform) -> None:
    check(frames(XRGB8888, Size(65535, 3), transform), plain_target(name))


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("colorspace", ["bt709", "bt601"])
@pytest.mark.parametrize("name", ["yuv444p", "yuv444p10le"])
def test_every_colour_is_rounded_to_the_nearest(
    name: str, colorspace: str, *, full_range: bool
) -> None:
    """Every fifth value in each channel, in all combinations."""
    colour = np.stack(np.meshgrid(*[np.arange(0, 256, 5)] * 3), 3).reshape(1, -1, 3)
    check(
        frame_of(colour.astype(np.uint8)),
        YuvTarget(YUV_FORMATS[name], colorspace, full_range, "left"),
    )


@pytest.mark.parametrize("target", TARGETS, ids=name_of)
def test_greys_have_no_colour(target: YuvTarget) -> None:
    greys = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    _, *chroma = converted(frame_of(greys), target)
    for plane in chroma:
        assert (plane == 128 << target.format.depth - 8).all()


@pytest.mark.parametrize(
    ("colorspace", "full_range", "bars"),
    [
        ("bt709", False, [(63, 102, 240), (173, 42, 26), (32, 240, 118), (235, 128, 128)]),
        ("bt601", False, [(81, 90, 240), (145, 54, 34), (41, 240, 110), (235, 128, 128)]),
        ("bt601", True, [(76, 85, 255), (150, 44, 21), (29, 255, 107), (255, 128, 128)]),
    ],
)
def test_red_green_blue_and_white_are_those_of_the_books(
    colorspace: str, bars: list[tuple[int, int, int]], *, full_range: bool
) -> None:
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    target = YuvTarget(YUV_FORMATS["yuv444p"], colorspace, full_range, "left")
    planes = converted(frame_of(rgb), target)
    assert [tuple(pixel) for pixel in np.stack(planes, 2)[0]] == bars


@pytest.mark.parametrize(
    ("siting", "column", "shares"),
    [
        ("left", 2, (0, 1 / 2, 0, 0)),
        ("left", 3, (0, 1 / 4, 1 / 4, 0)),
        ("left", 0, (3 / 4, 0, 0, 0)),
        ("left", 7, (0, 0, 0, 1 / 4)),
        ("center", 2, (0, 1 / 2, 0, 0)),
        ("center", 3, (0, 1 / 2, 0, 0)),
        ("center", 0, (1 / 2, 0, 0, 0)),
        ("center", 7, (0, 0, 0, 1 / 2)),
    ],
)
def test_a_blue_column_colours_the_chroma_that_lies_near(
    siting: str, column: int, shares: tuple[float, ...]
) -> None:
    rgb = np.zeros((2, 8, 3), np.uint8)
    rgb[:, column, 2] = 255
    _, blue, _ = converted(frame_of(rgb), plain_target(siting=siting))
    assert [tuple(row) for row in blue] == [tuple(128 + 112 * share for share in shares)]


@pytest.mark.parametrize("name", ["ARGB8888", "ARGB2101010", "RGBA8888"])
@pytest.mark.parametrize("hole", [None, (0, 3), (1, 2000), (2, 1100)])
def test_a_hole_in_a_white_picture_is_black_wherever_it_is(
    name: str, hole: tuple[int, int] | None
) -> None:
    """Parts of a picture without any hole are read another way."""
    fmt = BY_DRM_NAME[name]
    alpha = 3 << 30 if fmt.kind is Kind.PACKED_1010102 else 255 << 8 * fmt.alpha
    words = np.full((3, 2048), 2**32 - 1, "<u4")
    if hole:
        words[hole] -= alpha
    memory = memoryview(words.tobytes())
    frame = Frame(memory, fmt, Size(2048, 3), 8192, alpha=Alpha.STRAIGHT)
    check(frame, plain_target())
    check(frame, plain_target("gray10le"))


@pytest.mark.parametrize(
    ("name", "sizes", "strides"),
    [
        ("yuv420p", (15, 6, 6), (5, 3)),
        ("yuv420p", (15, 6), (5, 3)),
        ("yuv420p", (15, 6, 6, 6), (5, 3, 3, 3)),
        ("yuv420p", (14, 6, 6), (5, 3, 3)),
        ("yuv420p", (15, 6, 5), (5, 3, 3)),
        ("yuv420p", (15, 6, 6), (5, 3, 4)),
        ("yuv420p", (15, 6, 6), (4, 3, 3)),
        ("nv12", (15, 11), (5, 6)),
        ("p010le", (30, 24), (10, 11)),
        ("gray10le", (15,), (5,)),
    ],
)
def test_planes_that_do_not_fit_are_refused(
    name: str, sizes: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    frame = frames(XRGB8888, Size(5, 3))
    memory = [bytearray(size) for size in sizes]
    with pytest.raises(InvalidArgumentError):
        kernels.to_yuv(frame, plain_target(name), list(zip(memory, strides, strict=False)))
    assert not any(any(plane) for plane in memory)


def test_memory_that_must_not_be_written_is_refused() -> None:
    frame = frames(XRGB8888, Size(5, 3))
    with pytest.raises(BufferError):
        kernels.to_yuv(frame, plain_target("gray"), [(bytes(15), 5)])


def test_planes_are_free_again_afterwards() -> None:
    """An exported bytearray cannot be resized; one left in a cycle crashes Python before 3.12.6."""
    frame = frames(XRGB8888, Size(5, 3))
    planes = [bytearray(16), bytearray(6), bytearray(6)]
    kernels.to_yuv(frame, plain_target(), list(zip(planes, (5, 3, 3), strict=True)))
    with pytest.raises(InvalidArgumentError):
        kernels.to_yuv(frame, plain_target(), list(zip(planes, (5, 3, 4), strict=True)))
    for plane in planes:
        plane.clear()
