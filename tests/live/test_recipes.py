"""The recipes of wayshot(7), where what they are for is here to tell."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live.command import WAYSHOT
from tests.stage import Output, Sway

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parents[2] / "man" / "wayshot.7").read_text()


@pytest.fixture(scope="module")
def sway() -> Iterator[Sway]:
    """Run an output of an even size, as screens have."""
    with Sway(Output(64, 48)) as sway:
        yield sway


def test_sway_takes_the_key_bindings(sway: Sway) -> None:
    bindings = re.findall(r"^bindsym .*", PAGE, re.MULTILINE)
    assert bindings
    sway.msg("set $mod Mod4")
    for binding in bindings:
        sway.msg(binding)  # raises what sway has against it


def test_a_time_lapse_has_a_picture_of_each_interval(sway: Sway, tmp_path: Path) -> None:
    (recipe,) = re.findall(r"^wayshot record .*\n.* lapse.mp4$", PAGE, re.MULTILINE)
    # A fifth of a second instead of ten.
    script = recipe.replace("DP-1 -r 1/10", "HEADLESS-1 -r 5 --duration 2")
    script = script.replace("wayshot", " ".join(WAYSHOT), 1)
    subprocess.run(["sh", "-c", script], env=sway.env, cwd=tmp_path, check=True, timeout=60)
    facts = "stream=r_frame_rate,nb_read_frames"
    probe = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", facts]
    told = subprocess.check_output([*probe, "-of", "csv=p=0", tmp_path / "lapse.mp4"])
    assert told.split() == [b"30/1,10"]
