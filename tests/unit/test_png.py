"""PNG files: read by a strict parser and by Pillow, at every level, by any number of threads."""

import os
import random
import signal
import threading
import time
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.unit import pngfile, reference
from wayshot_cli import kernels
from wayshot_cli.encode import png
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Box, Size, Transform
from wayshot_cli.pixels import ABGR8888, ABGR16161616, BY_DRM_NAME, XRGB8888, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Callable

XRGB2101010 = BY_DRM_NAME["XRGB2101010"]
PATIENCE = 30.0


def text_like(width: int, height: int, noisy_rows: int = 0) -> Frame:
    """Flat areas, repeats and edges; the last rows are noise."""
    chance = random.Random(7)
    glyphs = [chance.choice((b"\xff\xff\xff\0", b"\x20\x20\x20\0")) * 8 for _ in range(12)]
    rows: list[bytes] = []
    while len(rows) < height - noisy_rows:
        row = b"".join(chance.choice(glyphs) for _ in range(-(-width // 8)))[: width * 4]
        rows += [row] * chance.randint(1, 5)
    del rows[height - noisy_rows :]
    rows += [chance.randbytes(width * 4) for _ in range(noisy_rows)]
    return Frame(memoryview(b"".join(rows)), XRGB8888, Size(width, height), width * 4)


def rgb(frame: Frame) -> bytes:
    return bytes(kernels.pack(frame, kernels.Target(8, 3)))


def encoded(frame: Frame, level: int = 2, *, metadata: bool = False) -> bytes:
    return b"".join(png.encode(frame, level, metadata=metadata))


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> "Callable[[int], None]":
    def pretend(count: int) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(count)))

    return pretend


@pytest.fixture
def small_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "_BAND_BYTES", 40_000)


@pytest.mark.parametrize(
    ("fmt", "alpha", "depth", "channels"),
    [
        (XRGB8888, Alpha.IGNORED, 8, 3),
        (ABGR8888, Alpha.IGNORED, 8, 3),
        (ABGR8888, Alpha.PREMULTIPLIED, 8, 4),
        (XRGB2101010, Alpha.IGNORED, 16, 3),
        (ABGR16161616, Alpha.STRAIGHT, 16, 4),
    ],
    ids=str,
)
def test_depth_and_alpha_of_the_frame_are_kept(
    fmt: PixelFormat, alpha: Alpha, depth: int, channels: int
) -> None:
    frame = reference.random_frame(fmt, Size(13, 7), Transform.ROTATED_90, alpha, padding=4)
    picture = pngfile.read(encoded(frame))
    assert picture[:4] == (7, 13, depth, channels)
    target = kernels.Target(depth, channels)
    assert picture.pixels == reference.packed(frame, Box(0, 0, 7, 13), target, ">")


def test_alpha_that_is_opaque_everywhere_is_left_out() -> None:
    pixels = memoryview(bytes((1, 2, 3, 255)) * 6)
    frame = Frame(pixels, ABGR8888, Size(3, 2), 12, alpha=Alpha.STRAIGHT)
    picture = pngfile.read(encoded(frame))
    assert (picture.channels, picture.pixels) == (3, bytes((1, 2, 3)) * 6)


@pytest.mark.usefixtures("small_bands")
@pytest.mark.parametrize("level", range(10))
def test_every_level_holds_the_same_pixels(level: int) -> None:
    frame = text_like(150, 400, noisy_rows=120)
    data = encoded(frame, level)
    picture = pngfile.read(data)
    assert picture.pixels == rgb(frame)
    assert Image.open(BytesIO(data)).tobytes() == rgb(frame)


@pytest.mark.usefixtures("small_bands")
@pytest.mark.parametrize("level", [0, 2, 6])
def test_the_file_does_not_depend_on_the_number_of_threads(
    level: int, cores: "Callable[[int], None]"
) -> None:
    frame = text_like(200, 700, noisy_rows=200)
    files = set()
    for count in (1, 2, 3, 8, 64):
        cores(count)
        files.add(encoded(frame, level))
    assert len(files) == 1
    assert pngfile.read(files.pop()).pixels == rgb(frame)


def test_a_large_picture_is_right_with_bands_as_they_are(cores: "Callable[[int], None]") -> None:
    cores(2)
    frame = text_like(1201, 801, noisy_rows=300)
    data = encoded(frame)
    assert len([name for name, _ in pngfile.read_chunks(data) if name == b"IDAT"]) > 2
    assert Image.open(BytesIO(data)).tobytes() == rgb(frame)
    stream = b"".join(body for name, body in pngfile.read_chunks(data) if name == b"IDAT")
    assert len(pngfile.inflate(stream)) == 801 * (1 + 3 * 1201)


@given(width=st.integers(1, 70), height=st.integers(1, 12), transform=st.sampled_from(Transform))
def test_any_size_comes_back(width: int, height: int, transform: Transform) -> None:
    frame = reference.random_frame(XRGB8888, Size(width, height), transform, padding=8)
    picture = pngfile.read(encoded(frame))
    assert (picture.width, picture.height) == (frame.width, frame.height)
    assert picture.pixels == rgb(frame)


def test_rows_longer_than_a_band_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "_BAND_BYTES", 100)
    frame = text_like(90, 33)
    assert pngfile.read(encoded(frame)).pixels == rgb(frame)


@pytest.mark.usefixtures("small_bands")
def test_noise_is_not_searched_for_matches() -> None:
    """Rows of noise cost what their bytes cost, nothing more: nothing in them repeats."""
    frame = text_like(150, 400, noisy_rows=400)
    assert len(encoded(frame)) < 1.002 * 400 * 451


def test_a_picture_is_the_same_file_every_time() -> None:
    frame = text_like(60, 60)
    assert encoded(frame) == encoded(frame)
    assert {name for name, _ in pngfile.read_chunks(encoded(frame))} == {b"IHDR", b"IDAT", b"IEND"}


def test_metadata_says_when_by_whom_and_how_dense() -> None:
    frame = text_like(8, 8)
    frame.scale = 1.5
    chunks = dict(pngfile.read(encoded(frame, metadata=True)).chunks)
    assert chunks[b"pHYs"] == (5669).to_bytes(4, "big") * 2 + b"\x01"  # 144 dpi
    assert chunks[b"tEXt"] == b"Software\0wayshot"
    year, month = int.from_bytes(chunks[b"tIME"][:2], "big"), chunks[b"tIME"][2]
    assert (year, month) > (2020, 0)
    assert len(chunks[b"tIME"]) == 7


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_checksums_combine(first: bytes, second: bytes) -> None:
    combined = png.adler32_combine(zlib.adler32(first), zlib.adler32(second), len(second))
    assert combined == zlib.adler32(first + second)


def test_checksums_combine_over_lengths_beyond_the_modulus() -> None:
    first, second = b"\xff" * 123_457, b"\xfe" * 1_234_567
    combined = png.adler32_combine(zlib.adler32(first), zlib.adler32(second), len(second))
    assert combined == zlib.adler32(first + second)


@pytest.mark.usefixtures("small_bands")
@pytest.mark.parametrize(
    ("owner", "name"), [(kernels.PngFilter, "filter"), (png._Deflater, "_take_filters")]
)
def test_what_fails_in_a_thread_is_raised_and_no_thread_is_left(
    cores: "Callable[[int], None]", monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    """Also by those who wait for what it was to give them."""
    cores(4)
    work = getattr(owner, name)
    failed = threading.Event()

    def fail(*arguments: object) -> object:
        if threading.current_thread() is threading.main_thread():
            failed.wait()
            return work(*arguments)
        failed.set()
        raise MemoryError

    monkeypatch.setattr(owner, name, fail)
    before = threading.active_count()
    with pytest.raises(MemoryError):
        encoded(text_like(200, 700))
    assert threading.active_count() == before


@pytest.mark.usefixtures("small_bands")
def test_an_interrupt_ends_the_work_and_the_threads(
    cores: "Callable[[int], None]", monkeypatch: pytest.MonkeyPatch
) -> None:
    cores(4)
    filtered = kernels.PngFilter.filter
    main = threading.main_thread()
    before = threading.active_count()
    is_first, is_main_past_starting, is_over = (
        threading.Lock(),
        threading.Event(),
        threading.Event(),
    )

    def interrupt(self: kernels.PngFilter, y: int, rows: int) -> None:
        if threading.current_thread() is main:
            try:  # the interrupt comes at any moment from now on
                is_main_past_starting.set()
                threading.Event().wait(PATIENCE)
            finally:
                is_over.set()
        elif is_first.acquire(blocking=False):
            assert main.ident is not None
            is_main_past_starting.wait(PATIENCE)
            signal.pthread_kill(main.ident, signal.SIGINT)
        is_over.wait(PATIENCE)
        filtered(self, y, rows)

    monkeypatch.setattr(kernels.PngFilter, "filter", interrupt)
    with pytest.raises(KeyboardInterrupt):
        encoded(text_like(200, 700))
    assert threading.active_count() == before


@pytest.mark.usefixtures("small_bands")
def test_nobody_waits_for_a_band_that_was_taken_up_and_dropped(
    cores: "Callable[[int], None]", monkeypatch: pytest.MonkeyPatch
) -> None:
    cores(4)
    take = png._Crew._take
    main = threading.main_thread()
    before = threading.active_count()
    is_taken = threading.Event()

    def drop(self: png._Crew) -> int | None:
        if threading.current_thread() is main:
            assert take(self) == 0
            is_taken.set()
            time.sleep(0.1)  # for the others to wait for it
            raise KeyboardInterrupt
        is_taken.wait(PATIENCE)
        return take(self)

    monkeypatch.setattr(png._Crew, "_take", drop)
    with pytest.raises(KeyboardInterrupt):
        encoded(text_like(200, 700))
    assert threading.active_count() == before


@pytest.mark.usefixtures("small_bands")
def test_a_consumer_that_stops_early_leaves_no_thread_and_no_work(
    cores: "Callable[[int], None]", monkeypatch: pytest.MonkeyPatch
) -> None:
    cores(2)
    filtered, abandon = kernels.PngFilter.filter, png._Deflater.abandon
    main = threading.main_thread()
    of_main: list[int] = []
    of_other: list[int] = []
    has_made_one, is_abandoned = threading.Event(), threading.Event()

    def filter_few(self: kernels.PngFilter, y: int, rows: int) -> None:
        """Let neither make all before the other has done anything."""
        own = of_main if threading.current_thread() is main else of_other
        own.append(y)
        if own is of_main and len(own) > 1:
            has_made_one.wait(PATIENCE)
        elif len(own) == 2:
            has_made_one.set()
        elif len(own) > 2:  # the consumer has what it waits for
            is_abandoned.wait(PATIENCE)
        filtered(self, y, rows)

    def tell(self: png._Deflater) -> None:
        abandon(self)
        is_abandoned.set()

    monkeypatch.setattr(kernels.PngFilter, "filter", filter_few)
    monkeypatch.setattr(png._Deflater, "abandon", tell)
    before = threading.active_count()
    pieces = png.encode(text_like(200, 1400))
    assert next(pieces).startswith(pngfile.SIGNATURE)
    assert b"IDAT" in next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert len(of_main) + len(of_other) < 22  # of 22 bands


@pytest.mark.usefixtures("small_bands")
def test_without_leave_to_start_threads_the_picture_is_made_all_the_same(
    cores: "Callable[[int], None]", monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = text_like(200, 700)
    cores(1)
    alone = encoded(frame)
    cores(4)

    def refuse(_: threading.Thread) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert encoded(frame) == alone


def inflated(data: bytes) -> bytes:
    """The rows of a file that is whole, whatever they show."""
    stream = b"".join(body for name, body in pngfile.read_chunks(data) if name == b"IDAT")
    return pngfile.inflate(stream)


@pytest.mark.parametrize("count", [1, 2, 8])
def test_memory_that_changes_between_any_two_readings_gives_a_whole_file(
    count: int, cores: "Callable[[int], None]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also, nothing of one reading is undone by another: each row shows one colour."""
    cores(count)
    width, height = 300, 2400
    colours = [bytes((shade, 255 - shade, shade // 2, 0)) for shade in range(0, 250, 10)]
    memory = bytearray(colours[0] * (width * height))
    frame = Frame(memoryview(memory), XRGB8888, Size(width, height), width * 4)
    read = kernels.PngFilter.filter
    turns = iter(range(10_000))

    def read_and_change(self: kernels.PngFilter, y: int, rows: int) -> None:
        read(self, y, rows)
        memory[:] = colours[next(turns) % len(colours)] * (width * height)

    monkeypatch.setattr(kernels.PngFilter, "filter", read_and_change)
    data = encoded(frame)
    assert len(inflated(data)) == height * (1 + 3 * width)
    if count == 1:  # else another thread's change may come in the middle of a reading
        pixels = pngfile.read(data).pixels
        seen = {bytes((colour[2], colour[1], colour[0])) for colour in colours}
        for y in range(height):
            row = pixels[3 * width * y : 3 * width * (y + 1)]
            assert row in {colour * width for colour in seen}


def test_memory_that_somebody_scribbles_into_gives_whole_files(
    cores: "Callable[[int], None]",
) -> None:
    """As a GPU does that draws on after it has said that it is done."""
    cores(3)
    frame = text_like(800, 1500)
    lines = bytes(frame.memory)
    memory = bytearray(lines)
    frame = Frame(memoryview(memory), XRGB8888, frame.size, frame.stride)
    is_over = threading.Event()

    def scribble() -> None:
        chance = random.Random(3)
        while not is_over.is_set():
            start = chance.randrange(len(memory) // 2)
            source = chance.randrange(len(lines) // 2)
            memory[start : start + len(lines) // 2] = lines[source : source + len(lines) // 2]

    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        for _ in range(20):
            data = encoded(frame)
            assert len(inflated(data)) == 1500 * (1 + 3 * 800)
            with Image.open(BytesIO(data)) as picture:
                picture.load()
                assert picture.size == (800, 1500)
    finally:
        is_over.set()
        thread.join()
