"""Colours on the screen are those of the recording, whatever way they were stored in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests import probe, y4m
from tests.live.recording import first_frame, read_y4m, record, record_at_once

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from tests.live.client import Picture
    from tests.stage import Sway

COLOURS = (
    (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 255, 255),
    (255, 0, 255), (255, 255, 0), (128, 128, 128), (64, 128, 192), (200, 100, 50), (10, 20, 30),
)  # fmt: skip
COLUMNS = 4
PATCH = 48
SIZE = PATCH * COLUMNS, PATCH * len(COLOURS) // COLUMNS

TOLERANCE = 2

TAGS = {"bt601": "smpte170m", "bt709": "bt709"}
RANGES = {"limited": "tv", "full": "pc"}

Y4M_FORMATS = {
    "yuv420p": "420mpeg2",
    "yuv422p": "422",
    "yuv444p": "444",
    "yuv420p10le": "420p10",
    "yuv422p10le": "422p10",
    "yuv444p10le": "444p10",
    "gray": "mono",
    "gray10le": "mono10",
}
"""And the C tag of each."""

GRAY_FORMATS = ("gray", "gray10le")
RGB_FORMATS = ("bgr0", "bgra", "bgr24", "rgb0", "rgba", "rgb24")
RAW_FORMATS = (*RGB_FORMATS, *Y4M_FORMATS, "nv12", "p010le")


def chart() -> Picture:
    """Paint a patch of each colour, row by row."""
    patches = np.array(COLOURS, np.uint8).reshape(-1, COLUMNS, 3)
    return patches.repeat(PATCH, axis=0).repeat(PATCH, axis=1)


@pytest.fixture
def sway(session: Sway) -> Sway:
    """Show the chart."""
    session.set_output("HEADLESS-1", width=SIZE[0], height=SIZE[1], background=chart())
    return session


def grays(matrix: str) -> NDArray[np.float64]:
    """Return the colours as luma alone shows them, from 0 to 255."""
    kr, kb = y4m.MATRICES[matrix]
    luma = np.array(COLOURS) @ (kr, 1 - kr - kb, kb)
    return np.stack([luma] * 3, axis=-1)


def shows(picture: NDArray[np.generic], colours: ArrayLike = COLOURS) -> bool:
    """Whether the middle of each patch has its colour, every pixel of it."""
    assert picture.shape == (SIZE[1], SIZE[0], 3)
    grid = picture.astype(float).reshape(-1, PATCH, COLUMNS, PATCH, 3)
    middle = grid[:, PATCH // 4 : -PATCH // 4, :, PATCH // 4 : -PATCH // 4]
    error = np.abs(middle - np.reshape(colours, (-1, 1, COLUMNS, 1, 3)))
    return bool(error.max() <= TOLERANCE)


@pytest.mark.parametrize(
    ("matrix", "color_range", "formats"),
    [
        ("bt601", "limited", ["yuv420p"]),
        ("bt601", "full", Y4M_FORMATS),
        ("bt709", "limited", Y4M_FORMATS),
        ("bt709", "full", ["yuv420p"]),
    ],
    ids=["bt601", "bt601-full", "bt709", "bt709-full"],
)
def test_y4m(
    sway: Sway, tmp_path: Path, matrix: str, color_range: str, formats: Iterable[str]
) -> None:
    """In each pixel format, by ffmpeg when it is told the matrix, and by exact arithmetic."""
    options = ("--frames", "1", "--colorspace", matrix, "--color-range", color_range)
    record_at_once(
        sway, *((*options, "--pixel-format", name, tmp_path / f"{name}.y4m") for name in formats)
    )
    for name in formats:
        path = tmp_path / f"{name}.y4m"
        header, (frame,) = read_y4m(path)
        assert header.chroma == Y4M_FORMATS[name]
        assert header.full_range == (color_range == "full")
        expected = grays(matrix) if name in GRAY_FORMATS else COLOURS
        assert shows(frame.rgb(matrix), expected), name
        # ffmpeg takes gray to be of the full range whatever it is told.
        if name not in GRAY_FORMATS or color_range == "full":
            (picture,) = probe.frames(path, matrix)
            assert shows(picture, expected), name


def test_y4m_unless_told_otherwise(sway: Sway, tmp_path: Path) -> None:
    """4:2:0 in the limited range, and the matrix that players assume: by the size."""
    record_at_once(
        sway,
        ("--frames", "1", tmp_path / "a.y4m"),
        ("--frames", "1", "--pixel-format", "gray", tmp_path / "gray.y4m"),
    )
    header, (frame,) = read_y4m(tmp_path / "a.y4m")
    assert (header.chroma, header.full_range) == ("420mpeg2", False)
    assert shows(frame.rgb("bt601"))
    header, (frame,) = read_y4m(tmp_path / "gray.y4m")
    assert (header.chroma, header.full_range) == ("mono", True)
    assert shows(frame.rgb("bt601"), grays("bt601"))


def test_raw(sway: Sway, tmp_path: Path) -> None:
    """In each pixel format, read by ffmpeg as wayshot says that it is to be read."""
    options = ("--frames", "1", "-t", "raw", "--pixel-format")
    results = record_at_once(sway, *((*options, name, tmp_path / name) for name in RAW_FORMATS))
    for name, result in zip(RAW_FORMATS, results, strict=True):
        picture = first_frame(result.geometry, tmp_path / name, "bt601")
        assert shows(picture, grays("bt601") if name in GRAY_FORMATS else COLOURS), name


@pytest.mark.parametrize(("matrix", "color_range"), [("bt601", "full"), ("bt709", "limited")])
def test_raw_yuv(sway: Sway, tmp_path: Path, matrix: str, color_range: str) -> None:
    """The matrix and the range that were asked for."""
    formats = ("yuv444p", "nv12", "p010le")
    options = ("--frames", "1", "-t", "raw", "--colorspace", matrix, "--color-range", color_range)
    results = record_at_once(
        sway, *((*options, "--pixel-format", name, tmp_path / name) for name in formats)
    )
    for name, result in zip(formats, results, strict=True):
        arguments = ["-color_range", RANGES[color_range], *result.geometry]
        assert shows(first_frame(arguments, tmp_path / name, matrix)), name


VIDEO = {
    "mp4": (),
    "webm": (),
    "444.mkv": ("--pixel-format", "yuv444p"),
    "ten.mp4": ("--pixel-format", "yuv420p10le"),
}


@pytest.mark.parametrize(("matrix", "color_range"), [("bt601", "full"), ("bt709", "limited")])
def test_video(sway: Sway, tmp_path: Path, matrix: str, color_range: str) -> None:
    """Files are tagged in full, and decoded as tagged show the colours.

    At a quality that loses nothing to the edges beside: what is coarser is the codec's.
    """
    options = ("--duration", "0.1", "--colorspace", matrix, "--color-range", color_range)
    record_at_once(
        sway,
        *((*options, "--crf", "1", *more, tmp_path / f"a.{name}") for name, more in VIDEO.items()),
    )
    for name in VIDEO:
        path = tmp_path / f"a.{name}"
        stream = probe.stream(path)
        assert (stream.width, stream.height) == SIZE
        assert stream.color_range == RANGES[color_range], name
        assert stream.color_space == TAGS[matrix], name
        assert stream.color_primaries == "bt709", name
        assert stream.color_transfer == "iec61966-2-1", name
        pictures = list(probe.frames(path))
        assert pictures
        assert all(shows(picture) for picture in pictures), name


def test_animations(sway: Sway, tmp_path: Path) -> None:
    """gif, apng and webp, whose few colours are exact."""
    names = ("gif", "apng", "webp")
    record_at_once(sway, *(("--duration", "0.1", tmp_path / f"a.{name}") for name in names))
    for name in names:
        with Image.open(tmp_path / f"a.{name}") as image:
            assert np.array_equal(np.asarray(image.convert("RGB")), chart()), name


def test_a_solid_screen(sway: Sway, tmp_path: Path) -> None:
    """At the usual quality, from edge to edge, to the last row and column of an odd size."""
    names = ("y4m", "mp4", "webm", "gif", "apng")
    colour = 200, 100, 50
    sway.set_output("HEADLESS-1", width=101, height=75)
    sway.set_background("HEADLESS-1", "#{:02x}{:02x}{:02x}".format(*colour))
    record_at_once(sway, *(("--duration", "0.1", tmp_path / f"a.{name}") for name in names))
    for name in names:
        path = tmp_path / f"a.{name}"
        for picture in probe.frames(path, "bt601" if name == "y4m" else None):
            error = np.abs(picture.astype(int) - colour).max()
            assert error <= TOLERANCE + (name == "webm"), name  # VP9 at its usual quality


def test_a_pixel_format_that_is_none(sway: Sway, tmp_path: Path) -> None:
    """2, with those that there are, and no file."""
    for name in ("y4m", "raw", "mp4"):
        path = tmp_path / f"a.{name}"
        result = record(sway, "-t", name, "--pixel-format", "yuv999p", path)
        assert result.status == 2
        assert "yuv999p" in result.said
        assert "yuv444p" in result.said
        assert not path.exists()


@pytest.mark.parametrize(
    ("size", "matrix"),
    [((1279, 48), "bt601"), ((1280, 48), "bt709"), ((48, 576), "bt601"), ((48, 577), "bt709")],
)
def test_the_matrix_by_the_size(
    sway: Sway, tmp_path: Path, size: tuple[int, int], matrix: str
) -> None:
    """High definition is bt709, of files, too, which say so."""
    sway.set_output("HEADLESS-1", width=size[0], height=size[1], background="#40c080")
    record_at_once(
        sway,
        ("--frames", "1", tmp_path / "a.y4m"),
        ("--duration", "0.1", tmp_path / "a.mp4"),
    )
    _, (frame,) = read_y4m(tmp_path / "a.y4m")
    assert np.abs(frame.rgb(matrix) - (0x40, 0xC0, 0x80)).max() <= TOLERANCE
    picture, *_ = probe.frames(tmp_path / "a.mp4")
    assert np.abs(picture.astype(int) - (0x40, 0xC0, 0x80)).max() <= TOLERANCE
    assert probe.stream(tmp_path / "a.mp4").color_space == TAGS[matrix]
