"""Fences of dmabufs: when what the GPU draws into one is there."""

import errno
import fcntl
import os
import struct
from typing import TYPE_CHECKING

from wayshot_cli.errors import CaptureError

if TYPE_CHECKING:
    from wayshot_cli.waiting import Waiter

# linux/dma-buf.h, as on all machines whose _IOC has two bits for the direction: x86, ARM, RISC-V
_EXPORT_SYNC_FILE = 0xC0086202
_SYNC_FILE = struct.Struct("=Ii")  # flags, fd
_SYNC_READ = 1


def wait_for_writer(dmabuf: int, waiter: "Waiter", deadline: float) -> None:
    """Wait until what was queued on the GPU has been written to a dmabuf.

    Raises CaptureTimeoutError at the deadline (time.monotonic()).
    """
    doing = "reading a dmabuf"
    request = bytearray(_SYNC_FILE.pack(_SYNC_READ, -1))
    try:
        fcntl.ioctl(dmabuf, _EXPORT_SYNC_FILE, request)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            message = f"cannot wait for the GPU: {error.strerror}"
            raise CaptureError(message) from error
        # Kernels before 6.0 give no fence. The buffer itself can be polled, too, but that
        # may also wait for what is queued on it meanwhile.
        waiter.wait_for_fence(dmabuf, doing, deadline)
        return
    fence = _SYNC_FILE.unpack(request)[1]
    try:
        waiter.wait_for_fence(fence, doing, deadline)
    finally:
        os.close(fence)
