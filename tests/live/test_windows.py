"""Windows: named, captured and recorded, on compositors that can.

wlroots, up to 0.20, gives windows without alpha, over black, and a pixel for each logical unit:
what a window has more than that nobody can get. Nor does it answer who captures an idle window
while another program does.
"""

from __future__ import annotations

import json
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests import probe
from tests.live.command import error, read, shoot, wayshot
from tests.live.conftest import (
    on_both_sways,
    on_every_compositor,
    on_newer_compositors,
    on_newer_sway,
)
from tests.live.recording import PROMPT, read_raw, recording
from tests.live.window import Window, translucent
from tests.stage import Build, Output, Sway, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.client import Picture
    from tests.stage import Stage

LEFT, RIGHT = "HEADLESS-1", "HEADLESS-2"
WIDE, TALL = (200, 120), (90, 180)
LOST = 6


@pytest.fixture(scope="module")
def desk(build: Build) -> Iterator[Stage]:
    """Run two outputs, on which windows float."""
    with build.stage(Output(640, 480, (0, 0)), Output(320, 240, (640, 0))) as stage:
        if isinstance(stage, Sway):
            stage.msg('for_window [title=".*"] floating enable')
        yield stage


@pytest.fixture
def first(desk: Stage) -> Iterator[Window]:
    """Show a window of known pixels."""
    with Window(desk.socket, "org.example.first", "The first", opaque(*WIDE)) as window:
        yield window


@pytest.fixture
def second(desk: Stage, first: Window) -> Iterator[Window]:
    """Show another one, opened after the first, which it covers."""
    del first
    with Window(desk.socket, "org.example.second", "The second", opaque(300, 220)) as window:
        yield window


def opaque(width: int, height: int) -> Picture:
    """Paint the pattern, opaque."""
    return np.dstack((pattern(width, height), np.full((height, width), 255, np.uint8)))


def other(width: int, height: int) -> Picture:
    """Paint what is unlike the pattern of the same size, opaque."""
    return np.dstack(
        (pattern(width, height)[::-1, ::-1] ^ 0x50, np.full((height, width), 255))
    ).astype(np.uint8)


def listed(desk: Stage) -> list[dict[str, Any]]:
    """Return the windows that `wayshot list --json` prints."""
    result = wayshot(desk, "list", "--json")
    assert (result.returncode, result.stderr) == (0, b"")
    windows: list[dict[str, Any]] = json.loads(result.stdout)["windows"]
    return windows


class TestNames:
    """What windows are called."""

    @on_every_compositor
    @pytest.mark.usefixtures("second")
    def test_a_list_of_them(self, desk: Stage, build: Build) -> None:
        """With their states; identifiers where there are any."""
        one, two = sorted(listed(desk), key=lambda window: window["title"])
        assert (one["app_id"], one["title"]) == ("org.example.first", "The first")
        assert (two["app_id"], two["title"]) == ("org.example.second", "The second")
        assert (one["states"], two["states"]) == ([], ["activated"])
        identifiers = one["identifier"], two["identifier"]
        if build is Build.HOST:
            assert identifiers == (None, None)
        else:
            assert len({*identifiers}) == 2
            assert all(0 < len(identifier) <= 32 for identifier in identifiers)
        text = wayshot(desk, "list").stdout.decode()
        for word in (*filter(None, identifiers), "The first", "org.example.second", "activated"):
            assert word in text

    @on_newer_sway
    @pytest.mark.usefixtures("second")
    def test_identifiers_are_the_compositors(self, desk: Sway) -> None:
        """sway tells them, too."""
        views: dict[str, str] = {}

        def walk(node: dict[str, Any]) -> None:
            if "foreign_toplevel_identifier" in node:
                views[node["name"]] = node["foreign_toplevel_identifier"]
            for child in node["nodes"] + node["floating_nodes"]:
                walk(child)

        walk(desk.query("get_tree"))
        assert views == {window["title"]: window["identifier"] for window in listed(desk)}

    @on_newer_compositors
    @pytest.mark.usefixtures("second")
    def test_one_is_chosen_from_a_menu(self, desk: Stage, tmp_path: Path) -> None:
        """By its line, which a menu prints."""
        for line, size in {"first": WIDE, "second": (300, 220)}.items():
            words = ("--select", "window", "--menu", f"grep {line}")
            assert (shoot(desk, tmp_path, *words) == opaque(*size)[:, :, :3]).all()
        result = wayshot(desk, "--select", "window", "--menu", "grep third", tmp_path / "no.png")
        assert result.returncode == 3
        assert "cancelled" in error(result)

    @on_newer_compositors
    @pytest.mark.usefixtures("second")
    def test_each_of_them_gives_the_window(self, desk: Stage, tmp_path: Path) -> None:
        """Identifier, app_id, title, and which is active."""
        identifiers = {window["title"]: window["identifier"] for window in listed(desk)}
        one, two = identifiers["The first"], identifiers["The second"]
        for wish, size in {
            one: WIDE,
            "app_id:org.example.first": WIDE,
            "title:The first": WIDE,
            two: (300, 220),
            "active": (300, 220),
        }.items():
            assert np.array_equal(shoot(desk, tmp_path, "-w", wish), pattern(*size)), wish

    @on_newer_compositors
    @pytest.mark.usefixtures("first")
    def test_what_names_none_or_two(self, desk: Stage, tmp_path: Path) -> None:
        """5, and what there is."""
        path = tmp_path / "a.png"
        result = wayshot(desk, "-w", "title:The third", path)
        assert result.returncode == 5
        assert "The first" in error(result)
        with Window(desk.socket, "org.example.first", "Its twin", opaque(*TALL)):
            result = wayshot(desk, "-w", "app_id:org.example.first", path)
            assert result.returncode == 5
            assert "The first" in error(result)
            assert "Its twin" in error(result)
            assert np.array_equal(shoot(desk, tmp_path, "-w", "title:Its twin"), pattern(*TALL))
        assert not path.exists()

    @pytest.mark.usefixtures("first")
    def test_where_windows_cannot_be_captured(self, desk: Stage, tmp_path: Path) -> None:
        """4, and what is needed; the same with a backend that captures outputs only."""
        for options in ([], ["--backend", "screencopy"]):
            result = wayshot(desk, "-w", "active", *options, tmp_path / "a.png")
            assert result.returncode == 4
            assert "ext-image-copy-capture" in error(result)

    @on_newer_compositors
    @pytest.mark.usefixtures("first")
    def test_a_backend_that_captures_outputs_only(self, desk: Stage, tmp_path: Path) -> None:
        """4, although there is another one."""
        result = wayshot(desk, "-w", "active", "--backend", "screencopy", tmp_path / "a.png")
        assert result.returncode == 4
        assert "captures outputs, no windows" in error(result)


class TestFocusedOutput:
    """That with the active window."""

    @on_every_compositor
    def test_it_is_the_one_where_the_window_is(self, desk: Stage, tmp_path: Path) -> None:
        """The picture has the window in it."""
        colour = 10, 220, 130
        picture = np.full((40, 60, 4), (*colour, 255), np.uint8)
        with Window(desk.socket, "org.example", "Coloured", picture):
            shown = shoot(desk, tmp_path, "-o", "focused")
            (name,) = (
                name
                for name in (LEFT, RIGHT)
                if np.array_equal(shoot(desk, tmp_path, "-o", name), shown)
            )
            assert (shown == colour).all(axis=2).sum() == 40 * 60
            if isinstance(desk, Sway):
                (focused,) = (out for out in desk.query("get_outputs") if out["focused"])
                assert focused["name"] == name

    @on_both_sways
    def test_it_moves_with_the_focus(self, desk: Sway, tmp_path: Path) -> None:
        """To another window on another output."""
        with ExitStack() as stack:
            for name, size in ((LEFT, (480, 640)), (RIGHT, (240, 320))):
                desk.msg(f"focus output {name}")
                stack.enter_context(Window(desk.socket, "app", f"On {name}", opaque(50, 40)))
                assert shoot(desk, tmp_path, "-o", "focused").shape[:2] == size
            desk.msg(f'[title="On {LEFT}"] focus')
            assert shoot(desk, tmp_path, "-o", "focused").shape[:2] == (480, 640)

    @on_every_compositor
    def test_nothing_is_active(self, desk: Stage, tmp_path: Path) -> None:
        """4: an output without windows does not say that it is the one."""
        result = wayshot(desk, "-o", "focused", tmp_path / "a.png")
        assert result.returncode == 4
        assert "no window is active" in error(result)


@on_newer_compositors
class TestPixels:
    """A window's own, whatever the screen shows."""

    @pytest.mark.usefixtures("second")
    def test_of_one_that_is_covered(self, desk: Stage, tmp_path: Path) -> None:
        """Another window lies over it; the cursor option is accepted."""
        for options in ([], ["-c"]):
            shot = shoot(desk, tmp_path, "-w", "title:The first", *options)
            assert np.array_equal(shot, pattern(*WIDE))

    def test_of_one_that_is_hidden(self, desk: Stage, first: Window, tmp_path: Path) -> None:
        """It is on another workspace, or minimized."""
        if isinstance(desk, Sway):
            desk.msg('[title="The first"] move to workspace 9')
        else:
            first.minimize()
            assert listed(desk)[0]["states"] == ["minimized"]
        shot = shoot(desk, tmp_path, "-w", "title:The first")
        assert np.array_equal(shot, pattern(*WIDE))

    def test_of_one_that_is_translucent(self, desk: Stage, tmp_path: Path) -> None:
        """Over black, exactly: more than the colours these compositors do not give."""
        picture = translucent(*WIDE)
        with Window(desk.socket, "org.example", "Glass", picture):
            shot = shoot(desk, tmp_path, "-w", "title:Glass")
        assert np.array_equal(shot, picture[..., :3])

    @pytest.mark.parametrize("scale", [1.0, 1.5, 2.0])
    @pytest.mark.parametrize("transform", ["normal", "90", "flipped"])
    def test_on_an_output_that_is_scaled_or_turned(
        self, desk: Stage, scale: float, transform: str, tmp_path: Path
    ) -> None:
        """The output does not matter."""
        for name in (LEFT, RIGHT):
            desk.set_output(name, scale=scale, transform=transform)
        try:
            with Window(desk.socket, "org.example", "Scaled", opaque(*WIDE)):
                shot = shoot(desk, tmp_path, "-w", "title:Scaled")
        finally:
            for name in (LEFT, RIGHT):
                desk.set_output(name, scale=1.0, transform="normal")
        assert np.array_equal(shot, pattern(*WIDE))

    def test_of_one_with_more_pixels_than_logical_units(self, desk: Stage, tmp_path: Path) -> None:
        """These compositors scale it down."""
        with Window(desk.socket, "org.example", "Sharp", opaque(*WIDE)) as window:
            window.paint(np.kron(opaque(*WIDE), np.ones((2, 2, 1), np.uint8)), scale=2)
            shot = shoot(desk, tmp_path, "-w", "title:Sharp")
        assert np.array_equal(shot, pattern(*WIDE))

    def test_after_it_has_changed(self, desk: Stage, first: Window, tmp_path: Path) -> None:
        """It is larger, and looks different."""
        first.paint(other(*TALL))
        shot = shoot(desk, tmp_path, "-w", "title:The first")
        assert np.array_equal(shot, other(*TALL)[..., :3])

    @pytest.mark.usefixtures("first")
    def test_in_every_format(self, desk: Stage, tmp_path: Path) -> None:
        """Those without loss say the same."""
        for extension in ("webp", "tiff", "ppm", "qoi", "png"):
            path = tmp_path / f"a.{extension}"
            assert wayshot(desk, "-w", "title:The first", path).returncode == 0
            if extension != "qoi":
                assert np.array_equal(read(path), pattern(*WIDE))

    @pytest.mark.usefixtures("first")
    def test_a_scale_is_refused(self, desk: Stage, tmp_path: Path) -> None:
        """2: what would it count from?"""
        result = wayshot(desk, "-w", "active", "-s", "2", tmp_path / "a.png")
        assert result.returncode == 2
        assert "--scale" in error(result)


@on_newer_compositors
class TestRecording:
    """A window, until it is closed."""

    @pytest.mark.parametrize("how", ["scale", "pad", "segment", "stop"])
    def test_a_resize(self, desk: Stage, first: Window, how: str, tmp_path: Path) -> None:
        """Each --on-resize does what it says."""
        path, after = tmp_path / "a.raw", tmp_path / "a-2.raw"
        options = ["-w", "title:The first", "-t", "raw", "-r", "60", "--on-resize", how]
        with recording(desk, *options, path) as running:
            running.wait_for(path, 20 * WIDE[0] * WIDE[1] * 4)
            first.paint(other(*TALL))
            if how == "segment":
                running.wait_for(after, 20 * TALL[0] * TALL[1] * 4)
            elif how != "stop":
                running.wait_for_another(path, WIDE[0] * WIDE[1] * 4)
            if how != "stop":
                running.wait_until_idle()
            result = running.result(PROMPT) if how == "stop" else running.end(signal.SIGINT)
        reason = "wayshot: the picture's size became {}x{}: stopped (--on-resize)\n".format(*TALL)
        assert (result.status, result.rest) == (0, reason if how == "stop" else "")
        frames = read_raw(path, *WIDE)[..., 2::-1]
        assert np.array_equal(frames[0], pattern(*WIDE))
        if how == "scale":  # to 60x120, in the middle
            assert not frames[-1][:, :70].any()
            assert not frames[-1][:, 130:].any()
            inside = frames[-1][:, 70:130]
            assert np.abs(inside.mean() - other(*TALL)[..., :3].mean()) < 4
        elif how == "pad":
            padded = np.zeros((WIDE[1], WIDE[0], 3), np.uint8)
            padded[:, : TALL[0]] = other(*TALL)[: WIDE[1], :, :3]
            assert np.array_equal(frames[-1], padded)
        else:
            assert np.array_equal(frames[-1], pattern(*WIDE))
            assert after.exists() == (how == "segment")
        if how == "segment":
            last = read_raw(after, *TALL)[-1][..., 2::-1]
            assert np.array_equal(last, other(*TALL)[..., :3])

    @pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.y4m"])
    def test_it_is_closed(self, desk: Stage, first: Window, name: str, tmp_path: Path) -> None:
        """6, and a whole file."""
        path = tmp_path / name
        with recording(desk, "-w", "title:The first", path) as running:
            running.wait_for(path)
            time.sleep(0.5)
            first.close()
            result = running.result(PROMPT)
        assert result.status == LOST, result.said
        assert "The first" in result.rest
        seconds = result.statistics.seconds
        assert seconds >= 0.3
        assert float(probe.duration(path)) == pytest.approx(seconds, abs=0.06)
        *_, last = probe.frames(path, "bt601" if path.suffix == ".y4m" else None)
        assert np.abs(last - pattern(*WIDE).astype(float)).mean() < 12

    def test_another_one_follows(self, desk: Stage, first: Window, tmp_path: Path) -> None:
        """--on-lost wait records the next window of that name on."""
        path = tmp_path / "a.raw"
        options = ["-w", "title:The first", "--on-lost", "wait", "-t", "raw", "-r", "60"]
        with recording(desk, *options, path) as running:
            running.wait_for(path, 20 * WIDE[0] * WIDE[1] * 4)
            first.close()
            time.sleep(0.3)
            with Window(desk.socket, "org.example.other", "The first", other(*WIDE)):
                running.wait_for_another(path, WIDE[0] * WIDE[1] * 4)
                running.wait_until_idle()
                result = running.end(signal.SIGINT)
        assert (result.status, result.rest) == (0, "")
        frames = read_raw(path, *WIDE)[..., 2::-1]
        assert np.array_equal(frames[0], pattern(*WIDE))
        assert np.array_equal(frames[-1], other(*WIDE)[..., :3])

    def test_nothing_happens_to_it(self, desk: Stage, first: Window, tmp_path: Path) -> None:
        """An idle window, hidden halfway, is recorded for as long as it was asked for."""
        path = tmp_path / "a.raw"
        options = ["-w", "title:The first", "--timeout", "3", "--duration", "5"]
        with recording(desk, *options, "-t", "raw", "-r", "60", path) as running:
            running.wait_for(path)
            if isinstance(desk, Sway):
                desk.msg('[title="The first"] move to workspace 9')
            else:
                first.minimize()
            result = running.result()
        assert (result.status, result.rest) == (0, "")
        frames = read_raw(path, *WIDE)[..., 2::-1]
        assert len(frames) + result.statistics.dropped == 300
        assert (frames == pattern(*WIDE)).all()
