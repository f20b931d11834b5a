"""Streams of the library out of GPU memory."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

import wayshot_cli as wayshot
from tests.fake.counter import paint_counter, read_counter
from tests.fake.pixels import picture
from tests.guest.inside.stage import GlesSway
from tests.live.film import LiveFilm
from tests.stage import Output
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.client import Picture

NAME, SIZE = "HEADLESS-1", (160, 120)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    """Connect to a sway that shows the film."""
    with (
        GlesSway(Output(*SIZE)) as sway,
        LiveFilm(sway, NAME),
        Connection(str(sway.socket), timeout=20) as connection,
    ):
        yield connection


def counted(number: int) -> Picture:
    """Paint what the film shows."""
    upright = picture(0, *SIZE)
    paint_counter(upright, number)
    return upright


@pytest.mark.parametrize("backend", ["image-copy", "screencopy"])
@pytest.mark.parametrize("fps", [None, 5])
def test_frames_are_right_and_stay_so_while_they_are_kept(
    connection: Connection, backend: str, fps: int | None
) -> None:
    """As they do in shared memory."""
    with wayshot.stream(fps=fps, backend=backend, buffer="dmabuf", connection=connection) as stream:
        kept = [(frame, read_counter(frame.to_numpy())) for frame in itertools.islice(stream, 12)]
        numbers = [number for _, number in kept]
        assert numbers == sorted(numbers)
        assert len({*numbers}) > 6
        with pytest.raises(wayshot.FramesHeldError):
            kept.extend((frame, read_counter(frame.to_numpy())) for frame in stream)
    for frame, number in kept:
        assert np.array_equal(frame.to_numpy(), counted(number))
