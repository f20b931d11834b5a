"""Where recordings go, and what becomes of what was there."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests import probe
from tests.live.command import PATIENCE, WAYSHOT, frozen
from tests.live.recording import (
    FAILED,
    PROMPT,
    Recording,
    read_y4m,
    record,
    record_at_once,
    recording,
    until,
)
from tests.stage import pattern

if TYPE_CHECKING:
    from tests.stage import Sway

SIZE = 160, 120
SHORT = ("--duration", "0.3")


@pytest.fixture
def static(session: Sway) -> Sway:
    """Show the pattern, on which nothing moves."""
    session.set_output("HEADLESS-1", width=SIZE[0], height=SIZE[1], background=pattern(*SIZE))
    return session


def plays(path: Path) -> bool:
    """Whether a file shows the pattern from its beginning to its end."""
    is_y4m = path.read_bytes()[:9] == b"YUV4MPEG2"
    pictures = list(probe.frames(path, "bt601" if is_y4m else None))
    shown = pattern(*SIZE).astype(float)
    return bool(pictures) and all(np.abs(picture - shown).mean() < 10 for picture in pictures)


class TestExistingFiles:
    """What has the name already."""

    def test_are_replaced_once_there_is_a_frame(self, static: Sway, tmp_path: Path) -> None:
        """Not before: a compositor that hangs costs nobody a file."""
        paths = [tmp_path / f"a.{extension}" for extension in ("mp4", "y4m", "gif")]
        for path in paths:
            path.write_text("old")
            path.chmod(0o640)
        with frozen(static), ExitStack() as stack:
            for path in paths:
                stack.enter_context(recording(static, "--timeout", "60", path))
            time.sleep(0.8)
        assert {path.read_text() for path in paths} == {"old"}
        record_at_once(static, *((*SHORT, path) for path in paths))
        for path in paths:
            assert plays(path)
            assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert sorted(tmp_path.iterdir()) == sorted(paths)

    @pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
    def test_no_clobber(self, static: Sway, tmp_path: Path, name: str) -> None:
        """1 with the name, at once; a new file is written."""
        path = tmp_path / name
        assert record(static, "--no-clobber", *SHORT, path).status == 0
        assert plays(path)
        path.write_text("precious")
        result = record(static, "--no-clobber", path)
        assert (result.status, result.output) == (FAILED, b"")
        assert str(path) in result.said
        assert path.read_text() == "precious"
        assert list(tmp_path.iterdir()) == [path]

    def test_an_animation_keeps_the_old_one_until_its_end(
        self, static: Sway, tmp_path: Path
    ) -> None:
        """Even a kill leaves the old file, and nothing beside it."""
        path = tmp_path / "a.gif"
        path.write_text("old")
        with recording(static, path) as running:
            running.wait_for(path)
            time.sleep(0.3)
            running.send(signal.SIGKILL)
            running.process.wait(PROMPT)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_symlink_is_followed(self, static: Sway, tmp_path: Path) -> None:
        """The link stays a link, to a file that exists or does not."""
        links = [tmp_path / name for name in ("new.mp4", "old.mp4", "new.gif", "old.gif")]
        for link in links:
            link.symlink_to(f"target-{link.name}")
            if link.stem == "old":
                link.write_text("old")
        record_at_once(static, *((*SHORT, link) for link in links))
        for link in links:
            assert link.is_symlink()
            assert plays(tmp_path / f"target-{link.name}")


class TestNames:
    """That wayshot gives where none is given."""

    NAME = r"wayshot-\d{8}-\d{6}(-[2-9])?\.mp4"

    def test_in_a_folder(self, static: Sway, tmp_path: Path) -> None:
        """By the date, printed on stdout at the end; another one for each, even at once."""
        results = record_at_once(static, *[(*SHORT, tmp_path)] * 4)
        said = {Path(result.output.decode().removesuffix("\n")) for result in results}
        assert sorted(tmp_path.iterdir()) == sorted(said)
        assert len(said) == 4
        for path in said:
            assert re.fullmatch(self.NAME, path.name)
            assert plays(path)

    def test_without_file(self, static: Sway, tmp_path: Path) -> None:
        """The videos folder of user-dirs.dirs; -t decides what it is."""
        videos = tmp_path / "My Videos"
        videos.mkdir()
        (tmp_path / ".config").mkdir()
        (tmp_path / ".config" / "user-dirs.dirs").write_text('XDG_VIDEOS_DIR="$HOME/My Videos"\n')
        for options, extension in (([], ".mp4"), (["-t", "gif"], ".gif")):
            result = record(static, *SHORT, *options, env={"HOME": str(tmp_path)})
            assert (result.status, result.rest) == (0, "")
            path = Path(result.output.decode().removesuffix("\n"))
            assert (path.parent, path.suffix) == (videos, extension)
            assert plays(path)
        assert len(list(videos.iterdir())) == 2

    def test_printed_after_a_signal_too(self, static: Sway, tmp_path: Path) -> None:
        """And nothing else, with --quiet, even on stderr."""
        with recording(static, "--quiet", tmp_path) as running:
            until(lambda: any(tmp_path.iterdir()), running.process)
            time.sleep(0.2)
            result = running.end(signal.SIGINT)
        (path,) = tmp_path.iterdir()
        assert (result.status, result.output, result.said) == (0, f"{path}\n".encode(), "")
        assert plays(path)


class TestPipes:
    """And other things that are written to as they are."""

    @pytest.mark.parametrize("name", ["a.y4m", "a.mp4", "a.mkv", "a.gif"])
    def test_a_fifo(self, static: Sway, tmp_path: Path, name: str) -> None:
        """Its reader gets a recording that plays; it stays a FIFO."""
        fifo, copy = tmp_path / name, tmp_path / f"copy-{name}"
        os.mkfifo(fifo)
        reader = threading.Thread(target=lambda: copy.write_bytes(fifo.read_bytes()), daemon=True)
        reader.start()
        result = record(static, *SHORT, fifo)
        assert (result.status, result.rest) == (0, "")
        reader.join(PATIENCE)
        assert fifo.is_fifo()
        assert plays(copy)

    def test_a_fifo_that_nobody_reads(self, static: Sway, tmp_path: Path) -> None:
        """A signal ends the waiting; not a frame was written."""
        os.mkfifo(tmp_path / "a.y4m")
        with recording(static, tmp_path / "a.y4m") as running:
            running.wait_until_it_catches_signals()
            time.sleep(0.5)
            result = running.end(signal.SIGINT)
        assert (result.status, result.said) == (130, "")

    @pytest.mark.parametrize("name", ["-", "/dev/stdout"])
    def test_stdout(self, static: Sway, tmp_path: Path, name: str) -> None:
        """y4m and nothing else."""
        result = record(static, "--frames", "7", name)
        assert (result.status, result.rest) == (0, "")
        (tmp_path / "a.y4m").write_bytes(result.output)
        _, frames = read_y4m(tmp_path / "a.y4m")
        assert len(frames) == 7
        assert plays(tmp_path / "a.y4m")

    def test_video_on_stdout(self, static: Sway, tmp_path: Path) -> None:
        """mkv, and mp4 in fragments, need no file to seek in."""
        for name in ("mkv", "mp4"):
            result = record(static, *SHORT, "-t", name, "-")
            assert (result.status, result.rest) == (0, "")
            (tmp_path / name).write_bytes(result.output)
            assert plays(tmp_path / name)


class TestFailures:
    """1 with a clear line."""

    @pytest.mark.parametrize("format_", ["y4m", "raw", "mp4", "mkv", "gif"])
    def test_a_full_device(self, static: Sway, tmp_path: Path, format_: str) -> None:
        """Fails when it is written to."""
        device = _full_device(tmp_path)
        result = record(static, *SHORT, "-t", format_, device)
        assert (result.status, result.output) == (FAILED, b"")
        assert "No space left on device" in result.said
        assert device.is_char_device()

    @pytest.mark.parametrize("name", ["a.y4m", "a.mp4"])
    def test_a_disk_that_is_full_in_the_middle(
        self, static: Sway, tmp_path: Path, name: str
    ) -> None:
        """It ends by itself; what was recorded until then is there and plays."""
        limit = 2_000_000 if name == "a.y4m" else 200_000
        path = tmp_path / name
        noise = np.random.default_rng(1).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
        command = ["prlimit", f"--fsize={limit}", *WAYSHOT, "record", str(path)]
        with subprocess.Popen(
            command, env=static.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            running = Recording(process)
            running.wait_for(path)
            deadline = time.monotonic() + PATIENCE
            while process.poll() is None and time.monotonic() < deadline:
                noise = np.roll(noise, 9, axis=1)
                static.set_background("HEADLESS-1", noise)
            result = running.result(PROMPT)
        assert (result.status, result.output) == (FAILED, b"")
        (line,) = result.rest.splitlines()
        assert str(path) in line
        assert "File too large" in line
        assert path.stat().st_size <= limit
        if name == "a.y4m":
            assert result.statistics.written >= 60
        else:
            assert probe.packets(path)[-1].pts > 0

    @pytest.mark.parametrize(
        "name", ["missing/a.mp4", "missing/a.gif", "file/a.mkv", "/proc/a.gif"]
    )
    def test_a_folder_that_takes_no_file(self, static: Sway, tmp_path: Path, name: str) -> None:
        """Is known at once, not when an hour has been recorded."""
        (tmp_path / "file").touch()
        with recording(static, tmp_path / name) as running:
            result = running.result(PROMPT)
        assert (result.status, result.output) == (FAILED, b"")
        assert name in result.said
        assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def _full_device(folder: Path) -> Path:
    """Return a device without space: a node of our own where we may make one.

    As root, a tool that replaced the system's node would do harm.
    """
    path = folder / "full"
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 7))
    except PermissionError:
        return Path("/dev/full")
    return path
