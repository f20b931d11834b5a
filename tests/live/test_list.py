"""`wayshot list`: what it says of the outputs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.client import Client
from tests.live.command import wayshot
from tests.stage import TRANSFORMS, Output, Sway

if TYPE_CHECKING:
    from collections.abc import Iterator

WL_OUTPUT_TRANSFORMS = TRANSFORMS
"""wl_output.transform's numbers, 0 to 7, have the same names in the same order."""


@pytest.fixture(scope="module")
def sway() -> Iterator[Sway]:
    """Run two outputs, one at a fractional scale and left of the origin."""
    with Sway(Output(640, 480, (-320, 10), 2), Output(1000, 500, (0, 0), 1.25)) as sway:
        yield sway


def listed(sway: Sway) -> dict[str, Any]:
    """Parse what `wayshot list --json` prints."""
    result = wayshot(sway, "list", "--json")
    assert (result.returncode, result.stderr) == (0, b"")
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def test_json_agrees_with_sway(sway: Sway) -> None:
    """Every fact that sway's own list has, too."""
    outputs = {output["name"]: output for output in listed(sway)["outputs"]}
    known = {output["name"]: output for output in sway.query("get_outputs")}
    assert outputs.keys() == known.keys()
    for name, output in outputs.items():
        box = {key: output[key] for key in ("x", "y", "width", "height")}
        assert box == known[name]["rect"]
        assert output["scale"] == pytest.approx(known[name]["scale"])
        assert isinstance(output["scale"], float)
        assert (output["make"], output["model"]) == (known[name]["make"], known[name]["model"])
        mode = known[name]["current_mode"]
        assert output["mode"]["width"] == mode["width"]
        assert output["mode"]["height"] == mode["height"]
        # sway says millihertz, and 0 for an output without a rate.
        assert output["mode"]["refresh"] == (mode["refresh"] / 1000 or None)


def test_json_has_the_documented_fields(sway: Sway) -> None:
    """No field is missing and none has crept in."""
    listing = listed(sway)
    assert listing.keys() == {"outputs", "windows"}
    assert listing["windows"] == []
    for output in listing["outputs"]:
        assert set(output) == {
            *("name", "description", "make", "model", "x", "y", "width", "height"),
            *("scale", "integer_scale", "transform", "mode", "physical_size_mm"),
        }
        assert output["mode"].keys() == {"width", "height", "refresh"}
        assert output["integer_scale"] == 2
        assert len(output["physical_size_mm"]) == 2


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms_are_named_as_wayland_means_them(sway: Sway, transform: str) -> None:
    """Counter-clockwise, whichever way the compositor's own tools turn."""
    sway.set_output("HEADLESS-2", transform=transform)
    with Client(sway.socket) as client:
        number = client.outputs["HEADLESS-2"].transform
    (output,) = (out for out in listed(sway)["outputs"] if out["name"] == "HEADLESS-2")
    assert output["transform"] == WL_OUTPUT_TRANSFORMS[number]


def test_people_get_words(sway: Sway) -> None:
    """Without --json each output is named with its place and size."""
    result = wayshot(sway, "list")
    assert (result.returncode, result.stderr) == (0, b"")
    text = result.stdout.decode()
    assert "HEADLESS-1" in text
    assert "HEADLESS-2" in text
    assert "640x480" in text
