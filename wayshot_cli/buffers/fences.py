"""Fences of dmabufs: when what the GPU draws into one is there."""

import fcntl
import struct

# linux/dma-buf.h, as on all machines whose _IOC has two bits for the direction: x86, ARM, RISC-V
_EXPORT_SYNC_FILE = 0xC0086202
_SYNC_FILE = struct.Struct("=Ii")  # flags, fd
_SYNC_READ = 1


def writer_fence(dmabuf: int) -> int:
    """Return an fd that polls readable once what was queued on the GPU has been written.

    Raises OSError: kernels before 6.0, and drivers without fences, cannot tell.
    """
    request = bytearray(_SYNC_FILE.pack(_SYNC_READ, -1))
    fcntl.ioctl(dmabuf, _EXPORT_SYNC_FILE, request)
    fence: int = _SYNC_FILE.unpack(request)[1]
    return fence
