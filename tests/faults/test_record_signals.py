"""Signals to a recording: before it has begun, while it runs and when nothing happens."""

from __future__ import annotations

import contextlib
import random
import select
import signal
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests import probe
from tests.fake import Config, Fault, Output, Step, faults
from tests.faults.recording import (
    FRAME,
    MANAGER,
    SOON,
    STATIC,
    assert_in_order,
    moving,
    recording,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
SILENT = Config(faults=(Fault(Step.READY, faults.withhold),))


def code_of(number: signal.Signals) -> int:
    """Return the exit code of whoever was ended by a signal before he had begun."""
    return 130 if number == signal.SIGINT else 143


@contextlib.contextmanager
def ignoring(number: signal.Signals) -> Iterator[None]:
    """Have the processes that are started here ignore a signal, as nohup does."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)


# The end.


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_the_recording_of_a_static_screen_at_once(
    number: signal.Signals, tmp_path: Path
) -> None:
    names = ["a.y4m", "a.mp4", "a.gif"]
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(recording(STATIC, tmp_path, name)) for name in names]
        for one in running:
            one.compositor.wait_for(FRAME, "copy_with_damage")
        time.sleep(0.8)
        results = [one.told(number) for one in running]
    for result in results:
        assert result.code == 0
        assert result.words == ""
        assert result.whole_statistics.seconds > 0.5
    assert results[0].files == sorted(names)
    assert len(results[0].stream()[1]) == results[0].statistics.written
    for name, result in zip(names[1:], results[1:], strict=True):
        assert abs(probe.duration(tmp_path / name) - result.statistics.seconds) < 0.06


def test_an_interrupt_keeps_all_that_was_shown_until_then(tmp_path: Path) -> None:
    with recording(moving(30), tmp_path, "a.y4m") as running:
        running.wait_for_bytes("a.y4m", 10_000)
        time.sleep(1)
        result = running.told(signal.SIGINT)
    assert result.code == 0
    numbers = result.counters()
    assert_in_order(numbers)
    assert len(numbers) == result.statistics.written
    assert result.slots == round(result.statistics.seconds * 30)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_before_the_first_frame_leaves_no_file(
    number: signal.Signals, tmp_path: Path
) -> None:
    with recording(SILENT, tmp_path, "a.y4m") as running:
        running.wait_until(lambda: running.compositor.count(FRAME, "copy") == 1)
        running.send(number)
        result = running.result(SOON, may_leak=True)
    assert (result.code, result.stderr, result.files) == (code_of(number), "", [])


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_the_delay(number: signal.Signals, tmp_path: Path) -> None:
    with recording(STATIC, tmp_path, "-d", "60", "a.mp4") as running:
        running.compositor.wait_for("wl_display", "sync", 2)
        time.sleep(0.2)
        running.send(number)
        result = running.result(SOON, may_leak=True)
        assert running.compositor.count(MANAGER, "capture_output") == 0
    assert (result.code, result.stderr, result.files) == (code_of(number), "", [])


def test_what_is_not_there_is_told_before_the_delay(tmp_path: Path) -> None:
    with recording(STATIC, tmp_path, "-d", "60", "-o", "TYPO", "a.y4m") as running:
        result = running.result(SOON)
    assert result.code == 5
    assert "TYPO" in result.complaint


@pytest.mark.parametrize("number", ENDING)
def test_what_was_to_be_ignored_stays_ignored(number: signal.Signals, tmp_path: Path) -> None:
    with ignoring(number), recording(STATIC, tmp_path, "a.y4m") as running:
        running.wait_for_bytes("a.y4m")
        running.send(number)
        time.sleep(0.3)
        assert running.process.poll() is None
        result = running.told(signal.SIGTERM if number != signal.SIGTERM else signal.SIGINT)
    assert result.code == 0
    assert result.whole_statistics.seconds >= 0.25


# Pauses and stills.


def test_what_comes_before_the_first_frame_is_ignored(tmp_path: Path) -> None:
    arguments = ("-d", "2", "--duration", "0.5", "a.y4m")
    with recording(STATIC, tmp_path, *arguments) as running:
        running.compositor.wait_for("wl_display", "sync", 2)
        for _ in range(3):
            running.send(signal.SIGUSR1)
            running.send(signal.SIGUSR2)
            time.sleep(0.05)
        result = running.result()
    assert result.code == 0
    assert result.files == ["a.y4m"]
    assert len(result.stream()[1]) == result.statistics.written
    assert result.slots == 30


def test_a_pause_is_cut_out_in_real_time(tmp_path: Path) -> None:
    with recording(moving(30), tmp_path, "--duration", "2.5", "a.y4m") as running:
        running.wait_for_bytes("a.y4m", 10_000)
        time.sleep(0.5)
        running.send(signal.SIGUSR1)
        time.sleep(1)
        running.send(signal.SIGUSR1)
        result = running.result()
    assert result.code == 0
    numbers = result.counters()
    assert result.slots == 75
    assert_in_order(numbers)
    steps = np.diff(numbers)
    assert steps.max() > 25, "a second was cut out"
    assert np.sort(steps)[-2] < 20, "and nothing else"


def test_a_still_is_the_current_picture_beside_the_recording(tmp_path: Path) -> None:
    output = Output(width=63, height=47, transform=3)
    with recording(Config((output,), idle=True), tmp_path, "a.y4m") as running:
        running.wait_for_bytes("a.y4m")
        running.send(signal.SIGUSR2)
        running.wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
        running.send(signal.SIGUSR1)  # and in a pause
        running.send(signal.SIGUSR2)
        running.wait_until(lambda: len(list(tmp_path.iterdir())) == 3)
        result = running.told(signal.SIGINT)
    assert result.code == 0
    stills = [name for name in result.files if name.endswith(".png")]
    assert len(stills) == 2
    for name in stills:
        assert f"wayshot: still: {name}\n" in result.words
        with Image.open(tmp_path / name) as image:
            assert np.array_equal(np.asarray(image), output.upright(0))


def test_no_signal_has_to_wait_for_what_wakes_the_recording_next(tmp_path: Path) -> None:
    """Not even one that comes just when the one before it has been answered."""
    draw = random.Random(1)
    with recording(STATIC, tmp_path, "a.y4m") as running:
        running.wait_for_bytes("a.y4m")
        stderr = running.process.stderr
        assert stderr is not None
        for _ in range(150):
            running.process.send_signal(signal.SIGUSR1)
            until = time.perf_counter() + draw.uniform(0, 4e-4)
            while time.perf_counter() < until:
                pass
            running.process.send_signal(signal.SIGUSR2)
            ready, _, _ = select.select([stderr], [], [], SOON)
            assert ready
            assert stderr.readline().startswith(b"wayshot: still: a-")
        running.told(signal.SIGINT)


def test_many_signals_at_once_do_no_harm(tmp_path: Path) -> None:
    with recording(moving(), tmp_path, "a.y4m") as running:
        running.wait_for_bytes("a.y4m")
        for _ in range(200):
            running.process.send_signal(signal.SIGUSR1)
            time.sleep(0.002)
        result = running.told(signal.SIGINT)
    assert result.code == 0
    numbers = result.counters()
    assert_in_order(numbers)
    assert len(numbers) == result.whole_statistics.written


# A second one. (One of a reader that is stuck is in test_record_readers.py.)


def test_a_second_signal_while_an_encoder_finishes_ends_at_once(tmp_path: Path) -> None:
    """An ffmpeg that never does."""
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\ncat >/dev/null\nexec sleep 20\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    arguments = ("--encoder", "ffmpeg", "a.mp4")
    with recording(STATIC, tmp_path, *arguments, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}) as one:
        one.wait_until(lambda: one.compositor.count(FRAME, "copy_with_damage") > 0)
        time.sleep(0.2)
        one.send(signal.SIGINT)
        time.sleep(0.7)
        assert one.process.poll() is None
        one.send(signal.SIGINT)
        result = one.result(SOON, may_leak=True)
    assert (result.code, result.stderr) == (130, "")
