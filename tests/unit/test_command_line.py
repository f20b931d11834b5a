"""What the words on the line mean, before and after a capture; the capture itself is a stand-in."""

import io
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from wayshot_cli import cli, errors
from wayshot_cli.cli import printable
from wayshot_cli.errors import CancelledError, CaptureError, NotFoundError, WayshotError
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Box, Size
from wayshot_cli.pixels import XRGB8888

PNG = b"\x89PNG"


class Captures:
    """Stands in for ``wayshot_cli.still.shot``: remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.lists = 0
        self.error: BaseException | None = None

    def shot(self, outputs: tuple[str, ...] | None, **wishes: Any) -> Frame:
        self.asked.append({"outputs": outputs, **wishes})
        if self.error:
            raise self.error
        return Frame(memoryview(bytes(48)), XRGB8888, Size(4, 3), 16)

    def everything(self, _timeout: float) -> tuple[list[Any], list[Any]]:
        self.lists += 1
        return [], []

    @property
    def wishes(self) -> dict[str, Any]:
        (wishes,) = self.asked
        return wishes


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Captures:
    """Run in an empty folder, without a compositor, a home or a pictures folder."""
    captures = Captures()
    monkeypatch.setattr("wayshot_cli.cli.shot.take_shot", captures.shot)
    monkeypatch.setattr("wayshot_cli.cli.list.read", captures.everything)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return captures


def files() -> set[str]:
    return set(os.listdir())


# FILE and the subcommands


@pytest.mark.parametrize(
    "words",
    [
        ["--", "list"],
        ["-c", "list"],
        ["./list"],
        ["-o", "list", "list"],
        ["--no-clobber", "list", "-c"],
        ["-c", "--", "list"],
    ],
    ids=" ".join,
)
def test_anything_but_the_first_word_is_a_file(captures: Captures, words: list[str]) -> None:
    assert cli.run(words) == 0
    assert captures.lists == 0
    assert Path("list").read_bytes().startswith(PNG)


def test_a_subcommand_is_the_first_word(captures: Captures) -> None:
    assert cli.run(["list"]) == 0
    assert cli.run(["list", "--json"]) == 0
    assert captures.lists == 2
    assert files() == set()


@pytest.mark.parametrize("word", ["List", "lis", "list.png", "doctor.png", "record.png"])
def test_what_only_resembles_a_subcommand_is_a_file(captures: Captures, word: str) -> None:
    assert cli.run([word]) == 0
    assert files() == {word}
    assert captures.lists == 0


def test_the_options_of_a_still_are_not_a_subcommands(captures: Captures) -> None:
    assert cli.run(["list", "-o", "DP-1"]) == 2
    assert cli.run(["list", "a.png"]) == 2
    assert captures.lists == 0


def test_options_stand_before_and_after_the_file(captures: Captures) -> None:
    assert cli.run(["-o", "DP-1", "a.png", "-c", "-o", "DP-2"]) == 0
    assert captures.wishes["outputs"] == ("DP-1", "DP-2")
    assert captures.wishes["cursor"] is True
    assert files() == {"a.png"}


def test_no_words_at_all_are_a_still_of_everything(captures: Captures) -> None:
    assert cli.run([]) == 0
    assert captures.wishes["outputs"] is None
    assert captures.wishes["region"] is None
    assert len(files()) == 1


def test_an_option_without_its_value_is_refused(captures: Captures) -> None:
    assert cli.run(["-c", "-o"]) == 2
    assert not captures.asked


def test_two_files_are_one_too_many(captures: Captures) -> None:
    assert cli.run(["a.png", "b.png"]) == 2
    assert not captures.asked


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["list", "--help"], ["--version"]])
def test_help_and_version_are_what_was_asked_for(
    captures: Captures, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(words) == 0
    said = capsys.readouterr()
    assert "wayshot" in said.out
    assert said.err == ""
    assert not captures.asked


# Values


@pytest.mark.parametrize(
    "words",
    [
        ["-g", "-5,-6 7x8"],
        ["-g-5,-6 7x8"],
        ["--region=-5,-6 7x8"],
        ["--region", "-5,-6 7x8"],
        ["--geometry", "7x8+-5+-6"],
        ["-cg", "-5,-6 7x8\n"],
    ],
)
def test_a_region_may_begin_with_a_minus(captures: Captures, words: list[str]) -> None:
    assert cli.run([*words, "a.png"]) == 0
    assert captures.wishes["region"] == Box(-5, -6, 7, 8)


@pytest.mark.parametrize(
    ("stdin", "code"),
    [(b"1,2 3x4\n5,6 7x8\n", 0), (b"1,2 3x4", 0), (b"", 3), (b"\n", 3), (b"\xff\n", 2)],
)
def test_a_region_is_a_line_of_stdin_where_it_says_so(
    captures: Captures, monkeypatch: pytest.MonkeyPatch, stdin: bytes, code: int
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    assert cli.run(["-g", "-", "a.png"]) == code
    assert [wishes["region"] for wishes in captures.asked] == [Box(1, 2, 3, 4)] * (code == 0)


@pytest.mark.parametrize(
    "words",
    [
        ["-o", "DP-1", "-g", "0,0 1x1"],
        ["-o", "DP-1", "-w", "active"],
        ["-g", "0,0 1x1", "-w", ""],
        ["-w", "active", "-s", "2"],
        ["-g", "everything"],
        ["-g", "0,0 0x0"],
        *([option, value] for option in ("-s", "--timeout") for value in ("0", "-1", "nan", "inf")),
        *(["-d", value] for value in ("-1", "nan", "inf", "-inf", "1e300", "soon")),
        ["--timeout", "1e300"],
        ["-l", "10"],
        ["-l", "-1"],
        ["-l", "2.5"],
        ["-q", "0", "-t", "jpeg"],
        ["-q", "101", "-t", "jpeg"],
        ["-q", "80"],
        ["-l", "3", "-t", "jpeg"],
        ["--metadata", "-t", "qoi"],
        ["-t", "bmp"],
        ["-t", "PNG "],
        ["--backend", "portal2"],
        ["--buffer", "paper"],
        ["--editor", "gimp"],
        ["--no-such-option"],
    ],
    ids=" ".join,
)
def test_nonsense_is_refused_before_anything_is_done(
    captures: Captures, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*words, "a.png"]) == 2
    assert not captures.asked
    assert files() == set()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("wayshot: ")


def test_the_choices_for_a_word_that_is_missing_stand_in_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["completions"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith("Choose from: bash, fish, zsh")
    assert len(said) == 2


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--selct", ["select", "selector"]),
        ("--clip", ["clipboard"]),
        ("--ex", ["exec"]),
        ("--x", []),
    ],
)
def test_options_are_suggested_by_more_than_their_dashes(
    captures: Captures, typed: str, meant: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([typed, "a.png"]) == 2
    assert not captures.asked
    message = capsys.readouterr().err.splitlines()[0].partition(typed)[2]
    assert re.findall(r"--([a-z-]+)", message) == meant


def test_an_unknown_extension_is_refused_with_the_known_ones(
    captures: Captures, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["a.bmp"]) == 2
    assert not captures.asked
    said = capsys.readouterr().err
    assert "'.bmp'" in said
    for extension in (".png", ".jpg", ".webp", ".qoi", ".raw"):
        assert extension in said
    assert cli.run(["-t", "png", "a.bmp"]) == 0
    assert Path("a.bmp").read_bytes().startswith(PNG)


def test_wishes_reach_the_capture(captures: Captures) -> None:
    assert cli.run(["-s", "1.5", "--timeout", "0.5", "--backend", "screencopy", "a.png"]) == 0
    assert captures.wishes["scale"] == 1.5
    assert captures.wishes["timeout"] == 0.5
    assert captures.wishes["backend"] == "screencopy"


def test_a_window_is_handed_over(captures: Captures) -> None:
    assert cli.run(["-w", "title:-o -g", "a.png"]) == 0
    assert captures.wishes["window"] == "title:-o -g"
    assert captures.wishes["outputs"] is None
    assert captures.wishes["region"] is None


def test_a_delay_is_handed_over(captures: Captures) -> None:
    assert cli.run(["-d", "2.5", "a.png"]) == 0
    assert captures.wishes["delay"] == 2.5


# Where the picture goes


def printed_path(capfd: pytest.CaptureFixture[str]) -> Path:
    out = capfd.readouterr().out
    assert out.endswith("\n")
    return Path(out.removesuffix("\n"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> str:
    """It is always the same second; returns how a file of then is called."""
    moment = time.strptime("2024-02-03 04:05:06", "%Y-%m-%d %H:%M:%S")
    real = time.strftime
    monkeypatch.setattr(time, "strftime", lambda form, when=moment: real(form, when))
    return "wayshot-20240203-040506"


@pytest.mark.parametrize("target", ["shots", "shots/", "./shots"])
def test_a_folder_gets_a_new_file_named_by_the_date(
    captures: Captures, clock: str, capfd: pytest.CaptureFixture[str], target: str
) -> None:
    Path("shots").mkdir()
    for suffix in ("", "-2", "-3"):
        assert cli.run([target]) == 0
        assert printed_path(capfd) == Path("shots", f"{clock}{suffix}.png")
    assert cli.run(["-t", "jpg", target]) == 0
    assert printed_path(capfd) == Path("shots", f"{clock}.jpg")
    assert len(captures.asked) == len(os.listdir("shots")) == 4


def test_a_folder_that_does_not_exist_is_not_made(captures: Captures) -> None:
    assert cli.run(["shots/"]) == 1
    assert captures.asked
    assert files() == set()


@pytest.mark.parametrize(
    ("lines", "folder"),
    [
        ('XDG_PICTURES_DIR="$HOME/Pictures"', "home/Pictures"),
        ('XDG_PICTURES_DIR="$HOME/My Pictures"', "home/My Pictures"),
        ('XDG_PICTURES_DIR="/{tmp}/away"', "away"),
        ('  XDG_PICTURES_DIR="$HOME/Pictures"  ', "home/Pictures"),
        ('XDG_PICTURES_DIR="$HOME/Pictures" # mine', "home/Pictures"),
        ('# a comment\n\nnonsense\n=\nXDG_PICTURES_DIR="$HOME/Pictures"\n', "home/Pictures"),
        (
            'XDG_DOCUMENTS_DIR="$HOME/My Pictures"\nXDG_PICTURES_DIR="$HOME/Pictures"',
            "home/Pictures",
        ),
        ('XDG_PICTURES_DIR="$HOME/say \\"cheese\\""', 'home/say "cheese"'),
        ('XDG_PICTURES_DIR="$HOME/5\\$ \\\\ \\`"', "home/5$ \\ `"),
        ('XDG_PICTURES_DIR="$HOME/caf\\udce9"', "home/caf\udce9"),
        # Everything else falls back to the current folder.
        ('XDG_PICTURES_DIR="$HOME/missing"', "cwd"),
        ('XDG_PICTURES_DIR="Pictures"', "cwd"),
        ('XDG_PICTURES_DIR="$OTHER/Pictures"', "cwd"),
        ('XDG_PICTURES_DIR="${{HOME}}/Pictures"', "cwd"),
        ('XDG_PICTURES_DIR="~/Pictures"', "cwd"),
        ('XDG_PICTURES_DIR="$(touch {tmp}/cwd/sourced)$HOME/Pictures"', "cwd"),
        ('XDG_PICTURES_DIR="$HOME/`touch {tmp}/cwd/sourced`"', "cwd"),
        ('#XDG_PICTURES_DIR="$HOME/Pictures"', "cwd"),
        ('MY_XDG_PICTURES_DIR="$HOME/Pictures"', "cwd"),
        ("XDG_PICTURES_DIR=", "cwd"),
        ("XDG_PICTURES_DIR", "cwd"),
        ("\0\0\0", "cwd"),
        ("", "cwd"),
    ],
    ids=ascii,
)
@pytest.mark.usefixtures("captures")
def test_the_pictures_folder_is_read_as_user_dirs_has_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], lines: str, folder: str
) -> None:
    config = tmp_path / "home" / ".config"
    config.mkdir(parents=True)
    for name in ("Pictures", "My Pictures", 'say "cheese"', "5$ \\ `", "caf\udce9", "../away"):
        (tmp_path / "home" / name).mkdir()
    text = lines.replace("\\udce9", "\udce9").format(tmp=str(tmp_path).lstrip("/"))
    (config / "user-dirs.dirs").write_text(text, errors="surrogateescape")
    assert cli.run(["-c"]) == 0
    written = Path(capfd.readouterr().out.removesuffix("\n")).resolve()
    assert [path.name for path in (tmp_path / folder).iterdir()] == [written.name]
    assert not (tmp_path / "cwd" / "sourced").exists()


@pytest.mark.usefixtures("captures")
def test_xdg_config_home_says_where_the_configuration_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "away").mkdir()
    (tmp_path / "config/user-dirs.dirs").write_text(f'XDG_PICTURES_DIR="{tmp_path}/away"\n')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert cli.run(["-c"]) == 0
    assert len(list((tmp_path / "away").iterdir())) == 1


def test_a_dash_is_stdout_and_a_dash_with_a_slash_a_file(
    captures: Captures, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert cli.run(["-"]) == 0
    assert capfdbinary.readouterr().out.startswith(PNG)
    assert files() == set()
    assert cli.run(["./-"]) == 0
    assert capfdbinary.readouterr().out == b""
    assert files() == {"-"}
    assert len(captures.asked) == 2


@pytest.mark.parametrize(
    "target", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "{tty}", "link", "/dev/fd/{fd}"]
)
def test_a_terminal_gets_no_pictures(
    captures: Captures, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    """Stdout is one, by whatever name; so is a path, and another descriptor."""
    ours, theirs = pty.openpty()
    os.symlink(os.ttyname(theirs), "link")
    saved = os.dup(1)
    if target in {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}:
        os.dup2(theirs, 1)
    try:
        assert cli.run(["-t", "png", target.format(tty=os.ttyname(theirs), fd=theirs)]) == 2
    finally:
        os.dup2(saved, 1)
        for fd in (saved, ours, theirs):
            os.close(fd)
    assert not captures.asked
    assert "is a terminal" in capsys.readouterr().err
    assert files() == {"link"}


def test_an_empty_name_is_refused_and_nothing_is_written(
    captures: Captures, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(tmp_path.rglob("*"))
    assert cli.run([""]) == 2
    assert not captures.asked
    assert set(tmp_path.rglob("*")) == before
    assert "empty" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["7777", "99999999999", "9" * 40])
@pytest.mark.usefixtures("captures")
def test_a_descriptor_that_is_not_open_is_an_error_in_words(
    capsys: pytest.CaptureFixture[str], number: str
) -> None:
    assert cli.run([f"/dev/fd/{number}"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"wayshot: cannot write '/dev/fd/{number}'")
    assert said.count("\n") == 1


def test_no_clobber_keeps_an_existing_file(captures: Captures) -> None:
    Path("a.png").write_bytes(b"old")
    assert cli.run(["--no-clobber", "a.png"]) == 1
    assert Path("a.png").read_bytes() == b"old"
    assert cli.run(["a.png"]) == 0
    assert Path("a.png").read_bytes().startswith(PNG)
    assert captures.asked


# Errors


def error_classes() -> list[type[WayshotError]]:
    return [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, WayshotError)
    ]


EXIT_CODES = {
    "WayshotError": 1,
    "CaptureError": 1,
    "CaptureTimeoutError": 1,
    "FramesHeldError": 1,
    "ConcurrentUseError": 1,
    "WriteError": 1,
    "ClosedError": 1,
    "InvalidArgumentError": 2,
    "SelectionError": 1,
    "CancelledError": 3,
    "UnsupportedError": 4,
    "NotFoundError": 5,
    "TargetLostError": 6,
}


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_each_error_ends_the_command_with_its_code_and_way_out(
    captures: Captures, capsys: pytest.CaptureFixture[str], kind: type[WayshotError]
) -> None:
    captures.error = kind("what went wrong", hint="the way out")
    assert cli.run(["a.png"]) == EXIT_CODES[kind.__name__]
    said = capsys.readouterr()
    assert said.err == "wayshot: what went wrong\n  the way out\n"
    assert said.out == ""
    assert files() == set()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "out of memory"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_errors_of_the_system_are_told_in_a_line(
    captures: Captures, capsys: pytest.CaptureFixture[str], error: Exception, words: str
) -> None:
    captures.error = error
    assert cli.run(["a.png"]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_a_closed_pipe_is_an_error_without_words(
    captures: Captures, capsys: pytest.CaptureFixture[str]
) -> None:
    error = CaptureError("cannot write")
    error.__cause__ = BrokenPipeError()
    for captures.error in (error, BrokenPipeError()):
        assert cli.run(["a.png"]) == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("kind", [NotFoundError, CancelledError])
def test_messages_cannot_move_the_cursor_or_change_colours(
    captures: Captures, capsys: pytest.CaptureFixture[str], kind: type[WayshotError]
) -> None:
    evil = "\x1b[2J\x9b31m\r\nwayshot: all is well\u202e\udcff\x7f\0"
    captures.error = kind(evil, hint=evil)
    assert cli.run(["a.png"]) == kind.exit_code
    said = capsys.readouterr().err
    assert said.count("\n") == 2
    assert said.replace("\n", "").isprintable()
    assert said.isascii()


def test_printable_text_of_any_script_stays() -> None:
    assert printable("Büro \u5c4f\u5e55 \u00bd") == "Büro \u5c4f\u5e55 \u00bd"
    assert printable("a\x1bb\u200fc") == "a\\x1bb\\u200fc"


def run_wayshot(redirections: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command with descriptors as only a shell can arrange them."""
    return subprocess.run(
        [
            "/bin/sh",
            "-c",
            f'exec "$@" {redirections}',
            "sh",
            sys.executable,
            "-m",
            "wayshot_cli",
            *words,
        ],
        capture_output=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "0<&- 2>&-"])
def test_words_for_a_stderr_that_takes_none_go_nowhere_else(redirection: str) -> None:
    done = run_wayshot(redirection, "--no-such-option")
    assert (done.returncode, done.stdout) == (2, b"")


def test_a_region_from_a_closed_stdin_is_an_error_of_the_family(tmp_path: Path) -> None:
    done = run_wayshot("<&-", "-g", "-", str(tmp_path / "a.png"))
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], ["completions", "bash"]], ids=" ".join
)
def test_output_that_cannot_be_written_is_an_error(redirection: str, words: list[str]) -> None:
    done = run_wayshot(redirection, *words)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert done.stderr.startswith(b"wayshot: ")


def test_the_command_leaves_usr1_and_usr2_alone_from_its_first_statement() -> None:
    """Their default is death; a key binding may send one before the picture is taken."""
    script = """
import os, signal, sys
from wayshot_cli import cli
def stand_in():
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        os.kill(os.getpid(), number)
    sys.exit(0)
cli.run_and_exit = stand_in
from wayshot_cli.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=20, check=False)
    assert done.returncode == 0


# What is selected


@pytest.fixture
def selected(monkeypatch: pytest.MonkeyPatch, captures: Captures) -> Captures:
    """Stands in for what asks the user, too; both are remembered in one list."""

    def selected_shot(kind: str, programs: Any, **wishes: Any) -> Frame:
        return captures.shot(None, select=kind, programs=programs, **wishes)

    monkeypatch.setattr("wayshot_cli.cli.selecting.selected_shot", selected_shot)
    monkeypatch.delenv("WAYSHOT_SELECTOR", raising=False)
    monkeypatch.delenv("WAYSHOT_MENU", raising=False)
    return captures


@pytest.mark.parametrize(
    ("words", "kind", "file"),
    [
        (["--select", "a.png"], "region", "a.png"),
        (["a.png", "--select"], "region", "a.png"),
        (["--select", "output", "a.png"], "output", "a.png"),
        (["a.png", "--select", "window"], "window", "a.png"),
        (["--select=window", "a.png"], "window", "a.png"),
        (["--select", "./output"], "region", "output"),
        (["--select", "output", "output"], "output", "output"),
        (["--select", "--", "output"], "region", "output"),
        (["--select", "-c", "a.png"], "region", "a.png"),
        (["--select", "--select", "a.png"], "region", "a.png"),
        (["--select", "window", "--select", "a.png"], "region", "a.png"),
        (["--select", "--select", "output", "a.png"], "output", "a.png"),
        (["--selector", "--select", "--select", "a.png"], "region", "a.png"),
        (["-c", "--", "--select"], None, "--select"),
        (["-o", "--select", "a.png"], None, "a.png"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_only_its_three_words_are_values_of_select(
    selected: Captures, words: list[str], kind: str | None, file: str
) -> None:
    assert cli.run(words) == 0
    assert files() == {file}
    assert selected.wishes.get("select") == kind


def test_select_may_have_no_file_behind_it(
    selected: Captures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wayshot_cli.sinks.is_terminal", lambda _file: False)
    assert cli.run(["--select"]) == 0
    assert selected.wishes["select"] == "region"
    (name,) = files()
    assert name.startswith("wayshot-")


@pytest.mark.parametrize(
    "words",
    [
        ["--select=a.png"],
        ["--select="],
        ["--select", "a.png", "b.png"],
        ["--select", "-o", "DP-1", "a.png"],
        ["--select", "-g", "1,2 3x4", "a.png"],
        ["--select", "window", "-w", "active", "a.png"],
        ["--select", "window", "-s", "2", "a.png"],
        ["--select", "--pipewire-node", "5", "a.png"],
        ["--freeze", "a.png"],
        ["--freeze", "-g", "1,2 3x4", "a.png"],
        ["--freeze", "--select", "window", "a.png"],
        ["--select", "--selector", "", "a.png"],
        ["--select", "--selector", "'", "a.png"],
        ["--select", "--menu", "''", "a.png"],
        ["--select", "--selector", "a\0b", "a.png"],
        ["--select", "window", "--menu", "a 'b", "a.png"],
        ["--edit", "--editor", "a 'b", "a.png"],
        ["--exec", "", "a.png"],
        ["--exec", "a 'b", "a.png"],
        ["--exec", "a\0b", "a.png"],
        ["--selector", "slurp", "a.png"],
        ["--menu", "wofi", "a.png"],
        ["--select", "--menu", "wofi", "a.png"],
        ["--select", "window", "--selector", "slurp", "a.png"],
        ["--select", "output", "--freeze", "--menu", "wofi", "a.png"],
        ["record", "--selector", "slurp", "a.mkv"],
        ["record", "--select", "-o", "DP-1", "a.mkv"],
        ["record", "--select", "--pipewire-node", "5", "a.mkv"],
        ["record", "--freeze", "--select", "a.mkv"],
    ],
    ids=" ".join,
)
def test_a_selection_that_contradicts_itself_is_refused(
    selected: Captures, words: list[str]
) -> None:
    assert cli.run(words) == 2
    assert not selected.asked
    assert files() == set()


def test_commands_that_ask_are_split_into_words(
    selected: Captures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYSHOT_SELECTOR", "from the environment")
    monkeypatch.setenv("WAYSHOT_MENU", "fuzzel --dmenu -p 'which one? '")
    assert cli.run(["--select", "--freeze", "--selector", r"slurp -b '#0008' \$x", "a.png"]) == 0
    assert selected.wishes["programs"].selector == ["slurp", "-b", "#0008", "$x"]
    assert selected.wishes["programs"].menu == ["fuzzel", "--dmenu", "-p", "which one? "]
    assert selected.wishes["is_frozen"] is True


UNREADABLE = ("WAYSHOT_SELECTOR", "WAYSHOT_MENU", "WAYSHOT_EDITOR")


@pytest.mark.parametrize(
    ("words", "variable"),
    [
        (["--select"], "WAYSHOT_SELECTOR"),
        (["--select", "output"], "WAYSHOT_SELECTOR"),
        (["--select", "output", "--selector", "slurp"], "WAYSHOT_MENU"),
        (["--select", "window"], "WAYSHOT_MENU"),
        (["--edit"], "WAYSHOT_EDITOR"),
        (["record", "--select"], "WAYSHOT_SELECTOR"),
        (["color"], "WAYSHOT_SELECTOR"),
        (["color", "--freeze"], "WAYSHOT_SELECTOR"),
        ([], None),
        (["--select", "--selector", "slurp"], None),
        (["--select", "output", "--freeze", "--selector", "slurp"], None),
        (["--select", "output", "--menu", "fuzzel"], None),
        (["--select", "window", "--menu", "fuzzel"], None),
        (["--edit", "--editor", "true"], None),
    ],
    ids=str,
)
@pytest.mark.parametrize("command", ["slurp '", " ", "''"])
def test_a_variable_that_cannot_be_read_matters_where_it_is_used(  # noqa: PLR0913, PLR0917 - fixtures
    selected: Captures,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    variable: str | None,
    command: str,
) -> None:
    for name in UNREADABLE:
        monkeypatch.setenv(name, command)
    code = cli.run([*words, *([] if "color" in words else ["a.png"])])
    if variable is None:
        assert code == 0
        assert selected.asked
    else:
        assert code == 2
        assert f"{variable}: {command!r}" in capsys.readouterr().err
        assert not selected.asked
