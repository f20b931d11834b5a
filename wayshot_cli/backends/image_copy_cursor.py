"""The cursor by ext-image-copy-capture: its image, and where it lies over what is captured."""

import contextlib
from typing import TYPE_CHECKING

from wayshot_cli.backends.image_copy import NOTHING, Constraints, ImageCopy, Session, Target
from wayshot_cli.errors import CaptureError, TargetLostError
from wayshot_cli.frame import Cursor
from wayshot_cli.wayland.pointer import create_pointer

if TYPE_CHECKING:
    from wayshot_cli.wayland.pointer import Pointer
    from wayshot_cli.wayland.proxy import Handler, Proxy


def open_cursor(backend: ImageCopy, target: Target) -> "CursorSession | None":
    """Return a session on the cursor over a target; None where there is no pointer."""
    pointer = create_pointer(backend.connection)
    return CursorSession(backend, target, pointer) if pointer else None


class CursorSession(Session):
    """Captures the cursor's image as any other one; ``finish_cursor()`` adds its place.

    As long as the cursor does not lie over the target, there is nothing to capture.
    """

    def __init__(self, backend: ImageCopy, target: Target, pointer: "Pointer") -> None:
        """Take the pointer, to destroy it."""
        what = f"the cursor over {target.what}"
        self._hotspot = self._next_hotspot = (0, 0)  # of the image, and what was said last
        super().__init__(backend, Target(what, target.create_source, target.is_lost), cursor=False)
        self._pointer = pointer
        self._cursor_session: Proxy | None = None
        self._is_over: bool | None = None  # over the target; None: that is not known yet
        self._position = (0, 0)

    @property
    def is_done(self) -> bool:
        """Whether the image is there, or known not to come."""
        return self._is_over is False or super().is_done

    def finish_cursor(self, deadline: float) -> Cursor | None:
        """Wait for the image, if the cursor lies over the target; raises what ``finish`` does."""
        self._settle()
        if self._is_over:
            with contextlib.suppress(TargetLostError):  # it may leave, a pointer may be unplugged
                return Cursor(self.finish(deadline), self._position, self._hotspot)
        self.cancel()
        return None

    def close(self) -> None:
        """End what is under way, and let the pointer go."""
        super().close()
        self._pointer.destroy()

    def _reset(self) -> None:
        super()._reset()
        self._hotspot = self._next_hotspot

    def _create(self, **handlers: "Handler") -> "Proxy":
        source = self._target.create_source()
        self._is_over = None
        self._cursor_session = self._backend.manager.create(
            "create_pointer_cursor_session",
            source,
            self._pointer.proxy,
            enter=self._on_enter,
            leave=self._on_leave,
            position=self._on_position,
            hotspot=self._on_hotspot,
        )
        source.destroy()
        return self._cursor_session.create("get_capture_session", **handlers)

    def _end(self) -> None:
        super()._end()
        cursor_session, self._cursor_session = self._cursor_session, None
        if cursor_session:
            cursor_session.destroy()

    def _settle(self) -> None:
        """Wait until it is known whether the cursor lies over the target."""
        self._backend.connection.roundtrip(self.doing)
        self._is_over = bool(self._is_over)

    def _recover(self) -> CaptureError:
        if self._is_over:
            failure = super()._recover()
            self._begin()
            self._settle()
            return failure
        message = f"{self._target.what} has left"
        raise TargetLostError(message)

    def _copy(self, session: "Proxy", constraints: Constraints) -> None:
        if constraints.size != NOTHING:  # as of a cursor that is nowhere
            super()._copy(session, constraints)

    def _on_enter(self) -> None:
        self._is_over = True

    def _on_leave(self) -> None:
        self._is_over = False

    def _on_position(self, x: int, y: int) -> None:
        self._position = (x, y)

    def _on_hotspot(self, x: int, y: int) -> None:
        # The protocol has it in the buffer; wlroots, which turns that as the output, upright.
        self._next_hotspot = (x, y)
        if not self._ready:  # what comes later is about the next image
            self._hotspot = (x, y)
