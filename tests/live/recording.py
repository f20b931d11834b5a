"""Running ``wayshot record`` as its users do, and reading what it made and what it said."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests import probe, y4m
from tests.live.command import PATIENCE, start
from tests.statistics import Statistics, read_statistics, without_statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from tests.live.client import Picture
    from tests.stage import Stage

FAILED = 1

PROMPT = 10.0
"""Seconds within which a recording must end once it has been told to."""

UNNAMED = (".gif", ".apng", ".webp")
"""What appears at the end, whole."""

_GEOMETRY = re.compile(r"wayshot: raw video, to be read as: ffmpeg (.+) -i \.\.\.\n")


@dataclass(frozen=True)
class Result:
    """How a recording ended: the exit status, and what was written on stdout and stderr."""

    status: int
    output: bytes
    said: str

    @property
    def statistics(self) -> Statistics:
        """What its last line says of the frames; it has to add up, unless writing failed."""
        found = read_statistics(self.said)
        if self.status != FAILED:
            found.assert_whole()
        return found

    @property
    def rest(self) -> str:
        """What it said beside its statistics and how to read raw video."""
        return _GEOMETRY.sub("", without_statistics(self.said))

    @property
    def geometry(self) -> list[str]:
        """The arguments with which ffmpeg reads the raw video, as they were said."""
        match = _GEOMETRY.search(self.said)
        assert match, self.said
        return shlex.split(match[1])


class Recording:
    """A recording that runs."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Take the process of ``wayshot record``."""
        self.process = process

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def result(self, patience: float = PATIENCE) -> Result:
        """Wait until it has ended; TimeoutExpired when it does not."""
        output, said = self.process.communicate(timeout=patience)
        text = said.decode()
        assert "Traceback" not in text, text
        return Result(self.process.returncode, output or b"", text)

    def end(self, number: signal.Signals) -> Result:
        """Send a signal that ends it, and see that it does so soon."""
        self.send(number)
        return self.result(PROMPT)

    def processor_time(self) -> int:
        """Return the processor time used so far, in ticks of the clock, see proc(5)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def wait_for(self, path: Path, size: int = 1) -> None:
        """Wait until a file has so many bytes: the recording runs from the first on.

        What appears only at the end is not waited for, but that the recording begins.
        """
        if path.suffix in UNNAMED:
            self.wait_until_it_catches_signals()
        else:
            until(lambda: path.exists() and path.stat().st_size >= size, self.process)

    def wait_for_another(self, path: Path, frame: int) -> None:
        """Wait until raw video shows another picture than at first; a frame has so many bytes."""
        until(lambda: probe.ends_otherwise(path, frame), self.process)

    def wait_until_it_catches_signals(self) -> None:
        """Wait until signals are its own."""
        until(self._catches_signals, self.process)

    def wait_until_idle(self) -> None:
        """Wait until the thread that captures and heeds signals has slept for a while.

        Who has to wait for a processor, or has a signal to heed, does not sleep.
        """

        def is_idle() -> bool:
            before = self._naps()
            time.sleep(0.15)
            return before is not None and before == self._naps()

        until(is_idle, self.process)

    def descriptors(self) -> list[str]:
        """Return what its file descriptors lead to, see proc(5)."""
        folder = Path(f"/proc/{self.process.pid}/fd")
        return [os.readlink(fd) for fd in folder.iterdir()]

    def memory(self) -> int:
        """Return the kilobytes that are in memory."""
        return int(self._status("VmRSS").split()[0])

    def _catches_signals(self) -> bool:
        return bool(int(self._status("SigCgt"), 16) >> (signal.SIGUSR1 - 1) & 1)

    def _naps(self) -> str | None:
        """Return how often the first thread has gone to sleep; None when it does not sleep."""
        if int(self._status("ShdPnd"), 16) or not self._status("State").startswith("S"):
            return None
        return self._status("voluntary_ctxt_switches")

    def _status(self, name: str) -> str:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (value,) = re.findall(rf"^{name}:\s+(.*)$", status, re.MULTILINE)
        return str(value)


@contextmanager
def recording(
    stage: Stage, *arguments: str | Path, env: dict[str, str] | None = None
) -> Iterator[Recording]:
    """Start ``wayshot record ARGUMENTS``; at the end of the block nothing of it is left."""
    with start(stage, "record", *arguments, env=env) as process:
        try:
            yield Recording(process)
        finally:
            process.kill()


def record(stage: Stage, *arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    """Run ``wayshot record ARGUMENTS`` until it ends by itself."""
    with recording(stage, *arguments, env=env) as running:
        return running.result()


def record_at_once(stage: Stage, *lines: tuple[object, ...]) -> list[Result]:
    """Run several recordings of the same time, each of which has to succeed."""
    with ExitStack() as stack:
        running = [stack.enter_context(recording(stage, *map(str, line))) for line in lines]
        results = [one.result() for one in running]
    for line, result in zip(lines, results, strict=True):
        assert (result.status, result.rest) == (0, ""), (line, result)
    return results


def first_frame(arguments: list[str], path: Path, matrix: str) -> Picture:
    """Let ffmpeg read raw video as it was told to, and return the first frame's colours."""
    width, height = map(int, arguments[arguments.index("-video_size") + 1].split("x"))
    scale = f"scale=in_color_matrix={matrix}:flags=accurate_rnd+full_chroma_int+bicubic"
    output = ["-vf", scale, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    command = ["ffmpeg", "-v", "error", "-nostdin", *arguments, "-i", str(path), *output]
    data = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=PATIENCE).stdout
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def read_raw(path: Path, width: int, height: int, channels: int = 4) -> NDArray[np.uint8]:
    """Read raw video: shape (frames, height, width, channels), as stored."""
    return np.fromfile(path, np.uint8).reshape(-1, height, width, channels)


def read_y4m(path: Path) -> tuple[y4m.Header, list[y4m.Frame]]:
    """Read a whole stream, strictly."""
    with path.open("rb") as file:
        stream = y4m.Stream(file)
        return stream.header, list(stream)


def until(happened: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait for something to happen while a process runs."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
