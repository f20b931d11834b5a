"""Memory of a producer's buffers: read into our own, or lent as a dmabuf of a device."""

import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

from wayshot_cli.backends.pipewire import offers
from wayshot_cli.backends.pipewire._pipewire import ffi
from wayshot_cli.backends.pipewire.chunks import Data, Rows, UnusableError
from wayshot_cli.backends.pipewire.library import duplicate
from wayshot_cli.backends.pipewire.offers import Agreed
from wayshot_cli.buffers.fences import wait_for_writer
from wayshot_cli.buffers.gbm import (
    LONGEST_STRIDE,
    MOST_PLANES,
    DeviceMemory,
    DmabufLayout,
    GbmBuffer,
    Plane,
    close_planes,
)
from wayshot_cli.buffers.linear import LinearMapping
from wayshot_cli.buffers.private import PrivatePool
from wayshot_cli.errors import UnsupportedError
from wayshot_cli.wayland.dmabuf import INVALID, LINEAR

if TYPE_CHECKING:
    from wayshot_cli.buffers.gbm import Loan
    from wayshot_cli.geometry import Box, Transform
    from wayshot_cli.waiting import Waiter

_UNREADABLE, _TOO_SHORT = "of memory that cannot be read", "shorter than they say"


class Held(NamedTuple):
    """A buffer that is not given back yet, and what it said of itself when it came."""

    number: int
    buffer: Any
    data: Data
    rows: Rows
    box: "Box"  # of the buffer, in pixels, that the rows are
    transform: "Transform"
    time_ns: int


def check(data: Any, agreed: Agreed, device: DeviceMemory | None) -> None:
    """Raise UnusableError for a ``struct spa_data`` whose memory cannot be read."""
    can_read = data.type in (offers.MEM_FD, offers.DMA_BUF) and data.fd >= 0
    if data.type == offers.MEM_PTR:
        can_read = data.data != ffi.NULL
    elif data.type == offers.DMA_BUF and agreed.modifier not in (None, LINEAR):
        can_read = can_read and device is not None
    if not can_read:
        raise UnusableError(_UNREADABLE)


class Copied(NamedTuple):
    """A picture in memory of our own: where its first row starts, and each next one."""

    memory: memoryview
    offset: int
    stride: int


class Reader:
    """Reads buffers of a stream.

    ``look_into`` lends the first ``struct spa_data`` of one, and keeps libpipewire from withdrawing
    it meanwhile, which closes its fd; it raises UnusableError when that has happened.
    """

    def __init__(
        self,
        pool: PrivatePool,
        device: DeviceMemory | None,
        look_into: Callable[[Held], AbstractContextManager[Any]],
    ) -> None:
        """Take what is read into, and what dmabufs are read with; None is for linear ones alone."""
        self._pool = pool
        self._device = device
        self._look_into = look_into

    def copy(self, held: Held, agreed: Agreed, waiter: "Waiter", deadline: float) -> Copied:
        """Return a copy of the picture.

        Raises UnusableError when there is less of it than said, CaptureError when too many frames
        are held, CaptureTimeoutError when the GPU is not done by the deadline.
        """
        rows, bytes_per_pixel = held.rows, agreed.format.bytes_per_pixel
        if held.data.type == offers.DMA_BUF and self._device:
            mapped, stride = self.lend(held, agreed).read(deadline)
            memory = self._pool.acquire(len(mapped))
            memory[:] = mapped
            return Copied(memory, held.box.y * stride + held.box.x * bytes_per_pixel, stride)
        memory = self._pool.acquire(rows.nbytes(bytes_per_pixel))
        self._copy_rows(held, memory, waiter, deadline)
        return Copied(memory, 0, rows.stride)

    def _copy_rows(self, held: Held, memory: memoryview, waiter: "Waiter", deadline: float) -> None:
        start = held.data.map_offset + held.rows.offset
        with self._look_into(held) as data:
            if held.data.type == offers.MEM_PTR:
                source = ffi.cast("char *", data.data) + held.rows.offset
                ffi.memmove(memory, source, len(memory))
                return
            fd = duplicate(data.fd)
        try:
            if held.data.type == offers.MEM_FD:
                _copy_file(fd, start, memory)
                return
            if os.lseek(fd, 0, os.SEEK_END) < start + len(memory):
                raise UnusableError(_TOO_SHORT)  # nor is it waited for: it may be no dmabuf at all
            wait_for_writer(fd, waiter, deadline)
            LinearMapping(fd, start, start + len(memory)).copy_to(memory)
        except OSError as error:
            raise UnusableError(_UNREADABLE) from error
        finally:
            os.close(fd)

    def lend(self, held: Held, agreed: Agreed) -> "Loan":
        """Return the dmabuf itself, as a buffer of our device.

        Raises UnusableError, UnsupportedError when it is none, or the device cannot import it.
        """
        if held.data.type != offers.DMA_BUF or self._device is None:
            message = "the producer sends no dmabufs, or there is no device to read them with"
            raise UnsupportedError(message, hint="take --buffer dmabuf")
        layout = DmabufLayout(agreed.format, agreed.size)
        modifier = LINEAR if agreed.modifier is None else agreed.modifier
        planes: list[Plane] = []
        try:
            self._add_planes(held, planes)
            if modifier in (LINEAR, INVALID):
                _check_lengths(layout, planes)
            bo = self._device.device.adopt(layout, modifier, planes)
        except OSError as error:
            close_planes(planes)
            message = f"{self._device.device.path} cannot read {agreed}: {error.strerror}"
            raise UnsupportedError(message, hint="take --buffer shm") from error
        except BaseException:
            close_planes(planes)
            raise
        return GbmBuffer(self._device, bo, None).lend()

    def _add_planes(self, held: Held, planes: list[Plane]) -> None:
        """Append duplicates of a dmabuf's planes."""
        with self._look_into(held) as first:
            planes.append(_plane(first.fd, first.mapoffset, held.data.offset, held.rows.stride))
            buffer = held.buffer.buffer
            for index in range(1, min(buffer.n_datas, MOST_PLANES)):
                data = buffer.datas[index]
                if data.chunk == ffi.NULL:
                    raise UnusableError(_UNREADABLE)
                chunk = data.chunk
                planes.append(_plane(data.fd, data.mapoffset, chunk.offset, chunk.stride))


def _plane(fd: int, map_offset: int, offset: int, stride: int) -> Plane:
    if fd < 0 or stride < 0 or max(map_offset + offset, stride) > LONGEST_STRIDE:
        raise UnusableError(_UNREADABLE)
    return Plane(duplicate(fd), map_offset + offset, stride)


def _check_lengths(layout: DmabufLayout, planes: list[Plane]) -> None:
    """Refuse what ends too soon: software drivers map it as it is, and to read on is SIGBUS."""
    try:
        is_short = any(os.lseek(p.fd, 0, os.SEEK_END) < layout.end(p) for p in planes)
    except OSError as error:  # it is no dmabuf at all
        raise UnusableError(_UNREADABLE) from error
    if is_short:
        raise UnusableError(_TOO_SHORT)


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
