"""What is said of a recording: refusals before anything is captured, errors, the status line."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import resource
import shutil
import signal
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import probe, y4m
from tests.fake import FakeCompositor, Fault, Step, faults
from tests.faults.command import TIMEOUT, assert_failed
from tests.faults.recording import (
    FRAME,
    MANAGER,
    SOON,
    STATIC,
    Recording,
    moving,
    record,
    recording,
)
from tests.processes import wait_until
from tests.statistics import read_statistics
from wayshot_cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

NONSENSE = [
    # What was typed, and what the refusal has to name.
    ("--fps 0 a.y4m", "'0'"),
    ("--fps -1 a.y4m", "'-1'"),
    ("--fps nan a.y4m", "'nan'"),
    ("--fps 1/0 a.y4m", "'1/0'"),
    ("--fps 1001 a.y4m", "1000"),
    ("--fps fast a.y4m", "'fast'"),
    ("--duration 0 a.y4m", "--duration"),
    ("--duration -1 a.y4m", "--duration"),
    ("--duration nan a.y4m", "--duration"),
    ("--duration inf a.y4m", "--duration"),
    ("--frames 0 a.y4m", "--frames"),
    ("--frames 1.5 a.y4m", "--frames"),
    ("--delay -1 a.y4m", "--delay"),
    ("--timeout 0 a.y4m", "--timeout"),
    ("--bitrate 0 a.mp4", "--bitrate"),
    ("--bitrate -5M a.mp4", "--bitrate"),
    ("--bitrate nan a.mp4", "--bitrate"),
    ("--bitrate 5X a.mp4", "--bitrate"),
    ("--gop 0 a.mp4", "--gop"),
    ("--crf best a.mp4", "--crf"),
    ("--codec-option tune a.mp4", "--codec-option"),
    ("--codec-option =film a.mp4", "--codec-option"),
    ("--pixel-format nonsense a.y4m", "'nonsense'"),
    ("--pixel-format nv12 a.y4m", "'nv12'"),
    ("--pixel-format nonsense a.raw", "'nonsense'"),
    ("--pixel-format nonsense a.mp4", "'nonsense'"),
    ("--colorspace bt2020 a.y4m", "--colorspace"),
    ("--color-range tv a.y4m", "--color-range"),
    ("--codec libx264 a.y4m", "--codec"),
    ("--codec libx264 a.raw", "--codec"),
    ("--crf 20 a.raw", "--crf"),
    ("--preset fast a.y4m", "--preset"),
    ("--bitrate 5M a.raw", "--bitrate"),
    ("--gop 10 a.y4m", "--gop"),
    ("--codec-option a=b a.raw", "--codec-option"),
    ("--codec nonsense a.mp4", "'nonsense'"),
    ("--codec libx264 a.webm", "libx264"),
    ("--preset nonsense a.mp4", "nonsense"),
    ("--codec-option nonsense=1 a.mp4", "nonsense"),
    ("--crf 20 a.gif", "crf"),
    ("--timestamps t.txt a.y4m", "--timestamps"),
    ("--timestamps t.txt a.mkv", "--timestamps"),
    ("--timestamps t.txt -r 30 a.raw", "--timestamps"),
    ("-t raw --timestamps a.raw a.raw", "--timestamps"),
    ("-t raw --timestamps - -", "--timestamps"),
    ("--on-resize segment -", "segment"),
    ("--on-resize segment /dev/null", "segment"),
    ("--on-resize grow a.y4m", "--on-resize"),
    ("--on-lost cry a.y4m", "--on-lost"),
    ("a.avi", "'.avi'"),
    ("-t avi a.avi", "avi"),
    ("--encoder-args -an a.mp4", "--encoder-args"),
    ("--encoder ffmpeg --encoder-args ' a.mp4", "--encoder-args"),
    ("--encoder ffmpeg -", "--encoder ffmpeg"),
    ("--encoder ffmpeg a.y4m", "--encoder ffmpeg"),
    ("--encoder ffmpeg --crf 20 a.mp4", "--crf"),
    ("--encoder ffmpeg --pixel-format bgr0 a.mp4", "'bgr0'"),
    ("--encoder gstreamer a.mp4", "--encoder"),
    ("-o FAKE-1 -g 0,0+1x1 a.y4m", "--region"),
    ("-g nonsense a.y4m", "nonsense"),
    ("--backend nonsense a.y4m", "--backend"),
    ("--nonsense a.y4m", "--nonsense"),
    ("a.y4m b.y4m", "b.y4m"),
]


@pytest.fixture(scope="module")
def static() -> Iterator[FakeCompositor]:
    """Serve a static screen."""
    with FakeCompositor(STATIC) as compositor:
        yield compositor
        assert compositor.violations == compositor.leaks == []


@pytest.fixture
def run(
    static: FakeCompositor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Runner]:
    """Return a function that runs the command here, in an empty folder."""
    for name, value in static.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield Runner(static, capsys)
    for number, handler in before.items():
        signal.signal(number, handler)


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Runner:
    """Runs ``wayshot record`` in this process."""

    def __init__(self, compositor: FakeCompositor, capsys: pytest.CaptureFixture[str]) -> None:
        self.compositor = compositor
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """Return the exit code and what was said on stderr."""
        code = cli.run(["record", *arguments])
        said = self._capsys.readouterr()
        assert said.out == ""
        return code, said.err


# Refused before anything is captured.


@pytest.mark.parametrize(("line", "word"), NONSENSE, ids=[line for line, _ in NONSENSE])
def test_nonsense_is_refused_before_anything_is_touched(
    line: str, word: str, run: Runner, tmp_path: Path
) -> None:
    connections = run.compositor.connections
    code, said = run(*line.split(" "))
    assert code == 2, said
    first, *hints = said.splitlines()
    assert first.startswith("wayshot: ")
    assert word in first
    assert all(hint.startswith("  ") for hint in hints)
    assert list(tmp_path.iterdir()) == []
    assert run.compositor.connections == connections


def test_an_empty_name_is_refused(run: Runner) -> None:
    assert run("")[0] == 2


@pytest.mark.parametrize("arguments", [("-o", "FAKE-9"), ("-g", "900,900 10x10")], ids=str)
def test_what_is_not_there_is_told_with_its_own_code(
    arguments: tuple[str, ...], run: Runner, tmp_path: Path
) -> None:
    code, said = run(*arguments, "a.y4m")
    assert code == 5
    assert arguments[1].split(maxsplit=1)[0] in said
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_not_replaced_where_it_must_not(run: Runner, tmp_path: Path) -> None:
    for name in ("a.y4m", "a.gif", "t.txt"):
        (tmp_path / name).write_text("old")
    connections = run.compositor.connections
    for arguments in (("a.y4m",), ("a.gif",), ("-t", "raw", "--timestamps", "t.txt", "b.raw")):
        code, said = run("--no-clobber", *arguments)
        assert code == 1
        assert "File exists" in said
    assert {path.read_text() for path in tmp_path.iterdir()} == {"old"}
    assert run.compositor.connections == connections


@pytest.mark.parametrize("file", ["nowhere/a.y4m", "nowhere/a.mp4", "nowhere/a.gif", "/proc/a.y4m"])
def test_a_place_that_nothing_can_be_written_to_is_told(
    file: str, run: Runner, tmp_path: Path
) -> None:
    code, said = run("--duration", "1", file)
    assert code == 1
    assert said.startswith(f"wayshot: cannot write '{file}': ")
    assert ("--mkdir" in said) == file.startswith("nowhere")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", ["-", "/dev/stdout"])
def test_bytes_are_not_written_onto_a_terminal(file: str, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    with io.FileIO(master, "r+"), FakeCompositor(STATIC) as compositor:
        with recording(compositor, tmp_path, file, stdout=slave) as running:
            os.close(slave)
            result = running.result()
        assert compositor.connections == 0
    assert_failed(result, 2, "terminal")


# What goes wrong later.


@pytest.mark.parametrize("format_", ["y4m", "raw", "mkv"])
def test_a_full_disk_is_told_in_one_line(format_: str, tmp_path: Path) -> None:
    result = record(STATIC, tmp_path, "--duration", "0.5", "-t", format_, "/dev/full")
    assert_failed(result, 1, "cannot write '/dev/full'", "No space left")
    assert len(result.words.splitlines()) == 1


def test_a_disk_that_gets_full_leaves_what_there_is(tmp_path: Path) -> None:
    with recording(STATIC, tmp_path, "a.y4m") as running:
        limit = 60_000  # before there is anything
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        result = running.result(SOON)
    assert result.code == 1
    assert "cannot write 'a.y4m': File too large" in result.complaint
    assert (tmp_path / "a.y4m").stat().st_size == limit
    with (tmp_path / "a.y4m").open("rb") as file:
        stream = y4m.Stream(file, allow_cut=True)
        assert len(list(stream)) == result.statistics.written


def test_an_old_file_stays_until_there_is_a_frame(tmp_path: Path) -> None:
    (tmp_path / "a.y4m").write_text("old")
    silent = STATIC.__class__(faults=(Fault(Step.READY, faults.withhold),))
    result = record(silent, tmp_path, "a.y4m", timeout=TIMEOUT)
    assert result.code == 1
    assert "did not answer in time" in result.complaint
    assert (tmp_path / "a.y4m").read_text() == "old"


def test_what_follows_a_recording_in_the_same_place_is_longer_or_shorter_than_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.y4m").write_bytes(bytes(1_000_000))
    result = record(STATIC, tmp_path, "--frames", "2", "a.y4m")
    assert result.code == 0
    assert len(result.stream()[1]) == 2


# What is missing.


@pytest.fixture
def without_av(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of a Python that has no PyAV."""
    folder = tmp_path_factory.mktemp("path")
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['av'] = None\n")
    return {"PYTHONPATH": f"{folder}:{Path(__file__).parents[2]}"}


@pytest.mark.parametrize("arguments", [("a.mp4",), ("-t", "mkv", "-"), ("a.gif",)], ids=str)
def test_without_pyav_video_names_the_extra(
    arguments: tuple[str, ...], without_av: dict[str, str], tmp_path: Path
) -> None:
    with FakeCompositor(STATIC) as compositor:
        with recording(compositor, tmp_path, *arguments, env=without_av) as running:
            result = running.result()
        assert compositor.count(MANAGER, "capture_output") == 0
    assert result.code == 4
    assert "wayshot-cli[video]" in result.words
    assert result.files == []
    assert result.stdout == b""


def test_without_pyav_the_default_is_y4m(without_av: dict[str, str], tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    with recording(STATIC, tmp_path, "--duration", "0.2", env=without_av | home) as running:
        result = running.result()
    assert result.code == 0
    (name,) = result.files
    assert re.fullmatch(r"wayshot-\d{8}-\d{6}\.y4m", name)
    assert result.stdout == f"./{name}\n".encode()
    assert len(result.stream(name)[1]) == result.statistics.written
    assert result.slots == 12


def test_without_ffmpeg_it_is_named(tmp_path: Path) -> None:
    arguments = ("--encoder", "ffmpeg", "--duration", "0.5", "a.mp4")
    with recording(STATIC, tmp_path, *arguments, env={"PATH": str(tmp_path)}) as running:
        result = running.result()
        assert running.compositor.connections == 0
    assert_failed(result, 4, "ffmpeg")


def test_what_ffmpeg_complains_of_is_passed_on(tmp_path: Path) -> None:
    arguments = ("--encoder", "ffmpeg", "--encoder-args", "-c:v nonsense", "--duration", "0.5")
    result = record(STATIC, tmp_path, *arguments, "a.mp4")
    assert_failed(result, 1, "nonsense")


@pytest.mark.parametrize(("path", "code"), [("/nowhere", 4), ("/usr/bin:/bin", 1)])
def test_an_old_file_stays_where_ffmpeg_does_not_begin(
    path: str, code: int, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_text("old")
    arguments = ("--encoder", "ffmpeg", "--encoder-args", "-c:v nonsense", "a.mp4")
    with recording(STATIC, tmp_path, *arguments, env={"PATH": path}) as running:
        assert running.result().code == code
    assert (tmp_path / "a.mp4").read_text() == "old"


# The status line.


class Terminal:
    """A terminal of a recording's stderr, and all that was written onto it."""

    def __init__(self, columns: int) -> None:
        self._master, self.slave = pty.openpty()
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, size)
        self.written = b""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with io.FileIO(self._master) as master, contextlib.suppress(OSError):  # EIO at the end
            while data := master.read(4096):
                self.written += data

    def end(self) -> str:
        """Return all that was written, once nobody has the terminal any more."""
        self._thread.join(SOON)
        assert not self._thread.is_alive()
        return self.written.decode()


@contextlib.contextmanager
def on_terminal(
    folder: Path, *arguments: str, columns: int = 80
) -> Iterator[tuple[Recording, Terminal]]:
    """Record with a terminal as stderr."""
    terminal = Terminal(columns)
    with FakeCompositor(moving(30)) as compositor:
        compositor.env |= {"TERM": "xterm", "PATH": f"{folder}:{os.environ['PATH']}"}
        compositor.env.pop("COLUMNS", None)
        compositor.env.pop("NO_COLOR", None)
        with recording(compositor, folder, *arguments, stderr=terminal.slave) as running:
            os.close(terminal.slave)
            yield running, terminal
        assert compositor.violations == []


HIDE, SHOW, CLEAR = "\x1b[?25l", "\x1b[?25h", "\r\x1b[2K"
LINE = re.compile(
    r"(recording|paused)  \d:\d\d  (\d+) frames  \d+/s  [\d.]+ [kM]?B(  \d+ dropped)?"
)


def status_lines(written: str) -> list[str]:
    """Return the states of the status line, each of which replaced the one before."""
    begin = written.index(HIDE) + len(HIDE)
    end = written.index("\n", begin)
    return [line for line in written[begin:end].split(CLEAR) if line.strip()]


def test_a_terminal_shows_what_goes_on_in_one_line(tmp_path: Path) -> None:
    with on_terminal(tmp_path, "--duration", "2.6", "a.y4m") as (running, terminal):
        assert running.process.wait(2.6 + SOON) == 0
    written = terminal.end()
    lines = status_lines(written)
    assert len(lines) >= 4
    frames = []
    for line in lines:
        match = LINE.fullmatch(line.strip())
        assert match, line
        frames.append(int(match[2]))
    assert frames == sorted(frames)
    assert 30 < frames[-1] <= 78
    assert "0:01" in lines[-1] or "0:02" in lines[-1]
    assert written.rindex(SHOW) > written.rindex(HIDE)
    statistics = read_statistics(written[written.rindex(SHOW) :].replace("\r\n", "\n"))
    assert statistics.seconds == 2.6
    assert statistics.written + statistics.dropped == 78


def test_a_terminal_shows_a_pause(tmp_path: Path) -> None:
    with on_terminal(tmp_path, "a.y4m") as (running, terminal):
        running.wait_for_bytes("a.y4m")
        running.send(signal.SIGUSR1)
        running.wait_until(lambda: b"paused" in terminal.written)
        running.send(signal.SIGINT)
        assert running.process.wait(SOON) == 0
    assert any(line.startswith("paused") for line in status_lines(terminal.end()))


def test_a_narrow_terminal_shows_one_line_as_well(tmp_path: Path) -> None:
    with on_terminal(tmp_path, "--duration", "1.5", "a.y4m", columns=20) as (running, terminal):
        assert running.process.wait(1.5 + SOON) == 0
    lines = status_lines(terminal.end())
    assert len(lines) >= 2
    assert max(len(line.strip()) for line in lines) <= 20
    assert lines[0].startswith("recording  0:0")


def test_the_cursor_is_back_after_a_second_signal(tmp_path: Path) -> None:
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\ncat >/dev/null\nexec sleep 20\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    with on_terminal(tmp_path, "--encoder", "ffmpeg", "a.mp4") as (running, terminal):
        running.compositor.wait_for(FRAME, "copy_with_damage", 3)
        time.sleep(0.3)
        running.send(signal.SIGINT)
        time.sleep(0.2)
        running.send(signal.SIGINT)
        assert running.process.wait(SOON) == 130
    # The child that is left has the terminal still.
    wait_until(
        lambda: terminal.written.rfind(SHOW.encode()) > terminal.written.rfind(HIDE.encode())
    )


def test_the_cursor_is_back_after_an_error(tmp_path: Path) -> None:
    with on_terminal(tmp_path, "a.y4m") as (running, terminal):
        running.wait_for_bytes("a.y4m")
        time.sleep(0.3)
        running.compositor.hang_up()
        assert running.process.wait(SOON) == 1
    written = terminal.end()
    assert written.rindex(SHOW) > written.rindex(HIDE)
    assert "closed the connection" in written[written.rindex(SHOW) :]
    assert "Traceback" not in written


def test_quiet_says_nothing_at_all(tmp_path: Path) -> None:
    arguments = ("--quiet", "--duration", "0.6", "-t", "raw", "a.raw")
    with on_terminal(tmp_path, *arguments) as (running, terminal):
        assert running.process.wait(0.6 + SOON) == 0
    assert terminal.end() == ""
    assert record(STATIC, tmp_path, *arguments).stderr == ""


def test_quiet_tells_errors(tmp_path: Path) -> None:
    result = record(STATIC, tmp_path, "--quiet", "--duration", "0.2", "/dev/full")
    assert_failed(result, 1, "No space left")


def test_verbose_names_the_way_of_capturing(tmp_path: Path) -> None:
    result = record(STATIC, tmp_path, "-v", "--duration", "0.2", "a.y4m")
    assert result.code == 0
    assert "capturing by screencopy into shared memory" in result.words


def test_raw_video_says_how_it_is_read(tmp_path: Path) -> None:
    result = record(STATIC, tmp_path, "--duration", "0.2", "-t", "raw", "a.raw")
    match = re.search(r"to be read as: (ffmpeg .+) -i \.\.\.\n", result.stderr)
    assert match
    command = [shutil.which("ffmpeg") or "ffmpeg", *match[1].split()[1:], "-v", "error"]
    read = subprocess.run(
        [*command, "-i", tmp_path / "a.raw", "-f", "rawvideo", "-pix_fmt", "bgr0", "-"],
        stdout=subprocess.PIPE,
        check=True,
        timeout=probe.PATIENCE,
    )
    assert len(read.stdout) == (tmp_path / "a.raw").stat().st_size
    assert len(read.stdout) == result.statistics.written * 64 * 48 * 4
