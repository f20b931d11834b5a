"""GPU memory against shared memory, in the guest of tests/guest: what a recorder pays for a frame.

The guest's Mesa draws with the processor, so that what a GPU would do beside it, copy into dmabufs,
costs processor time here, and the memory is ordinary: the peer is ahead where a GPU would turn the
tables. What the figures are good for is to compare one version of wayshot with another.
"""

import os
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

from benchmarks import measure
from tests.guest.guest import HERE, GuestError, python_mounts
from tests.guest.guest import run as run_in_guest
from tests.guest.inside.stage import GlesSway
from tests.live.film import LiveFilm
from tests.stage import Output
from wayshot_cli.backends import choose
from wayshot_cli.encode.rawvideo import RawVideo
from wayshot_cli.sources import OutputSource
from wayshot_cli.wayland.connection import Connection

OUTPUT = "HEADLESS-1"
SCREENS = {"1080p": (1920, 1080), "4K": (3840, 2160)}
PEER = ("screencopy", "shm")
WAYS = {
    "screencopy into dmabufs": ("screencopy", "dmabuf"),
    "export-dmabuf": ("export-dmabuf", "dmabuf"),
}
ROUNDS = 3
FRAMES = 20
WARMING_UP = 3
"""Frames for which buffers are made; they do not count."""

PATIENCE = 60.0
"""Seconds that the compositor has for an answer."""

GUEST_PATIENCE = 900.0
"""Seconds for all of it, boot included: several times what it needs."""


def run() -> None:
    """Print the table, or why there is none."""
    if os.environ.get("WAYSHOT_TEST_WITHOUT_GUEST") == "1":
        print("\nNo GPU memory: WAYSHOT_TEST_WITHOUT_GUEST=1")
        return
    try:
        for script in ("build-kernel", "make-root"):
            subprocess.run([HERE / script], check=True, stdout=subprocess.DEVNULL)
        inside = [sys.executable, "-m", "benchmarks.dmabuf"]
        if status := run_in_guest(inside, mounts=python_mounts(), timeout=GUEST_PATIENCE):
            sys.exit(status)
    except (GuestError, OSError, subprocess.CalledProcessError) as error:
        print(f"\nNo GPU memory, there is no guest: {error}")


class Cost(NamedTuple):
    """Milliseconds for a frame: on the clock, of our processor time, of the compositor's."""

    clock: float
    ours: float
    compositor: float


def _compare() -> None:
    """Print the table; for the guest."""
    measure.bars_title("A frame into dmabufs and read as yuv420p, all of a film; peer: into shm")
    for screen, size in SCREENS.items():
        with GlesSway(Output(*size)) as sway, LiveFilm(sway, OUTPUT):
            rounds = [[_cost(sway, *way) for way in (PEER, *WAYS.values())] for _ in range(ROUNDS)]
        peer, *costs = (
            Cost(*map(statistics.median, zip(*column, strict=True)))
            for column in zip(*rounds, strict=True)
        )
        for name, cost in zip(WAYS, costs, strict=True):
            measure.bar_row(f"{screen}, {name}", peer.clock, cost.clock, "ms")
            measure.bar_row("    processor time", peer.ours, cost.ours, "ms")
            measure.bar_row("    the compositor's", peer.compositor, cost.compositor, "ms")
    print("All is drawn by software, which turns the advantage around: a GPU copies by itself.")


def _cost(sway: GlesSway, backend: str, buffer: str) -> Cost:
    """Capture frames one by one as the screen changes, and read each of them once."""
    with Connection(str(sway.socket), timeout=PATIENCE) as connection:
        chosen, _ = choose(connection, backend, buffer)
        with OutputSource(connection, chosen) as source:

            def capture(number: int) -> None:
                picture = source.capture()
                assert picture  # noqa: S101 - there is no time limit but the compositor's
                stream.write(picture.render(), number)

            first = source.capture()
            assert first  # noqa: S101 - as above
            stream = RawVideo(lambda _: None, first.render(), pixel_format="yuv420p")
            for number in range(WARMING_UP):
                capture(number)
            before = _now(sway)
            for number in range(FRAMES):
                capture(number)
            after = _now(sway)
    return Cost(*(1e3 * (end - start) / FRAMES for start, end in zip(before, after, strict=True)))


def _now(sway: GlesSway) -> tuple[float, float, float]:
    return time.monotonic(), time.process_time(), measure.processor_time(sway.pid)


if __name__ == "__main__":
    _compare()
