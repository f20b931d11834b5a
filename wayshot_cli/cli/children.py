"""The programs that a command runs, and how they end with it."""

import contextlib
import os
import select
import signal
from collections.abc import Callable, Collection, Iterator
from functools import partial
from time import monotonic

_GRACE = 0.5  # seconds that programs have to end by themselves


def ending_children() -> Callable[[], None]:
    """Return what ends all that we start from now on, and what that has started.

    A selector may be a script that runs slurp. But a script that became us by exec may have
    started others, which are none of ours.
    """
    return partial(_end_descendants, [*descendants(os.getpid())])


def _end_descendants(others: Collection[int]) -> None:
    with contextlib.ExitStack() as stack:
        fds = []
        for pid in descendants(os.getpid(), others):
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


def descendants(pid: int, others: Collection[int] = ()) -> Iterator[int]:
    """Yield the processes that come from one, children before theirs, without others and theirs."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as stat:
                parent = int(stat.read().rpartition(b")")[2].split()[1])  # proc(5)
                parents.setdefault(parent, []).append(int(entry))
    pids = [pid]
    for one in pids:
        pids += [child for child in parents.get(one, []) if child not in others]
    yield from pids[1:]
