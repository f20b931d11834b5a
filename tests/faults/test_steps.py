"""Failure, silence, hang-up, error and endless talk at every step of a session."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.fake import Config, FakeCompositor, Fault, Step, faults
from tests.faults.command import (
    LIMIT,
    LONG,
    TIMEOUT,
    assert_failed,
    assert_shot,
    assert_told_at_once,
    assert_waited,
    picture_of,
    shoot,
    wayshot,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LISTING = "globals"
OUTPUTS = "output"
CAPTURING = "'FAKE-1'"

# What the complaint must name when the session breaks off at a step.
NAMED = {
    Step.ACCEPT: LISTING,
    Step.GLOBALS: LISTING,
    Step.SYNC: LISTING,
    Step.SHM_FORMATS: OUTPUTS,
    Step.OUTPUT: OUTPUTS,
    Step.OUTPUT_DONE: OUTPUTS,
    Step.XDG_OUTPUT: OUTPUTS,
    Step.BUFFER: CAPTURING,
    Step.BUFFER_DONE: CAPTURING,
    Step.OFFERED: CAPTURING,
    Step.FLAGS: CAPTURING,
    Step.READY: CAPTURING,
}
FRAME_STEPS = [Step.BUFFER, Step.BUFFER_DONE, Step.OFFERED, Step.FLAGS, Step.READY]


@pytest.mark.parametrize("step", NAMED)
def test_silence_ends_at_the_timeout_and_the_step_is_named(step: Step, tmp_path: Path) -> None:
    result = shoot(Config(faults=(Fault(step, faults.fall_silent),)), tmp_path, timeout=TIMEOUT)
    assert_failed(result, 1, NAMED[step])
    assert_waited(result)


@pytest.mark.parametrize("step", [Step.SYNC, Step.BUFFER, Step.BUFFER_DONE, Step.FLAGS, Step.READY])
def test_one_missing_answer_ends_at_the_timeout(step: Step, tmp_path: Path) -> None:
    result = shoot(Config(faults=(Fault(step, faults.withhold),)), tmp_path, timeout=TIMEOUT)
    assert_failed(result, 1, NAMED[step])
    assert_waited(result)


def test_a_later_sync_without_an_answer_ends_at_the_timeout(tmp_path: Path) -> None:
    config = Config(faults=(Fault(Step.SYNC, faults.withhold, skip=1),))
    result = shoot(config, tmp_path, timeout=TIMEOUT)
    assert_failed(result, 1, OUTPUTS)
    assert_waited(result)


@pytest.mark.parametrize("version", [1, 2])
def test_old_versions_without_a_buffer_event_end_at_the_timeout(
    version: int, tmp_path: Path
) -> None:
    config = Config(screencopy_version=version, faults=(Fault(Step.BUFFER, faults.withhold),))
    result = shoot(config, tmp_path, timeout=TIMEOUT)
    assert_failed(result, 1, CAPTURING)
    assert_waited(result)


@pytest.mark.parametrize("step", [Step.SHM_FORMATS, Step.OUTPUT, Step.OUTPUT_DONE, Step.XDG_OUTPUT])
def test_what_a_picture_does_not_need_may_be_missing(step: Step, tmp_path: Path) -> None:
    config = Config(faults=(Fault(step, faults.withhold),))
    assert_shot(shoot(config, tmp_path), picture_of(config))


def test_no_globals_at_all_is_a_compositor_that_cannot_do_it(tmp_path: Path) -> None:
    config = Config(faults=(Fault(Step.GLOBALS, faults.withhold),))
    assert_failed(shoot(config, tmp_path), 4, "zwlr_screencopy_manager_v1")


@pytest.mark.parametrize(
    ("missing", "interface"),
    [
        (Config(screencopy_version=0), "zwlr_screencopy_manager_v1"),
        (Config(wl_shm_version=0), "wl_shm"),
    ],
    ids=["no screencopy", "no wl_shm"],
)
@pytest.mark.parametrize("backend", ["auto", "screencopy"])
def test_a_missing_global_is_named(
    missing: Config, interface: str, backend: str, tmp_path: Path
) -> None:
    assert_failed(shoot(missing, tmp_path, "--backend", backend), 4, interface)


@pytest.mark.parametrize("action", [faults.flood, faults.trickle])
@pytest.mark.parametrize("step", NAMED)
def test_endless_talk_does_not_hold_the_timeout_up(
    step: Step, action: faults.Action, tmp_path: Path
) -> None:
    faulty = [Fault(step, action), Fault(Step.READY, faults.withhold)]
    if step in {Step.ACCEPT, Step.GLOBALS}:
        faulty.append(Fault(Step.SYNC, faults.withhold))
    if step in {Step.SHM_FORMATS, Step.OUTPUT, Step.OUTPUT_DONE, Step.XDG_OUTPUT}:
        faulty.append(Fault(Step.SYNC, faults.withhold, skip=1))
    result = shoot(Config(faults=tuple(faulty)), tmp_path, timeout=TIMEOUT)
    assert_failed(result, 1, NAMED[step])
    assert TIMEOUT <= result.elapsed < LIMIT


@pytest.mark.parametrize("action", [faults.hang_up, faults.hang_up_midway, faults.protocol_error])
@pytest.mark.parametrize("step", NAMED)
def test_the_end_of_the_connection_is_told_at_once(
    step: Step, action: faults.Action, tmp_path: Path
) -> None:
    result = shoot(Config(faults=(Fault(step, action),)), tmp_path, timeout=LONG)
    assert_failed(result, 1, NAMED[step])
    assert_told_at_once(result)


@pytest.mark.parametrize(
    ("step", "interface"),
    [
        (Step.GLOBALS, "wl_registry"),
        (Step.OUTPUT, "wl_output"),
        (Step.BUFFER, "zwlr_screencopy_frame_v1"),
        (Step.READY, "zwlr_screencopy_frame_v1"),
    ],
)
def test_a_protocol_error_names_the_interface_and_the_code(
    step: Step, interface: str, tmp_path: Path
) -> None:
    result = shoot(Config(faults=(Fault(step, faults.protocol_error),)), tmp_path)
    assert_failed(result, 1, interface, "77")


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("step", FRAME_STEPS)
def test_failed_is_legal_at_each_step(step: Step, version: int, tmp_path: Path) -> None:
    config = Config(screencopy_version=version, faults=(Fault(step, faults.failed),))
    result = shoot(config, tmp_path, timeout=LONG)
    assert_failed(result, 1, CAPTURING, "failed")
    assert_told_at_once(result)


def test_failed_may_be_said_twice(tmp_path: Path) -> None:
    twice = (Fault(Step.FLAGS, faults.saying_first("failed")), Fault(Step.FLAGS, faults.failed))
    result = shoot(Config(faults=twice), tmp_path, timeout=LONG)
    assert_failed(result, 1, CAPTURING)
    assert_told_at_once(result)


@pytest.mark.parametrize("action", [faults.fall_silent, faults.hang_up])
def test_what_happens_after_ready_changes_nothing(action: faults.Action, tmp_path: Path) -> None:
    config = Config(faults=(Fault(Step.AFTER_READY, action),))
    assert_shot(shoot(config, tmp_path), picture_of(config))


def test_a_delay_lies_between_the_outputs_and_the_capture(tmp_path: Path) -> None:
    times: dict[Step, float] = {}

    def note(moment: faults.Moment) -> bool:
        times[moment.step] = time.monotonic()
        return True

    config = Config(faults=(Fault(Step.OUTPUT, note), Fault(Step.BUFFER, note)))
    assert_shot(shoot(config, tmp_path, "-d", "0.5"), picture_of(config))
    assert times[Step.BUFFER] - times[Step.OUTPUT] >= 0.5


def test_what_is_not_there_is_told_before_the_delay(tmp_path: Path) -> None:
    result = shoot(Config(), tmp_path, "-d", "60", "-o", "TYPO")
    assert_failed(result, 5, "TYPO")
    assert_told_at_once(result)


def test_a_hang_up_during_the_delay_is_told_at_once(tmp_path: Path) -> None:
    def leave(moment: faults.Moment) -> bool:
        moment.compositor.later(1, moment.client.close)  # the outputs are known by then
        return True

    config = Config(faults=(Fault(Step.SYNC, leave, skip=1),))
    result = shoot(config, tmp_path, "-d", "60", timeout=LONG)
    assert_failed(result, 1, "closed the connection while waiting")
    assert_told_at_once(result)


def test_an_interrupt_ends_the_delay(tmp_path: Path) -> None:
    with FakeCompositor() as compositor:
        command = [sys.executable, "-m", "wayshot_cli", "-d", "60", "shot.png"]
        with subprocess.Popen(
            command, env=compositor.env, cwd=tmp_path, stderr=subprocess.PIPE
        ) as process:
            compositor.wait_for("wl_display", "sync", 2)
            time.sleep(0.3)  # the outputs are known by now
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=LONG)
        assert compositor.count("zwlr_screencopy_manager_v1", "capture_output") == 0
    assert (process.returncode, stderr) == (130, b"")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("spare", range(5))
def test_too_few_descriptors_are_told_as_such(spare: int, tmp_path: Path) -> None:
    """With everything loaded, so that it is ours and not Python's import that fails."""
    script = f"""
import os, resource
from wayshot_cli import cli
assert cli.run(["a.png"]) == 0
os.unlink("a.png")
first_free = os.dup(0)
os.close(first_free)
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (first_free + {spare}, most))
print(cli.run(["a.png"]))
"""
    with FakeCompositor() as compositor:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=compositor.env,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    assert done.stderr.startswith("wayshot: ")
    assert "Traceback" not in done.stderr
    assert "cannot write" not in done.stderr
    assert "not Wayland" not in done.stderr
    assert "Too many open files" in done.stderr
    assert done.stdout == "1\n"
    assert not list(tmp_path.iterdir())


def test_a_compositor_that_never_accepts_ends_at_the_timeout(tmp_path: Path) -> None:
    result = shoot(Config(accept=False), tmp_path, timeout=TIMEOUT)
    assert_failed(result, 1, LISTING)
    assert_waited(result)


@contextlib.contextmanager
def full_backlog(compositor: FakeCompositor) -> Iterator[None]:
    """Connect until the kernel takes no more."""
    with contextlib.ExitStack() as stack:
        while True:
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)  # noqa: FBT003, positional only
            try:
                waiting.connect(str(compositor.socket_path))
            except BlockingIOError:
                break
        yield


def test_a_full_backlog_ends_at_the_timeout(tmp_path: Path) -> None:
    with FakeCompositor(Config(accept=False)) as compositor, full_backlog(compositor):
        result = wayshot(compositor, tmp_path, "--timeout", str(TIMEOUT), "shot.png")
    assert_failed(result, 1, str(compositor.socket_path))
    assert_waited(result)


def test_a_socket_that_nobody_listens_on_is_no_compositor(tmp_path: Path) -> None:
    with FakeCompositor() as compositor, socket.socket(socket.AF_UNIX) as stale:
        compositor.env["WAYLAND_DISPLAY"] = str(compositor.directory / "stale")
        stale.bind(compositor.env["WAYLAND_DISPLAY"])
        result = wayshot(compositor, tmp_path, "shot.png")
        assert_failed(result, 4, compositor.env["WAYLAND_DISPLAY"])


def test_a_socket_that_is_not_there_is_no_compositor(tmp_path: Path) -> None:
    with FakeCompositor() as compositor:
        compositor.env["WAYLAND_DISPLAY"] = "wayland-77"
        assert_failed(wayshot(compositor, tmp_path, "shot.png"), 4, "wayland-77")


@pytest.mark.parametrize("step", FRAME_STEPS)
def test_each_frame_is_destroyed_however_it_ends(step: Step, tmp_path: Path) -> None:
    with FakeCompositor(Config(faults=(Fault(step, faults.failed),))) as compositor:
        result = wayshot(compositor, tmp_path, "shot.png")
        assert_failed(result, 1)
        assert compositor.count("zwlr_screencopy_manager_v1", "capture_output") == 1
        assert [leak for leak in compositor.leaks if "frame" in leak] == []
