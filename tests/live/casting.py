"""What is the same of all portals: taking what they cast, and knowing what it has to be."""

from __future__ import annotations

import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Self

import numpy as np

from tests.fake.counter import paint_counter, read_counter
from tests.live.command import PATIENCE, WAYSHOT, read
from tests.live.recording import Recording, read_raw, until
from tests.stage import pattern

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.client import Picture
    from tests.live.fullscreen import Fullscreen
    from tests.live.portals import Services

SIZE = 320, 240

RAW = ("-t", "raw", "--pixel-format", "rgb24", "-r", "30")
FRAME = SIZE[0] * SIZE[1] * 3
"""Bytes of each."""


def wayshot(services: Services, *words: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run wayshot in the session of a portal."""
    return subprocess.run(
        [*WAYSHOT, *words],
        env=services.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )


def shoot(services: Services, folder: Path, *words: str) -> Picture:
    """Take a picture, check that nothing was said, and read it."""
    path = folder / "shot.png"
    done = wayshot(services, *words, path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), services.logs()
    return read(path)


def counted(number: int) -> Picture:
    """Return a picture that has a number, and is otherwise the pattern."""
    picture = pattern(*SIZE)
    paint_counter(picture, number)
    return picture


class Counting:
    """Lets a window count, some twenty times a second, from ``__enter__`` to ``__exit__``."""

    def __init__(self, window: Fullscreen) -> None:
        self.last = 0
        self._window = window
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._count)

    def __enter__(self) -> Self:
        self._window.show_picture(counted(0))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(PATIENCE)

    def _count(self) -> None:
        while not self._stopping.wait(0.05):
            self._window.show_picture(counted(self.last + 1))
            self.last += 1


def newest(path: Path) -> int:
    """Return the number of the last whole picture of a recording that goes on."""
    with path.open("rb") as film:
        film.seek((path.stat().st_size // FRAME - 1) * FRAME)
        picture = np.frombuffer(film.read(FRAME), np.uint8)
    return read_counter(picture.reshape(SIZE[1], SIZE[0], 3))


def check_still(picture: Picture) -> None:
    """Check that it is exactly a picture that was shown."""
    assert np.array_equal(picture, counted(read_counter(picture)))


def check_recording(services: Services, window: Fullscreen, path: Path, *words: str) -> None:
    """Record a second in which something changes, and one in which nothing does; check all."""
    second = 30 * FRAME
    with subprocess.Popen(
        [*WAYSHOT, "record", *RAW, *words, path],
        env=services.env,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            running = Recording(process)
            with Counting(window) as counting:
                running.wait_for(path, second)
                until(lambda: counting.last >= 20, process)
            until(lambda: newest(path) == counting.last, process)
            running.wait_for(path, path.stat().st_size + second)
            result = running.end(signal.SIGINT)
        finally:
            process.kill()
    assert result.status == 0, result.said + services.logs()
    film = read_raw(path, *SIZE, 3)
    assert abs(len(film) - 30 * result.statistics.seconds) <= 1
    numbers = [read_counter(picture) for picture in film]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 5
    assert numbers[-1] == counting.last
    for picture, number in zip(film, numbers, strict=True):
        assert np.array_equal(picture, counted(number))
