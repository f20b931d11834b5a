"""xdg-desktop-portal-gnome on a Mutter without a GPU; a stored permission spares its dialog."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.live.casting import SIZE, check_recording, counted, shoot
from tests.live.command import PATIENCE, WAYSHOT
from tests.live.fullscreen import Fullscreen
from tests.live.portals import GnomePortal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def portal() -> Iterator[GnomePortal]:
    with GnomePortal(*SIZE) as portal:
        yield portal


@pytest.fixture(scope="module")
def window(portal: GnomePortal) -> Iterator[Fullscreen]:
    with Fullscreen(portal.display, *SIZE) as window:
        time.sleep(1)  # Mutter lets new windows grow for a quarter of a second
        yield window


@pytest.fixture
def allowed(portal: GnomePortal) -> Iterator[None]:
    """Let an earlier cast have been allowed."""
    portal.allow()
    yield
    (path,) = portal.tokens()
    path.unlink()


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize("words", [(), ("-o", "Meta-0"), ("-g", "0,0 320x240")])
def test_a_still_of_a_silent_screen_is_the_screen(
    portal: GnomePortal, window: Fullscreen, tmp_path: Path, words: tuple[str, ...]
) -> None:
    window.show_picture(counted(7))
    for _ in range(3):
        assert np.array_equal(shoot(portal, tmp_path, *words), counted(7))


@pytest.mark.usefixtures("allowed")
def test_a_recording_is_the_screen_through_change_and_silence(
    portal: GnomePortal, window: Fullscreen, tmp_path: Path
) -> None:
    check_recording(portal, window, tmp_path / "film")


def test_a_signal_ends_its_dialog(portal: GnomePortal, window: Fullscreen, tmp_path: Path) -> None:
    window.show_picture(counted(1))
    process = subprocess.Popen(
        [*WAYSHOT, "-v", tmp_path / "shot.png"], env=portal.env, stderr=subprocess.PIPE
    )
    assert process.stderr
    while b"capturing by portal" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 128 + signal.SIGINT
    process.stderr.close()
