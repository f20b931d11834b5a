"""What this process holds, descriptors above all, and that nothing of it is left over."""

from __future__ import annotations

import gc
import operator
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

PATIENCE = 10.0  # seconds: servers in other threads close their ends a bit later


def descriptors() -> int:
    """Count the open descriptors."""
    return len(os.listdir("/proc/self/fd"))


def links() -> list[str]:
    """Return what the open descriptors lead to, see proc(5)."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own, and what another thread has closed
            found.append(os.readlink(link))
    return found


def memory() -> int:
    """Count the descriptors and the mappings of our shared memory."""
    mapped = Path("/proc/self/maps").read_text(encoding="utf-8").count("memfd:wayshot")
    return mapped + sum("memfd:wayshot" in link for link in links())


def threads() -> int:
    """Count the threads, those of libraries included."""
    return len(os.listdir("/proc/self/task"))


@contextmanager
def leaving_no_more(*counts: Callable[[], int], collecting: bool = True) -> Iterator[None]:
    """Check that of nothing that is counted there is more after what happens inside.

    Unless ``collecting``, what only the garbage collector would find is left over, too.
    """

    def now() -> list[int]:
        if collecting:
            gc.collect()
        return [count() for count in counts]

    before = now()
    yield
    deadline = time.monotonic() + PATIENCE
    while any(map(operator.gt, after := now(), before)):
        assert time.monotonic() < deadline, (before, after)
        time.sleep(0.01)


def leaving_no_descriptors() -> AbstractContextManager[None]:
    """Check that what happens inside leaves nothing open."""
    return leaving_no_more(descriptors)
