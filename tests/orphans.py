"""What goes on in the background when a command has ended: seen, and never left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 20.0
"""Seconds after which what should have ended counts as left behind."""

SET_CHILD_SUBREAPER = 36  # prctl(2)


class Orphans:
    """The processes of a name that this one did not start, but has inherited."""

    def __init__(self, name: str) -> None:
        """Take the name, which is that in /proc/PID/comm."""
        self.name = name

    @property
    def pids(self) -> list[int]:
        """Those that have not ended."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            with suppress(OSError):
                before, _, after = (folder / "stat").read_text().rpartition(") ")
                state, parent = after.split()[:2]
                if before.partition(" (")[2] != self.name or int(parent) != os.getpid():
                    continue
                if state == "Z":
                    os.waitpid(int(folder.name), 0)
                else:
                    found.append(int(folder.name))
        return sorted(found)

    def wait_until(self, count: int) -> list[int]:
        """Wait until so many are there."""
        end = time.monotonic() + PATIENCE
        while len(pids := self.pids) != count:
            assert time.monotonic() < end, f"{len(pids)} {self.name} instead of {count}"
            time.sleep(0.005)
        return pids

    def close(self) -> None:
        """End all."""
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
        self.wait_until(0)


@contextmanager
def adopted(name: str) -> Iterator[Orphans]:
    """Let orphans come to us, and end those of the name at the end."""
    prctl = ctypes.CDLL(None).prctl
    prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    orphans = Orphans(name)
    try:
        yield orphans
    finally:
        orphans.close()
        prctl(SET_CHILD_SUBREAPER, 0, 0, 0, 0)
