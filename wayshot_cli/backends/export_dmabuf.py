"""wlr-export-dmabuf-unstable-v1: the buffer that the compositor has drawn, read at once.

Nothing is copied for us, and nothing waits for us: the compositor draws into the buffer again as
soon as it likes. So a picture to be read is copied right after ``ready``.
"""

import os
from time import monotonic
from typing import TYPE_CHECKING, Self

from wayshot_cli import pixels
from wayshot_cli.backends.common import ANY, OutputBackend, Wish, cut, frame_time, require
from wayshot_cli.buffers.gbm import (
    LONGEST_STRIDE,
    MOST_PLANES,
    BufferObject,
    DmabufLayout,
    GbmBuffer,
    Memory,
    Plane,
    close_planes,
    modifier_name,
)
from wayshot_cli.dmabuf_frame import DmabufFrame
from wayshot_cli.errors import (
    CaptureError,
    CaptureTimeoutError,
    TargetLostError,
    UnsupportedError,
)
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Box, Size
from wayshot_cli.wayland.dmabuf import INVALID, LINEAR
from wayshot_cli.wayland.protocols.wlr_export_dmabuf import ZWLR_EXPORT_DMABUF_MANAGER_V1

if TYPE_CHECKING:
    from wayshot_cli.wayland.connection import Connection
    from wayshot_cli.wayland.outputs import Output
    from wayshot_cli.wayland.proxy import Proxy

_Y_INVERT = 1  # zwp_linux_buffer_params_v1.flags, which exported frames have, too
_MOST_KEPT = 8  # buffer objects; compositors draw into two to four in turns
_PERMANENT = 1  # zwlr_export_dmabuf_frame_v1.cancel_reason; 0 and 2 (resizing) may pass
_RETRY = 0.02  # seconds until a frame is asked for again


class ExportDmabuf(OutputBackend):
    """The backend: opens sessions on outputs of one connection. It knows no damage."""

    name = "export-dmabuf"
    memory = "the compositor's dmabufs"
    waits_for_damage = False

    def __init__(self, connection: "Connection", wish: Wish = ANY) -> None:
        """Bind the global and open the device. Raises UnsupportedError when one is missing."""
        self.connection = connection
        self.manager = require(connection, ZWLR_EXPORT_DMABUF_MANAGER_V1)
        if wish.buffer == "shm":
            message = "there is no shared memory in wlr-export-dmabuf"
            raise UnsupportedError(message, hint="take --backend screencopy")
        self.dmabufs = Memory(connection, wish.device)

    @property
    def notes(self) -> list[str]:
        """What there is to tell of the device so far, for people."""
        return self.dmabufs.notes

    def open(
        self, output: "Output", *, region: Box | None = None, cursor: bool = False
    ) -> "Session":
        """Return a session on an output; a region, as for ``Screencopy.open``, is cut out."""
        return Session(self, output, region, cursor=cursor)


class Session:
    """Captures one output, a frame at a time, as ``screencopy.Session`` does."""

    def __init__(
        self, backend: ExportDmabuf, output: "Output", region: Box | None, *, cursor: bool
    ) -> None:
        """Take what ``ExportDmabuf.open`` was asked for."""
        self._backend = backend
        self._output = output
        self._what = f"output {output.name!r}"
        self.doing = f"capturing {self._what} by wlr-export-dmabuf"
        self._part = region and region.scaled(output.integer_scale)
        self.box = region.moved(output.box.x, output.box.y) if region else output.box
        self._cursor = int(cursor)
        self._imported: dict[tuple[object, ...], BufferObject] = {}
        self._frame: Proxy | None = None
        self._planes: dict[int, Plane] = {}
        self._forget()

    def _forget(self) -> None:
        """Close what the compositor has lent."""
        close_planes(list(self._planes.values()))
        self._planes.clear()
        self._format: pixels.PixelFormat | None = None
        self._size = Size(0, 0)
        self._modifier = 0
        self._transform = self._output.transform
        self._count = 0
        self._time_ns = 0
        self._ready = False
        self._cancelled: int | None = None

    @property
    def is_started(self) -> bool:
        """Whether a frame has been asked for that ``finish()`` has not returned yet."""
        return self._frame is not None

    @property
    def is_copying(self) -> bool:
        """Whether the compositor knows all that it needs: it does from the start."""
        return self._frame is not None

    @property
    def is_done(self) -> bool:
        """Whether the frame is there, or known not to come."""
        return self._ready or self._cancelled is not None or self._is_lost

    @property
    def _is_lost(self) -> bool:
        return self._output.offer.name not in self._backend.connection.globals

    def start(self, *, damage: bool = False) -> None:  # noqa: ARG002 - the protocol knows no damage
        """Ask for the next frame that the compositor draws, waiting for nothing."""
        self._forget()
        output = self._backend.connection.outputs[self._output.offer.name].proxy
        self._frame = self._backend.manager.create(
            "capture_output",
            self._cursor,
            output,
            frame=self._on_frame,
            object=self._on_object,
            ready=self._on_ready,
            cancel=self._on_cancel,
        )

    def finish(self, deadline: float) -> Frame:
        """Wait for the frame that was asked for; ``deadline`` is a time.monotonic().

        What is cancelled for the time being is asked for again until then. Raises
        CaptureTimeoutError, CaptureError when the compositor fails or cancels for good,
        TargetLostError when the output is gone, UnsupportedError when its buffer cannot be read.
        """
        with self.finish_dmabuf(deadline) as exported, exported.map(deadline) as mapped:
            frame = Frame(
                memoryview(bytes(mapped.memory)),
                mapped.format,
                mapped.size,
                mapped.stride,
                mapped.transform,
                scale=mapped.scale,
                time_ns=mapped.time_ns,
            )
        return cut(frame, self._part, self._backend.connection, self._what)

    def finish_dmabuf(self, deadline: float) -> DmabufFrame:
        """Wait in the same way, for the buffer itself: all of it, whatever region was asked for.

        The compositor draws into it again as soon as it likes.
        """
        try:
            while not self._wait(deadline):
                self.start()
            return self._adopt()
        finally:
            self.cancel()

    def close(self) -> None:
        """End what is under way; frames stay valid."""
        self.cancel()
        self._imported.clear()

    def cancel(self) -> None:
        """Forget the frame that is under way, if any. Harmless twice."""
        frame, self._frame = self._frame, None
        if frame:
            frame.destroy()
        self._forget()

    def __enter__(self) -> Self:
        """Return the session itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the session."""
        self.close()

    @property
    def _compositor(self) -> str:
        return self._backend.connection.compositor

    def _wait(self, deadline: float) -> bool:
        """Wait for ``ready``; False when the frame has to be asked for again."""
        connection = self._backend.connection
        connection.wait(lambda: self.is_done, self.doing, deadline)
        if self._ready:
            return True
        reason = self._cancelled
        self.cancel()
        # An output that was unplugged cancels first and goes a moment later.
        connection.roundtrip(self.doing)
        if self._is_lost:
            message = f"{self._what} went away while it was being captured"
            raise TargetLostError(message)
        if reason == _PERMANENT:
            message = f"{self._compositor} cancelled for good the export of {self._what}"
            raise CaptureError(message)
        connection.sleep(_RETRY)
        if monotonic() >= deadline:
            message = f"{self._compositor} has only cancelled exports of {self._what}"
            raise CaptureTimeoutError(message)
        return False

    def _adopt(self) -> DmabufFrame:
        """Take over what was exported."""
        numbers = sorted(self._planes)
        if self._format is None or numbers != list(range(self._count)):
            message = f"{self._compositor} exported {len(numbers)} of {self._count} planes"
            raise CaptureError(message)
        planes = [self._planes[number] for number in numbers]
        layout = DmabufLayout(self._format, self._size)
        if self._modifier in (LINEAR, INVALID):
            _check_rows(layout, planes[0])
        return DmabufFrame(
            GbmBuffer(self._backend.dmabufs, self._import(layout, planes), None).lend(),
            self._transform,
            scale=self._output.scale,
            time_ns=self._time_ns,
        )

    def _import(self, layout: DmabufLayout, planes: list[Plane]) -> BufferObject:
        """Return the buffer object of a dmabuf: the same one when it comes again."""
        dmabufs = self._backend.dmabufs
        if any(bo.layout != layout for bo in self._imported.values()):
            self._imported.clear()
        identity = self._modifier, *(_identify(plane) for plane in planes)
        if None not in identity and (known := self._imported.get(identity)):
            return known
        try:
            bo = dmabufs.device.adopt(layout, self._modifier, planes)
        except OSError as error:
            message = (
                f"{dmabufs.device.path} cannot read {self._compositor}'s dmabuf of {layout}, "
                f"modifier {modifier_name(self._modifier)}: {error.strerror}"
            )
            raise UnsupportedError(message, hint="take --backend screencopy") from error
        self._planes.clear()  # they are its own now
        if not self._imported:
            dmabufs.notes.append(f"exported {bo}")
        elif len(self._imported) == _MOST_KEPT:
            del self._imported[next(iter(self._imported))]
        self._imported[identity] = bo
        return bo

    def _on_frame(  # noqa: PLR0913, PLR0917 - zwlr_export_dmabuf_frame_v1.frame has them all
        self,
        width: int,
        height: int,
        _offset_x: int,
        _offset_y: int,
        buffer_flags: int,
        _flags: int,
        code: int,
        modifier_high: int,
        modifier_low: int,
        count: int,
    ) -> None:
        format_ = pixels.by_fourcc(code)
        if format_ is None:
            message = f"a dmabuf of format {code:#x}, which wayshot cannot read"
            raise UnsupportedError(message)
        if not (Size(width, height).is_possible and 0 < count <= MOST_PLANES):
            message = f"impossible dmabuf: {width}x{height}, {count} planes"
            raise CaptureError(message)
        self._format, self._size, self._count = format_, Size(width, height), count
        self._modifier = modifier_high << 32 | modifier_low
        if buffer_flags & _Y_INVERT:
            self._transform = self._transform.y_inverted()

    def _on_object(
        self, _index: int, fd: int, _size: int, offset: int, stride: int, plane: int
    ) -> None:
        if self._frame is None or plane >= MOST_PLANES or plane in self._planes:
            os.close(fd)
            message = f"{self._compositor} exported plane {plane} where there is none"
            raise CaptureError(message)
        if max(offset, stride) > LONGEST_STRIDE:
            os.close(fd)
            facts = f"offset {offset}, stride {stride}"
            message = f"{self._compositor} exported an impossible dmabuf: {facts}"
            raise CaptureError(message)
        self._planes[plane] = Plane(fd, offset, stride)

    def _on_ready(self, seconds_high: int, seconds_low: int, nanoseconds: int) -> None:
        self._time_ns = frame_time(seconds_high, seconds_low, nanoseconds)
        self._ready = True

    def _on_cancel(self, reason: int) -> None:
        self._cancelled = reason


def _identify(plane: Plane) -> tuple[int, int, int] | None:
    """Return what no other dmabuf has while this one is open, None where the kernel cannot tell."""
    if os.readlink(f"/proc/self/fd/{plane.fd}").startswith("anon_inode:"):
        return None  # before Linux 5.3 all dmabufs have one inode
    return os.fstat(plane.fd).st_ino, plane.offset, plane.stride


def _check_rows(layout: DmabufLayout, plane: Plane) -> None:
    """Refuse a plane that does not hold the picture: reading beyond its end would be SIGBUS."""
    try:
        nbytes = os.lseek(plane.fd, 0, os.SEEK_END)
    except OSError as error:
        message = f"the compositor exported something that is no dmabuf: {error.strerror}"
        raise CaptureError(message) from error
    row = layout.size.width * layout.format.bytes_per_pixel
    if plane.stride < row or layout.end(plane) > nbytes:
        message = (
            f"the compositor exported an impossible dmabuf: {layout} in {nbytes} bytes, "
            f"offset {plane.offset}, stride {plane.stride}"
        )
        raise CaptureError(message)
