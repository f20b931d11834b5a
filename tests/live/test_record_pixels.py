"""Recordings of RGB have every pixel of the screen, upright; those of YUV are as near as can be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests import y4m
from tests.live.conftest import on_both_sways
from tests.live.recording import read_raw, read_y4m, record_at_once
from tests.stage import TRANSFORMS, Output, Sway, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.live.client import Picture
    from tests.stage import Build

RGB24 = ("--frames", "1", "-t", "raw", "--pixel-format", "rgb24")
NATIVE = ("--frames", "1", "-t", "raw")


def frame(path: Path, expected: Picture) -> Picture:
    """Read the only frame of raw RGB, of the size of what is expected."""
    rows, columns, _ = expected.shape
    picture: Picture
    (picture,) = read_raw(path, columns, rows, 3)
    return picture


def native_frame(path: Path, expected: Picture) -> Picture:
    """Read the only frame as the screen stores it, blue, green, red and unused, as RGB."""
    rows, columns, _ = expected.shape
    picture: Picture
    (picture,) = read_raw(path, columns, rows)
    return picture[..., 2::-1]


def exact_yuv(picture: Picture, matrix: str) -> NDArray[np.float64]:
    """Convert to Y'CbCr of the limited range by the equations of ITU-R BT.601 and BT.709."""
    kr, kb = y4m.MATRICES[matrix]
    red, green, blue = np.moveaxis(picture / 255, -1, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    difference = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    return np.stack([16 + 219 * luma, *(128 + 224 * part for part in difference)])


@on_both_sways
@pytest.mark.parametrize(
    ("transform", "scale"),
    [*((name, 1.5) for name in TRANSFORMS), ("normal", 2), ("flipped-90", 2)],
)
def test_an_output(one_output: Sway, tmp_path: Path, transform: str, scale: float) -> None:
    """All pixels of its mode, whatever the transform and scale, and a region is cut from them."""
    sway, name = one_output, "HEADLESS-1"
    sway.set_output(name, scale=scale, transform=transform)
    expected = pattern(*sway.output(name).upright_size)
    sway.set_background(name, expected)
    raw, yuv, part = (tmp_path / name for name in ("raw", "yuv.y4m", "part"))
    record_at_once(
        sway,
        (*NATIVE, "-o", name, raw),
        ("--frames", "1", "--pixel-format", "yuv444p", yuv),
        (*RGB24, "-g", "7,11 33x23", part),
    )
    assert np.array_equal(native_frame(raw, expected), expected)

    header, (picture,) = read_y4m(yuv)
    assert header.size == sway.output(name).upright_size
    assert np.abs(np.stack(picture.planes).astype(float) - exact_yuv(expected, "bt601")).max() <= 1

    # Each edge is rounded half up on its own, the scale is per axis.
    rows, columns, _ = expected.shape
    (box,) = (output["rect"] for output in sway.query("get_outputs"))
    x0, x1 = (math.floor(edge * columns / box["width"] + 0.5) for edge in (7, 7 + 33))
    y0, y1 = (math.floor(edge * rows / box["height"] + 0.5) for edge in (11, 11 + 23))
    cut = expected[y0:y1, x0:x1]
    assert np.array_equal(frame(part, cut), cut)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (33, 27)])
def test_odd_sizes(one_output: Sway, tmp_path: Path, size: tuple[int, int]) -> None:
    """A region of a single pixel is a video, too; halved chroma is rounded up."""
    region = f"5,9 {size[0]}x{size[1]}"
    names = ("yuv420p", "yuv422p", "yuv444p")
    record_at_once(
        one_output,
        (*NATIVE, "-g", region, tmp_path / "raw"),
        *(
            ("--frames", "1", "--pixel-format", name, "-g", region, tmp_path / f"{name}.y4m")
            for name in names
        ),
    )
    expected = pattern(203, 117)[9 : 9 + size[1], 5 : 5 + size[0]]
    assert np.array_equal(native_frame(tmp_path / "raw", expected), expected)
    luma, *_ = exact_yuv(expected, "bt601")
    for name in names:
        header, (picture,) = read_y4m(tmp_path / f"{name}.y4m")
        assert header.size == size
        assert np.abs(picture.luma - luma).max() <= 1


LEFT, RIGHT = pattern(200, 120), pattern(160, 140)[::-1, ::-1]
DESKTOP = np.zeros((160, 360, 3), np.uint8)
DESKTOP[:120, :200] = LEFT
DESKTOP[20:, 200:] = RIGHT


@pytest.fixture(scope="module")
def two_outputs(build: Build) -> Iterator[Sway]:
    """Show DESKTOP on two outputs side by side, one of them lower."""
    with Sway(
        Output(200, 120, (0, 0), background=LEFT),
        Output(160, 140, (200, 20), background=RIGHT),
        build=build,
    ) as sway:
        yield sway


@on_both_sways
@pytest.mark.parametrize(
    ("target", "box"),
    [
        ([], (0, 0, 360, 160)),
        (["-o", "HEADLESS-2", "-o", "HEADLESS-1"], (0, 0, 360, 160)),
        (["-o", "HEADLESS-2"], (200, 20, 160, 140)),
        (["-g", "150,30 100x60"], (150, 30, 100, 60)),
        (["-g", "151,1 77x131"], (151, 1, 77, 131)),
    ],
    ids=["all", "both", "one", "seam", "holes"],
)
def test_several_outputs(
    two_outputs: Sway, tmp_path: Path, target: list[str], box: tuple[int, int, int, int]
) -> None:
    """One picture of them as they lie, black where there is none."""
    x, y, width, height = box
    expected = DESKTOP[y : y + height, x : x + width]
    yuv = tmp_path / "yuv.y4m"
    record_at_once(
        two_outputs,
        (*RGB24, *target, tmp_path / "rgb"),
        ("--frames", "1", "--pixel-format", "yuv444p", *target, yuv),
    )
    assert np.array_equal(frame(tmp_path / "rgb", expected), expected)
    _, (picture,) = read_y4m(yuv)
    assert np.abs(np.stack(picture.planes).astype(float) - exact_yuv(expected, "bt601")).max() <= 1
