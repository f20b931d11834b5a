"""Pictures in files of PyAV, in all of their formats: their colours, sizes and memory."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests import probe
from tests.unit import reference
from tests.unit.videofile import (
    COLOURS,
    FILMS,
    SECOND,
    SIZE,
    USUAL,
    animation,
    colour,
    framed,
    is_near,
    record,
    shows,
    solid,
)
from wayshot_cli import kernels
from wayshot_cli.encode.stream import VIDEO_FORMATS, VideoOptions
from wayshot_cli.encode.video import Video
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Box, Size, Transform
from wayshot_cli.pixels import ABGR8888, BGR888, FORMATS, XRGB8888

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


# --------------------------------------------------------------- colours


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("colorspace", ["bt709", "bt601"])
@pytest.mark.parametrize("name", FILMS)
def test_colours_come_back_and_are_tagged_in_full(
    tmp_path: Path, name: str, colorspace: str, *, full_range: bool
) -> None:
    options = VideoOptions(colorspace=colorspace, full_range=full_range, gop=1)
    pictures = [(colour(i), i * SECOND // 10) for i in range(len(COLOURS))]
    path = record(tmp_path / f"a.{name}", pictures, SECOND, options)
    found = probe.stream(path)
    assert found.color_space == {"bt709": "bt709", "bt601": "smpte170m"}[colorspace]
    assert found.color_range == ("pc" if full_range else "tv")
    assert (found.color_primaries, found.color_transfer) == ("bt709", "iec61966-2-1")
    assert found.chroma_location == "left"
    for picture, wanted in zip(probe.frames(path), COLOURS, strict=False):
        assert shows(picture, wanted)
    if name == "mp4":
        assert b"colrnclx" in path.read_bytes()


@pytest.mark.parametrize(
    ("size", "matrix"),
    [
        ((1279, 32), "smpte170m"),
        ((1280, 32), "bt709"),
        ((32, 576), "smpte170m"),
        ((32, 578), "bt709"),
    ],
)
def test_the_matrix_goes_by_the_size(tmp_path: Path, size: tuple[int, int], matrix: str) -> None:
    frame = solid((200, 100, 50), Size(*size))
    path = record(tmp_path / "a.mp4", [(frame, 0)], SECOND // 60)
    assert probe.stream(path).color_space == matrix
    assert all(shows(picture, (200, 100, 50)) for picture in probe.frames(path))


@pytest.mark.parametrize(
    "name", ["yuv420p", "yuv422p", "yuv444p", "nv12", "yuv420p10le", "yuv444p10le"]
)
def test_other_pixel_formats_of_h264(tmp_path: Path, name: str) -> None:
    options = VideoOptions(pixel_format=name)
    path = record(tmp_path / "a.mp4", [(colour(i), i * SECOND) for i in range(3)], SECOND, options)
    assert probe.stream(path).pixel_format == {"nv12": "yuv420p"}.get(name, name)
    for picture, wanted in zip(probe.frames(path), COLOURS, strict=False):
        assert shows(picture, wanted)


def test_gray_is_luma(tmp_path: Path) -> None:
    options = VideoOptions(pixel_format="gray", codec="ffv1")
    path = record(tmp_path / "a.mkv", [(solid((255, 0, 0)), 0)], SECOND // 60, options)
    assert probe.stream(path).pixel_format == "gray"
    assert shows(next(probe.frames(path)), (76, 76, 76))


NOISE = np.random.default_rng(1).integers(0, 256, (23, 37, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("apng", USUAL),
        ("webp", USUAL),
        ("mkv", VideoOptions(codec="ffv1")),
        ("mkv", VideoOptions(codec="libx264rgb", crf=0)),
    ],
    ids=lambda value: getattr(value, "codec", value) or "",
)
def test_without_loss_every_pixel_is_the_screen_s(
    tmp_path: Path, name: str, options: VideoOptions
) -> None:
    pictures = [NOISE, NOISE[::-1], NOISE[:, ::-1], NOISE]
    timed = [(framed(picture), i * SECOND // 10) for i, picture in enumerate(pictures)]
    path = record(tmp_path / f"a.{name}", timed, SECOND // 2, options)
    found = list(probe.frames(path)) if name == "mkv" else [p for p, _ in animation(path)]
    for picture, wanted in zip(found, pictures, strict=False):
        assert np.array_equal(picture, wanted)


@pytest.mark.parametrize("transform", Transform)
def test_pictures_are_upright(tmp_path: Path, transform: Transform) -> None:
    frame = reference.random_frame(XRGB8888, Size(22, 14), transform)
    box = Box(0, 0, frame.width, frame.height)
    wanted = reference.packed(frame, box, kernels.Target(8, 3))
    ((picture, _), *_) = animation(record(tmp_path / "a.apng", [(frame, 0)], SECOND))
    assert picture.tobytes() == wanted


@pytest.mark.parametrize("alpha", [Alpha.STRAIGHT, Alpha.PREMULTIPLIED])
@pytest.mark.parametrize("codec", ["ffv1", "libx264"])
def test_translucent_pictures_are_over_black(tmp_path: Path, codec: str, alpha: Alpha) -> None:
    pixels = memoryview(bytes((100, 60, 20, 128)) * 256)
    frame = Frame(pixels, ABGR8888, Size(16, 16), 64, alpha=alpha)
    path = record(tmp_path / "a.mkv", [(frame, 0)], 0, VideoOptions(codec=codec))
    (picture,) = probe.frames(path)
    assert shows(picture, (50, 30, 10) if alpha is Alpha.STRAIGHT else (100, 60, 20))


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_every_format_of_a_screen_can_be_recorded(tmp_path: Path, fmt: Any) -> None:
    frame = reference.random_frame(fmt, Size(16, 16))
    wanted = reference.packed(frame, Box(0, 0, 16, 16), kernels.Target(8, 3))
    path = record(tmp_path / "a.apng", [(frame, 0)], SECOND)
    assert animation(path)[0][0].tobytes() == wanted


# ----------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    ("name", "options", "grown"),
    [
        ("mp4", USUAL, (1, 1)),
        ("mp4", VideoOptions(pixel_format="nv12"), (1, 1)),
        ("mp4", VideoOptions(pixel_format="yuv420p10le"), (1, 1)),
        ("mp4", VideoOptions(pixel_format="yuv422p"), (1, 0)),
        ("mp4", VideoOptions(pixel_format="yuv444p"), (0, 0)),
        ("mp4", VideoOptions(codec="libx265"), (1, 1)),
        ("webm", USUAL, (0, 0)),
        ("gif", USUAL, (0, 0)),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else value,
)
def test_odd_sizes_lose_no_pixel(
    tmp_path: Path, name: str, options: VideoOptions, grown: tuple[int, int]
) -> None:
    """White last column and row; where the file has one more, it is the same."""
    picture = np.zeros((47, 65, 3), np.uint8)
    picture[:, -1] = picture[-1] = 255
    path = record(
        tmp_path / f"a.{name}",
        [(framed(picture), 0)],
        0,
        options._replace(crf=1 if name != "gif" else None),
    )
    found = probe.stream(path)
    assert (found.width, found.height) == (65 + grown[0], 47 + grown[1])
    shown = next(probe.frames(path)).astype(int)
    assert shown[:, 64:].min() > 200
    assert shown[46:].min() > 200
    assert shown[:44, :62].max() < 50
    with path.open("rb", buffering=0) as file:
        stream = Video(file, name, framed(picture), None, options)
    assert stream.coded_size == Size(found.width, found.height)
    assert stream.size == Size(65, 47)


@pytest.mark.parametrize("name", VIDEO_FORMATS)
def test_a_picture_of_one_pixel(tmp_path: Path, name: str) -> None:
    frame = solid((250, 120, 10), Size(1, 1))
    path = record(tmp_path / f"a.{name}", [(frame, 0)], SECOND)
    if name in FILMS:
        assert all(shows(picture, (250, 120, 10)) for picture in probe.frames(path))
    else:
        with Image.open(path) as image:
            assert shows(np.asarray(image.convert("RGB")), (250, 120, 10))


# ---------------------------------------------------------------- memory


@pytest.mark.parametrize("name", ["mp4", "gif", "apng", "webp", "mkv"])
def test_a_frame_s_memory_may_be_used_again_after_the_next_one(tmp_path: Path, name: str) -> None:
    """As the pool does it: here two buffers take turns."""
    codec = "mpeg4" if name == "mkv" else None  # which looks at its input for longer than others
    memories = [bytearray(3 * SIZE.width * SIZE.height) for _ in range(2)]

    def pictures() -> Iterable[tuple[Frame, int]]:
        for i in range(14):
            memories[i % 2][:] = bytes(COLOURS[i // 2 % 7]) * (SIZE.width * SIZE.height)
            frame = Frame(memoryview(memories[i % 2]), BGR888, SIZE, 3 * SIZE.width)
            yield frame, i * SECOND // 10

    path = record(
        tmp_path / f"a.{name}", pictures(), 2 * SECOND, VideoOptions(codec=codec), rate=Fraction(60)
    )
    found = list(probe.frames(path)) if name in FILMS else [p for p, _ in animation(path)]
    step = len(found) // 7
    for i, wanted in enumerate(COLOURS):
        assert is_near(found[i * step + step - 1], wanted)


def test_a_codec_may_look_at_a_picture_while_the_next_one_is_made(tmp_path: Path) -> None:
    """As with threads that encode a picture each."""
    threads = (("thread_type", "frame"), ("threads", "3"))
    options = VideoOptions(codec="mjpeg", codec_options=threads)
    size = Size(640, 480)
    pictures = [(solid(COLOURS[i % 7], size), i * SECOND // 60) for i in range(28)]
    path = record(tmp_path / "a.mkv", pictures, SECOND // 2, options, rate=Fraction(60))
    for i, picture in enumerate(list(probe.frames(path))[:28]):
        assert shows(picture, COLOURS[i % 7])
