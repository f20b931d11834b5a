"""wlr-screencopy-unstable-v1, versions 1 to 3, into shared memory or dmabufs."""

from typing import TYPE_CHECKING, Self

from wayshot_cli import pixels
from wayshot_cli.backends.common import (
    ANY,
    SHM_PREFERRED,
    OutputBackend,
    Wish,
    frame_time,
    require,
)
from wayshot_cli.buffers.shm import ShmLayout, ShmPool
from wayshot_cli.errors import CaptureError, TargetLostError, UnsupportedError
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Box, Size, Transform
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.outputs import Output
from wayshot_cli.wayland.protocols.core import WL_SHM
from wayshot_cli.wayland.protocols.wlr_screencopy import ZWLR_SCREENCOPY_MANAGER_V1

if TYPE_CHECKING:
    from collections.abc import Callable

    from wayshot_cli.buffers.gbm import GbmPool, Loan, Memory
    from wayshot_cli.dmabuf_frame import DmabufFrame
    from wayshot_cli.wayland.proxy import Handler, Proxy

_Y_INVERT = 1  # zwlr_screencopy_frame_v1.flags
_DAMAGE_SINCE = 2
_BUFFER_DONE_SINCE = 3  # before it, a frame offers one shm buffer and wants the copy at once
_DMABUF_SINCE = 3


class Screencopy(OutputBackend):
    """The backend: opens sessions on outputs of one connection.

    A capture returns as soon as the compositor has a frame, or, where ``waits_for_damage`` says
    that the compositor can, once the output shows something new.
    """

    name = "screencopy"

    def __init__(self, connection: Connection, wish: Wish = ANY) -> None:
        """Bind the globals. Raises UnsupportedError when one is missing, or no device serves."""
        self.connection = connection
        self.wish = wish
        self.manager = require(connection, ZWLR_SCREENCOPY_MANAGER_V1)
        self.dmabufs: Memory | None = None
        self._choice: str | None = None
        if wish.buffer != "dmabuf":
            self.shm = require(connection, WL_SHM)
            return
        if self.manager.version < _DMABUF_SINCE:
            message = (
                f"{connection.compositor} offers {self.manager.interface.name} only in version "
                f"{self.manager.version}, which has no dmabufs"
            )
            raise UnsupportedError(message)
        self.need_dmabufs()

    @property
    def memory(self) -> str:
        """What captures go into, for people."""
        return "dmabufs" if self.wish.buffer == "dmabuf" else "shared memory"

    @property
    def notes(self) -> list[str]:
        """What there is to tell of the device and its buffers so far, for people."""
        choice = [self._choice] if self._choice else []
        return choice + (self.dmabufs.notes if self.dmabufs else [])

    def prefer_shm(self) -> None:
        """Note why dmabufs that are offered, too, are not taken."""
        if self.wish.buffer == "auto":
            self._choice = SHM_PREFERRED

    def do_without_shm(self, problem: str) -> None:
        """Turn to dmabufs. Raises UnsupportedError when they cannot be had either."""
        self._choice = f"dmabufs: {problem}"
        try:
            self.need_dmabufs()
        except UnsupportedError as error:
            message = f"{problem}, and dmabufs cannot be had: {error}"
            raise UnsupportedError(message, hint=error.hint) from error

    def need_dmabufs(self) -> "Memory":
        """Return the device for dmabufs, opened at the first call. Raises UnsupportedError."""
        if self.dmabufs is None:
            from wayshot_cli.buffers.gbm import Memory  # noqa: PLC0415 - shared memory needs none

            self.dmabufs = Memory(self.connection, self.wish.device)
        return self.dmabufs

    @property
    def waits_for_damage(self) -> bool:
        """Whether a capture can wait until something has changed."""
        return self.manager.version >= _DAMAGE_SINCE

    def open(self, output: Output, *, region: Box | None = None, cursor: bool = False) -> "Session":
        """Return a session on an output, or on a region of it.

        ``region`` is in logical units, relative to the output; it must lie inside. The
        protocol leaves its rounding open: ask for one only where a logical unit is
        ``integer_scale`` whole pixels and the output is not transformed.
        """
        return Session(self, output, region, cursor=cursor)


class Session:
    """Captures one output, a frame at a time: ``start()``, then ``finish()`` for the Frame.

    ``finish_dmabuf()`` in its place leaves the picture in GPU memory.

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
        self.doing = f"capturing {self._what} by wlr-screencopy into {backend.memory}"
        self._frame: Proxy | None = None
        self._request = "copy"
        self._region = region
        self._part = region and region.scaled(output.integer_scale)
        # What the frame shows, in logical coordinates.
        self.box = region.moved(output.box.x, output.box.y) if region else output.box
        self._cut: Box | None = None  # of whole pictures, once a region was refused or clipped
        self._cursor = int(cursor)
        self._shm_pool: ShmPool | None = None
        self._gbm_pool: GbmPool | None = None
        self._reset()

    def _reset(self) -> None:
        self._offered_codes: list[int] = []
        self._layout: ShmLayout | None = None
        self._dmabuf_offer: tuple[pixels.PixelFormat, Size] | None = None
        self._lacks_dmabufs = False  # there is nothing else to copy into
        self._is_asking = False  # for a dmabuf that the compositor has yet to accept
        # Makes a frame of the buffer once it is written; holds the buffer until then.
        self._make_frame: Callable[[], Frame | DmabufFrame] | None = None
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
        return self._make_frame is not None

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
            "linux_dmabuf": self._on_linux_dmabuf,
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
        frame = self._finish(deadline)
        if not isinstance(frame, Frame):
            with frame:
                frame = frame.map(deadline)
        return frame.crop(self._cut) if self._cut else frame

    def finish_dmabuf(self, deadline: float) -> "DmabufFrame":
        """Wait in the same way, for the buffer itself, where it is a dmabuf.

        A region that the compositor does not serve is not cut out of it. Raises the
        same, and UnsupportedError when the picture lies in shared memory.
        """
        frame = self._finish(deadline)
        if isinstance(frame, Frame):
            message = f"{self._what} was captured into shared memory"
            raise UnsupportedError(message, hint="open the backend with the buffer 'dmabuf'")
        return frame

    def _finish(self, deadline: float) -> "Frame | DmabufFrame":
        frame = self._wait(deadline)
        if self._lacks_dmabufs:
            self._backend.do_without_shm(self._nothing_readable("shared memory"))
            self.start()
            return self._finish(deadline)
        if self._part and (frame is None or frame.upright_size != self._part.size):
            # Some compositors refuse or clip what others serve: take all from now on, and cut here.
            self._cut, self._region, self._part = self._part, None, None
            self.start()
            return self._finish(deadline)
        if frame and (self._cut is None or Box(0, 0, *frame.upright_size).contains(self._cut)):
            return frame
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
        for pool in (self._shm_pool, self._gbm_pool):
            if pool:
                pool.close()

    def cancel(self) -> None:
        """Forget the frame that is under way, if any, and its buffer. Harmless twice."""
        self._make_frame = None  # it leads back here: the collector would take its time
        frame, self._frame = self._frame, None
        if frame:
            frame.destroy()

    def _wait(self, deadline: float) -> "Frame | DmabufFrame | None":
        """Wait for ``ready`` or ``failed``; None after the latter."""
        connection = self._backend.connection
        try:
            connection.wait(lambda: self.is_done, self.doing, deadline)
            make_frame = self._make_frame
            if self._failed and not self._is_lost:
                # An output that was unplugged fails first and goes a moment later.
                connection.roundtrip(self.doing)
        finally:
            self.cancel()
        # The buffer is the frame's alone now: with it, it returns to the pool.
        if self._ready and make_frame:
            return make_frame()
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

    @property
    def _transform(self) -> Transform:
        transform = self._output.transform
        return transform.y_inverted() if self._flags & _Y_INVERT else transform

    def _on_buffer(self, code: int, width: int, height: int, stride: int) -> None:
        if self._backend.wish.buffer == "dmabuf":
            return
        format_ = pixels.by_shm_code(code)
        if format_ is None:
            self._offered_codes.append(code)
        elif self._layout is None:
            self._layout = ShmLayout(format_, Size(width, height), stride)
        if self._backend.manager.version < _BUFFER_DONE_SINCE:
            self._copy()

    def _on_linux_dmabuf(self, code: int, width: int, height: int) -> None:
        if self._backend.wish.buffer == "shm":
            return
        format_ = pixels.by_fourcc(code)
        if format_ is None:
            self._offered_codes.append(code)
        else:
            self._dmabuf_offer = (format_, Size(width, height))

    def _copy(self) -> None:
        if self._frame is None or self.is_copying or self._is_asking:
            return  # a second copy of the same frame would be a protocol error of ours
        if self._layout:
            if self._dmabuf_offer:
                self._backend.prefer_shm()
            self._copy_into_shm(self._frame, self._layout)
        elif self._dmabuf_offer and self._backend.dmabufs:
            self._copy_into_dmabuf(self._frame, self._backend.dmabufs, *self._dmabuf_offer)
        elif self._dmabuf_offer:
            self._failed = self._lacks_dmabufs = True  # ``finish()`` opens a device: it may wait
        else:
            hint = "take --buffer shm" if self._backend.wish.buffer == "dmabuf" else None
            raise UnsupportedError(self._nothing_readable(self._backend.memory), hint=hint)

    def _nothing_readable(self, memory: str) -> str:
        offered = ", ".join(f"{code:#x}" for code in self._offered_codes) or "none"
        return f"no pixel format of {memory} that wayshot can read (offered: {offered})"

    def _copy_into_shm(self, frame: "Proxy", layout: ShmLayout) -> None:
        if self._shm_pool is None:
            self._shm_pool = ShmPool(self._backend.shm)
        buffer, memory = self._shm_pool.acquire(layout)

        def make_frame() -> Frame:
            return Frame(
                memory,
                *layout,
                self._transform,
                scale=self._output.scale,
                time_ns=self._time_ns,
                wl_buffer=buffer,
            )

        self._start_copy(frame, buffer, make_frame)

    def _copy_into_dmabuf(
        self, frame: "Proxy", dmabufs: "Memory", format_: pixels.PixelFormat, size: Size
    ) -> None:
        from wayshot_cli.buffers.gbm import DmabufLayout, GbmPool  # noqa: PLC0415 - not for shm
        from wayshot_cli.dmabuf_frame import DmabufFrame  # noqa: PLC0415 - not for shm

        if self._gbm_pool is None:
            self._gbm_pool = GbmPool(dmabufs)

        def use(loan: "Loan") -> None:
            def make_frame() -> DmabufFrame:
                return DmabufFrame(
                    loan, self._transform, scale=self._output.scale, time_ns=self._time_ns
                )

            if self._frame is frame:  # it may have been cancelled meanwhile
                self._start_copy(frame, loan.proxy, make_frame)

        self._is_asking = True
        modifiers = tuple(dmabufs.modifiers.get(format_.fourcc, ()))
        self._gbm_pool.acquire(DmabufLayout(format_, size, modifiers), use)

    def _start_copy(
        self,
        frame: "Proxy",
        buffer: "Proxy | None",
        make_frame: "Callable[[], Frame | DmabufFrame]",
    ) -> None:
        self._make_frame = make_frame
        frame.send(self._request, buffer)

    def _on_flags(self, flags: int) -> None:
        if not self._ready:  # what comes later is not about this frame
            self._flags = flags

    def _on_ready(self, seconds_high: int, seconds_low: int, nanoseconds: int) -> None:
        if not self.is_copying:
            message = "the compositor says that a frame is ready which was never copied"
            raise CaptureError(message)
        self._time_ns = frame_time(seconds_high, seconds_low, nanoseconds)
        self._ready = True

    def _on_failed(self) -> None:
        self._failed = True
