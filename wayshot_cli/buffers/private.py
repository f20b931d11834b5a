"""Memory of our own for pictures that have to be copied: lent as views, used again after them."""

import mmap
import weakref
from typing import NamedTuple

from wayshot_cli.errors import FramesHeldError
from wayshot_cli.kernels._kernels import ffi


class _Block(NamedTuple):
    memory: mmap.mmap
    loan: "weakref.ref[object]"

    @property
    def is_lent(self) -> bool:
        return self.loan() is not None


class PrivatePool:
    """Blocks of memory of one length: those that nobody views are used again.

    ``limit`` bounds how many exist at a time, as in ``ShmPool``.
    """

    def __init__(self, *, limit: int = 16) -> None:
        """Start empty."""
        self._limit = limit
        self._blocks: list[_Block] = []

    def acquire(self, nbytes: int) -> memoryview:
        """Return a writable view of a block of that length that nobody else views.

        Raises FramesHeldError when too many are held.
        """
        self._blocks = [b for b in self._blocks if b.is_lent or len(b.memory) == nbytes]
        free = next((block for block in self._blocks if not block.is_lent), None)
        if free:
            self._blocks.remove(free)
        elif len(self._blocks) >= self._limit:
            message = f"{self._limit} frames are held and none has been closed"
            raise FramesHeldError(message)
        memory = free.memory if free else mmap.mmap(-1, nbytes)
        # As in ShmBuffer.lend: a weak reference can watch this exporter, and it keeps the block.
        exporter = ffi.buffer(ffi.from_buffer(memory))
        self._blocks.append(_Block(memory, weakref.ref(exporter)))
        return memoryview(exporter)
