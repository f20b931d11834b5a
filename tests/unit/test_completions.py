"""Completion in bash, zsh and fish, and what these ask wayshot for."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from tests.fake import Config, FakeCompositor, Output
from tests.fake.toplevels import Window
from tests.shells import SHELLS, Shell
from wayshot_cli.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVIL = 'title:it\'s "$(touch x)" `touch x` \\ a:b=c @d; ! * ~ {e,f} > x'
LESS_EVIL = 'tender:"$(touch x)" `touch x`'
WORDS = f"DP-1\tbig\nDP-2\tsmall\napp_id:foot\t$(touch x)\n{EVIL}\tevil\n{LESS_EVIL}\tevil\n"


@pytest.fixture(scope="module", params=SHELLS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shell]:
    """Run each shell in a folder with two files and a folder."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "a shot.png").touch()
    (folder / "records").mkdir()
    with Shell(request.param, folder, words=WORDS) as shell:
        yield shell


@pytest.fixture
def shell(running: Shell) -> Shell:
    """Return the shell, which has asked for nothing yet."""
    running.asked()
    return running


FILES = {"a shot.png", "records"}
COMMANDS = set(app.list_commands(click.Context(app)))


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("wayshot ", COMMANDS | FILES),
        ("wayshot li", {"list"}),
        ("wayshot rec", {"record", "records"}),
        ("wayshot -c ", FILES),
        ("wayshot -c rec", {"records"}),
        ("wayshot -- ", FILES),
        ("wayshot --no-", {"--no-clobber"}),
        ("wayshot --no-clobber --no-", set()),
        ("wayshot -t png --for", set()),
        ("wayshot --format=png --for", set()),
        ("wayshot -o DP-1 --ou", {"--output"}),
        ("wayshot -t a", {"avif"}),
        ("wayshot --device ", FILES),
        ("wayshot --select ", {"region", "output", "window"} | FILES),
        ("wayshot --select re", {"region", "records"}),
        ("wayshot --select=r", {"region"}),
        ("wayshot --select --free", {"--freeze"}),
        ("wayshot --select window ", FILES),
        ("wayshot --select window --free", {"--freeze"}),
        ("wayshot list --j", {"--json"}),
        ("wayshot portal ", {"forget"}),
        ("wayshot portal forget --h", {"--help"}),
        ("wayshot completions ", {"bash", "fish", "zsh"}),
        ("wayshot record --on-", {"--on-resize", "--on-lost"}),
        ("wayshot record --on-lost ", {"stop", "wait"}),
        ("wayshot record --pixel-format nv", {"nv12"}),
        ("wayshot record -t m", {"mp4", "mkv"}),
        ("wayshot record li", set()),
        ("wayshot headless --s", {"--size", "--scale", "--save"}),
        ("wayshot headless --save ", FILES),
        ("wayshot headless -- cat rec", {"records"}),
    ],
)
def test_what_may_stand_there_is_offered_and_wayshot_is_not_started(
    shell: Shell, line: str, offered: set[str]
) -> None:
    names = shell.offered(line)
    # Folders are marked, spaces quoted, and hidden files there or not, each shell in its own way.
    told = {name.rstrip("/").replace("\\ ", " ") for name in names if not name.startswith(".")}
    # Of --option=value fish repeats the option.
    told = {name.partition("=")[2] or name for name in told}
    assert told == offered
    assert shell.asked() == []


def test_every_option_of_every_command_is_offered(shell: Shell) -> None:
    def check(command: click.Command, line: str) -> None:
        ctx = click.Context(command, **command.context_settings)
        options = [it for it in command.get_params(ctx) if isinstance(it, click.Option)]
        long = {name for it in options for name in it.opts if name.startswith("--")}
        assert {name.rstrip("=") for name in shell.offered(f"{line} --")} == long
        for option in options:
            if isinstance(option.type, click.Choice):
                for name in option.opts:
                    assert set(shell.offered(f"{line} {name} ")) >= set(option.type.choices)
        if isinstance(command, click.Group):
            for name in command.list_commands(ctx):
                below = command.get_command(ctx, name)
                assert below
                check(below, f"{line} {name}")

    check(app, "wayshot")
    assert shell.asked() == []


@pytest.mark.parametrize(
    ("line", "kind", "offered"),
    [
        ("wayshot -o D", "outputs", {"DP-1", "DP-2"}),
        ("wayshot -c -o DP-1 --output DP-2", "outputs", {"DP-2"}),
        ("wayshot record -o D", "outputs", {"DP-1", "DP-2"}),
        ("wayshot --window app", "windows", {"app_id:foot"}),
    ],
)
def test_words_of_the_session_are_asked_for_once(
    shell: Shell, line: str, kind: str, offered: set[str]
) -> None:
    assert set(shell.offered(line)) == offered
    assert shell.asked() == [kind]


@pytest.mark.parametrize(
    ("keys", "given"),
    [
        ("wayshot -o DP-2\t", ["-o", "DP-2"]),
        ("wayshot --output=DP-2\t", ["--output=DP-2"]),
        ("wayshot -oDP-2\t", ["-oDP-2"]),
        ("wayshot -wapp\t", ["-wapp_id:foot"]),
        ("wayshot -w app\t", ["-w", "app_id:foot"]),
        ("wayshot -w app_id:f\t", ["-w", "app_id:foot"]),
        ("wayshot --window=app_id:\t", ["--window=app_id:foot"]),
        ("wayshot -w 'app_id:f\t", ["-w", "app_id:foot"]),
        ("wayshot -w ti\t", ["-w", EVIL]),
        ("wayshot -w title:it\\'s\\ \t", ["-w", EVIL]),
        ("wayshot --window=ti\t", [f"--window={EVIL}"]),
        ("wayshot -w 'te\t", ["-w", LESS_EVIL]),
        ("wayshot a\t", ["a shot.png"]),
        ("wayshot -c 'a\t", ["-c", "a shot.png"]),
        ("wayshot headless --save=a\t", ["headless", "--save=a shot.png"]),
        (
            "wayshot headl\t--save a\t-- cat a\t",
            ["headless", "--save", "a shot.png", "--", "cat", "a shot.png"],
        ),
    ],
)
def test_what_is_completed_at_a_prompt_is_one_word_that_nothing_evaluates(
    shell: Shell, keys: str, given: list[str]
) -> None:
    assert shell.run(keys) == given
    assert not (shell.folder / "x").exists()


@pytest.mark.parametrize("shell_name", SHELLS)
def test_a_session_that_is_not_there_gives_no_words(shell_name: str, tmp_path: Path) -> None:
    real = f"{sys.executable} -m wayshot_cli"
    with Shell(shell_name, tmp_path / "home", real=real) as shell:
        assert shell.offered("wayshot -o ") == []
        assert shell.offered("wayshot -w ") == []


def test_bash_leaves_what_comes_after_the_dashes_to_bash_completion(tmp_path: Path) -> None:
    shell = Shell("bash", tmp_path / "home", words=WORDS)
    with shell.start.open("a") as start:
        start.write("source /usr/share/bash-completion/bash_completion\n")
    with shell:
        assert shell.run("wayshot headless -- cat --show-en\t") == [
            *("headless", "--", "cat", "--show-ends")
        ]
        assert shell.run("wayshot -w app_id:f\t") == ["-w", "app_id:foot"]


@pytest.mark.parametrize("shell_name", ["zsh", "fish"])
def test_after_the_dashes_the_other_command_is_completed(shell_name: str, tmp_path: Path) -> None:
    with Shell(shell_name, tmp_path / "home", words=WORDS) as shell:
        assert shell.offered("wayshot headless -- wayshot -o DP-2") == ["DP-2"]


PATIENT = (
    "from wayshot_cli.cli import words; words._PATIENCE = 20.0\n"
    "from wayshot_cli.__main__ import main; main()"
)
"""``python -m wayshot_cli``, but nobody waits at a prompt: a busy machine may take its time."""


def asked(kind: str, compositor: FakeCompositor | None = None) -> tuple[int, str]:
    """Ask as the shells do, and return the exit code and the answer; nothing else is ever said."""
    env = compositor.env if compositor else {"PATH": os.defpath}
    done = subprocess.run(
        [sys.executable, "-c", PATIENT],
        env=env | {"_WAYSHOT_COMPLETE": kind, "LANG": "C.UTF-8"},
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == b""
    return done.returncode, done.stdout.decode()


def test_outputs_are_named_with_what_they_are() -> None:
    outputs = (Output("FAKE-1"), Output("FAKE-2", x=64))
    with FakeCompositor(Config(outputs=outputs)) as compositor:
        code, lines = asked("outputs", compositor)
    words = [line.partition("\t")[0] for line in lines.splitlines()]
    assert (code, words) == (0, ["FAKE-1", "FAKE-2", "focused"])


def test_windows_are_named_by_what_one_alone_has() -> None:
    windows = (
        Window("1", "foot", identifier="4f1", title="two\nlines\t\x1b[31m"),
        Window("2", "foot", identifier="4f2", title="$(touch x)"),
        Window("3", "mpv\n", identifier="4f3", title="same"),
        Window("4", "vim", identifier=None, title="same"),
    )
    with FakeCompositor(Config(windows=windows, toplevel_list_version=1)) as compositor:
        code, lines = asked("windows", compositor)
    assert code == 0
    assert lines.splitlines() == [
        "active\tthe one that has the keyboard",
        "app_id:vim\tsame",
        "title:$(touch x)\tfoot",
        "4f1\tfoot: two\\nlines\\t\\x1b[31m",
        "4f2\tfoot: $(touch x)",
        "4f3\tmpv\\n: same",
    ]


@pytest.mark.parametrize("kind", ["outputs", "windows", "bash_complete"])
def test_without_a_session_nothing_is_said(kind: str) -> None:
    assert asked(kind) == (1, "")


def test_words_are_given_without_loading_the_command_line() -> None:
    with FakeCompositor(Config()) as compositor:
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", PATIENT],
            env=compositor.env | {"_WAYSHOT_COMPLETE": "windows"},
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "wayshot_cli.wayland.toplevels" in loaded
    assert not loaded & {"click", "numpy", "rich", "wayshot_cli.cli.options", "wayshot_cli.still"}
