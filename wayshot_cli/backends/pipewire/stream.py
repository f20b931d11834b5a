"""A stream of pictures: negotiated, its newest buffer kept, and copied when somebody takes it."""

import collections
import contextlib
import itertools
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from wayshot_cli.backends.common import Wish, nobody, trusted_time
from wayshot_cli.backends.pipewire import callbacks, chunks, offers
from wayshot_cli.backends.pipewire._pipewire import ffi
from wayshot_cli.backends.pipewire.chunks import Data, UnusableError
from wayshot_cli.backends.pipewire.cursor import Cursor, paint, read_cursor
from wayshot_cli.backends.pipewire.library import Remote, duplicate
from wayshot_cli.backends.pipewire.memory import Held, Reader, check
from wayshot_cli.backends.pipewire.offers import Agreed, Preference
from wayshot_cli.buffers.gbm import DeviceMemory
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
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.dmabuf import INVALID, LINEAR, read_offer
from wayshot_cli.wayland.protocols.linux_dmabuf import ZWP_LINUX_DMABUF_V1

if TYPE_CHECKING:
    from wayshot_cli.waiting import Waiter

FIXED_FORMAT = "WAYSHOT_PW_FORMAT"
"""Environment variable, for debugging: what alone is offered, as BGRx or BGRx:800x600."""

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

_LARGEST_META = 1 << 23  # bytes; a cursor of 1024x1024 has half of it
_MOST_METAS = _MOST_DAMAGE = 32

_numbers = itertools.count()


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
        warn: Callable[[str], object] = nobody,
    ) -> None:
        """Connect to a node, by its serial where that is known.

        ``fd`` is a connection to PipeWire, as the portal opens one, and stays the caller's; None
        is the default daemon. ``buffer`` is shm, dmabuf, or auto for whatever can be mapped.
        ``device`` is what dmabufs are read with, and ``modifiers`` says by fourcc how they may
        be laid out; without them, linear ones are mapped. With "metadata" as its ``cursor`` it is
        painted here. ``alpha`` is what the alpha channel means, in formats that have one. ``warn``
        is told once of each reason why a buffer shows no picture, but for those that are usual.

        Raises UnsupportedError without PipeWire, CaptureError when no stream can be made,
        InvalidArgumentError when WAYSHOT_PW_FORMAT names no format.
        """
        self.what = f"PipeWire node {serial if node is None else node}"
        self.agreed: Agreed | None = None
        self._state = _CONNECTING
        self._is_active = True
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
        if not self._offered:
            message = f"there is no dmabuf that {self.what} could be asked for"
            raise UnsupportedError(message, hint="take another --buffer")
        self._paints = cursor == "metadata"
        self._cursor: Cursor | None = None
        self._has_cursor_moved = False
        self._clean: Frame | None = None  # the last picture, where a cursor is painted over it
        self._clean_box = Box(0, 0, 0, 0)
        self._damage: list[Box] | None = []
        self._error: BaseException | None = None
        self._held: Held | None = None
        # Buffers that are being read, or that dmabufs are of, by a number that never comes again.
        self._lent: dict[int, Any] = {}
        self._handed_back: collections.deque[int] = collections.deque()
        self._device = device
        self._warn = warn
        self._to_warn_of: list[str] = []
        self._pool = PrivatePool()
        self._remote = Remote(fd)
        try:
            self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError as error:
            self._remote.close()
            message = f"cannot make an eventfd: {error.strerror}"
            raise CaptureError(message) from error
        self._finalizer = weakref.finalize(self, _end, self._remote, self.fd)
        try:
            self._connect(node, serial)
        except BaseException:
            self.close()
            raise

    def _connect(self, node: int | None, serial: int | None) -> None:
        lib, remote = self._remote.lib, self._remote
        facts = _PROPERTIES if serial is None else _PROPERTIES | {"target.object": str(serial)}
        words = " ".join(f"{name}={value}" for name, value in facts.items())
        hook, events = ffi.new("struct spa_hook *"), callbacks.table()
        key = callbacks.register(self)
        with remote.locked():
            properties = lib.pw_properties_new_string(words.encode())
            self._pointer = pointer = lib.pw_stream_new(remote.core, b"wayshot", properties)
            self._finalizer.detach()
            # libpipewire has hook and events until the stream's end.
            self._finalizer = weakref.finalize(
                self, _end, remote, self.fd, pointer, key, (hook, events)
            )
            if pointer == ffi.NULL:
                message = f"libpipewire makes no stream: {os.strerror(ffi.errno)}"
                raise CaptureError(message)
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
        with self._remote.locked(), contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)
        self._return_handed_back()
        self._warn_of_drops()

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
        self._warn_of_drops()  # of what came while nobody waited
        if not (held and agreed):
            return self._painted(cursor, trusted_time(0))
        try:
            memory, offset, stride = self._reader().copy(held, agreed, waiter, deadline)
        except UnusableError as error:
            self._pass_over(error)
            return None
        finally:
            self._return(held.number)
        frame = Frame(
            memory,
            agreed.format,
            held.rows.size,
            stride,
            held.transform,
            offset=offset,
            alpha=self._alpha,
            time_ns=held.time_ns,
        )
        if not self._paints:
            return frame
        self._clean, self._clean_box = frame, held.box
        return self._painted(cursor, held.time_ns)

    def take_dmabuf(self) -> "DmabufFrame | None":
        """Return the newest picture in the producer's own memory.

        None when it was taken before, or its memory is not what it was said to be.

        The buffer goes back to the producer when the frame and all that was made of it are
        gone; at most ``MOST_LENT`` are lent at a time, and a producer that has fewer
        waits. The picture is the whole buffer, whatever its crop.

        Raises UnsupportedError when the buffer is no dmabuf, or cannot be imported, and what
        ``take`` raises.
        """
        with self._remote.locked():
            self._return_handed_back()
            if len(self._lent) >= MOST_LENT:
                message = f"{MOST_LENT} dmabufs are held and none has been closed"
                raise CaptureError(message)
            held, agreed = self._take_held()
            self._has_cursor_moved = False  # it cannot be painted in there
        if not (held and agreed):
            return None
        try:
            loan = self._reader().lend(held, agreed)
            weakref.finalize(loan, _hand_back, self._handed_back, duplicate(self.fd), held.number)
        except UnusableError as error:
            self._return(held.number)
            self._pass_over(error)
            return None
        except BaseException:
            self._return(held.number)
            raise
        return DmabufFrame(loan, held.transform, alpha=self._alpha, time_ns=held.time_ns)

    def take_damage(self) -> tuple[Box, ...] | None:
        """Return what has changed since this was last asked, in pixels of the buffer.

        None when that is not known. Ask before ``take``: so nothing falls in between.
        """
        with self._remote.locked():
            damage, self._damage = self._damage, []
        return None if damage is None else tuple(damage)

    def set_active(self, active: bool) -> None:  # noqa: FBT001 - a state, not an option
        """Let pictures wake nobody, or go on; the newest is there at once when it is asked for.

        The stream runs all the while, and nothing is copied. To stop it would cost the producer
        less, but not all that are stopped begin again, and xdg-desktop-portal-wlr 0.8 dies of it.
        """
        with self._remote.locked():  # closed, ``fd`` may be somebody else's
            self._is_active = active
            if active:
                self._signal()

    def restart(self) -> None:
        """Have the producer stop and begin again, for those which draw anew when they do."""
        with self._remote.locked():
            self._remote.lib.pw_stream_set_active(self._pointer, False)  # noqa: FBT003 - C has no names
            self._remote.lib.pw_stream_set_active(self._pointer, True)  # noqa: FBT003

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
            rows = memory[clean.offset :]
            paint(cursor, rows, clean.format, self._clean_box, clean.stride)
        return Frame(
            memory,
            clean.format,
            clean.size,
            clean.stride,
            clean.transform,
            offset=clean.offset,
            alpha=clean.alpha,
            time_ns=time_ns,
        )

    def _take_held(self) -> tuple[Held | None, Agreed | None]:
        """Take the newest buffer, to be returned. Raises what has ended the stream."""
        if self._error:
            raise self._error
        self._return_handed_back()
        held, self._held = self._held, None
        if held:
            self._lent[held.number] = held.buffer
        return held, self.agreed

    def _drop(self, error: UnusableError) -> None:
        reason = str(error)
        if reason not in chunks.ROUTINE:
            self._damage = None  # the next one's is what has changed since this one
            if reason not in self.dropped:
                self._to_warn_of.append(reason)
        self.dropped[reason] += 1  # last: whoever waits for it takes the warning, too

    def _pass_over(self, error: UnusableError) -> None:
        """Drop what has been taken already."""
        with self._remote.locked():
            self._drop(error)
        self._warn_of_drops()

    def _warn_of_drops(self) -> None:
        """Warn of each reason once; not in libpipewire's thread, whoever is warned may be slow."""
        while self._to_warn_of:
            self._warn(f"{self.what} sends buffers that are passed over: {self._to_warn_of.pop()}")

    def _return_handed_back(self) -> None:
        with self._remote.locked():
            while self._handed_back:
                self._return(self._handed_back.popleft())

    def _return(self, number: int) -> None:
        """Give a buffer back to the producer, if it has not withdrawn it."""
        with self._remote.locked():
            buffer = self._lent.pop(number, None)
            if buffer is not None:
                self._remote.lib.pw_stream_queue_buffer(self._pointer, buffer)

    def _reader(self) -> Reader:
        """Return what reads buffers. It is not kept: it leads back here, and a stream that is
        dropped is to end at once.
        """
        return Reader(self._pool, self._device, self._look_into)

    @contextlib.contextmanager
    def _look_into(self, held: Held) -> Iterator[Any]:
        """Lend the ``struct spa_data`` of a buffer. Raises UnusableError when it is withdrawn.

        Unlocked, libpipewire may close its fd at any time.
        """
        with self._remote.locked():
            if held.number not in self._lent:
                message = "withdrawn"
                raise UnusableError(message)
            yield held.buffer.buffer.datas[0]

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
        self.agreed, self._damage = agreed, None
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
        self._lent = {number: lent for number, lent in self._lent.items() if lent != buffer}

    def on_process(self) -> None:
        """Keep the newest of the buffers that have come, give all others back at once."""
        lib = self._remote.lib
        self._return_handed_back()
        while (buffer := lib.pw_stream_dequeue_buffer(self._pointer)) != ffi.NULL:
            try:
                held = self._judge(buffer)
            except UnusableError as error:
                self._drop(error)
                lib.pw_stream_queue_buffer(self._pointer, buffer)
            else:
                self._forget()
                self._held = held
        if self._is_active:
            self._signal()

    def _judge(self, pw_buffer: Any) -> Held:
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
        check(data, agreed, self._device)
        box = chunks.read_crop(metas.get(offers.CROP), agreed.size)
        rows = chunks.rows(facts, agreed, box)
        transform = chunks.read_transform(metas.get(offers.TRANSFORM))
        self._add_damage(chunks.read_damage(metas.get(offers.DAMAGE)))
        return Held(next(_numbers), pw_buffer, facts, rows, box, transform, trusted_time(time_ns))

    def _add_damage(self, damage: tuple[Box, ...] | None) -> None:
        """Join the damage of pictures that nobody takes with that of those which come after."""
        if damage is None or self._damage is None or len(self._damage) > _MOST_DAMAGE:
            self._damage = None
        else:
            self._damage += damage


def open_stream(waiter: "Waiter", wish: Wish, node: int | None, **facts: Any) -> Stream:
    """Return a stream with the memory that is wished for; ``facts`` are those of ``Stream``.

    Raises UnsupportedError when the device for dmabufs that is named does not serve.
    """
    if wish.buffer != "dmabuf":
        return Stream(node, buffer=wish.buffer, warn=wish.warn, **facts)
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
    return Stream(node, buffer="dmabuf", modifiers=known, device=device, warn=wish.warn, **facts)


def _end(
    remote: Remote, fd: int, pointer: Any = ffi.NULL, key: int = 0, keep: object = None
) -> None:
    """End a stream, its connection and its thread, in an order in which nobody is called back.

    What is dropped may be collected in any thread: libpipewire's own cannot wait for its end.
    """
    if remote.is_forked:
        return
    if remote.is_own_thread:
        threading.Thread(target=_end, args=(remote, fd, pointer, key, keep)).start()
        return
    with remote.locked():
        callbacks.forget(key)
        if pointer != ffi.NULL:
            remote.lib.pw_stream_destroy(pointer)
    remote.close()
    os.close(fd)


def _hand_back(handed_back: "collections.deque[int]", fd: int, number: int) -> None:
    """Have a stream return a buffer that nobody uses any more: whoever waits does it.

    This comes in any thread, and in the middle of anything, be it the end of the stream: it takes
    no lock, and has an fd of its own.
    """
    handed_back.append(number)
    os.eventfd_write(fd, 1)
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


@contextlib.contextmanager
def _pods(pods: Sequence[bytes]) -> Iterator[Any]:
    """Lend pods as an array of ``const struct spa_pod *``; libpipewire copies them."""
    # They are read as structs with 64-bit members: what cffi allocates is aligned for that.
    copies = [ffi.new("char[]", pod) for pod in pods]
    yield ffi.new("const void *[]", copies)
