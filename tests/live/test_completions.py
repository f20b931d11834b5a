"""Completion of outputs and windows, in each shell, from a compositor that runs."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.live.command import frozen
from tests.live.conftest import on_newer_sway
from tests.live.window import Window, translucent
from tests.shells import SHELLS, Shell
from wayshot_cli.waiting import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stage import Stage

pytestmark = on_newer_sway  # which has both of the protocols that windows need

TITLES = {
    "org.example.Quotes": 'it\'s "$(touch x)" `touch x`; touch x #',
    "org.example.Lines": "one\n$(touch x)\n\x1b]0;touch x\x07",
    "org.example spaced: $(touch x)": "plain",
}


@pytest.fixture(scope="module")
def desk(session: Stage) -> Iterator[Stage]:
    """Show windows whose names are made to harm."""
    windows = [
        Window(session.socket, app_id, title, translucent(20, 10))
        for app_id, title in TITLES.items()
    ]
    yield session
    for window in windows:
        window.close()


@pytest.fixture
def patience() -> float:
    """How long wayshot waits for an answer: at a prompt not as long as a busy machine may take."""
    return 20.0


@pytest.fixture(params=SHELLS)
def shell(
    request: pytest.FixtureRequest, desk: Stage, tmp_path: Path, patience: float | None
) -> Iterator[Shell]:
    """Run a shell that asks the wayshot of these tests."""
    change = f"words._PATIENCE = {patience or 'words._PATIENCE'}"
    script = f"from wayshot_cli import __main__; from wayshot_cli.cli import words; {change}"
    real = f"{sys.executable} -c '{script}; __main__.main()'"
    session = {name: desk.env[name] for name in ("WAYLAND_DISPLAY", "XDG_RUNTIME_DIR")}
    with Shell(request.param, tmp_path / "home", real=real, env=session) as shell:
        yield shell


def test_outputs_are_offered(shell: Shell) -> None:
    assert set(shell.offered("wayshot -o ")) == {"HEADLESS-1", "focused"}
    assert shell.run("wayshot record -o HEAD\t") == ["record", "-o", "HEADLESS-1"]


def test_windows_are_offered_by_what_they_alone_have(shell: Shell) -> None:
    names = [name.replace("\\", "") for name in shell.offered("wayshot -w ")]
    identifiers = [name for name in names if ":" not in name and name != "active"]
    assert len(identifiers) == len(TITLES)
    assert set(names) - set(identifiers) == {
        "active",
        *(f"app_id:{app_id}" for app_id in TITLES),
        *(f"title:{title}" for title in TITLES.values() if title.isprintable()),
    }


@pytest.mark.parametrize(
    ("keys", "given"),
    [
        ("title:it\t", f"title:{TITLES['org.example.Quotes']}"),
        ("app_id:org.example.Q\t", "app_id:org.example.Quotes"),
        ("app_id:org.example.L\t", "app_id:org.example.Lines"),
        ("app_id:org.example\\ \t", "app_id:org.example spaced: $(touch x)"),
        ("'app_id:org.example \t", "app_id:org.example spaced: $(touch x)"),
    ],
)
def test_a_window_is_completed_and_its_name_runs_nothing(
    shell: Shell, keys: str, given: str
) -> None:
    assert shell.run(f"wayshot -w {keys}") == ["-w", given]
    assert shell.asked() == ["windows"]
    assert not (shell.folder / "x").exists()


@pytest.mark.parametrize("patience", [None])
def test_a_compositor_that_does_not_answer_keeps_nobody_waiting(shell: Shell, desk: Stage) -> None:
    shell.offered("wayshot -")  # once everything is loaded
    with frozen(desk):
        begin = time.monotonic()
        assert shell.offered("wayshot -o ") == []
        assert time.monotonic() - begin < DEFAULT_TIMEOUT
