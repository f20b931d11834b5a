"""A recording is as long as it took, and each of its frames shows the screen of its time."""

from __future__ import annotations

import itertools
import signal
import time
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests import probe
from tests.fake.counter import read_counter
from tests.live.conftest import on_both_sways, on_newer_sway
from tests.live.film import LiveFilm
from tests.live.recording import read_raw, read_y4m, record_at_once, recording, until
from tests.stage import pattern
from tests.y4m import FRAME

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stage import Sway

NTSC = Fraction(60000, 1001)
CONSTANT = (  # the file, the rate asked for, the rate that it has, seconds
    ("a.y4m", None, Fraction(60), 3),
    ("a.raw", None, Fraction(60), 3),
    ("b.y4m", "30", Fraction(30), 1),
    ("b.raw", "30", Fraction(30), 1),
    ("c.y4m", "24", Fraction(24), 1),
    ("d.y4m", "59.94", NTSC, 1),
    ("d.raw", "59.94", NTSC, 1),
    ("e.y4m", "7.5", Fraction(15, 2), 2),
    ("e.mp4", "59.94", NTSC, 3),
)
VARIABLE = ("mp4", "mkv", "webm", "gif", "apng")


@pytest.fixture
def static(session: Sway) -> Sway:
    """Show the pattern, on which nothing moves."""
    session.set_output("HEADLESS-1", width=96, height=72, background=pattern(96, 72))
    return session


@on_both_sways
def test_a_static_screen(static: Sway, tmp_path: Path) -> None:
    """Is recorded for as long as it took, though hardly a frame was captured of it."""
    lines = [
        ("--duration", str(seconds), *(["-r", asked] if asked else []), tmp_path / name)
        for name, asked, _, seconds in CONSTANT
    ]
    lines += [("--duration", "3", tmp_path / f"v.{extension}") for extension in VARIABLE]
    results = record_at_once(static, *lines)
    for result in results:
        assert result.statistics.captured <= 5
        assert result.statistics.dropped == 0

    # As many frames as rate and duration make.
    for result, (name, _, rate, seconds) in zip(results, CONSTANT, strict=False):
        written = result.statistics.written
        assert abs(written - rate * seconds) <= 1
        assert abs(result.statistics.seconds - seconds) <= 1 / rate + Fraction(1, 100)
        path = tmp_path / name
        if path.suffix == ".raw":
            assert len(read_raw(path, 96, 72)) == written
            continue
        packets = probe.packets(path)
        assert [packet.pts * rate for packet in packets] == list(range(written))
        stream = probe.stream(path)
        assert (stream.width, stream.height, stream.rate) == (96, 72, rate)
        if path.suffix == ".y4m":
            header, frames = read_y4m(path)
            assert (header.size, header.rate, len(frames)) == ((96, 72), rate, written)

    # Few frames, of which the last lasts until the end.
    for extension in VARIABLE:
        path = tmp_path / f"v.{extension}"
        packets = probe.packets(path)
        assert packets[0].pts == 0
        assert len(packets) <= 40
        last = packets[-1]
        # apng's demuxer states no duration; the last packet has one.
        is_said = extension != "apng"
        end = probe.duration(path) if is_said else last.pts + (last.duration or 0)
        assert abs(end - 3) <= Fraction(1, 40), path


def test_the_duration_is_what_passed_until_the_signal(static: Sway, tmp_path: Path) -> None:
    """On a screen on which nothing happens meanwhile."""
    path = tmp_path / "a.mkv"
    started = time.monotonic()
    with recording(static, path) as running:
        running.wait_for(path)
        began = time.monotonic()
        time.sleep(1.5)
        passed = time.monotonic() - began
        result = running.end(signal.SIGINT)
        longest = time.monotonic() - started
    assert result.status == 0
    assert passed - 0.01 <= result.statistics.seconds < longest
    assert float(probe.duration(path)) == pytest.approx(result.statistics.seconds, abs=0.02)


def test_a_moving_screen(static: Sway, tmp_path: Path) -> None:
    """No frame is dropped to a fast reader, and none comes back."""
    with LiveFilm(static, "HEADLESS-1"):
        results = record_at_once(
            static,
            ("--duration", "2", tmp_path / "a.y4m"),
            ("--duration", "2", tmp_path / "a.mkv"),
        )
    _, frames = read_y4m(tmp_path / "a.y4m")
    y4m = [read_counter(frame.luma) for frame in frames]
    mkv = [read_counter(picture) for picture in probe.frames(tmp_path / "a.mkv")]
    for result, counters in zip(results, (y4m, mkv), strict=True):
        statistics = result.statistics
        # Of a variable rate, the last picture comes once more if it stood until the end.
        again = [counters[-2]] if counters is mkv and len(counters) > statistics.written else []
        assert counters[statistics.written :] == again
        assert counters == sorted(counters)
        assert len(set(counters)) >= 20
        assert statistics.dropped == 0
    # What was captured and not skipped is there.
    statistics = results[0].statistics
    assert len(set(y4m)) <= statistics.written - statistics.duplicated
    assert len(set(y4m)) >= statistics.captured - statistics.skipped - 2
    times = [packet.pts for packet in probe.packets(tmp_path / "a.mkv")]
    assert all(before < after for before, after in itertools.pairwise(times))
    assert times[0] == 0


@on_newer_sway
def test_a_pause_is_cut_out(static: Sway, tmp_path: Path) -> None:
    """What the screen showed in between is in no frame; the clock stood still."""
    y4m, mp4 = tmp_path / "a.y4m", tmp_path / "a.mp4"
    started = time.monotonic()
    with (
        LiveFilm(static, "HEADLESS-1") as film,
        recording(static, y4m) as into_y4m,
        recording(static, mp4) as into_mp4,
    ):
        running = into_y4m, into_mp4
        into_y4m.wait_for(y4m)
        into_mp4.wait_for(mp4)
        time.sleep(0.4)
        before = film.pause()
        until(lambda: _newest(y4m) == before, into_y4m.process)
        into_mp4.wait_until_idle()
        for one in running:
            one.send(signal.SIGUSR1)
        for one in running:
            one.wait_until_idle()
        paused = time.monotonic()
        film.resume()
        time.sleep(2.4)
        after = film.pause()
        resumed = time.monotonic()
        for one in running:
            one.send(signal.SIGUSR1)
        until(lambda: _newest(y4m) == after, into_y4m.process)
        into_mp4.wait_until_idle()
        film.resume()
        until(lambda: _newest(y4m) > after, into_y4m.process)
        time.sleep(0.3)
        results = [one.end(signal.SIGTERM) for one in running]
        longest = paused - started + time.monotonic() - resumed
    _, frames = read_y4m(y4m)
    seconds = [result.statistics.seconds for result in results]
    assert abs(len(frames) - 60 * seconds[0]) <= 1.5
    assert float(probe.duration(mp4)) == pytest.approx(seconds[1], abs=0.02)
    counters_of = {
        y4m: [read_counter(frame.luma) for frame in frames],
        mp4: [read_counter(picture) for picture in probe.frames(mp4)],
    }
    assert after - before >= 10
    for result, counters in zip(results, counters_of.values(), strict=True):
        assert (result.status, result.rest) == (0, "")
        assert 0.7 <= result.statistics.seconds <= longest
        assert counters == sorted(counters)
        assert {before, after} <= set(counters)
        assert not [counter for counter in counters if before < counter < after]
        assert counters[0] < before
        assert counters[-1] > after


def _newest(path: Path) -> int:
    """Return the number in the last whole frame of a stream that is still being written."""
    size = 96 * 72 * 3 // 2
    with path.open("rb") as file:
        header = len(file.readline())
        frames = (path.stat().st_size - header) // (len(FRAME) + size)
        file.seek(header + frames * (len(FRAME) + size) - size)
        luma = np.frombuffer(file.read(96 * 72), np.uint8)
    return read_counter(luma.reshape(72, 96))
