"""The programs that a command runs, and how they end with it."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from time import monotonic

_GRACE = 0.5  # seconds that programs have to end by themselves


def end_children() -> None:
    """End what we have started and what that has: a selector may be a script that runs slurp."""
    with contextlib.ExitStack() as stack:
        fds = []
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                fds.append(os.pidfd_open(pid))
                stack.callback(os.close, fds[-1])
        for number in (signal.SIGTERM, signal.SIGKILL):
            for fd in fds:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(fd, number)
            _wait_for_all(fds)


def _wait_for_all(pidfds: list[int]) -> None:
    """Wait a moment for the end of processes."""
    poll = select.poll()
    for fd in pidfds:
        poll.register(fd, select.POLLIN)
    left, deadline = set(pidfds), monotonic() + _GRACE
    while left and (remaining := deadline - monotonic()) > 0:
        for fd, _ in poll.poll(remaining * 1000):
            poll.unregister(fd)
            left.discard(fd)


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes that come from one, children before theirs."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as stat:
                parent = int(stat.read().rpartition(b")")[2].split()[1])  # proc(5)
                parents.setdefault(parent, []).append(int(entry))
    pids = [pid]
    for one in pids:
        pids += parents.get(one, [])
    yield from pids[1:]
