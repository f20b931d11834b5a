"""A recording that goes on and on needs no more than in the beginning."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests import y4m
from tests.fake.counter import read_counter
from tests.live.film import LiveFilm
from tests.live.recording import recording, until
from tests.stage import Output, Sway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 96, 72
PIXEL_BYTES = SIZE[0] * SIZE[1] * 4
RATE = 500
EARLY, LATE = 200, 2000
CAPTURED = 200

BUFFERS = 8
"""Most that a slow moment may need; each has a descriptor."""

MORE = 4096
"""Kilobytes."""


@pytest.fixture(scope="module")
def sway() -> Iterator[Sway]:
    """Run a screen that is fast, so that much happens in few seconds."""
    with Sway(Output(*SIZE)) as sway:
        sway.msg("output HEADLESS-1 mode --custom {}x{}@{}Hz".format(*SIZE, RATE))
        yield sway


def test_memory_and_descriptors(sway: Sway, tmp_path: Path) -> None:
    """After 2000 frames about as many descriptors are open as after 200, and as much memory."""
    frame_bytes = {"a.y4m": len(y4m.FRAME) + SIZE[0] * SIZE[1] * 3 // 2, "a.raw": PIXEL_BYTES}
    used: dict[str, list[tuple[int, int]]] = {"a.y4m": [], "a.raw": [], "a.mp4": []}
    seen: set[int] = set()
    with LiveFilm(sway, "HEADLESS-1"), ExitStack() as stack:
        recordings = {
            name: stack.enter_context(recording(sway, "-r", str(RATE), tmp_path / name))
            for name in used
        }
        for name, running in recordings.items():
            running.wait_for(tmp_path / name)
        begun = {name: (tmp_path / name).stat().st_size for name in frame_bytes}
        for frames in (EARLY, LATE):
            for name, size in frame_bytes.items():
                recordings[name].wait_for(tmp_path / name, begun[name] + frames * size)
            if frames == LATE:
                until(lambda: _see(tmp_path / "a.raw", seen) >= CAPTURED)
            for name, running in recordings.items():
                used[name].append((len(running.descriptors()), running.memory()))
        results = [running.end(signal.SIGINT) for running in recordings.values()]
    for result in results:
        assert (result.status, result.rest) == (0, "")
        assert result.statistics.captured >= CAPTURED // 2  # by each, of what one has seen
    for (descriptors_before, memory_before), (descriptors, memory) in used.values():
        assert descriptors - descriptors_before <= BUFFERS
        assert memory - memory_before <= MORE


def _see(path: Path, seen: set[int]) -> int:
    """Add the number that raw video ends with now to those seen; return how many they are."""
    with path.open("rb") as film:
        film.seek((path.stat().st_size // PIXEL_BYTES - 1) * PIXEL_BYTES)
        picture = np.frombuffer(film.read(PIXEL_BYTES), np.uint8)
    seen.add(read_counter(picture.reshape(SIZE[1], SIZE[0], 4)[..., 2::-1]))
    return len(seen)
