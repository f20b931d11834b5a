"""xdg-desktop-portal-wlr on sway 1.7: it asks nobody, and sends only what changes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.live.casting import SIZE, Counting, check_recording, check_still, counted, shoot, wayshot
from tests.live.command import read
from tests.live.fullscreen import Fullscreen
from tests.live.portals import WlrPortal
from tests.stage import Output, Sway
from wayshot_cli.backends.portal.desktop import Desktop
from wayshot_cli.backends.portal.screenshot import Screenshot
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def sway() -> Iterator[Sway]:
    with Sway(Output(*SIZE, position=(0, 0)), Output(64, 48, position=(320, 0))) as sway:
        yield sway


@pytest.fixture(scope="module")
def portal(sway: Sway) -> Iterator[WlrPortal]:
    with WlrPortal(sway, "HEADLESS-1", pretends_dmabufs=True) as portal:
        yield portal


@pytest.fixture(scope="module")
def window(sway: Sway) -> Iterator[Fullscreen]:
    sway.msg("focus output HEADLESS-1")
    with Fullscreen(sway.socket, *SIZE) as window:
        yield window


@pytest.mark.parametrize("words", [("-o", "HEADLESS-1"), ("-g", "0,0 320x240")])
def test_a_still_is_the_screen(
    portal: WlrPortal, window: Fullscreen, tmp_path: Path, words: tuple[str, str]
) -> None:
    with Counting(window):
        check_still(shoot(portal, tmp_path, "--backend", "portal", *words))


def test_a_region_is_cut_out(portal: WlrPortal, window: Fullscreen, tmp_path: Path) -> None:
    with Counting(window):
        part = shoot(portal, tmp_path, "--backend", "portal", "-g", "40,80 200x80")
    assert np.array_equal(part, counted(0)[80:160, 40:240])


def test_a_recording_is_the_screen_through_change_and_silence(
    portal: WlrPortal, window: Fullscreen, tmp_path: Path
) -> None:
    words = ("--backend", "portal", "-o", "HEADLESS-1")
    check_recording(portal, window, tmp_path / "film", *words)


def test_another_output_is_what_was_chosen(
    portal: WlrPortal, window: Fullscreen, tmp_path: Path
) -> None:
    with Counting(window):
        path = tmp_path / "shot.png"
        done = wayshot(portal, "--backend", "portal", "-o", "HEADLESS-2", path)
    assert done.returncode == 0
    assert b"'HEADLESS-1'" in done.stderr
    check_still(read(path))


def test_a_screenshot_is_the_screen(
    portal: WlrPortal, window: Fullscreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in for a cast; xdg-desktop-portal-wlr has grim take it, of all outputs."""
    window.show_picture(counted(3))
    for name in ("WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, portal.env[name])
    with Connection() as connection, contextlib.closing(Desktop(connection)) as desktop:
        left: list[str] = []
        picture = Screenshot(desktop).take(left.append).to_numpy()
    width, height = SIZE
    assert np.array_equal(picture[:height, :width], counted(3))
    assert left == []
