"""The stage itself: what the other tests take for granted."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests import stage
from tests.live.client import Client
from tests.live.conftest import on_both_sways, on_every_compositor, on_labwc, on_newer_sway
from tests.stage import TRANSFORMS, Output, StageError, Sway, pattern

if TYPE_CHECKING:
    from tests.stage import Build, Labwc, Stage

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


@on_every_compositor
@pytest.mark.parametrize("scale", [1, 1.25, 1.3, 1.5, 2])
def test_backgrounds_are_exact_to_the_pixel(one_output: Stage, scale: float) -> None:
    """Compare the compositor's own buffer with the pattern, under every transform."""
    for transform in TRANSFORMS:
        one_output.set_output("HEADLESS-1", scale=scale, transform=transform)
        picture = pattern(*one_output.output("HEADLESS-1").upright_size)
        one_output.set_background("HEADLESS-1", picture)
        flipped, turns = FLIPPED_AND_TURNS[transform]
        buffer = np.rot90(np.fliplr(picture) if flipped else picture, turns)
        assert np.array_equal(one_output.dump("HEADLESS-1"), buffer), transform


@on_every_compositor
@pytest.mark.parametrize("scale", [1, 1.5])
def test_grim_sees_the_pattern_upright(one_output: Stage, scale: float) -> None:
    """What a viewer sees, under every transform; the size is one that scales without a rest."""
    for transform in TRANSFORMS:
        one_output.set_output(
            "HEADLESS-1", width=180, height=120, scale=scale, transform=transform, background=None
        )
        picture = pattern(*one_output.output("HEADLESS-1").upright_size)
        one_output.set_background("HEADLESS-1", picture)
        grim = subprocess.run(
            ["grim", "-o", "HEADLESS-1", "-t", "ppm", "-"],
            env=one_output.env,
            capture_output=True,
            check=True,
        )
        with Image.open(io.BytesIO(grim.stdout)) as image:
            assert np.array_equal(np.asarray(image), picture), transform


def test_the_pattern_tells_all_pixels_apart() -> None:
    """A pattern that repeated itself would let a misplaced pixel pass."""
    picture = pattern(600, 400).reshape(-1, 3)
    assert len(np.unique(picture, axis=0)) == len(picture)


@on_every_compositor
def test_sway_knows_turns_clockwise_and_wayland_counter_clockwise(one_output: Stage) -> None:
    """Pin what sway's words mean in the protocol's numbers."""
    numbers = []
    for transform in TRANSFORMS:
        one_output.set_output("HEADLESS-1", transform=transform)
        with Client(one_output.socket) as client:
            numbers.append(client.outputs["HEADLESS-1"].transform)
    assert numbers == [0, 3, 2, 1, 4, 7, 6, 5]


def test_an_unmarked_test_gets_the_sway_that_people_run(session: Sway) -> None:
    """Also after a test of the same module that was on the newer one."""
    words = subprocess.run(["sway", "--version"], check=True, capture_output=True, text=True).stdout
    assert words.startswith("sway version {}.{}".format(*session.version))


@on_newer_sway
def test_the_newer_sway_is_newer(session: Sway) -> None:
    """1.12 came with what tests want it for; swaymsg and grim come from where it does."""
    assert session.version >= (1, 12)
    sway, swaymsg, grim = (
        shutil.which(name, path=session.env["PATH"]) for name in ("sway", "swaymsg", "grim")
    )
    assert sway
    assert swaymsg == f"{sway}msg"
    assert grim == str(Path(sway).with_name("grim"))


@on_labwc
def test_labwc_has_what_sway_has(session: Labwc) -> None:
    """It is of the same Debian as the newer sway, and grim is, too."""
    assert session.version >= (0, 20)
    labwc, grim = (shutil.which(name, path=session.env["PATH"]) for name in ("labwc", "grim"))
    assert labwc
    assert grim == str(Path(labwc).with_name("grim"))


@on_labwc
def test_labwc_puts_outputs_where_they_are_to_be(build: Build) -> None:
    """Side by side unless told, also where something is negative; a change leaves the others."""
    upright = Output(60, 40, background="#123456")
    turned = Output(120, 80, scale=1.5, transform="90", background="#abcdef")
    with build.stage(upright, turned, Output(50, 50, position=(-50, -7))) as labwc:
        assert positions(labwc) == {
            "HEADLESS-1": (0, 0),
            "HEADLESS-2": (60, 0),
            "HEADLESS-3": (-50, -7),
        }
        labwc.set_output("HEADLESS-1", width=64, scale=2, position=(300, 0))
        assert positions(labwc) == {
            "HEADLESS-1": (300, 0),
            "HEADLESS-2": (332, 0),
            "HEADLESS-3": (-50, -7),
        }
        assert (labwc.dump("HEADLESS-1") == [0x12, 0x34, 0x56]).all()
        assert (labwc.dump("HEADLESS-2") == [0xAB, 0xCD, 0xEF]).all()


@on_both_sways
def test_an_output_can_be_plugged_in(build: Build) -> None:
    """It comes up as described, and the others stay as they are."""
    picture = pattern(80, 120)
    with Sway(Output(64, 48, background="#123456"), build=build) as sway:
        name = sway.create_output(Output(120, 80, (64, 0), 1.25, "90", picture))
        assert sway.names == ["HEADLESS-1", name]
        assert np.array_equal(sway.dump(name), np.rot90(picture, 3))
        assert (sway.dump("HEADLESS-1") == [0x12, 0x34, 0x56]).all()


@on_newer_sway
def test_an_output_can_be_unplugged(build: Build) -> None:
    """Clients see it no more, the others can be set as before; a new one has a new name."""
    with Sway(*[Output(64, 48, background="#123456")] * 2, build=build) as sway:
        sway.unplug("HEADLESS-1")
        with Client(sway.socket) as client:
            assert list(client.outputs) == sway.names == ["HEADLESS-2"]
        sway.set_output("HEADLESS-2", width=32)
        assert sway.dump("HEADLESS-2").shape == (48, 32, 3)
        assert sway.create_output(Output(16, 16)) == "HEADLESS-3"
        assert sway.dump("HEADLESS-3").shape == (16, 16, 3)


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

    class Impatient(Sway):
        """Has patience with the start alone."""

        def _set_up(self) -> None:
            monkeypatch.setattr(stage, "PATIENCE", 0.5)
            super()._set_up()

    session = Impatient(Output(transform="up"))
    with pytest.raises(StageError, match=r"(?i)invalid.*transform"), session:
        pass


def positions(stage: Stage) -> dict[str, tuple[int, ...]]:
    """Return where each output lies, as the compositor says."""
    with Client(stage.socket) as client:
        return {name: head.position for name, head in client.heads().items()}


def _command_lines() -> list[str]:
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name != str(os.getpid()):
            try:
                lines.append((process / "cmdline").read_text())
            except OSError:
                continue
    return lines
