"""Frames: transforms and crops as pointer arithmetic, bounds, and the life of the memory."""

import copy
import gc
import pickle
import weakref
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.unit.reference import random_frame
from wayshot_cli import kernels
from wayshot_cli.errors import ClosedError, InvalidArgumentError
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Box, Size, Transform
from wayshot_cli.pixels import BY_DRM_NAME, FORMATS, XRGB8888, Kind, PixelFormat

DIRECT = [fmt for fmt in FORMATS if fmt.kind is Kind.BYTES]
ONE_OF_EACH_SIZE = [BY_DRM_NAME[name] for name in ("RGB565", "BGR888", "XRGB8888", "ABGR16161616")]

Rows = list[list[int]]
"""A picture, row by row; a pixel is any number."""


def flipped(rows: Rows) -> Rows:
    """Flip about the vertical axis: left and right change places."""
    return [row[::-1] for row in rows]


def turned(rows: Rows) -> Rows:
    """Turn by 90 degrees counter-clockwise: the right column becomes the upper row."""
    return [list(column) for column in zip(*rows, strict=True)][::-1]


def buffer_of(upright: Rows, transform: Transform) -> Rows:
    """Do to a picture what the protocol says of a transform: flip first, then turn."""
    rows = flipped(upright) if transform >= Transform.FLIPPED else upright
    for _ in range(transform % 4):
        rows = turned(rows)
    return rows


def numbered(width: int, height: int) -> Rows:
    return [[y * width + x + 1 for x in range(width)] for y in range(height)]


def frame_of(
    rows: Rows,
    transform: Transform,
    fmt: PixelFormat = XRGB8888,
    *,
    padding: int = 0,
    offset: int = 0,
) -> Frame:
    """Lay a buffer's rows out in memory that ends with the last pixel."""
    size = fmt.bytes_per_pixel
    lines = [b"".join(pixel.to_bytes(size, "little") for pixel in row) for row in rows]
    data = b"\xee" * offset + (b"\xee" * padding).join(lines)
    stride = len(rows[0]) * size + padding
    buffer_size = Size(len(rows[0]), len(rows))
    return Frame(memoryview(data), fmt, buffer_size, stride, transform, offset=offset)


def read(frame: Frame) -> Rows:
    """Read the upright picture by origin and steps alone, as the kernels do."""
    size = frame.format.bytes_per_pixel
    starts = [
        [frame.origin + x * frame.step_x + y * frame.step_y for x in range(frame.width)]
        for y in range(frame.height)
    ]
    assert all(0 <= start <= frame.memory.nbytes - size for row in starts for start in row)
    return [
        [int.from_bytes(frame.memory[start : start + size], "little") for start in row]
        for row in starts
    ]


def crops(width: int, height: int) -> Iterator[Box]:
    for x, y in product(range(width), range(height)):
        for right, bottom in product(range(x + 1, width + 1), range(y + 1, height + 1)):
            yield Box(x, y, right - x, bottom - y)


@pytest.mark.parametrize("transform", Transform, ids=lambda t: t.label)
def test_a_transform_says_where_each_pixel_of_the_buffer_belongs(transform: Transform) -> None:
    upright = numbered(4, 3)
    frame = frame_of(buffer_of(upright, transform), transform)
    assert (frame.width, frame.height) == (4, 3)
    assert transform.apply(frame.size) == Size(4, 3)
    assert read(frame) == upright


@pytest.mark.parametrize("transform", Transform, ids=lambda t: t.label)
def test_rows_from_bottom_to_top_are_one_more_flip(transform: Transform) -> None:
    upright = numbered(4, 3)
    frame = frame_of(buffer_of(upright, transform)[::-1], transform.y_inverted())
    assert read(frame) == upright


def test_labels_are_those_of_sway_and_wlr_randr() -> None:
    assert [transform.label for transform in Transform] == [
        "normal", "90", "180", "270", "flipped", "flipped-90", "flipped-180", "flipped-270"
    ]  # fmt: skip


@pytest.mark.parametrize("fmt", ONE_OF_EACH_SIZE, ids=str)
@pytest.mark.parametrize("transform", Transform, ids=lambda t: t.label)
def test_every_crop_is_that_part_of_the_upright_picture(
    transform: Transform, fmt: PixelFormat
) -> None:
    upright = numbered(4, 3)
    frame = frame_of(buffer_of(upright, transform), transform, fmt, padding=5, offset=7)
    for box in crops(4, 3):
        part = frame.crop(box)
        expected = [row[box.x : box.right] for row in upright[box.y : box.bottom]]
        assert (part.width, part.height) == box.size
        assert read(part) == expected
        assert part.memory.obj is frame.memory.obj
        for inner in crops(*box.size):  # a crop of a crop
            again = [row[inner.x : inner.right] for row in expected[inner.y : inner.bottom]]
            assert read(part.crop(inner)) == again


@pytest.mark.parametrize(
    "box",
    [
        Box(-1, 0, 2, 2),
        Box(0, -1, 2, 2),
        Box(3, 0, 2, 1),
        Box(0, 2, 1, 2),
        Box(0, 0, 5, 1),
        Box(4, 0, 1, 1),
        Box(1, 1, 0, 1),
        Box(1, 1, 1, -1),
    ],
    ids=str,
)
def test_a_crop_outside_the_picture_is_refused(box: Box) -> None:
    frame = frame_of(numbered(3, 4), Transform.ROTATED_90)  # 4x3 upright
    with pytest.raises(InvalidArgumentError, match="cannot crop"):
        frame.crop(box)


def test_a_crop_of_a_crop_cannot_reach_back_out() -> None:
    part = frame_of(numbered(4, 3), Transform.NORMAL).crop(Box(1, 1, 2, 1))
    with pytest.raises(InvalidArgumentError):
        part.crop(Box(0, 0, 3, 1))


hostile = st.integers(-(2**33), 2**33) | st.integers(-3, 40)


@given(
    st.integers(0, 200),
    st.sampled_from(ONE_OF_EACH_SIZE),
    hostile,
    hostile,
    hostile,
    hostile,
    st.sampled_from(Transform),
)
def test_a_frame_either_lies_inside_its_memory_or_is_refused(  # noqa: PLR0913, PLR0917
    length: int,
    fmt: PixelFormat,
    width: int,
    height: int,
    stride: int,
    offset: int,
    transform: Transform,
) -> None:
    memory = memoryview(bytes(length))
    size = fmt.bytes_per_pixel
    last = offset + (height - 1) * stride + width * size
    fits = min(width, height) > 0 and offset >= 0 and stride >= width * size and last <= length
    try:
        frame = Frame(memory, fmt, Size(width, height), stride, transform, offset=offset)
    except InvalidArgumentError:
        assert not fits
    else:
        assert fits
        assert read(frame)


def test_one_byte_too_few_is_refused() -> None:
    size, stride = Size(3, 2), 20
    assert Frame(memoryview(bytes(32)), XRGB8888, size, stride)
    with pytest.raises(InvalidArgumentError, match="does not fit"):
        Frame(memoryview(bytes(31)), XRGB8888, size, stride)


def test_memory_of_wider_items_counts_in_bytes() -> None:
    words = memoryview(bytes(32)).cast("I")
    assert Frame(words, XRGB8888, Size(8, 1), 32).memory.nbytes == 32
    with pytest.raises(InvalidArgumentError):
        Frame(words, XRGB8888, Size(8, 2), 32)


def test_the_memory_of_a_frame_is_read_only() -> None:
    frame = Frame(memoryview(bytearray(4)), XRGB8888, Size(1, 1), 4)
    assert frame.memory.readonly
    assert not frame.to_numpy().flags.writeable


def test_alpha_means_nothing_where_the_format_has_none() -> None:
    for fmt in FORMATS:
        memory = memoryview(bytes(fmt.bytes_per_pixel))
        frame = Frame(memory, fmt, Size(1, 1), memory.nbytes, alpha=Alpha.PREMULTIPLIED)
        assert frame.alpha is (Alpha.PREMULTIPLIED if fmt.has_alpha else Alpha.IGNORED)


def test_a_closed_frame_refuses_to_be_read(tmp_path: Path) -> None:
    frame = frame_of(numbered(4, 3), Transform.NORMAL)
    part = frame.crop(Box(1, 1, 2, 2))
    frame.close()
    frame.close()
    for use in (
        lambda: frame.memory,
        lambda: frame.__array_interface__,
        lambda: np.asarray(frame),
        lambda: Image.fromarray(frame),
        frame.to_numpy,
        frame.to_pillow,
        frame.tobytes,
        frame.encode,
    ):
        with pytest.raises(ClosedError):
            use()
    with pytest.raises(ClosedError):
        frame.save(tmp_path / "closed.png")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ClosedError):
        frame.crop(Box(0, 0, 1, 1)).to_numpy()
    assert "closed" in repr(frame)
    assert read(part) == [[6, 7], [10, 11]]  # it holds the memory for itself


@pytest.mark.parametrize("use", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_frame_that_is_to_be_pickled_or_copied_says_what_can_be(
    use: Callable[[object], object],
) -> None:
    with pytest.raises(TypeError, match=r"a Frame cannot be pickled or copied.*to_numpy"):
        use(frame_of(numbered(4, 3), Transform.NORMAL))


def test_leaving_the_block_closes_the_frame() -> None:
    with frame_of(numbered(4, 3), Transform.NORMAL) as frame:
        assert frame.memory
    with pytest.raises(ClosedError):
        frame.memory  # noqa: B018


class Exporter(bytearray):
    """Memory whose end can be watched."""


def test_the_memory_lives_exactly_as_long_as_frames_and_views_of_it() -> None:
    memory = Exporter(48)
    gone = weakref.ref(memory)
    frame = Frame(memoryview(memory), XRGB8888, Size(4, 3), 16)
    del memory
    part, view, array = frame.crop(Box(1, 1, 2, 2)), frame.memory[4:8], frame.to_numpy()
    holders = [frame.close, part.close]
    for close in holders:
        close()
        gc.collect()
        assert gone() is not None
    del view
    gc.collect()
    assert gone() is not None
    assert array.shape == (3, 4, 3)
    del array
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("transform", Transform, ids=lambda t: t.label)
@pytest.mark.parametrize("fmt", DIRECT, ids=str)
def test_opaque_8_bit_pictures_come_as_arrays_without_a_copy(
    fmt: PixelFormat, transform: Transform
) -> None:
    """Each byte of the array is found in the memory at its own address, and is right."""
    frame = random_frame(fmt, Size(5, 4), transform, padding=3, offset=2).crop(Box(1, 1, 3, 2))
    array = frame.to_numpy()
    memory = np.frombuffer(frame.memory, np.uint8)
    assert array.shape == (2, 3, 3)
    assert np.shares_memory(array, memory)
    bits = 8 * fmt.bytes_per_pixel
    channels = [(bits // 8 - 1 - byte) * 8 for byte in (fmt.red, fmt.green, fmt.blue)]
    expected = [
        [[pixel >> (bits - 8 - shift) & 255 for shift in channels] for pixel in row]
        for row in read(frame)
    ]
    assert array.tolist() == expected


@pytest.mark.parametrize("alpha", Alpha)
@pytest.mark.parametrize("transform", Transform, ids=lambda t: t.label)
@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_a_frame_is_what_numpy_and_pillow_make_of_it(
    fmt: PixelFormat, transform: Transform, alpha: Alpha
) -> None:
    frame = random_frame(fmt, Size(5, 4), transform, padding=3, offset=2, alpha=alpha)
    frame = frame.crop(Box(1, 1, 3, 2))
    array = frame.to_numpy()
    packed = np.frombuffer(kernels.pack(frame, kernels.Target.of(frame)), array.dtype)
    assert np.array_equal(array.ravel(), packed)
    assert not array.flags.writeable
    assert frame.tobytes() == array.tobytes()
    for same in (np.asarray(frame), np.array(frame), np.asarray(frame, np.float64)):
        assert np.array_equal(same, array)
    if not fmt.is_deep:
        assert np.array_equal(np.asarray(Image.fromarray(frame)), array)
    frame.close()
    assert np.array_equal(array.ravel(), packed)


def test_what_numpy_may_write_to_is_a_copy() -> None:
    frame = frame_of(numbered(4, 3), Transform.NORMAL)
    array = np.array(frame)
    array[:] = 0
    assert read(frame) == numbered(4, 3)


@pytest.mark.parametrize("options", [{}, {"format": "jpeg", "quality": 30}, {"level": 0}], ids=str)
def test_a_frame_as_bytes_of_a_file_is_the_file(tmp_path: Path, options: dict[str, Any]) -> None:
    frame, path = random_frame(XRGB8888, Size(50, 40)), tmp_path / "picture"
    encoded = frame.encode(**options)
    frame.save(path, **options)
    assert path.read_bytes() == encoded
    default = frame.encode(options.get("format", "png"))
    assert (encoded == default) == (not options)


def test_deep_pictures_come_as_16_bit_arrays() -> None:
    fmt = BY_DRM_NAME["XRGB2101010"]
    frame = frame_of([[0x3FF << 20, 0x200 << 10, 1]], Transform.NORMAL, fmt)
    array = frame.to_numpy()
    assert array.dtype == np.uint16
    assert array.tolist() == [[[65535, 0, 0], [0, 32800, 0], [0, 0, 64]]]


def test_meaningful_alpha_comes_straight() -> None:
    memory = memoryview(bytes([0, 64, 128, 128]))  # blue, green, red, alpha
    fmt = BY_DRM_NAME["ARGB8888"]
    frame = Frame(memory, fmt, Size(1, 1), 4, alpha=Alpha.PREMULTIPLIED)
    assert frame.to_numpy().tolist() == [[[255, 128, 0, 128]]]
