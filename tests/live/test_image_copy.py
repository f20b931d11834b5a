"""ext-image-copy-capture on real compositors: what it does that wlr-screencopy does not."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.fake import read_counter
from tests.live.client import Client
from tests.live.command import error, shoot, wayshot
from tests.live.conftest import on_newer_compositors, on_newer_sway
from tests.live.film import LiveFilm
from tests.live.recording import read_raw, recording
from tests.stage import TRANSFORMS, Output, Sway, pattern
from wayshot_cli.still import shot
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stage import Build, Stage

NAME = "HEADLESS-1"
IMAGE_COPY = ("--backend", "image-copy")
LARGEST_CURSOR = 64
"""Pixels that a cursor takes at most, on either side of its hotspot."""


@pytest.fixture
def own_sway(build: Build) -> Iterator[Sway]:
    """Run a session whose outputs may be switched off."""
    with Sway(Output(200, 120, background=pattern(200, 120)), build=build) as sway:
        yield sway


@on_newer_compositors
def test_auto_takes_it(one_output: Stage, tmp_path: Path) -> None:
    """Before wlr-screencopy, which is there, too."""
    result = wayshot(one_output, "-v", tmp_path / "a.png")
    assert b"capturing by image-copy into shared memory" in result.stderr


@on_newer_compositors
@pytest.mark.parametrize("transform", ["normal", "90", "flipped-180"])
def test_the_cursor_is_painted_only_if_it_is_asked_for(
    one_output: Stage, tmp_path: Path, transform: str
) -> None:
    """With and without it pictures differ where the pointer is, and nowhere else."""
    one_output.set_output(NAME, transform=transform)
    width, height = one_output.output(NAME).upright_size
    expected = pattern(width, height)
    one_output.set_background(NAME, expected)
    x, y = 70, 50
    with Client(one_output.socket) as client:
        client.point(x, y, width, height)
        without = shoot(one_output, tmp_path, *IMAGE_COPY)
        painted = shoot(one_output, tmp_path, *IMAGE_COPY, "-c")
    assert np.array_equal(without, expected)
    rows, columns = np.nonzero((painted != expected).any(axis=2))
    assert len(rows) > 20
    assert max(abs(rows - y).max(), abs(columns - x).max()) <= LARGEST_CURSOR
    assert (abs(rows - y) + abs(columns - x)).min() <= 4


@on_newer_sway
def test_an_output_that_is_powered_off_is_told_as_such(own_sway: Sway, tmp_path: Path) -> None:
    """Neither a shot nor a recording waits for it, and no file is left."""
    own_sway.msg(f"output {NAME} power off")
    for words in (["a.png"], ["record", "a.y4m"]):
        result = wayshot(own_sway, *words[:-1], "--timeout", "3", tmp_path / words[-1])
        assert result.returncode == 1
        assert f"'{NAME}'" in error(result)
        assert "powered off" in error(result)
    assert not list(tmp_path.iterdir())
    own_sway.msg(f"output {NAME} power on")
    assert np.array_equal(shoot(own_sway, tmp_path), pattern(200, 120))


@on_newer_sway
def test_an_output_that_is_powered_off_and_on_is_recorded_on(
    own_sway: Sway, tmp_path: Path
) -> None:
    """It stands still meanwhile, and nothing is owed."""
    path = tmp_path / "a.raw"
    with recording(own_sway, "-t", "raw", *IMAGE_COPY, "--timeout", "3", path) as running:
        running.wait_for(path)
        own_sway.msg(f"output {NAME} power off")
        time.sleep(4)
        own_sway.msg(f"output {NAME} power on")
        own_sway.set_background(NAME, pattern(200, 120)[::-1])
        running.wait_for_another(path, 200 * 120 * 4)
        running.wait_until_idle()
        result = running.end(signal.SIGINT)
    assert (result.status, result.rest) == (0, "")
    frames = read_raw(path, 200, 120)
    assert np.array_equal(frames[0][..., 2::-1], pattern(200, 120))
    assert np.array_equal(frames[-1][..., 2::-1], pattern(200, 120)[::-1])


@on_newer_compositors
def test_a_moving_screen_is_recorded_whole(one_output: Stage, tmp_path: Path) -> None:
    """Each frame is of one moment, in order; and standing still it costs nothing."""
    path = tmp_path / "a.raw"
    with (
        LiveFilm(one_output, NAME) as film,
        recording(one_output, "-t", "raw", *IMAGE_COPY, path) as running,
    ):
        running.wait_for(path, 150 * 203 * 117 * 4)
        last = film.pause()
        time.sleep(0.5)
        before = running.processor_time()
        time.sleep(0.5)
        # In ticks of 1/100 s: 30 frames are written again, and none is captured.
        assert running.processor_time() - before < 25
        result = running.end(signal.SIGINT)
    assert (result.status, result.rest) == (0, "")
    frames = read_raw(path, 203, 117)
    counters = [read_counter(frame[..., 2::-1]) for frame in frames]
    assert counters == sorted(counters)
    assert counters[-1] == last
    assert len(set(counters)) > 20


@on_newer_compositors
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("scale", [1, 2])
def test_a_cursor_apart_is_the_one_that_is_painted(
    even_output: Stage, transform: str, scale: int
) -> None:
    """Laid over the picture where it says, it makes the picture with the cursor in it."""
    even_output.set_output(NAME, transform=transform, scale=scale)
    width, height = even_output.output(NAME).upright_size
    even_output.set_background(NAME, "#204060")
    with (
        Client(even_output.socket) as client,
        Connection(str(even_output.socket)) as connection,
    ):
        client.point(70, 50, width, height)
        frame = shot(connection=connection, cursor="separate")
        painted = shot(connection=connection, cursor=True).to_numpy()
    cursor = frame.cursor
    assert cursor
    assert cursor.position == (70, 50)
    rgba = cursor.image.to_numpy().astype(float)
    alpha = rgba[..., 3:] / 255
    expected = frame.to_numpy().astype(float)
    part = expected[cursor.box.y : cursor.box.bottom, cursor.box.x : cursor.box.right]
    part[:] = rgba[..., :3] * alpha + part * (1 - alpha)
    assert np.abs(painted - expected).max() <= 2  # roundings of wlroots' and ours
    assert (painted != frame.to_numpy()).any()
