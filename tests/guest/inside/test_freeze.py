"""A screen that stands still where a GPU's renderer draws it, out of either memory."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.guest.inside.stage import PATIENCE, GlesLabwc, GlesSway
from tests.live.client import BOTTOM_LAYER, Client
from tests.stage import Output, pattern
from wayshot_cli import shot
from wayshot_cli.freeze import freeze
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from tests.stage import Stage

NAME = "HEADLESS-1"


@pytest.fixture(scope="module", params=[GlesSway, GlesLabwc])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Run a compositor with one output."""
    with request.param(Output(320, 240)) as stage:
        yield stage


def becomes(expected: Callable[[], bool]) -> bool:
    """Tell whether something is so in the end: Mesa's threads may still draw."""
    deadline = monotonic() + PATIENCE
    while not expected():
        if monotonic() > deadline:
            return False
    return True


@pytest.mark.parametrize("buffer", ["shm", "dmabuf"])
@pytest.mark.parametrize("transform", ["normal", "90", "flipped-180"])
@pytest.mark.parametrize("scale", [1.0, 1.25, 2.0])
def test_a_screen_stands_still_to_the_pixel(
    stage: Stage, scale: float, transform: str, buffer: str
) -> None:
    """While something else is shown below."""
    stage.set_output(NAME, scale=scale, transform=transform)
    width, height = stage.output(NAME).upright_size
    upright = pattern(width, height)
    stage.set_background(NAME, upright)

    def shown() -> NDArray[Any]:
        with Connection(str(stage.socket), timeout=20) as other:
            return shot(connection=other).to_numpy()

    assert becomes(lambda: np.array_equal(shown(), upright))
    with (
        Connection(str(stage.socket), timeout=20) as link,
        freeze(link, buffer=buffer) as frozen,
        Client(stage.socket) as client,
    ):
        client.show(NAME, 255 - upright, (width, height), layer=BOTTOM_LAYER, is_hidden=True)
        assert becomes(lambda: np.array_equal(shown(), upright))
        assert becomes(lambda: np.array_equal(frozen.cut().to_numpy(), upright))
