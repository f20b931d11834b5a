"""Threads that use the library at once: a program, for it imports everything in them, too.

    python -m tests.shooters EXPECTED THREADS SHOTS OUTPUT

takes so many pictures of an output in each of so many threads, while one more streams, each of
them by a connection of its own. Every picture has to be EXPECTED, a file of NumPy's; nothing may be
left.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

SWITCH = 1e-6
"""Seconds after which another thread has its turn, which is as soon as may be."""


def held() -> tuple[int, int, int]:
    """Count descriptors, mappings of shared memory, and threads."""
    mappings = Path("/proc/self/maps").read_text(encoding="utf-8").count("memfd:wayshot")
    return (len(os.listdir("/proc/self/fd")), mappings, threading.active_count())


def main(expected: str, threads: str, shots: str, output: str) -> None:
    """Run them all, twice: what the first time has opened for good, the second opens no more."""
    picture = np.load(expected)
    sys.setswitchinterval(SWITCH)
    gc.disable()
    left = []
    for _ in range(2):
        run(picture, int(threads), int(shots), output)
        left.append(held())
    assert left[0] == left[1], left


def run(
    picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], threads: int, shots: int, output: str
) -> None:
    """Run them all once."""
    start = threading.Barrier(threads + 1)
    done = threading.Event()

    def shoot() -> int:
        start.wait()
        import wayshot_cli as wayshot

        for _ in range(shots):
            frame = wayshot.shot(output)
            assert np.array_equal(np.asarray(frame), picture)
            frame.close()
        return shots

    def stream() -> int:
        start.wait()
        import wayshot_cli as wayshot

        count = 0
        for frame in wayshot.stream(output, fps=100):
            assert np.array_equal(np.asarray(frame), picture)
            count += 1
            if done.is_set():
                break
        return count

    with ThreadPoolExecutor(threads + 1) as pool:
        streamed = pool.submit(stream)
        taken = [pool.submit(shoot) for _ in range(threads)]
        try:
            assert [one.result() for one in taken] == [shots] * threads
        finally:
            done.set()
        assert streamed.result() > 0


if __name__ == "__main__":
    main(*sys.argv[1:])
