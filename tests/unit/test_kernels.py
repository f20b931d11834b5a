"""The kernels against the reference in reference.py, for each way of compiling them."""

import gc
from array import array
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit import reference
from wayshot_cli import kernels
from wayshot_cli.errors import InvalidArgumentError
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Box, Size, Transform
from wayshot_cli.kernels import PngFilter, Target
from wayshot_cli.pixels import BY_DRM_NAME, FORMATS, PixelFormat

TARGETS = [Target(depth, channels) for depth in (8, 16) for channels in (3, 4)]
ONE_OF_EACH_SIZE = [BY_DRM_NAME[name] for name in ("RGB565", "BGR888", "XRGB8888", "ABGR16161616")]
MEANINGS = [
    (fmt, alpha) for fmt in FORMATS for alpha in Alpha if fmt.has_alpha or alpha is Alpha.IGNORED
]

pytestmark = pytest.mark.usefixtures("every_build")
expected = cache(reference.packed)
expected_native = cache(reference.native)
frames = cache(reference.random_frame)


def whole(frame: Frame) -> Box:
    return Box(0, 0, frame.width, frame.height)


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize(("fmt", "alpha"), MEANINGS, ids=str)
def test_every_format_packs_to_every_target(fmt: PixelFormat, alpha: Alpha, target: Target) -> None:
    frame = frames(fmt, Size(23, 3), Transform.NORMAL, alpha, padding=5, offset=3)
    assert kernels.pack(frame, target) == expected(frame, whole(frame), target)


@pytest.mark.parametrize("transform", Transform)
@pytest.mark.parametrize("fmt", ONE_OF_EACH_SIZE, ids=str)
def test_every_transform_comes_upright(fmt: PixelFormat, transform: Transform) -> None:
    """The size is more than one tile of 64x32 pixels, whichever way it is turned."""
    frame = frames(fmt, Size(70, 67), transform, padding=6)
    target = Target.of(frame)
    assert kernels.copy(frame) == expected_native(frame, whole(frame))
    assert kernels.pack(frame, target) == expected(frame, whole(frame), target)


@pytest.mark.parametrize("transform", Transform)
@pytest.mark.parametrize("fmt", ONE_OF_EACH_SIZE, ids=str)
def test_a_crop_is_the_same_part_of_the_upright_picture(
    fmt: PixelFormat, transform: Transform
) -> None:
    frame = frames(fmt, Size(19, 11), transform, padding=8, offset=16)
    box = Box(2, 3, 7, 6)
    part = frame.crop(box)
    target = Target.of(part)
    assert kernels.copy(part) == expected_native(frame, box)
    assert kernels.pack(part, target) == expected(frame, box, target)


@cache
def all_words(fmt: PixelFormat) -> Frame:
    """A row that has each of 65536 words as a pixel, or as each channel of a pixel."""
    words = array("H")
    for word in range(65536):
        words.extend([word] * (fmt.bytes_per_pixel // 2))
    memory = memoryview(words.tobytes())
    return Frame(memory, fmt, Size(65536, 1), 65536 * fmt.bytes_per_pixel)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("name", ["RGB565", "XBGR16161616", "XBGR16161616F"])
def test_every_word_is_rounded_to_the_nearest(name: str, depth: int) -> None:
    frame = all_words(BY_DRM_NAME[name])
    target = Target(depth, 3)
    assert kernels.pack(frame, target) == expected(frame, whole(frame), target)


def ten_bits(fmt: PixelFormat) -> Frame:
    """A row with every value of ten bits in each channel."""
    words = array("I", (v << fmt.red | v << fmt.green | v << fmt.blue for v in range(1024)))
    return Frame(memoryview(words.tobytes()), fmt, Size(1024, 1), 4096)


@pytest.mark.parametrize("depth", [8, 16])
def test_every_ten_bit_value_is_rounded_to_the_nearest(depth: int) -> None:
    frame = ten_bits(BY_DRM_NAME["XBGR2101010"])
    rounded = [(v * (2**depth - 1) * 2 + 1023) // 2046 for v in range(1024) for _ in range(3)]
    wanted = array("B" if depth == 8 else "H", rounded)
    assert kernels.pack(frame, Target(depth, 3)) == wanted.tobytes()


def test_premultiplied_bytes_become_straight_for_every_colour_and_alpha() -> None:
    pixels = bytes(byte for a in range(256) for c in range(256) for byte in (c, c, c, a))
    frame = Frame(
        memoryview(pixels), BY_DRM_NAME["ABGR8888"], Size(256, 256), 1024, alpha=Alpha.PREMULTIPLIED
    )
    packed = kernels.pack(frame, Target(8, 4))
    for a in range(256):
        for c in range(256):
            straight = min((2 * c * 255 + a) // (2 * a), 255) if a else 0
            start = 4 * (256 * a + c)
            assert bytes(packed[start : start + 4]) == bytes((straight,) * 3 + (a,))


def test_premultiplied_words_are_rounded_exactly_even_at_ties() -> None:
    """65535 * c / a lies exactly between two integers for some a; halves go up."""
    words = [(c, a) for a in (2, 6, 10, 30, 65534) for c in range(1, a, max(a // 60, 1))]
    pixels = array("H", (word for c, a in words for word in (c, c, c, a)))
    frame = Frame(
        memoryview(pixels.tobytes()),
        BY_DRM_NAME["ABGR16161616"],
        Size(len(words), 1),
        8 * len(words),
        alpha=Alpha.PREMULTIPLIED,
    )
    straight = [min((2 * c * 65535 + a) // (2 * a), 65535) for c, a in words]
    wanted = array(
        "H", (w for (_, a), s in zip(words, straight, strict=True) for w in (s, s, s, a))
    )
    assert kernels.pack(frame, Target(16, 4)) == wanted.tobytes()


def test_half_floats_out_of_range_are_clamped_and_nan_is_black() -> None:
    one, above, negative, infinite, nan, negative_nan, minus_zero, tiny = (
        0x3C00, 0x4000, 0xBC00, 0x7C00, 0x7E00, 0xFE00, 0x8000, 0x0001,
    )  # fmt: skip
    values = array("H", (one, above, negative, 0, infinite, nan, negative_nan, 0))
    values.extend((minus_zero, tiny, 0xFC00, 0))
    frame = Frame(memoryview(values.tobytes()), BY_DRM_NAME["XBGR16161616F"], Size(3, 1), 24)
    wanted = array("H", (65535, 65535, 0, 65535, 0, 0, 0, 0, 0))
    assert kernels.pack(frame, Target(16, 3)) == wanted.tobytes()


def test_big_endian_rows_are_the_same_values() -> None:
    frame = frames(BY_DRM_NAME["XRGB2101010"], Size(9, 4))
    target = Target(16, 3)
    packed = kernels.pack(frame, target, y=1, rows=2, big_endian=True)
    assert packed == expected(frame, whole(frame), target, ">")[9 * 6 : 3 * 9 * 6]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    width=st.one_of(st.integers(1, 40), st.sampled_from([63, 64, 65, 127, 128, 200])),
    height=st.integers(1, 36),
    fmt=st.sampled_from(ONE_OF_EACH_SIZE),
    transform=st.sampled_from(Transform),
    padding=st.integers(0, 9),
)
def test_any_size_keeps_its_bytes(
    width: int, height: int, fmt: PixelFormat, transform: Transform, padding: int
) -> None:
    frame = reference.random_frame(fmt, Size(width, height), transform, padding=padding)
    assert kernels.copy(frame) == reference.native(frame, whole(frame))
    if fmt.bytes_per_pixel in (3, 4):
        target = Target(8, 3)
        assert kernels.pack(frame, target) == reference.packed(frame, whole(frame), target)


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("transform", [Transform.NORMAL, Transform.FLIPPED_270])
def test_blit_writes_its_box_and_nothing_else(target: Target, transform: Transform) -> None:
    frame = frames(BY_DRM_NAME["XRGB8888"], Size(9, 7), transform)
    row = frame.width * target.bytes_per_pixel
    stride, offset = row + 11, 5
    canvas = bytearray(b"\xa5" * (offset + stride * frame.height))
    untouched = bytes(canvas)
    kernels.blit(frame, target, canvas, offset, stride)
    packed = expected(frame, whole(frame), target)
    for y in range(frame.height):
        start = offset + y * stride
        assert canvas[start : start + row] == packed[y * row : (y + 1) * row]
        canvas[start : start + row] = b"\xa5" * row
    assert canvas == untouched


@pytest.mark.parametrize(
    ("room", "offset", "stride"), [(35, 0, 12), (36, 1, 12), (36, -1, 12), (36, 0, 11)]
)
def test_blit_refuses_a_canvas_that_is_too_small(room: int, offset: int, stride: int) -> None:
    frame = frames(BY_DRM_NAME["XRGB8888"], Size(4, 3))
    canvas = bytearray(room)
    with pytest.raises(InvalidArgumentError):
        kernels.blit(frame, Target(8, 3), canvas, offset, stride)
    assert not any(canvas)


@pytest.mark.parametrize(("y", "rows"), [(-1, 1), (0, 5), (4, 1), (1, 0)])
def test_rows_outside_the_picture_are_refused(y: int, rows: int) -> None:
    frame = frames(BY_DRM_NAME["XRGB8888"], Size(4, 4))
    with pytest.raises(InvalidArgumentError):
        kernels.pack(frame, Target(8, 3), y=y, rows=rows)
    with pytest.raises(InvalidArgumentError):
        kernels.copy(frame, y=y, rows=rows)
    with pytest.raises(InvalidArgumentError):
        PngFilter(frame, Target(8, 3), 8).filter(y, rows)


@pytest.mark.parametrize("transform", Transform)
@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("ABGR8888", b"\0\0\0\xff"),
        ("RGBA8888", b"\xff\0\0\0"),
        ("ARGB2101010", b"\0\0\0\xc0"),
        ("ABGR16161616", b"\0\0\0\0\0\0\xff\xff"),
        ("ABGR16161616F", b"\0\0\0\0\0\0\0\x3c"),
    ],
)
def test_one_translucent_pixel_makes_a_picture_translucent(
    name: str, full: bytes, transform: Transform
) -> None:
    fmt, size = BY_DRM_NAME[name], Size(5, 3)
    memory = bytearray(full * 15)
    frame = Frame(memoryview(memory), fmt, size, 5 * len(full), transform, alpha=Alpha.STRAIGHT)
    assert kernels.is_opaque(frame)
    memory[7 * len(full) : 8 * len(full)] = bytes(len(full))
    assert not kernels.is_opaque(frame)
    ignored = Frame(memoryview(memory), fmt, size, 5 * len(full), transform)
    assert kernels.is_opaque(ignored)


def test_frames_and_filters_in_a_cycle_are_collected() -> None:
    """An exported buffer left in a cycle with its memoryview crashes Python before 3.12.6."""

    class Holder:
        me: "Holder"
        filters: PngFilter

    for _ in range(5):
        frame = reference.random_frame(BY_DRM_NAME["XRGB8888"], Size(4, 4))
        holder = Holder()
        holder.me, holder.filters = holder, PngFilter(frame, Target(8, 3), 4)
        holder.filters.filter(0, 4)
        del frame, holder
        assert gc.collect() > 0
