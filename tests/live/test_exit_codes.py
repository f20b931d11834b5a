"""What goes wrong in daily use, the exit code that scripts see and the words that people see."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.live.command import PATIENCE, WAYSHOT, error, frozen, start, wayshot
from tests.live.conftest import on_both_sways
from wayshot_cli.waiting import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stage import Sway

pytestmark = on_both_sways

FAILED, USAGE, CANCELLED, CANNOT, NOT_FOUND = 1, 2, 3, 4, 5


def test_an_unknown_output_is_answered_with_the_known_ones(
    one_output: Sway, tmp_path: Path
) -> None:
    """5, and a way out."""
    result = wayshot(one_output, "-o", "DP-9", tmp_path / "a.png")
    assert result.returncode == NOT_FOUND
    assert "DP-9" in error(result)
    assert "HEADLESS-1" in error(result)
    assert not list(tmp_path.iterdir())


def test_control_characters_in_a_name_do_not_reach_the_terminal(one_output: Sway) -> None:
    """A name may come from anywhere; an escape sequence in it stays text."""
    result = wayshot(one_output, "-o", "DP\033[31m\a", "-")
    assert result.returncode == NOT_FOUND
    assert not {"\033", "\a"} & set(error(result))


@pytest.mark.parametrize(
    "region", ["garbage", "1,2", "1,2 3", "10x10", "1,2 0x5", "1,2 -3x5", "1.5,2 3x4", "1,2 3x4 5"]
)
def test_a_region_that_is_none(one_output: Sway, region: str) -> None:
    """2, from the command line and from stdin; never the whole screen."""
    assert wayshot(one_output, "-g", region, "-").returncode == USAGE
    result = wayshot(one_output, "-g", "-", "-", stdin=region)
    assert result.returncode == USAGE
    assert error(result)


@pytest.mark.parametrize("region", ["", " ", "\n"])
def test_an_empty_region_means_cancelled(one_output: Sway, region: str) -> None:
    """3: the user pressed Escape in slurp."""
    assert wayshot(one_output, "-g", "-", "-", stdin=region).returncode == CANCELLED
    result = wayshot(one_output, "-g", region, "-")
    assert result.returncode == CANCELLED
    assert result.stdout == b""


@pytest.mark.parametrize("region", ["5000,5000 10x10", "203,0 10x10", "-10,-10 10x10"])
def test_a_region_that_touches_no_output(one_output: Sway, region: str) -> None:
    """5, also when it lies against an output's edge."""
    result = wayshot(one_output, "-g", region, "-")
    assert result.returncode == NOT_FOUND
    assert error(result)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--no-such-option"],
        ["-o", "HEADLESS-1", "-g", "0,0 5x5", "-"],
        ["-s", "0", "-"],
        ["-s", "-1", "-"],
        ["-s", "nan", "-"],
        ["-s", "inf", "-"],
        ["-t", "docx", "-"],
        ["picture.docx"],
        ["one.png", "two.png"],
    ],
)
def test_nonsense(one_output: Sway, tmp_path: Path, arguments: list[str]) -> None:
    """2, with words and without a file."""
    result = wayshot(one_output, *arguments, cwd=tmp_path)
    assert result.returncode == USAGE
    assert error(result)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "env",
    [
        {"WAYLAND_DISPLAY": ""},
        {"WAYLAND_DISPLAY": "wayland-99"},
        {"WAYLAND_DISPLAY": "wayland-0", "XDG_RUNTIME_DIR": ""},
        {"WAYLAND_DISPLAY": "x" * 200},
    ],
)
def test_no_compositor(one_output: Sway, env: dict[str, str]) -> None:
    """4, in words."""
    result = wayshot(one_output, "-", env=env)
    assert result.returncode == CANNOT
    assert error(result)


def test_a_socket_that_nobody_serves(one_output: Sway, tmp_path: Path) -> None:
    """4: the compositor has died and left its socket."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    result = wayshot(one_output, "-", env={"WAYLAND_DISPLAY": str(tmp_path / "dead")})
    assert result.returncode == CANNOT
    assert error(result)


def test_a_compositor_that_does_not_answer(one_output: Sway) -> None:
    """1 after --timeout, and the step that it waited for."""
    with frozen(one_output):
        before = time.monotonic()
        result = wayshot(one_output, "--timeout", "0.5", "-")
        assert time.monotonic() - before < DEFAULT_TIMEOUT
    assert result.returncode == FAILED
    assert error(result)


def test_a_pipe_that_closes_early_is_no_news(one_output: Sway) -> None:
    """1 without a word: `wayshot - | head -c 10` is an everyday thing."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stdout:
        process = start(one_output, "-t", "ppm", "-", stdout=stdout)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, stderr) == (FAILED, b"")


def test_a_reader_that_takes_only_the_beginning(one_output: Sway) -> None:
    """1 without a word, when the pipe closes in the middle of the picture."""
    one_output.set_output("HEADLESS-1", width=1000, height=1000)
    try:
        with start(one_output, "-t", "ppm", "-") as process:
            assert process.stdout
            assert process.stderr
            assert process.stdout.read(10)
            process.stdout.close()
            stderr = process.stderr.read()
        assert (process.returncode, stderr) == (FAILED, b"")
    finally:
        one_output.set_output("HEADLESS-1", width=203, height=117)


def test_a_full_disk(one_output: Sway) -> None:
    """1: /dev/full takes no byte, however small the picture."""
    with open("/dev/full", "wb") as full:
        process = start(one_output, "-", stdout=full)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == FAILED
    assert b"No space left" in stderr
    assert b"Traceback" not in stderr


@pytest.mark.parametrize("arguments", [[], ["-g", "0,0 1x1"]])
def test_no_picture_on_a_terminal(one_output: Sway, arguments: list[str]) -> None:
    """2, before a byte is out; the words are on stderr."""
    controller, terminal = pty.openpty()
    try:
        with os.fdopen(terminal, "wb") as stdout:
            process = start(one_output, *arguments, "-", stdout=stdout)
            _, stderr = process.communicate(timeout=PATIENCE)
            assert process.returncode == USAGE
            assert b"terminal" in stderr
            os.set_blocking(controller, False)
            with pytest.raises(BlockingIOError):
                os.read(controller, 1)
    finally:
        os.close(controller)


def test_a_closed_stdout(one_output: Sway) -> None:
    """1: `wayshot - >&-` has nowhere to write; nothing else may be taken for stdout."""
    process = subprocess.run(
        ["sh", "-c", 'exec "$0" "$@" >&-', *WAYSHOT, "-"],
        env=one_output.env,
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
        check=False,
    )
    assert process.returncode == FAILED
    assert process.stderr
    assert b"Traceback" not in process.stderr
