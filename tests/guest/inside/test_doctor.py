"""`wayshot doctor` where there is a render node."""

from __future__ import annotations

import json

import pytest

from tests.guest.inside.stage import RENDER_NODE, GlesLabwc, GlesSway
from tests.live.command import wayshot
from tests.stage import Output


@pytest.mark.parametrize("compositor", [GlesSway, GlesLabwc])
def test_it_finds_the_device_and_tries_dmabufs(compositor: type[GlesSway | GlesLabwc]) -> None:
    """The node is the one that the compositor draws with, and a still comes by either memory."""
    with compositor(Output(64, 48)) as stage:
        result = wayshot(stage, "doctor", "--json")
    assert (result.returncode, result.stderr) == (0, b"")
    facts = json.loads(result.stdout)
    assert facts["gpu"]["libgbm"] is None
    (node,) = facts["gpu"]["nodes"]
    assert (node["path"], node["is_main_device"], node["problem"]) == (RENDER_NODE, True, None)
    assert facts["gpu"]["main_device"] == "226:128"
    size = {"width": 64, "height": 48}
    assert [(trial["buffer"], trial["size"]) for trial in facts["trials"]] == [
        ("auto", size),
        ("dmabuf", size),
    ]
    assert not any(rung["problem"] for rung in facts["rungs"] if rung["buffer"] == "dmabuf")
