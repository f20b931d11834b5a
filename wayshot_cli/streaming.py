"""Streams: what a target shows, frame by frame, for as long as somebody asks.

There is no thread and no queue: the screen is captured while the next frame is waited for.
"""

import contextlib
import math
import os
import sys
import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from time import monotonic
from typing import TYPE_CHECKING, Self

from wayshot_cli import backends
from wayshot_cli.backends.common import PortalWish
from wayshot_cli.errors import (
    CancelledError,
    CaptureError,
    ClosedError,
    ConcurrentUseError,
    FramesHeldError,
    InvalidArgumentError,
)
from wayshot_cli.geometry import Box
from wayshot_cli.pacing import SECOND, Pacer, read_rate
from wayshot_cli.sources import USUAL_REFRESH, OutputSource, Source, WindowSource, rest
from wayshot_cli.still import choose, noted, read_target
from wayshot_cli.waiting import DEFAULT_TIMEOUT, Waiter
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from wayshot_cli.frame import Frame
    from wayshot_cli.sources import Picture

_AHEAD = 1.25  # of the screen's intervals: who asks then has a frame, and in time for the slot
_SPARSE = 1.5  # frames of the screen to a slot: not each of them need be captured
_LOOK = 0.001  # seconds to look at what is there already
_RARE = 3  # frames to a slot: one more is captured, should the next one be late


def stream(  # noqa: PLR0913 - the options of shot, all but the first optional
    output: str | Sequence[str] | None = None,
    *,
    region: str | Box | tuple[int, int, int, int] | None = None,
    window: str | None = None,
    cursor: bool = False,
    fps: float | Fraction | None = None,
    damage: bool = True,
    backend: str = "auto",
    buffer: str = "auto",
    device: str | None = None,
    portal: PortalWish | None = None,
    pipewire_node: int | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    connection: Connection | None = None,
    report: Callable[[str], object] | None = None,
    warn: Callable[[str], object] | None = None,
) -> "FrameStream":
    """Return the frames of a target, of which the first is what it shows now.

        for frame in wayshot.stream(fps=30):
            ...

    Without ``fps`` each further frame comes when the target shows something new, and none while it
    does not. With ``fps`` there are so many a second by the clock, each of them the newest: the
    same once more where nothing is new. Nothing is queued: what nobody asks for in time is
    skipped. Without ``damage`` every frame of the screen is new, changed or not, as wlr-screencopy
    alone has it.

    Everything else is as for ``shot``; so are the errors, of what is wrong from the beginning. A
    ``connection`` that is handed in is used by the stream alone as long as a frame is waited for.
    """
    names, box = read_target(output, region, window)
    if cursor not in {False, True}:
        message = f"{cursor!r} is no way to show the cursor in a stream"
        raise InvalidArgumentError(message, hint="it takes True or False")
    rate = None if fps is None else read_rate(fps)
    report = report or (lambda _line: None)
    with contextlib.ExitStack() as stack:
        link = connection or stack.enter_context(backends.connect(timeout, pipewire_node))
        chosen = choose(
            link, report, backend, buffer, device, damage=damage, windows=window is not None,
            pipewire_node=pipewire_node, portal=portal, warn=warn or report,
        )  # fmt: skip
        stack.callback(chosen.close)
        stack.enter_context(noted(chosen, report))
        source: Source
        if window is None:
            source = OutputSource(
                link, chosen, names=names, region=box, cursor=cursor, damage=damage
            )
        else:
            assert isinstance(link, Connection)  # noqa: S101 - no other backend captures windows
            source = WindowSource(link, chosen, window, cursor=cursor)
        stack.callback(source.close)
        stop = _Stop(link)
        stack.callback(stop.close)
        return FrameStream(source, rate, stop, stack.pop_all().close)


class FrameStream:
    """The frames of one target: an iterator, to be closed, or left to go out of scope.

    A frame may be kept, or a view of it, and its memory is nobody else's meanwhile: a dozen of
    them, for beyond that the next one may raise FramesHeldError. Memory of frames that are not kept
    is captured into again, and nothing is copied; but pictures of several outputs are composed,
    and so copies. ``Frame.time_ns`` says when the compositor drew the frame, which does not change
    where it is repeated. Frames have another size once the target has.

    The stream ends by ``stop()``; by TargetLostError when the target went away, CaptureError when
    the compositor failed, CaptureTimeoutError when it owes an answer; by Ctrl-C at once. What was
    opened is closed then, or when the stream is; frames stay valid.

    Use from one thread at a time, but for ``stop()``.
    """

    def __init__(
        self,
        source: Source,
        rate: Fraction | None,
        stop: "_Stop",
        close: Callable[[], object],
    ) -> None:
        """Take what ``stream`` has opened, and what closes it."""
        self._source = source
        self._stop = stop
        self._close: Callable[[], object] | None = close
        refresh = max(source.refreshes_mhz, default=0)
        refresh = refresh if refresh > 0 else USUAL_REFRESH
        self._pacer = Pacer(rate, Fraction(refresh, 1000)) if rate else None
        self._interval = 1000 / refresh  # seconds
        frames = refresh / 1000 / rate if rate else 0  # to a slot
        self._is_sparse = frames >= _SPARSE
        self._ahead = (_AHEAD + (frames >= _RARE)) * self._interval
        # At a constant rate:
        self._frame: Frame | None = None  # what was shown last, and may have to be again
        self._picture: Picture | None = None  # what is newer than that
        self._start = 0.0  # when slot 0 was shown
        self._slot = 0  # the last one that was shown, or that is waited for
        self._due: float | None = None  # when that is, if it has not been shown

    def __iter__(self) -> Self:
        """Return the stream itself."""
        return self

    def __next__(self) -> "Frame":
        """Return the next frame, as ``read()`` does."""
        frame = None if self.is_closed else self.read()
        if frame is None:
            raise StopIteration
        return frame

    def read(self, timeout: float | None = None) -> "Frame | None":
        """Wait for the next frame, at most ``timeout`` seconds, and return it.

        None when there is none by then, and after ``stop()``, which closes the stream. Raises
        FramesHeldError, after which it may be tried again; ClosedError after ``close()``; and,
        closing the stream, what ends it.
        """
        if self.is_closed and not self._stop.is_wished:
            message = "this stream has been closed"
            raise ClosedError(message)
        until = math.inf if timeout is None else monotonic() + max(timeout, _LOOK)
        try:
            if not self._stop.is_wished:
                with self._source.connection.in_use(), self._stop:
                    return self._read_at_rate(until) if self._pacer else self._read(until)
        except ConcurrentUseError:
            raise  # the other thread goes on
        except FramesHeldError:
            self._source.restart()  # with it the source lets go of its own
            raise
        except CancelledError:
            if not self._stop.is_wished:  # the connection was woken: nothing is lost
                raise
        except BaseException:
            self.close()
            raise
        self.close()
        return None

    def stop(self) -> None:
        """End the stream, be a frame waited for or not; for any thread and for signal handlers."""
        self._stop.wish()

    @property
    def is_closed(self) -> bool:
        """Whether the stream has ended."""
        return self._close is None

    def close(self) -> None:
        """Close what was opened. Frames stay valid. Harmless twice, and in a forked process.

        Raises ConcurrentUseError while another thread waits for a frame, or this one, which a
        signal handler has interrupted: ``stop()`` ends that.
        """
        self._end()

    def __enter__(self) -> Self:
        """Return the stream itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __del__(self) -> None:
        """Close it: whoever breaks out of a loop has no more use for it."""
        if sys and not sys.is_finalizing():  # what it would close is being taken apart then
            self._end(is_dropped=True)

    def _end(self, *, is_dropped: bool = False) -> None:
        link, close = self._source.connection, self._close
        if close is None or link.is_forked:
            return
        try:
            # A wait is somebody else's, then: nobody waits for a frame of this.
            with link.in_use(in_wait=is_dropped):
                self._frame = self._picture = self._close = None
                close()
        except ConcurrentUseError:
            if not is_dropped:
                raise
            link.release_later(close)

    def _read(self, until: float) -> "Frame | None":
        picture = self._source.capture(until)
        return picture.render() if picture else None

    def _read_at_rate(self, until: float) -> "Frame | None":
        """Return the newest frame at the next slot; None if ``until`` is before that."""
        if self._frame is None:
            self._frame = self._read(until)
            self._start = monotonic()
        else:
            if self._due is None:
                self._slot, self._due = self._next_slot()
            now = monotonic()
            end = self._due if self._due > now else now + _LOOK  # it may have passed unseen
            self._capture(min(until, end), self._due)
            if until < self._due:
                return None
            self._due = None
            if self._picture:
                self._frame, self._picture = self._picture.render(), None
        # Whoever closes it does not close ours.
        return self._frame and self._frame.crop(Box(0, 0, *self._frame.upright_size))

    def _capture(self, until: float, due: float) -> None:
        """Wait until then, and keep the newest of what comes, for the slot that is due."""
        link, source = self._source.connection, self._source
        if self._is_sparse:  # what comes earlier would give way to a newer one: it is not asked for
            begin = due - self._ahead
            rest(link, min(until, begin), lambda: not source.is_current)
            if until <= begin:
                return
        while newer := source.capture(until):
            self._picture = newer
            # What is asked for now comes after the slot, and is for the next one if that is near.
            if self._is_sparse and due - monotonic() < self._interval:
                rest(link, until)
                break

    def _next_slot(self) -> tuple[int, float]:
        """Return the first slot that has not begun yet, and when it does, by time.monotonic().

        Slots lie half a frame of the screen after those frames that come at the same rate: so none
        is shown twice for having come a little late.
        """
        assert self._pacer  # noqa: S101 - or there are no slots
        start, rate = self._start + self._pacer.tolerance / SECOND, float(self._pacer.rate)
        now, last = monotonic(), start + self._slot / rate
        if now - last > max(2 * self._interval, 1 / rate):  # what was asked for then is old by now
            now += _AHEAD * self._interval
        slot = max(self._slot + 1, math.floor((now - start) * rate) + 1)
        return slot, start + slot / rate


class _Stop:
    """The wish to end a stream, which cuts short its wait, that of the block, in another thread.

    A descriptor of its own, not the connection's ``wake()``: that may be handed in, and its next
    user has not been told to stop.
    """

    def __init__(self, waiter: Waiter) -> None:
        self.is_wished = False
        self._waiter = waiter
        # Signal handlers run in the middle of what a thread does, under the lock, too.
        self._lock = threading.RLock()
        try:
            self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError as error:
            message = f"cannot make an eventfd: {error.strerror}"
            raise CaptureError(message) from error

    def __enter__(self) -> None:
        self._waiter.watch(self._fd, self._cut_short)

    def __exit__(self, *_: object) -> None:
        self._waiter.unwatch(self._fd)

    def wish(self) -> None:
        self.is_wished = True
        with self._lock:
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)

    def close(self) -> None:
        with self._lock:
            os.close(self._fd)
            self._fd = -1

    def _cut_short(self) -> None:
        os.eventfd_read(self._fd)
        message = "the stream was stopped"
        raise CancelledError(message)
