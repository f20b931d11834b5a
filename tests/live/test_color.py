"""`wayshot color`: which pixel it is, how the user points at one, and how it is copied."""

from __future__ import annotations

import json
import math
import subprocess
import time
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from tests.live.client import Client
from tests.live.command import PATIENCE, error, start, wayshot
from tests.live.conftest import ODD, on_every_compositor, on_newer_compositors
from tests.orphans import adopted
from tests.stage import TRANSFORMS, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.client import Picture
    from tests.stage import Stage

SCALES = ("1", "1.25", "1.5", "2")


def printed(stage: Stage, *words: str) -> str:
    """Return what `wayshot color` prints, and check that it says nothing else."""
    result = wayshot(stage, "color", *words)
    assert (result.returncode, result.stderr) == (0, b"")
    return result.stdout.decode().removesuffix("\n")


def clicked_at(stage: Stage, x: int, y: int, *words: str) -> str:
    """Return what is printed when the user clicks there, on ODD."""
    with start(stage, "color", *words) as process, Client(stage.socket) as client:
        try:
            deadline = time.monotonic() + PATIENCE
            while process.poll() is None:
                assert time.monotonic() < deadline
                client.click(x, y, ODD.width, ODD.height)  # slurp may not be there yet
                time.sleep(0.02)
        finally:
            process.terminate()
        out, said = process.communicate()
    assert (process.returncode, said) == (0, b"")
    return out.decode().removesuffix("\n")


def hex_at(picture: Picture, x: float, y: float, scale: str = "1") -> str:
    """Return the colour under a point of the output, by the scale that it was given."""
    column, row = (math.floor(Fraction(at) * Fraction(scale)) for at in (x, y))
    return f"#{picture[row, column].tobytes().hex()}"


@on_every_compositor
class TestPixels:
    """The pixel that covers a point."""

    @pytest.fixture
    def large_output(self, one_output: Stage) -> Iterator[Stage]:
        """HEADLESS-1, so large that its cut-off logical size still tells its scale."""
        one_output.set_output("HEADLESS-1", width=643, height=481)
        yield one_output
        one_output.set_output("HEADLESS-1", width=ODD.width, height=ODD.height)

    @pytest.mark.parametrize("transform", TRANSFORMS)
    @pytest.mark.parametrize("scale", SCALES)
    def test_it_is_found_under_every_transform_and_scale(
        self, large_output: Stage, scale: str, transform: str
    ) -> None:
        large_output.set_output("HEADLESS-1", scale=float(scale), transform=transform)
        width, height = large_output.output("HEADLESS-1").upright_size
        picture = pattern(width, height)
        large_output.set_background("HEADLESS-1", picture)
        right, bottom = (int(side / Fraction(scale)) - 1 for side in (width, height))
        for x, y in ((0, 0), (right, bottom), (33, 21)):
            assert printed(large_output, f"{x},{y}") == hex_at(picture, x, y, scale)

    def test_decimals_count(self, even_output: Stage) -> None:
        even_output.set_output("HEADLESS-1", scale=2.0)
        picture = pattern(200, 120)
        even_output.set_background("HEADLESS-1", picture)
        assert printed(even_output, "10.5,20.5") == hex_at(picture, 10.5, 20.5, "2")

    def test_the_logical_space_may_begin_anywhere(self, one_output: Stage) -> None:
        one_output.set_output("HEADLESS-1", position=(-300, 70))
        picture = pattern(203, 117)
        one_output.set_background("HEADLESS-1", picture)
        assert printed(one_output, "-290,75") == hex_at(picture, 10, 5)
        result = wayshot(one_output, "color", "10,5")
        assert result.returncode == 5
        assert "HEADLESS-1 at -300,70 203x117" in error(result)

    def test_each_backend_has_it(self, one_output: Stage, backends: tuple[str, ...]) -> None:
        for backend in backends:
            found = printed(one_output, "100,50", "--backend", backend)
            assert found == hex_at(pattern(203, 117), 100, 50)


@on_every_compositor
class TestPointing:
    """A selector says where."""

    @pytest.fixture
    def selector(self, tmp_path: Path) -> Path:
        """A selector that prints a point, as slurp does."""
        path = tmp_path / "selector"
        path.write_text("#!/bin/sh\necho 12,34 1x1\n")
        path.chmod(0o755)
        return path

    @pytest.mark.parametrize("words", [[], ["--freeze"]], ids=["afterwards", "before"])
    def test_what_it_prints_is_the_point(
        self, one_output: Stage, selector: Path, words: list[str]
    ) -> None:
        found = json.loads(printed(one_output, "--json", "--selector", str(selector), *words))
        assert (found["x"], found["y"]) == (12, 34)
        assert found["hex"] == hex_at(pattern(203, 117), 12, 34)

    def test_slurp_lets_the_user_click_and_leaves_no_trace_in_the_colour(
        self, one_output: Stage
    ) -> None:
        found = clicked_at(one_output, 60, 40)
        assert found == hex_at(pattern(203, 117), 60, 40)

    @pytest.mark.parametrize("words", [[], ["--freeze"]], ids=["afterwards", "before"])
    def test_escape_cancels(self, one_output: Stage, words: list[str]) -> None:
        result = wayshot(one_output, "color", "--selector", "false", *words)
        assert result.returncode == 3
        assert "cancelled" in error(result)


@on_newer_compositors  # sway 1.7 puts new surfaces below old ones, and slurp under what is frozen
def test_slurp_lies_over_a_frozen_screen(one_output: Stage) -> None:
    assert clicked_at(one_output, 60, 40, "--freeze") == hex_at(pattern(203, 117), 60, 40)


@on_every_compositor
def test_it_can_be_pasted(one_output: Stage) -> None:
    with adopted("ws-clipboard") as holders:
        color = printed(one_output, "7,8", "--clipboard", "-f", "oklch")
        for kind in ("text/plain", "UTF8_STRING", "text/plain;charset=utf-8"):
            pasted = subprocess.run(
                ["wl-paste", "--no-newline", "--type", kind],
                env=one_output.env, capture_output=True, timeout=PATIENCE, check=True,
            )  # fmt: skip
            assert pasted.stdout.decode() == color
        assert len(holders.pids) == 1
