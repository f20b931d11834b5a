"""Whoever reads a recording: nobody at all, too slowly, not to the end, or not any more."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests import probe, y4m
from tests.fake import Config, FakeCompositor, Output
from tests.faults.recording import (
    FRAME,
    SOON,
    STATIC,
    Recording,
    Result,
    assert_in_its_time,
    assert_in_order,
    counter,
    moving,
    recording,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STUCK = 10.0
"""Seconds after which a recording whose reader is stuck has ended: many times what it takes."""

LARGE = Config((Output(width=1024, height=768),), idle=True)
"""A screen of which no frame goes into a pipe as a whole, be it ever so wide."""

POOL = 8
"""Pictures of the screen's size that a recording may hold, which come to be one after the other."""


@contextlib.contextmanager
def piped(config: Config, folder: Path, *arguments: str) -> Iterator[tuple[Recording, io.FileIO]]:
    """Record into a pipe whose reading end is the test's, which may close it."""
    read_end, write_end = os.pipe()
    with io.FileIO(read_end) as reader:
        with os.fdopen(write_end) as writer:
            running = recording(config, folder, *arguments, stdout=writer)
            entered = running.__enter__()
        try:
            yield entered, reader
        finally:
            running.__exit__(None, None, None)


# True to the clock.


def test_a_static_screen_of_three_seconds_gives_three_seconds(tmp_path: Path) -> None:
    names = ["a.y4m", "a.raw", "a.mp4", "a.mkv"]
    with FakeCompositor(STATIC) as compositor, contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(recording(compositor, tmp_path, "--duration", "3", name))
            for name in names
        ]
        results = [one.result() for one in running]
        assert compositor.count(FRAME, "copy_with_damage") <= 3 * len(names)
    for result in results:
        assert result.code == 0
        assert result.whole_statistics.seconds == 3
        assert result.statistics.captured <= 3
    assert [result.slots for result in results[:2]] == [180, 180]
    assert len(results[0].stream()[1]) == results[0].statistics.written
    assert (tmp_path / "a.raw").stat().st_size == results[1].statistics.written * 64 * 48 * 4
    for name in names[2:]:
        assert abs(probe.duration(tmp_path / name) - 3) < 0.05


def test_a_moving_screen_is_recorded_in_its_own_time(tmp_path: Path) -> None:
    with recording(moving(30), tmp_path, "--duration", "3", "a.y4m") as running:
        result = running.result()
    numbers = result.counters()
    assert len(numbers) == result.statistics.written
    assert result.slots == 90
    assert_in_its_time(numbers, 30, result.statistics.dropped)


# Too slow.


def test_a_slow_reader_costs_frames_but_neither_memory_nor_time(tmp_path: Path) -> None:
    duration = 3
    memory: list[int] = []
    numbers: list[int] = []
    config = moving(60, width=640, height=480)
    with piped(config, tmp_path, "--duration", str(duration), "-") as (running, reader):
        stream = y4m.Stream(reader)
        started = time.monotonic()
        for frame in stream:
            numbers.append(counter(frame))
            if running.process.poll() is None:
                memory.append(running.memory())
            time.sleep(0.2)
        elapsed = time.monotonic() - started
        result = running.result()
    assert result.code == 0
    assert elapsed < duration + STUCK
    assert_in_order(numbers)
    statistics = result.whole_statistics
    assert statistics.written == len(numbers) < 5 * duration + 10
    assert statistics.dropped == duration * 60 - statistics.written
    assert numbers[-1] >= 60 * (duration - 1.5), "what is dropped is what is old"
    assert len(set(numbers[10:])) > 0.5 * len(numbers[10:]), "most are new ones"
    assert max(memory) - memory[1] < POOL * 640 * 480 * 4


# Gone.

OF_FRAMES = ("-r", "60", "-")
OF_CHANGES = ("-t", "raw", "--timestamps", "times.txt", "-")

CLUSTER = b"\x1f\x43\xb6\x75"
"""What Matroska's first frame comes behind."""


def take_a_frame(reader: io.FileIO) -> None:
    """Read until one must have been written."""
    data = b""
    while len(data) < 64 * 48 * 4 and CLUSTER not in data:
        more = reader.read(1 << 16)
        assert more
        data += more


@pytest.mark.parametrize("arguments", [OF_FRAMES, OF_CHANGES, ("-t", "mkv", "-")], ids=str)
@pytest.mark.parametrize("config", [STATIC, moving()], ids=["static", "moving"])
def test_a_reader_that_leaves_has_had_enough(
    config: Config, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    with piped(config, tmp_path, *arguments) as (running, reader):
        take_a_frame(reader)
        reader.close()
        result = running.result(SOON)
    assert result.code == 0
    assert result.words == ""
    assert result.statistics.written >= 1


def test_a_reader_that_leaves_in_a_pause_ends_it(tmp_path: Path) -> None:
    with piped(STATIC, tmp_path, *OF_FRAMES) as (running, reader):
        take_a_frame(reader)
        running.send(signal.SIGUSR1)
        time.sleep(0.3)
        reader.close()
        result = running.result(SOON)
    assert result.code == 0
    assert result.words == ""


@pytest.mark.parametrize("arguments", [OF_FRAMES, ("-t", "raw", "-"), ("-t", "mkv", "-")], ids=str)
def test_a_reader_that_was_never_there_is_no_success_and_no_news(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    limit = ("--duration", "0.5")
    with piped(STATIC, tmp_path, *limit, *arguments) as (running, reader):
        reader.close()
        result = running.result()
    assert result.code == 1
    assert result.words == ""


def test_a_reader_that_leaves_in_the_first_frame_is_no_success(tmp_path: Path) -> None:
    with piped(LARGE, tmp_path, "-") as (running, reader):
        assert reader.read(1000)
        reader.close()
        result = running.result(SOON)
    assert (result.code, result.stderr) == (1, "")


def test_a_reader_that_leaves_a_fifo_has_had_enough(tmp_path: Path) -> None:
    fifo = tmp_path / "a.y4m"
    os.mkfifo(fifo)
    with recording(STATIC, tmp_path, "a.y4m") as running:
        with fifo.open("rb") as reader:
            stream = y4m.Stream(reader)
            assert next(iter(stream))
        result = running.result(SOON)
    assert result.code == 0
    assert result.words == ""


# Stuck.


def stop(running: Recording) -> Result:
    """Interrupt a recording whose reader is stuck."""
    time.sleep(0.3)
    assert running.process.poll() is None
    running.send(signal.SIGINT)
    started = time.monotonic()
    result = running.result(STUCK)
    assert time.monotonic() - started < STUCK
    return result


def test_a_reader_that_is_stuck_before_a_whole_frame_does_not_hold_an_interrupt_up(
    tmp_path: Path,
) -> None:
    with piped(LARGE, tmp_path, "-") as (running, reader):
        assert reader.read(10)
        result = stop(running)
    assert (result.code, result.stderr) == (130, "")


def test_a_reader_that_is_stuck_after_a_whole_frame_does_not_hold_an_interrupt_up(
    tmp_path: Path,
) -> None:
    with piped(LARGE, tmp_path, "-") as (running, reader):
        stream = y4m.Stream(reader)
        assert next(iter(stream))
        result = stop(running)
    assert result.code == 0
    assert result.words == ""
    assert result.statistics.written >= 1


@pytest.mark.parametrize("arguments", [("a.y4m",), OF_CHANGES[:2] + OF_CHANGES[2:4] + ("b.raw",)])
def test_a_fifo_that_nobody_opens_does_not_hold_an_interrupt_up(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    for name in ("a.y4m", "times.txt"):
        os.mkfifo(tmp_path / name)
    with recording(STATIC, tmp_path, *arguments) as running:
        running.wait_until(lambda: running.compositor.count(FRAME, "copy") > 0)
        result = stop(running)
    assert (result.code, result.words) == (130, "")


def test_a_reader_that_is_stuck_does_not_hold_the_end_up(tmp_path: Path) -> None:
    with piped(LARGE, tmp_path, "--duration", "1", "-") as (running, reader):
        stream = y4m.Stream(reader)
        assert next(iter(stream))
        result = running.result()
    assert result.code == 0
    assert 1 <= result.elapsed < 1 + STUCK


def test_a_recording_of_which_no_whole_frame_was_taken_has_failed(tmp_path: Path) -> None:
    with piped(LARGE, tmp_path, "--duration", "0.5", "-") as (running, reader):
        result = running.result()
        assert reader.read(10)
    assert result.code == 1
    assert "stdout" in result.complaint


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_does_not_wait_for_a_stuck_reader(
    number: signal.Signals, tmp_path: Path
) -> None:
    with piped(LARGE, tmp_path, "-") as (running, reader):
        stream = y4m.Stream(reader)
        assert next(iter(stream))
        time.sleep(0.3)
        running.send(signal.SIGTERM)
        time.sleep(0.05)  # the reader is given up after half a second
        running.send(number)
        result = running.result(SOON, may_leak=True)
    assert result.code == (130 if number == signal.SIGINT else 143)
    assert result.stderr == ""
