"""Selecting by programs that misbehave."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.fake import Config, FakeCompositor, Output, Window
from tests.faults.command import (
    LIMIT,
    TIMEOUT,
    assert_failed,
    assert_shot,
    assert_told_at_once,
    picture_of,
    shoot,
    wayshot,
)
from tests.faults.selecting import (
    LAYERS,
    WAYSHOT,
    select,
    selecting,
    sh,
)
from tests.faults.windows import ONE, desktop, straight
from tests.processes import is_running, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.command import Result

SIDE_BY_SIDE = (Output("FAKE-1"), Output("FAKE-2", width=40, height=30, x=64, y=9))
TWIN = replace(ONE, name="twin", identifier="id-twin")
EVIL = Window("evil", "a\x1b[31m", "line\nbreak", "id-evil")
WINDOWS = desktop(ONE, TWIN, EVIL)
PART = Output().upright(0)[2:6, 1:4]
"""What 1,2 3x4 shows."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the command runs; what programs leave behind goes to the folder above."""
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


# Selectors


@pytest.mark.parametrize("form", ["66,10 20x15", "20x15+66+10", "  66,10 20x15\n\n"])
def test_what_a_selector_prints_is_captured(folder: Path, form: str) -> None:
    result = select(Config(outputs=SIDE_BY_SIDE), folder, f"printf '%s' '{form}'")
    assert_shot(result, SIDE_BY_SIDE[1].upright(1)[1:16, 2:22])


@pytest.mark.parametrize("script", ["exit 0", "exit 1", "echo 1,2 3x4; exit 1", "echo; exit 0"])
def test_no_selection_is_a_cancellation(folder: Path, script: str) -> None:
    assert_failed(select(Config(), folder, script), 3, "cancelled")


@pytest.mark.parametrize(
    "script",
    ["echo here", "echo 1,2 3x0", "echo 1,2 3x4; echo 5,6 7x8", r"printf '\033[31m\377\000'"],
)
def test_a_selector_that_prints_nonsense_is_told(folder: Path, script: str) -> None:
    assert_failed(select(Config(), folder, script), 1, "sh printed", "no region")


def test_a_selector_that_is_there_and_cannot_be_run_need_not_be_installed(folder: Path) -> None:
    selector = folder.parent / "selector"
    selector.write_bytes(b"\x7fno program")
    selector.chmod(0o755)
    result = shoot(Config(), folder, "--select", "--selector", str(selector))
    assert_failed(result, 1, f"cannot run {selector}: Exec format error")
    assert "install" not in result.stderr


def test_a_selector_that_prints_without_end_is_ended(folder: Path) -> None:
    result = shoot(Config(), folder, "--select", "--selector", "yes")
    assert_failed(result, 1, "yes prints more than")
    assert_told_at_once(result)


def test_a_selector_that_is_killed_is_told(folder: Path) -> None:
    assert_failed(select(Config(), folder, "kill -9 $$"), 1, "signal 9")


def test_a_selector_that_crashes_is_asked_once_more(folder: Path) -> None:
    script = "[ -e ../crashed ] || { touch ../crashed; kill -SEGV $$; }; echo 1,2 3x4"
    result = select(Config(), folder, script)
    assert_shot(result, PART)
    assert result.stderr == "wayshot: sh crashed (SIGSEGV): asking once more\n"


def test_a_selector_that_crashes_again_is_told(folder: Path) -> None:
    script = "echo >>../asked; kill -ABRT $$"
    result = select(Config(), folder, script)
    assert (result.code, result.files) == (1, [])
    assert result.stderr.splitlines()[1:] == ["wayshot: sh was ended by signal 6"]
    assert (folder.parent / "asked").read_text() == "\n\n"


def test_a_selector_that_is_missing_is_named(folder: Path) -> None:
    result = shoot(Config(), folder, "--select", "--selector", "no-such-selector -x")
    assert_failed(result, 4, "no-such-selector", "No such file")
    assert "install" in result.stderr


def test_slurp_is_not_started_where_it_can_show_nothing(folder: Path) -> None:
    assert_failed(shoot(Config(), folder, "--select"), 4, "zwlr_layer_shell_v1")


def test_nobody_is_asked_where_there_is_no_session(folder: Path) -> None:
    done = subprocess.run(
        [*WAYSHOT, "--select", "--selector", "touch ../asked", "shot.png"],
        env={**os.environ, "WAYLAND_DISPLAY": str(folder / "nobody")},
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 4
    assert list(folder.iterdir()) == []
    assert not (folder.parent / "asked").exists()


@pytest.mark.parametrize(
    ("config", "code"), [(Config(outputs=()), 5), (Config(screencopy_version=0), 4)]
)
def test_nobody_is_asked_in_vain(folder: Path, config: Config, code: int) -> None:
    result = shoot(config, folder, "--select", "--selector", "touch ../asked")
    assert result.code == code
    assert not (folder.parent / "asked").exists()


def test_a_selector_gets_no_stdin_of_ours(folder: Path) -> None:
    result = select(Config(), folder, "read line || echo 1,2 3x4")
    assert_shot(result, PART)


def test_a_selector_may_close_its_stdout_first_and_leave_others_who_hold_it(folder: Path) -> None:
    closing = "echo 1,2 3x4; exec >&-; sleep 0.3"
    assert_shot(select(Config(), folder, closing), PART)
    (folder / "shot.png").unlink()
    # One for longer than the command may take.
    others = f"sleep {2 * LIMIT} 2>&- & echo $! >../other"
    result = select(Config(), folder, f"{others}; echo 1,2 3x4")
    os.kill(int((folder.parent / "other").read_text()), signal.SIGKILL)
    assert_shot(result, PART)


def test_a_selector_has_all_time(folder: Path) -> None:
    words = ("--select", "--selector", sh(f"sleep {TIMEOUT + 0.3}; echo 1,2 3x4"))
    result = shoot(Config(), folder, *words, timeout=TIMEOUT)
    assert result.code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("freeze", [[], ["--freeze"]], ids=["", "frozen"])
def test_a_signal_ends_the_selector_too(
    folder: Path, number: signal.Signals, freeze: list[str]
) -> None:
    # A script that runs the selector proper, as many do.
    script = "sleep 60 & echo $! > ../part; mv ../part ../child; wait"
    with FakeCompositor(LAYERS) as compositor:
        with selecting(compositor, folder, *freeze, script=script) as process:
            wait_until((folder.parent / "child").exists)
            pids = [int((folder.parent / name).read_text()) for name in ("asked", "child")]
            process.send_signal(number)
        assert process.returncode == (130 if number == signal.SIGINT else 143)
        wait_until(lambda: not any(map(is_running, pids)))
        compositor.wait_until_gone()
        assert compositor.violations == []


def test_a_selector_that_ignores_signals_is_ended_nevertheless(folder: Path) -> None:
    script = "trap '' TERM; while :; do sleep 0.1; done"
    with FakeCompositor(Config()) as compositor:
        with selecting(compositor, folder, script=script) as process:
            pid = int((folder.parent / "asked").read_text())
            process.terminate()
        assert process.returncode == 143
        wait_until(lambda: not is_running(pid))


@pytest.mark.parametrize("freeze", [[], ["--freeze"]], ids=["", "frozen"])
def test_a_compositor_that_hangs_up_ends_the_selector(folder: Path, freeze: list[str]) -> None:
    with FakeCompositor(LAYERS) as compositor:
        with selecting(compositor, folder, *freeze) as process:
            pid = int((folder.parent / "asked").read_text())
            compositor.hang_up()
        assert process.returncode == 1
        assert not is_running(pid)


# slurp and the menus that are known


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be the only folder where programs are found; each notes what it is called with."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("WAYSHOT_SELECTOR", raising=False)
    monkeypatch.delenv("WAYSHOT_MENU", raising=False)
    return folder


def install(programs: Path, name: str, script: str) -> None:
    """Make a program, a shell script without other programs."""
    (programs / name).write_text(f"#!/bin/sh\necho $0 $* > {programs.parent}/called\n{script}\n")
    (programs / name).chmod(0o755)


def called(programs: Path) -> str:
    return (programs.parent / "called").read_text().removeprefix(f"{programs}/").rstrip()


LAST_LINE = 'while read -r line; do last=$line; done; echo "$last"'
SIDE_BY_SIDE_LAYERS = replace(LAYERS, outputs=SIDE_BY_SIDE)


@pytest.mark.parametrize(
    ("words", "menu"), [([], ""), (["--freeze"], ""), (["--freeze"], "no-menu")]
)
def test_slurp_asks_for_an_output(
    folder: Path, programs: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], menu: str
) -> None:
    if menu:
        monkeypatch.setenv("WAYSHOT_MENU", menu)
    install(programs, "slurp", "printf FAKE-2")
    install(programs, "fuzzel", LAST_LINE)
    words = ["--select", "output", "--selector", "slurp -b #0008", *words]
    assert_shot(shoot(SIDE_BY_SIDE_LAYERS, folder, *words), SIDE_BY_SIDE[1].upright(1))
    assert called(programs) == "slurp -b #0008 -o -r -f %o"


def test_an_output_that_slurp_does_not_know_is_told(folder: Path, programs: Path) -> None:
    install(programs, "slurp", "printf '<unknown>'")
    result = shoot(SIDE_BY_SIDE_LAYERS, folder, "--select", "output")
    assert_failed(result, 1, "slurp printed '<unknown>'", "no output")


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("fuzzel", "fuzzel --dmenu"),
        ("wofi", "wofi --dmenu"),
        ("bemenu", "bemenu -l 16"),
        ("rofi", "rofi -dmenu"),
        ("wmenu", "wmenu -l 16"),
        ("tofi", "tofi"),
    ],
)
def test_a_menu_that_is_installed_serves(
    folder: Path, programs: Path, name: str, call: str
) -> None:
    install(programs, name, LAST_LINE)
    result = shoot(SIDE_BY_SIDE_LAYERS, folder, "--select", "output")
    assert_shot(result, SIDE_BY_SIDE[1].upright(1))
    assert called(programs) == call


def test_a_menu_asks_for_an_output_where_slurp_can_show_nothing(
    folder: Path, programs: Path
) -> None:
    install(programs, "slurp", "exit 1")
    install(programs, "rofi", LAST_LINE)
    result = shoot(Config(outputs=SIDE_BY_SIDE), folder, "--select", "output")
    assert_shot(result, SIDE_BY_SIDE[1].upright(1))


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (["--select"], "slurp"),
        (["--select", "--freeze"], "slurp"),
        (["--select", "output"], "menu"),
        (["--select", "output", "--freeze"], "slurp"),
    ],
)
@pytest.mark.usefixtures("programs")
def test_what_is_not_installed_is_named(folder: Path, words: list[str], missing: str) -> None:
    result = shoot(SIDE_BY_SIDE_LAYERS, folder, *words)
    assert_failed(result, 4, missing)
    assert "install" in result.stderr


# Recordings


def record(config: Config, folder: Path, *words: str) -> Result:
    with FakeCompositor(config) as compositor:
        return wayshot(compositor, folder, "record", *words, "--frames", "1", "clip.y4m")


def test_a_recording_is_of_what_was_selected(folder: Path) -> None:
    result = record(Config(), folder, "--select", "--selector", "echo 4,6 20x10")
    assert result.code == 0, result.stderr
    assert (folder / "clip.y4m").read_bytes().startswith(b"YUV4MPEG2 W20 H10 ")


@pytest.mark.parametrize(
    ("script", "code"), [("exit 1", 3), ("echo nonsense", 1), ("echo 900,0 5x5", 5)]
)
def test_no_recording_is_begun_without_a_selection(folder: Path, script: str, code: int) -> None:
    result = record(Config(), folder, "--select", "--selector", sh(script))
    assert result.code == code
    assert result.files == []


def test_a_window_is_chosen_for_a_recording(folder: Path) -> None:
    result = record(WINDOWS, folder, "--select", "window", "--menu", "tail -n 1")
    assert result.code == 0, result.stderr
    assert (folder / "clip.y4m").read_bytes().startswith(b"YUV4MPEG2 W40 H30 ")


# Menus


def menu(config: Config, folder: Path, what: str, script: str) -> Result:
    return shoot(config, folder, "--select", what, "--menu", sh(script))


def test_an_output_is_chosen_by_its_line(folder: Path) -> None:
    result = menu(Config(outputs=SIDE_BY_SIDE), folder, "output", "tail -n 1")
    assert_shot(result, SIDE_BY_SIDE[1].upright(1))


def test_a_single_output_is_taken_without_asking(folder: Path) -> None:
    result = menu(Config(), folder, "output", "touch ../asked; exit 1")
    assert_shot(result, picture_of(Config()))


@pytest.mark.parametrize(("line", "name"), [(1, "one"), (2, "twin"), (3, "evil")])
def test_windows_that_say_the_same_are_told_apart(folder: Path, line: int, name: str) -> None:
    result = menu(WINDOWS, folder, "window", f"tee ../lines | sed -n {line}p")
    assert_shot(result, straight(WINDOWS, name))
    assert (folder.parent / "lines").read_text().splitlines() == [
        "org.one: First",
        "org.one: First (2)",
        "a\\x1b[31m: line\\nbreak",
    ]


def test_what_no_line_says_is_told(folder: Path) -> None:
    result = menu(WINDOWS, folder, "window", "echo foot")
    assert_failed(result, 1, "'foot'", "none of its lines")


def test_a_closed_menu_is_a_cancellation(folder: Path) -> None:
    assert_failed(menu(WINDOWS, folder, "window", "exit 1"), 3, "cancelled")


def test_windows_need_windows_and_a_protocol(folder: Path) -> None:
    nobody = "touch ../asked"
    assert_failed(menu(desktop(), folder, "window", nobody), 5, "no windows")
    assert_failed(menu(Config(), folder, "window", nobody), 4, "no windows")
