"""Several outputs in one picture: places, scales, holes and seams."""

from __future__ import annotations

import io
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.live.command import shoot
from tests.live.conftest import on_every_compositor
from tests.stage import Output, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.client import Picture
    from tests.stage import Build, Stage

pytestmark = on_every_compositor


def opaque(picture: Picture) -> Picture:
    """Add the alpha channel that a picture with holes elsewhere has."""
    return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])


def canvas(width: int, height: int) -> Picture:
    """Return a transparent picture."""
    return np.zeros((height, width, 4), np.uint8)


def paste(picture: Picture, part: Picture, x: int, y: int) -> None:
    """Put an opaque part at its place, in pixels."""
    rows, columns, _ = part.shape
    picture[y : y + rows, x : x + columns] = opaque(part)


def nearly(actual: Picture, expected: Picture) -> bool:
    """Compare resampled parts: the pattern rises by 1 a pixel, so any fair filter comes near."""
    return bool(np.abs(actual.astype(int) - expected).max() <= 2)


class TestSameScale:
    """Three outputs at scale 1, one left of the origin, with holes around and between them."""

    LEFT, MIDDLE, RIGHT = pattern(200, 120), pattern(160, 140)[:, ::-1], pattern(160, 140)[::-1]

    @pytest.fixture
    def desktop(self) -> Picture:
        """Paint the whole desktop from first principles; its corner is at -200,0."""
        picture = canvas(560, 160)
        paste(picture, self.LEFT, 0, 0)
        paste(picture, self.MIDDLE, 200, 20)
        paste(picture, self.RIGHT, 400, 20)
        return picture

    def test_everything(self, same_scale: Stage, tmp_path: Path, desktop: Picture) -> None:
        """Without a target all outputs are in the picture, holes are transparent."""
        assert np.array_equal(shoot(same_scale, tmp_path), desktop)

    def test_grim_sees_the_same(self, same_scale: Stage, tmp_path: Path) -> None:
        """A second opinion, holes included."""
        grim = subprocess.run(["grim", "-"], env=same_scale.env, check=True, stdout=subprocess.PIPE)
        with Image.open(io.BytesIO(grim.stdout)) as image:
            assert np.array_equal(shoot(same_scale, tmp_path), np.asarray(image.convert("RGBA")))

    @pytest.mark.parametrize(
        "region",
        [
            (-50, 30, 100, 60),  # across two outputs, both cover it
            (-50, 0, 100, 60),  # a hole at the upper right
            (-210, -10, 600, 300),  # all outputs and more
            (-7, 100, 14, 40),  # the seam, a hole at the lower left
        ],
    )
    def test_regions_across_outputs(
        self, same_scale: Stage, tmp_path: Path, desktop: Picture, region: tuple[int, int, int, int]
    ) -> None:
        """A region keeps its size; the seam neither gaps nor overlaps."""
        x, y, width, height = region
        around = np.pad(desktop, ((300, 300), (300, 300), (0, 0)))
        expected = around[y + 300 : y + 300 + height, x + 500 : x + 500 + width]
        if (expected[..., 3] == 255).all():
            expected = expected[..., :3]
        picture = shoot(same_scale, tmp_path, "-g", f"{x},{y} {width}x{height}")
        assert np.array_equal(picture, expected)

    def test_only_the_named_outputs_are_drawn(
        self, same_scale: Stage, tmp_path: Path, desktop: Picture
    ) -> None:
        """Several -o give their bounding box; an output between them that was not named is out."""
        desktop[:, 200:360] = 0
        picture = shoot(same_scale, tmp_path, "-o", "HEADLESS-3", "-o", "HEADLESS-1")
        assert np.array_equal(picture, desktop)

    def test_an_output_named_twice_is_drawn_once(self, same_scale: Stage, tmp_path: Path) -> None:
        """Naming an output twice changes nothing."""
        picture = shoot(same_scale, tmp_path, "-o", "HEADLESS-2", "-o", "HEADLESS-2")
        assert np.array_equal(picture, self.MIDDLE)


@pytest.fixture(scope="module")
def same_scale(build: Build) -> Iterator[Stage]:
    """Run the session of TestSameScale."""
    with build.stage(
        Output(200, 120, (-200, 0), background=TestSameScale.LEFT),
        Output(160, 140, (0, 20), background=TestSameScale.MIDDLE),
        Output(160, 140, (200, 20), background=TestSameScale.RIGHT),
    ) as stage:
        yield stage


class TestMixedScales:
    """Scales 1, 2 and 1.25, one output turned, one flipped; logical sizes are exact."""

    PLAIN, TURNED, FLIPPED = pattern(200, 120), pattern(200, 240), pattern(240, 160)
    # Logical places:        0,0 200x120  200,0 100x120      300,40 192x128

    def test_everything_is_at_the_greatest_scale(self, mixed_scales: Stage, tmp_path: Path) -> None:
        """The output at that scale is pasted pixel for pixel, the others are resampled."""
        picture = shoot(mixed_scales, tmp_path)
        assert picture.shape == (336, 984, 4)
        assert np.array_equal(picture[:240, 400:600], opaque(self.TURNED))
        doubled = self.PLAIN.repeat(2, axis=0).repeat(2, axis=1)
        assert nearly(picture[:240, :400], opaque(doubled))
        stretched = Image.fromarray(self.FLIPPED).resize((384, 256), Image.Resampling.BILINEAR)
        assert nearly(picture[80:, 600:], opaque(np.asarray(stretched)))

    def test_outputs_are_opaque_to_their_edges_and_holes_are_empty(
        self, mixed_scales: Stage, tmp_path: Path
    ) -> None:
        """No half-transparent seam, as resampling with alpha would leave."""
        expected = np.zeros((336, 984), np.uint8)
        expected[:240, :600] = expected[80:, 600:] = 255
        assert np.array_equal(shoot(mixed_scales, tmp_path)[..., 3], expected)

    def test_a_region_takes_the_greatest_scale_that_it_touches(
        self, mixed_scales: Stage, tmp_path: Path
    ) -> None:
        """An output outside the region has no say."""
        assert np.array_equal(
            shoot(mixed_scales, tmp_path, "-g", "10,20 30x40"), self.PLAIN[20:60, 10:40]
        )
        seam = shoot(mixed_scales, tmp_path, "-g", "190,10 20x30")
        assert seam.shape == (60, 40, 3)
        assert np.array_equal(seam[:, 20:], self.TURNED[20:80, :20])
        doubled = self.PLAIN[10:40, 190:].repeat(2, axis=0).repeat(2, axis=1)
        assert nearly(seam[:, :20], doubled)

    def test_a_scale_for_all(self, mixed_scales: Stage, tmp_path: Path) -> None:
        """--scale 1: the output at scale 1 is exact, the whole has its logical size."""
        picture = shoot(mixed_scales, tmp_path, "-s", "1")
        assert picture.shape == (168, 492, 4)
        assert np.array_equal(picture[:120, :200], opaque(self.PLAIN))


@pytest.fixture(scope="module")
def mixed_scales(build: Build) -> Iterator[Stage]:
    """Run the session of TestMixedScales."""
    with build.stage(
        Output(200, 120, (0, 0), 1, "normal", TestMixedScales.PLAIN),
        Output(240, 200, (200, 0), 2, "90", TestMixedScales.TURNED),
        Output(240, 160, (300, 40), 1.25, "flipped", TestMixedScales.FLIPPED),
    ) as stage:
        yield stage


class TestTruncatedSizes:
    """Two outputs of 203x117 at scale 1.5, of which compositors make 135x78 logical units."""

    PICTURE = pattern(203, 117)

    def test_both_are_pasted_unresampled(self, truncated: Stage, tmp_path: Path) -> None:
        """The scale is taken to be 1.5, and each output keeps its own pixels."""
        picture = shoot(truncated, tmp_path)
        assert picture.shape[0] == 117
        assert picture.shape[1] in {405, 406}
        assert np.array_equal(picture[:, :202, :3], self.PICTURE[:, :202])
        assert np.array_equal(picture[:, 203:405, :3], self.PICTURE[:, :202])


@pytest.fixture(scope="module")
def truncated(build: Build) -> Iterator[Stage]:
    """Run the session of TestTruncatedSizes."""
    with build.stage(
        Output(203, 117, (0, 0), 1.5, background=TestTruncatedSizes.PICTURE),
        Output(203, 117, (135, 0), 1.5, background=TestTruncatedSizes.PICTURE),
    ) as stage:
        yield stage
