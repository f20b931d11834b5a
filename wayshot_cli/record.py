"""Recording: what a screen shows, in time, into a stream.

The thread that calls ``Recorder.run`` captures, a second one converts and writes. Between them
lie at most ``QUEUE`` pictures: a reader that is too slow costs frames, never memory.
"""

import contextlib
import math
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, NamedTuple, Self

from wayshot_cli import backends, layout
from wayshot_cli.backends.common import Target
from wayshot_cli.errors import (
    CancelledError,
    CaptureError,
    CaptureTimeoutError,
    NotFoundError,
    TargetLostError,
    UnsupportedError,
    WayshotError,
)
from wayshot_cli.geometry import Box
from wayshot_cli.pacing import SECOND, Pacer, Statistics, Timeline
from wayshot_cli.waiting import LONGEST_TIMEOUT
from wayshot_cli.wayland.outputs import read_outputs, settle_names
from wayshot_cli.wayland.toplevels import find_window

if TYPE_CHECKING:
    from wayshot_cli.backends import Session
    from wayshot_cli.encode.stream import Stream
    from wayshot_cli.frame import Frame
    from wayshot_cli.geometry import Size
    from wayshot_cli.waiting import Waiter
    from wayshot_cli.wayland.connection import Connection
    from wayshot_cli.wayland.outputs import Output
    from wayshot_cli.wayland.toplevels import Toplevel, Window

QUEUE = 4
"""Pictures that may wait for the writer."""

ON_RESIZE = ("scale", "pad", "stop", "segment")
ON_LOST = ("stop", "wait")

_FLUSH = SECOND // 2  # what may go on after the end, for what has not been written yet
_STUCK = 0.5  # seconds without progress after which a reader is given up at the end
_LOOK_AROUND = 0.25  # seconds after which an idle writer looks whether its reader is there
_SHORTEST_STEP = 1_000_000  # nanoseconds: Matroska counts milliseconds
_ON_ITS_WAY = SECOND // 20  # what a frame takes from its time until it is here, at most
_PACE = 0.5  # of the screen's interval: then a question comes in time for the next frame
_USUAL_REFRESH = 60_000  # millihertz, where none is known
_RETRY = 0.05  # seconds until an output is tried again that failed, as during a mode change


class Picture(NamedTuple):
    """What the target shows from ``time_ns`` on: the newest frame of each session."""

    time_ns: int
    box: Box
    pieces: tuple[layout.Piece, ...]

    def render(self) -> "Frame":
        """Return one upright picture."""
        return layout.render(self.box, list(self.pieces))


class Source(ABC):
    """The target of a recording: a session for each thing that is captured."""

    def __init__(self, connection: "Waiter", backend: "backends.Backend", *, damage: bool) -> None:
        """Take what sessions are opened on; with ``damage`` only what is new is captured."""
        self.connection = connection
        self._backend = backend
        self._damage = damage
        self._sessions: dict[object, Session] = {}
        self._frames: dict[object, Frame] = {}
        self._owed_by = math.inf
        self._not_before = 0.0
        self._failing_since: float | None = None

    @property
    @abstractmethod
    def refreshes_mhz(self) -> list[int]:
        """The refresh of each output that is captured, in millihertz, 0 where it is unknown."""

    @property
    @abstractmethod
    def is_current(self) -> bool:
        """Whether the target is still as it was when the sessions were opened."""

    @abstractmethod
    def wait_for_change(self, until: float) -> None:
        """Wait until a target that is not there might be, or for ``until``."""

    @abstractmethod
    def _follow(self) -> None:
        """Open sessions anew where the target has changed. Raises TargetLostError."""

    @abstractmethod
    def _look_again(self) -> None:
        """Begin anew: the target may have changed."""

    @abstractmethod
    def _lose(self, error: TargetLostError) -> None:
        """Go on without what a session has lost, or raise the error."""

    @abstractmethod
    def _box(self) -> Box:
        """Return what a picture of the frames shows, in the space of the sessions' boxes."""

    def capture(self, until: float = math.inf) -> Picture | None:
        """Wait for something new to show; None at ``until`` (time.monotonic()).

        The first frame of each session does not wait for anything new. Raises TargetLostError when
        the target is gone, CaptureTimeoutError when the compositor owes an answer, CaptureError
        when it failed for as long; CancelledError after ``Connection.wake``, which loses nothing.
        """
        while True:
            self._follow()
            began = math.inf
            try:
                if not self._wait(until):
                    return None
                if not self.is_current:
                    continue  # what has come may not be what was asked for
                began = monotonic()
                self._collect()
            except TargetLostError as error:
                self._lose(error)
            except CaptureTimeoutError:
                raise
            except CaptureError as error:
                self._pass_over(error, began)
            else:
                self._failing_since = None
                if not self.is_current:  # a frame that came at the second attempt is of now
                    self._look_again()
                    continue
                return Picture(
                    max(frame.time_ns for frame in self._frames.values()),
                    self._box(),
                    tuple(
                        layout.Piece(session.box, self._frames[target])
                        for target, session in self._sessions.items()
                    ),
                )

    @property
    def is_over(self) -> bool:
        """Whether the target cannot come back."""
        return self._backend.is_over

    def restart(self) -> None:
        """Forget what is under way: the next capture shows the target as it is then."""
        for session in self._sessions.values():
            session.cancel()
        self._frames.clear()

    def close(self) -> None:
        """End the sessions. Pictures stay valid."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
        self._frames.clear()

    def __enter__(self) -> Self:
        """Return the source, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _wait(self, until: float) -> bool:
        """Wait for a frame to collect, for all of them at first, or for another target.

        False at ``until``.
        """
        connection, sessions = self.connection, self._sessions.values()

        def is_eventful() -> bool:
            return any(s.is_started and s.is_done for s in sessions) or not self.is_current

        pause = 0.0 if self._damage or all(s.is_started for s in sessions) else self._not_before
        if monotonic() < pause:
            if _rest(connection, min(until, pause), is_eventful):
                return True
            if until < pause:
                return False
        for target, session in self._sessions.items():
            if not session.is_started:
                session.start(damage=self._damage and target in self._frames)
                self._owed_by = connection.deadline()
                self._not_before = monotonic() + self._shortest_wait
        doing = next(iter(sessions)).doing
        new = [s for target, s in self._sessions.items() if target not in self._frames]
        connection.wait(
            lambda: (
                all(s.is_done for s in new) and all(s.is_copying or s.is_done for s in sessions)
            ),
            doing,
            self._owed_by,
        )
        if self._damage:
            return _rest(connection, until, is_eventful)
        with contextlib.suppress(CaptureTimeoutError):
            connection.wait(
                lambda: any(s.is_done for s in sessions), doing, min(until, self._owed_by)
            )
            return True
        if monotonic() < self._owed_by:
            return False
        message = f"{connection.compositor} did not answer in time while {doing}"
        raise CaptureTimeoutError(message)

    @property
    def _shortest_wait(self) -> float:
        """Seconds between two questions: some compositors answer at once, not by the frame."""
        refresh = max(self.refreshes_mhz, default=0)
        return _PACE * 1000 / (refresh if refresh > 0 else _USUAL_REFRESH)

    def _collect(self) -> None:
        for target, session in self._sessions.items():
            if session.is_done:
                self._frames[target] = session.finish(self.connection.deadline())

    def _pass_over(self, error: CaptureError, began: float) -> None:
        """Wait a moment after a failure, as a mode change brings it; raise what does not end."""
        now = monotonic()
        self._failing_since = self._failing_since or min(now, began)
        if now - self._failing_since > self.connection.timeout:
            raise error
        self._look_again()  # first: the rest may be cut short
        _rest(self.connection, now + _RETRY)


class OutputSource(Source):
    """Outputs, or a region of them, or all: a session for each, which follows what outputs do."""

    def __init__(  # noqa: PLR0913 - a target and how it is captured
        self,
        connection: "Waiter",
        backend: "backends.Backend",
        *,
        names: list[str] | None = None,
        region: Box | None = None,
        cursor: bool = False,
        damage: bool = True,
    ) -> None:
        """Open the sessions. Raises NotFoundError when the target is not there.

        Without ``damage`` (or a backend that knows it) every frame of the screen is captured,
        not only those that differ.
        """
        super().__init__(connection, backend, damage=damage and backend.waits_for_damage)
        self._target = Target(settle_names(connection, names), region, cursor=cursor)
        self._outputs: list[Output] = []
        self._plan: layout.Plan | None = None
        self._plan = self._reopen()

    @property
    def refreshes_mhz(self) -> list[int]:
        """The refresh of each output that is captured, in millihertz, 0 where it is unknown."""
        return [output.refresh_mhz for output in self._plan.outputs] if self._plan else []

    @property
    def is_current(self) -> bool:
        """Whether the outputs are still as they were when the sessions were opened."""
        return self._backend.are_current(self._outputs)

    def wait_for_change(self, until: float) -> None:
        """Wait until an output comes, goes or changes, or for ``until``."""
        _rest(self.connection, until, lambda: not self.is_current)

    def _follow(self) -> None:
        if self._plan is None or not self.is_current:
            try:
                self._plan = self._reopen()
            except NotFoundError as error:
                self._plan = None
                message = f"what was recorded went away: {error}"
                raise TargetLostError(message) from error

    def _reopen(self) -> layout.Plan:
        self._outputs = self._backend.read_outputs(self._target)
        plan = self._target.plan(self._outputs)
        if plan != self._plan:
            self.close()
            self._sessions = {
                output: self._backend.open(
                    output, region=plan.request_region(output), cursor=self._target.cursor
                )
                for output in plan.outputs
            }
        return plan

    def _look_again(self) -> None:
        self.restart()
        self._outputs = []

    def _lose(self, error: TargetLostError) -> None:
        if self.is_over:
            raise error
        self._look_again()  # it is perhaps only one of several

    def _box(self) -> Box:
        assert self._plan  # noqa: S101 - _follow has seen to it
        return self._plan.box


class WindowSource(Source):
    """A window, until it is closed, at whatever size it has."""

    def __init__(
        self,
        connection: "Connection",
        backend: "backends.Backend",
        wish: str,
        *,
        cursor: bool = False,
    ) -> None:
        """Open the session. ``wish`` is as for ``find_window``, and raises what that does."""
        super().__init__(connection, backend, damage=True)
        self._compositor = connection
        self._wish = wish
        self._cursor = cursor
        self._window: Window
        self._toplevel: Toplevel
        self._refreshes_mhz: list[int] = []
        self._seen = 0
        self._open()

    @property
    def refreshes_mhz(self) -> list[int]:
        """The refresh of the outputs that the window is on, where the compositor says them."""
        return self._refreshes_mhz

    @property
    def is_current(self) -> bool:
        """Whether the window is there."""
        return not self._toplevel.is_closed

    def wait_for_change(self, until: float) -> None:
        """Wait until a window comes or changes, or for ``until``."""
        _rest(self.connection, until, lambda: self._changes() != self._seen)

    def _follow(self) -> None:
        if self._sessions and self.is_current:
            return
        if self._sessions:
            self._lose(TargetLostError(f"window {self._window} was closed"))
        try:
            self._open()
        except (NotFoundError, UnsupportedError) as error:
            message = f"what was recorded went away: {error}"
            raise TargetLostError(message) from error

    def _open(self) -> None:
        try:
            self._window, self._toplevel = find_window(self._compositor, self._wish)
        finally:
            self._seen = self._changes()
        outputs = read_outputs(self._compositor)
        names = self._window.outputs
        self._refreshes_mhz = [output.refresh_mhz for output in outputs if output.name in names]
        self._sessions = {
            self._toplevel: backends.open_window(
                self._backend, self._window, self._toplevel, cursor=self._cursor
            )
        }

    def _changes(self) -> int:
        """Return how much has been said of windows so far."""
        return self._compositor.toplevels.changes if self._compositor.toplevels else 0

    def _look_again(self) -> None:
        self.restart()

    def _lose(self, error: TargetLostError) -> None:
        self.close()
        raise error

    def _box(self) -> Box:
        (session,) = self._sessions.values()
        return session.box


def _rest(connection: "Waiter", until: float, done: Callable[[], bool] = lambda: False) -> bool:
    """Dispatch events until ``done()``, and return True, or until the time, and return False."""
    try:
        connection.wait(done, "recording", min(until, monotonic() + LONGEST_TIMEOUT))
    except CaptureTimeoutError:
        return False
    return True


class Recorder:
    """Captures a source and writes it, from ``first()`` and ``run()`` until its end.

    ``open_stream(frame, number)`` makes what the pictures are written to once the first is
    there, and again (numbers count from 1) for each segment. With a ``rate`` the stream is of
    constant rate; without, each picture is written when it comes. ``duration_ns`` and ``frames``
    end the recording. ``stuck_for`` says for how many seconds a reader has taken nothing,
    ``is_gone`` whether it has left.
    """

    def __init__(  # noqa: PLR0913 - the wishes of one recording
        self,
        source: Source,
        open_stream: "Callable[[Frame, int], Stream]",
        *,
        rate: Fraction | None = None,
        duration_ns: int | None = None,
        frames: int | None = None,
        on_resize: str = "scale",
        on_lost: str = "stop",
        stuck_for: Callable[[], float] = lambda: 0.0,
        is_gone: Callable[[], bool] = lambda: False,
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        """Prepare; nothing is captured or opened yet."""
        self._source = source
        self._duration_ns = duration_ns
        self._on_lost = on_lost
        self._stuck_for = stuck_for
        self._clock = clock
        refresh = max(source.refreshes_mhz, default=0)
        self._interval = 1000 * SECOND // (refresh if refresh > 0 else _USUAL_REFRESH)
        self._pacer = None
        if rate:
            self._pacer = Pacer(rate, Fraction(refresh, 1000) if refresh > 0 else None)
        self.statistics = Statistics()
        self._latest: Picture  # set by first()
        self._wishes: deque[Callable[[], None]] = deque()
        self._is_stopping = False
        self._is_resuming = False
        self.was_abandoned = False
        self._writer = _Writer(
            open_stream, self.statistics, self._pacer, duration_ns, frames, on_resize, is_gone,
            clock, self._wake,
        )  # fmt: skip

    # For any thread, and for signal handlers: they run between any two steps of the capturing
    # thread, so that they only leave a wish behind and wake it.

    def stop(self) -> None:
        """End the recording; what was captured is written and the stream completed."""
        self._wish(self._stop)

    def toggle_pause(self) -> None:
        """Pause, or go on: the time in between is cut out."""
        self._wish(self._toggle_pause)

    def with_latest(self, use: Callable[["Picture"], None]) -> None:
        """Call ``use`` with what the target shows, in the capturing thread."""
        self._wish(lambda: use(self._fresh()))

    @property
    def is_paused(self) -> bool:
        """Whether the recording pauses."""
        return self._writer.is_paused

    @property
    def position(self) -> int:
        """Nanoseconds recorded so far."""
        return self._writer.position()

    @property
    def new_size(self) -> "Size | None":
        """The size that ended the recording, if one did (on_resize="stop")."""
        return self._writer.new_size

    def first(self) -> "Frame":
        """Capture the first picture, which starts the clock, and return it."""
        asked = self._clock()
        picture = self._source.capture()
        assert picture is not None  # noqa: S101 - there is no time limit but the compositor's
        # A screen on which nothing happens may show what is older than the recording. But a frame
        # of now keeps its time, for the slots to lie where the screen's frames do.
        if asked - picture.time_ns > 2 * self._interval:
            picture = picture._replace(time_ns=asked)
        self._latest = picture
        self.statistics.captured = 1
        self._writer.begin(self._latest)
        return picture.render()

    def run(self) -> Statistics:
        """Record until something ends it, and complete the stream.

        Raises, after that, TargetLostError when the target went (on_lost="stop"), CaptureError when
        the compositor failed, and what writing raised; a reader that left after at
        least one whole frame has had enough, which is no error.
        """
        self._writer.start()
        try:
            while not self._is_over():
                with contextlib.suppress(CancelledError):
                    self._step()
                while self._wishes:
                    self._wishes.popleft()()
        finally:
            self._end()
        error = self._writer.error
        if error and not (self.statistics.written and _is_broken_pipe(error)):
            raise error
        return self.statistics

    def _wish(self, wish: Callable[[], None]) -> None:
        self._wishes.append(wish)
        self._wake()

    def _wake(self) -> None:
        self._source.connection.wake()

    def _stop(self) -> None:
        self._is_stopping = True

    def _toggle_pause(self) -> None:
        if self._writer.is_paused:
            self._source.restart()
            self._is_resuming = True
            self._writer.resume(self._clock())
        else:
            self._writer.pause(self._clock())

    def _fresh(self) -> Picture:
        """Return the target as it is: the newest picture may be old at a low rate."""
        self._source.restart()
        try:
            picture = self._source.capture()
        except WayshotError:  # the recording will find out by itself
            return self._latest
        if picture and not self._writer.is_paused:
            self._hand_over(picture)
        return picture or self._latest

    def _is_over(self) -> bool:
        if self._duration_ns is not None and self._writer.position() >= self._duration_ns:
            return True
        return self._is_stopping or self._writer.is_finished

    def _step(self) -> None:
        """Capture the next picture and hand it over, or wait for a wish or the end."""
        connection, end = self._source.connection, math.inf
        if self._writer.is_paused:
            _rest(connection, end)
            return
        if self._duration_ns is not None:
            end = monotonic() + (self._duration_ns - self._writer.position()) / SECOND
        if self._pacer:
            # Slots are filled whether anything is captured or not; do not copy more than they show.
            position = self._writer.position(self._latest.time_ns)
            ahead = self._pacer.capture_from(position) - self._writer.position()
            if ahead > 0:
                until = min(end, monotonic() + ahead / SECOND)
                _rest(connection, until, lambda: not self._source.is_current)
        try:
            picture = self._source.capture(end)
        except TargetLostError:
            if self._on_lost == "stop" or self._source.is_over:
                raise
            self._source.restart()
            self._source.wait_for_change(end)
            return
        if picture:
            self._hand_over(picture)

    def _hand_over(self, picture: Picture) -> None:
        before = self._latest.time_ns
        if picture.time_ns <= before:  # the compositor's clock goes backwards, or another output's
            picture = picture._replace(time_ns=max(self._clock(), before + 1))
        self.statistics.captured += 1
        if not self._is_resuming:
            self.statistics.add_interval(picture.time_ns - before)
        self._is_resuming = False
        self._latest = picture
        self._writer.put(picture)

    def _end(self) -> None:
        """Let the writer finish; leave it behind if its reader is stuck."""
        position = self._writer.position()
        if self._duration_ns is not None:
            position = min(position, self._duration_ns)
        ended = monotonic()
        self._writer.end(position)
        while self._writer.is_alive():
            self._writer.join(_STUCK / 10)
            if min(self._stuck_for(), monotonic() - ended) > _STUCK:
                self.was_abandoned = True  # its stream is not complete
                break
        self.statistics.skipped += self._writer.waiting
        # The writer knows better, if it got to its end.
        self.statistics.duration_ns = self.statistics.duration_ns or position


def _is_broken_pipe(error: BaseException) -> bool:
    return isinstance(error, BrokenPipeError) or isinstance(error.__cause__, BrokenPipeError)


class _Writer(threading.Thread):
    """The second thread: decides what is shown when, renders it and writes it."""

    def __init__(  # noqa: PLR0913, PLR0917 - what Recorder was given
        self,
        open_stream: "Callable[[Frame, int], Stream]",
        statistics: Statistics,
        pacer: Pacer | None,
        duration_ns: int | None,
        frames: int | None,
        on_resize: str,
        is_gone: Callable[[], bool],
        clock: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        # A reader that takes nothing must not keep the process from ending.
        super().__init__(name="wayshot writer", daemon=True)
        self.is_finished = False  # as is_alive() says too late for whoever is woken
        self.error: BaseException | None = None
        self.new_size: Size | None = None
        self._open_stream = open_stream
        self._statistics = statistics
        self._pacer = pacer
        # Both hold although the capturing thread, kept busy, says too late that it is over.
        self._latest_end = math.inf if duration_ns is None else duration_ns
        self._most_slots: int | None = None
        if pacer and duration_ns is not None:
            self._most_slots = pacer.slots(duration_ns)
        self._most_frames = math.inf if frames is None else frames
        self._on_resize = on_resize
        self._is_gone = is_gone
        self._clock = clock
        self._wake = wake
        self._changed = threading.Condition()
        # Under the condition: what the capturing thread says.
        self._queue: deque[tuple[Picture, int]] = deque()
        self._timeline: Timeline
        self._end: int | None = None
        self._flush_until = math.inf
        # This thread's own.
        self._stream: Stream | None = None
        self._segment = 0
        self._segment_start = 0
        self._held: Picture | None = None
        self._is_rendered = False
        self._next = 0  # the first slot that has not been written
        self._slow_writes = 0  # one after the other that took longer than a slot
        self._last_position = -_SHORTEST_STEP

    # For the capturing thread.

    def begin(self, first: Picture) -> None:
        """Take the picture that time counts from, before the thread starts."""
        self._timeline = Timeline(first.time_ns)
        self.put(first)

    def put(self, picture: Picture) -> None:
        """Queue a picture, in place of the oldest when the writer is behind."""
        with self._changed:
            self._queue.append((picture, self._timeline.position(picture.time_ns)))
            if len(self._queue) > QUEUE:
                self._queue.popleft()
                self._count_lost()
            self._changed.notify()

    def end(self, position: int) -> None:
        """Let the recording end there."""
        with self._changed:
            self._end = position
            self._flush_until = self._clock() + _FLUSH
            self._changed.notify()

    @property
    def waiting(self) -> int:
        """How many pictures nobody has taken over."""
        return len(self._queue)

    def pause(self, time_ns: int) -> None:
        """Let positions stand still."""
        with self._changed:
            self._timeline.pause(time_ns)

    def resume(self, time_ns: int) -> None:
        """Let them go on."""
        with self._changed:
            self._timeline.resume(time_ns)
            self._changed.notify()

    @property
    def is_paused(self) -> bool:
        """Whether positions stand still."""
        return self._timeline.is_paused

    def position(self, time_ns: int | None = None) -> int:
        """Return the position of a time, or of now."""
        with self._changed:
            return self._timeline.position(self._clock() if time_ns is None else time_ns)

    # In the thread.

    def run(self) -> None:
        """Write until the end, or until something fails; whoever waits gets to know."""
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - Recorder.run raises it
            self.error = error
            if self._stream:
                self._stream.abandon()
        finally:
            self.is_finished = True
            self._wake()

    def _work(self) -> None:
        while not self._is_full():
            item, position = self._next_event()
            if item:
                self._take_over(*item)
            elif self._end is not None:
                break
            elif self._pacer:
                self._fill(self._pacer.decided(position))
            else:
                # What is on its way still gets a time of its own.
                self._write(position - _ON_ITS_WAY)
        end = self._last_position if self._end is None else self._end
        self.is_finished = True  # nothing more is wanted
        self._wake()
        self._finish(max(end, self._last_position))

    def _is_full(self) -> bool:
        return (
            self.new_size is not None
            or self._statistics.written >= self._most_frames
            or (self._most_slots is not None and self._next >= self._most_slots)
        )

    def _next_event(self) -> tuple[tuple[Picture, int] | None, int]:
        """Wait for a picture, the end, or the time to write; return picture and position."""
        with self._changed:
            while True:
                position = self._timeline.position(self._clock())
                if self._queue:
                    while len(self._queue) > 1 and self._clock() > self._flush_until:
                        self._queue.popleft()
                        self._count_lost()
                    return self._queue.popleft(), position
                if self._end is not None:
                    return None, position
                patience = float(_LOOK_AROUND)
                if not self._timeline.is_paused:
                    wait = self._due() - position
                    if wait <= 0:
                        return None, position
                    patience = min(patience, wait / SECOND)
                self._changed.wait(patience)
                if self._is_gone():
                    raise BrokenPipeError

    def _due(self) -> float:
        """Return the position at which what is held has to be written, or written again."""
        if self._pacer:
            return self._pacer.decided_at(self._next)
        rest = self._stream.longest_rest_ns if self._stream else None
        due = math.inf if rest is None else self._last_position + rest + _ON_ITS_WAY
        return due if due < self._latest_end else math.inf

    def _take_over(self, picture: Picture, position: int) -> None:
        """Let a picture be the one that is shown from now on."""
        end = self._latest_end if self._end is None else self._end
        if self._held and position >= end:
            self._statistics.skipped += 1
            return
        if self._pacer:
            slot = self._pacer.slot(position)
            self._statistics.late += slot < self._next
            self._fill(slot)
            if self._held and not self._is_rendered:
                self._statistics.skipped += 1
        self._held, self._is_rendered = picture, False
        if not self._pacer:
            self._write(max(position, self._last_position + _SHORTEST_STEP))

    def _fill(self, end: int) -> None:
        """Show what is held in all slots before ``end`` that are not too late by now."""
        assert self._pacer  # noqa: S101
        if self._most_slots is not None:
            end = min(end, self._most_slots)
        while self._next < end and not self._is_full():
            worth = min(end, self._worth(self._pacer))
            if self._is_losing and self._queue:
                worth = end  # what waits is newer than all that these could show
            if self._next < worth:
                self._statistics.dropped += worth - self._next
                self._next = worth
            else:
                began = self._clock()
                self._write(self._pacer.time(self._next))
                self._next += self.new_size is None
                is_slow = self._clock() - began >= self._pacer.time(1)
                self._slow_writes = self._slow_writes + 1 if is_slow else 0

    @property
    def _is_losing(self) -> bool:
        """Whether the reader is too slow, and has not only paused for once."""
        return self._slow_writes > 1

    def _worth(self, pacer: Pacer) -> int:
        """Return the first slot that is not too late to be written."""
        with self._changed:
            now = self._clock()
            if now > self._flush_until:
                return pacer.slots(self._end or 0)
            return pacer.worth(self._timeline.position(now))

    def _write(self, position: int) -> None:
        """Write what is held, to be shown from ``position`` on."""
        self._last_position = position
        if self._is_rendered and self._stream:
            self._stream.repeat(position - self._segment_start)
            self._statistics.duplicated += 1
        else:
            assert self._held  # noqa: S101
            frame = self._held.render()
            if self._stream and frame.upright_size != self._stream.size:
                self._resize(frame.upright_size, position)
                if self.new_size:
                    return
            self._is_rendered = True
            stream = self._stream or self._start_segment(frame, position)
            if frame.upright_size != stream.size:
                frame = layout.fit(frame, stream.size, self._on_resize)
            stream.write(frame, position - self._segment_start)
        self._statistics.written += 1

    def _resize(self, size: "Size", position: int) -> None:
        """Do what was wished for pictures of another size."""
        assert self._stream  # noqa: S101
        if self._on_resize == "stop":
            self.new_size = size
            self._end = position
        elif self._on_resize == "segment":
            self._stream.close(position - self._segment_start)
            self._stream = None

    def _start_segment(self, frame: "Frame", position: int) -> "Stream":
        self._segment += 1
        self._segment_start = position
        self._stream = self._open_stream(frame, self._segment)
        return self._stream

    def _finish(self, end: int) -> None:
        """Show the last picture until the end, and complete the stream."""
        if self._pacer:
            self._fill(self._pacer.slots(end))
            end = self._pacer.time(self._next)
        self._statistics.duration_ns = end
        self._statistics.skipped += not self._is_rendered
        if self._stream:
            self._stream.close(end - self._segment_start)

    def _count_lost(self) -> None:
        if self._pacer:  # its slots are filled with another
            self._statistics.skipped += 1
        else:
            self._statistics.dropped += 1
