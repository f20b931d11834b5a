"""Streams of the library against a compositor that can go wrong, on the clock of the wall."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import signal
import threading
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import wayshot_cli as wayshot
from tests.descriptors import descriptors, leaving_no_more, memory, threads
from tests.fake import (
    Config,
    FakeCompositor,
    Fault,
    Film,
    Output,
    Step,
    faults,
    read_counter,
)
from tests.faults.windows import ONE, TWO, desktop, straight
from wayshot_cli.errors import (
    CancelledError,
    CaptureError,
    CaptureTimeoutError,
    ClosedError,
    FramesHeldError,
    InvalidArgumentError,
    NotFoundError,
    TargetLostError,
    UnsupportedError,
    WayshotError,
)
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 20.0
IDLE = 0.2
"""Seconds in which an idle screen shows that it is."""

SCREENCOPY = {"image_copy_version": 0, "screencopy_version": 3}
IMAGE_COPY = {"image_copy_version": 1, "screencopy_version": 0}

LEFT = Output("FAKE-1", 64, 48)
RIGHT = Output("FAKE-2", 40, 30, x=64, y=5, transform=1)

each_protocol = pytest.mark.parametrize(
    "protocol", [SCREENCOPY, IMAGE_COPY], ids=["screencopy", "image-copy"]
)


@contextlib.contextmanager
def serving(config: Config) -> Iterator[FakeCompositor]:
    """Run the environment's compositor, with which everything has been cleared away in the end."""
    with FakeCompositor(config) as compositor, pytest.MonkeyPatch.context() as patch:
        for name, value in compositor.environ.items():
            patch.setenv(name, value)
        yield compositor
        compositor.wait_until_gone()
        assert compositor.violations == compositor.leaks == []


def still(*outputs: Output, **settings: Any) -> Config:
    return Config(outputs=outputs or (LEFT,), idle=True, **{**IMAGE_COPY, **settings})


def moving(rate: int = 60, **settings: Any) -> Config:
    film = Output("FAKE-1", 64, 48, film=Film(Fraction(rate)))
    return Config(outputs=(film,), **{**IMAGE_COPY, **settings})


def shows(frame: wayshot.Frame, output: Output = LEFT, index: int = 0) -> bool:
    return np.array_equal(frame.to_numpy()[..., :3], output.upright(index))


def number(frame: wayshot.Frame) -> int:
    return read_counter(frame.to_numpy())


def address(frame: wayshot.Frame) -> int:
    return int(frame.to_numpy().__array_interface__["data"][0])


# When there is a frame


@each_protocol
def test_an_idle_screen_gives_one_frame_and_then_what_is_new(protocol: dict[str, int]) -> None:
    with serving(still(**protocol)) as compositor, wayshot.stream() as stream:
        assert shows(next(stream))
        if protocol is SCREENCOPY:  # which gives the first one twice
            assert shows(next(stream))
        assert stream.read(IDLE) is None
        compositor.damage()
        frame = stream.read(PATIENCE)
        assert frame
        assert shows(frame)
        assert stream.read(0) is None


@each_protocol
def test_what_comes_while_nobody_asks_is_passed_over(protocol: dict[str, int]) -> None:
    with serving(moving(**protocol)), wayshot.stream() as stream:
        shown = []
        for frame in itertools.islice(stream, 6):
            shown.append((number(frame), frame.time_ns))
            time.sleep(0.1)
    for (a, at), (b, then) in itertools.pairwise(shown):
        assert b - a >= 6
        assert abs((then - at) * 60 / 1e9 - (b - a)) < 0.1


def test_a_constant_rate_repeats_what_is_shown_and_its_time() -> None:
    with serving(still()) as compositor, wayshot.stream(fps=50) as stream:
        first = next(stream)
        began = time.monotonic()
        frames = [next(stream) for _ in range(10)]
        assert time.monotonic() - began >= 9 / 50
        for frame in frames:
            assert shows(frame)
            assert frame.time_ns == first.time_ns
            assert np.shares_memory(frame.to_numpy(), first.to_numpy())
            frame.close()  # that of the next is another one
        compositor.damage()
        deadline = time.monotonic() + PATIENCE
        while next(stream).time_ns == first.time_ns:
            assert time.monotonic() < deadline


def test_at_a_constant_rate_too_none_need_be_waited_for_to_the_end() -> None:
    began = time.monotonic()
    with serving(still()), wayshot.stream(fps=0.5) as stream:
        next(stream)
        assert stream.read(0.05) is None
        assert stream.read(PATIENCE)
        assert time.monotonic() - began > 1.9


@each_protocol
@pytest.mark.parametrize("fps", [None, 30])
def test_who_only_looks_now_and_then_gets_frames_too(
    fps: int | None, protocol: dict[str, int]
) -> None:
    with serving(moving(**protocol)), wayshot.stream(fps=fps) as stream:
        counters = [number(next(stream))]
        deadline = time.monotonic() + PATIENCE
        while len(counters) < 10:
            assert time.monotonic() < deadline
            if frame := stream.read(0):
                counters.append(number(frame))
            time.sleep(0.01)
    assert counters == sorted(counters)
    assert counters[-1] > counters[0]


@pytest.mark.parametrize("rate", [10, 60])
def test_a_slow_consumer_gets_the_newest_at_the_slots_that_it_is_there_for(rate: int) -> None:
    with serving(moving()), wayshot.stream(fps=rate) as stream:
        next(stream)
        began = time.monotonic()
        counters: list[int] = []
        while len(counters) < 5:
            counters.append(number(next(stream)))
            time.sleep(0.25)
        assert time.monotonic() - began >= 5 * 0.25
    # Nothing was queued: they are newer by what has passed, though one may have come late.
    assert counters == sorted(counters)
    assert counters[-1] - counters[0] >= 40


def test_frames_of_a_screen_that_are_not_wanted_are_not_captured() -> None:
    with serving(moving(**SCREENCOPY)) as compositor, wayshot.stream(fps=5) as stream:
        for _ in range(5):
            next(stream)
        assert compositor.count("zwlr_screencopy_manager_v1", "capture_output") <= 20


# What it shows


@each_protocol
@pytest.mark.parametrize("fps", [None, 100])
def test_every_frame_is_one_picture_of_the_film(fps: int | None, protocol: dict[str, int]) -> None:
    with serving(moving(**protocol)) as compositor, wayshot.stream(fps=fps) as stream:
        film = compositor.heads[0].output.film
        assert film
        last = -1
        for frame in itertools.islice(stream, 30):
            shown = number(frame)
            assert shown >= last
            assert np.array_equal(
                frame.to_numpy(), film.picture(shown, Output("FAKE-1", 64, 48).upright(0))
            )
            last = shown


def test_several_outputs_are_one_picture_and_a_region_is_cut_out() -> None:
    with serving(still(LEFT, RIGHT)):
        for frame in wayshot.stream():
            assert shows(frame.crop(wayshot.Box(0, 0, 64, 48)))
            assert shows(frame.crop(wayshot.Box(64, 5, 30, 40)), RIGHT, 1)
            break
        for frame in wayshot.stream(region="10,20 30x7"):
            assert np.array_equal(frame.to_numpy(), LEFT.upright(0)[20:27, 10:40])
            break
        for frame in wayshot.stream("FAKE-2"):
            assert shows(frame, RIGHT, 1)
            break


def test_a_window_is_followed_until_it_is_closed() -> None:
    config = desktop(ONE, TWO, idle=True)
    with serving(config) as compositor, wayshot.stream(window="id-2") as stream:
        first = next(stream)
        assert np.array_equal(first.to_numpy(), straight(config, "two"))
        compositor.change_output("two", width=60, height=50)
        grown = stream.read(PATIENCE)
        assert grown
        assert grown.upright_size == (60, 50)
        compositor.close_window("two")
        with pytest.raises(TargetLostError, match="id-2"):
            next(stream)
        assert list(stream) == []
        assert np.array_equal(first.to_numpy(), straight(config, "two"))


@each_protocol
@pytest.mark.parametrize("fps", [None, 50])
def test_a_resize_changes_the_frames(fps: int | None, protocol: dict[str, int]) -> None:
    with serving(still(**protocol)) as compositor, wayshot.stream(fps=fps) as stream:
        assert next(stream).upright_size == (64, 48)
        compositor.change_output("FAKE-1", width=80, height=60, transform=1)
        deadline = time.monotonic() + PATIENCE
        frame = next(stream)
        while frame.upright_size != (60, 80):
            assert time.monotonic() < deadline
            frame = next(stream)
        assert shows(frame, Output("FAKE-1", 80, 60, transform=1))


# Whose memory it is


@pytest.mark.parametrize("fps", [None, 60])
@each_protocol
def test_memory_of_frames_that_are_dropped_is_used_again(
    fps: int | None, protocol: dict[str, int]
) -> None:
    with serving(moving(**protocol)), wayshot.stream(fps=fps) as stream:
        used = {address(frame) for frame in itertools.islice(stream, 30)}
    assert len(used) <= 3


@pytest.mark.parametrize("fps", [None, 120])
@each_protocol
def test_frames_that_are_kept_stay_as_they_are_up_to_a_limit(
    fps: int | None, protocol: dict[str, int]
) -> None:
    kept: list[wayshot.Frame] = []
    timeout = 2 * PATIENCE
    with serving(moving(120, **protocol)), wayshot.stream(fps=fps, timeout=timeout) as stream:
        began = time.monotonic()
        with pytest.raises(FramesHeldError, match="frames are held"):
            kept.extend(stream)
        assert time.monotonic() - began < PATIENCE  # at once, not after what may be a hiccup
        assert 12 <= len({frame.time_ns for frame in kept}) <= 16
        counters = [number(frame) for frame in kept]
        assert counters == sorted(counters)
        kept[0].close()
        for frame in kept[1:-5]:
            frame.close()
        assert number(next(stream)) >= counters[-1]
        assert [number(frame) for frame in kept[-5:]] == counters[-5:]
    assert [number(frame) for frame in kept[-5:]] == counters[-5:]


# The end


@pytest.mark.parametrize("fps", [None, 20])
@each_protocol
def test_breaking_out_of_the_loop_closes_everything_at_once(
    fps: int | None, protocol: dict[str, int]
) -> None:
    gc.collect()
    gc.disable()
    try:
        with (
            serving(moving(**protocol)) as compositor,
            leaving_no_more(descriptors, memory, threads, collecting=False),
        ):
            before = threads()
            for frame in wayshot.stream(fps=fps):  # noqa: B007 - kept for later
                assert threads() <= before
                break
            compositor.wait_until_gone()
            assert compositor.connected == 0
            assert number(frame) >= 0
            del frame
    finally:
        gc.enable()


def test_so_does_an_error_in_the_loop_and_the_end_of_a_block() -> None:
    with serving(moving()) as compositor:
        with contextlib.suppress(ZeroDivisionError), wayshot.stream() as stream:
            for frame in stream:
                assert frame.width // 0
        compositor.wait_until_gone()
        assert stream.is_closed
        with pytest.raises(ClosedError):
            stream.read()
        assert list(stream) == []
        stream.close()


@each_protocol
@pytest.mark.parametrize("fps", [None, 30])
def test_an_output_that_goes_is_the_end_after_the_last_frame(
    fps: int | None, protocol: dict[str, int]
) -> None:
    with serving(still(LEFT, RIGHT, **protocol)) as compositor:
        stream = wayshot.stream("FAKE-2", fps=fps)
        frames = [next(stream)]
        compositor.remove_output("FAKE-2")
        with pytest.raises(TargetLostError, match="FAKE-2"):
            frames.extend(stream)
        assert all(shows(frame, RIGHT, 1) for frame in frames)
        assert stream.is_closed


def test_one_of_several_outputs_that_goes_is_a_smaller_picture() -> None:
    with serving(still(LEFT, RIGHT)) as compositor, wayshot.stream() as stream:
        assert next(stream).width == 94
        compositor.remove_output("FAKE-2")
        assert shows(next(stream))


@each_protocol
@pytest.mark.parametrize("fps", [None, 50])
def test_a_failure_that_passes_costs_a_frame(fps: int | None, protocol: dict[str, int]) -> None:
    failures = iter([True, True])

    def fail(moment: faults.Moment) -> bool:
        return faults.failed(moment) if next(failures, False) else True

    step = Step.CAPTURE if protocol is IMAGE_COPY else Step.BUFFER
    config = moving(faults=(Fault(step, fail, skip=3),), **protocol)
    with serving(config), wayshot.stream(fps=fps) as stream:
        counters = [number(frame) for frame in itertools.islice(stream, 10)]
    assert counters == sorted(counters)
    assert next(failures, None) is None


@each_protocol
@pytest.mark.parametrize(
    ("action", "kind", "words"),
    [
        (faults.failed, CaptureError, "failed to capture|ended the capture"),
        (faults.withhold, CaptureTimeoutError, "did not answer in time"),
        (faults.hang_up, CaptureError, "closed the connection"),
        (faults.protocol_error, CaptureError, "error 77"),
    ],
)
def test_whatever_goes_wrong_is_one_error_in_time(
    action: faults.Action, kind: type[WayshotError], words: str, protocol: dict[str, int]
) -> None:
    step = Step.CAPTURE if protocol is IMAGE_COPY else Step.BUFFER
    skip = 0 if action is faults.withhold else 2  # later on it is no more than an idle screen
    config = moving(faults=(Fault(step, action, skip=skip),), **protocol)
    lasts_until_timeout = action in {faults.failed, faults.withhold}
    with serving(config):
        stream = wayshot.stream(fps=30, timeout=1.0 if lasts_until_timeout else 2 * PATIENCE)
        began = time.monotonic()
        with pytest.raises(kind, match=words) as caught:
            for _ in stream:
                pass
        assert time.monotonic() - began < PATIENCE
        assert type(caught.value) is kind
        assert list(stream) == []


def test_an_idle_screen_is_no_silence() -> None:
    with serving(still()) as compositor, wayshot.stream(timeout=1.0) as stream:
        next(stream)
        timer = threading.Timer(1.6, compositor.damage)
        timer.start()
        assert shows(next(stream))
        timer.join()


@pytest.mark.parametrize("fps", [None, 0.01])
def test_another_thread_ends_it_while_a_frame_is_waited_for(fps: float | None) -> None:
    with serving(still()), wayshot.stream(fps=fps) as stream:
        next(stream)
        timer = threading.Timer(IDLE, stream.stop)
        timer.start()
        began = time.monotonic()
        assert list(stream) == []
        assert time.monotonic() - began < PATIENCE
        timer.join()
        assert stream.is_closed
        assert stream.read() is None
        stream.stop()


def test_a_stream_that_was_stopped_before_gives_nothing_more() -> None:
    with serving(moving()), wayshot.stream() as stream:
        stream.stop()
        stream.stop()
        assert list(stream) == []


def test_stopping_cuts_short_no_other_wait_of_a_connection_that_was_handed_in() -> None:
    with serving(still()), Connection() as connection:
        with wayshot.stream(connection=connection) as stream:
            next(stream)
            stream.stop()
        connection.sleep(0.05)
        assert shows(wayshot.shot(connection=connection))
        with wayshot.stream(connection=connection) as stream:
            assert shows(next(stream))
            stream.stop()
            assert stream.read() is None
        assert shows(wayshot.shot(connection=connection))
        assert not connection.is_closed


@pytest.mark.parametrize("fps", [None, 50])
def test_nor_another_stream_of_that_connection(fps: int | None) -> None:
    with (
        serving(moving()),
        Connection() as connection,
        wayshot.stream(connection=connection) as stopped,
        wayshot.stream(connection=connection, fps=fps) as other,
    ):
        next(stopped)
        stopped.stop()
        assert len(list(itertools.islice(other, 3))) == 3
        assert wayshot.shot(connection=connection).size == next(other).size
        assert stopped.read() is None
        next(other)


def test_waking_the_connection_loses_nothing() -> None:
    with (
        serving(still()) as compositor,
        Connection() as connection,
        wayshot.stream(connection=connection) as stream,
    ):
        next(stream)
        connection.wake()
        with pytest.raises(CancelledError):
            next(stream)
        compositor.damage()
        assert shows(next(stream))


@pytest.mark.parametrize("fps", [None, 0.01])
def test_ctrl_c_is_a_keyboard_interrupt_at_once(fps: float | None) -> None:
    with serving(still()):
        stream = wayshot.stream(fps=fps)
        next(stream)
        timer = threading.Timer(IDLE, os.kill, (os.getpid(), signal.SIGINT))
        stream._source.connection.call_at(0, timer.start)  # in the wait, and not before it
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            next(stream)
        assert time.monotonic() - began < PATIENCE
        assert stream.is_closed


def test_a_signal_handler_may_stop_it() -> None:
    with serving(still()), wayshot.stream() as stream:
        before = signal.signal(signal.SIGUSR1, lambda *_: stream.stop())
        timer = threading.Timer(IDLE, os.kill, (os.getpid(), signal.SIGUSR1))
        try:
            next(stream)
            timer.start()
            assert list(stream) == []
            timer.join()
        finally:
            timer.cancel()
            signal.signal(signal.SIGUSR1, before)


# Words


@pytest.mark.parametrize(
    ("wishes", "kind"),
    [
        ({"output": "FAKE-1", "region": "0,0 1x1"}, InvalidArgumentError),
        ({"output": "FAKE-9"}, NotFoundError),
        ({"region": "5000,0 1x1"}, NotFoundError),
        ({"window": "id-1"}, UnsupportedError),
        ({"fps": 0}, InvalidArgumentError),
        ({"fps": -5}, InvalidArgumentError),
        ({"fps": float("nan")}, InvalidArgumentError),
        ({"fps": float("inf")}, InvalidArgumentError),
        ({"fps": 1e9}, InvalidArgumentError),
        ({"fps": [30]}, InvalidArgumentError),
        ({"timeout": -1}, InvalidArgumentError),
        ({"backend": "nonsense"}, InvalidArgumentError),
        ({"cursor": "separate"}, InvalidArgumentError),
    ],
    ids=str,
)
def test_nonsense_is_refused_before_anything_is_captured(
    wishes: dict[str, Any], kind: type[WayshotError]
) -> None:
    with serving(still()) as compositor:
        with pytest.raises(kind):
            wayshot.stream(**wishes)
        assert compositor.count("ext_image_copy_capture_frame_v1", "capture") == 0


def test_frames_that_do_not_differ_are_given_where_they_are_wanted() -> None:
    with serving(still(**SCREENCOPY)), wayshot.stream(damage=False) as stream:
        assert all(shows(frame) for frame in itertools.islice(stream, 5))
    with (
        serving(still()),
        pytest.raises(UnsupportedError, match="something has changed"),
    ):
        wayshot.stream(damage=False)


@pytest.mark.parametrize("cursor", [False, True])
def test_the_cursor_is_painted_when_it_is_wanted(*, cursor: bool) -> None:
    with serving(still(**SCREENCOPY)) as compositor:
        with wayshot.stream(cursor=cursor) as stream:
            next(stream)
        (request, *_) = [r for r in compositor.requests if r.name == "capture_output"]
        assert request.arguments[1] == int(cursor)


def test_what_is_chosen_is_reported() -> None:
    lines: list[str] = []
    with serving(still()), wayshot.stream(report=lines.append):
        pass
    assert any("capturing by image-copy into shared memory" in line for line in lines)
