"""Failure, silence, hang-up, error and endless talk in the middle of a recording."""

from __future__ import annotations

import itertools
import signal
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests import probe
from tests.fake import Config, Fault, Step, faults
from tests.fake.film import SECOND, backwards, far, zero
from tests.faults.command import TIMEOUT
from tests.faults.recording import (
    SOON,
    STATIC,
    Result,
    assert_in_order,
    moving,
    once,
    record,
    record_at_once,
    recording,
)

if TYPE_CHECKING:
    from pathlib import Path


SHORTLY = ("-r", "30", "--duration", "1.2", "a.y4m")
"""Thirty-six frames."""

SLOW = 10
"""Pictures a second that any machine keeps up with."""

LATER = 8
"""Frames that come before anything happens."""

STEPS = [Step.BUFFER, Step.BUFFER_DONE, Step.OFFERED, Step.FLAGS, Step.READY]


def with_fault(fault: Fault, config: Config | None = None) -> Config:
    """Return a screen that moves, of which a later frame goes wrong."""
    return replace(config or moving(), faults=(fault,))


def assert_complete(result: Result, rate: int = 30) -> list[int]:
    """Check that all frames that were recorded are in the file; return their numbers."""
    numbers = result.counters()
    assert len(numbers) == result.statistics.written
    assert abs(result.slots - result.statistics.seconds * rate) <= 0.51
    assert_in_order(numbers)
    return numbers


def assert_broken_off(result: Result, *words: str) -> None:
    """Check that a recording ended with an error, and a file of all that came before it."""
    assert result.code == 1, result.stderr
    for word in words:
        assert word in result.complaint
    numbers = assert_complete(result)
    assert numbers[-1] - numbers[0] >= 2


def test_a_frame_that_fails_once_costs_nothing_but_itself(tmp_path: Path) -> None:
    cases = {step.name: with_fault(once(step, faults.failed, skip=LATER)) for step in STEPS}
    for result in record_at_once(cases, tmp_path, *SHORTLY).values():
        assert result.code == 0, result.stderr
        assert result.words == ""
        numbers = assert_complete(result)
        assert result.slots == 36
        assert numbers[-1] - numbers[0] >= 20, "it goes on"


def assert_waited(result: Result) -> None:
    """Check that a recording went on until the timeout, and not much longer."""
    assert TIMEOUT <= result.statistics.seconds < TIMEOUT + SOON


def test_frames_that_fail_for_ever_end_it_at_the_timeout(tmp_path: Path) -> None:
    cases = {
        step.name: with_fault(Fault(step, faults.failed, skip=LATER))
        for step in (Step.BUFFER, Step.OFFERED, Step.READY)
    }
    for result in record_at_once(cases, tmp_path, "-r", "30", "a.y4m", timeout=TIMEOUT).values():
        assert_broken_off(result, "'FAKE-1'", "failed")
        assert_waited(result)


@pytest.mark.parametrize("action", [faults.withhold, faults.fall_silent])
def test_silence_where_an_answer_is_owed_ends_it_at_the_timeout(
    action: faults.Action, tmp_path: Path
) -> None:
    cases = {
        step.name: with_fault(Fault(step, action, skip=LATER))
        for step in (Step.BUFFER, Step.BUFFER_DONE)
    }
    for result in record_at_once(cases, tmp_path, "-r", "30", "a.y4m", timeout=TIMEOUT).values():
        assert_broken_off(result, "'FAKE-1'", "did not answer in time")
        assert_waited(result)


def test_silence_where_a_change_is_awaited_is_an_idle_screen(tmp_path: Path) -> None:
    cases = {
        step.name: with_fault(Fault(step, faults.fall_silent, skip=LATER))
        for step in (Step.FLAGS, Step.READY)
    }
    duration = ("-r", "30", "--duration", str(1.5 * TIMEOUT))
    for result in record_at_once(cases, tmp_path, *duration, "a.y4m", timeout=TIMEOUT).values():
        assert result.code == 0, result.stderr
        assert result.words == ""
        assert_complete(result)
        assert result.slots == 45


def test_a_failure_long_after_another_is_the_first_again(tmp_path: Path) -> None:
    failures = tuple(
        once(Step.READY, faults.failed, skip=skip) for skip in (LATER, round(100 * TIMEOUT))
    )
    config = replace(moving(), faults=failures)
    duration = ("-r", "30", "--duration", str(2 * TIMEOUT))
    result = record(config, tmp_path, *duration, "a.y4m", timeout=TIMEOUT)
    assert result.code == 0, result.stderr
    assert_complete(result)
    assert result.slots == 60


def test_silence_where_nobody_asked_for_a_change_ends_it_at_the_timeout(tmp_path: Path) -> None:
    config = with_fault(Fault(Step.READY, faults.withhold, skip=LATER))
    result = record(config, tmp_path, "--no-damage", "-r", "30", "a.y4m", timeout=TIMEOUT)
    assert_broken_off(result, "'FAKE-1'", "did not answer in time")
    assert_waited(result)


def test_a_compositor_that_takes_its_time_costs_nothing_but_that(tmp_path: Path) -> None:
    config = with_fault(once(Step.BUFFER, faults.dozing(0.4 * TIMEOUT), skip=LATER))
    result = record(config, tmp_path, *SHORTLY)
    assert result.code == 0, result.stderr
    assert_complete(result)
    assert result.slots == 36


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (faults.hang_up, "closed the connection"),
        (faults.hang_up_midway, "closed the connection"),
        (faults.protocol_error, "error 77"),
    ],
)
def test_the_end_of_the_connection_is_told_at_once(
    action: faults.Action, words: str, tmp_path: Path
) -> None:
    cases = {step.name: with_fault(Fault(step, action, skip=LATER)) for step in STEPS}
    results = record_at_once(cases, tmp_path, "-r", "30", "a.y4m")
    for result in results.values():
        assert_broken_off(result, words)


def test_a_hang_up_during_a_pause_is_told_at_once(tmp_path: Path) -> None:
    with recording(STATIC, tmp_path, "-r", "30", "a.y4m") as running:
        running.wait_for_bytes("a.y4m")
        running.send(signal.SIGUSR1)
        time.sleep(0.2)
        running.compositor.hang_up()
        result = running.result(SOON)
    assert result.code == 1
    assert "closed the connection" in result.complaint
    assert len(result.stream()[1]) == result.statistics.written


@pytest.mark.parametrize(
    "change",
    [
        faults.without_last_word,
        faults.with_size(4),
        faults.with_opcode(99),
        faults.with_size(60_000),
    ],
    ids=["a word short", "no size", "no such event", "an endless size"],
)
def test_what_is_not_wayland_ends_it(change: faults.Change, tmp_path: Path) -> None:
    config = with_fault(Fault(Step.READY, faults.garbling(change), skip=LATER))
    # Of a connection that is no more nothing can be destroyed.
    result = record(config, tmp_path, "-r", "30", "a.y4m", may_leak=True)
    assert_broken_off(result, "not Wayland")


def test_impossible_buffers_end_it_at_the_timeout(tmp_path: Path) -> None:
    offers = {
        "no width": (1, 0, 48, 256),
        "no height": (1, 64, 0, 256),
        "a short stride": (1, 64, 48, 8),
        "beyond all measure": (1, 2**31, 2**31, 2**32 - 1),
    }
    cases = {
        name: with_fault(Fault(Step.BUFFER, faults.saying_instead("buffer", *offer), skip=LATER))
        for name, offer in offers.items()
    }
    for result in record_at_once(cases, tmp_path, "-r", "30", "a.y4m", timeout=TIMEOUT).values():
        assert_broken_off(result, "impossible")
        assert_waited(result)


def test_a_format_that_nobody_knows_ends_it(tmp_path: Path) -> None:
    action = faults.saying_instead("buffer", 0x3F3F3F3F, 64, 48, 256)
    config = with_fault(Fault(Step.BUFFER, action, skip=LATER))
    result = record(config, tmp_path, "-r", "30", "a.y4m")
    assert result.code == 4
    assert "0x3f3f3f3f" in result.complaint
    assert_complete(result)


def test_a_frame_that_is_ready_before_it_was_copied_ends_it(tmp_path: Path) -> None:
    action = faults.saying_first("ready", 0, 1, 0)
    config = with_fault(Fault(Step.BUFFER, action, skip=LATER))
    result = record(config, tmp_path, "-r", "30", "a.y4m", timeout=TIMEOUT)
    assert_broken_off(result, "never copied")


# Stamps.


STAMPS = {"zero": zero, "backwards": backwards, "far": far}


def test_stamps_that_are_worth_nothing_change_neither_order_nor_duration(tmp_path: Path) -> None:
    cases = {name: moving(stamp=stamp) for name, stamp in STAMPS.items()}
    for result in record_at_once(cases, tmp_path, *SHORTLY).values():
        assert result.code == 0, result.stderr
        numbers = assert_complete(result)
        assert result.slots == 36
        assert numbers[-1] - numbers[0] >= 20


def test_files_whose_stamps_are_worth_nothing_have_their_duration(tmp_path: Path) -> None:
    cases = {name: moving(stamp=stamp) for name, stamp in STAMPS.items()}
    for result in record_at_once(cases, tmp_path, "--duration", "1.2", "a.mkv").values():
        assert result.code == 0, result.stderr
        path = result.folder / "a.mkv"
        assert abs(probe.duration(path) - 1.2) < 0.05
        times = [packet.pts for packet in probe.packets(path)]
        assert len(times) > 5
        assert all(a < b for a, b in itertools.pairwise(times))


def test_a_stamp_of_the_future_does_not_hold_the_recording_up(tmp_path: Path) -> None:
    """Each frame is stamped with the time at which it will be seen."""
    ahead = moving(stamp=lambda time_ns, _number: time_ns + SECOND // 20)
    result = record(ahead, tmp_path, *SHORTLY)
    assert result.code == 0, result.stderr
    assert result.elapsed < 1.2 + 2 * SOON
    assert_complete(result)
    assert result.slots == 36


# Versions of the protocol.


VERSIONS = [1, 2, 3]


@pytest.mark.parametrize("arguments", [(), ("--no-damage",)], ids=["damage", "no damage"])
def test_each_version_records_the_same(arguments: tuple[str, ...], tmp_path: Path) -> None:
    asked: Counter[int] = Counter()

    def count(moment: faults.Moment) -> bool:
        asked[moment.resource.version] += moment.resource.with_damage  # type: ignore[attr-defined]
        return True

    cases = {
        f"version {version}": replace(
            with_fault(Fault(Step.FLAGS, count), moving(SLOW)), screencopy_version=version
        )
        for version in VERSIONS
    }
    # How many of the pictures differ, is a busy machine's to say, and test_record_pace's to ask.
    second = ("-r", str(SLOW), "--duration", "1", "a.y4m")
    for result in record_at_once(cases, tmp_path, *arguments, *second).values():
        assert result.code == 0, result.stderr
        numbers = assert_complete(result, SLOW)
        assert result.slots == SLOW
        assert numbers[-1] > numbers[0]
    damage = [version for version in VERSIONS if asked[version]]
    assert damage == ([] if arguments else [2, 3])


def test_without_damage_a_static_screen_is_true_to_the_clock_as_well(tmp_path: Path) -> None:
    cases = {
        f"version {version}": replace(STATIC, screencopy_version=version) for version in VERSIONS
    }
    arguments = ("--no-damage", "--duration", "0.5", "a.y4m")
    for result in record_at_once(cases, tmp_path, *arguments).values():
        assert result.code == 0, result.stderr
        assert len(result.stream()[1]) == result.statistics.written
        assert result.slots == 30


# Endless talk.


def test_a_flood_of_damage_costs_neither_memory_nor_frames(tmp_path: Path) -> None:
    """A thousand frames a second, of a screen that says it has sixty."""
    config = moving(1000, said=60)
    with recording(config, tmp_path, "-r", "30", "--duration", "3", "a.y4m") as running:
        running.wait_for_bytes("a.y4m", 4615 * 10)
        before = running.memory()
        running.wait_for_bytes("a.y4m", 4615 * 45)
        after = running.memory()
        result = running.result()
    assert result.code == 0, result.stderr
    assert_complete(result)
    assert result.slots == 90
    assert abs(after - before) < 1_500_000
    assert result.cpu < 0.95 * result.elapsed


@pytest.mark.parametrize("arguments", [("--duration", "0.6"), ()], ids=["duration", "interrupt"])
def test_a_flood_of_other_events_does_not_hold_the_end_up(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    flooded = Fault(Step.READY, faults.flood, skip=LATER)
    config = replace(moving(), faults=(flooded, Fault(Step.READY, faults.withhold, skip=LATER)))
    with recording(config, tmp_path, "-r", "30", *arguments, "a.y4m") as running:
        if not arguments:
            running.wait_for_bytes("a.y4m", 4615 * 6)
            running.send(signal.SIGINT)
        result = running.result()
    assert result.code == 0, result.stderr
    assert result.words == ""
    assert_complete(result)
    if arguments:
        assert result.slots == 18
