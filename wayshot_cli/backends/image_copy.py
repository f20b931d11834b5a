"""ext-image-copy-capture-v1: outputs and windows, into shared memory or dmabufs.

A capture session is told once what it captures, and says, then and whenever it changes, what
buffers have to be like. Its first frame comes at once, each further one when there is something
new to show.
"""

from collections.abc import Callable, Iterable
from functools import partial
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, NamedTuple, Self

from wayshot_cli import pixels
from wayshot_cli.backends.common import (
    ANY,
    SHM_PREFERRED,
    OutputBackend,
    Wish,
    cut,
    frame_time,
    require,
)
from wayshot_cli.buffers.shm import ShmLayout, ShmPool
from wayshot_cli.errors import CaptureError, CaptureTimeoutError, TargetLostError, UnsupportedError
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Box, Size, Transform, bounding_box
from wayshot_cli.wayland.protocols.core import WL_SHM
from wayshot_cli.wayland.protocols.ext_foreign_toplevel_list import EXT_FOREIGN_TOPLEVEL_LIST_V1
from wayshot_cli.wayland.protocols.ext_image_capture_source import (
    EXT_FOREIGN_TOPLEVEL_IMAGE_CAPTURE_SOURCE_MANAGER_V1,
    EXT_OUTPUT_IMAGE_CAPTURE_SOURCE_MANAGER_V1,
)
from wayshot_cli.wayland.protocols.ext_image_copy_capture import EXT_IMAGE_COPY_CAPTURE_MANAGER_V1

if TYPE_CHECKING:
    from wayshot_cli.backends.image_copy_cursor import CursorSession
    from wayshot_cli.buffers.gbm import GbmPool, Loan, Memory
    from wayshot_cli.dmabuf_frame import DmabufFrame
    from wayshot_cli.pixels import PixelFormat
    from wayshot_cli.wayland.connection import Connection
    from wayshot_cli.wayland.outputs import Output
    from wayshot_cli.wayland.proxy import Handler, Proxy

_PAINT_CURSORS = 1  # ext_image_copy_capture_manager_v1.options

# ext_image_copy_capture_frame_v1.failure_reason; what else there may be one day is like 0, unknown
_BUFFER_CONSTRAINTS = 1
_STOPPED = 2

_ROW_UNIT = 4  # bytes; pixman, with which some compositors draw, takes no other rows
_RETRY = 0.02  # seconds until a frame is asked for again

NOTHING = Size(0, 0)
"""What wlroots says of an output that is powered off, and of a cursor that is nowhere."""


class ImageCopy(OutputBackend):
    """The backend: opens sessions on outputs and windows of one connection."""

    name = "image-copy"
    waits_for_damage = True

    def __init__(self, connection: "Connection", wish: Wish = ANY) -> None:
        """Bind the globals. Raises UnsupportedError when one is missing, or a wish is beyond it."""
        self.connection = connection
        self.wish = wish
        self.manager = require(connection, EXT_IMAGE_COPY_CAPTURE_MANAGER_V1)
        self.outputs = require(connection, EXT_OUTPUT_IMAGE_CAPTURE_SOURCE_MANAGER_V1)
        if wish.windows:
            require(connection, EXT_FOREIGN_TOPLEVEL_IMAGE_CAPTURE_SOURCE_MANAGER_V1)
            # Not bound here: its events are for whoever reads them.
            if connection.find(EXT_FOREIGN_TOPLEVEL_LIST_V1) is None:
                missing = EXT_FOREIGN_TOPLEVEL_LIST_V1.name
                message = f"{connection.compositor} does not offer {missing}"
                raise UnsupportedError(message)
        if not wish.damage:
            message = "ext-image-copy-capture gives a frame only when something has changed"
            raise UnsupportedError(message, hint="leave --no-damage out")
        self._memories: dict[int | None, Memory] = {}
        self.prefers_shm = False  # to dmabufs that are offered, too
        if wish.buffer != "dmabuf":
            self.shm = require(connection, WL_SHM)
            return
        from wayshot_cli.buffers import gbm  # noqa: PLC0415 - shared memory needs none
        from wayshot_cli.wayland import dmabuf  # noqa: PLC0415

        # The device is named by sessions; that there can be none is known now.
        gbm.library()
        dmabuf.bind(connection).destroy()

    @property
    def memory(self) -> str:
        """What captures go into, for people."""
        return "dmabufs" if self.wish.buffer == "dmabuf" else "shared memory"

    @property
    def notes(self) -> list[str]:
        """What there is to tell of devices and their buffers so far, for people."""
        choice = [SHM_PREFERRED] if self.prefers_shm else []
        return choice + [note for memory in self._memories.values() for note in memory.notes]

    def memory_of(self, device: int | None) -> "Memory":
        """Return the memory of a device that a session names, opened at the first call.

        Raises UnsupportedError when it cannot be.
        """
        if device not in self._memories:
            from wayshot_cli.buffers.gbm import Memory  # noqa: PLC0415 - shared memory needs none
            from wayshot_cli.wayland.dmabuf import Offer  # noqa: PLC0415

            self._memories[device] = Memory(self.connection, self.wish.device, Offer(device, {}))
        return self._memories[device]

    def open(
        self, output: "Output", *, region: Box | None = None, cursor: bool = False
    ) -> "Session":
        """Return a session on an output; a region, as for ``Screencopy.open``, is cut out."""
        connection = self.connection

        def create_source() -> "Proxy":
            return self.outputs.create("create_source", connection.outputs[output.offer.name].proxy)

        target = Target(
            f"output {output.name!r}",
            create_source,
            lambda: output.offer.name not in connection.globals,
            region.moved(output.box.x, output.box.y) if region else output.box,
            region and region.scaled(output.integer_scale),
            output.transform,
            output.scale,
        )
        return self._open(target, cursor=cursor)

    def open_window(
        self, toplevel: "Proxy", what: str, is_closed: Callable[[], bool], *, cursor: bool = False
    ) -> "Session":
        """Return a session on a window: an ext_foreign_toplevel_handle_v1.

        ``what`` names it in errors, ``is_closed`` says whether it is known to be gone. Raises
        UnsupportedError when the compositor captures no windows.
        """
        sources = require(self.connection, EXT_FOREIGN_TOPLEVEL_IMAGE_CAPTURE_SOURCE_MANAGER_V1)
        target = Target(what, lambda: sources.create("create_source", toplevel), is_closed)
        return self._open(target, cursor=cursor)

    def _open(self, target: "Target", *, cursor: bool) -> "Session":
        session = Session(self, target, cursor=cursor)
        if self.wish.separate_cursor:
            from wayshot_cli.backends.image_copy_cursor import (  # noqa: PLC0415 - few ask for it
                open_cursor,
            )

            session.cursor = open_cursor(self, target)
        return session


class Target(NamedTuple):
    """What a session captures.

    ``what`` names it in errors, ``create_source`` makes an ext_image_capture_source_v1 of it,
    ``is_lost`` says whether it is known to be gone. ``box`` is what its pictures show in logical
    coordinates, None for a window, which lies nowhere; ``part`` what is cut out of them, in
    pixels; ``transform`` that of the buffer where the compositor says none.
    """

    what: str
    create_source: "Callable[[], Proxy]"
    is_lost: Callable[[], bool]
    box: Box | None = None
    part: Box | None = None
    transform: Transform = Transform.NORMAL
    scale: float = 1.0

    @property
    def alpha(self) -> Alpha:
        """What alpha means: windows have one, outputs are opaque."""
        return Alpha.IGNORED if self.box else Alpha.PREMULTIPLIED


class Constraints:
    """What buffers have to be like: one batch of events, up to ``done``."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.size = NOTHING
        self.shm_codes: list[int] = []
        self.device: bytes | None = None
        self.modifiers: dict[int, bytes] = {}  # of dmabufs, by fourcc


class Session:
    """Captures one target, a frame at a time, as ``screencopy.Session`` does.

    Without ``damage`` a frame is owed at once. That is so of a capture session's first
    one only: for another one, and after whatever went wrong, a new capture session is begun.
    """

    def __init__(self, backend: ImageCopy, target: Target, *, cursor: bool) -> None:
        """Take what ``ImageCopy.open`` was asked for."""
        self._backend = backend
        self._target = target
        # For errors: what a wait for this session is about.
        self.doing = f"capturing {target.what} by ext-image-copy-capture"
        # What the frame shows, in logical coordinates; a window's is known with its first frame.
        self.box = target.box or Box(0, 0, 0, 0)
        self._options = _PAINT_CURSORS if cursor else 0
        self.cursor: CursorSession | None = None  # which gives frames their ``cursor``
        self._shm_pool: ShmPool | None = None
        self._gbm_pool: GbmPool | None = None
        self._dmabufs: Memory | None = None  # of that pool
        self._session: Proxy | None = None
        self._has_captured = False  # in that session
        self._pending = Constraints()
        self._constraints: Constraints | None = None
        # The part of each buffer that is older than the newest frame, None when none is; a buffer
        # that is not in here has never been written. One box, not a region: damage that
        # is far apart is rare, and costs no more than a copy of what has not changed.
        self._stale: dict[Proxy, Box | None] = {}
        self._wanted: object | None = None  # a frame; another one for each ``start()``
        self._frame: Proxy | None = None
        self._reset()

    def _reset(self) -> None:
        self._is_asking = False  # for a dmabuf that the compositor has yet to accept
        # Makes a frame of the buffer once it is written, by what is known then; holds the buffer.
        self._make_frame: Callable[..., Frame | DmabufFrame] | None = None
        self._transform = self._target.transform
        self._damage: list[Box] = []
        self._time_ns = 0
        self._ready = False
        self._failed: int | None = None

    @property
    def is_started(self) -> bool:
        """Whether a frame has been asked for that ``finish()`` has not returned yet."""
        return self._wanted is not None

    @property
    def is_copying(self) -> bool:
        """Whether the compositor knows where to copy to, so that only the copy is owed."""
        return self._make_frame is not None

    @property
    def is_done(self) -> bool:
        """Whether the frame is there, or known not to come."""
        return self._ready or self._failed is not None or self._target.is_lost()

    def start(self, *, damage: bool = False) -> None:
        """Ask for a frame, waiting for nothing: several sessions can be under way at once.

        With ``damage`` the compositor answers once there is something new since the last frame,
        and so perhaps never.
        """
        self._reset()
        if self._has_captured and not damage:
            self._end()
        self._wanted = object()
        if self.cursor and not self.cursor.is_started:
            self.cursor.start()
        if self._target.is_lost():
            return  # as ``finish()`` says
        if self._session is None:
            self._begin()
        elif self._constraints:
            self._copy(self._session, self._constraints)

    def finish(self, deadline: float) -> Frame:
        """Wait for the frame that was asked for; ``deadline`` is a time.monotonic().

        What fails is asked for again until then. Raises CaptureTimeoutError, CaptureError when
        the compositor fails for so long or ends the session, TargetLostError when the target is
        gone, UnsupportedError when no offered format can be read.
        """
        frame = self._finish(deadline)
        try:
            if not isinstance(frame, Frame):
                with frame:
                    frame = frame.map(deadline)
            if self.cursor:
                frame.cursor = self.cursor.finish_cursor(deadline)
        except BaseException:
            self._end()  # the compositor takes the frame for shown, and would wait for a change
            raise
        return cut(frame, self._target.part, self._backend.connection, self._target.what)

    def finish_dmabuf(self, deadline: float) -> "DmabufFrame":
        """Wait in the same way, for the buffer itself, where it is a dmabuf: all of it.

        Raises the same, and UnsupportedError when the picture lies in shared memory.
        """
        frame = self._finish(deadline)
        if isinstance(frame, Frame):
            message = f"{self._target.what} was captured into shared memory"
            raise UnsupportedError(message, hint="open the backend with the buffer 'dmabuf'")
        return frame

    def _finish(self, deadline: float) -> "Frame | DmabufFrame":
        try:
            make_frame = self._wait(deadline)
        finally:
            self.cancel()
        target = self._target
        # The buffer is the frame's alone now: with it, it returns to the pool.
        frame = make_frame(
            transform=self._transform,
            alpha=target.alpha,
            scale=target.scale,
            time_ns=self._time_ns,
        )
        if target.box is None:
            self.box = Box(0, 0, *frame.upright_size)
        return frame

    def close(self) -> None:
        """End what is under way and give the buffers back; frames stay valid."""
        self.cancel()
        self._end()
        self._close_pools()
        if self.cursor:
            self.cursor.close()

    def cancel(self) -> None:
        """Forget the frame that is under way, if any, and its buffer. Harmless twice."""
        self._wanted = None
        self._make_frame = None  # it leads back here: the collector would take its time
        frame, self._frame = self._frame, None
        if frame:
            frame.destroy()
            if not self._ready:  # or it is, and nobody heard: what has changed since is unknown
                self._end()

    def __enter__(self) -> Self:
        """Return the session itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the session."""
        self.close()

    def _begin(self) -> None:
        """Begin a capture session."""
        self._has_captured = False
        self._pending = Constraints()
        self._constraints = None
        self._session = self._create(
            buffer_size=self._on_buffer_size,
            shm_format=self._on_shm_format,
            dmabuf_device=self._on_dmabuf_device,
            dmabuf_format=self._on_dmabuf_format,
            done=self._on_done,
            stopped=self._on_stopped,
        )

    def _create(self, **handlers: "Handler") -> "Proxy":
        source = self._target.create_source()
        create = self._backend.manager.create
        session = create("create_session", source, self._options, **handlers)
        source.destroy()
        return session

    def _end(self) -> None:
        """End the capture session, if there is one; the buffers are kept."""
        session, self._session = self._session, None
        if session:
            session.destroy()

    def _close_pools(self) -> None:
        for pool in (self._shm_pool, self._gbm_pool):
            if pool:
                pool.close()
        self._shm_pool = self._gbm_pool = None
        self._stale.clear()

    def _wait(self, deadline: float) -> "Callable[..., Frame | DmabufFrame]":
        """Wait for ``ready``, trying again after failures; return what makes the frame."""
        failure: CaptureError | None = None
        while True:
            try:
                self._backend.connection.wait(lambda: self.is_done, self.doing, deadline)
            except CaptureTimeoutError as error:
                if failure:  # it tells more than that the time is up
                    raise failure from None
                if self._target.box is None:  # as wlroots does, up to 0.20
                    error.hint = (
                        "if another program captures it, too, some compositors answer only when "
                        "the window changes"
                    )
                raise
            if self._ready and self._make_frame:
                return self._make_frame
            failure = self._recover()
            if monotonic() >= deadline:
                raise failure
            self.start()

    def _recover(self) -> CaptureError:
        """Make ready for another attempt, and return why the last one failed.

        Raises what ``finish`` does when another one makes no sense.
        """
        connection, what, reason = self._backend.connection, self._target.what, self._failed
        self.cancel()
        self._end()
        if reason == _BUFFER_CONSTRAINTS:
            self._close_pools()
        # An output that was unplugged fails first and goes a moment later.
        connection.roundtrip(self.doing)
        if self._target.is_lost() or (reason == _STOPPED and self._target.box is None):
            message = f"{what} went away while it was being captured"
            raise TargetLostError(message)
        if reason == _STOPPED:
            message = f"{connection.compositor} ended the capture of {what}"
            raise CaptureError(message)
        connection.sleep(_RETRY)
        message = f"{connection.compositor} failed to capture {what}"
        if reason == _BUFFER_CONSTRAINTS:
            message += ": it refuses every buffer"
        return CaptureError(message)

    def _copy(self, session: "Proxy", constraints: Constraints) -> None:
        """Choose a buffer by the constraints, and have the frame copied into it."""
        size, buffer = constraints.size, self._backend.wish.buffer
        if size == NOTHING:
            message = f"{self._backend.connection.compositor} has no picture of {self._target.what}"
            hint = "is it powered off?" if self._target.box else "is it minimized?"
            raise CaptureError(message, hint=hint)
        if not size.is_possible:
            message = (
                f"{self._backend.connection.compositor} asks for an impossible buffer: {size} "
                f"for {self._target.what}"
            )
            raise CaptureError(message)
        shm_format = self._choose(map(pixels.by_shm_code, constraints.shm_codes))
        dmabuf_format = self._choose(map(pixels.by_fourcc, constraints.modifiers))
        if shm_format and buffer != "dmabuf":
            self._backend.prefers_shm = buffer == "auto" and dmabuf_format is not None
            row = size.width * shm_format.bytes_per_pixel
            self._copy_into_shm(session, ShmLayout(shm_format, size, row + -row % _ROW_UNIT))
        elif dmabuf_format and buffer != "shm":
            self._copy_into_dmabuf(session, dmabuf_format, constraints)
        else:
            codes = constraints.modifiers if buffer == "dmabuf" else constraints.shm_codes
            offered = ", ".join(f"{code:#x}" for code in codes) or "none"
            message = (
                f"no pixel format of {self._backend.memory} that wayshot can read "
                f"(offered: {offered})"
            )
            other = "take --backend screencopy" if self._target.box else None
            raise UnsupportedError(message, hint=other)

    def _choose(self, offered: "Iterable[PixelFormat | None]") -> "PixelFormat | None":
        """Return the best of the formats that can be read, None without one.

        Compositors name first what they draw in (wlroots and Mir nothing else): where that is
        deep, it alone keeps the colours. Of the others what is read fastest is best.
        """
        readable = [format_ for format_ in offered if format_]
        if not readable or readable[0].is_deep:
            return next(iter(readable), None)
        has_alpha = self._target.alpha is not Alpha.IGNORED
        usual = pixels.ARGB8888 if has_alpha else pixels.XRGB8888
        return min(
            readable,
            key=lambda format_: (
                format_.kind is not pixels.Kind.BYTES,  # 16 bits a pixel, or for nothing deep
                has_alpha and not format_.has_alpha,
                format_.bytes_per_pixel != usual.bytes_per_pixel,
                format_ is not usual,
            ),
        )

    def _copy_into_shm(self, session: "Proxy", layout: ShmLayout) -> None:
        if self._shm_pool is None:
            self._shm_pool = ShmPool(self._backend.shm)
        buffer, memory = self._shm_pool.acquire(layout)
        self._capture(
            session, buffer, layout.size, partial(Frame, memory, *layout, wl_buffer=buffer)
        )

    def _copy_into_dmabuf(
        self, session: "Proxy", format_: "PixelFormat", constraints: Constraints
    ) -> None:
        from wayshot_cli.buffers.gbm import DmabufLayout, GbmPool  # noqa: PLC0415 - not for shm
        from wayshot_cli.dmabuf_frame import DmabufFrame  # noqa: PLC0415
        from wayshot_cli.wayland import dmabuf  # noqa: PLC0415

        named = constraints.device
        dmabufs = self._backend.memory_of(None if named is None else dmabuf.read_device(named))
        if self._gbm_pool and dmabufs is not self._dmabufs:  # the session moved to another device
            self._close_pools()
        if self._gbm_pool is None:
            self._gbm_pool, self._dmabufs = GbmPool(dmabufs), dmabufs
        size, wanted = constraints.size, self._wanted
        modifiers = dmabuf.read_modifiers(constraints.modifiers[format_.fourcc])

        def use(loan: "Loan") -> None:
            is_current = self._wanted is wanted and not self.is_done  # or cancelled meanwhile
            if loan.proxy and is_current:
                self._capture(session, loan.proxy, size, partial(DmabufFrame, loan))

        self._is_asking = True
        self._gbm_pool.acquire(DmabufLayout(format_, size, modifiers), use)

    def _capture(
        self,
        session: "Proxy",
        buffer: "Proxy",
        size: Size,
        make_frame: "Callable[..., Frame | DmabufFrame]",
    ) -> None:
        whole = Box(0, 0, *size)

        def on_damage(*numbers: int) -> None:
            if damage := whole.intersection(Box(*numbers)):
                self._damage.append(damage)

        def on_ready() -> None:
            # Who tells of no damage does not know: there must be some.
            self._note_damage(buffer, bounding_box(self._damage or [whole]))
            self._time_ns = self._time_ns or monotonic_ns()
            self._ready = self._has_captured = True

        self._make_frame = make_frame
        self._frame = frame = session.create(
            "create_frame",
            transform=self._on_transform,
            damage=on_damage,
            presentation_time=self._on_presentation_time,
            ready=on_ready,
            failed=self._on_failed,
        )
        frame.send("attach_buffer", buffer)
        if stale := self._stale.get(buffer, whole):
            frame.send("damage_buffer", *stale)
        frame.send("capture")

    def _note_damage(self, written: "Proxy", damage: Box) -> None:
        """Make every buffer stale where the screen has changed, but for the one just written."""
        for buffer, stale in self._stale.items():
            self._stale[buffer] = bounding_box([stale, damage]) if stale else damage
        self._stale[written] = None

    def _on_buffer_size(self, width: int, height: int) -> None:
        self._pending.size = Size(width, height)

    def _on_shm_format(self, code: int) -> None:
        self._pending.shm_codes.append(code)

    def _on_dmabuf_device(self, device: bytes) -> None:
        self._pending.device = device

    def _on_dmabuf_format(self, code: int, modifiers: bytes) -> None:
        self._pending.modifiers[code] = modifiers

    def _on_done(self) -> None:
        self._constraints, self._pending = self._pending, Constraints()
        self._stale.clear()  # buffers of another kind are not told of by this one's damage
        is_waiting = self._wanted and not (self.is_copying or self._is_asking or self.is_done)
        if is_waiting and self._session:
            self._copy(self._session, self._constraints)

    def _on_stopped(self) -> None:
        self._end()
        if not self._ready:
            self._failed = _STOPPED

    def _on_transform(self, transform: int) -> None:
        if self._ready:
            return  # what comes later is not about this frame
        if transform not in tuple(Transform):
            message = f"{self._target.what} was captured with the impossible transform {transform}"
            raise CaptureError(message)
        self._transform = Transform(transform)

    def _on_presentation_time(self, seconds_high: int, seconds_low: int, nanoseconds: int) -> None:
        if not self._ready:
            self._time_ns = frame_time(seconds_high, seconds_low, nanoseconds)

    def _on_failed(self, reason: int) -> None:
        if not self._ready:
            self._failed = reason
