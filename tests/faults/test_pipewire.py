"""Streams of PipeWire, from a producer that says and does what it should not."""

from __future__ import annotations

import contextlib
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.fake.pipewire import BGRX, RGB, PipeWire, Producer, picture
from wayshot_cli import errors
from wayshot_cli.backends.pipewire.session import Session
from wayshot_cli.backends.pipewire.stream import Stream
from wayshot_cli.geometry import Box
from wayshot_cli.waiting import Waiter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wayshot_cli.frame import Frame

WIDTH, HEIGHT = 64, 48
ROW = WIDTH * 4
CORRUPTED = 2


@pytest.fixture(scope="module")
def pipewire() -> Iterator[PipeWire]:
    with PipeWire() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.env.items():
            patch.setenv(name, value)
        yield running


@pytest.fixture
def producer(pipewire: PipeWire) -> Iterator[Producer]:
    with pipewire.producer() as running:
        running.offer(BGRX, WIDTH, HEIGHT)
        yield running


class Consumer:
    """A session with its own waiter, and what a test asks of it."""

    def __init__(self, producer: Producer, timeout: float = 10.0, **wishes: object) -> None:
        self.waiter = Waiter(timeout)
        self.stream = Stream(producer.node, **wishes)  # type: ignore[arg-type]
        self.session = Session(self.stream, self.waiter, Box(0, 0, 1, 1))
        self.producer = producer

    def __enter__(self) -> Consumer:
        self.producer.wait_for("state streaming")
        self.waiter.wait(lambda: self.stream.is_streaming, "starting")
        # What is sent before the daemon has both in one cycle, gets lost.
        deadline = self.waiter.deadline()
        while not (self.stream.dropped or self.stream.has_news):
            self.producer.send(header_flags=CORRUPTED)
            with contextlib.suppress(errors.CaptureTimeoutError):
                self.waiter.wait(self._has_come, "starting", min(deadline, monotonic() + 0.1))
        self.stream.dropped.clear()
        self.producer.tell("set", header_flags=0)
        return self

    def _has_come(self) -> bool:
        return bool(self.stream.dropped)

    def __exit__(self, *_: object) -> None:
        self.session.close()
        self.waiter.close()

    def capture(self, *, damage: bool = True) -> Frame:
        self.session.start(damage=damage)
        return self.session.finish(self.waiter.deadline())

    def wait_for_drop(self) -> None:
        """Wait until a picture has been passed over: one that follows sooner may replace it."""
        self.waiter.wait(lambda: bool(self.stream.dropped), "waiting for a drop")

    def next_is_good(self, seed: int = 99) -> None:
        self.producer.send(
            seed=seed, stride=0, offset=0, size=0, chunk_flags=0, header_flags=0, transform=0,
            crop_width=0, fill_stride=0, pts=0,
        )  # fmt: skip
        assert np.array_equal(rows(self.capture()), picture(WIDTH, HEIGHT, seed))


def rows(frame: Frame) -> np.ndarray:
    """The bytes of a frame's rows, without what lies between them."""
    row = frame.size.width * frame.format.bytes_per_pixel
    strided = np.ndarray(
        (frame.size.height, row), np.uint8, frame.memory, frame.offset, (frame.stride, 1)
    )
    return strided.copy()


def test_a_picture_is_what_was_sent(producer: Producer) -> None:
    with Consumer(producer) as consumer:
        producer.send(seed=3)
        frame = consumer.capture()
        assert np.array_equal(rows(frame), picture(WIDTH, HEIGHT, 3))
        assert frame.format.drm_name == "XRGB8888"


@pytest.mark.parametrize("kind", ["shm", "auto"])
@pytest.mark.parametrize("words", [(), ("daemon-allocates",)])
def test_memory_may_be_the_producers_or_the_daemons(
    pipewire: PipeWire, kind: str, words: tuple[str, ...]
) -> None:
    with pipewire.producer(*words) as producer:
        producer.offer(BGRX, WIDTH, HEIGHT)
        with Consumer(producer, buffer=kind) as consumer:
            producer.send(seed=4)
            assert np.array_equal(rows(consumer.capture()), picture(WIDTH, HEIGHT, 4))


def test_rows_may_have_padding_and_an_offset(producer: Producer) -> None:
    producer.tell("set", map_offset=4096)
    with Consumer(producer) as consumer:
        producer.send(seed=1, fill_stride=512, stride=512)
        frame = consumer.capture()
        assert frame.stride == 512
        assert np.array_equal(rows(frame), picture(WIDTH, HEIGHT, 1))
        producer.send(
            seed=0, fill_stride=512, stride=512, offset=512, size=512 * (HEIGHT - 1) + ROW
        )
        whole = picture(WIDTH, HEIGHT + 1)[1:]
        assert np.array_equal(rows(consumer.capture())[:-1], whole[:-1])


def test_a_stride_of_zero_is_a_tight_one(producer: Producer) -> None:
    with Consumer(producer) as consumer:
        producer.send(seed=2, stride=-1)
        assert np.array_equal(rows(consumer.capture()), picture(WIDTH, HEIGHT, 2))


FULL = ROW * HEIGHT
FAULTS = {
    "a chunk that ends beyond its buffer": ({"offset": 2**31}, "shorter than the picture"),
    "a negative offset": ({"offset": 2**32 - 256}, "shorter than the picture"),
    "a chunk that is too small": ({"size": FULL - 1}, "shorter than the picture"),
    "a chunk of nothing": ({"size": -1}, "without a picture"),
    "a corrupted chunk": ({"chunk_flags": 1}, "marked as corrupted"),
    "a corrupted header": ({"header_flags": 2}, "marked as corrupted"),
    "rows that are too short": ({"stride": ROW - 1}, "with rows shorter than the picture is wide"),
    "a negative stride": ({"stride": -ROW}, "with rows shorter than the picture is wide"),
    "a huge stride": ({"stride": 2**31 - 1, "size": 2**32 - 1}, "shorter than the picture"),
    "a crop beside the picture": (
        {"crop_x": WIDTH, "crop_width": 5, "crop_height": 5},
        "cropped to nothing",
    ),
    "no transform": ({"transform": 8}, "turned in a way that there is not"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_shows_no_picture_is_counted_and_passed_over(producer: Producer, name: str) -> None:
    settings, reason = FAULTS[name]
    with Consumer(producer) as consumer:
        producer.send(seed=1, **settings)
        consumer.wait_for_drop()
        consumer.next_is_good()
        assert consumer.stream.dropped == {reason: 1}
        assert consumer.stream.notes[-1] == f"buffers passed over: 1 {reason}"


@pytest.mark.parametrize(
    "settings",
    [
        {"file": 4096 + FULL - 1, "map_offset": 4096, "max_size": FULL},
        {"file": 1, "max_size": 2**31},
        {"map_offset": 65536, "file": 8192, "max_size": FULL},
    ],
)
def test_a_file_that_is_shorter_than_it_says_is_not_read_beyond_its_end(
    producer: Producer, settings: dict[str, int]
) -> None:
    producer.tell("set", **settings)
    with Consumer(producer, timeout=1.0) as consumer:
        producer.send()
        with pytest.raises(errors.CaptureTimeoutError, match="no picture.* shorter than they say"):
            consumer.capture()
        assert consumer.stream.dropped == {"shorter than they say": 1}


def test_a_file_that_shrinks_while_it_is_held_kills_nobody(producer: Producer) -> None:
    with Consumer(producer, timeout=1.0) as consumer:
        producer.send(truncate=1)
        with pytest.raises(errors.CaptureTimeoutError, match="shorter than they say"):
            consumer.capture()
