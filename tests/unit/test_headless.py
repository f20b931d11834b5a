"""What a stage is made of, before anything runs; and what its command line means."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any, Self

import pytest

from wayshot_cli import cli, headless
from wayshot_cli.errors import InvalidArgumentError, UnsupportedError
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Size
from wayshot_cli.headless import COMPOSITORS, environment, find_compositor, read_size
from wayshot_cli.pixels import XRGB8888

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Stage:
    """Stands in for ``headless.Stage``: remembers what was done with it."""

    made: list[Stage] = []  # noqa: RUF012 - of one test

    def __init__(self, **wishes: Any) -> None:
        self.wishes = wishes
        self.done: list[object] = []
        self.connection = self
        self.made.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.done.append("end")

    def end(self) -> None:
        """Nothing to end."""

    def run(self, command: Sequence[str]) -> None:
        self.done.append(list(command))

    def wait_until_shown(self) -> None:
        self.done.append("shown")

    def wait_until_at_rest(self) -> None:
        self.done.append("at rest")

    def sleep(self, seconds: float) -> None:
        self.done.append(seconds)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Stage]:
    """Take pictures of nothing, in an empty folder."""
    frame = Frame(memoryview(bytes(48)), XRGB8888, Size(4, 3), 16)
    monkeypatch.setattr("wayshot_cli.cli.headless.Stage", Stage)
    monkeypatch.setattr("wayshot_cli.cli.headless.shot", lambda **_: frame)
    monkeypatch.setattr(Stage, "made", [])
    monkeypatch.chdir(tmp_path)
    return Stage.made


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Search for commands in an empty folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def install(folder: Path, name: str) -> None:
    (folder / name).touch(mode=0o755)


# The command line


@pytest.mark.parametrize(
    "command",
    [["foot"], ["foot", "-e", "htop"], ["foot", "--save", "x"], ["foot", "--", "-d", "3"], ["--"]],
    ids=" ".join,
)
def test_all_after_the_dashes_is_the_command(made: list[Stage], command: list[str]) -> None:
    assert cli.run(["headless", "--save", "a.png", "--", *command]) == 0
    (stage,) = made
    assert stage.done == [command, "at rest", "end"]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--"],
        ["foot"],
        ["foot", "--", "htop"],
        ["--save", "a.png", "foot"],
        ["--size", "0x5", "--", "foot"],
        ["--size", "5", "--", "foot"],
        ["--scale", "0", "--", "foot"],
        ["--compositor", "mutter", "--", "foot"],
        ["--duration", "5", "--", "foot"],
        ["--save", "a.png", "--record", "a.mp4", "--", "foot"],
        ["--save", "", "--", "foot"],
        ["--save", "a.xyz", "--", "foot"],
        ["--record", "a.xyz", "--", "foot"],
        ["--record", "a.y4m", "--duration", "0", "--", "foot"],
        ["-d", "-1", "--", "foot"],
        ["--timeout", "0", "--", "foot"],
    ],
    ids=" ".join,
)
def test_nonsense_is_refused_before_anything_runs(
    made: list[Stage], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["headless", *words]) == 2
    assert made == []
    assert capsys.readouterr().err.startswith("wayshot: ")


def test_a_command_without_dashes_is_told_where_it_belongs(
    made: list[Stage], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["headless", "foot", "-e", "htop"]) == 2
    assert made == []
    assert "-- foot -e htop" in capsys.readouterr().err


def test_wishes_reach_the_stage(made: list[Stage]) -> None:
    options = ["--size", "64x48", "--scale", "1.5", "--compositor", "cage", "--timeout", "7"]
    assert cli.run(["headless", *options, "-v", "--save", "a.png", "--", "foot"]) == 0
    (stage,) = made
    assert stage.wishes == {
        "size": Size(64, 48),
        "scale": 1.5,
        "compositor": "cage",
        "timeout": 7.0,
        "verbose": True,
    }


@pytest.mark.parametrize("delay", [0.0, 2.5])
def test_a_delay_counts_from_when_something_is_shown(made: list[Stage], delay: float) -> None:
    assert cli.run(["headless", "-d", str(delay), "--save", "a.png", "--", "foot"]) == 0
    (stage,) = made
    assert stage.done == [["foot"], "shown", delay, "end"]


# Compositors


def test_auto_takes_the_first_that_is_installed(installed: Path) -> None:
    with pytest.raises(UnsupportedError, match="sway, labwc, cage") as caught:
        find_compositor()
    assert caught.value.hint == "on Debian: apt-get install sway"
    for compositor in reversed(COMPOSITORS):
        install(installed, compositor.name)
        assert find_compositor() == compositor


@pytest.mark.parametrize("name", [compositor.name for compositor in COMPOSITORS])
def test_one_that_is_named_is_taken_or_named_as_missing(installed: Path, name: str) -> None:
    for compositor in COMPOSITORS:
        if compositor.name != name:
            install(installed, compositor.name)
    with pytest.raises(UnsupportedError, match=f"{name} is not installed") as caught:
        find_compositor(name)
    assert caught.value.hint == f"on Debian: apt-get install {name}"
    install(installed, name)
    assert find_compositor(name).name == name


def test_there_are_no_others() -> None:
    with pytest.raises(InvalidArgumentError, match="mutter"):
        find_compositor("mutter")


def test_configurations_leave_windows_all_the_room() -> None:
    sway, labwc, cage = COMPOSITORS
    assert "default_border none" in sway.files["sway"].splitlines()
    assert "xwayland disable" in sway.files["sway"].splitlines()
    (rule,) = ET.fromstring(labwc.files["rc.xml"]).iter("windowRule")
    assert (rule.get("identifier"), rule.get("serverDecoration")) == ("*", "no")
    assert [action.get("name") for action in rule] == ["Maximize"]
    assert cage.arguments[0] == "--"


@pytest.mark.parametrize(
    ("script", "known"),
    [
        ("echo ' -r\t Rotate' >&2", ("-r", "-r")),
        ("echo ' -d\t It has no -rotation'", ()),
        ("exec sleep 600", ()),
        ("kill -9 $$", ()),
    ],
)
def test_cage_is_turned_where_it_can_be(
    installed: Path, monkeypatch: pytest.MonkeyPatch, script: str, known: tuple[str, ...]
) -> None:
    program = installed / "cage"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{installed}:/usr/bin:/bin")
    timeout = 0.5 if "sleep" in script else 30.0
    assert headless.Stage(compositor="cage", timeout=timeout)._known() == known


def test_a_compositor_without_arguments_of_some_versions_is_not_asked(installed: Path) -> None:
    install(installed, "sway")  # an empty file
    assert headless.Stage(compositor="sway")._known() == ()


# Their environment


def test_another_session_is_hidden_and_all_else_kept() -> None:
    base = {
        "DISPLAY": ":0",
        "WAYLAND_DISPLAY": "wayland-1",
        "WAYLAND_SOCKET": "5",
        "SWAYSOCK": "/run/sway",
        "I3SOCK": "/run/i3",
        "LABWC_PID": "5",
        "XDG_RUNTIME_DIR": "/run/user/1000",
        "XDG_SESSION_TYPE": "x11",
        "HOME": "/home/a",
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/bus",
        "ODD": "caf\udce9",
    }
    assert environment(base, "/tmp/x", {"WAYLAND_DISPLAY": "wayland-9"}) == {
        "XDG_RUNTIME_DIR": "/tmp/x",
        "XDG_SESSION_TYPE": "wayland",
        "WAYLAND_DISPLAY": "wayland-9",
        "HOME": "/home/a",
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/bus",
        "ODD": "caf\udce9",
    }


# Sizes


@pytest.mark.parametrize(
    ("text", "size"),
    [("1x1", (1, 1)), ("1280x720", (1280, 720)), ("16384x16384", (16384, 16384))],
)
def test_a_size_is_read(text: str, size: tuple[int, int]) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "x", "1x", "0x1", "1x0", "-1x1", "1 x 1", "1x1x1", "16385x1", "1e3x1", "٣x٣", "1x1\n"],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="not a size"):
        read_size(text)
