"""Waiter: a wait for fds that a deadline ends, and any thread or signal handler can cut short."""

import contextlib
import math
import os
import select
from _thread import RLock
from collections.abc import Callable, Iterator
from time import monotonic
from typing import NoReturn, Self

from wayshot_cli.errors import (
    CancelledError,
    CaptureError,
    CaptureTimeoutError,
    ClosedError,
    ConcurrentUseError,
    InvalidArgumentError,
)

DEFAULT_TIMEOUT = 5.0
"""Seconds that whoever is asked has for an answer that is owed at once."""

LONGEST_TIMEOUT = 1_000_000.0
"""Seconds; poll counts milliseconds in an int."""


class Waiter:
    """Polls the fds that are watched, a wake-up pipe that ``wake()`` writes to, and a deadline.

    Use from one thread at a time, but for ``wake()``: what is used by another one at the same time
    raises ConcurrentUseError. ``close()`` at the end.
    """

    def __init__(self, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Prepare. ``timeout`` in seconds bounds each wait that names no deadline of its own.

        Raises InvalidArgumentError for a time-out that is none.
        """
        if not 0 < timeout <= LONGEST_TIMEOUT:
            message = f"{timeout} is not a time-out from 0 to {LONGEST_TIMEOUT:.0f} seconds"
            raise InvalidArgumentError(message)
        self.timeout = timeout
        self._user = RLock()
        self._waking = RLock()
        self._is_waiting = False
        self._process = os.getpid()
        self._handlers: dict[int, Callable[[], object]] = {}
        self._alarms: dict[Callable[[], object], float] = {}
        self._releases: list[Callable[[], object]] = []
        self._poll = select.poll()
        self._woken_fd = self.wake_fd = -1
        self._woken_fd, self.wake_fd = _wake_pipe()
        self._poll.register(self._woken_fd, select.POLLIN)

    @property
    def compositor(self) -> str:
        """Who is waited for, for people."""
        return "PipeWire"

    def deadline(self) -> float:
        """Return the time.monotonic() by which an answer asked for now is owed."""
        return monotonic() + self.timeout

    def watch(self, fd: int, handler: Callable[[], object], events: int = select.POLLIN) -> None:
        """Call the handler, which reads (or writes), whenever it can do so while waiting.

        ``events`` are poll's; an error or a hang-up is one in any case. It takes the place of
        what watched the fd before.
        """
        self._handlers[fd] = handler
        self._poll.register(fd, events)

    def unwatch(self, fd: int) -> None:
        """Forget an fd, before it is closed. Harmless twice."""
        if self._handlers.pop(fd, None):
            self._poll.unregister(fd)

    def call_at(self, time: float, handler: Callable[[], object]) -> None:
        """Call the handler once, at a time.monotonic() or after it, while waiting."""
        self._alarms[handler] = time

    def call_off(self, handler: Callable[[], object]) -> None:
        """Do not call it after all. Harmless twice."""
        self._alarms.pop(handler, None)

    def wait(self, done: Callable[[], bool], what: str, deadline: float | None = None) -> None:
        """Handle what happens until ``done()``; ``what`` says in errors what was being done.

        Raises CaptureTimeoutError at the deadline (time.monotonic()), CancelledError after
        ``wake()``, CaptureError when whoever is waited for is gone, and whatever a handler raises.
        """
        with self.in_use(), self._waiting():
            self._wait(done, what, self.deadline() if deadline is None else deadline)

    @contextlib.contextmanager
    def in_use(self, *, in_wait: bool = False) -> Iterator[None]:
        """Keep other threads out for the time of a block: of a capture, which is several waits.

        Raises ConcurrentUseError when another thread is in such a block; also when this one is in
        a wait, which a signal handler has interrupted, unless the block can be ``in_wait``.
        ClosedError in a process that was forked: what it sent would mix with what its parent sends.
        """
        if self.is_forked:
            message = f"the connection to {self.compositor} is that of another process"
            raise ClosedError(message, hint="open one after the fork")
        if not self._user.acquire(blocking=False):
            message = f"the connection to {self.compositor} is being used by another thread"
            raise ConcurrentUseError(message, hint="give each thread a connection of its own")
        try:
            if self._is_waiting and not in_wait:
                message = f"the connection to {self.compositor} is in the middle of a wait"
                hint = "a signal handler may call wake(), or stop() of a stream"
                raise ConcurrentUseError(message, hint=hint)
            while self._releases and not self._is_waiting:
                self._releases.pop()()
            yield
        finally:
            self._user.release()

    def release_later(self, release: Callable[[], object]) -> None:
        """Have this called at the next use, or by ``close()``; for finalizers in another thread."""
        self._releases.append(release)

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        """Note that a wait is under way: one inside it would wait for it, or take all away."""
        was_waiting, self._is_waiting = self._is_waiting, True
        try:
            yield
        finally:
            self._is_waiting = was_waiting

    def _wait(self, done: Callable[[], bool], what: str, deadline: float) -> None:
        self.require_open()
        has_looked = False  # what has come is not late, however late we ask for it
        while not done():
            remaining = min(deadline - monotonic(), LONGEST_TIMEOUT)
            if remaining <= 0 and has_looked:
                message = f"no answer in time while {what}"
                raise CaptureTimeoutError(message)
            self._poll_fds(remaining, what)
            has_looked = True

    def wait_for_fence(self, fd: int, what: str, deadline: float) -> None:
        """Wait until a fence of the GPU's, which is an fd, has been signalled; handle nothing.

        Raises CaptureTimeoutError at the deadline (time.monotonic()), CancelledError after
        ``wake()``. Works after ``close()``, too: GPU memory outlives connections.
        """
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if not self.is_closed:
            poll.register(self._woken_fd, select.POLLIN)
        remaining = min(max(0.0, deadline - monotonic()), LONGEST_TIMEOUT)
        ready = [fd for fd, _ in poll.poll(remaining * 1000)]
        if self._woken_fd in ready:
            self._raise_cancelled(what)
        if not ready:
            message = f"the GPU did not finish in time while {what}"
            raise CaptureTimeoutError(message)

    def settle(self, what: str) -> None:
        """Let what was asked for get under way, so that time can be spent on something else."""

    def sleep(self, seconds: float) -> None:
        """Let time pass, handling events. Raises what ``wait`` raises, but for the time-out."""
        with contextlib.suppress(CaptureTimeoutError):
            self.wait(lambda: False, "waiting", monotonic() + seconds)

    def wake(self) -> None:
        """Make the current or next wait raise CancelledError; safe in signal handlers.

        A handler of Python's may run only after the wait that the signal came into: whoever
        relies on one hands ``wake_fd`` to signal.set_wakeup_fd, and takes it back before ``close``.
        """
        if self.is_forked:
            return  # it is the parent's, of whose threads one may have held the lock
        with self._waking:
            if self.wake_fd >= 0:
                with contextlib.suppress(BlockingIOError):  # it is full: of wake-ups
                    os.write(self.wake_fd, b"!")

    @property
    def is_closed(self) -> bool:
        """Whether ``close()`` has been called."""
        return self.wake_fd < 0

    def require_open(self) -> None:
        """Raise ClosedError after ``close()``."""
        if self.is_closed:
            message = "the connection has been closed"
            raise ClosedError(message)

    @property
    def is_forked(self) -> bool:
        """Whether this is not the process that made it, which alone can use it."""
        return os.getpid() != self._process

    def close(self) -> None:
        """Close the wake-up pipe. Harmless twice."""
        if self.is_forked:
            return  # as above
        with self._waking:  # a thread that wakes must not write to what has the number next
            fds = {self._woken_fd, self.wake_fd} - {-1}
            self._woken_fd = self.wake_fd = -1
            for fd in fds:
                os.close(fd)

    def __enter__(self) -> Self:
        """Return this, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _poll_fds(self, remaining: float, what: str) -> dict[int, int]:
        """Call handlers; return what happened to which fd. Raises CancelledError once woken."""
        next_alarm = min(self._alarms.values(), default=math.inf) - monotonic()
        happened = dict(self._poll.poll(max(0.0, min(remaining, next_alarm)) * 1000))
        if self._woken_fd in happened:
            self._raise_cancelled(what)
        for fd in happened:
            if fd in self._handlers:  # one that ran before may have ended it
                self._handlers[fd]()
        for handler in [h for h, time in self._alarms.items() if time <= monotonic()]:
            if self._alarms.pop(handler, None) is not None:
                handler()
        return happened

    def _raise_cancelled(self, what: str) -> NoReturn:
        os.read(self._woken_fd, 1 << 16)
        message = f"cancelled while {what}"
        raise CancelledError(message)


def _wake_pipe() -> tuple[int, int]:
    try:
        return os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        message = f"cannot make a pipe: {error.strerror}"
        raise CaptureError(message) from error
