"""Windows on a renderer that has dmabuf, in either memory."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.guest.inside.stage import PATIENCE, GlesLabwc, GlesSway
from tests.live.command import shoot
from tests.live.window import Window, translucent
from tests.stage import Output
from wayshot_cli.backends import choose
from wayshot_cli.sources import WindowSource
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.stage import Stage

TITLE = "Glass"
either_memory = pytest.mark.parametrize("buffer", ["shm", "dmabuf"])


@pytest.fixture(scope="module", params=[GlesSway, GlesLabwc])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Run a compositor with one output."""
    with request.param(Output(640, 480)) as stage:
        yield stage


@either_memory
def test_a_window_is_its_own_pixels(stage: Stage, buffer: str, tmp_path: Path) -> None:
    """Over black: wlroots draws them so, even into a buffer that has alpha."""
    picture = translucent(203, 117)
    with Window(stage.socket, "org.example", TITLE, picture):
        deadline = monotonic() + PATIENCE  # Mesa's threads may still draw: see test_dmabuf.py
        while True:
            shot = shoot(stage, tmp_path, "-w", f"title:{TITLE}", "--buffer", buffer)
            if np.array_equal(shot, picture[..., :3]) or monotonic() > deadline:
                break
    assert np.array_equal(shot, picture[..., :3])


@either_memory
def test_a_recording_follows_a_change_of_size(stage: Stage, buffer: str) -> None:
    """Buffers of the old size go."""
    with (
        Window(stage.socket, "org.example", TITLE, translucent(64, 48)) as window,
        Connection(str(stage.socket), timeout=20) as connection,
    ):
        chosen, _ = choose(connection, "auto", buffer, windows=True)
        with WindowSource(connection, chosen, f"title:{TITLE}") as source:
            for size in ((64, 48), (203, 117), (120, 130)):
                expected = translucent(*size)
                # Not until it is drawn: labwc does not say so while a capture rests.
                window.commit(expected)
                deadline = monotonic() + PATIENCE
                seen: NDArray[Any] = np.zeros(0)
                while not np.array_equal(seen, expected[..., :3]):
                    assert monotonic() < deadline, f"{size} was never seen"
                    window.answer()
                    picture = source.capture(until=monotonic() + 0.5)
                    if picture is None:
                        source.restart()
                    else:
                        seen = picture.render().to_numpy()[..., :3]
