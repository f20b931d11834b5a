"""Shared memory: sealed memfds, lent out as views and taken back when the views are gone."""

import fcntl
import mmap
import os
import weakref
from typing import NamedTuple

from wayshot_cli.errors import CaptureError, FramesHeldError
from wayshot_cli.geometry import Size
from wayshot_cli.kernels._kernels import ffi
from wayshot_cli.pixels import PixelFormat, shm_code
from wayshot_cli.wayland.proxy import Proxy

_MAX_POOL_BYTES = 2**31 - 1  # wl_shm.create_pool takes an int32


class ShmLayout(NamedTuple):
    """What the compositor asks a buffer to be; it must be met to the byte."""

    format: PixelFormat
    size: Size
    stride: int

    @property
    def nbytes(self) -> int:
        """Length of the buffer, padding after the last row included."""
        return self.stride * self.size.height


class ShmBuffer:
    """One memfd, mapped here and wrapped as a wl_buffer there."""

    def __init__(self, shm: Proxy, layout: ShmLayout) -> None:
        """Allocate and announce the buffer. Raises CaptureError when memory cannot be had."""
        self.layout = layout
        self._loan: weakref.ref[object] | None = None
        fd = -1
        try:
            fd = os.memfd_create("wayshot", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            # Allocated at once: cheaper than a fault a page, and a lack of memory shows here.
            os.posix_fallocate(fd, 0, layout.nbytes)
            # The compositor holds the fd, too: were it to shrink the file, reading would be SIGBUS.
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
            self._map = mmap.mmap(fd, layout.nbytes)
            pool = shm.create("create_pool", fd, layout.nbytes)
        except OSError as error:
            message = f"cannot allocate {layout.nbytes} bytes of shared memory: {error.strerror}"
            raise CaptureError(message) from error
        finally:
            if fd >= 0:
                os.close(fd)  # libwayland has duplicated it
        self.proxy = pool.create(
            "create_buffer", 0, *layout.size, layout.stride, shm_code(layout.format)
        )
        pool.destroy()

    @property
    def is_lent(self) -> bool:
        """Whether somebody still holds a view of the memory."""
        return self._loan is not None and self._loan() is not None

    def lend(self) -> memoryview:
        """Return a view of the memory; the buffer is lent as long as any view of it is left.

        A memoryview does not tell when its slices and casts are gone. So each loan goes
        through an exporter of its own, which all of them keep alive and which a weak
        reference can watch. The exporter in turn keeps the mapping.
        """
        exporter = ffi.buffer(ffi.from_buffer(self._map))
        self._loan = weakref.ref(exporter)
        return memoryview(exporter)


class ShmPool:
    """Buffers of one session: those that nobody views are used again.

    ``limit`` bounds how many exist at a time, so that a consumer that holds on to
    frames runs into an error and not into swap.
    """

    def __init__(self, shm: Proxy, *, limit: int = 16) -> None:
        """Take the bound wl_shm."""
        self._shm = shm
        self._limit = limit
        self._buffers: list[ShmBuffer] = []

    def acquire(self, layout: ShmLayout) -> tuple[Proxy, memoryview]:
        """Return the wl_buffer and a view of a buffer that nobody else views.

        Raises CaptureError when the layout is impossible, FramesHeldError when too many are held.
        """
        row = layout.size.width * layout.format.bytes_per_pixel
        if min(layout.size) <= 0 or layout.stride < row or layout.nbytes > _MAX_POOL_BYTES:
            message = (
                f"the compositor asks for an impossible buffer: {layout.size} "
                f"{layout.format}, stride {layout.stride}"
            )
            raise CaptureError(message)
        for buffer in self._buffers:
            if not buffer.is_lent and buffer.layout == layout:
                return buffer.proxy, buffer.lend()
        # What the compositor no longer wants goes, or a resize would leave it in the pool.
        for buffer in [b for b in self._buffers if not b.is_lent and b.layout != layout]:
            buffer.proxy.destroy()
            self._buffers.remove(buffer)
        if len(self._buffers) >= self._limit:
            message = f"{self._limit} frames are held and none has been closed"
            raise FramesHeldError(message)
        buffer = ShmBuffer(self._shm, layout)
        self._buffers.append(buffer)
        return buffer.proxy, buffer.lend()

    def close(self) -> None:
        """Destroy the wl_buffers; memory that is lent stays until its views are gone."""
        for buffer in self._buffers:
            buffer.proxy.destroy()
        self._buffers.clear()
