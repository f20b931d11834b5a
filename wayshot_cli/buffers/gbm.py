"""GPU memory: buffer objects of libgbm, given to the compositor as dmabufs and read by mapping.

libgbm is opened when the first device is, and never by a shot into shared memory.
"""

import contextlib
import functools
import os
import sys
import weakref
from _thread import RLock
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from wayshot_cli.buffers import devices
from wayshot_cli.buffers._gbm import ffi
from wayshot_cli.buffers.fences import wait_for_writer
from wayshot_cli.buffers.linear import LinearMapping
from wayshot_cli.errors import CaptureError, FramesHeldError, UnsupportedError
from wayshot_cli.geometry import Size
from wayshot_cli.pixels import PixelFormat
from wayshot_cli.wayland import dmabuf
from wayshot_cli.wayland.dmabuf import INVALID, LINEAR, same_device

if TYPE_CHECKING:
    from wayshot_cli.waiting import Waiter
    from wayshot_cli.wayland.connection import Connection
    from wayshot_cli.wayland.proxy import Proxy

MOST_PLANES = 4
"""Of any format (drm_fourcc.h)."""

LONGEST_STRIDE = 2**31 - 1
"""Bytes, of offsets too: they are ints in gbm.h and in EGL."""

_SONAME = "libgbm.so.1"

# The rungs of the ladder of ways to allocate, for people
_BY_MODIFIERS = "by the modifiers offered"
_BY_FLAG = "by the flag for linear ones"
_AS_IT_LIKES = "as the driver likes"


class Plane(NamedTuple):
    """One plane of a dmabuf. The fd belongs to its buffer object, once there is one."""

    fd: int
    offset: int
    stride: int


class DmabufLayout(NamedTuple):
    """What the compositor asks a buffer to be; where its rows lie is the driver's to say.

    It takes one of ``modifiers``; if there are none, that is not known beforehand.
    """

    format: PixelFormat
    size: Size
    modifiers: tuple[int, ...] = ()

    def end(self, plane: Plane) -> int:
        """Return the byte behind the last pixel, where a plane's rows lie one after the other."""
        row = self.size.width * self.format.bytes_per_pixel
        return plane.offset + plane.stride * (self.size.height - 1) + row

    def __str__(self) -> str:
        """Write size and format."""
        return f"{self.size} {self.format}"


class Handle:
    """What C has to free, once its owner and all that was made of it are gone.

    The garbage collector ends what hangs together in any order, a device before its buffer
    objects, a buffer object before its mappings; C needs the other one. One lock serves a
    device: GBM maps by one context, which it does not lock when it unmaps, and the last view of
    a mapping may go in any thread, and in the middle of any call of ours.

    A forked process frees nothing: it shares the device's open file, and with it the names by
    which the kernel knows the buffers, with the process that goes on to use them. Nor does an
    interpreter that ends: it takes apart what would be called, and the kernel frees it all.
    """

    def __init__(self, free: Callable[[], object], parent: "Handle | None" = None) -> None:
        """Count one user, the owner, and be a user of the parent."""
        self._free = free
        self._parent = parent
        self._users = 1
        self._process = os.getpid()
        self.lock: RLock = parent.lock if parent else RLock()
        if parent:
            parent.take()

    def take(self) -> None:
        """Count one user more."""
        with self.lock:
            self._users += 1

    def drop(self, _pointer: object = None) -> None:
        """Let one user go."""
        if not sys or sys.is_finalizing() or os.getpid() != self._process:
            return  # not even the lock is to be had: a thread that is not here may hold it
        with self.lock:
            self._users -= 1
            if not self._users:
                self._free()
                if self._parent:
                    self._parent.drop()


class Device:
    """A render node, opened with GBM; closed when its last buffer object is gone."""

    def __init__(self, path: str) -> None:
        """Open it. Raises UnsupportedError without libgbm, or when the node is none for GBM."""
        self.path = path
        self.lib = library()
        try:
            # Mesa would take anything, and then draw by software; and to open a terminal, a pipe or
            # a tape does something to it.
            if not devices.is_drm(path):
                message = f"{path}: not a DRM device"
                raise UnsupportedError(message)
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            message = f"{path}: {error.strerror}"
            raise UnsupportedError(message) from error
        self.kernel_driver = devices.driver(fd)
        pointer = self.lib.gbm_create_device(fd)
        if pointer == ffi.NULL:
            os.close(fd)
            message = f"{path}: libgbm has no driver for it"
            raise UnsupportedError(message)
        self.handle = Handle(functools.partial(_close_device, self.lib, pointer, fd))
        self._pointer = pointer
        self._owner = ffi.gc(pointer, self.handle.drop)

    @property
    def address(self) -> int:
        """The ``struct gbm_device *`` as a number, for EGL's platform GBM; not theirs to end.

        Whoever makes a display of it keeps this object, or a buffer object of it, as long.
        """
        return int(ffi.cast("uintptr_t", self._pointer))

    @property
    def driver(self) -> str:
        """What GBM calls the backend that serves the node."""
        return str(ffi.string(self.lib.gbm_device_get_backend_name(self._pointer)).decode())

    def create(self, layout: DmabufLayout, flags: int) -> "BufferObject":
        """Return a buffer object, placed as the driver likes. Raises OSError."""
        arguments = (*layout.size, layout.format.fourcc, flags)
        with self.handle.lock:
            ffi.errno = 0
            bo = self._own(self.lib.gbm_bo_create(self._pointer, *arguments), layout)
        bo.is_linear |= bool(flags & self.lib.GBM_BO_USE_LINEAR)
        return bo

    def create_with_modifiers(
        self, layout: DmabufLayout, modifiers: Sequence[int]
    ) -> "BufferObject":
        """Return a buffer object with one of the modifiers. Raises OSError."""
        arguments = (*layout.size, layout.format.fourcc, modifiers, len(modifiers))
        with self.handle.lock:
            ffi.errno = 0
            pointer = self.lib.gbm_bo_create_with_modifiers2(
                self._pointer, *arguments, self.lib.GBM_BO_USE_RENDERING
            )
            return self._own(pointer, layout)

    def adopt(self, layout: DmabufLayout, modifier: int, planes: list[Plane]) -> "BufferObject":
        """Return a buffer object of somebody else's dmabuf, which closes the fds at its end.

        Raises OSError when the driver cannot import it; the fds are then still the caller's.
        """
        data = ffi.new("struct gbm_import_fd_modifier_data *")
        data.width, data.height = layout.size
        data.format = layout.format.fourcc
        data.num_fds = len(planes)
        data.modifier = modifier
        for index, plane in enumerate(planes):
            data.fds[index], data.offsets[index], data.strides[index] = plane
        with self.handle.lock:
            ffi.errno = 0
            pointer = self.lib.gbm_bo_import(
                self._pointer, self.lib.GBM_BO_IMPORT_FD_MODIFIER, data, 0
            )
            return self._own(pointer, layout, planes)

    def _own(
        self, pointer: Any, layout: DmabufLayout, planes: list[Plane] | None = None
    ) -> "BufferObject":
        if pointer == ffi.NULL:
            raise _refusal()
        return BufferObject(self, pointer, layout, planes)


def _close_device(lib: Any, pointer: Any, fd: int) -> None:
    lib.gbm_device_destroy(pointer)
    os.close(fd)


class BufferObject:
    """A ``struct gbm_bo``, freed when nobody has it or a mapping of it any more.

    ``planes`` are the dmabuf that it is; their fds are closed when the object is freed.
    """

    def __init__(
        self, device: Device, pointer: Any, layout: DmabufLayout, planes: list[Plane] | None
    ) -> None:
        """Take a pointer, to free it, and its planes where they are known, to close them.

        Raises OSError when they are not known and cannot be had.
        """
        self.device = device
        self.layout = layout
        self.planes: list[Plane] = [] if planes is None else planes
        free = functools.partial(_free_object, device.lib, pointer, self.planes)
        self._handle = Handle(free, device.handle)
        self._pointer = pointer
        self._owner = ffi.gc(pointer, self._handle.drop)
        self._linear: LinearMapping | None = None
        self.modifier: int = device.lib.gbm_bo_get_modifier(pointer)
        if planes is None:
            for number in range(device.lib.gbm_bo_get_plane_count(pointer)):
                self.planes.append(self._plane(number))
        self.is_linear = self.modifier == LINEAR

    @property
    def address(self) -> int:
        """The ``struct gbm_bo *`` as a number, for other bindings; not theirs to destroy."""
        return int(ffi.cast("uintptr_t", self._pointer))

    def __str__(self) -> str:
        """Say how it lies in memory."""
        count = len(self.planes)
        planes = f"{count} plane{'s' if count > 1 else ''}, stride {self.planes[0].stride}"
        return f"dmabuf of {self.layout}, modifier {modifier_name(self.modifier)}, {planes}"

    def _plane(self, number: int) -> Plane:
        lib, pointer = self.device.lib, self._pointer
        ffi.errno = 0
        fd = lib.gbm_bo_get_fd_for_plane(pointer, number)
        if fd < 0:
            raise _refusal()
        stride = lib.gbm_bo_get_stride_for_plane(pointer, number)
        return Plane(fd, lib.gbm_bo_get_offset(pointer, number), stride)

    def map(self, keep: object) -> tuple[memoryview, int]:
        """Return the pixels as rows, whatever the tiling, and the bytes from one to the next.

        The mapping ends, and ``keep`` is let go, when no view of the memory is left.
        Raises CaptureError when the driver cannot map it.
        """
        lib, (width, height) = self.device.lib, self.layout.size
        stride, handle = ffi.new("uint32_t *"), ffi.new("void **")
        with self.device.handle.lock:
            ffi.errno = 0
            address = lib.gbm_bo_map(
                self._pointer, 0, 0, width, height, lib.GBM_BO_TRANSFER_READ, stride, handle
            )
            reason = _refusal().strerror
        if address == ffi.NULL:
            message = f"{self.device.path}: {self.layout} cannot be mapped: {reason}"
            raise CaptureError(message)
        mapping = Handle(
            functools.partial(_unmap, lib, self._pointer, handle[0], keep), self._handle
        )
        owned = ffi.gc(address, mapping.drop)
        row = width * self.layout.format.bytes_per_pixel
        if stride[0] < row:
            message = f"{self.device.path}: {self.layout} is mapped with a stride of {stride[0]}"
            raise CaptureError(message)
        return memoryview(ffi.buffer(owned, stride[0] * (height - 1) + row)), stride[0]

    @property
    def can_be_read_in_place(self) -> bool:
        """Whether the pixels lie in the dmabuf as rows."""
        return self.is_linear and len(self.planes) == 1

    def map_in_place(self) -> LinearMapping:
        """Return a mapping of the rows themselves. Raises OSError."""
        plane = self.planes[0]
        return LinearMapping(plane.fd, plane.offset, self.layout.end(plane))

    def view_in_place(self, keep: object) -> tuple[memoryview, int]:
        """Return the same as ``map``, without a copy: the mapping is made once, and kept.

        Raises OSError.
        """
        if self._linear is None:
            self._linear = self.map_in_place()
        linear = self._linear
        linear.begin()
        reading = Handle(functools.partial(_end_reading, linear, keep), self._handle)
        owned = ffi.gc(linear.address, reading.drop)
        return memoryview(ffi.buffer(owned, linear.nbytes)), self.planes[0].stride


def _free_object(lib: Any, pointer: Any, planes: list[Plane]) -> None:
    lib.gbm_bo_destroy(pointer)
    close_planes(planes)


def _unmap(lib: Any, pointer: Any, handle: Any, _keep: object) -> None:
    lib.gbm_bo_unmap(pointer, handle)


def _end_reading(linear: LinearMapping, _keep: object) -> None:
    with contextlib.suppress(OSError):  # there is nobody left to be told
        linear.finish()


def _refusal() -> OSError:
    """Return why libgbm has refused, which sets errno on some of its ways alone."""
    return OSError(ffi.errno, os.strerror(ffi.errno) if ffi.errno else "no reason is given")


def close_planes(planes: Sequence[Plane]) -> None:
    """Close the fds."""
    for plane in planes:
        os.close(plane.fd)


@functools.cache
def library() -> Any:
    """Return libgbm. Raises UnsupportedError where there is none, or too old a one."""
    hint = "install libgbm (Debian: libgbm1), or leave --backend, --buffer and --device away"
    try:
        lib = ffi.dlopen(_SONAME)
        lib.gbm_bo_create_with_modifiers2, lib.gbm_bo_get_fd_for_plane  # noqa: B018 - Mesa 21.1
    except OSError as error:
        message = f"libgbm cannot be loaded: {error}"
        raise UnsupportedError(message, hint=hint) from error
    except ffi.error as error:
        message = f"libgbm is too old: {error}"
        raise UnsupportedError(message, hint=hint) from error
    return lib


class DeviceMemory:
    """An open device, and what it takes to read its dmabufs.

    ``notes`` are lines for people: which device, what was tried, what was chosen and why.
    """

    def __init__(self, waiter: "Waiter", named: str | None, main_device: int | None = None) -> None:
        """Choose and open the device. Raises UnsupportedError with the reasons when none can be."""
        library()  # the reason that explains all others
        self.waiter = waiter
        nodes = devices.candidates(named, main_device)
        self.device, node, reasons = devices.open_first(nodes, Device)
        self.notes = [f"not {reason}" for reason in reasons]
        driver = self.device.kernel_driver or "unknown"
        self.notes.append(
            f"{node.path}: {node.why}, driver {driver}, served by GBM's {self.device.driver!r}"
        )
        self._is_main = main_device is None or same_device(os.stat(node.path).st_rdev, main_device)
        self._in_place: dict[DmabufLayout, bool] = {}  # how buffers of a layout are read

    def modifier_for(self, bo: BufferObject) -> int | None:
        """Return the modifier that a buffer is offered by, None where the compositor takes none.

        Naming one that it has not announced ends the connection (``add``, since version 4). One
        that says nothing will do where the driver is the same, or rows lie one after the other.
        """
        announced = bo.layout.modifiers
        if not announced:  # before version 3 there are only formats
            return bo.modifier
        known = LINEAR if bo.is_linear else bo.modifier  # old drivers know how, but no names
        if known != INVALID and known in announced:
            return known
        return INVALID if INVALID in announced and (bo.is_linear or self._is_main) else None

    def read(self, bo: BufferObject, keep: object, deadline: float) -> tuple[memoryview, int]:
        """Return a buffer's pixels as rows, once they are written, and their stride.

        They are read in place where that is fast, which is measured once for each layout,
        else as the driver copies them. ``keep`` is let go when no view of the memory is left.
        Raises CaptureTimeoutError when the GPU is not done by the deadline, CaptureError when the
        memory cannot be mapped.
        """
        for plane in bo.planes:
            wait_for_writer(plane.fd, self.waiter, deadline)
        layout = bo.layout
        if bo.can_be_read_in_place and self._in_place.get(layout, True):
            try:
                if layout not in self._in_place:
                    self._measure(bo)
                if self._in_place[layout]:
                    return bo.view_in_place(keep)
            except OSError as error:
                self._in_place[layout] = False
                self.notes.append(f"{layout} is read by gbm_bo_map: {error.strerror}")
        return bo.map(keep)

    def _measure(self, bo: BufferObject) -> None:
        speed = bo.map_in_place().speed()
        self._in_place[bo.layout] = speed.is_fine
        how = "in place" if speed.is_fine else "by gbm_bo_map"
        self.notes.append(f"{bo.layout} is read {how}: a mapping gives {speed}")


class Memory(DeviceMemory):
    """What a backend needs for dmabufs: the compositor's global, its offer, an open device."""

    def __init__(
        self, connection: "Connection", named: str | None, offer: dmabuf.Offer | None = None
    ) -> None:
        """Choose and open the device. Raises UnsupportedError with the reasons when none can be.

        Without an ``offer`` the compositor is asked for the one that holds for all its dmabufs.
        """
        library()
        main_device, self.modifiers = offer or dmabuf.read_offer(connection)
        super().__init__(connection, named, main_device)
        self.connection = connection


class Loan:
    """A buffer in use: the compositor writes into it, then whoever holds a view reads it."""

    def __init__(self, buffer: "GbmBuffer") -> None:
        """Take a buffer of the pool."""
        self._buffer = buffer
        self.bo = buffer.bo
        self.proxy = buffer.proxy
        self.connection = buffer.memory.waiter

    def read(self, deadline: float) -> tuple[memoryview, int]:
        """Return the picture's memory and stride, once it is written.

        Raises CaptureTimeoutError when the GPU is not done by the deadline, CaptureError when
        the memory cannot be mapped.
        """
        return self._buffer.memory.read(self.bo, self, deadline)


class GbmBuffer:
    """One buffer object here, a wl_buffer there, unless the compositor made the buffer."""

    def __init__(self, memory: DeviceMemory, bo: BufferObject, proxy: "Proxy | None") -> None:
        """Take what the compositor has accepted, or exported."""
        self.memory = memory
        self.bo = bo
        self.proxy = proxy
        self._loan: weakref.ref[Loan] | None = None

    @property
    def is_lent(self) -> bool:
        """Whether somebody writes or reads it."""
        return self._loan is not None and self._loan() is not None

    def retire(self) -> None:
        """Destroy the wl_buffer; the memory stays for whoever has it."""
        if self.proxy:
            self.proxy.destroy()

    def lend(self) -> Loan:
        """Return the loan; the buffer is lent as long as it, or a view that it gave, is left."""
        loan = Loan(self)
        self._loan = weakref.ref(loan)
        return loan


class GbmPool:
    """Dmabufs of one session: those that nobody uses are used again.

    ``limit`` bounds how many exist at a time, as in ``ShmPool``.
    """

    def __init__(self, memory: Memory, *, limit: int = 16) -> None:
        """Bind the linux-dmabuf. Raises UnsupportedError where there is none."""
        self._memory = memory
        self._factory = dmabuf.bind(memory.connection)
        self._limit = limit
        self._buffers: list[GbmBuffer] = []
        self._asked = 0  # buffers that the compositor has yet to accept
        self._layout: DmabufLayout | None = None
        self._refused: dict[str, str] = {}  # rungs of that layout's ladder, and why
        self._is_closed = False

    def acquire(self, layout: DmabufLayout, use: Callable[[Loan], object]) -> None:
        """Call ``use`` with a buffer that nobody else uses: at once, or when a new one is accepted.

        Raises CaptureError when the layout is impossible, FramesHeldError when too many are held,
        UnsupportedError when nothing that GBM can allocate is accepted: here, or in the handler of
        the compositor's answer.
        """
        if not layout.size.is_possible:
            message = f"the compositor asks for an impossible buffer: {layout}"
            raise CaptureError(message)
        for buffer in self._buffers:
            if not buffer.is_lent and buffer.bo.layout == layout:
                use(buffer.lend())
                return
        for buffer in [b for b in self._buffers if not b.is_lent and b.bo.layout != layout]:
            buffer.retire()
            self._buffers.remove(buffer)
        if len(self._buffers) + self._asked >= self._limit:
            if self._asked:
                compositor = self._memory.connection.compositor
                message = f"{compositor} has yet to accept {self._asked} dmabufs"
                raise CaptureError(message)
            message = f"{self._limit} frames are held and none has been closed"
            raise FramesHeldError(message)
        if layout != self._layout:
            self._layout = layout
            self._refused.clear()
            names = map(modifier_name, layout.modifiers)
            compositor, offered = self._memory.connection.compositor, ", ".join(names) or "none"
            self._memory.notes.append(
                f"{compositor} offers modifiers for {layout.format}: {offered}"
            )
        self._climb(layout, use)

    def close(self) -> None:
        """Destroy the wl_buffers; memory that is lent stays until its views are gone."""
        self._is_closed = True
        for buffer in self._buffers:
            buffer.retire()
        self._buffers.clear()
        self._factory.destroy()

    def _ladder(self, layout: DmabufLayout) -> list[tuple[str, Callable[[], BufferObject]]]:
        device, lib = self._memory.device, self._memory.device.lib
        modifiers = [modifier for modifier in layout.modifiers if modifier != INVALID]
        plain = lib.GBM_BO_USE_RENDERING
        rungs: list[tuple[str, Callable[[], BufferObject]]] = [
            (_BY_FLAG, lambda: device.create(layout, plain | lib.GBM_BO_USE_LINEAR)),
            (_AS_IT_LIKES, lambda: device.create(layout, plain)),
        ]
        if modifiers:
            make = functools.partial(device.create_with_modifiers, layout, modifiers)
            rungs.insert(0, (_BY_MODIFIERS, make))
        return rungs

    def _climb(self, layout: DmabufLayout, use: Callable[[Loan], object]) -> None:
        """Allocate by the first way that GBM can, and ask the compositor to take it."""
        for name, allocate in self._ladder(layout):
            if name in self._refused:
                continue
            try:
                bo = allocate()
            except OSError as error:
                self._refuse(name, f"GBM refuses: {error.strerror}")
                continue
            modifier = self._memory.modifier_for(bo)
            if modifier is None:
                self._refuse(name, self._refuses(bo.modifier))
                continue
            self._offer(name, bo, modifier, use)
            return
        reasons = "; ".join(f"{name}: {reason}" for name, reason in self._refused.items())
        message = f"{self._memory.device.path}: no dmabuf for {layout} ({reasons})"
        raise UnsupportedError(message, hint="take another --device, or --buffer shm")

    def _refuse(self, name: str, reason: str) -> None:
        self._refused[name] = reason
        self._memory.notes.append(f"not {name}: {reason}")

    def _refuses(self, modifier: int) -> str:
        compositor = self._memory.connection.compositor
        return f"{compositor} refuses modifier {modifier_name(modifier)}"

    def _offer(
        self, name: str, bo: BufferObject, modifier: int, use: Callable[[Loan], object]
    ) -> None:
        def on_created(proxy: "Proxy") -> None:
            self._asked -= 1
            params.destroy()
            if self._is_closed:
                proxy.destroy()
                return
            buffer = GbmBuffer(self._memory, bo, proxy)
            self._buffers.append(buffer)
            if len(self._buffers) == 1:
                announced = f", announced as {modifier_name(modifier)}"
                self._memory.notes.append(
                    f"allocated {name}: {bo}{announced if modifier != bo.modifier else ''}"
                )
            use(buffer.lend())

        def on_failed() -> None:
            self._asked -= 1
            params.destroy()
            if not self._is_closed:
                self._refuse(name, self._refuses(modifier))
                self._climb(bo.layout, use)

        params = self._factory.create("create_params", created=on_created, failed=on_failed)
        high, low = modifier >> 32, modifier & 0xFFFF_FFFF
        for number, plane in enumerate(bo.planes):
            params.send("add", plane.fd, number, plane.offset, plane.stride, high, low)
        self._asked += 1
        params.send("create", *bo.layout.size, bo.layout.format.fourcc, 0)


def modifier_name(modifier: int) -> str:
    """Write a modifier for people."""
    return {LINEAR: "LINEAR", INVALID: "INVALID"}.get(modifier, f"{modifier:#018x}")
