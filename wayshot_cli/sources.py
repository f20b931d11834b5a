"""Sources: what a target shows, a picture after the other, whatever becomes of the target."""

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, Self

from wayshot_cli import backends, layout
from wayshot_cli.backends.common import Target
from wayshot_cli.errors import (
    CaptureError,
    CaptureTimeoutError,
    FramesHeldError,
    NotFoundError,
    TargetLostError,
    UnsupportedError,
)
from wayshot_cli.geometry import Box
from wayshot_cli.waiting import LONGEST_TIMEOUT
from wayshot_cli.wayland.outputs import read_outputs, settle_names
from wayshot_cli.wayland.toplevels import find_window

if TYPE_CHECKING:
    from wayshot_cli.backends import Session
    from wayshot_cli.frame import Frame
    from wayshot_cli.waiting import Waiter
    from wayshot_cli.wayland.connection import Connection
    from wayshot_cli.wayland.outputs import Output
    from wayshot_cli.wayland.toplevels import Toplevel, Window

USUAL_REFRESH = 60_000
"""Millihertz, where none is known."""

_PACE = 0.5  # of the screen's interval: then a question comes in time for the next frame
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
    """A target that is captured again and again: a session for each thing in it.

    ``window`` is the window that is captured, None for outputs.
    """

    window: "Window | None" = None

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
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs that are captured, or show the window."""

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
        the target is gone, CaptureTimeoutError when the compositor owes an answer, FramesHeldError
        when too many pictures are, CaptureError when the compositor failed for as long;
        CancelledError after ``Connection.wake``, which loses nothing.
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
            except (CaptureTimeoutError, FramesHeldError):
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
            if rest(connection, min(until, pause), is_eventful):
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
            return rest(connection, until, is_eventful)
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
        return _PACE * 1000 / (refresh if refresh > 0 else USUAL_REFRESH)

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
        rest(self.connection, now + _RETRY)


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
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs that are captured, none while they are away."""
        return tuple(output.name for output in self._plan.outputs) if self._plan else ()

    @property
    def is_current(self) -> bool:
        """Whether the outputs are still as they were when the sessions were opened."""
        return self._backend.are_current(self._outputs)

    def wait_for_change(self, until: float) -> None:
        """Wait until an output comes, goes or changes, or for ``until``."""
        rest(self.connection, until, lambda: not self.is_current)

    def _follow(self) -> None:
        if self._plan is None or not self.is_current:
            try:
                self._plan = self._reopen()
            except NotFoundError as error:
                self._plan = None
                message = f"what was captured went away: {error}"
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
        self.window: Window
        self._toplevel: Toplevel
        self._refreshes_mhz: list[int] = []
        self._seen = 0
        self._open()

    @property
    def refreshes_mhz(self) -> list[int]:
        """The refresh of the outputs that the window is on, where the compositor says them."""
        return self._refreshes_mhz

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs that show the window, where the compositor says them."""
        return self.window.outputs

    @property
    def is_current(self) -> bool:
        """Whether the window is there."""
        return not self._toplevel.is_closed

    def wait_for_change(self, until: float) -> None:
        """Wait until a window comes or changes, or for ``until``."""
        rest(self.connection, until, lambda: self._changes() != self._seen)

    def _follow(self) -> None:
        if self._sessions and self.is_current:
            return
        if self._sessions:
            self._lose(TargetLostError(f"window {self.window} was closed"))
        try:
            self._open()
        except (NotFoundError, UnsupportedError) as error:
            message = f"what was captured went away: {error}"
            raise TargetLostError(message) from error

    def _open(self) -> None:
        try:
            self.window, self._toplevel = find_window(self._compositor, self._wish)
        finally:
            self._seen = self._changes()
        outputs = read_outputs(self._compositor)
        names = self.window.outputs
        self._refreshes_mhz = [output.refresh_mhz for output in outputs if output.name in names]
        self._sessions = {
            self._toplevel: backends.open_window(
                self._backend, self.window, self._toplevel, cursor=self._cursor
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


def rest(connection: "Waiter", until: float, done: Callable[[], bool] = lambda: False) -> bool:
    """Dispatch events until ``done()``, and return True, or until the time, and return False."""
    try:
        connection.wait(
            done, "waiting for a new picture", min(until, monotonic() + LONGEST_TIMEOUT)
        )
    except CaptureTimeoutError:
        return False
    return True
