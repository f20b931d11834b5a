"""The examples, as whole programs, on real compositors."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.live.conftest import on_both_sways, on_newer_compositors
from tests.live.film import LiveFilm
from tests.live.window import Window
from tests.stage import Output, Sway, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stage import Build, Stage

EXAMPLES = Path(__file__).parents[2] / "examples"
LEFT, RIGHT = "HEADLESS-1", "HEADLESS-2"
SIZE = 203, 117
LIMIT = 60.0
PROMPT = 10.0


@pytest.fixture(scope="module")
def desk(build: Build) -> Iterator[Stage]:
    """Run two outputs, the second of twice as many pixels."""
    with build.stage(
        Output(*SIZE, (0, 0), background=pattern(*SIZE)),
        Output(160, 120, (203, 0), scale=2.0, background=pattern(160, 120)[::-1]),
    ) as stage:
        yield stage


@contextlib.contextmanager
def running(stage: Stage, name: str, *words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Run an example until the end of the block."""
    with subprocess.Popen(
        [sys.executable, EXAMPLES / name, *words],
        env=os.environ | {"WAYLAND_DISPLAY": str(stage.socket)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(stage: Stage, name: str, *words: str | Path, status: int = 0) -> str:
    """Run an example to its end, and return what it prints."""
    with running(stage, name, *words) as process:
        printed, said = process.communicate(timeout=LIMIT)
        assert (process.returncode, said) == (status, "")
    return printed


@on_both_sways
def test_to_numpy(desk: Stage) -> None:
    """Says what the picture is."""
    lines = run(desk, "to_numpy.py", LEFT).splitlines()
    expected = pattern(*SIZE)
    mean = "".join(f"{round(value):02x}" for value in expected.mean(axis=(0, 1)))
    assert lines == [
        "203x117 pixels, 1 of them to a logical unit",
        f"mean colour #{mean}",
        f"in the middle {expected[58, 101].tolist()}",
    ]
    assert run(desk, "to_numpy.py", RIGHT).startswith("160x120 pixels, 2 of")


def test_what_is_wrong_is_one_line(desk: Stage) -> None:
    """And no traceback."""
    with running(desk, "to_numpy.py", "HEADLESS-9") as process:
        _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    assert said.startswith("no output ")
    assert len(said.splitlines()) == 1


@on_both_sways
def test_motion(desk: Stage) -> None:
    """Sees nothing on an idle screen, and the film's counter where that is."""
    assert run(desk, "motion.py", LEFT, "0.5") == ""
    with LiveFilm(desk, LEFT):
        lines = run(desk, "motion.py", LEFT, "1").splitlines()
    boxes = [re.fullmatch(r"\d+\.\d\d s: (\d+),(\d+) (\d+)x(\d+)", line) for line in lines]
    assert len(boxes) >= 2
    for found in boxes:
        assert found
        left, top, width, height = map(int, found.groups())
        assert 0 <= left < left + width <= SIZE[0]
        assert 0 <= top < top + height <= SIZE[1]


@on_both_sways
def test_from_mss(desk: Stage) -> None:
    """Sees as many frames as there are, of the size that was asked for."""
    with LiveFilm(desk, LEFT):
        found = re.fullmatch(r"160x100: ([\d.]+) frames a second\n", run(desk, "from_mss.py", "1"))
    assert found
    assert 2 < float(found[1]) <= 70
    assert float(run(desk, "from_mss.py", "1").split()[1]) <= 3


@on_both_sways
def test_pipe_png(desk: Stage) -> None:
    """Another program gets the file, and its status is ours."""
    script = "import sys; data = sys.stdin.buffer.read(); print(data.hex()); sys.exit(7)"
    region = ("-g", "20,30 40x50")
    command = (*region, sys.executable, "-c", script)
    data = bytes.fromhex(run(desk, "pipe_png.py", *command, status=7))
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image), pattern(*SIZE)[30:80, 20:60])


@on_both_sways
def test_find_picture(desk: Stage, tmp_path: Path) -> None:
    """On whichever output it is, in logical units."""
    path = tmp_path / "needle.png"
    Image.fromarray(np.ascontiguousarray(pattern(*SIZE)[40:52, 90:110])).save(path)
    assert run(desk, "find_picture.py", path) == f"90,40 on {LEFT}\n"
    Image.fromarray(np.ascontiguousarray(pattern(160, 120)[::-1][30:60, 50:80])).save(path)
    assert run(desk, "find_picture.py", path, RIGHT) == f"228,15 on {RIGHT}\n"
    Image.fromarray(np.full((5, 5, 3), 77, np.uint8)).save(path)
    assert run(desk, "find_picture.py", path, status=1) == ""


@on_newer_compositors
def test_watch_window(build: Build, tmp_path: Path) -> None:
    """Saves what a window shows when it rests, until it is closed."""
    size = 90, 60
    first = np.dstack((pattern(*size), np.full(size[::-1], 255, np.uint8)))
    second = np.ascontiguousarray(first[::-1])
    with (
        build.stage(Output(640, 480, (0, 0))) as stage,
        contextlib.ExitStack() as stack,
    ):
        if isinstance(stage, Sway):
            stage.msg('for_window [title="One"] floating enable')
        window = stack.enter_context(Window(stage.socket, "org.example.one", "One", first))
        process = stack.enter_context(running(stage, "watch_window.py", "title:One", tmp_path))
        assert process.stdout
        assert process.stdout.readline() == f"{tmp_path / '0001.png'}: 90x60\n"
        window.commit(second)
        assert process.stdout.readline() == f"{tmp_path / '0002.png'}: 90x60\n"
        window.close()
        deadline = time.monotonic() + PROMPT
        assert "One" in process.stdout.readline()
        assert process.wait(deadline - time.monotonic()) == 0
    for picture, name in ((first, "0001.png"), (second, "0002.png")):
        with Image.open(tmp_path / name) as image:
            assert np.array_equal(np.asarray(image.convert("RGB")), picture[..., :3])
