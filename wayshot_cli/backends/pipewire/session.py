"""Sessions on streams of PipeWire, with the contract of the other backends' sessions."""

from time import monotonic
from typing import TYPE_CHECKING, Self, TypeVar

from wayshot_cli.errors import CaptureTimeoutError
from wayshot_cli.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Callable

    from wayshot_cli.backends.pipewire.stream import Stream
    from wayshot_cli.dmabuf_frame import DmabufFrame
    from wayshot_cli.frame import Frame
    from wayshot_cli.waiting import Waiter


T = TypeVar("T")

_NUDGE = 0.1  # seconds of silence after which a producer is asked again; doubled each time


class Session:
    """Captures a stream, a frame at a time, as ``screencopy.Session`` does an output.

    A producer sends what it likes, when it likes, mostly when something has changed. So to ask for
    a frame is to be ready for one; where nothing has changed since the last one, that one is it.
    """

    def __init__(
        self, stream: "Stream", waiter: "Waiter", box: Box, *, nudges: bool = False
    ) -> None:
        """Take a stream, to close it; ``box`` is what it shows, in logical coordinates.

        With ``nudges`` a producer that stays silent is stopped and started again: not all bear it.
        """
        self.box = box
        self._nudges = nudges
        self.doing = f"capturing {stream.what}"
        self._stream = stream
        self._waiter = waiter
        self._last: Frame | None = None
        self._is_silent = True  # until the first frame
        self._is_started = False
        self._wants_new = False
        self._owed_by = 0.0
        waiter.watch(stream.fd, stream.on_news)

    @property
    def is_started(self) -> bool:
        """Whether a frame has been asked for that ``finish()`` has not returned yet."""
        return self._is_started

    @property
    def is_copying(self) -> bool:
        """Whether all is said that the producer needs: it is from the start."""
        return self._is_started

    @property
    def is_done(self) -> bool:
        """Whether ``finish()`` need not wait.

        That is so, too, once the first frame is overdue: ``finish()`` knows why, others do not.
        """
        if self._stream.has_news:
            return True
        return not self._wants_new if self._last else monotonic() >= self._owed_by

    def start(self, *, damage: bool = False) -> None:
        """Ask for a frame; with ``damage`` for one that has not been returned yet."""
        self._is_started, self._wants_new = True, damage
        self._owed_by = self._waiter.deadline()
        if self._is_silent:
            self._waiter.call_at(self._owed_by, self._look_again)
            if self._nudges:
                self._nudge_after(_NUDGE)

    def finish(self, deadline: float) -> "Frame":
        """Wait for the frame that was asked for; ``deadline`` is a time.monotonic().

        What comes but cannot be read leaves the last frame standing. Raises CaptureTimeoutError,
        which says what is missing, and what ``Stream.take`` raises.
        """
        take = self._stream.take
        frame = self._finish(lambda: take(self._waiter, deadline) or self._last, deadline)
        self._last = frame
        return frame.crop(Box(0, 0, *frame.upright_size))  # whoever closes it closes not ours

    def finish_dmabuf(self, deadline: float) -> "DmabufFrame":
        """Wait for a new frame, and leave it where it is: see ``Stream.take_dmabuf``."""
        self._wants_new = True
        return self._finish(self._stream.take_dmabuf, deadline)

    def _finish(self, take: "Callable[[], T | None]", deadline: float) -> "T":
        try:
            while True:
                self._wait(deadline)
                if frame := take():
                    self._is_silent = False
                    return frame
                if monotonic() >= self._owed_by:
                    raise self._stream.silence()
        finally:
            self.cancel()

    def _wait(self, deadline: float) -> None:
        try:
            self._waiter.wait(lambda: self.is_done, self.doing, deadline)
        except CaptureTimeoutError as error:
            raise self._stream.silence() from error

    def set_active(self, active: bool) -> None:  # noqa: FBT001 - as ``Stream.set_active``
        """Let pictures wake nobody, or go on: see ``Stream.set_active``."""
        self._stream.set_active(active)

    def cancel(self) -> None:
        """Forget that a frame was asked for. Harmless twice."""
        self._is_started = False
        self._waiter.call_off(self._look_again)
        self._waiter.call_off(self._nudge)

    def close(self) -> None:
        """End the stream; frames stay valid. Harmless twice."""
        self.cancel()
        self._waiter.unwatch(self._stream.fd)
        self._stream.close()
        self._last = None

    def _look_again(self) -> None:
        """Do nothing: whoever waits asks ``is_done`` after it."""

    def _nudge_after(self, seconds: float) -> None:
        self._patience = seconds
        self._waiter.call_at(monotonic() + seconds, self._nudge)

    def _nudge(self) -> None:
        """Have the producer begin again: what it sent while both were being linked, is lost."""
        if not self.is_done:
            self._stream.restart()
            self._nudge_after(2 * self._patience)

    def __enter__(self) -> Self:
        """Return the session itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the session."""
        self.close()
