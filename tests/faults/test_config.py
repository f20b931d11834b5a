"""Recordings with a config: what is configured and does not apply gives way to the line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.command import assert_failed
from tests.faults.recording import STATIC, Result, recording

if TYPE_CHECKING:
    from pathlib import Path


def record(folder: Path, said: str, *words: str) -> Result:
    """Record a moment, with this in [record]."""
    config = folder.parent / f"{folder.name}.toml"
    config.write_text(f"[record]\n{said}\n")
    env = {"WAYSHOT_CONFIG": str(config)}
    duration = ("--duration", "0.2")
    with recording(STATIC, folder, *duration, *words, env=env) as running:
        return running.result()


VIDEO = 'codec = "libx264"\ncrf = 20\npreset = "fast"\ngop = 9\ncodec-option = "tune=film"'


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (VIDEO, "a.mp4"),
        (VIDEO, "a.y4m"),
        (VIDEO, "a.raw"),
        (VIDEO, "a.gif"),
        (VIDEO, "--bitrate 5M a.mp4"),
        (VIDEO, "--codec libvpx a.webm"),
        (VIDEO, "--encoder ffmpeg a.mp4"),
        ("bitrate = 5_000_000", "--crf 20 a.mp4"),
        ('encoder = "ffmpeg"', "a.y4m"),
        ('encoder-args = "-crf 9"', "a.mp4"),
        ('format = "webm"', "a.mp4"),
        ('timestamps = "a.txt"', "a.y4m"),
        ('timestamps = "a.txt"\nfps = 5', "-t raw -r 9 a.raw"),
        ('colorspace = "bt709"\ncolor-range = "full"', "a.raw"),
        ('pixel-format = "yuv444p"\ncolorspace = "bt709"', "a.gif"),
        ('on-resize = "pad"', "--on-resize segment a.mp4"),
    ],
)
def test_what_does_not_apply_gives_way_silently(said: str, line: str, tmp_path: Path) -> None:
    folder = tmp_path / "cwd"
    folder.mkdir()
    result = record(folder, said, *line.split())
    assert (result.code, result.words) == (0, "")
    assert result.files == [line.rsplit(maxsplit=1)[-1]]


@pytest.mark.parametrize(
    ("said", "line", "words"),
    [
        (VIDEO, "a.webm", "webm cannot hold libx264"),
        ('preset = "nonsense"', "a.mp4", "nonsense"),
        ('pixel-format = "nv12"', "a.y4m", "y4m has no pixel format 'nv12'"),
    ],
)
def test_what_makes_no_sense_with_the_line_is_said_and_gives_way(
    said: str, line: str, words: str, tmp_path: Path
) -> None:
    folder = tmp_path / "cwd"
    folder.mkdir()
    result = record(folder, said, line)
    assert result.code == 0
    assert "what is configured of the codec does not apply: " in result.complaint
    assert words in result.complaint
    assert result.files == [line]


def test_onto_stdout_neither_ffmpeg_nor_segments_are_wanted(tmp_path: Path) -> None:
    folder = tmp_path / "cwd"
    folder.mkdir()
    result = record(folder, 'encoder = "ffmpeg"\non-resize = "segment"', "-")
    assert (result.code, result.words, result.files) == (0, "", [])
    assert result.stdout.startswith(b"YUV4MPEG2 ")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("--codec libx264 a.y4m", "--codec"),
        ("--preset nonsense a.mp4", "nonsense"),
        ("--crf 20 --bitrate 5M a.mp4", "exclude"),
        ("--encoder ffmpeg -", "--encoder"),
        ("--timestamps t a.y4m", "--timestamps"),
    ],
)
def test_what_the_line_says_wrongly_is_refused(line: str, word: str, tmp_path: Path) -> None:
    folder = tmp_path / "cwd"
    folder.mkdir()
    assert_failed(record(folder, 'preset = "fast"\nfps = 30', *line.split()), 2, word)
