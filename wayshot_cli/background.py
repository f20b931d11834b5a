"""Work that goes on when the command has ended, in a child with a session of its own.

Until the work is under way, the child dies with whoever waits for it; from then on it holds
nothing of theirs: no terminal, no pipe, no folder, no parent.
"""

import contextlib
import ctypes
import gc
import os
import signal
from collections.abc import Callable
from typing import NoReturn

from wayshot_cli import errors
from wayshot_cli.errors import WayshotError
from wayshot_cli.waiting import DEFAULT_TIMEOUT, Waiter

_SET_PDEATHSIG = 1  # prctl(2)
_READY = b"\0"  # no error begins so


def detach(
    work: Callable[[Callable[[], None]], object],
    what: str,
    *,
    name: str,
    timeout: float = DEFAULT_TIMEOUT,
) -> None:
    """Run ``work(ready)`` in a child; return once it has called ``ready()``, or has ended well.

    The child goes on until ``work`` returns. It works in /, its standard descriptors are
    /dev/null, it inherits no other, signals do what they do by default, and nothing that the
    parent would do at its end is done there. ``name`` is what ps and pkill call it, at most 15
    bytes: not wayshot, which people signal by name. ``what`` says in errors what was being done.

    No thread may be under way: it would hold its locks in the child for ever.

    Raises the WayshotError that ``work`` raised before it was ready, WayshotError when it failed
    otherwise, and CaptureTimeoutError when it is not ready in ``timeout`` seconds: then no child
    is left.
    """
    with Waiter(timeout) as waiter:
        try:
            pid, status_fd = _fork(work, name)
        except OSError as error:
            message = f"{what}: cannot start a process: {error.strerror}"
            raise WayshotError(message) from error
        told = b""
        is_over = False

        def read() -> None:
            nonlocal told, is_over
            part = os.read(status_fd, 1 << 12)
            told += part
            is_over = not part

        try:
            waiter.watch(status_fd, read)
            waiter.wait(lambda: is_over, what)
        except BaseException:
            _end(pid, with_child=True)
            raise
        else:
            _end(pid, with_child=False)
        finally:
            os.close(status_fd)
    if told != _READY:
        raise _error(told, what)


def die_with_parent(*, still: bool = True) -> None:
    """Have the kernel end this process when its parent ends, or not any more."""
    ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL if still else 0, 0, 0, 0)


def _fork(work: Callable[[Callable[[], None]], object], name: str) -> tuple[int, int]:
    """Start a guard, and through it the child; return the guard's pid, and where the child tells.

    The guard does nothing but die with us, and the child with it, until the child is ready. When
    the guard has been ended the child is an orphan, for whom nobody here need wait.
    """
    reading_fd, writing_fd = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    # A signal may come to the child before it has got rid of the parent's handlers.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _guard(work, name, parent, writing_fd, mask)
    except OSError:
        os.close(reading_fd)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(writing_fd)
    return pid, reading_fd


def _end(pid: int, *, with_child: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    if with_child:
        # It is in the guard's group; a guard that had none yet, had no child either.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):  # whoever started us had SIGCHLD ignored
        os.waitpid(pid, 0)


def _guard(
    work: Callable[[Callable[[], None]], object],
    name: str,
    parent: int,
    status_fd: int,
    mask: set[int],
) -> NoReturn:
    try:
        os.setsid()
        _require_parent(parent)
        guard = os.getpid()
        if os.fork() == 0:
            _run(work, name, guard, status_fd, mask)
        os.close(status_fd)
        while True:
            signal.pause()  # all signals are blocked, but for SIGKILL
    except OSError as error:
        _tell(status_fd, WayshotError(f"cannot start a process: {error.strerror}"))
    finally:
        os._exit(1)


def _run(
    work: Callable[[Callable[[], None]], object],
    name: str,
    guard: int,
    status_fd: int,
    mask: set[int],
) -> NoReturn:
    def ready() -> None:
        die_with_parent(still=False)
        os.write(status_fd, _READY)  # raises BrokenPipeError when nobody waits any more
        # Which keeps the number taken: what follows is told to nobody.
        os.dup2(0, status_fd, inheritable=False)

    code = 1
    try:
        _require_parent(guard)
        _leave_parent(name, status_fd, mask)
        work(ready)
        ready()
        code = 0
    except WayshotError as error:
        _tell(status_fd, error)
    except BaseException as error:  # noqa: BLE001 - nobody above may see it, and stderr is shut
        _tell(status_fd, WayshotError(f"the background process failed: {error!r}"))
    finally:
        os._exit(code)


def _require_parent(parent: int) -> None:
    """End with the parent, even if that has ended before the kernel could be asked for it."""
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)


def _leave_parent(name: str, status_fd: int, mask: set[int]) -> None:
    # What is ignored stays ignored: SIGPIPE, and what a key binding may send to all of us.
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    gc.freeze()  # what the parent has left behind is not to close descriptors that are ours now
    gc.enable()
    with contextlib.suppress(AttributeError):  # not every C library has it
        ctypes.CDLL(None).malloc_trim(0)  # or tens of MiB that the parent has freed stay ours
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2 and fd != status_fd:  # noqa: PLR2004 - stderr
            with contextlib.suppress(OSError):  # that of the listing itself has gone
                os.close(fd)
    os.chdir("/")
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as comm:
        comm.write(name)


def _tell(status_fd: int, error: WayshotError) -> None:
    texts = (type(error).__name__, error.hint or "", str(error))
    with contextlib.suppress(OSError):
        os.write(status_fd, "\0".join(texts).encode(errors="surrogateescape"))


def _error(told: bytes, what: str) -> WayshotError:
    """Return the error that was told, of its class; or one that says that none was."""
    if not told:
        return WayshotError(f"{what}: the background process was ended")
    name, hint, message = told.decode(errors="surrogateescape").split("\0", 2)
    kind: type[WayshotError] = getattr(errors, name)
    return kind(message, hint=hint or None)
