"""However a recording ends, what was recorded can be played."""

from __future__ import annotations

import re
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests import probe, y4m
from tests.fake.counter import read_counter
from tests.live.command import read
from tests.live.film import LiveFilm
from tests.live.recording import PROMPT, recording, until
from tests.stage import pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stage import Sway

SIZE = 160, 120
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}


@pytest.fixture
def static(session: Sway) -> Sway:
    """Show the pattern, on which nothing moves."""
    session.set_output("HEADLESS-1", width=SIZE[0], height=SIZE[1], background=pattern(*SIZE))
    return session


@pytest.fixture
def film(static: Sway) -> Iterator[LiveFilm]:
    """Show a film on it instead."""
    with LiveFilm(static, "HEADLESS-1") as film:
        yield film


@pytest.mark.parametrize("number", STATUS)
def test_a_signal_on_a_static_screen(static: Sway, tmp_path: Path, number: signal.Signals) -> None:
    """Ends it soon, with 0 and a complete file."""
    paths = [tmp_path / f"a.{name}" for name in ("mp4", "mkv", "y4m", "gif")]
    with ExitStack() as stack:
        running = [stack.enter_context(recording(static, path)) for path in paths]
        for one, path in zip(running, paths, strict=True):
            one.wait_for(path)
        time.sleep(0.4)
        assert not (tmp_path / "a.gif").exists()  # which appears at the end
        results = [one.end(number) for one in running]
    for path, result in zip(paths, results, strict=True):
        assert (result.status, result.output, result.rest) == (0, b"", "")
        seconds = result.statistics.seconds
        assert seconds >= 0.3
        assert float(probe.duration(path)) == pytest.approx(seconds, abs=0.03), path
        pictures = list(probe.frames(path, "bt601" if path.suffix == ".y4m" else None))
        assert len(pictures) == len(probe.packets(path))
        for picture in pictures:
            assert np.abs(picture - pattern(*SIZE).astype(float)).mean() < 10
    assert sorted(tmp_path.iterdir()) == sorted(paths)


class TestKill:
    """What SIGKILL leaves can be read up to the last second, whatever the screen did."""

    FORMATS = "mp4", "mkv", "webm"

    def kill(self, sway: Sway, folder: Path, seconds: float) -> float:
        """Record in all formats for that long, kill; return how long the shortest took."""
        with ExitStack() as stack:
            running = [
                stack.enter_context(recording(sway, folder / f"a.{name}")) for name in self.FORMATS
            ]
            for one, name in zip(running, self.FORMATS, strict=True):
                one.wait_for(folder / f"a.{name}")
            began = time.monotonic()
            time.sleep(seconds)
            recorded = time.monotonic() - began
            for one in running:
                one.send(signal.SIGKILL)
                one.process.wait(PROMPT)
        return recorded

    def test_on_a_moving_screen(self, film: LiveFilm, static: Sway, tmp_path: Path) -> None:
        """All of its frames are there."""
        recorded = self.kill(static, tmp_path, 2.2)
        shown = film.pause()
        for name in self.FORMATS:
            path = tmp_path / f"a.{name}"
            packets = probe.packets(path)
            assert packets[0].pts == 0
            assert packets[-1].pts >= recorded - 1, name
            counters = [read_counter(picture) for picture in probe.frames(path)]
            assert len(counters) == len(packets) >= 20
            assert counters == sorted(counters)
            assert counters[-1] <= shown

    def test_on_a_static_screen(self, static: Sway, tmp_path: Path) -> None:
        """Nothing comes that would push out what is there."""
        recorded = self.kill(static, tmp_path, 2.2)
        for name in self.FORMATS:
            path = tmp_path / f"a.{name}"
            assert probe.packets(path)[-1].pts >= recorded - 1, name
            picture, *_ = probe.frames(path)
            assert np.abs(picture - pattern(*SIZE).astype(float)).mean() < 10

    def test_streams(self, film: LiveFilm, static: Sway, tmp_path: Path) -> None:
        """y4m and raw lose nothing that was written; a frame may have been cut."""
        del film
        for name in ("a.y4m", "a.raw"):
            path = tmp_path / name
            with recording(static, path) as running:
                running.wait_for(path, 900_000)
                running.send(signal.SIGKILL)
                running.process.wait(PROMPT)
        with (tmp_path / "a.y4m").open("rb") as file:
            stream = y4m.Stream(file, allow_cut=True)
            assert len([read_counter(frame.luma) for frame in stream]) >= 25
        frame_bytes = SIZE[0] * SIZE[1] * 4
        data = (tmp_path / "a.raw").read_bytes()
        for offset in range(0, len(data) - frame_bytes + 1, frame_bytes):
            frame = np.frombuffer(data, np.uint8, frame_bytes, offset).reshape(*SIZE[::-1], 4)
            read_counter(frame[..., 2::-1])


@pytest.mark.parametrize("name", ["a.mp4", "a.y4m"])
def test_a_second_signal(static: Sway, tmp_path: Path, name: str) -> None:
    """Ends it at once, with the status of a killed process."""
    with recording(static, tmp_path / name) as running:
        running.wait_for(tmp_path / name)
        # Whatever the end takes, both are there before it begins.
        for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            running.send(number)
        result = running.result(PROMPT)
    assert (result.status, result.said) == (143, "")
    assert (tmp_path / name).stat().st_size > 0


class TestReaders:
    """Of a pipe."""

    def test_one_that_is_stuck(self, static: Sway) -> None:
        """It keeps nobody from ending, a process that still holds the pipe neither."""
        with recording(static, "-") as running:
            assert running.process.stdout
            assert running.process.stdout.read(9) == b"YUV4MPEG2"
            time.sleep(0.7)  # the pipe is full by then
            before = time.monotonic()
            running.send(signal.SIGINT)
            assert running.process.wait(PROMPT) == 0
            assert time.monotonic() - before < PROMPT

    @pytest.mark.parametrize("is_moving", [False, True], ids=["static", "moving"])
    def test_one_that_leaves(self, static: Sway, *, is_moving: bool) -> None:
        """Has had enough: 0, at once, though nothing happens on the screen."""
        with ExitStack() as stack:
            if is_moving:
                stack.enter_context(LiveFilm(static, "HEADLESS-1"))
            running = stack.enter_context(recording(static, "-"))
            assert running.process.stdout
            header = running.process.stdout.readline()
            running.process.stdout.read(10 * (len(b"FRAME\n") + SIZE[0] * SIZE[1] * 3 // 2))
            running.process.stdout.close()
            assert header.startswith(b"YUV4MPEG2 ")
            assert running.process.wait(PROMPT) == 0
            assert running.process.stderr
            assert b"Traceback" not in running.process.stderr.read()

    def test_one_that_was_never_there(self, static: Sway) -> None:
        """1: not one frame was read."""
        with recording(static, "-t", "raw", "-") as running:
            assert running.process.stdout
            running.process.stdout.close()
            assert running.process.wait(PROMPT) == 1
            assert running.process.stderr
            assert b"Traceback" not in running.process.stderr.read()


def test_a_signal_before_the_first_frame(static: Sway, tmp_path: Path) -> None:
    """There is no file, and the status says why."""
    for number, status in STATUS.items():
        with recording(static, "-d", "60", "-v", tmp_path / "a.mp4") as running:
            assert running.process.stderr
            assert any(b"capturing by" in line for line in running.process.stderr)
            result = running.end(number)
        assert result.status == status
    assert not list(tmp_path.iterdir())


def test_a_still_beside_the_recording(static: Sway, tmp_path: Path) -> None:
    """SIGUSR2 writes what the screen shows, named on stderr, while the recording goes on."""
    path = tmp_path / "clip.mkv"
    with recording(static, path) as running:
        running.wait_for(path)
        stills = []
        for colour in ("#102030", "#c0b0a0"):
            static.set_background("HEADLESS-1", colour)
            time.sleep(0.3)
            running.send(signal.SIGUSR2)
            assert running.process.stderr
            line = running.process.stderr.readline().decode()
            match = re.fullmatch(r"wayshot: still: (.+)\n", line)
            assert match, line
            stills.append((match[1], colour))
        result = running.end(signal.SIGINT)
    assert (result.status, result.rest) == (0, "")
    assert len({still for still, _ in stills}) == 2
    for still, colour in stills:
        assert still.startswith(str(tmp_path / "clip-"))
        with Image.open(still) as image:
            assert (image.format, image.size) == ("PNG", SIZE)
            assert image.convert("RGB").getcolors() == [
                (SIZE[0] * SIZE[1], tuple(bytes.fromhex(colour[1:])))
            ]
    assert probe.duration(path) > 0.5


def test_a_still_of_a_stream(static: Sway, tmp_path: Path) -> None:
    """It goes to the pictures folder, where stdout is the recording; of a paused one, too."""
    (tmp_path / "Pictures").mkdir()
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config" / "user-dirs.dirs").write_text('XDG_PICTURES_DIR="$HOME/Pictures"\n')
    with recording(static, "--frames", "300", "-", env={"HOME": str(tmp_path)}) as running:
        assert running.process.stdout
        running.process.stdout.read(1)
        running.send(signal.SIGUSR1)
        time.sleep(0.2)
        running.send(signal.SIGUSR2)
        until(lambda: any((tmp_path / "Pictures").iterdir()))
        result = running.end(signal.SIGINT)
    (still,) = (tmp_path / "Pictures").iterdir()
    assert f"wayshot: still: {still}\n" in result.said
    assert np.array_equal(read(still), pattern(*SIZE))
