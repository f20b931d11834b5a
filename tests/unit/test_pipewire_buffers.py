"""What a producer says of a buffer, whatever it says; and memory for copies of it."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayshot_cli import pixels
from wayshot_cli.backends.pipewire import chunks, offers
from wayshot_cli.backends.pipewire.chunks import Data, UnusableError
from wayshot_cli.backends.pipewire.cursor import Cursor, paint, read_cursor
from wayshot_cli.backends.pipewire.offers import Agreed
from wayshot_cli.buffers.private import PrivatePool
from wayshot_cli.errors import CaptureError
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Box, Size

U32 = st.integers(0, 2**32 - 1) | st.integers(0, 70000)
I32 = st.integers(-(2**31), 2**31 - 1) | st.integers(-100, 70000)
SIDES = st.integers(1, 65535) | st.integers(1, 64)
SIZES = st.builds(Size, SIDES, SIDES)
BOXES = st.builds(Box, I32, I32, U32, U32)
FORMATS = st.sampled_from(list(offers.FORMATS.values()))
DATA = st.builds(Data, st.sampled_from([1, 2, 3]), U32, U32, U32, U32, I32, st.integers(0, 1))


@given(DATA, st.builds(Agreed, FORMATS, SIZES, st.none()), st.none() | BOXES)
def test_rows_lie_inside_of_what_was_said(data: Data, agreed: Agreed, crop: Box | None) -> None:
    meta = crop and struct.pack("=iiII", *crop)
    try:
        rows = chunks.rows(data, agreed, chunks.read_crop(meta, agreed.size))
    except UnusableError:
        return
    bytes_per_pixel = agreed.format.bytes_per_pixel
    end = rows.offset + rows.nbytes(bytes_per_pixel)
    assert rows.offset >= data.offset
    assert min(rows.size) > 0
    assert rows.stride >= rows.size.width * bytes_per_pixel
    assert rows.nbytes(bytes_per_pixel) <= 2**30
    if data.type != offers.DMA_BUF:
        assert end <= min(data.offset + data.size, data.max_size)


@given(st.none() | st.binary(max_size=80), SIZES)
def test_any_metadata_is_read_or_refused(meta: bytes | None, size: Size) -> None:
    for read in (chunks.read_header, chunks.read_damage, chunks.read_transform):
        with contextlib.suppress(UnusableError):
            read(meta)
    with contextlib.suppress(UnusableError):
        assert Box(0, 0, *size).contains(chunks.read_crop(meta, size))


WORDS = st.lists(st.integers(0, 64) | U32, min_size=12, max_size=12)


@given(WORDS, st.integers(0, 300), BOXES.filter(lambda box: min(box.size) > 0))
def test_any_cursor_is_painted_inside_of_the_picture_or_not_at_all(
    words: list[int], room: int, box: Box
) -> None:
    # id, flags, position, hotspot, offset of the bitmap; format, size, stride, offset.
    meta = struct.pack("=12I", *words) + bytes(room)
    cursor = read_cursor(meta, None)
    shown = box._replace(width=min(box.width, 20), height=min(box.height, 20))
    memory = bytearray(b"\x55" * (shown.width * shown.height * 4 + 16))
    if cursor:
        part = memoryview(memory)[8:-8]
        paint(cursor, part, pixels.XRGB8888, shown, shown.width * 4)
    assert memory[:8] == memory[-8:] == b"\x55" * 8


def test_a_cursor_that_is_not_told_of_stays_and_an_invalid_one_goes() -> None:
    image = Frame(memoryview(bytes(4)), pixels.ARGB8888, Size(1, 1), 4, alpha=Alpha.PREMULTIPLIED)
    before = Cursor(3, 4, (1, 1), image)
    moved = struct.pack("=IIiiiiI", 1, 0, 8, 9, 0, 0, 0)
    assert read_cursor(None, before) is before
    assert read_cursor(moved, before) == Cursor(8, 9, (1, 1), image)
    assert read_cursor(bytes(28), before) is None
    assert Cursor(8, 9, (1, 1), image).box == Box(7, 8, 1, 1)
    assert Cursor(8, 9).box is None


def test_a_turn_that_there_is_not_is_refused() -> None:
    assert chunks.read_transform(struct.pack("=I", 7)) == 7
    with pytest.raises(UnusableError):
        chunks.read_transform(struct.pack("=I", 8))


def test_memory_for_copies_is_used_again_once_no_view_is_left() -> None:
    pool = PrivatePool(limit=2)
    first, second = pool.acquire(100), pool.acquire(100)
    first[:] = b"1" * 100
    part = first[10:20]
    del first
    with pytest.raises(CaptureError, match="2 frames are held"):
        pool.acquire(100)
    del part
    again = pool.acquire(100)
    assert bytes(again[:1]) == b"1"
    del again, second
    assert len(pool.acquire(50)) == 50  # of another length: what lies idle goes
    assert len(pool._blocks) == 1
