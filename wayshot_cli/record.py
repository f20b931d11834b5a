"""Recording: what a screen shows, in time, into a stream.

The thread that calls ``Recorder.run`` captures, a second one converts and writes. Between them
lie at most ``QUEUE`` pictures: a reader that is too slow costs frames, never memory.
"""

import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING

from wayshot_cli import layout
from wayshot_cli.errors import CancelledError, TargetLostError, WayshotError
from wayshot_cli.pacing import SECOND, Pacer, Statistics, Timeline
from wayshot_cli.sources import USUAL_REFRESH, rest

if TYPE_CHECKING:
    from wayshot_cli.encode.stream import Stream
    from wayshot_cli.frame import Frame
    from wayshot_cli.geometry import Size
    from wayshot_cli.sources import Picture, Source

QUEUE = 4
"""Pictures that may wait for the writer."""

ON_RESIZE = ("scale", "pad", "stop", "segment")
ON_LOST = ("stop", "wait")

_FLUSH = SECOND // 2  # what may go on after the end, for what has not been written yet
_STUCK = 0.5  # seconds without progress after which a reader is given up at the end
_LOOK_AROUND = 0.25  # seconds after which an idle writer looks whether its reader is there
_SHORTEST_STEP = 1_000_000  # nanoseconds: Matroska counts milliseconds
_ON_ITS_WAY = SECOND // 20  # what a frame takes from its time until it is here, at most


class Recorder:
    """Captures a source and writes it, from ``first()`` and ``run()`` until its end.

    ``open_stream(frame, number)`` makes what the pictures are written to once the first is
    there, and again (numbers count from 1) for each segment. With a ``rate`` the stream is of
    constant rate; without, each picture is written when it comes. ``duration_ns`` and ``frames``
    end the recording. ``stuck_for`` says for how many seconds a reader has taken nothing,
    ``is_gone`` whether it has left, ``start_up`` for how many seconds it has made us wait before
    it began, which costs no frames.
    """

    def __init__(  # noqa: PLR0913 - the wishes of one recording
        self,
        source: "Source",
        open_stream: "Callable[[Frame, int], Stream]",
        *,
        rate: Fraction | None = None,
        duration_ns: int | None = None,
        frames: int | None = None,
        on_resize: str = "scale",
        on_lost: str = "stop",
        stuck_for: Callable[[], float] = lambda: 0.0,
        is_gone: Callable[[], bool] = lambda: False,
        start_up: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        """Prepare; nothing is captured or opened yet."""
        self._source = source
        self._duration_ns = duration_ns
        self._on_lost = on_lost
        self._stuck_for = stuck_for
        self._clock = clock
        refresh = max(source.refreshes_mhz, default=0)
        self._interval = 1000 * SECOND // (refresh if refresh > 0 else USUAL_REFRESH)
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
            start_up, clock, self._wake,
        )  # fmt: skip

    # For any thread, and for signal handlers: they run between any two steps of the capturing
    # thread, so that they only leave a wish behind and wake it.

    def stop(self) -> None:
        """End the recording; what was captured is written and the stream completed."""
        self._wish(self._stop)

    def toggle_pause(self) -> None:
        """Pause, or go on: the time in between is cut out."""
        self._wish(self._toggle_pause)

    def with_latest(self, use: "Callable[[Picture], None]") -> None:
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

    def _fresh(self) -> "Picture":
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
            rest(connection, end)
            return
        if self._duration_ns is not None:
            end = monotonic() + (self._duration_ns - self._writer.position()) / SECOND
        if self._pacer:
            # Slots are filled whether anything is captured or not; do not copy more than they show.
            position = self._writer.position(self._latest.time_ns)
            ahead = self._pacer.capture_from(position) - self._writer.position()
            if ahead > 0:
                until = min(end, monotonic() + ahead / SECOND)
                rest(connection, until, lambda: not self._source.is_current)
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

    def _hand_over(self, picture: "Picture") -> None:
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
        start_up: Callable[[], float],
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
        self._start_up = start_up
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

    def begin(self, first: "Picture") -> None:
        """Take the picture that time counts from, before the thread starts."""
        self._timeline = Timeline(first.time_ns)
        self.put(first)

    def put(self, picture: "Picture") -> None:
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
                # What is on its way still gets a time of its own; and after a stall, no later one
                # than the end.
                self._write(int(min(position, self._latest_end)) - _ON_ITS_WAY)
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

    def _next_event(self) -> "tuple[tuple[Picture, int] | None, int]":
        """Wait for a picture, the end, or the time to write; return picture and position."""
        with self._changed:
            while True:
                position = self._timeline.position(self._clock())
                if self._queue:
                    while len(self._queue) > 1 and self._reader_time() > self._flush_until:
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

    def _take_over(self, picture: "Picture", position: int) -> None:
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
                began = self._reader_time()
                self._write(self._pacer.time(self._next))
                self._next += self.new_size is None
                is_slow = self._reader_time() - began >= self._pacer.time(1)
                self._slow_writes = self._slow_writes + 1 if is_slow else 0

    @property
    def _is_losing(self) -> bool:
        """Whether the reader is too slow, and has not only paused for once."""
        return self._slow_writes > 1

    def _reader_time(self) -> int:
        """Return the clock's time for a reader, whose start is not held against it."""
        return self._clock() - round(self._start_up() * SECOND)

    def _worth(self, pacer: Pacer) -> int:
        """Return the first slot that is not too late to be written."""
        with self._changed:
            now = self._reader_time()
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
