"""The keeper of a headless session: runs its processes, and leaves nothing of them behind.

A script of its own, ``keeper.py [UID GID]``, which needs nothing of the package. It makes a folder,
reads requests on stdin and answers on stdout, a JSON object a line. At the end of stdin, however
wayshot came to its end, it ends all processes that come from it, and removes the folder.
Orphans become its children (PR_SET_CHILD_SUBREAPER), so that none gets away; if it is killed
itself, those that it has started die with it.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NoReturn

_GRACE = 1.0  # seconds that the programs, and then the compositor, have to end by themselves
_LONGEST_END = 10.0  # seconds after which those whom the kernel does not end are left
_LONGEST_FOLDER = 107 - len("/compositor/wayland-99.lock")  # bytes: sun_path in unix(7)

_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36  # prctl(2)
_prctl = ctypes.CDLL(None, use_errno=True).prctl


class Keeper:
    """Runs the ``compositor`` and the ``program``, each with a private folder of that name."""

    def __init__(self, user: tuple[int, int] | None) -> None:
        """Make the folders. The compositor runs as the user and group, None for our own."""
        self._user = user
        self._pids: dict[str, int] = {}
        self._statuses: dict[str, int] = {}  # of those that have ended, and not been told yet
        self._lifelines: dict[int, Any] = {}  # the stdin of those that end with it
        self.folder = _make_folder(user)

    def run(
        self,
        name: str,
        argv: list[str],
        env: dict[str, str],
        log: str | None,
        *,
        ends_with_stdin: bool,
    ) -> None:
        """Start a process. What it prints goes to the log, else to our stderr.

        One that ``ends_with_stdin`` is not sent SIGTERM at the end.
        """
        options: dict[str, Any] = {}
        if self._user and name == "compositor":
            options = {"user": self._user[0], "group": self._user[1], "extra_groups": []}
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(open(log, "ab")) if log else 2
            try:
                process = subprocess.Popen(  # noqa: S603 - what we are here for
                    argv,
                    env=env,
                    stdin=subprocess.PIPE if ends_with_stdin else subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=_die_with_parent,  # noqa: PLW1509 - there are no threads here
                    **options,
                )
            except (OSError, subprocess.SubprocessError) as error:
                reason = error.strerror if isinstance(error, OSError) else None
                _say(failed=name, reason=reason or str(error))
                return
        self._pids[name] = process.pid
        process.returncode = 0  # it is reaped here, with all others
        if process.stdin:
            self._lifelines[process.pid] = process.stdin

    def reap(self) -> None:
        """Take note of what has ended, and tell it.

        A program that has left well, but left others behind, goes on with them.
        """
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                for name in [name for name in self._pids if self._pids[name] == pid]:
                    self._statuses[name] = os.waitstatus_to_exitcode(status)
                    del self._pids[name]
        for name, code in list(self._statuses.items()):
            if name == "compositor" or code or not self._programs():
                del self._statuses[name]
                _say(ended=name, status=code)

    def close(self) -> None:
        """End the programs, then the compositor, and remove the folder."""
        self._end(self._programs)  # first, or they would complain that it has gone
        self._end(_children)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _programs(self) -> list[int]:
        compositor = self._pids.get("compositor")
        return [pid for pid in _children() if pid != compositor]

    def _end(self, find: Callable[[], list[int]]) -> None:
        """End processes until none is found: orphans come one after the other."""
        deadline = time.monotonic() + _GRACE
        asked: set[int] = set()
        while pids := find():
            is_late = (now := time.monotonic()) > deadline
            if now > deadline + _LONGEST_END:
                return
            for pid in pids:
                if is_late:
                    _kill(pid, signal.SIGKILL)
                elif pid not in asked:
                    self._ask_to_end(pid)
                    asked.add(pid)
            time.sleep(0.005)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass

    def _ask_to_end(self, pid: int) -> None:
        if lifeline := self._lifelines.pop(pid, None):
            lifeline.close()
        else:
            _kill(pid, signal.SIGTERM)


def _make_folder(user: tuple[int, int] | None) -> str:
    # Another user may not come into our TMPDIR.
    folder = tempfile.mkdtemp(prefix="wayshot-", dir="/tmp" if user else None)  # noqa: S108
    if len(os.fsencode(folder)) > _LONGEST_FOLDER:
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix="wayshot-", dir="/tmp")
    try:
        for name in ("compositor", "program"):
            os.mkdir(os.path.join(folder, name), 0o700)
        if user:
            os.chown(os.path.join(folder, "compositor"), *user)
            os.chmod(folder, 0o711)  # noqa: S103 - what is in there is closed
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _die_with_parent() -> None:
    # Between fork and exec, after the user has changed, which would take it back.
    _prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _children() -> list[int]:
    """Return our children; they are few, but a kernel need not list them."""
    own, children = os.getpid(), []
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as stat:
            parent = int(stat.read().rpartition(b")")[2].split()[1])  # proc(5)
            if parent == own:
                children.append(int(entry))
    return children


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _say(**answer: object) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def _leave(*_: object) -> NoReturn:
    sys.exit(1)


def _serve(keeper: Keeper, woken_fd: int) -> None:
    """Do as told until nobody tells any more."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(woken_fd, select.POLLIN)
    received = b""
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if woken_fd in ready:
            os.read(woken_fd, 1 << 12)
            keeper.reap()
        if 0 in ready:
            part = os.read(0, 1 << 16)
            if not part:
                return
            *lines, received = (received + part).split(b"\n")
            for line in lines:
                keeper.run(**json.loads(line))


def main() -> None:
    """Serve, and clear away at the end, whatever ends it."""
    _prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # What wayshot ignores, the programs are not to: that would be inherited.
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    woken_fd, wake_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_fd, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # or nothing would wake us
    try:
        keeper = Keeper((int(sys.argv[1]), int(sys.argv[2])) if sys.argv[1:] else None)
    except OSError as error:
        _say(failed="compositor", reason=f"no folder can be made for it: {error.strerror}")
        return
    try:
        _say(folder=keeper.folder)
        _serve(keeper, woken_fd)
    except BrokenPipeError:
        pass  # whom we tell has gone
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        keeper.close()


if __name__ == "__main__":
    main()
