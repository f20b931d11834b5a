"""An ffmpeg that starts slowly, never reads, stops reading, or is ended by somebody else."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import probe
from tests.fake import Config, Output
from tests.faults.recording import FRAME, SOON, STATIC, Recording, moving, recording
from tests.processes import is_running

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

LARGE = Config((Output(width=1024, height=768),), idle=True)
"""A screen of which no frame goes into a pipe as a whole."""

START_UP = 10
"""Seconds that ffmpeg may take to start."""

STUCK = 5.0
"""Seconds after which a recording whose ffmpeg is stuck must have ended, beside those."""

NEVER_READS = "exec sleep 600"


def by_ffmpeg(
    config: Config, folder: Path, script: str, *arguments: str
) -> AbstractContextManager[Recording]:
    """Record through a script that is found as ffmpeg, and notes its process in ``pid``."""
    programs = folder / "programs"
    work = folder / "work"
    programs.mkdir(parents=True)
    work.mkdir()
    (programs / "ffmpeg").write_text(f"#!/bin/sh\necho $$ >{programs}/pid\n{script}\n")
    (programs / "ffmpeg").chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    return recording(config, work, "--encoder", "ffmpeg", *arguments, env={"PATH": path})


def pid_of(folder: Path) -> int:
    """Return the process of the ffmpeg, 0 before it runs."""
    try:
        return int((folder / "programs" / "pid").read_text() or 0)
    except FileNotFoundError:
        return 0


def name_of(pid: int) -> str:
    """Return what a process has become by its last exec, nothing for 0."""
    return Path(f"/proc/{pid}/comm").read_text().rstrip() if pid else ""


def assert_ended(folder: Path) -> None:
    """Check that the ffmpeg is no more, or is not for long."""
    deadline = time.monotonic() + SOON
    while is_running(pid_of(folder)):
        assert time.monotonic() < deadline, "it is left"
        time.sleep(0.01)


@pytest.mark.parametrize("config", [STATIC, LARGE, moving(30)], ids=["small", "large", "moving"])
def test_a_start_that_takes_longer_than_the_recording_costs_no_frame(
    config: Config, tmp_path: Path
) -> None:
    script = 'sleep 1.5; PATH="${PATH#*:}"; exec ffmpeg "$@"'
    # So few of them that a busy machine encodes them in the half second that is left then.
    arguments = ("--encoder-args", "-preset ultrafast", "-r", "6", "--duration", "1", "a.mp4")
    with by_ffmpeg(config, tmp_path, script, *arguments) as running:
        result = running.result()
    assert (result.code, result.words) == (0, "")
    assert result.whole_statistics.written == 6
    assert len(probe.packets(tmp_path / "work" / "a.mp4")) == 6


def test_an_ffmpeg_that_fails_after_a_while_is_told_with_its_words(tmp_path: Path) -> None:
    with by_ffmpeg(STATIC, tmp_path, "sleep 1; echo no GPU >&2; exit 1", "a.mp4") as running:
        result = running.result(START_UP)
    assert result.code == 1
    assert "ffmpeg failed: no GPU" in result.complaint


def test_an_ffmpeg_that_never_reads_is_given_up(tmp_path: Path) -> None:
    """Be all that it was given in the pipe, or not."""
    folders = {config: tmp_path / name for name, config in (("a", STATIC), ("b", LARGE))}
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                by_ffmpeg(config, folder, NEVER_READS, "--duration", "0.1", "a.mp4")
            )
            for config, folder in folders.items()
        ]
        results = [one.result(START_UP + STUCK + SOON) for one in running]
    for result, folder in zip(results, folders.values(), strict=True):
        assert result.code == 1
        assert "'a.mp4': ffmpeg does not read" in result.complaint
        assert result.files == []
        assert_ended(folder)


@pytest.mark.parametrize("config", [STATIC, LARGE], ids=["small", "large"])
def test_two_interrupts_end_a_recording_whose_ffmpeg_never_reads_at_once(
    config: Config, tmp_path: Path
) -> None:
    with by_ffmpeg(config, tmp_path, NEVER_READS, "a.mp4") as running:
        running.wait_until(lambda: pid_of(tmp_path) > 0)
        time.sleep(0.5)
        running.send(signal.SIGINT)
        time.sleep(1)
        assert running.process.poll() is None, "it might start yet"
        running.send(signal.SIGINT)
        result = running.result(START_UP / 2, may_leak=True)  # before ffmpeg would be given up
    assert (result.code, result.stderr, result.files) == (130, "", [])
    assert_ended(tmp_path)


def test_an_interrupt_ends_a_recording_whose_ffmpeg_never_reads(tmp_path: Path) -> None:
    with by_ffmpeg(LARGE, tmp_path, NEVER_READS, "a.mp4") as running:
        running.wait_until(lambda: pid_of(tmp_path) > 0)
        time.sleep(0.5)
        running.send(signal.SIGINT)
        result = running.result(START_UP + STUCK)
    assert (result.code, result.stderr, result.files) == (130, "", [])
    assert_ended(tmp_path)


@pytest.mark.parametrize("is_stopped", [False, True], ids=["runs", "is stopped"])
def test_an_ffmpeg_that_stops_reading_does_not_hold_an_interrupt_up(
    tmp_path: Path, *, is_stopped: bool
) -> None:
    script = f"head -c 9000000 >/dev/null; {NEVER_READS}"
    with by_ffmpeg(LARGE, tmp_path, script, "a.mp4") as running:
        running.wait_until(lambda: name_of(pid_of(tmp_path)) == "sleep")
        if is_stopped:
            os.kill(pid_of(tmp_path), signal.SIGSTOP)
        running.send(signal.SIGINT)
        result = running.result(STUCK)
    assert result.code == 1
    assert "ffmpeg does not read" in result.complaint
    assert_ended(tmp_path)


def test_an_ffmpeg_that_is_stopped_for_a_while_goes_on(tmp_path: Path) -> None:
    script = 'PATH="${PATH#*:}"; exec ffmpeg "$@"'
    with by_ffmpeg(moving(30), tmp_path, script, "--duration", "3", "a.mkv") as running:
        running.wait_until(lambda: name_of(pid_of(tmp_path)) == "ffmpeg")
        time.sleep(0.5)
        os.kill(pid_of(tmp_path), signal.SIGSTOP)
        time.sleep(1)
        os.kill(pid_of(tmp_path), signal.SIGCONT)
        result = running.result()
    assert (result.code, result.words) == (0, "")
    packets = probe.packets(tmp_path / "work" / "a.mkv")
    assert len(packets) == result.whole_statistics.written >= 30


def test_nothing_is_left_of_a_name_that_was_taken_for_an_ffmpeg_that_fails(
    tmp_path: Path,
) -> None:
    with by_ffmpeg(STATIC, tmp_path, "exit 1", "--no-clobber", "a.mp4") as running:
        result = running.result()
    assert (result.code, result.files) == (1, [])


@pytest.mark.parametrize("name", ["a.y4m", "a.mp4", "a.gif", "by ffmpeg.mp4"])
def test_a_folder_that_is_removed_meanwhile_is_missed(name: str, tmp_path: Path) -> None:
    arguments = ("--encoder", "ffmpeg") if "ffmpeg" in name else ()
    folder = tmp_path / "folder"
    folder.mkdir()
    with recording(STATIC, tmp_path, *arguments, f"folder/{name}") as running:
        running.compositor.wait_for(FRAME, "copy_with_damage")
        if not name.endswith("gif"):
            running.wait_until((folder / name).exists)
        shutil.rmtree(folder)
        running.send(signal.SIGINT)
        result = running.result()
    assert (result.code, result.files) == (1, [])
    assert f"cannot write 'folder/{name}': No such file" in result.complaint
