"""Running the command against a fake compositor, and what must hold whatever that does."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tests.fake import Config, FakeCompositor

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake.pixels import Picture

TIMEOUT = 1.0
"""A ``--timeout`` that is to be sat out: the bound of each answer that the compositor owes."""
LIMIT = 40.0
"""Seconds after which the command counts as hung, on the slowest machine that runs the tests."""

LONG = 3 * LIMIT
"""A ``--timeout`` for what must not last until it, however busy the machine is."""

HARMLESS_CONTROLS = {"\n", "\t"}


@dataclass(frozen=True)
class Result:
    """How the command ended, and the folder that it wrote to."""

    code: int
    stdout: bytes
    stderr: str
    elapsed: float
    cpu: float
    folder: Path

    @property
    def files(self) -> list[str]:
        """What lies in the folder, temporary files included."""
        return sorted(path.name for path in self.folder.iterdir())

    @property
    def complaint(self) -> str:
        """The one line that says what went wrong."""
        lines = [line for line in self.stderr.splitlines() if line.startswith("wayshot: ")]
        assert len(lines) == 1, self.stderr
        return lines[0]


def wayshot(compositor: FakeCompositor, folder: Path, *arguments: str) -> Result:
    """Run the command in a folder of its own; check what must hold for each run."""
    started, cpu = time.monotonic(), children_cpu()
    process = subprocess.run(
        [sys.executable, "-m", "wayshot_cli", *arguments],
        env=compositor.env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    elapsed, cpu = time.monotonic() - started, children_cpu() - cpu
    stderr = process.stderr.decode()  # always UTF-8, whatever the compositor's strings are
    result = Result(process.returncode, process.stdout, stderr, elapsed, cpu, folder)
    assert result.code >= 0, f"killed by signal {-result.code}: {stderr}"
    assert "Traceback" not in stderr
    controls = {c for c in stderr if not c.isprintable()} - HARMLESS_CONTROLS
    assert not controls, f"{controls} reached the terminal"
    if compositor.config.accept:
        compositor.wait_until_gone()
    assert compositor.violations == []
    return result


def children_cpu() -> float:
    """Return the processor time of all processes that were run and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def shoot(config: Config, folder: Path, *arguments: str, timeout: float = LONG) -> Result:
    """Take a picture named shot.png from a compositor of this kind."""
    with FakeCompositor(config) as compositor:
        return wayshot(
            compositor, folder, "--timeout", str(timeout), "-t", "png", *arguments, "shot.png"
        )


def assert_failed(result: Result, code: int, *words: str) -> None:
    """Check the exit code, the words that the complaint must have, and that no file is left."""
    assert result.code == code, result.stderr
    for word in words:
        assert word in result.complaint
    assert result.files == []


def assert_waited(result: Result) -> None:
    """Check that the command ended at its timeout, and slept until then."""
    assert TIMEOUT <= result.elapsed < LIMIT
    assert result.cpu < TIMEOUT / 2 + result.elapsed - TIMEOUT


def assert_told_at_once(result: Result) -> None:
    """Check that the command did not sit out its ``LONG`` timeout, which is beyond the limit."""
    assert result.elapsed < LIMIT


def assert_shot(result: Result, expected: Picture) -> None:
    """Check that the picture is there, alone, and right in every pixel."""
    assert result.code == 0, result.stderr
    assert result.files == ["shot.png"]
    with Image.open(result.folder / "shot.png") as image:
        mode = "RGBA" if expected.shape[2] == len("RGBA") else "RGB"
        assert image.mode == mode
        shown = np.asarray(image)
    assert shown.shape == expected.shape
    wrong = np.argwhere((shown != expected).any(axis=2))
    assert not len(wrong), f"{len(wrong)} pixels are wrong, the first at row, column {wrong[0]}"


def picture_of(config: Config) -> Picture:
    """Return the right picture of all outputs, all of them at scale 1: holes are transparent."""
    boxes = [(output.x, output.y, *output.upright_size) for output in config.outputs]
    left, top = min(x for x, *_ in boxes), min(y for _, y, *_ in boxes)
    width = max(x + w for x, _, w, _ in boxes) - left
    height = max(y + h for _, y, _, h in boxes) - top
    canvas = np.zeros((height, width, 4), np.uint8)
    for index, (x, y, w, h) in enumerate(boxes):
        place = canvas[y - top : y - top + h, x - left : x - left + w]
        place[:, :, :3] = config.outputs[index].upright(index)
        place[:, :, 3] = 255
    return canvas[:, :, :3] if canvas[:, :, 3].all() else canvas
