"""Linear dmabufs read in place: mapped for as long as their buffer lives, and whether that is fast.

Memory of a GPU may be mapped uncached: reading it then takes twenty times as long as letting the
driver copy it. No driver says so, it has to be tried.
"""

import errno
import fcntl
import mmap
import os
import struct
from time import perf_counter_ns
from typing import Any, NamedTuple

from wayshot_cli.buffers._gbm import ffi

# linux/dma-buf.h; see fences.py for which machines
_SYNC = 0x40086200
_SYNC_FLAGS = struct.Struct("=Q")
_SYNC_READ, _SYNC_END = 1, 4
_MOST_TRIES = 100  # of an ioctl that signals interrupt

_SAMPLE = 256 << 10  # bytes
_SLOWEST = 4  # times the time of ordinary memory; uncached memory takes twenty and more


class Speed(NamedTuple):
    """Nanoseconds to copy some bytes out of a mapping, and out of ordinary memory."""

    nbytes: int
    mapped: int
    ordinary: int

    @property
    def is_fine(self) -> bool:
        """Whether reading in place beats a copy by the driver."""
        return self.mapped <= _SLOWEST * self.ordinary

    def __str__(self) -> str:
        """Write the figures."""
        return (
            f"{self.nbytes >> 10} KiB in {self.mapped / 1000:.0f} us, "
            f"of ordinary memory in {self.ordinary / 1000:.0f} us"
        )


class LinearMapping:
    """Bytes ``start`` to ``end`` of a dmabuf, mapped to be read."""

    def __init__(self, fd: int, start: int, end: int) -> None:
        """Map them; the fd stays the caller's, and has to stay open. Raises OSError."""
        if not 0 <= start < end <= os.lseek(fd, 0, os.SEEK_END):  # else reading would be SIGBUS
            raise OSError(errno.EOVERFLOW, os.strerror(errno.EOVERFLOW))
        self._fd = fd
        self._start, self._end = start, end
        self._map = mmap.mmap(fd, end, mmap.MAP_SHARED, mmap.PROT_READ)

    @property
    def nbytes(self) -> int:
        """How many bytes there are to read."""
        return self._end - self._start

    @property
    def address(self) -> Any:
        """Where they are, as a ``uint8_t *``; valid as long as this object."""
        return ffi.cast("uint8_t *", ffi.from_buffer(self._map)) + self._start

    def begin(self) -> None:
        """Make what the GPU has written visible to the processor. Raises OSError."""
        _sync(self._fd, _SYNC_READ)

    def finish(self) -> None:
        """Say that nobody reads any more; each ``begin`` wants one."""
        _sync(self._fd, _SYNC_READ | _SYNC_END)

    def copy_to(self, target: memoryview) -> None:
        """Copy all of them into memory of that length. Raises OSError."""
        self.begin()
        try:
            with memoryview(self._map) as mapped:
                target[:] = mapped[self._start : self._end]
        finally:
            self.finish()

    def speed(self) -> Speed:
        """Measure how fast it can be read. Raises OSError."""
        nbytes = min(self.nbytes, _SAMPLE)
        ordinary = bytearray(nbytes)
        self.begin()
        try:
            with memoryview(self._map) as mapped, memoryview(ordinary) as target:
                source = mapped[self._start : self._start + nbytes]
                return Speed(nbytes, _time(source, target), _time(bytes(source), target))
        finally:
            self.finish()


def _time(source: bytes | memoryview, target: memoryview) -> int:
    """Return the nanoseconds of a copy, the better of two once pages and caches know the memory."""
    target[:] = source
    times = []
    for _ in range(2):
        start = perf_counter_ns()
        target[:] = source
        times.append(perf_counter_ns() - start)
    return min(times)


def _sync(fd: int, flags: int) -> None:
    request = _SYNC_FLAGS.pack(flags)
    for _ in range(_MOST_TRIES):
        try:
            fcntl.ioctl(fd, _SYNC, request)
        except (InterruptedError, BlockingIOError):  # linux/dma-buf.h: restart it
            continue
        return
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
