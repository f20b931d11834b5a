"""`wayshot doctor` where something is broken: a line for it, an exit code, and never a hang."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.fake import Config, FakeCompositor, Fault, Output, Step, faults
from tests.faults.bus import Bus, Kind
from tests.faults.command import LIMIT, LONG, TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENDS = {"silence": faults.fall_silent, "hang-up": faults.hang_up, "error": faults.protocol_error}


def doctor(
    env: Mapping[str, str], *options: str, timeout: float = LONG
) -> subprocess.CompletedProcess[str]:
    """Run it, check what must hold whatever happens, and that the columns and JSON agree."""
    words = [sys.executable, "-m", "wayshot_cli", "doctor", "--timeout", str(timeout), *options]
    result = subprocess.run(
        words, env=env, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert result.stderr == ""
    assert result.returncode in {0, 4}
    assert all(c.isprintable() or c == "\n" for c in result.stdout)
    return result


def examine(
    config: Config, env: Mapping[str, str] | None = None, *, timeout: float = LONG
) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the facts for a compositor of this kind."""
    bus = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}  # not that of whoever tests
    with FakeCompositor(config) as compositor:
        result = doctor({**compositor.env, **bus, **(env or {})}, "--json", timeout=timeout)
    facts = json.loads(result.stdout)
    assert facts["can_shoot"] == (result.returncode == 0)
    assert (facts["why_not"] is None) == facts["can_shoot"]
    return result.returncode, facts


def test_a_sound_compositor() -> None:
    code, facts = examine(Config())
    assert code == 0
    assert facts["problem"] is None
    assert facts["compositor"]["pid"] == os.getpid()
    assert [output["name"] for output in facts["outputs"]] == ["FAKE-1"]
    assert [(choice["target"], choice["kind"]) for choice in facts["choices"]] == [
        (target, kind)
        for _ in ("auto", "dmabuf")
        for target in ("output", "region", "window")
        for kind in ("still", "recording")
    ]
    assert facts["choices"][0]["taken"]["backend"] == "screencopy"
    assert facts["trials"] == [
        {
            "output": "FAKE-1",
            "buffer": "auto",
            "size": {"width": 64, "height": 48},
            "problem": None,
        }
    ]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("step", [Step.GLOBALS, Step.SYNC, Step.OUTPUT, Step.BUFFER, Step.READY])
def test_a_compositor_that_breaks_off(step: Step, end: str) -> None:
    """Whatever it was asked before stands, and each wait comes once."""
    timeout = TIMEOUT if end == "silence" else LONG
    code, facts = examine(Config(faults=(Fault(step, ENDS[end]),)), timeout=timeout)
    assert code == 4
    assert facts["why_not"]["message"] in {
        problem["message"]
        for problem in (facts["problem"], *(trial["problem"] for trial in facts["trials"]))
        if problem
    }
    assert facts["encoders"]["stills"]


def test_one_that_accepts_nobody() -> None:
    code, facts = examine(Config(accept=False), timeout=TIMEOUT)
    assert code == 4
    assert "did not answer" in facts["why_not"]["message"]


def test_one_that_offers_nothing() -> None:
    code, facts = examine(
        Config(outputs=(), wl_shm_version=0, xdg_output_version=0, screencopy_version=0)
    )
    assert code == 4
    assert facts["globals"] == {}
    assert {protocol["offered"] for protocol in facts["protocols"]} == {None}
    assert "does not offer" in facts["why_not"]["message"]
    assert facts["advice"][0] == facts["why_not"]["hint"]


def test_one_without_outputs() -> None:
    code, facts = examine(Config(outputs=()))
    assert code == 4
    assert facts["why_not"]["message"] == "the compositor has no outputs"


@pytest.mark.parametrize("action", [faults.failed, faults.withhold], ids=["fails", "is silent"])
def test_one_output_is_enough(action: faults.Action) -> None:
    """The other one may be off, and its compositor say nothing of it."""
    config = Config(
        outputs=(Output("FAKE-1"), Output("FAKE-2", x=64)),
        faults=(Fault(Step.BUFFER, action, output="FAKE-1"),),
    )
    code, facts = examine(config, timeout=TIMEOUT)
    assert code == 0
    first, second = facts["trials"]
    assert "FAKE-1" in first["problem"]["message"]
    assert second["size"] == {"width": 64, "height": 48}


def test_dmabufs_that_are_never_told_of_do_not_matter_to_a_still() -> None:
    config = Config(dmabuf_version=4, faults=(Fault(Step.FEEDBACK, faults.withhold),))
    code, facts = examine(config, timeout=TIMEOUT)
    assert code == 0
    assert "asking which dmabufs" in facts["problem"]["message"]
    assert facts["gpu"]["main_device"] is None


def test_a_machine_without_anything(tmp_path: Path) -> None:
    """No ffmpeg to be found, no runtime directory, no bus."""
    result = doctor({"PATH": str(tmp_path)})
    assert result.returncode == 4
    assert "XDG_RUNTIME_DIR is not set" in result.stdout
    assert "no session bus" in result.stdout
    assert "there is no ffmpeg in PATH" in result.stdout


@pytest.mark.parametrize(
    ("words", "version"),
    [
        ("ffmpeg version 7.1 and more", "7.1"),
        ("ffmpeg version", "?"),
        ("", "?"),
        ("something else", "?"),
    ],
)
def test_whatever_ffmpeg_says_of_itself(words: str, version: str, tmp_path: Path) -> None:
    (tmp_path / "ffmpeg").write_text(f"#!/bin/sh\necho {words}\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    facts = json.loads(doctor({"PATH": f"{tmp_path}:{os.environ['PATH']}"}, "--json").stdout)
    assert facts["encoders"]["ffmpeg"] == version


def test_names_cannot_reach_the_terminal() -> None:
    """``doctor`` checks that; here is something to check."""
    with FakeCompositor(Config(outputs=(Output("\x1b[31m\nVerdict"),))) as compositor:
        assert r"\x1b[31m\nVerdict" in doctor(compositor.env).stdout


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Kind.SILENT, "did not answer in time while connecting"),
        (Kind.MUTE, "did not answer in time while connecting"),
        (Kind.HANGS_UP, "closed the connection"),
        (Kind.GARBAGE, "sent"),
        (Kind.NO_PORTAL, "nobody\x1b[31m has it"),
        (Kind.STRANGE, "does not say which version"),
    ],
)
def test_a_bus_that_is_broken(kind: Kind, words: str, tmp_path: Path) -> None:
    """It costs no still, and its problem is told where the portal would be."""
    timeout = TIMEOUT if kind in {Kind.SILENT, Kind.MUTE} else LONG
    with Bus(kind, tmp_path) as bus:
        env = {"DBUS_SESSION_BUS_ADDRESS": bus.address}
        code, facts = examine(Config(), env, timeout=timeout)
    assert code == 0
    assert facts["portal"]["version"] is None
    assert words in facts["portal"]["problem"]["message"]


@pytest.mark.parametrize("address", ["", "unix:path=/nowhere", "nonsense", "tcp:host=a", "unix:"])
def test_a_bus_that_is_not_there(address: str) -> None:
    code, facts = examine(Config(), {"DBUS_SESSION_BUS_ADDRESS": address})
    assert code == 0
    assert facts["portal"]["problem"]["message"]


def test_a_portal(tmp_path: Path) -> None:
    with Bus(Kind.PORTAL, tmp_path) as bus:
        _, facts = examine(Config(), {"DBUS_SESSION_BUS_ADDRESS": bus.address})
    portal = facts["portal"]
    assert (portal["version"], portal["problem"]) == (5, None)
    assert portal["sources"] == ["monitor", "window"]
    assert portal["cursor_modes"] == ["embedded"]
