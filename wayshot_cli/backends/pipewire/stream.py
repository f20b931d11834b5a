"""A stream of pictures: negotiated, its newest buffer kept, and copied when somebody takes it."""

import collections
import contextlib
import itertools
import os
import stat
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from wayshot_cli.backends.common import Wish, trusted_time
from wayshot_cli.backends.pipewire import chunks, offers
from wayshot_cli.backends.pipewire._pipewire import ffi
from wayshot_cli.backends.pipewire.chunks import Data, Rows, UnusableError
from wayshot_cli.backends.pipewire.cursor import Cursor, paint, read_cursor
from wayshot_cli.backends.pipewire.library import Remote
from wayshot_cli.backends.pipewire.offers import Agreed, Preference
from wayshot_cli.buffers.fences import wait_for_writer
from wayshot_cli.buffers.gbm import DeviceMemory, DmabufLayout, GbmBuffer, Plane, close_planes
from wayshot_cli.buffers.linear import LinearMapping
from wayshot_cli.buffers.private import PrivatePool
from wayshot_cli.dmabuf_frame import DmabufFrame
from wayshot_cli.errors import (
    CaptureError,
    CaptureTimeoutError,
    NotFoundError,
    TargetLostError,
    UnsupportedError,
    WayshotError,
)
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Box
from wayshot_cli.kernels._kernels import ffi as own_ffi
from wayshot_cli.kernels._kernels import lib as own_lib
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.dmabuf import INVALID, LINEAR, read_offer
from wayshot_cli.wayland.protocols.linux_dmabuf import ZWP_LINUX_DMABUF_V1

if TYPE_CHECKING:
    from wayshot_cli.buffers.gbm import Loan
    from wayshot_cli.geometry import Transform
    from wayshot_cli.waiting import Waiter

FIXED_FORMAT = "WAYSHOT_PW_FORMAT"
"""Environment variable, for debugging: what alone is offered, as BGRx or BGRx:800x600."""

CURSORS = ("hidden", "embedded", "metadata")
"""Who paints the cursor: nobody, the producer, or we."""

_PROPERTIES = {
    "media.type": "Video",
    "media.category": "Capture",
    "media.role": "Screen",
    # A stream whose node is gone must not be linked to whatever else there is, as a camera.
    "node.dont-reconnect": "true",
}
_TYPES = {
    "shm": (offers.MEM_PTR, offers.MEM_FD),
    "auto": (offers.MEM_PTR, offers.MEM_FD, offers.DMA_BUF),
    "dmabuf": (offers.DMA_BUF,),
}

# enum pw_stream_state
_ERROR, _UNCONNECTED, _CONNECTING, _STREAMING = -1, 0, 1, 3

MOST_LENT = 4
"""Dmabufs that can be held at a time: they are the producer's, and it has not many."""

_UNREADABLE, _TOO_SHORT = "of memory that cannot be read", "shorter than they say"
_MOST_PLANES = 4
_MOST_BYTES = 2**31 - 1  # offsets and strides of GBM's are ints
_LONGEST_POD = 1 << 16  # bytes; what producers agree to has some hundred
_LARGEST_META = 1 << 23  # bytes; a cursor of 1024x1024 has half of it
_MOST_METAS = 32

_keys = itertools.count(1)
# Callbacks know their stream by a number: one that nobody has any more gets no calls.
_live: "weakref.WeakValueDictionary[int, Stream]" = weakref.WeakValueDictionary()


class _Held(NamedTuple):
    """A buffer that is not given back yet, and what it said of itself when it came."""

    buffer: Any
    data: Data
    rows: Rows
    box: Box  # of the buffer, in pixels, that the rows are
    transform: "Transform"
    time_ns: int


class Stream:
    """Pictures from a node of PipeWire, newest first: what was not taken in time is gone.

    ``fd`` polls readable when there is news; ``on_news()`` reads it. Everything else may be called
    from one thread at a time. ``close()`` at the end; a stream that is dropped ends as well.

    ``dropped`` counts, by the reason, buffers that showed no picture; ``agreed`` is the
    format in force, None before there is one.
    """

    def __init__(  # noqa: PLR0913 - a target, and how its pictures are to be
        self,
        node: int | None = None,
        *,
        serial: int | None = None,
        fd: int | None = None,
        buffer: str = "auto",
        modifiers: Mapping[int, Sequence[int]] | None = None,
        device: "DeviceMemory | None" = None,
        prefer: Preference | None = None,
        cursor: str = "embedded",
        alpha: Alpha = Alpha.IGNORED,
    ) -> None:
        """Connect to a node, by its serial where that is known.

        ``fd`` is a connection to PipeWire, as the portal opens one, and stays the caller's; None
        is the default daemon. ``buffer`` is shm, dmabuf, or auto for whatever can be mapped.
        ``device`` is what dmabufs are read with, and ``modifiers`` says by fourcc how they may
        be laid out; without them, linear ones are mapped. With "metadata" as its ``cursor`` it is
        painted here. ``alpha`` is what the alpha channel means, in formats that have one.

        Raises UnsupportedError without PipeWire, CaptureError when no stream can be made,
        InvalidArgumentError when WAYSHOT_PW_FORMAT names no format.
        """
        self.what = f"PipeWire node {serial if node is None else node}"
        self.agreed: Agreed | None = None
        self._state = _CONNECTING
        self._is_granted = fd is not None
        self.dropped: collections.Counter[str] = collections.Counter()
        self._prefer = offers.fixed_by(os.environ.get(FIXED_FORMAT), prefer or Preference())
        self._alpha = alpha
        self._buffer = buffer
        if buffer == "dmabuf":
            known = [LINEAR, INVALID] if device else [LINEAR]
            modifiers = modifiers or dict.fromkeys(offers.FOURCCS, known)
        self._offered = offers.formats(
            self._prefer, plain=buffer != "dmabuf", modifiers=modifiers or {}
        )
        self._paints = cursor == "metadata"
        self._cursor: Cursor | None = None
        self._has_cursor_moved = False
        self._clean: Frame | None = None  # the last picture, where a cursor is painted over it
        self._clean_box = Box(0, 0, 0, 0)
        self._damage: list[Box] | None = []
        self._error: BaseException | None = None
        self._held: _Held | None = None
        self._lent: list[Any] = []  # buffers that are being read, or that dmabufs are of
        self._handed_back: collections.deque[Any] = collections.deque()
        self._device = device
        self._pool = PrivatePool()
        self._remote = Remote(fd)
        try:
            self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError as error:
            self._remote.close()
            message = f"cannot make an eventfd: {error.strerror}"
            raise CaptureError(message) from error
        try:
            self._connect(node, serial)
        except BaseException:
            self.close()
            raise

    def _connect(self, node: int | None, serial: int | None) -> None:
        lib, remote, key = self._remote.lib, self._remote, next(_keys)
        facts = _PROPERTIES if serial is None else _PROPERTIES | {"target.object": str(serial)}
        words = " ".join(f"{name}={value}" for name, value in facts.items())
        hook, events = ffi.new("struct spa_hook *"), _events()
        with remote.locked():
            properties = lib.pw_properties_new_string(words.encode())
            pointer = lib.pw_stream_new(remote.core, b"wayshot", properties)
            # libpipewire has hook and events until the stream's end.
            self._pointer, keep = pointer, (hook, events)
            self._finalizer = weakref.finalize(self, _end, remote, pointer, self.fd, key, keep)
            if pointer == ffi.NULL:
                message = f"libpipewire makes no stream: {os.strerror(ffi.errno)}"
                raise CaptureError(message)
            _live[key] = self
            lib.pw_stream_add_listener(pointer, hook, events, ffi.cast("void *", key))
            target = lib.PW_ID_ANY if node is None or serial is not None else node
            # No MAP_BUFFERS: an fd is asked how long it is before it is read.
            flags = lib.PW_STREAM_FLAG_AUTOCONNECT
            with _pods(self._offered) as pods:
                result = lib.pw_stream_connect(
                    pointer, lib.PW_DIRECTION_INPUT, target, flags, pods, len(self._offered)
                )
        if result < 0:
            message = f"cannot connect to {self.what}: {os.strerror(-result)}"
            raise CaptureError(message)

    @property
    def is_streaming(self) -> bool:
        """Whether pictures can come."""
        return self._state == _STREAMING

    @property
    def has_news(self) -> bool:
        """Whether ``take`` has a picture to return, or an error to raise."""
        return self._error is not None or self._held is not None or self._has_cursor_moved

    def on_news(self) -> None:
        """Read ``fd``; for ``Waiter.watch``."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)
        while self._handed_back:
            self._return(self._handed_back.popleft())

    def take(self, waiter: "Waiter", deadline: float) -> Frame | None:
        """Return the newest picture, None when it was taken before, or cannot be read after all.

        It waits for nothing, unless the GPU is still drawing. The frame is a copy.

        Raises TargetLostError when the node is gone, NotFoundError when there never was one,
        UnsupportedError when its format cannot be read, CaptureError when PipeWire fails or too
        many frames are held, CaptureTimeoutError when the GPU is not done by the deadline.
        """
        with self._remote.locked():
            held, agreed = self._take_held()
            cursor, self._has_cursor_moved = self._cursor, False
        if not (held and agreed):
            return self._painted(cursor, trusted_time(0))
        try:
            frame = self._copy(held, agreed, waiter, deadline)
        except UnusableError as error:
            self.dropped[str(error)] += 1
            return None
        finally:
            self._return(held.buffer)
        if not self._paints:
            return frame
        self._clean, self._clean_box = frame, held.box
        return self._painted(cursor, held.time_ns)

    def take_dmabuf(self) -> "DmabufFrame | None":
        """Return the newest picture in the producer's own memory, None when it was taken before.

        The buffer goes back to the producer when the frame and all that was made of it are
        gone; at most ``MOST_LENT`` are lent at a time, and a producer that has fewer
        waits. The picture is the whole buffer, whatever its crop.

        Raises UnsupportedError when the buffer is no dmabuf, or cannot be imported, and what
        ``take`` raises.
        """
        with self._remote.locked():
            if len(self._lent) >= MOST_LENT:
                message = f"{MOST_LENT} dmabufs are held and none has been closed"
                raise CaptureError(message)
            held, agreed = self._take_held()
        if not (held and agreed):
            return None
        try:
            loan = self._lend(held, agreed)
        except BaseException:
            self._return(held.buffer)
            raise
        weakref.finalize(loan, _hand_back, weakref.ref(self), held.buffer)
        return DmabufFrame(loan, held.transform, alpha=self._alpha, time_ns=held.time_ns)

    def take_damage(self) -> tuple[Box, ...] | None:
        """Return what has changed since this was last asked, in pixels of the buffer.

        None when that is not known. Ask before ``take``: so nothing falls in between.
        """
        with self._remote.locked():
            damage, self._damage = self._damage, []
        return None if damage is None else tuple(damage)

    def set_active(self, active: bool) -> None:  # noqa: FBT001 - as pw_stream_set_active has it
        """Let the producer rest, or go on; the stream stays connected all the while."""
        with self._remote.locked():
            self._remote.lib.pw_stream_set_active(self._pointer, active)

    def silence(self) -> CaptureTimeoutError:
        """Return why there has been no picture so far, as an error."""
        if self._state == _CONNECTING:
            message = f"PipeWire did not answer in time while connecting to {self.what}"
            return CaptureTimeoutError(message)
        if self.agreed is None:
            message = f"no format was agreed on in time with {self.what}{self._limits}"
            hint = "is a session manager running, as wireplumber? or try another --buffer"
            return CaptureTimeoutError(message, hint=hint)
        words = f"{self.what} agreed to {self.agreed}"
        if self.dropped:
            message = f"{words}, but showed no picture: {self.notes[-1]}"
            return CaptureTimeoutError(message)
        message = f"{words}, but sent no picture in time"
        return CaptureTimeoutError(message, hint="some send one only when the screen changes")

    @property
    def notes(self) -> list[str]:
        """What there is to tell so far, for people."""
        lines = list(self._device.notes) if self._device else []
        if self.agreed:
            lines.append(f"{self.what}: {self.agreed}")
        if self.dropped:
            reasons = (f"{count} {reason}" for reason, count in self.dropped.most_common())
            lines.append(f"buffers passed over: {', '.join(reasons)}")
        return lines

    def close(self) -> None:
        """End the stream and its thread. Frames stay valid. Harmless twice."""
        self._finalizer()

    def __enter__(self) -> Self:
        """Return the stream itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _painted(self, cursor: Cursor | None, time_ns: int) -> Frame | None:
        """Return the last picture with the cursor in it, None where there is no picture."""
        clean = self._clean
        if clean is None:
            return None
        memory = self._pool.acquire(clean.memory.nbytes)
        memory[:] = clean.memory
        if cursor:
            paint(cursor, memory, clean.format, self._clean_box, clean.stride)
        return Frame(
            memory,
            clean.format,
            clean.size,
            clean.stride,
            clean.transform,
            alpha=clean.alpha,
            time_ns=time_ns,
        )

    def _take_held(self) -> tuple[_Held | None, Agreed | None]:
        """Take the newest buffer, to be returned. Raises what has ended the stream."""
        if self._error:
            raise self._error
        held, self._held = self._held, None
        if held:
            self._lent.append(held.buffer)
        return held, self.agreed

    def _return(self, buffer: Any) -> None:
        """Give a buffer back to the producer, if it has not withdrawn it."""
        with self._remote.locked():
            if buffer in self._lent:
                self._lent.remove(buffer)
                self._remote.lib.pw_stream_queue_buffer(self._pointer, buffer)

    def _copy(self, held: _Held, agreed: Agreed, waiter: "Waiter", deadline: float) -> Frame:
        """Return a picture in memory of our own. Raises UnusableError when there is too little."""
        rows, bytes_per_pixel = held.rows, agreed.format.bytes_per_pixel
        offset = 0
        if held.data.type == offers.DMA_BUF and self._device:
            mapped, stride = self._lend(held, agreed).read(deadline)
            memory = self._pool.acquire(len(mapped))
            memory[:] = mapped
            rows = rows._replace(stride=stride)
            offset = held.box.y * stride + held.box.x * bytes_per_pixel
        else:
            memory = self._pool.acquire(rows.nbytes(bytes_per_pixel))
            self._copy_rows(held, memory, waiter, deadline)
        return Frame(
            memory,
            agreed.format,
            rows.size,
            rows.stride,
            held.transform,
            offset=offset,
            alpha=self._alpha,
            time_ns=held.time_ns,
        )

    def _copy_rows(
        self, held: _Held, memory: memoryview, waiter: "Waiter", deadline: float
    ) -> None:
        start = held.data.map_offset + held.rows.offset
        with self._data(held) as data:
            if held.data.type == offers.MEM_PTR:
                source = ffi.cast("char *", data.data) + held.rows.offset
                ffi.memmove(memory, source, len(memory))
                return
            fd = os.dup(data.fd)
        try:
            if held.data.type == offers.MEM_FD:
                _copy_file(fd, start, memory)
                return
            wait_for_writer(fd, waiter, deadline)
            LinearMapping(fd, start, start + len(memory)).copy_to(memory)
        except OSError as error:
            raise UnusableError(_UNREADABLE) from error
        finally:
            os.close(fd)

    def _lend(self, held: _Held, agreed: Agreed) -> "Loan":
        """Return the dmabuf as a buffer of our device. Raises UnusableError, UnsupportedError."""
        if held.data.type != offers.DMA_BUF or self._device is None:
            message = f"{self.what} sends no dmabufs: {self.agreed}"
            raise UnsupportedError(message, hint="take --buffer dmabuf")
        planes = self._planes(held)
        layout = DmabufLayout(agreed.format, agreed.size)
        modifier = LINEAR if agreed.modifier is None else agreed.modifier
        # Software drivers map a linear one as it is: reading beyond its end would be SIGBUS.
        if modifier == LINEAR and any(_length(plane.fd) < layout.end(plane) for plane in planes):
            close_planes(planes)
            raise UnusableError(_TOO_SHORT)
        try:
            bo = self._device.device.adopt(layout, modifier, planes)
        except OSError as error:
            close_planes(planes)
            message = f"{self._device.device.path} cannot read {agreed}: {error.strerror}"
            raise UnsupportedError(message, hint="take --buffer shm") from error
        return GbmBuffer(self._device, bo, None).lend()

    def _planes(self, held: _Held) -> list[Plane]:
        """Return duplicates of a dmabuf's planes."""
        planes: list[Plane] = []
        with self._data(held):
            buffer = held.buffer.buffer
            for index in range(min(buffer.n_datas, _MOST_PLANES)):
                data = buffer.datas[index]
                chunk, fd = data.chunk, data.fd
                # The first one's were judged; what lies in shared memory may differ by now.
                facts = held.data if index == 0 else chunk
                offset, stride = facts.offset + data.mapoffset, max(0, facts.stride)
                stride = stride or held.rows.stride
                if fd < 0 or chunk == ffi.NULL or offset + stride > _MOST_BYTES:
                    close_planes(planes)
                    raise UnusableError(_UNREADABLE)
                planes.append(Plane(os.dup(fd), offset, stride))
        return planes

    @contextlib.contextmanager
    def _data(self, held: _Held) -> Iterator[Any]:
        """Lend the ``struct spa_data`` of a buffer. Raises UnusableError when it is withdrawn.

        Unlocked, libpipewire may close its fd at any time.
        """
        with self._remote.locked():
            if held.buffer not in self._lent:
                message = "withdrawn"
                raise UnusableError(message)
            yield held.buffer.buffer.datas[0]

    def hand_back(self, buffer: Any) -> None:
        """Return a buffer soon; from any thread."""
        if self._finalizer.alive:
            self._handed_back.append(buffer)
            self._signal()

    # In libpipewire's thread, or in ours within a call of libpipewire's; locked in any case.

    def fail(self, error: BaseException) -> None:
        """Let ``take`` raise this, unless there is an error already."""
        self._error = self._error or error
        self._signal()

    def _signal(self) -> None:
        os.eventfd_write(self.fd, 1)

    def on_state_changed(self, state: int, words: str) -> None:
        """Note what state the stream is in, and judge what ends it."""
        self._state = state
        if state in (_ERROR, _UNCONNECTED):
            self.fail(self._state_error(words))
        self._signal()

    def _state_error(self, words: str) -> WayshotError:
        """Return what has ended the stream, as an error; the session manager ends it silently."""
        if words:
            return CaptureError(f"capturing {self.what} failed: {words}")
        if self.agreed:
            return TargetLostError(f"{self.what} went away while it was being captured")
        if self._is_granted:
            message = f"{self.what} has no format that wayshot takes{self._limits}"
            return UnsupportedError(message, hint="take another --buffer")
        message = f"there is no {self.what}, or it has no format that wayshot takes{self._limits}"
        return NotFoundError(message, hint="pw-top lists the nodes and their formats")

    @property
    def _limits(self) -> str:
        """What keeps formats from being taken, for people."""
        kind = {"shm": " in shared memory", "dmabuf": " in dmabufs"}.get(self._buffer, "")
        return f"{kind} ({FIXED_FORMAT} is set)" if os.environ.get(FIXED_FORMAT) else kind

    def on_param_changed(self, id_: int, pod: bytes | None) -> None:
        """Answer the format that the producer has agreed to, None when it is withdrawn."""
        if id_ != offers.FORMAT:
            return
        if pod is None:
            # What was drawn in the old one still counts until there is something newer.
            return
        agreed = offers.read_format(pod)
        if agreed.choices:
            fixed = offers.fixed(agreed, self._prefer, offers.chosen(agreed.choices))
            self._update([fixed, *self._offered])
            return
        self._forget()
        self.agreed = agreed
        types = _TYPES[self._buffer if agreed.modifier is None else "dmabuf"]
        self._update([offers.buffers(types), *offers.metas(cursor=self._paints)])
        self._signal()

    def _update(self, pods: Sequence[bytes]) -> None:
        with _pods(pods) as pointers:
            self._remote.lib.pw_stream_update_params(self._pointer, pointers, len(pods))

    def _forget(self) -> None:
        """Give back what is held: its buffer is of another format."""
        held, self._held = self._held, None
        if held:
            self._remote.lib.pw_stream_queue_buffer(self._pointer, held.buffer)

    def on_remove_buffer(self, buffer: Any) -> None:
        """Forget a buffer that ends."""
        if self._held and self._held.buffer == buffer:
            self._held = None
        if buffer in self._lent:
            self._lent.remove(buffer)

    def on_process(self) -> None:
        """Keep the newest of the buffers that have come, give all others back at once."""
        lib = self._remote.lib
        while (buffer := lib.pw_stream_dequeue_buffer(self._pointer)) != ffi.NULL:
            try:
                held = self._judge(buffer)
            except UnusableError as error:
                self.dropped[str(error)] += 1
                lib.pw_stream_queue_buffer(self._pointer, buffer)
            else:
                self._forget()
                self._held = held
        self._signal()

    def _judge(self, pw_buffer: Any) -> _Held:
        """Read what a buffer says of itself. Raises UnusableError when it shows no picture."""
        buffer, agreed = pw_buffer.buffer, self.agreed
        metas = _metas(buffer, _ASKED | {offers.CURSOR} if self._paints else _ASKED)
        if self._paints:
            cursor = read_cursor(metas.get(offers.CURSOR), self._cursor)
            self._has_cursor_moved = self._has_cursor_moved or cursor != self._cursor
            self._cursor = cursor
        time_ns = chunks.read_header(metas.get(offers.HEADER))
        if agreed is None or not buffer.n_datas or buffer.datas[0].chunk == ffi.NULL:
            message = "without memory"
            raise UnusableError(message)
        data = buffer.datas[0]
        chunk = data.chunk
        facts = Data(
            data.type, data.mapoffset, data.maxsize, chunk.offset, chunk.size, chunk.stride,
            chunk.flags,
        )  # fmt: skip
        if not self._can_read(data, agreed):
            raise UnusableError(_UNREADABLE)
        crop = chunks.read_crop(metas.get(offers.CROP))
        whole = Box(0, 0, *agreed.size)
        box = whole if crop is None else crop.intersection(whole)
        if box is None:
            message = "cropped to nothing"
            raise UnusableError(message)
        rows = chunks.rows(facts, agreed, box)
        transform = chunks.read_transform(metas.get(offers.TRANSFORM))
        self._add_damage(chunks.read_damage(metas.get(offers.DAMAGE)))
        return _Held(pw_buffer, facts, rows, box, transform, trusted_time(time_ns))

    def _can_read(self, data: Any, agreed: Agreed) -> bool:
        if data.type == offers.MEM_PTR:
            return bool(data.data != ffi.NULL)
        if data.type == offers.DMA_BUF and agreed.modifier not in (None, LINEAR):
            return self._device is not None
        return data.type in (offers.MEM_FD, offers.DMA_BUF) and data.fd >= 0

    def _add_damage(self, damage: tuple[Box, ...] | None) -> None:
        """Join the damage of pictures that nobody takes with that of those which come after."""
        if damage is None or self._damage is None or len(self._damage) > _MOST_METAS:
            self._damage = None
        else:
            self._damage += damage


def open_stream(waiter: "Waiter", wish: Wish, node: int | None, **facts: Any) -> Stream:
    """Return a stream with the memory that is wished for; ``facts`` are those of ``Stream``.

    Raises UnsupportedError when the device for dmabufs that is named does not serve.
    """
    if wish.buffer != "dmabuf":
        return Stream(node, buffer=wish.buffer, **facts)
    main_device, modifiers = None, None
    if isinstance(waiter, Connection) and waiter.find(ZWP_LINUX_DMABUF_V1):
        # Whoever draws the screen most likely sends its pictures.
        main_device, modifiers = read_offer(waiter)
    device = None
    try:
        device = DeviceMemory(waiter, wish.device, main_device)
    except UnsupportedError:
        if wish.device is not None:
            raise
    # Without a device linear dmabufs can still be mapped.
    known = modifiers if device else None
    return Stream(node, buffer="dmabuf", modifiers=known, device=device, **facts)


def _end(remote: Remote, pointer: Any, fd: int, key: int, keep: object) -> None:
    """End a stream, its connection and its thread, in an order in which nobody is called back.

    What is dropped may be collected in any thread: libpipewire's own cannot wait for its end.
    """
    if remote.is_own_thread:
        threading.Thread(target=_end, args=(remote, pointer, fd, key, keep)).start()
        return
    with remote.locked():
        _live.pop(key, None)
        if pointer != ffi.NULL:
            remote.lib.pw_stream_destroy(pointer)
    remote.close()
    os.close(fd)


_ASKED = {offers.HEADER, offers.CROP, offers.DAMAGE, offers.TRANSFORM}


def _metas(buffer: Any, asked: "set[int]") -> dict[int, bytes]:
    """Return copies of a buffer's metadata by type: the producer may write to it at any time."""
    found = {}
    for index in range(min(buffer.n_metas, _MOST_METAS)):
        meta = buffer.metas[index]
        if meta.type in asked and meta.data != ffi.NULL and meta.size <= _LARGEST_META:
            found[meta.type] = bytes(ffi.buffer(meta.data, meta.size))
    return found


def _length(fd: int) -> int:
    return os.lseek(fd, 0, os.SEEK_END)


def _copy_file(fd: int, start: int, memory: memoryview) -> None:
    """Copy bytes of a memfd. Raises UnusableError when it ends before them, OSError.

    Read, not mapped: whoever has the fd may shrink the file at any time, and then to touch a
    mapping is SIGBUS.
    """
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise UnusableError(_UNREADABLE)
    done = 0
    while done < len(memory):
        count = os.preadv(fd, [memory[done:]], start + done)
        if not count:
            raise UnusableError(_TOO_SHORT)
        done += count


def _hand_back(stream: "weakref.ref[Stream]", buffer: Any) -> None:
    """Have a stream return a buffer that nobody uses any more.

    This may come in any thread, and in the middle of anything: it is done by whoever waits.
    """
    alive = stream()
    if alive:
        alive.hand_back(buffer)


@contextlib.contextmanager
def _pods(pods: Sequence[bytes]) -> Iterator[Any]:
    """Lend pods as an array of ``const struct spa_pod *``; libpipewire copies them."""
    # They are read as structs with 64-bit members: what cffi allocates is aligned for that.
    copies = [ffi.new("char[]", pod) for pod in pods]
    yield ffi.new("const void *[]", copies)


def _events() -> Any:
    """Return the table of what is called back: version 0, which old libraries know as well."""

    def address(name: str) -> Any:
        return ffi.cast("void *", int(own_ffi.cast("uintptr_t", own_ffi.addressof(own_lib, name))))

    events: Any = ffi.new("struct pw_stream_events *")
    events.state_changed = address("ws_pw_state_changed")
    events.param_changed = address("ws_pw_param_changed")
    events.remove_buffer = address("ws_pw_remove_buffer")
    events.process = address("ws_pw_process")
    return events


def _call(key: Any, method: Callable[..., None], *arguments: Any) -> None:
    """Call a method of the stream, if there still is one; it gets what that raises."""
    stream = _live.get(int(own_ffi.cast("uintptr_t", key)))
    if stream is None:
        return
    try:
        method(stream, *arguments)
    except BaseException as error:  # noqa: BLE001 - C lies below: ``take`` raises it
        stream.fail(error)


@own_ffi.def_extern("ws_pw_state_changed")  # type: ignore[untyped-decorator]
def _on_state_changed(key: Any, _old: int, state: int, words: Any) -> None:
    text = own_ffi.string(words).decode(errors="replace") if words else ""
    _call(key, Stream.on_state_changed, state, text)


@own_ffi.def_extern("ws_pw_param_changed")  # type: ignore[untyped-decorator]
def _on_param_changed(key: Any, id_: int, param: Any) -> None:
    pod = None
    if param:
        size = 8 + own_ffi.cast("uint32_t *", param)[0]
        pod = bytes(own_ffi.buffer(param, min(size, _LONGEST_POD)))
    _call(key, Stream.on_param_changed, id_, pod)


@own_ffi.def_extern("ws_pw_remove_buffer")  # type: ignore[untyped-decorator]
def _on_remove_buffer(key: Any, buffer: Any) -> None:
    pointer = ffi.cast("struct pw_buffer *", int(own_ffi.cast("uintptr_t", buffer)))
    _call(key, Stream.on_remove_buffer, pointer)


@own_ffi.def_extern("ws_pw_process")  # type: ignore[untyped-decorator]
def _on_process(key: Any) -> None:
    _call(key, Stream.on_process)
