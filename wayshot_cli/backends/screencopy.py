"""wlr-screencopy-unstable-v1, versions 1 to 3, into shared memory."""

from time import CLOCK_MONOTONIC, clock_gettime_ns
from typing import TYPE_CHECKING, Self

from wayshot_cli import pixels
from wayshot_cli.buffers.shm import ShmLayout, ShmPool
from wayshot_cli.errors import CaptureError, TargetLostError, UnsupportedError
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Box, Size
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.outputs import Output
from wayshot_cli.wayland.protocols.core import WL_SHM
from wayshot_cli.wayland.protocols.wlr_screencopy import ZWLR_SCREENCOPY_MANAGER_V1

if TYPE_CHECKING:
    from wayshot_cli.wayland.interface import Interface
    from wayshot_cli.wayland.proxy import Handler, Proxy

_Y_INVERT = 1  # zwlr_screencopy_frame_v1.flags
_DAMAGE_SINCE = 2
_BUFFER_DONE_SINCE = 3  # before it, a frame offers one shm buffer and wants the copy at once
_MAX_CLOCK_SKEW_NS = 1_000_000_000


class Screencopy:
    """The backend: opens sessions on outputs of one connection.

    A capture returns as soon as the compositor has a frame, or, where ``waits_for_damage`` says
    that the compositor can, once the output shows something new.
    """

    name = "screencopy"

    def __init__(self, connection: Connection) -> None:
        """Bind the globals. Raises UnsupportedError when one is missing."""
        self.connection = connection
        self.manager = self._require(ZWLR_SCREENCOPY_MANAGER_V1)
        self.shm = self._require(WL_SHM)

    @property
    def waits_for_damage(self) -> bool:
        """Whether a capture can wait until something has changed."""
        return self.manager.version >= _DAMAGE_SINCE

    def _require(self, interface: "Interface") -> "Proxy":
        proxy = self.connection.singleton(interface)
        if proxy is None:
            message = f"{self.connection.compositor} does not offer {interface.name}"
            raise UnsupportedError(message)
        return proxy

    def open(self, output: Output, *, region: Box | None = None, cursor: bool = False) -> "Session":
        """Return a session on an output, or on a region of it.

        ``region`` is in logical units, relative to the output; it must lie inside. The
        protocol leaves its rounding open: ask for one only where a logical unit is
        ``integer_scale`` whole pixels and the output is not transformed.
        """
        return Session(self, output, region, cursor=cursor)


class Session:
    """Captures one output, a frame at a time: ``start()``, then ``finish()`` for the Frame.

    In between ``is_copying`` says that the compositor has all that it needs, and ``is_done``
    that ``finish()`` need not wait. ``close()`` at the end; closing the connection does as well.
    """

    def __init__(
        self, backend: Screencopy, output: Output, region: Box | None, *, cursor: bool
    ) -> None:
        """Take what ``Screencopy.open`` was asked for."""
        self._backend = backend
        self._output = output
        self._what = f"output {output.name!r}"
        # For errors: what a wait for this session is about.
        self.doing = f"capturing {self._what} by wlr-screencopy"
        self._frame: Proxy | None = None
        self._request = "copy"
        self._region = region
        self._part = region and region.scaled(output.integer_scale)
        # What the frame shows, in logical coordinates.
        self.box = region.moved(output.box.x, output.box.y) if region else output.box
        self._cut: Box | None = None  # of whole pictures, once a region was refused or clipped
        self._cursor = int(cursor)
        self._pool = ShmPool(backend.shm)
        self._reset()

    def _reset(self) -> None:
        self._offered_codes: list[int] = []
        self._layout: ShmLayout | None = None
        self._memory: memoryview | None = None
        self._flags = 0
        self._time_ns = 0
        self._ready = False
        self._failed = False

    @property
    def is_started(self) -> bool:
        """Whether a frame has been asked for that ``finish()`` has not returned yet."""
        return self._frame is not None

    @property
    def is_copying(self) -> bool:
        """Whether the compositor knows where to copy to, so that only the copy is owed."""
        return self._memory is not None

    @property
    def is_done(self) -> bool:
        """Whether the frame is there, or known not to come."""
        return self._ready or self._failed or self._is_lost

    def start(self, *, damage: bool = False) -> None:
        """Ask for a frame, waiting for nothing: several sessions can be under way at once.

        With ``damage`` the compositor answers once the output differs from what it last
        gave to this connection, and so perhaps never.
        """
        self._reset()
        self._request = "copy_with_damage" if damage else "copy"
        events: dict[str, Handler] = {
            "buffer": self._on_buffer,
            "buffer_done": self._copy,
            "flags": self._on_flags,
            "ready": self._on_ready,
            "failed": self._on_failed,
        }
        manager = self._backend.manager
        output = self._backend.connection.outputs[self._output.offer.name].proxy
        if self._region is None:
            self._frame = manager.create("capture_output", self._cursor, output, **events)
        else:
            self._frame = manager.create(
                "capture_output_region", self._cursor, output, *self._region, **events
            )

    def finish(self, deadline: float) -> Frame:
        """Wait for the frame that was asked for; ``deadline`` is a time.monotonic().

        Raises CaptureTimeoutError, CaptureError when the compositor fails, TargetLostError
        when the output is gone, UnsupportedError when no offered format can be read.
        """
        frame = self._wait(deadline)
        if self._part and (frame is None or frame.upright_size != self._part.size):
            # Some compositors refuse or clip what others serve: take all from now on, and cut here.
            self._cut, self._region, self._part = self._part, None, None
            self.start()
            return self.finish(deadline)
        if frame and (self._cut is None or frame.contains(self._cut)):
            return frame.crop(self._cut) if self._cut else frame
        if frame:
            message = f"{self._compositor} gave a picture of {frame.size} for {self._what}"
            raise CaptureError(message)
        message = f"{self._compositor} failed to capture {self._what}"
        raise CaptureError(message)

    def __enter__(self) -> Self:
        """Return the session itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the session."""
        self.close()

    def close(self) -> None:
        """End what is under way and give the buffers back; frames stay valid."""
        self.cancel()
        self._pool.close()

    def cancel(self) -> None:
        """Forget the frame that is under way, if any. Harmless twice."""
        frame, self._frame = self._frame, None
        if frame:
            frame.destroy()

    def _wait(self, deadline: float) -> Frame | None:
        """Wait for ``ready`` or ``failed``; None after the latter."""
        connection = self._backend.connection
        try:
            connection.wait(lambda: self.is_done, self.doing, deadline)
            if self._failed and not self._is_lost:
                # An output that was unplugged fails first and goes a moment later.
                connection.roundtrip(self.doing)
        finally:
            self.cancel()
        memory, self._memory = self._memory, None  # the frame's alone: it returns to the pool
        if self._ready and self._layout and memory:
            return self._make_frame(self._layout, memory)
        if self._is_lost:
            message = f"{self._what} went away while it was being captured"
            raise TargetLostError(message)
        return None

    @property
    def _compositor(self) -> str:
        return self._backend.connection.compositor

    @property
    def _is_lost(self) -> bool:
        return self._output.offer.name not in self._backend.connection.globals

    def _make_frame(self, layout: ShmLayout, memory: memoryview) -> Frame:
        transform = self._output.transform
        if self._flags & _Y_INVERT:
            transform = transform.y_inverted()
        return Frame(
            memory,
            layout.format,
            layout.size,
            layout.stride,
            transform,
            scale=self._output.scale,
            time_ns=self._time_ns,
        )

    def _on_buffer(self, code: int, width: int, height: int, stride: int) -> None:
        format_ = pixels.by_shm_code(code)
        if format_ is None:
            self._offered_codes.append(code)
        elif self._layout is None:
            self._layout = ShmLayout(format_, Size(width, height), stride)
        if self._backend.manager.version < _BUFFER_DONE_SINCE:
            self._copy()

    def _copy(self) -> None:
        if self._frame is None or self._memory is not None:
            return  # a second copy of the same frame would be a protocol error of ours
        if self._layout is None:
            offered = ", ".join(f"{code:#x}" for code in self._offered_codes) or "none"
            message = f"no pixel format of shared memory that wayshot can read (offered: {offered})"
            raise UnsupportedError(message)
        buffer, self._memory = self._pool.acquire(self._layout)
        self._frame.send(self._request, buffer)

    def _on_flags(self, flags: int) -> None:
        if not self._ready:  # what comes later is not about this frame
            self._flags = flags

    def _on_ready(self, seconds_high: int, seconds_low: int, nanoseconds: int) -> None:
        if self._memory is None:
            message = "the compositor says that a frame is ready which was never copied"
            raise CaptureError(message)
        now = clock_gettime_ns(CLOCK_MONOTONIC)
        time_ns = (seconds_high << 32 | seconds_low) * 1_000_000_000 + nanoseconds
        # Some compositors stamp zero or another clock: arrival is then the better truth.
        self._time_ns = time_ns if abs(now - time_ns) <= _MAX_CLOCK_SKEW_NS else now
        self._ready = True

    def _on_failed(self) -> None:
        self._failed = True
