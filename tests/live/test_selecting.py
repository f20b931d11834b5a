"""Selecting by slurp and by scripts, and the screen that stands still meanwhile."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.live.client import BOTTOM_LAYER, Client
from tests.live.command import PATIENCE, WAYSHOT, error, read, shoot, wayshot
from tests.live.conftest import on_every_compositor
from tests.live.hand import Hand, answer
from tests.stage import TRANSFORMS, Output, pattern
from wayshot_cli.freeze import freeze
from wayshot_cli.geometry import Box
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.stage import Build, Stage

pytestmark = on_every_compositor

LEFT, RIGHT = Output(320, 240, position=(0, 0)), Output(320, 240, position=(320, 0))
EXTENT = (640, 240)

MOST = 0.9
"""Of the pixels are others when slurp dims a screen; a cursor changes few."""


@pytest.fixture(scope="module")
def session(build: Build) -> Iterator[Stage]:
    """Run a compositor with two outputs for as long as the module's tests last."""
    with build.stage(LEFT, RIGHT) as stage:
        yield stage


@pytest.fixture
def stage(session: Stage) -> Stage:
    """Both outputs upright, at scale 1, and showing patterns."""
    for name, position in zip(session.names, ((0, 0), (320, 0)), strict=True):
        session.set_output(name, width=320, scale=1.0, transform="normal", position=position)
    picture = pattern(*EXTENT)
    session.set_background("HEADLESS-1", picture[:, :320])
    session.set_background("HEADLESS-2", picture[:, 320:])
    return session


@contextmanager
def changed(stage: Stage, name: str) -> Iterator[None]:
    """Let an output show something else, below what covers it."""
    width, height = stage.output(name).upright_size
    with Client(stage.socket) as client:
        other = 255 - pattern(width, height)
        client.show(name, other, (width, height), layer=BOTTOM_LAYER, is_hidden=True)
        yield


def select(
    stage: Stage, act: Callable[[], object], *words: str | Path
) -> subprocess.CompletedProcess[bytes]:
    """Run a command; act when slurp has dimmed the screen (but for an output pointed at)."""
    before = stage.dump("HEADLESS-2")

    def is_dimmed() -> bool:
        return bool((stage.dump("HEADLESS-2") != before).any(axis=2).mean() >= MOST)

    with subprocess.Popen(
        words, env=stage.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        stdout, stderr = answer(process, is_dimmed, act)
    return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)


# By slurp

FREEZE = pytest.mark.parametrize("freeze_words", [[], ["--freeze"]], ids=["", "frozen"])


@FREEZE
def test_a_region_is_drawn_with_the_mouse(
    stage: Stage, tmp_path: Path, freeze_words: list[str]
) -> None:
    path = tmp_path / "shot.png"
    with Hand(stage, EXTENT) as hand:
        hand.move(5, 5)
        drag = partial(hand.drag, 300, 20, 349, 59)
        result = select(stage, drag, *WAYSHOT, "--select", *freeze_words, path)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    # slurp counts the pixels under both ends.
    assert (read(path) == pattern(*EXTENT)[20:60, 300:350]).all()


@FREEZE
def test_escape_is_a_cancellation(stage: Stage, tmp_path: Path, freeze_words: list[str]) -> None:
    with Hand(stage, EXTENT) as hand:
        path = tmp_path / "shot.png"
        result = select(stage, hand.escape, *WAYSHOT, "--select", *freeze_words, path)
    assert result.returncode == 3
    assert "selection cancelled" in error(result)
    assert not list(tmp_path.iterdir())


@FREEZE
def test_an_output_is_clicked_on(stage: Stage, tmp_path: Path, freeze_words: list[str]) -> None:
    path = tmp_path / "shot.png"
    with Hand(stage, EXTENT) as hand:
        hand.move(5, 5)
        click = partial(hand.click, 500, 100)
        result = select(stage, click, *WAYSHOT, "--select", "output", *freeze_words, path)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert (read(path) == pattern(*EXTENT)[:, 320:]).all()


def test_a_point_is_clicked_on(stage: Stage) -> None:
    script = (
        "from wayshot_cli.cli.selecting import *\n"
        "with Connection() as link: print(*select_point(link, Programs()))"
    )
    with Hand(stage, EXTENT) as hand:
        result = select(stage, partial(hand.click, 423, 45), sys.executable, "-c", script)
    assert (result.returncode, result.stdout) == (0, b"423 45\n"), result.stderr


# By a script


def test_a_recording_is_of_what_was_selected(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "clip.y4m"
    words = ("--selector", "echo 310,20 20x10", "--frames", "1", "--quiet", path)
    result = wayshot(stage, "record", "--select", *words)
    assert (result.returncode, result.stderr) == (0, b"")
    assert path.read_bytes().startswith(b"YUV4MPEG2 W20 H10 ")


def test_what_was_seen_is_what_is_saved(stage: Stage, tmp_path: Path) -> None:
    # The selector is a script that takes a picture itself, of the screen that stands still.
    path, seen = tmp_path / "saved.png", tmp_path / "seen.png"
    script = tmp_path / "selector"
    script.write_text(
        f"#!/bin/sh\ntouch {tmp_path}/asked\n"
        f"until [ -e {tmp_path}/go ]; do sleep 0.02; done\n"
        f"{' '.join(WAYSHOT)} {seen} && echo 300,20 50x40\n"
    )
    script.chmod(0o755)
    words = ["--select", "--freeze", "--selector", str(script), str(path)]
    deadline = time.monotonic() + PATIENCE
    with subprocess.Popen([*WAYSHOT, *words], env=stage.env) as process:
        while not (tmp_path / "asked").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with changed(stage, "HEADLESS-1"), changed(stage, "HEADLESS-2"):
            (tmp_path / "go").touch()
            assert process.wait(PATIENCE) == 0
            # Now that nothing stands still any more, the screen is another one.
            assert (shoot(stage, tmp_path) != read(seen)).any(axis=2).all()
    assert (read(seen) == pattern(*EXTENT)).all()
    assert (read(path) == pattern(*EXTENT)[20:60, 300:350]).all()


# The screen that stands still


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("scale", [1.0, 1.25, 1.5, 2.0])
def test_a_screen_stands_still_to_the_pixel(stage: Stage, scale: float, transform: str) -> None:
    stage.set_output("HEADLESS-2", position=(0, 400))
    stage.set_output("HEADLESS-1", scale=scale, transform=transform)
    upright = pattern(*stage.output("HEADLESS-1").upright_size)
    stage.set_background("HEADLESS-1", upright)
    before = stage.dump("HEADLESS-1")
    with (
        Connection(str(stage.socket)) as link,
        freeze(link) as frozen,
        changed(stage, "HEADLESS-1"),
    ):
        during = stage.dump("HEADLESS-1")
        cut = frozen.cut(output="HEADLESS-1").to_numpy()
    assert (cut == upright).all()
    # 320x240 at 1.5 has 213x160 units: the 320th pixel belongs to none of them.
    lacking = np.argwhere((during != before).any(axis=2))
    assert len(lacking) <= (240 if scale == 1.5 else 0)
    assert len(set(lacking[:, 1])) <= 1 or len(set(lacking[:, 0])) <= 1


def test_several_outputs_stand_still_at_the_same_moment(stage: Stage, tmp_path: Path) -> None:
    stage.set_output("HEADLESS-1", transform="90")
    stage.set_output("HEADLESS-2", scale=2.0, position=(240, 10))
    names = ("HEADLESS-1", "HEADLESS-2")
    before = [stage.dump(name) for name in names]
    region = "200,20 100x60"
    plain = shoot(stage, tmp_path, "-g", region)
    with (
        Connection(str(stage.socket)) as link,
        freeze(link) as frozen,
        changed(stage, "HEADLESS-1"),
        changed(stage, "HEADLESS-2"),
    ):
        during = [stage.dump(name) for name in names]
        cut = frozen.cut(Box(200, 20, 100, 60))
    assert (cut.to_numpy() == plain).all()
    for one, other in zip(before, during, strict=True):
        assert (one == other).all()


def test_nothing_is_left_on_the_screen(stage: Stage) -> None:
    before = stage.dump("HEADLESS-1")
    with Connection(str(stage.socket)) as link:
        with freeze(link), changed(stage, "HEADLESS-1"):
            assert (stage.dump("HEADLESS-1") == before).all()
        with changed(stage, "HEADLESS-1"):
            assert not (stage.dump("HEADLESS-1") == before).all()


def test_the_cursor_is_frozen_where_it_is_wanted(stage: Stage, tmp_path: Path) -> None:
    with Hand(stage, EXTENT) as hand:
        hand.move(30, 30)
        words = ("--select", "--freeze", "--selector", "echo 0,0 640x240")
        plain = shoot(stage, tmp_path)  # sway 1.7 paints it into all pictures
        assert (shoot(stage, tmp_path, *words) == plain).all()
        painted = shoot(stage, tmp_path, "-c")
        assert (shoot(stage, tmp_path, *words, "-c") == painted).all()
