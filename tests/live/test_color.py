"""`wayshot color`: which pixel it is, how the user points at one, and how it is copied."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.live.client import BOTTOM_LAYER, Client
from tests.live.command import PATIENCE, error, start, wayshot
from tests.live.conftest import ODD, on_every_compositor
from tests.live.hand import Hand, answer
from tests.orphans import adopted
from tests.stage import TRANSFORMS, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.client import Picture
    from tests.stage import Stage

SIZE = ODD.width, ODD.height

SCALES = ("1", "1.25", "1.5", "2")


def printed(stage: Stage, *words: str) -> str:
    """Return what `wayshot color` prints, and check that it says nothing else."""
    result = wayshot(stage, "color", *words)
    assert (result.returncode, result.stderr) == (0, b"")
    return result.stdout.decode().removesuffix("\n")


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
        picture = pattern(*SIZE)
        one_output.set_background("HEADLESS-1", picture)
        assert printed(one_output, "-290,75") == hex_at(picture, 10, 5)
        result = wayshot(one_output, "color", "10,5")
        assert result.returncode == 5
        assert "HEADLESS-1 at -300,70 203x117" in error(result)

    def test_each_backend_has_it(self, one_output: Stage, backends: tuple[str, ...]) -> None:
        for backend in backends:
            found = printed(one_output, "100,50", "--backend", backend)
            assert found == hex_at(pattern(*SIZE), 100, 50)


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
        assert found["point"] == {"x": 12, "y": 34}
        assert found["hex"] == hex_at(pattern(*SIZE), 12, 34)

    @pytest.mark.parametrize("words", [[], ["--freeze"]], ids=["afterwards", "before"])
    def test_a_click_on_slurp_leaves_no_trace_in_the_colour(
        self, one_output: Stage, words: list[str]
    ) -> None:
        with contextlib.ExitStack() as stack:
            hand = stack.enter_context(Hand(one_output, SIZE))
            hand.move(150, 100)  # sway 1.7 paints the cursor into whatever is captured
            before = one_output.dump("HEADLESS-1")
            process = stack.enter_context(start(one_output, "color", *words))

            def is_dimmed() -> bool:
                """Whether more has changed than a cursor's pixels."""
                changed = (one_output.dump("HEADLESS-1") != before).any(axis=2)
                return bool(changed.mean() >= 0.5)

            out, said = answer(process, is_dimmed, lambda: hand.click(60, 40))
        assert (process.returncode, said) == (0, b"")
        assert out.decode() == hex_at(pattern(*SIZE), 60, 40) + "\n"

    @pytest.mark.parametrize("is_frozen", [False, True])
    def test_only_what_is_frozen_stays_as_it_is_while_pointing(
        self, one_output: Stage, selector: Path, *, is_frozen: bool
    ) -> None:
        is_up, go_on = selector.with_name("up"), selector.with_name("on")
        os.mkfifo(is_up)
        os.mkfifo(go_on)
        selector.write_text(f"#!/bin/sh\necho >{is_up}\ncat {go_on}\necho 12,34 1x1\n")
        words = ["--selector", str(selector), *(["--freeze"] if is_frozen else [])]
        white = np.full((SIZE[1], SIZE[0], 3), 255, np.uint8)
        with start(one_output, "color", *words) as process, Client(one_output.socket) as client:
            try:
                is_up.read_text()
                client.show("HEADLESS-1", white, SIZE, layer=BOTTOM_LAYER, is_hidden=is_frozen)
                go_on.write_text("")
                out, said = process.communicate(timeout=PATIENCE)
            finally:
                process.terminate()
        assert (process.returncode, said) == (0, b"")
        expected = hex_at(pattern(*SIZE) if is_frozen else white, 12, 34)
        assert out.decode() == expected + "\n"

    @pytest.mark.parametrize("words", [[], ["--freeze"]], ids=["afterwards", "before"])
    def test_escape_cancels(self, one_output: Stage, words: list[str]) -> None:
        result = wayshot(one_output, "color", "--selector", "false", *words)
        assert result.returncode == 3
        assert "cancelled" in error(result)


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
