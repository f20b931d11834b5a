"""The stage itself: what the other tests take for granted."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import pytest

from tests import stage
from tests.live.client import Client
from tests.stage import TRANSFORMS, Output, StageError, Sway, pattern

# How an upright picture lies in the buffer under sway's transforms: flipped left to right or not,
# then turned by so many quarters counter-clockwise.
FLIPPED_AND_TURNS = {
    "normal": (False, 0),
    "90": (False, 3),
    "180": (False, 2),
    "270": (False, 1),
    "flipped": (True, 0),
    "flipped-90": (True, 3),
    "flipped-180": (True, 2),
    "flipped-270": (True, 1),
}


@pytest.mark.parametrize("scale", [1, 1.25, 1.3, 1.5, 2])
def test_backgrounds_are_exact_to_the_pixel(one_output: Sway, scale: float) -> None:
    """Compare the compositor's own buffer with the pattern, under every transform."""
    for transform in TRANSFORMS:
        one_output.set_output("HEADLESS-1", scale=scale, transform=transform)
        picture = pattern(*one_output.output("HEADLESS-1").upright_size)
        one_output.set_background("HEADLESS-1", picture)
        flipped, turns = FLIPPED_AND_TURNS[transform]
        buffer = np.rot90(np.fliplr(picture) if flipped else picture, turns)
        assert np.array_equal(one_output.dump("HEADLESS-1"), buffer), transform


def test_the_pattern_tells_all_pixels_apart() -> None:
    """A pattern that repeated itself would let a misplaced pixel pass."""
    picture = pattern(600, 400).reshape(-1, 3)
    assert len(np.unique(picture, axis=0)) == len(picture)


def test_sway_knows_turns_clockwise_and_wayland_counter_clockwise(one_output: Sway) -> None:
    """Pin what sway's words mean in the protocol's numbers."""
    numbers = []
    for transform in TRANSFORMS:
        one_output.set_output("HEADLESS-1", transform=transform)
        with Client(one_output.socket) as client:
            numbers.append(client.outputs["HEADLESS-1"].transform)
    assert numbers == [0, 3, 2, 1, 4, 7, 6, 5]


def test_nothing_is_left_behind() -> None:
    """The runtime directory and all processes are gone, also after an exception."""
    sway = Sway(Output(64, 64))
    with contextlib.suppress(KeyError), sway:
        sleeper = sway.spawn(["sleep", "1000"])
        raise KeyError
    assert sleeper.poll() is not None
    assert not sway.runtime_dir.exists()
    assert str(sway.runtime_dir) not in " ".join(_command_lines())


def test_a_stage_that_cannot_be_set_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait is bounded and the error carries the end of sway's log."""
    monkeypatch.setattr(stage, "PATIENCE", 0.5)
    with pytest.raises(StageError, match=r"(?i)invalid.*transform"), Sway(Output(transform="up")):
        pass


def _command_lines() -> list[str]:
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name != str(os.getpid()):
            try:
                lines.append((process / "cmdline").read_text())
            except OSError:
                continue
    return lines
