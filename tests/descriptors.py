"""The descriptors that this process has open."""

from __future__ import annotations

import gc
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 10.0  # seconds: servers in other threads close their ends a bit later


def descriptors() -> list[str]:
    """Return the descriptors, without those that garbage still holds."""
    gc.collect()
    return sorted(os.listdir("/proc/self/fd"))


@contextmanager
def leaving_no_descriptors() -> Iterator[None]:
    """Check that what happens inside leaves nothing open."""
    before = len(descriptors())
    yield
    deadline = time.monotonic() + PATIENCE
    while len(descriptors()) > before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
