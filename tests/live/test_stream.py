"""Streams and threads of the library on real compositors."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import wayshot_cli as wayshot
from tests.fake.counter import paint_counter, read_counter
from tests.fake.pixels import picture
from tests.live.conftest import (
    on_both_sways,
    on_every_compositor,
    on_newer_compositors,
    on_newer_sway,
)
from tests.live.film import LiveFilm
from tests.live.window import Window
from tests.stage import Output, Sway, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.client import Picture
    from tests.stage import Build, Stage

LEFT, RIGHT = "HEADLESS-1", "HEADLESS-2"
SIZE = 160, 120
IDLE = 0.3
PATIENCE = 20.0
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def desk(build: Build) -> Iterator[Stage]:
    """Run two outputs side by side."""
    outputs = Output(*SIZE, (0, 0)), Output(96, 72, (160, 0))
    with build.stage(*outputs) as stage:
        if isinstance(stage, Sway):
            stage.msg('for_window [title=".*"] floating enable')
        yield stage


@pytest.fixture(autouse=True)
def _display(desk: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", str(desk.socket))
    for name in desk.names:
        desk.set_background(name, None)


def counted(number: int) -> Picture:
    """Paint what the film shows."""
    upright = picture(0, *SIZE)
    paint_counter(upright, number)
    return upright


@on_every_compositor
@pytest.mark.parametrize("fps", [None, 30, 60])
def test_every_frame_is_one_picture_of_the_film(desk: Stage, fps: int | None) -> None:
    """In every pixel, and they go forward."""
    with LiveFilm(desk, LEFT), wayshot.stream(LEFT, fps=fps) as stream:
        used, last, at = set(), -1, 0
        for frame in itertools.islice(stream, 60):
            pixels = frame.to_numpy()
            number = read_counter(pixels)
            assert np.array_equal(pixels, counted(number))
            assert (number > last) == (frame.time_ns > at) or fps
            assert number >= last
            used.add(pixels.__array_interface__["data"][0])
            last, at = number, frame.time_ns
            assert abs(time.monotonic_ns() - at) < PATIENCE * 1e9
        assert last > 0
        assert len(used) <= 4


@on_every_compositor
def test_kept_frames_show_what_they_showed(desk: Stage) -> None:
    """However often the screen has changed."""
    with LiveFilm(desk, LEFT), wayshot.stream(LEFT) as stream:
        kept = [(frame, read_counter(frame.to_numpy())) for frame in itertools.islice(stream, 12)]
        with pytest.raises(wayshot.FramesHeldError):
            kept.extend((frame, read_counter(frame.to_numpy())) for frame in stream)
    assert len({number for _, number in kept}) >= 12
    for frame, number in kept:
        assert np.array_equal(frame.to_numpy(), counted(number))


@on_every_compositor
def test_an_idle_screen_gives_nothing_new_and_at_a_rate_the_same(desk: Stage) -> None:
    """Until it changes."""
    with LiveFilm(desk, LEFT) as film:
        shown = film.pause()
        with wayshot.stream(LEFT) as stream, wayshot.stream(LEFT, fps=20) as steady:
            assert np.array_equal(next(stream).to_numpy(), counted(shown))
            began = time.monotonic()
            for frame in itertools.islice(steady, 10):
                assert np.array_equal(frame.to_numpy(), counted(shown))
            assert time.monotonic() - began >= 9 / 20
            if idle := stream.read(IDLE):  # wlr-screencopy gives the first one twice
                assert np.array_equal(idle.to_numpy(), counted(shown))
            film.resume()
            for either in (stream, steady):
                deadline = time.monotonic() + PATIENCE
                while read_counter(next(either).to_numpy()) == shown:
                    assert time.monotonic() < deadline


@on_both_sways
def test_several_outputs_and_regions_are_composed(desk: Stage) -> None:
    """As in a still."""
    left, right = pattern(*SIZE), pattern(96, 72)[::-1]
    desk.set_background(LEFT, left)
    desk.set_background(RIGHT, right)
    for frame in wayshot.stream():
        assert np.array_equal(frame.to_numpy()[:, :160, :3], left)
        assert np.array_equal(frame.to_numpy()[:72, 160:, :3], right)
        break
    with wayshot.stream(region=(150, 10, 20, 30), fps=30) as stream:
        for frame in itertools.islice(stream, 5):
            both = np.hstack((left[10:40, 150:], right[10:40, :10]))
            assert np.array_equal(frame.to_numpy(), both)


@on_newer_sway
def test_an_output_changes_and_goes(desk: Sway) -> None:
    """Frames have the new size at once; when it is gone, that is the error."""
    name = desk.create_output(Output(100, 80, (400, 0), background="#102030"))
    with wayshot.stream(name) as stream:
        assert next(stream).upright_size == (100, 80)
        desk.set_output(name, width=90, height=50, transform="90", background="#302010")
        deadline = time.monotonic() + PATIENCE
        frame = next(stream)
        while frame.upright_size != (50, 90) or frame.to_numpy()[0, 0, 0] != 0x30:
            assert time.monotonic() < deadline
            frame = next(stream)
        assert (frame.to_numpy() == (0x30, 0x20, 0x10)).all()
        desk.unplug(name)
        with pytest.raises(wayshot.TargetLostError, match=name):
            list(stream)
    assert (frame.to_numpy() == (0x30, 0x20, 0x10)).all()


@on_newer_compositors
def test_a_window_is_streamed_until_it_is_closed(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own pixels, at its own size."""
    size = 90, 60
    first = np.dstack((pattern(*size), np.full(size[::-1], 255, np.uint8)))
    second = np.ascontiguousarray(first[::-1])
    with (
        build.stage(Output(640, 480, (0, 0))) as stage,
        Window(stage.socket, "org.example.one", "One", first) as window,
    ):
        monkeypatch.setenv("WAYLAND_DISPLAY", str(stage.socket))
        with wayshot.stream(window="app_id:org.example.one") as stream:
            assert np.array_equal(next(stream).to_numpy()[..., :3], first[..., :3])
            window.commit(second)  # labwc tells it to draw again only when a frame is asked for
            deadline = time.monotonic() + PATIENCE
            while not np.array_equal(next(stream).to_numpy()[..., :3], second[..., :3]):
                assert time.monotonic() < deadline
            window.close()
            with pytest.raises(wayshot.TargetLostError, match="One"):
                list(stream)


@on_both_sways
def test_eight_threads_take_fifty_shots_each_beside_a_stream(desk: Stage, tmp_path: Path) -> None:
    """All of them right; nothing is left open."""
    desk.set_background(LEFT, pattern(*SIZE))
    np.save(tmp_path / "expected.npy", pattern(*SIZE))
    done = subprocess.run(
        [sys.executable, "-m", "tests.shooters", tmp_path / "expected.npy", "8", "50", LEFT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
