"""One output, whole or in part: native pixels, upright, under every transform and scale."""

from __future__ import annotations

import io
import math
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.live.command import shoot, wayshot
from tests.live.conftest import on_every_compositor
from tests.stage import TRANSFORMS, pattern

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.client import Picture
    from tests.stage import Stage

pytestmark = on_every_compositor

SCALES = (1, 1.25, 1.5, 2)


def show_pattern(stage: Stage, *, scale: float, transform: str) -> Picture:
    """Set HEADLESS-1, fill it with the pattern and return what a viewer now sees."""
    stage.set_output("HEADLESS-1", scale=scale, transform=transform)
    picture = pattern(*stage.output("HEADLESS-1").upright_size)
    stage.set_background("HEADLESS-1", picture)
    return picture


def logical_size(stage: Stage, name: str) -> tuple[int, int]:
    """Return what wlroots makes of an output's size: it cuts fractions off."""
    output = stage.output(name)
    width, height = (int(side / output.scale) for side in output.upright_size)
    return width, height


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("transform", TRANSFORMS)
class TestTransformsAndScales:
    """All eight transforms at whole and fractional scales."""

    def test_a_shot_shows_every_pixel(
        self,
        one_output: Stage,
        backends: tuple[str, ...],
        tmp_path: Path,
        transform: str,
        scale: float,
    ) -> None:
        """A shot of an output has as many pixels as its mode, each in its place."""
        expected = show_pattern(one_output, scale=scale, transform=transform)
        for backend in backends:
            picture = shoot(one_output, tmp_path, "-o", "HEADLESS-1", "--backend", backend)
            assert np.array_equal(picture, expected), backend

    def test_everything_is_that_one_output(
        self, one_output: Stage, tmp_path: Path, transform: str, scale: float
    ) -> None:
        """Without a target the only output is taken, just as exactly."""
        expected = show_pattern(one_output, scale=scale, transform=transform)
        assert np.array_equal(shoot(one_output, tmp_path), expected)

    def test_a_region_is_cut_from_the_native_pixels(
        self, one_output: Stage, tmp_path: Path, transform: str, scale: float
    ) -> None:
        """Each edge is rounded half up on its own, from the output's corner, scale per axis."""
        one_output.set_output("HEADLESS-1", position=(50, 30))
        expected = show_pattern(one_output, scale=scale, transform=transform)
        left, top = 50, 30
        width, height = logical_size(one_output, "HEADLESS-1")
        rows, columns, _ = expected.shape
        for x, y, w, h in ((0, 0, width, height), (7, 11, 33, 23), (1, 3, 1, 1), (13, 0, 5, 29)):
            x0, x1 = (math.floor(edge * columns / width + 0.5) for edge in (x, x + w))
            y0, y1 = (math.floor(edge * rows / height + 0.5) for edge in (y, y + h))
            picture = shoot(one_output, tmp_path, "-g", f"{left + x},{top + y} {w}x{h}")
            assert np.array_equal(picture, expected[y0:y1, x0:x1]), (x, y, w, h)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_grim_sees_the_same(even_output: Stage, tmp_path: Path, transform: str, scale: int) -> None:
    """Where logical sizes are exact, grim resamples nothing: a second opinion on every pixel."""
    show_pattern(even_output, scale=scale, transform=transform)
    grim = subprocess.run(
        ["grim", "-o", "HEADLESS-1", "-"], env=even_output.env, check=True, stdout=subprocess.PIPE
    ).stdout
    with Image.open(io.BytesIO(grim)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(shoot(even_output, tmp_path, "-o", "HEADLESS-1"), expected)


@pytest.mark.parametrize("scale", [1, 1.25, 2])
def test_a_region_partly_outside_keeps_its_size(
    even_output: Stage, tmp_path: Path, scale: float
) -> None:
    """What no output covers is transparent, the rest opaque and exact."""
    expected = show_pattern(even_output, scale=scale, transform="normal")
    picture = shoot(even_output, tmp_path, "-g", "-20,-8 60x40")
    whole = int(20 * scale), int(8 * scale)
    canvas = np.zeros((int(40 * scale), int(60 * scale), 4), np.uint8)
    inside = canvas[whole[1] :, whole[0] :]
    inside[..., :3] = expected[: inside.shape[0], : inside.shape[1]]
    inside[..., 3] = 255
    assert np.array_equal(picture, canvas)


def test_regions_as_slurp_and_x11_write_them(one_output: Stage, tmp_path: Path) -> None:
    """Both grammars, from the command line and from stdin, with and without a newline."""
    expected = pattern(203, 117)[20:50, 10:90]
    for region in ("10,20 80x30", "80x30+10+20"):
        assert np.array_equal(shoot(one_output, tmp_path, "-g", region), expected)
        assert np.array_equal(shoot(one_output, tmp_path, f"--geometry={region}"), expected)
        for line in (region, f"{region}\n"):
            result = wayshot(one_output, "-g", "-", tmp_path / "in.png", stdin=line)
            assert (result.returncode, result.stderr) == (0, b"")
            with Image.open(tmp_path / "in.png") as image:
                assert np.array_equal(np.asarray(image), expected)


def test_a_scale_is_pixels_per_logical_unit(even_output: Stage, tmp_path: Path) -> None:
    """--scale sets the size; at the output's own scale not a pixel changes."""
    expected = show_pattern(even_output, scale=2, transform="normal")
    assert np.array_equal(shoot(even_output, tmp_path, "-s", "2"), expected)
    half = shoot(even_output, tmp_path, "-s", "1")
    assert half.shape == (60, 100, 3)
    # The pattern rises by 1 a pixel: whatever the filter, inside stays near the block's mean.
    means = expected.reshape(60, 2, 100, 2, 3).mean(axis=(1, 3))
    assert np.abs(half - means)[2:-2, 2:-2].max() <= 1
    assert shoot(even_output, tmp_path, "-s", "1.5", "-g", "10,10 40x20").shape == (30, 60, 3)


@pytest.mark.parametrize(("name", "is_exact"), [("png", True), ("ppm", True), ("jpeg", False)])
def test_formats_on_stdout(one_output: Stage, name: str, *, is_exact: bool) -> None:
    """FILE - writes the picture and nothing else to stdout."""
    result = wayshot(one_output, "-t", name, "-o", "HEADLESS-1", "-")
    assert (result.returncode, result.stderr) == (0, b"")
    with Image.open(io.BytesIO(result.stdout)) as image:
        assert image.format in {name.upper(), "PPM"}
        picture = np.asarray(image)
    expected = pattern(203, 117)
    assert picture.shape == expected.shape
    if is_exact:
        assert np.array_equal(picture, expected)
    else:
        assert np.abs(picture.astype(int) - expected).mean() < 4
