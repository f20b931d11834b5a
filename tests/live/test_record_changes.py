"""Outputs that change or go while they are recorded; each --on-resize and --on-lost."""

from __future__ import annotations

import itertools
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from tests import probe
from tests.live.conftest import on_both_sways, on_newer_sway
from tests.live.recording import PROMPT, read_raw, record, recording, until
from tests.stage import Output, Sway, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.client import Picture
    from tests.live.recording import Recording, Result
    from tests.stage import Build

WIDE, TALL, LARGE = (200, 120), (90, 180), (300, 200)
NAME = "HEADLESS-1"
LOST = 6

ROUNDING = 0.006
"""Of the seconds in the statistics."""

ONE_FRAME = 1 / 60 + ROUNDING


@pytest.fixture
def wide(session: Sway) -> Sway:
    """Show the pattern in WIDE."""
    session.set_output(NAME, width=WIDE[0], height=WIDE[1], scale=1.0, background=pattern(*WIDE))
    return session


def change(sway: Sway, size: tuple[int, int]) -> None:
    """Change the mode, and show another picture."""
    sway.set_output(NAME, width=size[0], height=size[1], background=other(size))


def other(size: tuple[int, int]) -> Picture:
    """Paint a picture unlike the pattern of the same size."""
    return pattern(*size)[::-1, ::-1] ^ np.uint8(0x50)


def last_frame(path: Path, size: tuple[int, int]) -> Picture:
    """Read a raw recording's last frame as RGB."""
    last: Picture
    *_, last = read_raw(path, *size)
    return last[..., 2::-1]


def is_as_long(frames: int, result: Result) -> bool:
    """Whether there are 60 frames for each second, but those that nobody had the time to write."""
    statistics = result.statistics
    return abs(frames + statistics.dropped - 60 * statistics.seconds) <= 1.5


class Raw(NamedTuple):
    """A raw recording that runs, 60 frames a second, and the size of its pictures."""

    running: Recording
    path: Path
    size: tuple[int, int]


def wait_for_seconds(seconds: float, *recordings: Raw) -> None:
    """Wait until so many seconds more have been written to each."""
    before = [it.path.stat().st_size if it.path.exists() else 0 for it in recordings]
    for it, written in zip(recordings, before, strict=True):
        it.running.wait_for(it.path, written + int(60 * seconds) * it.size[0] * it.size[1] * 4)


class TestModeChange:
    """In the middle of a recording."""

    @on_both_sways
    @pytest.mark.parametrize("size", [TALL, LARGE], ids=["tall", "large"])
    def test_scale_or_pad(self, wide: Sway, tmp_path: Path, size: tuple[int, int]) -> None:
        """The recording goes on as it began, in the same size."""
        options = {"default": [], "scale": ["--on-resize", "scale"], "pad": ["--on-resize", "pad"]}
        with ExitStack() as stack:
            recordings = [
                Raw(
                    stack.enter_context(recording(wide, "-t", "raw", *more, tmp_path / name)),
                    tmp_path / name,
                    WIDE,
                )
                for name, more in options.items()
            ]
            wait_for_seconds(0.3, *recordings)
            change(wide, size)
            wait_for_seconds(0.5, *recordings)
            results = [it.running.end(signal.SIGINT) for it in recordings]
        for result, it in zip(results, recordings, strict=True):
            assert (result.status, result.rest) == (0, "")
            frames = read_raw(it.path, *WIDE)
            assert len(frames) == result.statistics.written
            assert is_as_long(len(frames), result)
            assert np.array_equal(frames[0][..., 2::-1], pattern(*WIDE))
        self.check_scaled(last_frame(tmp_path / "scale", WIDE), other(size))
        self.check_scaled(last_frame(tmp_path / "default", WIDE), other(size))
        self.check_padded(last_frame(tmp_path / "pad", WIDE), other(size))

    def check_scaled(self, last: Picture, shown: Picture) -> None:
        """See that the picture kept its proportions, in the middle, over black."""
        rows, columns, _ = shown.shape
        ratio = min(WIDE[0] / columns, WIDE[1] / rows)
        width, height = round(columns * ratio), round(rows * ratio)
        x, y = (WIDE[0] - width) // 2, (WIDE[1] - height) // 2
        inside = last[y : y + height, x : x + width]
        # Most of the pattern's steps are of 1; a few are folds, where filters differ.
        near_rows = ((np.arange(height) + 0.5) / ratio).astype(int)
        near_columns = ((np.arange(width) + 0.5) / ratio).astype(int)
        near = shown[near_rows][:, near_columns].astype(float)
        assert np.median(np.abs(inside - near).max(axis=2)) <= 16
        assert np.abs(inside.mean(axis=(0, 1)) - shown.mean(axis=(0, 1))).max() <= 4
        assert last.sum() == inside.sum()  # the rest is black

    def check_padded(self, last: Picture, shown: Picture) -> None:
        """See that pixels stayed from the upper left corner on; the rest is black, or cut."""
        rows, columns = min(WIDE[1], shown.shape[0]), min(WIDE[0], shown.shape[1])
        expected = np.zeros((WIDE[1], WIDE[0], 3), np.uint8)
        expected[:rows, :columns] = shown[:rows, :columns]
        assert np.array_equal(last, expected)

    def test_stop(self, wide: Sway, tmp_path: Path) -> None:
        """0, a complete file up to the change, and the reason."""
        paths = [tmp_path / "a.y4m", tmp_path / "a.mp4"]
        with ExitStack() as stack:
            recordings = [
                stack.enter_context(recording(wide, "--on-resize", "stop", path)) for path in paths
            ]
            for path, running in zip(paths, recordings, strict=True):
                running.wait_for(path)
            time.sleep(0.5)
            change(wide, TALL)
            results = [running.result(PROMPT) for running in recordings]
        for path, result in zip(paths, results, strict=True):
            assert result.status == 0
            reason = "the picture's size became {}x{}: stopped (--on-resize)".format(*TALL)
            assert result.rest == f"wayshot: {reason}\n"
            seconds = result.statistics.seconds
            assert seconds >= 0.45
            # The last frame of variable rate lasts a moment, however short it was there.
            tolerance = ONE_FRAME if path.suffix == ".mp4" else ROUNDING
            assert float(probe.duration(path)) == pytest.approx(seconds, abs=tolerance)
            pictures = list(probe.frames(path, "bt601" if path.suffix == ".y4m" else None))
            assert {picture.shape for picture in pictures} == {(WIDE[1], WIDE[0], 3)}
            assert len(probe.packets(path)) == len(pictures)

    @on_newer_sway
    def test_segment(self, wide: Sway, tmp_path: Path) -> None:
        """A file of each size, numbered from -2 on, each plays; no time is lost between."""
        extensions = "y4m", "mp4", "gif"
        sizes = WIDE, TALL, LARGE
        files = {
            extension: [tmp_path / f"my.clip{number}.{extension}" for number in ("", "-2", "-3")]
            for extension in extensions
        }
        with ExitStack() as stack:
            recordings = {
                extension: stack.enter_context(
                    recording(wide, "--on-resize", "segment", files[extension][0])
                )
                for extension in extensions
            }
            for number, size in enumerate(sizes):
                if number:
                    change(wide, size)
                for extension, running in recordings.items():
                    if number and extension == "gif":  # which appears once it is over
                        until(files[extension][number - 1].exists, running.process)
                    else:
                        running.wait_for(files[extension][number])
                time.sleep(0.6)
            results = {
                extension: running.end(signal.SIGINT) for extension, running in recordings.items()
            }
        assert sorted(tmp_path.iterdir()) == sorted(itertools.chain(*files.values()))
        for extension, result in results.items():
            assert (result.status, result.output, result.rest) == (0, b"", "")
            durations = [float(probe.duration(path)) for path in files[extension]]
            assert min(durations) >= 0.3
            assert sum(durations) == pytest.approx(result.statistics.seconds, abs=0.06)
            for path, size in zip(files[extension], sizes, strict=True):
                # Those beside the change may be from between the one and the other.
                shown = (pattern(*size) if size == WIDE else other(size)).astype(float)
                pictures = list(probe.frames(path, "bt601" if extension == "y4m" else None))
                assert {picture.shape for picture in pictures} == {shown.shape}
                assert any(np.abs(picture - shown).mean() < 12 for picture in pictures)

    def test_segment_of_what_is_no_file(self, wide: Sway) -> None:
        """2: a pipe has no second one beside it."""
        result = record(wide, "--on-resize", "segment", "-")
        assert (result.status, result.output) == (2, b"")
        assert "--on-resize segment" in result.said


@on_both_sways
def test_a_scale_change(wide: Sway, tmp_path: Path) -> None:
    """An output has as many pixels as before, a region has twice as many either way."""
    part = 50, 40
    region = ["-g", "10,10 50x40"]
    lines = {
        "output": (["-o", NAME, "--on-resize", "stop"], WIDE),
        "pad": ([*region, "--on-resize", "pad"], part),
        "scale": ([*region, "--on-resize", "scale"], part),
    }
    with ExitStack() as stack:
        recordings = [
            Raw(
                stack.enter_context(recording(wide, "-t", "raw", *options, tmp_path / name)),
                tmp_path / name,
                size,
            )
            for name, (options, size) in lines.items()
        ]
        wait_for_seconds(0.3, *recordings)
        wide.set_output(NAME, scale=2, background=other(WIDE))
        wait_for_seconds(0.5, *recordings)
        results = [it.running.end(signal.SIGINT) for it in recordings]
    for result in results:
        assert (result.status, result.rest) == (0, "")
    assert np.array_equal(last_frame(tmp_path / "output", WIDE), other(WIDE))
    cut = other(WIDE)[20:100, 20:120]
    assert np.array_equal(last_frame(tmp_path / "pad", part), cut[:40, :50])
    means = cut.reshape(40, 2, 50, 2, 3).mean(axis=(1, 3))
    assert np.median(np.abs(last_frame(tmp_path / "scale", part) - means)) <= 2


@on_newer_sway
class TestLost:
    """An output goes away while it is recorded, which the older sway cannot do."""

    @pytest.fixture
    def sway(self, build: Build) -> Iterator[Sway]:
        """Run a session of its own: what is unplugged does not come back."""
        with Sway(
            Output(*WIDE, (0, 0), background=pattern(*WIDE)),
            Output(*TALL, (300, 0), background=pattern(*TALL)),
            build=build,
        ) as sway:
            yield sway

    def test_unplugged(self, sway: Sway, tmp_path: Path) -> None:
        """It is the end (6); or its last picture stays; or others are recorded on."""
        both = 300 + TALL[0], TALL[1]
        mp4, y4m, wait, rest = (tmp_path / name for name in ("a.mp4", "a.y4m", "wait", "rest"))
        raw = ["-t", "raw", "--pixel-format", "bgr0"]
        with (
            recording(sway, "-o", NAME, mp4) as into_mp4,
            recording(sway, "-o", NAME, "--on-lost", "stop", y4m) as into_y4m,
            recording(sway, *raw, "-o", NAME, "--on-lost", "wait", wait) as waiting,
            recording(sway, *raw, "--on-resize", "pad", rest) as of_the_rest,
        ):
            into_mp4.wait_for(mp4)
            into_y4m.wait_for(y4m)
            raws = Raw(waiting, wait, WIDE), Raw(of_the_rest, rest, both)
            wait_for_seconds(0.5, *raws)
            sway.unplug(NAME)
            stopped = {path: it.result(PROMPT) for path, it in ((mp4, into_mp4), (y4m, into_y4m))}
            wait_for_seconds(0.6, *raws)
            others = [it.end(signal.SIGINT) for it in (waiting, of_the_rest)]

        for path, result in stopped.items():
            assert result.status == LOST
            assert NAME in result.rest
            seconds = result.statistics.seconds
            assert seconds >= 0.3
            assert float(probe.duration(path)) == pytest.approx(seconds, abs=ONE_FRAME)
            *_, last = probe.frames(path, "bt601" if path == y4m else None)
            assert np.abs(last - pattern(*WIDE).astype(float)).mean() < 12

        for result in others:
            assert (result.status, result.rest) == (0, "")
        frames = read_raw(wait, *WIDE)
        assert is_as_long(len(frames), others[0])
        assert np.array_equal(frames[-1][..., 2::-1], pattern(*WIDE))

        first, last = read_raw(rest, *both)[0][..., 2::-1], last_frame(rest, both)
        assert np.array_equal(first[: WIDE[1], : WIDE[0]], pattern(*WIDE))
        assert np.array_equal(first[: TALL[1], 300:], pattern(*TALL))
        assert np.array_equal(last[: TALL[1], : TALL[0]], pattern(*TALL))
        assert not last[:, TALL[0] :].any()

    def test_switched_off_and_on(self, sway: Sway, tmp_path: Path) -> None:
        """Who waits records what it shows when it is back; it takes as long as it took."""
        path = tmp_path / "a.raw"
        with recording(sway, "-t", "raw", "-o", NAME, "--on-lost", "wait", path) as running:
            raw = Raw(running, path, WIDE)
            wait_for_seconds(0.2, raw)
            sway.msg(f"output {NAME} disable")
            wait_for_seconds(0.4, raw)
            sway.msg(f"output {NAME} enable")
            sway.set_output(NAME, background=other(WIDE))
            wait_for_seconds(0.4, raw)
            result = running.end(signal.SIGINT)
        assert (result.status, result.rest) == (0, "")
        frames = read_raw(path, *WIDE)
        assert is_as_long(len(frames), result)
        assert np.array_equal(frames[0][..., 2::-1], pattern(*WIDE))
        assert np.array_equal(frames[-1][..., 2::-1], other(WIDE))
