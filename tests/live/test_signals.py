"""Interruptions: at any moment, and there is a whole picture or none."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.live.command import PATIENCE, frozen, read, start, wayshot
from tests.stage import Output, Sway

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

MOMENTS = 25
"""How many moments of a shot's life are tried for each signal."""

PROMPT = 10.0
"""Seconds within which a waiting command must give way."""

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}


@pytest.fixture(scope="module")
def sway() -> Iterator[Sway]:
    """Show noise: it takes long to compress and cannot be confused with anything."""
    noise = np.random.default_rng(1).integers(0, 256, (1000, 1400, 3), np.uint8)
    with Sway(Output(1400, 1000, background=noise)) as sway:
        yield sway


@pytest.mark.parametrize("number", STATUS)
class TestWaiting:
    """Wherever the command may wait for long, a signal ends it at once, without a traceback."""

    def test_for_the_compositor(self, sway: Sway, tmp_path: Path, number: signal.Signals) -> None:
        """The compositor hangs."""
        with frozen(sway), start(sway, "--timeout", "60", tmp_path / "a.png") as process:
            _wait_until_asleep(process)
            process.send_signal(number)
            _, stderr = process.communicate(timeout=PROMPT)
        assert process.returncode == STATUS[number]
        assert b"Traceback" not in stderr
        assert not list(tmp_path.iterdir())

    def test_for_a_reader_of_a_fifo(
        self, sway: Sway, tmp_path: Path, number: signal.Signals
    ) -> None:
        """Nobody opens the other end."""
        os.mkfifo(tmp_path / "fifo.png")
        with start(sway, tmp_path / "fifo.png") as process:
            _wait_until_asleep(process)
            process.send_signal(number)
            _, stderr = process.communicate(timeout=PROMPT)
        assert process.returncode == STATUS[number]
        assert b"Traceback" not in stderr

    def test_for_a_pipe_to_drain(self, sway: Sway, number: signal.Signals) -> None:
        """The reader takes nothing; the picture is larger than the pipe."""
        with start(sway, "-t", "ppm", "-") as process:
            assert process.stdout
            assert process.stdout.read(1)
            _wait_until_asleep(process)
            process.send_signal(number)
            deadline = time.monotonic() + PROMPT
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            ended = process.poll()
            process.kill()
            assert process.stderr
            stderr = process.stderr.read()
        assert ended == STATUS[number]
        assert b"Traceback" not in stderr


def test_while_another_library_encodes(tmp_path: Path) -> None:
    """Pillow takes seconds over noise in 4K, and comes back to Python only at the end."""
    noise = np.random.default_rng(1).integers(0, 256, (2160, 3840, 3), np.uint8)
    others = os.times().children_user
    with (
        Sway(Output(3840, 2160, background=noise)) as sway,
        start(sway, "-v", "-q", "100", tmp_path / "a.avif") as process,
    ):
        assert process.stderr
        while b" captured as " not in (line := process.stderr.readline()):
            assert line, "no picture was captured"
        time.sleep(0.3)
        assert process.poll() is None
        before = _processor_time(process)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE)
        # Of the processor's time: a busy machine gives little of it.
        assert os.times().children_user - others - before < 2
    assert (process.returncode, stderr) == (STATUS[signal.SIGINT], b"")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [*STATUS, signal.SIGKILL])
@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_at_any_moment(
    sway: Sway, tmp_path: Path, number: signal.Signals, *, existing: bool
) -> None:
    """The file is whole, or what it was; the status says which; nothing lies beside it."""
    path = tmp_path / "a.png"
    before = time.monotonic()
    assert wayshot(sway, path).returncode == 0
    duration = time.monotonic() - before
    picture = read(path)
    statuses = set()
    moments = np.linspace(0, 2 * duration, MOMENTS)
    later = moments[-1] * 2.0 ** np.arange(1, 6)  # where it has become slower meanwhile
    for moment in (*moments, *later):
        if moment in later and 0 in statuses:
            break
        path.unlink()
        if existing:
            path.write_text("old")
        process = start(sway, path)
        time.sleep(float(moment))
        process.send_signal(number)
        _, stderr = process.communicate(timeout=PATIENCE)
        # No traceback once main has begun.
        assert not re.search(rb'wayshot_cli/__main__\.py", line \d+, in main\n', stderr)
        # What else is said is Python's, which catches the signal while it starts, and may take what
        # comes of that for another error.
        if not stderr or stderr.startswith(b"wayshot: "):
            statuses.add(process.returncode)
        if process.returncode == 0 or (path.exists() and path.read_bytes() != b"old"):
            assert np.array_equal(read(path), picture)
        elif existing:
            assert path.read_bytes() == b"old"
        if number == signal.SIGKILL:  # a temporary file may outlive what nothing can catch
            for other in tmp_path.iterdir():
                assert other == path or existing
                if other != path:
                    other.unlink()
        assert {entry.name for entry in tmp_path.iterdir()} <= {"a.png"}
        path.touch()
    # Before Python runs a line of ours, the signal itself ends it: the shell's 128 + n.
    assert statuses <= {0, -number, STATUS.get(number, -number)}
    assert statuses > {0}


def _processor_time(process: subprocess.Popen[bytes]) -> float:
    """Return the seconds that the process has computed so far, see proc(5)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


def _wait_until_asleep(process: subprocess.Popen[bytes]) -> None:
    """Wait until the process sleeps and has used no processor time for a while, see proc(5)."""
    deadline = time.monotonic() + PATIENCE
    before = ("", "", "")
    while time.monotonic() < deadline:
        time.sleep(0.3)
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        state, user_time, system_time = fields[0], fields[11], fields[12]
        assert state != "Z", "the command ended instead of waiting"
        if (state, user_time, system_time) == before and state == "S":
            return
        before = (state, user_time, system_time)
    pytest.fail(f"the command still works after {PATIENCE} s")
