"""Streams of PipeWire, from a producer that says and does what it should not."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
from functools import partial
from pathlib import Path
from threading import Event, Thread, Timer, current_thread
from time import monotonic, monotonic_ns, sleep
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pytest

from tests.descriptors import descriptors, leaving_no_descriptors, leaving_no_more, threads
from tests.fake.pipewire import BGRX, RGB, PipeWire, PipeWireError, Producer, picture
from tests.processes import in_a_fork, wait_until
from wayshot_cli import errors
from wayshot_cli.backends.pipewire import chunks, memory, offers
from wayshot_cli.backends.pipewire.library import Remote, library
from wayshot_cli.backends.pipewire.memory import Copied, Reader
from wayshot_cli.backends.pipewire.session import Session
from wayshot_cli.backends.pipewire.stream import MOST_LENT, Stream
from wayshot_cli.buffers.gbm import Plane, close_planes
from wayshot_cli.geometry import Box
from wayshot_cli.pixels import ARGB8888, BGR888, XRGB8888, PixelFormat
from wayshot_cli.waiting import Waiter

if TYPE_CHECKING:
    from tests.live.client import Picture
    from wayshot_cli.dmabuf_frame import DmabufFrame
    from wayshot_cli.frame import Frame

WIDTH, HEIGHT = 64, 48
ROW = WIDTH * 4
START = 20.0
"""Seconds that a stream has until pictures flow, whatever the time-out is that a test needs."""


class Consumer:
    """A session with its own waiter, and what a test asks of it."""

    def __init__(self, producer: Producer, timeout: float = START, **wishes: object) -> None:
        self.waiter = Waiter(START)
        self.timeout = timeout
        self.stream = Stream(producer.node, **wishes)  # type: ignore[arg-type]
        self.session = Session(self.stream, self.waiter, Box(0, 0, 1, 1))
        self.producer = producer

    def __enter__(self) -> Self:
        self.producer.wait_for("state streaming")
        self.wait_for_flow()
        self.waiter.timeout = self.timeout
        return self

    def wait_for_flow(self) -> None:
        """Wait until what is sent comes through, and nothing is on its way."""
        self.waiter.wait(lambda: self.stream.is_streaming, "starting")
        # What is sent before the daemon has both in one cycle gets lost, be it "sent" or not.
        deadline, patience, newest = self.waiter.deadline(), 0.1, -1
        while not self.has_come(newest):
            assert monotonic() < deadline
            newest = monotonic_ns()
            self.producer.tell("send", pts=newest)
            with contextlib.suppress(PipeWireError):
                self.producer.wait_for("sent", 1.0)
            with contextlib.suppress(errors.CaptureTimeoutError):
                self.waiter.wait(partial(self.has_come, newest), "", monotonic() + patience)
            patience *= 2
        self.producer.tell("set", pts=0)
        with self.stream._remote.locked():
            self.stream._forget()

    def __exit__(self, *_: object) -> None:
        self.session.close()
        self.waiter.close()

    def capture(self, *, damage: bool = True) -> Frame:
        self.session.start(damage=damage)
        return self.session.finish(self.waiter.deadline())

    def wait_for_drop(self) -> None:
        """Wait until a picture has been passed over: one that follows sooner may replace it."""
        self.waiter.wait(lambda: bool(self.stream.dropped), "waiting for a drop")

    def has_come(self, time_ns: int) -> bool:
        """Whether the newest picture, which nobody has taken, is the one of this time."""
        held = self.stream._held
        return held is not None and held.time_ns == time_ns

    def next_is_good(self) -> None:
        self.producer.send(
            seed=99, stride=0, offset=0, size=0, chunk_flags=0, header_flags=0, transform=0,
            crop_width=0, fill_stride=0, pts=0,
        )  # fmt: skip
        assert np.array_equal(rows(self.capture()), picture(WIDTH, HEIGHT, 99))


def rows(frame: Frame) -> Picture:
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
    warnings: list[str] = []
    with Consumer(producer, warn=warnings.append) as consumer:
        producer.send(seed=1, **settings)
        consumer.wait_for_drop()
        consumer.next_is_good()
        assert consumer.stream.dropped == {reason: 1}
        assert consumer.stream.notes[-1] == f"buffers passed over: 1 {reason}"
        producer.send(**settings)
        while consumer.stream.dropped[reason] < 2:
            consumer.waiter.sleep(0.01)
    assert len(warnings) == (reason not in chunks.ROUTINE)  # once, though it came twice
    assert all(reason in warning for warning in warnings)


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
        with pytest.raises(errors.CaptureTimeoutError, match=r"no picture: .*shorter"):
            consumer.capture()
        assert consumer.stream.dropped == {"shorter than they say": 1}


def test_a_file_that_shrinks_while_it_is_held_kills_nobody(producer: Producer) -> None:
    with Consumer(producer, timeout=1.0) as consumer:
        producer.send(truncate=1)
        with pytest.raises(errors.CaptureTimeoutError, match="shorter than they say"):
            consumer.capture()


def test_a_crop_is_cut_out(producer: Producer) -> None:
    with Consumer(producer) as consumer:
        producer.send(seed=5, crop_x=3, crop_y=2, crop_width=20, crop_height=10)
        frame = consumer.capture()
        assert frame.size == (20, 10)
        assert np.array_equal(rows(frame), picture(WIDTH, HEIGHT, 5)[2:12, 12:92])
        producer.send(crop_x=-2, crop_y=40, crop_width=20, crop_height=100)  # as far as it goes
        assert np.array_equal(rows(consumer.capture()), picture(WIDTH, HEIGHT, 5)[40:, :72])


@pytest.mark.parametrize("transform", range(8))
def test_a_turned_picture_is_brought_upright(producer: Producer, transform: int) -> None:
    with Consumer(producer) as consumer:
        producer.send(seed=6, transform=transform)
        frame = consumer.capture()
        assert frame.transform == transform
        sent = picture(WIDTH, HEIGHT, 6).reshape(HEIGHT, WIDTH, 4)[..., 2::-1]
        # wl_output.transform: a flip, then a turn counter-clockwise, made the buffer.
        upright = np.rot90(sent, -(transform % 4))
        assert np.array_equal(frame.to_numpy(), upright[:, ::-1] if transform > 3 else upright)


@pytest.mark.parametrize(("number", "format_"), offers.FORMATS.items())
def test_every_format_is_read(pipewire: PipeWire, number: int, format_: PixelFormat) -> None:
    with pipewire.producer() as producer:
        producer.offer(number, WIDTH, HEIGHT)
        with Consumer(producer) as consumer:
            producer.send(seed=7)
            frame = consumer.capture()
            assert frame.format is format_
            sent = picture(WIDTH, HEIGHT, 7, bytes_per_pixel=format_.bytes_per_pixel)
            assert np.array_equal(rows(frame), sent)


def test_the_format_may_change_midway(producer: Producer) -> None:
    with Consumer(producer) as consumer:
        producer.send(seed=1)
        assert consumer.capture().size == (WIDTH, HEIGHT)
        producer.offer(RGB, 20, 10)
        producer.wait_for("format 20x10")
        frame = consumer.capture(damage=False)  # nothing is newer yet
        assert frame.size == (WIDTH, HEIGHT)
        consumer.wait_for_flow()
        producer.send(seed=8)
        frame = consumer.capture()
        assert (frame.size, frame.format.drm_name) == ((20, 10), "BGR888")
        assert np.array_equal(rows(frame), picture(20, 10, 8, bytes_per_pixel=3))


def test_only_the_newest_of_several_is_given(producer: Producer) -> None:
    with Consumer(producer) as consumer:
        for seed in range(20):  # more than there are buffers: what is not taken goes back
            producer.send(seed=seed)
            sleep(0.01)
        sleep(0.5)  # or it would replace the one before, in PipeWire itself
        newest = monotonic_ns()
        producer.send(seed=50, pts=newest)
        consumer.waiter.wait(lambda: consumer.has_come(newest), "waiting for the newest")
        assert np.array_equal(rows(consumer.capture()), picture(WIDTH, HEIGHT, 50))
        with pytest.raises(errors.CaptureTimeoutError):
            consumer.waiter.wait(lambda: consumer.stream.has_news, "waiting", monotonic() + 0.2)


def test_an_unchanged_screen_shows_the_last_picture(producer: Producer) -> None:
    with Consumer(producer) as consumer:
        producer.send(seed=1)
        first = consumer.capture()
        first.close()
        again = consumer.capture(damage=False)
        assert np.array_equal(rows(again), picture(WIDTH, HEIGHT, 1))


def test_a_consumer_that_keeps_frames_runs_into_an_error(producer: Producer) -> None:
    with Consumer(producer) as consumer:
        kept = []
        with pytest.raises(errors.CaptureError, match="16 frames are held"):  # noqa: PT012
            for seed in range(20):
                producer.send(seed=seed)
                kept.append(consumer.capture())
        assert [rows(frame)[0, 0] for frame in kept] == list(range(len(kept)))
        kept.clear()
        consumer.next_is_good()


def test_times_are_the_producers_where_they_are_near(producer: Producer) -> None:
    with Consumer(producer) as consumer:
        recent = monotonic_ns() - 50_000_000
        producer.send(pts=recent)
        assert consumer.capture().time_ns == recent
        for strange in (0, -5, 1, recent + 2 * 10**9, 2**63 - 1):
            before = monotonic_ns()
            producer.send(pts=strange)
            assert before <= consumer.capture().time_ns <= monotonic_ns()


def test_damage_adds_up_until_it_is_asked_for(producer: Producer) -> None:
    with Consumer(producer) as consumer:
        consumer.stream.take_damage()
        producer.send(damage_x=1, damage_y=2, damage_width=3, damage_height=4)
        consumer.capture()
        producer.send(damage_x=5)
        consumer.capture()
        assert consumer.stream.take_damage() == (Box(1, 2, 3, 4), Box(5, 2, 3, 4))
        assert consumer.stream.take_damage() == ()
        producer.send(damage_width=0)
        consumer.capture()
        assert consumer.stream.take_damage() == ()


def test_damage_is_unknown_where_the_format_has_changed_or_a_picture_was_passed_over(
    producer: Producer,
) -> None:
    with Consumer(producer) as consumer:
        consumer.stream.take_damage()
        producer.send(stride=ROW - 1, damage_x=1, damage_y=2, damage_width=3, damage_height=4)
        consumer.wait_for_drop()
        producer.send(stride=0)
        consumer.capture()
        assert consumer.stream.take_damage() is None
        assert consumer.stream.take_damage() == ()
        producer.offer(RGB, WIDTH, HEIGHT)
        consumer.waiter.wait(
            lambda: bool(consumer.stream.agreed and consumer.stream.agreed.format is BGR888),
            "changing",
        )
        assert consumer.stream.take_damage() is None


class TestCursor:
    """As metadata: painted here, and moved by buffers that show nothing else."""

    HALF_RED: ClassVar = {"cursor_id": 1, "cursor_side": 8, "hotspot_x": 2, "hotspot_y": 1}

    def painted(self, x: int, y: int) -> Picture:
        """The picture with half of red at a position, by the formula of SRC over."""
        plain = picture(WIDTH, HEIGHT).reshape(HEIGHT, WIDTH, 4).astype(int)
        left, top, right, bottom = max(x, 0), max(y, 0), x + 8, y + 8
        part = plain[top:bottom, left:right]
        part[..., :3] = (part[..., :3] * 127 + 127) // 255
        part[..., 2] += 128
        return np.asarray(plain, np.uint8).reshape(HEIGHT, WIDTH * 4)

    def test_it_is_painted_where_it_points(self, producer: Producer) -> None:
        with Consumer(producer, cursor="metadata") as consumer:
            producer.send(cursor_x=10, cursor_y=20, **self.HALF_RED)
            shown = rows(consumer.capture())
            assert np.array_equal(
                shown.reshape(-1, 4)[:, :3], self.painted(8, 19).reshape(-1, 4)[:, :3]
            )

    @pytest.mark.parametrize("place", [(-3, -2), (60, 45), (500, 500), (-(2**31), 2**31 - 1)])
    def test_it_may_lie_on_or_beyond_the_edge(
        self, producer: Producer, place: tuple[int, int]
    ) -> None:
        with Consumer(producer, cursor="metadata") as consumer:
            x, y = place
            producer.send(cursor_x=x, cursor_y=y, **self.HALF_RED)
            shown = rows(consumer.capture()).reshape(-1, 4)[:, :3]
            assert np.array_equal(shown, self.painted(x - 2, y - 1).reshape(-1, 4)[:, :3])

    def test_it_moves_without_a_new_picture(self, producer: Producer) -> None:
        with Consumer(producer, cursor="metadata") as consumer:
            producer.send(cursor_x=10, cursor_y=20, **self.HALF_RED)
            consumer.capture()
            producer.send(cursor_x=30, cursor_side=0, size=-1, seed=200)
            shown = rows(consumer.capture()).reshape(-1, 4)[:, :3]
            assert np.array_equal(shown, self.painted(28, 19).reshape(-1, 4)[:, :3])
            producer.send(cursor_id=0)
            assert np.array_equal(rows(consumer.capture()), picture(WIDTH, HEIGHT))

    def test_it_is_no_news_for_who_takes_dmabufs(self, producer: Producer) -> None:
        with Consumer(producer, cursor="metadata") as consumer:
            producer.send(cursor_x=10, cursor_y=20, size=-1, **self.HALF_RED)
            consumer.waiter.wait(lambda: consumer.stream.has_news, "waiting for the cursor")
            assert consumer.stream.take_dmabuf() is None
            assert not consumer.stream.has_news

    def test_it_is_painted_where_a_picture_lies_within_its_copy(
        self, producer: Producer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copy = Reader.copy

        def copy_behind_others(reader: Reader, *arguments: Any) -> Copied:
            # As a dmabuf is copied whole, of which a crop is the picture.
            copied = copy(reader, *arguments)
            return Copied(memoryview(bytes(ROW) + copied.memory), ROW, copied.stride)

        monkeypatch.setattr(Reader, "copy", copy_behind_others)
        with Consumer(producer, cursor="metadata") as consumer:
            producer.send(cursor_x=10, cursor_y=20, **self.HALF_RED)
            shown = rows(consumer.capture()).reshape(-1, 4)[:, :3]
            assert np.array_equal(shown, self.painted(8, 19).reshape(-1, 4)[:, :3])

    def test_it_is_not_painted_unless_it_is_asked_for(self, producer: Producer) -> None:
        with Consumer(producer) as consumer:
            producer.send(cursor_x=10, cursor_y=20, **self.HALF_RED)
            assert np.array_equal(rows(consumer.capture()), picture(WIDTH, HEIGHT))


def test_two_silences_are_two_errors(pipewire: PipeWire, producer: Producer) -> None:
    with Consumer(producer, timeout=1.0) as consumer:
        consumer.session.start()
        with pytest.raises(errors.CaptureTimeoutError, match="agreed to 64x48 BGRx, but sent no"):
            consumer.session.finish(consumer.waiter.deadline())
    with pipewire.producer() as other:
        other.offer(2, WIDTH, HEIGHT)  # I420
        stream = Stream(other.node)
        with Waiter(3.0) as waiter, Session(stream, waiter, Box(0, 0, 1, 1)) as session:
            session.start()
            # The session manager ends a stream that it cannot link, or leaves it alone.
            family = (errors.NotFoundError, errors.CaptureTimeoutError)
            with pytest.raises(family, match="no format"):
                session.finish(waiter.deadline())


def test_a_node_that_goes_is_a_lost_target(pipewire: PipeWire) -> None:
    with pipewire.producer() as producer:
        producer.offer(BGRX, WIDTH, HEIGHT)
        with Consumer(producer) as consumer:
            producer.process.kill()
            with pytest.raises(errors.TargetLostError, match="went away"):
                consumer.capture()


def test_a_wait_can_be_cut_short(producer: Producer) -> None:
    with Consumer(producer) as consumer:
        consumer.next_is_good()
        Timer(0.1, consumer.waiter.wake).start()
        with pytest.raises(errors.CancelledError):
            consumer.capture()
        consumer.next_is_good()


def test_a_stream_that_rests_wakes_nobody_and_has_the_newest_at_once(producer: Producer) -> None:
    with Consumer(producer) as consumer:
        consumer.next_is_good()
        consumer.session.set_active(False)
        consumer.stream.on_news()
        for seed in range(3):
            time_ns = monotonic_ns()
            producer.send(seed=seed, pts=time_ns)
            wait_until(partial(consumer.has_come, time_ns))
        assert not select.select([consumer.stream.fd], [], [], 0)[0]
        consumer.session.set_active(True)
        taken = consumer.stream.take(consumer.waiter, 0)
        assert taken
        assert np.array_equal(rows(taken), picture(WIDTH, HEIGHT, 2))
        assert consumer.stream.take(consumer.waiter, 0) is None
        consumer.next_is_good()


def test_what_a_callback_raises_reaches_whoever_waits(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_stream: Stream, _buffer: object) -> None:
        raise ZeroDivisionError

    with Consumer(producer) as consumer:
        monkeypatch.setattr(Stream, "_judge", fail)
        producer.send()
        with pytest.raises(ZeroDivisionError):
            consumer.capture()


def test_streams_leave_nothing_behind(producer: Producer) -> None:
    def mappings() -> int:
        return Path("/proc/self/maps").read_text().count("\n")

    def use(*, is_closed: bool) -> None:
        consumer = Consumer(producer)
        # One that ends while it is being linked leaves an fd of libpipewire's, up to 0.3.65.
        consumer.__enter__()
        producer.send(seed=1)
        consumer.capture()
        if is_closed:
            consumer.session.close()
            consumer.session.close()
        consumer.waiter.close()

    use(is_closed=True)  # what is loaded stays loaded
    use(is_closed=False)
    before = mappings()
    with leaving_no_more(threads, descriptors):
        for number in range(50):
            use(is_closed=number % 2 == 0)
    assert mappings() <= before + 4  # the allocator's own


def test_a_producer_whose_first_picture_was_lost_is_asked_again(producer: Producer) -> None:
    stream, box = Stream(producer.node), Box(0, 0, 1, 1)
    with Waiter() as waiter, Session(stream, waiter, box, nudges=True) as session:
        session.start()
        producer.wait_for("state streaming")
        # One that sends when it begins to run, as Mutter does, has been too early.
        waiter.sleep(0.5)
        producer.wait_for("state paused")
        producer.wait_for("state streaming")
        while not session.is_done:
            producer.tell("send", seed=9)
            waiter.sleep(0.02)
        frame = session.finish(waiter.deadline())
        assert np.array_equal(rows(frame), picture(WIDTH, HEIGHT, 9))


def test_a_stream_that_is_dropped_while_it_is_called_back_ends(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_called, may_return = Event(), Event()

    def wait(_stream: Stream) -> None:
        is_called.set()
        may_return.wait(10)

    threads = set(os.listdir("/proc/self/task"))
    consumer = Consumer(producer)
    consumer.__enter__()
    monkeypatch.setattr(Stream, "on_process", wait)
    producer.tell("send")
    assert is_called.wait(10)
    consumer.waiter.close()
    del consumer  # the callback has it alone now, in a thread that cannot end itself
    may_return.set()
    producer.wait_for("state paused")
    deadline = monotonic() + 10
    while not set(os.listdir("/proc/self/task")) <= threads and monotonic() < deadline:
        sleep(0.02)
    assert set(os.listdir("/proc/self/task")) <= threads


def test_a_daemon_that_hangs_holds_nobody_up(pipewire: PipeWire, producer: Producer) -> None:
    with Consumer(producer) as consumer:
        consumer.next_is_good()
        os.kill(pipewire.daemon.pid, signal.SIGSTOP)
        try:
            begun = monotonic()
            consumer.session.start(damage=True)
            with pytest.raises(errors.CaptureTimeoutError):
                consumer.waiter.wait(lambda: consumer.session.is_done, "waiting", begun + 0.2)
            consumer.session.close()
            waiter = Waiter(0.5)
            with waiter, Session(Stream(producer.node), waiter, Box(0, 0, 1, 1)) as session:
                session.start()
                with pytest.raises(errors.CaptureTimeoutError, match="PipeWire did not answer"):
                    session.finish(waiter.deadline())
            assert monotonic() - begun < 10
        finally:
            os.kill(pipewire.daemon.pid, signal.SIGCONT)


def test_a_daemon_that_dies_is_an_error() -> None:
    with PipeWire() as pipewire, pytest.MonkeyPatch.context() as patch:
        for name, value in pipewire.env.items():
            patch.setenv(name, value)
        with pipewire.producer() as producer:
            producer.offer(BGRX, WIDTH, HEIGHT)
            with Consumer(producer) as consumer:
                pipewire.daemon.kill()
                with pytest.raises(errors.CaptureError, match="connection error"):
                    consumer.capture()


def test_a_stream_that_is_closed_says_so(producer: Producer) -> None:
    stream = Stream(producer.node)
    stream.close()
    with pytest.raises(errors.ClosedError):
        stream.take_damage()
    with Waiter(1.0) as waiter, pytest.raises(errors.ClosedError):
        stream.take(waiter, waiter.deadline())
    # Its number may be somebody else's by now.
    os.dup2(other := os.eventfd(0, os.EFD_NONBLOCK), stream.fd)
    try:
        with pytest.raises(errors.ClosedError):
            stream.set_active(True)
        with pytest.raises(errors.ClosedError):
            stream.on_news()
        with pytest.raises(BlockingIOError):
            os.eventfd_read(other)
    finally:
        for fd in {other, stream.fd}:
            os.close(fd)


def test_a_fork_leaves_the_stream_to_whoever_made_it(producer: Producer) -> None:
    with Consumer(producer) as consumer:

        def use() -> None:
            with contextlib.suppress(errors.ClosedError):
                consumer.stream.take_damage()
            consumer.stream.close()

        in_a_fork(use)
        consumer.next_is_good()


TILED = 0x0100_0000_0000_0002


def modifier_said(producer: Producer, patience: float = START) -> int:
    return int(producer.wait_for("format", patience).split()[-1], 16)


@pytest.mark.parametrize("fixates", [0, 1])
@pytest.mark.parametrize(
    ("modifiers", "agreed"),
    [([0], 0), ([TILED, 0], None), ([0, TILED], 0)],
)
def test_a_modifier_is_settled_in_two_steps(
    pipewire: PipeWire, modifiers: list[int], agreed: int | None, fixates: int
) -> None:
    with pipewire.producer("so-called-dmabuf") as producer:
        producer.tell("set", fixates=fixates)
        producer.offer(BGRX, WIDTH, HEIGHT, *modifiers)
        stream = Stream(
            producer.node,
            buffer="dmabuf",
            modifiers={XRGB8888.fourcc: [0, TILED], ARGB8888.fourcc: [0]},
        )
        with stream, Waiter(5.0) as waiter:
            if len(modifiers) > 1:
                producer.wait_for("open modifier")
            said = modifier_said(producer)

            def agree() -> bool:
                return stream.agreed is not None and stream.agreed.modifier == said

            waiter.watch(stream.fd, stream.on_news)
            deadline = monotonic() + START
            while not agree():
                assert monotonic() < deadline
                with contextlib.suppress(errors.CaptureTimeoutError):
                    waiter.wait(agree, "agreeing", monotonic() + 0.1)
                # Where both settle it, either may win, the other one then follows.
                with contextlib.suppress(PipeWireError):
                    said = modifier_said(producer, 0.1)
            assert said == (agreed if agreed is not None else said)
            assert fixates or said == 0  # it is the one that can be mapped


def test_a_dmabuf_that_is_none_is_passed_over(pipewire: PipeWire) -> None:
    with pipewire.producer("so-called-dmabuf") as producer:
        producer.offer(BGRX, WIDTH, HEIGHT, 0)
        with Consumer(producer, timeout=1.0, buffer="dmabuf") as consumer:
            producer.send()
            with pytest.raises(errors.CaptureTimeoutError, match="memory that cannot be read"):
                consumer.capture()
            producer.send()
            consumer.session.start()
            with pytest.raises(errors.UnsupportedError, match="sends no dmabufs"):
                consumer.session.finish_dmabuf(consumer.waiter.deadline())


def test_what_is_no_dmabuf_and_never_ready_is_not_waited_for(
    pipewire: PipeWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "duplicate", lambda _fd: os.eventfd(0))
    with pipewire.producer("so-called-dmabuf") as producer:
        producer.offer(BGRX, WIDTH, HEIGHT, 0)
        with Consumer(producer, timeout=1.0, buffer="dmabuf") as consumer:
            producer.send()
            with pytest.raises(errors.CaptureTimeoutError, match="showed no picture"):
                consumer.capture()


class Importer:
    """A device that takes any dmabuf as it is, planes and all."""

    path = "a device"
    notes = ()

    def __init__(self) -> None:
        self.waiter = Waiter()
        self.device = self

    def adopt(self, layout: object, modifier: int, planes: list[Plane]) -> SimpleNamespace:
        close_planes(planes)
        return SimpleNamespace(layout=layout, modifier=modifier)


def test_what_is_no_dmabuf_is_not_lent_but_passed_over(
    pipewire: PipeWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pipe(_fd: int) -> int:  # which has no end to seek
        read_end, write_end = os.pipe()
        os.close(write_end)
        return read_end

    with pipewire.producer("so-called-dmabuf") as producer:
        producer.offer(BGRX, WIDTH, HEIGHT, 0)
        with Consumer(producer, timeout=1.0, buffer="dmabuf", device=Importer()) as consumer:
            monkeypatch.setattr(memory, "duplicate", pipe)
            with leaving_no_descriptors():
                producer.send()
                consumer.session.start()
                with pytest.raises(
                    errors.CaptureTimeoutError, match="1 of memory that cannot be read"
                ):
                    consumer.session.finish_dmabuf(consumer.waiter.deadline())


def test_what_is_lent_goes_back_whatever_ends_meanwhile(
    pipewire: PipeWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection of garbage may end another stream in the middle of it.

    And the other one's thread may be in the middle of the same.
    """
    write, process = os.eventfd_write, Stream.on_process
    is_ending, is_called = Event(), Event()
    with contextlib.ExitStack() as stack:
        consumers = []
        for _ in range(2):
            producer = stack.enter_context(pipewire.producer("so-called-dmabuf"))
            producer.offer(BGRX, WIDTH, HEIGHT, 0)
            consumer = Consumer(producer, buffer="dmabuf", device=Importer())
            consumers.append(stack.enter_context(consumer))
        one, other = consumers

        def take() -> DmabufFrame:
            one.producer.send()
            one.session.start()
            return one.session.finish_dmabuf(one.waiter.deadline())

        frames = [take(), take()]

        def on_process(stream: Stream) -> None:
            if stream is not other.stream:
                process(stream)
                return
            is_called.set()
            is_ending.wait(10)
            frames.clear()  # the second one: in libpipewire's thread, as garbage may be collected

        def end_other(fd: int, value: int) -> None:
            write(fd, value)
            if current_thread() is giver and not is_ending.is_set():
                is_ending.set()
                other.session.close()

        def give_back() -> None:
            first = frames.pop(0)
            first.close()

        monkeypatch.setattr(Stream, "on_process", on_process)
        monkeypatch.setattr(os, "eventfd_write", end_other)
        giver = Thread(target=give_back, daemon=True)
        other.producer.tell("send")
        assert is_called.wait(10)
        giver.start()
        giver.join(10)
        assert not giver.is_alive()
        monkeypatch.undo()
        for _ in range(2 * MOST_LENT):  # all of its buffers are there again
            take().close()


@pytest.mark.parametrize("spare", range(8))
def test_too_few_descriptors_are_an_error_of_the_family(spare: int) -> None:
    library()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    first_free = os.dup(0)
    os.close(first_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free + spare, limits[1]))
    try:
        with pytest.raises(errors.WayshotError, match=r"Too many open files|no PipeWire"):
            Remote(None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
