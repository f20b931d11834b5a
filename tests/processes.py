"""Programs and forks that run beside the tests, none of which outlives them, be they killed."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

PATIENCE = 40.0
"""Seconds after which what has to come about does not, on the slowest machine."""

UNTIL_OUR_END = ("setpriv", "--pdeathsig", "TERM")
"""What a command is led by, to end with us."""


def spawn(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    folder: Path,
    log: str,
    user: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a folder, and a session of its own; what it says is added to a log there.

    ``user`` is the number of a user, and of a group, that it runs as.
    """
    lead = list(UNTIL_OUR_END)
    if user is not None:
        lead += [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    with (folder / log).open("ab") as output:
        return subprocess.Popen(
            [*lead, *command],
            env=env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """End a program, a stopped one as well."""
    process.terminate()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for something that has to come about."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Tell whether a process is there, and not only waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def in_a_fork(work: Callable[[], object]) -> None:
    """Do something in a forked process, and see it end well."""
    child = os.fork()
    if not child:
        signal.alarm(30)  # what it waits for may not have been forked
        status = 1
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - said here, for nobody is left to raise it to
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@contextmanager
def held_elsewhere(lock: AbstractContextManager[object]) -> Iterator[None]:
    """Let another thread hold a lock for the time of a block."""
    is_held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            is_held.set()
            go_on.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    try:
        yield
    finally:
        go_on.set()
        holder.join()
