"""The system's ffmpeg as encoder: what it writes, and what happens when it does not."""

from __future__ import annotations

import os
import signal
import stat
from fractions import Fraction
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from tests import probe
from wayshot_cli.encode.ffmpeg import FfmpegProcess
from wayshot_cli.encode.stream import VideoOptions
from wayshot_cli.errors import InvalidArgumentError, UnsupportedError, WriteError
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Size
from wayshot_cli.pixels import BGR888

SECOND = 1_000_000_000
NTSC = Fraction(60_000, 1001)
SIZE = Size(64, 48)
COLOURS = ((255, 0, 0), (0, 255, 0), (20, 30, 40), (200, 100, 50))
USUAL = VideoOptions()
LOSSLESS = ("-c:v", "ffv1")


def solid(colour: tuple[int, int, int], size: Size = SIZE) -> Frame:
    """Return a frame of one colour."""
    memory = memoryview(bytes(colour) * (size.width * size.height))
    return Frame(memory, BGR888, size, 3 * size.width)


def record(
    path: Path | str, *arguments: str, options: VideoOptions = USUAL, size: Size = SIZE
) -> FfmpegProcess:
    """Write each colour, and the last one twice."""
    stream = FfmpegProcess(str(path), solid(COLOURS[0], size), NTSC, arguments, options)
    assert stream.size == size
    try:
        for number, colour in enumerate(COLOURS):
            stream.write(solid(colour, size), int(number * SECOND / NTSC))
        stream.repeat(int(len(COLOURS) * SECOND / NTSC))
        stream.close(int((len(COLOURS) + 1) * SECOND / NTSC))
    except BaseException:
        stream.abandon()
        raise
    return stream


def is_running(pid: int) -> bool:
    """Whether a process runs, or has ended without anybody having looked."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Let a shell script be the ffmpeg that is found."""
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("colorspace", ["bt709", "bt601"])
def test_the_file_has_colours_rate_and_tags(
    tmp_path: Path, colorspace: str, *, full_range: bool
) -> None:
    options = VideoOptions(colorspace=colorspace, full_range=full_range)
    path = tmp_path / "a.mp4"
    stream = record(path, "-c:v", "libx264", "-crf", "10", options=options)
    assert not is_running(stream._process.pid)
    found = probe.stream(path)
    assert found.codec == "h264"
    assert (found.width, found.height, found.rate) == (*SIZE, NTSC)
    assert found.color_space == {"bt709": "bt709", "bt601": "smpte170m"}[colorspace]
    assert found.color_range == ("pc" if full_range else "tv")
    assert (found.color_primaries, found.color_transfer) == ("bt709", "iec61966-2-1")
    pictures = list(probe.frames(path))
    assert len(pictures) == len(COLOURS) + 1
    for picture, wanted in zip(pictures, (*COLOURS, COLOURS[-1]), strict=True):
        assert np.abs(picture.astype(int) - wanted).max() <= 2


def test_the_matrix_goes_by_the_size(tmp_path: Path) -> None:
    for width, matrix in ((1278, "smpte170m"), (1280, "bt709")):
        path = tmp_path / f"{width}.mkv"
        record(path, *LOSSLESS, size=Size(width, 16))
        assert probe.stream(path).color_space == matrix


def test_the_pixel_format_is_that_of_the_stream(tmp_path: Path) -> None:
    record(tmp_path / "a.mkv", *LOSSLESS, options=VideoOptions(pixel_format="yuv444p10le"))
    assert probe.stream(tmp_path / "a.mkv").pixel_format == "yuv444p10le"
    with pytest.raises(InvalidArgumentError, match="'nv12'"):
        record(tmp_path / "b.mkv", options=VideoOptions(pixel_format="nv12"))


@pytest.mark.parametrize(
    "name", ["12:30.mkv", "-y.mkv", "100%d.mkv", "http:a.mkv", "it's $HOME.mkv"]
)
def test_a_name_is_a_name_whatever_it_looks_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(b"to be replaced")
    record(name, *LOSSLESS)
    assert sorted(os.listdir(tmp_path)) == [name]
    assert len(probe.packets(tmp_path / name)) == len(COLOURS) + 1


def test_it_is_away_from_the_terminal_s_signals(tmp_path: Path) -> None:
    stream = FfmpegProcess(str(tmp_path / "a.mkv"), solid(COLOURS[0]), NTSC, LOSSLESS, USUAL)
    pid = stream._process.pid
    assert os.getpgid(pid) == pid
    stream.write(solid(COLOURS[0]), 0)
    stream.close(SECOND)


def test_abandon_ends_it_at_once(tmp_path: Path) -> None:
    stream = FfmpegProcess(str(tmp_path / "a.mkv"), solid(COLOURS[0]), NTSC, LOSSLESS, USUAL)
    stream.write(solid(COLOURS[0]), 0)
    stream.abandon()
    assert not is_running(stream._process.pid)
    stream.abandon()


def test_without_ffmpeg_the_way_out_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnsupportedError, match="cannot start ffmpeg: No such file") as caught:
        record(tmp_path / "a.mp4")
    assert "install ffmpeg" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-c:v", "nonsense"), "Unknown encoder 'nonsense'"),
        (("-nonsense", "1"), "Unrecognized option 'nonsense'"),
    ],
)
def test_what_it_refuses_is_said_in_its_words(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    with pytest.raises(WriteError, match=words) as caught:
        record(tmp_path / "a.mp4", *arguments)
    assert str(caught.value).startswith("ffmpeg failed: ")
    assert not isinstance(caught.value.__cause__, BrokenPipeError)


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="No such file or directory"):
        record(tmp_path / "no folder" / "a.mkv", *LOSSLESS)


def test_a_disk_that_is_full_at_the_end_only() -> None:
    with pytest.raises(WriteError, match="No space left on device"):
        record("/dev/full", "-f", "matroska", *LOSSLESS)


def endless(stream: FfmpegProcess) -> None:
    """Write until that fails: a pipe takes some pictures that nobody reads."""
    end = monotonic() + 30
    while monotonic() < end:
        stream.write(solid(COLOURS[0]), 0)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "head -c 10000 >/dev/null; echo no more >&2; echo room >&2; exit 3",
            "failed: no more room$",
        ),
        ("head -c 10000 >/dev/null; exit 1", "ffmpeg failed$"),
        ("head -c 10000 >/dev/null; kill -9 $$", "was ended by signal 9$"),
        ("head -c 10000 >/dev/null; kill -9 $$; echo", "was ended by signal 9$"),
        ("yes error | head -n 200000 >&2; echo last >&2; exit 1", "(error ){4}last$"),
        ("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1", "failed: x"),
        # Ended well, but too early.
        ("head -c 10000 >/dev/null; exit 0", "ffmpeg failed$"),
    ],
)
def test_an_early_end_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    pretend(monkeypatch, tmp_path, script)
    stream = FfmpegProcess("a.mkv", solid(COLOURS[0]), NTSC, (), USUAL)
    with pytest.raises(WriteError, match=words) as caught:
        endless(stream)
    assert len(str(caught.value)) < 5000
    stream.abandon()
    assert not is_running(stream._process.pid)


def test_a_failure_at_the_end_is_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, tmp_path, "cat >/dev/null; echo no trailer >&2; exit 1")
    with pytest.raises(WriteError, match=r"ffmpeg failed: no trailer$"):
        record("a.mkv")


def test_its_arguments_reach_it_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, tmp_path, f'for a; do echo "$a" >>"{tmp_path}/said"; done; cat >/dev/null')
    record("a.mkv", "-vf", "drawtext=a b;`c`", "$d")
    said = (tmp_path / "said").read_text().splitlines()
    assert said[:4] == ["-hide_banner", "-loglevel", "error", "-nostdin"]
    rest = ["-i", "pipe:0", "-vf", "drawtext=a b;`c`", "$d", "-y", "file:a.mkv"]
    assert said[-len(rest) :] == rest


def test_the_signals_that_we_ignore_are_not_ignored_by_it(tmp_path: Path) -> None:
    """Python ignores SIGPIPE, which would be handed down."""
    stream = FfmpegProcess(str(tmp_path / "a.mkv"), solid(COLOURS[0]), NTSC, LOSSLESS, USUAL)
    status = Path(f"/proc/{stream._process.pid}/status").read_text()
    (ignored,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigIgn"))
    assert not int(ignored, 16) >> (signal.SIGPIPE - 1) & 1
    stream.abandon()
