"""`wayshot color` where only the portal can capture: it is asked for a colour."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from tests.portal.fake import SCREEN_CAST, Behaviour, FakePortal
from tests.portal.test_command import Runner

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake import FakeCompositor
    from tests.portal.bus import SessionBus


@pytest.fixture
def run(compositor: FakeCompositor, bus: SessionBus, tmp_path: Path) -> Runner:
    """Return a runner of the command."""
    return Runner(compositor, bus, tmp_path)


def picking(code: int, *color: Any) -> Behaviour:
    """Let the portal answer PickColor by a code, and the type and the value of a colour."""
    return Behaviour(results={"PickColor": (code, {"color": color} if color else {})})


RED = picking(0, "(ddd)", (1.0, 0.0, 0.25))


def test_what_the_user_picks_is_printed(run: Runner) -> None:
    with FakePortal(run.bus.address, RED) as portal:
        done = run.alone("color", "-f", "rgb")
        assert (done.stdout, done.stderr, done.returncode) == ("rgb(255 0 64)\n", "", 0)
        assert portal.methods == ["PickColor"]


def test_nobody_knows_where_it_was(run: Runner) -> None:
    found = json.loads(run(RED, "color", "--json").stdout)
    assert (found["point"], found["output"], found["pixel"]) == (None, None, None)
    assert found["channels"] == {"red": 1, "green": 0, "blue": 0.25}


def test_no_casts_are_needed(run: Runner) -> None:
    behaviour = picking(0, "(ddd)", (0.0, 0.0, 0.0))
    del behaviour.properties[SCREEN_CAST]
    assert run(behaviour, "color").stdout == "#000000\n"


@pytest.mark.parametrize(
    ("behaviour", "code", "said"),
    [
        (picking(1), 3, "the user cancelled picking a colour"),
        (picking(2), 4, "the portal refused"),
        (picking(0), 1, "no colour"),
        (picking(0, "s", "red"), 1, "no colour: 'red'"),
        (picking(0, "(ddd)", (0.0, 1.5, 0.0)), 1, "no colour"),
        (picking(0, "(ddd)", (math.nan, 0.0, 0.0)), 1, "no colour"),
        (picking(0, "(dd)", (0.0, 0.0)), 1, "no colour"),
        (Behaviour(mute={"PickColor"}), 1, "did not answer in time"),
        (
            Behaviour(errors={"PickColor": "org.freedesktop.DBus.Error.UnknownMethod"}),
            4,
            "cannot do that",
        ),
        (Behaviour(properties={SCREEN_CAST: Behaviour().properties[SCREEN_CAST]}), 4, "Screenshot"),
        (Behaviour(properties={}), 4, "no Screen"),
    ],
    ids=[
        *("cancelled", "refused", "nothing", "text", "too bright", "nan", "two channels"),
        *("silent", "too old", "no screenshots", "nothing of all"),
    ],
)
def test_what_goes_wrong_is_told(
    run: Runner,
    behaviour: Behaviour,
    code: int,
    said: str,
) -> None:
    done = run(behaviour, "color", "--timeout", "1" if behaviour.mute else "20")
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert said in done.stderr


def test_without_a_portal_nothing_can_be_captured(run: Runner) -> None:
    done = run.alone("color")
    assert done.returncode == 4
    assert done.stdout == ""
