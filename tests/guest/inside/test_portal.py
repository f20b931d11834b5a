"""xdg-desktop-portal-wlr on a sway with a render node: casts of dmabufs, and of shared memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.guest.inside.stage import PATIENCE, GlesSway
from tests.live import portals
from tests.live.casting import SIZE, Counting, check_recording, check_still, wayshot
from tests.live.command import read
from tests.live.fullscreen import Fullscreen
from tests.live.portals import WlrPortal
from tests.stage import Output

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLOW = ("--backend", "portal", "--timeout", "30")


@pytest.fixture(scope="module")
def sway() -> Iterator[GlesSway]:
    portals.PATIENCE = PATIENCE
    with GlesSway(Output(*SIZE)) as sway:
        yield sway


@pytest.fixture(scope="module")
def portal(sway: GlesSway) -> Iterator[WlrPortal]:
    with WlrPortal(sway, "HEADLESS-1", pretends_dmabufs=False) as portal:
        yield portal


@pytest.fixture(scope="module")
def window(sway: GlesSway) -> Iterator[Fullscreen]:
    with Fullscreen(sway.socket, *SIZE) as window:
        yield window


@pytest.mark.parametrize("buffer", ["auto", "shm", "dmabuf"])
def test_a_still_is_the_screen(
    portal: WlrPortal, window: Fullscreen, tmp_path: Path, buffer: str
) -> None:
    path = tmp_path / "shot.png"
    with Counting(window):
        done = wayshot(portal, *SLOW, "-v", "--buffer", buffer, path)
    said = done.stderr.decode()
    assert done.returncode == 0, said + portal.logs()
    assert ("modifier" in said) == (buffer == "dmabuf"), said
    check_still(read(path))


def test_a_recording_is_the_screen_through_change_and_silence(
    portal: WlrPortal, window: Fullscreen, tmp_path: Path
) -> None:
    check_recording(portal, window, tmp_path / "film", *SLOW, "--buffer", "dmabuf")
