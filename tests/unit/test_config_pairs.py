"""What is configured, beside each option of the line: it is in force, or gives way."""

import itertools
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import click
import pytest
from click.types import FloatParamType, IntParamType, IntRange

from tests.unit.test_config import COMMANDS, PROGRAM, typed
from wayshot_cli import cli
from wayshot_cli.cli.configured import configurable
from wayshot_cli.cli.deliver import Delivery
from wayshot_cli.cli.shot import Writing
from wayshot_cli.config import written
from wayshot_cli.errors import NotFoundError

VALUES: dict[str, list[Any]] = {
    "region": ["1,2 3x4"], "device": ["/dev/dri/card0"], "backend": ["portal", "screencopy"],
    "fps": [30], "bitrate": ["5M"], "size": ["640x480"], "portal-size": ["640x480"],
    "pixel-format": ["nv12"], "codec": ["libvpx-vp9"], "preset": ["slow"], "crf": [20],
    "codec-option": ["tune=film"], "colorspace": ["bt709"], "color-range": ["full"],
    "exec": ["true", "true {}"], "encoder": ["ffmpeg"], "on-resize": ["segment"],
    "wayshot file": ["a.png", "a.jpg", "a", "-"], "record file": ["a.mp4", "a.gif", "a.raw"],
    "record format": ["mp4", "webm", "gif", "y4m", "raw"],
}  # fmt: skip
ALONE = {"geometry", "timeout", "verbose", "delay", "mkdir", "no-clobber", "cursor", "notify"}
"""Options that have to do with no other one."""

# What would be captured, or where it goes, is never left open for what is no other such thing.
REFUSED = {
    ("window", "scale"), ("select", "scale"),
    ("file", "level"), ("file", "metadata"), ("file", "edit"), ("file", "exec"),
}  # fmt: skip
CODEC = {
    "bitrate", "codec", "codec-option", "color-range", "colorspace", "crf", "encoder", "gop",
    "pixel-format", "preset",
}  # fmt: skip
REFUSED |= {("file", key) for key in CODEC}
REFUSED.add(("encoder", "pixel-format"))  # either encoder has some that the other one lacks


def values_of(name: str, key: str) -> list[Any]:
    """Return words of an option of each kind that it has."""
    param = configurable(COMMANDS[name])[key]
    if values := VALUES.get(f"{name} {key}", VALUES.get(key)):
        return values
    if isinstance(param, click.Option) and param.is_flag:
        return [True]
    if isinstance(param.type, click.Choice):
        return list(param.type.choices)
    return [3] if isinstance(param.type, IntRange | IntParamType | FloatParamType) else ["true"]


def options_of(name: str) -> list[str]:
    """Return the options that may exclude each other; of a recording, what a still has not."""
    keys = configurable(COMMANDS[name]).keys() - ALONE
    if name == "record":
        keys -= configurable(COMMANDS["wayshot"]).keys() - {"format", "file", "exec"}
    return sorted(keys)


class Session:
    """Takes what commands would do, when all words are read."""

    def __init__(self, config: Path, patch: pytest.MonkeyPatch) -> None:
        self.config = config
        self.done: list[object] = []
        patch.setenv("WAYSHOT_CONFIG", str(config))
        for name in ("SELECTOR", "MENU", "EDITOR"):
            patch.delenv(f"WAYSHOT_{name}", raising=False)
        patch.setattr("wayshot_cli.cli.shot.take_shot", self.shoot)
        patch.setattr("wayshot_cli.cli.selecting.selected_shot", self.select)
        patch.setattr("wayshot_cli.cli.shot.write", lambda _, writing: self.done.append(writing))
        done = self.done

        def deliver(self: Delivery, _frame: object, writing: Writing) -> None:
            if self._file is not None or self._leaves_file:
                done.append(writing)
            if after := [it for it in (self._clipboard, self._editor, self._command) if it]:
                done.append(after)

        patch.setattr(Delivery, "deliver", deliver)
        patch.setattr("wayshot_cli.cli.deliver._find_editor", lambda _: ["true"])
        patch.setattr("wayshot_cli.clipboard.require", lambda **_: None)
        patch.setattr("wayshot_cli.sinks.is_terminal", lambda _: False)
        patch.setattr("wayshot_cli.encode.ffmpeg.check", lambda: None)
        nobody = Mock(side_effect=NotFoundError("there is nobody"))
        for room in ("record.backends.connect", "color.Connection", "headless.Stage"):
            patch.setattr(f"wayshot_cli.cli.{room}", nobody)

    def shoot(self, *target: object, **how: object) -> Mock:
        self.done.append((target, {key: it for key, it in how.items() if not callable(it)}))
        return Mock()

    def select(self, kind: str, _programs: object, **how: object) -> Mock:
        return self.shoot(kind, **how)

    def run(self, name: str, wishes: dict[str, Any], config: str = "") -> str | None:
        """Return what a command would do, None if it refuses its words."""
        self.config.write_text(config)
        self.done.clear()
        words = [] if name == "wayshot" else [name]
        for key in sorted(wishes, key=lambda key: key == "file"):  # FILE comes last, after --
            words += typed(key, wishes[key])
        code = cli.run(words + PROGRAM.get(name, []))
        assert code in {0, NotFoundError.exit_code, 2}
        return None if code == 2 else repr(self.done)


@pytest.mark.parametrize("name", ["wayshot", "record", "color", "headless"])
def test_what_is_configured_is_in_force_or_gives_way(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session = Session(tmp_path / "config.toml", monkeypatch)
    header = "" if name == "wayshot" else f"[{name}]\n"
    words = [(key, value) for key in options_of(name) for value in values_of(name, key)]
    alone = {(key, value): session.run(name, {key: value}) for key, value in words}
    wrong = []
    for (key, value), (other, wish) in itertools.permutations(words, 2):
        if key == other or alone[other, wish] is None:
            continue  # without others, it makes no sense
        done = session.run(name, {other: wish}, f"{header}{key} = {written(value)}\n")
        if done is None:
            is_right = (key, other) in REFUSED
        else:
            is_right = done == alone[other, wish] or done == session.run(
                name, {other: wish, key: value}
            )
        if not is_right:
            wrong.append(f"{key} = {value}, --{other} {wish}: {done}")
    assert wrong == []
