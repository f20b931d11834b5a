"""Running ``wayshot record`` against a fake compositor, and reading what it made and said."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import probe, y4m
from tests.fake import Config, FakeCompositor, Fault, Film, Output, Step, faults, read_counter
from tests.faults import command
from tests.faults.command import HARMLESS_CONTROLS, LIMIT, LONG, children_cpu
from tests.statistics import Statistics, read_statistics, without_statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANAGER = "zwlr_screencopy_manager_v1"
FRAME = "zwlr_screencopy_frame_v1"

SOON = 10.0
"""Seconds within which a recording must have ended that was told to; it should take a twentieth."""

STATIC = Config(idle=True)

_HOW_TO_READ = re.compile(r"wayshot: raw video, to be read as: ffmpeg .+ -i \.\.\.\n")


def moving(rate: int = 60, *, said: int | None = None, **output: Any) -> Config:
    """Return a screen that shows another number so many times a second, in real time."""
    refresh = 1000 * (rate if said is None else said)
    return Config((Output(film=Film(Fraction(rate)), refresh=refresh, **output),))


def once(step: Step, action: faults.Action, skip: int = 0) -> Fault:
    """Return a fault that happens at one time and not again."""
    happened: list[bool] = []

    def act(moment: faults.Moment) -> bool:
        if happened:
            return True
        happened.append(True)
        return action(moment)

    return Fault(step, act, skip=skip)


class Result(command.Result):
    """How a recording ended, and the folder that it ran in."""

    @property
    def statistics(self) -> Statistics:
        """The statistics."""
        return read_statistics(self.stderr)

    @property
    def whole_statistics(self) -> Statistics:
        """Those of a recording that was completed: nothing may be missing in their sums."""
        found = self.statistics
        found.assert_whole()
        return found

    @property
    def slots(self) -> int:
        """How many frames there should be at a constant rate; a busy machine may drop some."""
        found = self.whole_statistics
        assert found.dropped <= found.written, found
        return found.written + found.dropped

    @property
    def words(self) -> str:
        """All that was said beside the statistics and how to read raw video."""
        return _HOW_TO_READ.sub("", without_statistics(self.stderr))

    @property
    def complaint(self) -> str:
        """The one line that says what went wrong."""
        first, *hints = self.words.splitlines()
        assert first.startswith("wayshot: ")
        assert all(hint.startswith("  ") for hint in hints), self.words
        return first

    def stream(self, name: str = "a.y4m") -> tuple[y4m.Header, list[y4m.Frame]]:
        """Read a whole y4m file, strictly."""
        with (self.folder / name).open("rb") as file:
            stream = y4m.Stream(file)
            return stream.header, list(stream)

    def counters(self, name: str = "a.y4m") -> list[int]:
        """Return the numbers that its frames show."""
        return [counter(frame) for frame in self.stream(name)[1]]


def counter(frame: y4m.Frame) -> int:
    """Return the number that a frame shows."""
    return read_counter(frame.luma)


class Recording:
    """A recording that runs."""

    def __init__(  # noqa: PLR0913 - where, what, and what is different from a plain run
        self,
        compositor: FakeCompositor,
        folder: Path,
        arguments: tuple[str, ...],
        *,
        env: dict[str, str] | None = None,
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
    ) -> None:
        """Start it; ``env`` is added to the environment."""
        self.compositor = compositor
        self.folder = folder
        self._cpu = children_cpu()
        self._started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wayshot_cli", "record", *arguments],
            env=compositor.env | (env or {}),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )

    def send(self, number: int) -> None:
        """Send a signal, and wait until it is there: two of a kind might become one."""
        self.process.send_signal(number)
        deadline = time.monotonic() + LIMIT
        while self._is_pending(number):
            assert time.monotonic() < deadline, "it was not taken"
            time.sleep(0.001)

    def _is_pending(self, number: int) -> bool:
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        except OSError:
            return False  # the recording has ended
        (pending,) = re.findall(r"^ShdPnd:\s*(\w+)$", status, re.MULTILINE)
        return bool(int(pending, 16) >> number - 1 & 1)

    def wait_for_bytes(self, name: str, count: int = 1) -> None:
        """Wait until a file has that many bytes: the recording runs, signals are its own."""
        path = self.folder / name
        self.wait_until(lambda: path.exists() and path.stat().st_size >= count)

    def wait_for_another(self, name: str, frame: int) -> None:
        """Wait until raw video shows another picture than at first; a frame has so many bytes."""
        self.wait_until(lambda: probe.ends_otherwise(self.folder / name, frame))

    def wait_until(self, happened: Callable[[], bool]) -> None:
        """Wait for something, as long as the recording runs."""
        deadline = time.monotonic() + LIMIT
        while not happened():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.005)

    def memory(self) -> int:
        """Return the resident memory in bytes; see proc(5)."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * resource.getpagesize()

    def descriptors(self) -> int:
        """Return how many descriptors are open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def result(self, limit: float = LIMIT, *, may_leak: bool = False) -> Result:
        """Wait for the end; check what must hold whatever happened.

        Whoever is told to end at once may leave objects behind.
        """
        stdout, stderr = self.process.communicate(timeout=limit)
        elapsed = time.monotonic() - self._started
        said, code = stderr.decode(), self.process.returncode
        assert code >= 0, f"killed by signal {-code}: {said}"
        assert "Traceback" not in said, said
        assert "Exception" not in said, said
        controls = {c for c in said if not c.isprintable()} - HARMLESS_CONTROLS
        assert not controls, f"{controls} reached the terminal"
        self.compositor.wait_until_gone()
        assert self.compositor.violations == []
        assert may_leak or self.compositor.leaks == []
        return Result(code, stdout or b"", said, elapsed, children_cpu() - self._cpu, self.folder)

    def told(self, number: int) -> Result:
        """Send a signal that ends it, and check that it does so soon."""
        self.send(number)
        return self.result(SOON)


@contextlib.contextmanager
def recording(
    compositor: FakeCompositor | Config,
    folder: Path,
    *arguments: str,
    timeout: float = LONG,
    **popen: Any,
) -> Iterator[Recording]:
    """Start ``wayshot record ARGUMENTS`` in a folder; at the end of the block it is gone."""
    with contextlib.ExitStack() as stack:
        if isinstance(compositor, Config):
            compositor = stack.enter_context(FakeCompositor(compositor))
        words = ("--timeout", str(timeout), *arguments)
        running = Recording(compositor, folder, words, **popen)
        try:
            yield running
        finally:
            running.process.kill()
            with running.process:  # which closes its pipes and waits
                pass


def record(
    compositor: FakeCompositor | Config,
    folder: Path,
    *arguments: str,
    may_leak: bool = False,
    timeout: float = LONG,
) -> Result:
    """Run ``wayshot record ARGUMENTS`` until it ends by itself."""
    with recording(compositor, folder, *arguments, timeout=timeout) as running:
        return running.result(may_leak=may_leak)


def record_at_once(
    cases: dict[str, Config], folder: Path, *arguments: str, timeout: float = LONG
) -> dict[str, Result]:
    """Record several screens at the same time, each in a folder of its own, until all end."""
    with contextlib.ExitStack() as stack:
        running = {}
        for name, config in cases.items():
            (folder / name).mkdir()
            running[name] = stack.enter_context(
                recording(config, folder / name, *arguments, timeout=timeout)
            )
        return {name: one.result() for name, one in running.items()}


def assert_in_its_time(counters: list[int], rate: int, dropped: int) -> None:
    """Check that each frame of a screen of the same rate is shown at its time.

    Up to a second late, on a busy machine, but never earlier than the first has been.
    """
    assert_in_order(counters)
    for slot, number in enumerate(counters):
        assert -rate <= number - counters[0] - slot <= 3 + dropped, (slot, counters)


def assert_in_order(counters: list[int]) -> None:
    """Check that time never runs backwards."""
    assert counters == sorted(counters), counters
