"""Files through PyAV: what ffprobe, ffmpeg and Pillow read in them, also in those cut off."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import av.error
import numpy as np
import pytest
from PIL import Image

from tests import probe
from tests.unit import reference
from wayshot_cli import kernels
from wayshot_cli.encode import avcodecs, video
from wayshot_cli.encode.stream import VIDEO_FORMATS, VideoOptions
from wayshot_cli.encode.video import Video
from wayshot_cli.errors import InvalidArgumentError, UnsupportedError, WriteError
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Box, Size, Transform
from wayshot_cli.pixels import ABGR8888, BGR888, FORMATS, XRGB8888
from wayshot_cli.record import _ON_ITS_WAY as ON_ITS_WAY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    Colour = tuple[int, int, int]

SECOND = 1_000_000_000
SIZE = Size(64, 48)
NTSC = Fraction(60_000, 1001)
TOLERANCE = 2
USUAL = VideoOptions()
FILMS = ("mp4", "mkv", "webm")
ANIMATIONS = ("gif", "apng", "webp")
COLOURS: tuple[Colour, ...] = (
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (20, 30, 40), (200, 100, 50),
)  # fmt: skip

SOFTWARE = [
    name
    for name in (
        *("libx264", "libx264rgb", "libx265", "libvpx-vp9", "libvpx", "ffv1", "mpeg4"),
        *("libsvtav1", "libaom-av1"),  # PyAV has had the one or the other
    )
    if name in av.codecs_available
]


def framed(picture: NDArray[np.uint8]) -> Frame:
    """Return a frame of an array of shape (height, width, 3)."""
    height, width, _ = picture.shape
    return Frame(memoryview(picture.tobytes()), BGR888, Size(width, height), 3 * width)


def solid(colour: Colour, size: Size = SIZE) -> Frame:
    """Return a frame of one colour."""
    return framed(np.full((size.height, size.width, 3), colour, np.uint8))


def colour(number: int) -> Frame:
    """Return a frame that is told from its neighbours by its colour."""
    return solid(COLOURS[number % len(COLOURS)])


def shows(picture: NDArray[Any], wanted: Colour) -> bool:
    """Whether a picture is of one colour."""
    return bool(np.abs(picture.astype(int) - wanted).max() <= TOLERANCE)


def is_near(picture: NDArray[Any], wanted: Colour) -> bool:
    """Whether a picture is of one colour as codecs have it that had no time to refine it."""
    return bool(np.abs(picture.astype(int) - wanted).max() <= 8)


def record(  # noqa: PLR0913 - a recording's facts
    path: Path,
    pictures: Iterable[tuple[Frame, int]],
    end_ns: int,
    options: VideoOptions = USUAL,
    *,
    format: str | None = None,  # noqa: A002 - as in Video
    rate: Fraction | None = None,
) -> Path:
    """Write pictures, each from its time on, into a file that is named after its format."""
    stream: Video | None = None
    with path.open("wb", buffering=0) as file:
        for frame, time_ns in pictures:
            stream = stream or Video(file, format or path.suffix[1:], frame, rate, options)
            stream.write(frame, time_ns)
        assert stream
        stream.close(end_ns)
    return path


def animation(path: Path) -> list[tuple[NDArray[np.uint8], int]]:
    """Return the pictures of an animation with what each lasts, in milliseconds."""
    found = []
    with Image.open(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            found.append((np.asarray(image.convert("RGB")), round(image.info["duration"])))
    return found


def boxes(path: Path) -> list[bytes]:
    """Return the types of an mp4's outermost boxes."""
    data, place, found = path.read_bytes(), 0, []
    while place < len(data):
        size = int.from_bytes(data[place : place + 4])
        found.append(data[place + 4 : place + 8])
        if size == 1:
            size = int.from_bytes(data[place + 8 : place + 16])
        place += size or len(data)
    return found


def test_the_formats_are_those_that_are_promised() -> None:
    assert tuple(avcodecs.FORMATS) == VIDEO_FORMATS


# ------------------------------------------------------------------ time


@pytest.mark.parametrize("name", FILMS)
def test_each_picture_is_shown_from_its_own_time_to_the_end(tmp_path: Path, name: str) -> None:
    times = [0, 7_123_456, 30_000_000, 1_500_000_000, 1_516_666_667]
    end = 2_345_678_901
    pictures = [(colour(i), time) for i, time in enumerate(times)]
    path = record(tmp_path / f"a.{name}", pictures, end)
    tick = Fraction(1, 90_000) if name == "mp4" else Fraction(1, 1000)
    packets = probe.packets(path)
    last = Fraction(end, SECOND) - Fraction(1, 60)
    for packet, time in zip(packets, [*(Fraction(t, SECOND) for t in times), last], strict=True):
        assert abs(packet.pts - time) <= tick
    assert abs(probe.duration(path) - Fraction(end, SECOND)) <= Fraction(1, 1000)
    for number, picture in enumerate(probe.frames(path)):
        assert is_near(picture, COLOURS[min(number, len(times) - 1)])


@pytest.mark.parametrize("name", FILMS)
def test_a_constant_rate_is_exact_and_may_have_gaps(tmp_path: Path, name: str) -> None:
    slots = [0, 1, 2, 5, 6, 118]
    pictures = [(colour(slot), int(slot * SECOND / NTSC)) for slot in slots]
    path = record(tmp_path / f"a.{name}", pictures, int(120 * SECOND / NTSC), rate=NTSC)
    packets = probe.packets(path)
    rounding = 0 if name == "mp4" else Fraction(1, 2000)
    assert [round(packet.pts * NTSC) for packet in packets] == [*slots, 119]
    assert all(abs(p.pts - s / NTSC) <= rounding for p, s in zip(packets, slots, strict=False))
    assert probe.stream(path).rate == NTSC or name != "mp4"
    assert abs(probe.duration(path) - 120 / NTSC) <= 2 * rounding


def test_matroska_states_the_rate_to_a_nanosecond(tmp_path: Path) -> None:
    """In its element DefaultDuration, which ffprobe makes a fraction of with small numbers."""
    pictures = [(colour(i), i * SECOND // 60) for i in range(3)]
    data = record(tmp_path / "a.mkv", pictures, SECOND // 20, rate=NTSC).read_bytes()
    assert bytes.fromhex("23e383 83") + int(SECOND / NTSC).to_bytes(3) in data


@pytest.mark.parametrize("name", FILMS)
def test_a_picture_that_does_not_change_lasts_to_the_end(tmp_path: Path, name: str) -> None:
    path = record(tmp_path / f"a.{name}", [(colour(1), 0)], 3 * SECOND)
    assert abs(probe.duration(path) - 3) < Fraction(1, 60)
    assert len(probe.packets(path)) == 2


def test_of_pictures_for_one_tick_the_newest_is_shown(tmp_path: Path) -> None:
    """Matroska counts milliseconds."""
    times = [0, 200_000, 400_000, 5_000_000, 5_100_000, 9_000_000, 9_200_000]
    path = record(tmp_path / "a.mkv", [(colour(i), t) for i, t in enumerate(times)], SECOND)
    assert [int(packet.pts * 1000) for packet in probe.packets(path)][:6] == [0, 1, 5, 6, 9, 10]
    shown = [0, 2, 3, 4, 5, 6, 6]
    for picture, number in zip(probe.frames(path), shown, strict=True):
        assert shows(picture, COLOURS[number])


def test_a_picture_that_came_too_early_is_shown_by_a_repetition(tmp_path: Path) -> None:
    with (tmp_path / "a.mkv").open("wb", buffering=0) as file:
        stream = Video(file, "mkv", colour(0), None, USUAL)
        stream.write(colour(0), 0)
        stream.write(colour(1), 100_000)
        stream.repeat(1_200_000)
        stream.repeat(1_300_000)
        stream.close(2_000_000)
    assert [int(packet.pts * 1000) for packet in probe.packets(tmp_path / "a.mkv")] == [0, 1]
    assert shows(list(probe.frames(tmp_path / "a.mkv"))[1], COLOURS[1])


def test_gif_drops_what_is_too_short_and_keeps_the_duration(tmp_path: Path) -> None:
    """Browsers slow a picture down that lasts less than 20 ms."""
    count = 60
    pictures = [(colour(i), i * SECOND // 60) for i in range(count)]
    path = record(tmp_path / "a.gif", pictures, SECOND)
    shown = animation(path)
    assert all(duration >= 20 for _, duration in shown)
    assert abs(sum(duration for _, duration in shown) - 1000) <= 20
    at = 0
    for picture, duration in shown[:-1]:
        number = at * 60 / 1000
        near = [COLOURS[i % len(COLOURS)] for i in range(count) if abs(i - number) <= 1]
        assert any(shows(picture, wanted) for wanted in near)
        at += duration
    assert shows(shown[-1][0], COLOURS[(count - 1) % len(COLOURS)])


@pytest.mark.parametrize("name", ANIMATIONS)
def test_animations_last_as_long_as_the_recording(tmp_path: Path, name: str) -> None:
    times = [0, 100, 250, 1000, 1050]
    pictures = [(colour(i), time * 1_000_000) for i, time in enumerate(times)]
    path = record(tmp_path / f"a.{name}", pictures, 3 * SECOND)
    shown = animation(path)
    total = 0
    for picture, duration in shown:
        assert shows(picture, COLOURS[sum(time <= total for time in times) - 1])
        total += duration
    assert total == 3000
    with Image.open(path) as image:
        assert image.info["loop"] == 0  # for ever


@pytest.mark.parametrize("name", ["gif", "apng"])
def test_a_long_rest_is_not_cut_short(tmp_path: Path, name: str) -> None:
    """A picture of a gif lasts 655 s at most."""
    pictures = [(colour(0), 0), (colour(1), 1500 * SECOND)]
    shown = animation(record(tmp_path / f"a.{name}", pictures, 3000 * SECOND))
    assert sum(duration for _, duration in shown) == 3_000_000
    at_first = sum(duration for picture, duration in shown if shows(picture, COLOURS[0]))
    assert at_first == 1_500_000


def test_animations_are_not_made_longer_by_repetitions(tmp_path: Path) -> None:
    with (tmp_path / "a.gif").open("wb", buffering=0) as file:
        stream = Video(file, "gif", colour(0), Fraction(60), USUAL)
        stream.write(colour(0), 0)
        for i in range(1, 60):
            stream.repeat(i * SECOND // 60)
        stream.close(SECOND)
    shown = animation(tmp_path / "a.gif")
    assert [duration for _, duration in shown] == [980, 20]


def test_a_webp_of_one_picture_is_a_still(tmp_path: Path) -> None:
    path = record(tmp_path / "a.webp", [(colour(2), 0)], SECOND)
    with Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == 1
        assert shows(np.asarray(image.convert("RGB")), COLOURS[2])


# ------------------------------------------------------------- a kill


class Pipe:
    """A file that cannot seek."""

    def __init__(self) -> None:
        self.data = bytearray()

    def seekable(self) -> bool:
        return False

    def write(self, data: memoryview) -> int:
        self.data += data
        return len(data)


KILLED = [*FILMS, "mp4 into a pipe", "mp4 of an older libavformat"]


@pytest.mark.parametrize("name", KILLED)
def test_a_kill_costs_less_than_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The file as a kill at any time leaves it: what was written until then."""
    if "older" in name:
        versions = {**av.library_versions, "libavformat": (60, 16, 100)}
        monkeypatch.setattr(av, "library_versions", versions)
    whole = tmp_path / f"a.{name.partition(' ')[0]}"
    pipe = Pipe()
    with whole.open("wb", buffering=0) as file:
        place: Any = pipe if "pipe" in name else file
        stream = Video(place, whole.suffix[1:], colour(0), None, USUAL)
        for number in range(200):
            stream.write(colour(number), number * SECOND // 60)
            if number in (40, 199):
                cut = tmp_path / f"{number}{whole.suffix}"
                cut.write_bytes(pipe.data or whole.read_bytes())
                packets = probe.packets(cut)
                assert packets[-1].pts > Fraction(number, 60) - Fraction(6, 10)
                assert len(packets) == round(packets[-1].pts * 60) + 1
        assert sum(1 for _ in probe.frames(cut)) == len(packets)
        stream.close(200 * SECOND // 60)
    if "pipe" in name:
        whole.write_bytes(pipe.data)
    assert len(probe.packets(whole)) == 200
    if name == "mp4":
        assert b"moof" not in boxes(whole)
    elif name in KILLED[3:]:
        assert boxes(whole)[:3] == [b"ftyp", b"moov", b"moof"]
        assert boxes(whole)[-1] == b"mfra"


@pytest.mark.parametrize("name", FILMS)
def test_on_a_resting_screen_repetitions_bring_everything_to_the_disk(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / f"a.{name}"
    with path.open("wb", buffering=0) as file:
        stream = Video(file, name, colour(0), None, USUAL)
        stream.write(colour(0), 0)
        stream.write(colour(1), 16_000_000)
        stream.write(colour(2), 33_000_000)
        # As the recorder does it: some time after it is due, for the time that was due.
        assert stream.longest_rest_ns
        step = stream.longest_rest_ns + ON_ITS_WAY
        for number in range(1, 1 + 3 * SECOND // step):
            killed = 33_000_000 + number * step
            stream.repeat(killed - ON_ITS_WAY)
        cut = tmp_path / f"cut.{name}"
        cut.write_bytes(path.read_bytes())
        stream.abandon()
    # Some is left for the next repetition.
    assert probe.packets(cut)[-1].pts > Fraction(killed, SECOND) - Fraction(7, 10)
    *_, last = probe.frames(cut)
    assert is_near(last, COLOURS[2])


def count_packets(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that fills with how many packets each picture, and at last the end, gives."""
    passed = []
    put = Video._put

    def count(self: Video, packets: list[Any]) -> None:
        passed.append(len(packets))
        put(self, packets)

    monkeypatch.setattr(Video, "_put", count)
    return passed


@pytest.mark.parametrize("codec", SOFTWARE)
def test_no_codec_holds_pictures_back(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    codec: str,
) -> None:
    """Nor does it say anything, and what it encodes is what was captured."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    passed = count_packets(monkeypatch)
    pictures = [(colour(i // 5), i * SECOND // 60) for i in range(20)]
    options = VideoOptions(codec=codec)
    path = record(tmp_path / "a.mkv", pictures, SECOND // 3, options, rate=Fraction(60))
    assert passed == [1] * 20 + [0]
    for number, picture in enumerate(probe.frames(path)):
        if number % 5 == 4:
            assert is_near(picture, COLOURS[number // 5])
    assert capfd.readouterr().err == ""


def test_on_two_cores_x264_holds_one_picture_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It encodes the next one meanwhile."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(2))
    passed = count_packets(monkeypatch)
    pictures = [(colour(i // 5), i * SECOND // 60) for i in range(20)]
    record(tmp_path / "a.mkv", pictures, SECOND // 3, VideoOptions(), rate=Fraction(60))
    assert passed == [0] + [1] * 19 + [1]


@pytest.mark.parametrize("rate", [None, Fraction(60)], ids=str)
@pytest.mark.parametrize("name", VIDEO_FORMATS)
def test_only_video_of_variable_rate_wants_to_be_told_that_nothing_changes(
    name: str, rate: Fraction | None
) -> None:
    stream = Video(Pipe(), name, colour(0), rate, USUAL)
    assert stream.longest_rest_ns == (SECOND // 10 if name in FILMS and not rate else None)
    stream.abandon()


# ----------------------------------------------------------------- colours


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


# -------------------------------------------------------------- odd sizes


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


# -------------------------------------------------------------------- gif


def chart(colours: int) -> NDArray[np.uint8]:
    """Return a picture with flat patches of 8x8 pixels in that many colours."""
    chosen = np.random.default_rng(3).choice(2**24, colours, replace=False).astype(np.uint32)
    patches = np.resize(chosen, (16, 20))
    values = patches.repeat(8, axis=0).repeat(8, axis=1)
    return np.stack([values >> 16, values >> 8, values], axis=-1).astype(np.uint8)


def test_colours_of_a_gif_are_exact_if_there_are_few(tmp_path: Path) -> None:
    picture = chart(250)
    ((shown, _), *_) = animation(record(tmp_path / "a.gif", [(framed(picture), 0)], SECOND))
    assert np.array_equal(shown, picture)


def test_flat_areas_of_a_gif_stay_flat_if_there_are_too_many_colours(tmp_path: Path) -> None:
    picture = chart(300)
    ((shown, _), *_) = animation(record(tmp_path / "a.gif", [(framed(picture), 0)], SECOND))
    patches = shown.reshape(16, 8, 20, 8, 3)
    assert (np.ptp(patches, axis=(1, 3)) == 0).all()


def ramp() -> NDArray[np.uint8]:
    """Return a picture with thousands of colours, and a flat half."""
    y, x = np.mgrid[0:120, 0:160]
    picture = np.stack([x + y, 2 * y, 255 - x], axis=-1).astype(np.uint8)
    picture[:, 80:] = (30, 32, 38)
    return picture


def test_colours_of_a_gif_are_near_if_there_are_many(tmp_path: Path) -> None:
    picture = ramp()
    ((shown, _), *_) = animation(record(tmp_path / "a.gif", [(framed(picture), 0)], SECOND))
    error = np.abs(shown.astype(int) - picture)
    assert error[:, 80:].max() <= TOLERANCE  # flat areas above all
    assert error.max() < 32
    assert error.mean() < 6


def test_a_gif_stores_only_what_changes_as_long_as_the_colours_fit(tmp_path: Path) -> None:
    def moved(i: int) -> Frame:
        picture = ramp()
        picture[50:60, 85 + i : 95 + i] = (30, 200, 38)
        return framed(picture)

    pictures = [(moved(i), i * SECOND // 10) for i in range(20)]
    path = record(tmp_path / "a.gif", pictures, 2 * SECOND)
    sizes = [packet.size for packet in probe.packets(path)]
    assert max(sizes[1:]) < sizes[0] / 10
    for i, (picture, _) in enumerate(animation(path)[:20]):
        error = np.abs(picture.astype(int) - moved(i).to_numpy())
        assert error[:, 80:].max() <= TOLERANCE


def test_new_colours_of_a_gif_get_a_new_palette_which_stays_too(tmp_path: Path) -> None:
    red, brown, moved = ramp(), ramp(), ramp()
    red[50:54, 90:94] = (255, 0, 0)  # rare, but unlike any other
    brown[:, 80:] = moved[:, 80:] = (38, 32, 38)  # near another, but a large area
    moved[20:30, 100:110] = brown[60, 20]
    filmed = [ramp(), red, ramp(), brown, moved, brown, ramp()]
    pictures = [(framed(picture), i * SECOND) for i, picture in enumerate(filmed)]
    path = record(tmp_path / "a.gif", pictures, len(filmed) * SECOND)
    for (shown, _), wanted in zip(animation(path), filmed, strict=False):
        error = np.abs(shown.astype(int) - wanted)
        assert error[60:, 80:].max() <= TOLERANCE
        assert error.max() < 32
    sizes = [packet.size for packet in probe.packets(path)]
    assert max(sizes[4:6]) < sizes[0] / 5


def test_a_gif_gets_a_new_palette_for_what_the_old_one_has_only_roughly(tmp_path: Path) -> None:
    y, x = np.mgrid[0:256, 0:256]
    rough = np.stack([x // 30 * 30, y // 30 * 30, 0 * x], axis=-1).astype(np.uint8)
    gray = (x + 37 * (y // 8)) % 256
    smooth = np.stack([gray, gray, 0 * x], axis=-1).astype(np.uint8)
    pictures = [(framed(rough), 0), (framed(smooth), SECOND)]
    shown = animation(record(tmp_path / "a.gif", pictures, 2 * SECOND))
    assert np.abs(shown[1][0].astype(int) - smooth).max() <= TOLERANCE


def test_a_gif_may_come_back_to_its_first_palette(tmp_path: Path) -> None:
    """Which libavcodec, by itself, would take for a picture that has not changed."""
    pictures = [(colour(number), i * SECOND) for i, number in enumerate((0, 1, 0, 1, 0))]
    shown = animation(record(tmp_path / "a.gif", pictures, 5 * SECOND))
    for i in range(5):
        assert shows(shown[i][0], COLOURS[i % 2])


# -------------------------------------------------------------- options


def noise(number: int) -> Frame:
    """Return a frame that is hard to compress."""
    return framed(np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8))


def size_of(path: Path, options: VideoOptions) -> int:
    pictures = [(noise(i), i * SECOND // 60) for i in range(10)]
    return record(path, pictures, SECOND // 6, options).stat().st_size


@pytest.mark.parametrize("name", FILMS)
def test_quality_costs_bytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"a.{name}"
    sizes = [size_of(path, VideoOptions(crf=crf)) for crf in (5, 25.5, 45)]
    assert sizes == sorted(set(sizes), reverse=True)
    rates = [size_of(path, VideoOptions(bitrate=rate)) for rate in (20_000_000, 200_000)]
    assert rates[0] > 2 * rates[1]


def test_key_frames_come_as_often_as_asked_for(tmp_path: Path) -> None:
    pictures = [(solid((i, i, i)), i * SECOND // 60) for i in range(20)]
    path = record(tmp_path / "a.mp4", pictures, SECOND // 3, VideoOptions(gop=7))
    keys = [i for i, packet in enumerate(probe.packets(path)) if packet.key]
    assert keys == [0, 7, 14]


def test_options_reach_the_codec(tmp_path: Path) -> None:
    """x264 writes its settings into the stream."""
    options = VideoOptions(preset="faster", codec_options=(("refs", "3"), ("crf", "30")))
    data = record(tmp_path / "a.mp4", [(colour(0), 0)], 0, options).read_bytes()
    assert b" ref=3 " in data
    assert b" crf=30.0 " in data
    assert b" subme=4 " in data
    assert b" rc_lookahead=0 " not in data or b" mbtree=0 " in data
    assert b" bframes=0 " in data


def test_hevc_in_mp4_is_tagged_as_apple_wants_it(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mp4", [(colour(0), 0)], 0, VideoOptions(codec="libx265"))
    assert b"hvc1" in path.read_bytes()


@pytest.mark.parametrize("name", VIDEO_FORMATS)
def test_what_is_usual_passes_the_check(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    video.check(name, USUAL)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mp4", VideoOptions(codec="h264", crf=0, preset="ultrafast", gop=1)),
        ("mkv", VideoOptions(codec="libx264", bitrate=1_000_000, pixel_format="nv12")),
        ("mp4", VideoOptions(codec_options=(("tune", "animation,zerolatency"),))),
        ("mkv", VideoOptions(codec="libx265", codec_options=(("x265-params", "no-sao=1"),))),
        ("mkv", VideoOptions(codec="mjpeg")),
        ("gif", VideoOptions(codec="gif")),
        ("webp", VideoOptions(codec="webp", codec_options=(("quality", "80"),))),
    ],
    ids=str,
)
def test_what_fits_passes_the_check(
    name: str, options: VideoOptions, capfd: pytest.CaptureFixture[str]
) -> None:
    video.check(name, options)
    assert capfd.readouterr().err == ""


REFUSED = [
    ("avi", USUAL, "'avi'", "mp4"),
    ("mp4", VideoOptions(codec="h265x"), "'h265x'", "libx264"),
    ("mp4", VideoOptions(codec="aac"), "aac", "libx264"),
    ("webm", VideoOptions(codec="libx264"), "webm cannot hold libx264", "libvpx-vp9"),
    ("mp4", VideoOptions(codec="gif"), "mp4 cannot hold gif", "libx264"),
    ("mp4", VideoOptions(pixel_format="yuv999p"), "'yuv999p'", "yuv444p"),
    ("mp4", VideoOptions(pixel_format="bgr0"), "'bgr0'", "yuv420p"),
    ("webm", VideoOptions(pixel_format="nv12"), "'nv12'", "yuv420p"),
    ("mp4", VideoOptions(preset="quick"), "preset 'quick'", "veryfast"),
    ("mp4", VideoOptions(codec_options=(("preset", "quick"),)), "preset 'quick'", "veryfast"),
    ("mp4", VideoOptions(codec_options=(("tune", "film,tv"),)), "tune 'tv'", "zerolatency"),
    ("mkv", VideoOptions(codec="libx265", preset="x"), "preset 'x'", "veryfast"),
    ("webm", VideoOptions(preset="fast"), "'preset'", "encoder=libvpx-vp9"),
    ("mp4", VideoOptions(crf=52), "crf 52 is not from 0 to 51", None),
    ("mp4", VideoOptions(crf=-0.5), "crf -0.5", None),
    ("webm", VideoOptions(crf=64), "from 0 to 63", None),
    (
        "mkv",
        VideoOptions(codec="mpeg4", crf=3),
        r"mpeg4 has no constant quality \(crf\)",
        "bit rate",
    ),
    ("mp4", VideoOptions(crf=20, bitrate=1000), "exclude each other", None),
    ("mp4", VideoOptions(bitrate=0), "bit rate 0", None),
    ("mp4", VideoOptions(bitrate=2**31), "bit rate 2147483648", None),
    ("mp4", VideoOptions(gop=0), "gop 0", None),
    ("mp4", VideoOptions(codec_options=(("nonsense", "1"),)), "no option 'nonsense'", "libx264"),
    ("mp4", VideoOptions(codec_options=(("refs", "many"),)), "used: Unable to parse", None),
    ("webm", VideoOptions(codec_options=(("cpu-used", "99"),)), "out of range", None),
    ("gif", VideoOptions(crf=20), "gif has no crf", None),
    ("gif", VideoOptions(codec="libx264"), "gif has no codec", None),
    ("apng", VideoOptions(bitrate=20), "apng has no bitrate", None),
    ("apng", VideoOptions(preset="fast"), "apng has no preset", None),
    ("webp", VideoOptions(gop=20), "webp has no gop", None),
    ("webp", VideoOptions(pixel_format="bgra"), "webp has no pixel format", None),
    ("gif", VideoOptions(colorspace="bt709"), "gif has no colorspace", None),
    ("gif", VideoOptions(full_range=False), "gif has no full range", None),
    ("gif", VideoOptions(codec_options=(("x", "1"),)), "gif has no option 'x'", None),
    ("mkv", VideoOptions(codec="libx264rgb", full_range=True), "bgr0 has no matrix", None),
    ("mkv", VideoOptions(codec="ffv1", colorspace="bt601"), "bgr0 has no matrix", None),
]


@pytest.mark.parametrize(("name", "options", "words", "hint"), REFUSED, ids=str)
def test_what_does_not_fit_is_refused_before_anything_is_captured(
    name: str,
    options: VideoOptions,
    words: str,
    hint: str | None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        video.check(name, options)
    assert (hint or "") in (caught.value.hint or "")
    assert capfd.readouterr().err == ""


def test_without_pyav_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UnsupportedError, match="mp4 is written with PyAV") as caught:
        video.check("mp4", USUAL)
    assert caught.value.hint
    assert "pip install 'wayshot-cli[video]'" in caught.value.hint


class NoCodec:
    def __init__(self, name: str, _mode: str) -> None:
        raise av.codec.codec.UnknownCodecError(name)


def test_a_pyav_without_the_usual_codec_is_no_mistake_of_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(av, "Codec", NoCodec)
    with pytest.raises(UnsupportedError, match="no codec 'libx264'"):
        video.check("mp4", USUAL)
    with pytest.raises(InvalidArgumentError, match="no codec 'libx264'"):
        video.check("mp4", VideoOptions(codec="libx264"))


def unsupported(codec: str) -> UnsupportedError | None:
    """Return why a codec cannot be used here, None if it can."""
    try:
        video.check("mp4", VideoOptions(codec=codec))
    except UnsupportedError as error:
        return error
    return None


HARDWARE = ["h264_nvenc", "hevc_nvenc", "h264_qsv", "av1_qsv", "h264_amf", "h264_v4l2m2m"]


@pytest.mark.parametrize("codec", [name for name in HARDWARE if name in av.codecs_available])
def test_hardware_that_is_not_there_is_named_with_the_codec_s_own_reason(
    codec: str, capfd: pytest.CaptureFixture[str]
) -> None:
    error = unsupported(codec)
    if error is not None:  # as on most machines
        assert str(error).startswith(f"{codec} cannot be used: ")
        assert re.search("libcuda|MFX session|amf|device", str(error))
        assert error.exit_code == 4
        assert str(unsupported(codec)) == str(error)
    with pytest.raises(InvalidArgumentError, match="Error setting option g to value many"):
        video.check("mp4", VideoOptions(codec=codec, codec_options=(("g", "many"),)))
    assert capfd.readouterr().err == ""


def test_a_rate_that_the_codec_does_not_know_is_refused_when_the_first_picture_comes(
    tmp_path: Path,
) -> None:
    options = VideoOptions(codec="mpeg4")  # whose ticks are at most 1/65535
    path = tmp_path / "a.mp4"
    with path.open("wb") as file, pytest.raises(InvalidArgumentError, match="65535"):
        Video(file, "mp4", colour(0), None, options)
    assert path.read_bytes() == b""


def test_with_a_tune_of_one_s_own_x264_holds_one_picture_back_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = count_packets(monkeypatch)
    pictures = [(colour(i), i * SECOND // 60) for i in range(20)]
    options = VideoOptions(preset="medium", codec_options=(("tune", "film"),))
    record(tmp_path / "a.mp4", pictures, SECOND // 3, options)
    assert passed == [0] + [1] * 19 + [1]


def test_chunks_of_webp_that_are_odd_are_padded() -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return name + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)

    def shown(milliseconds: int) -> bytes:
        return chunk(b"ANMF", bytes(12) + milliseconds.to_bytes(3, "little") + bytes(5))

    head = b"RIFF" + bytes(4) + b"WEBP" + chunk(b"odd ", b"123")
    whole = bytearray(head + shown(100) + shown(200))
    assert video._webp_until(whole, 1000) == head + shown(100) + shown(900)


# ------------------------------------------------------------- what goes wrong


class Full(Pipe):
    """A file on a disk that becomes full."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room
        self.refused = 0

    def write(self, data: memoryview) -> int:
        if len(self.data) + len(data) > self._room:
            self.refused += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("room", [0, 2000])
@pytest.mark.parametrize("name", VIDEO_FORMATS)
def test_what_the_file_raises_reaches_the_caller(
    name: str, room: int, capfd: pytest.CaptureFixture[str]
) -> None:
    file = Full(room)
    stream = Video(file, name, noise(0), None, USUAL)
    with pytest.raises(OSError, match="No space left") as caught:  # noqa: PT012 - one of many
        for number in range(200):
            assert not file.refused  # else it would have been told already
            stream.write(noise(number), number * SECOND // 60)
        stream.close(200 * SECOND // 60)
    assert caught.value.errno == errno.ENOSPC
    stream.abandon()
    assert file.refused == 1  # nothing was tried after that
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", VIDEO_FORMATS)
def test_after_abandon_nothing_more_is_written(name: str) -> None:
    file = Pipe()
    stream = Video(file, name, colour(0), None, USUAL)
    assert not file.data
    for number in range(100):
        stream.write(colour(number), number * SECOND // 60)
    before = len(file.data)
    stream.abandon()
    stream.abandon()
    del stream
    assert len(file.data) == before


class Failing:
    """An encoder that fails."""

    def encode(self, _frame: object) -> list[object]:
        raise av.error.ExternalError(542398533, "Generic error in an external library")


def test_a_codec_that_fails_is_an_error_of_the_family() -> None:
    stream = Video(Pipe(), "mp4", colour(0), None, USUAL)
    stream._encoder = Failing()
    with pytest.raises(WriteError, match="libx264 failed: Generic error in an external"):
        stream.write(colour(0), 0)
    stream.abandon()


def test_a_frame_of_another_size_is_refused() -> None:
    stream = Video(Pipe(), "mp4", colour(0), None, USUAL)
    with pytest.raises(InvalidArgumentError, match="32x48 in a video of 64x48"):
        stream.write(colour(0).crop(Box(0, 0, 32, 48)), 0)
    stream.abandon()


class Slow:
    """A file that takes little at a time, as a system call may."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def write(self, data: memoryview) -> int:
        return int(self._file.write(data[:700]))


@pytest.mark.parametrize("name", VIDEO_FORMATS)
def test_short_writes_are_continued(tmp_path: Path, name: str) -> None:
    pictures = [(noise(i), i * SECOND // 60) for i in range(5)]
    whole = record(tmp_path / f"a.{name}", pictures, SECOND // 12)
    with (tmp_path / "b").open("wb", buffering=0) as file:
        stream = Video(Slow(file), name, noise(0), None, USUAL)
        for frame, time_ns in pictures:
            stream.write(frame, time_ns)
        stream.close(SECOND // 12)
    assert abs((tmp_path / "b").stat().st_size - whole.stat().st_size) <= 16
    if name in FILMS:
        whole.write_bytes((tmp_path / "b").read_bytes())
        assert len(list(probe.frames(whole))) == len(pictures)


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


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_every_format_of_a_screen_can_be_recorded(tmp_path: Path, fmt: Any) -> None:
    frame = reference.random_frame(fmt, Size(16, 16))
    wanted = reference.packed(frame, Box(0, 0, 16, 16), kernels.Target(8, 3))
    path = record(tmp_path / "a.apng", [(frame, 0)], SECOND)
    assert animation(path)[0][0].tobytes() == wanted


def test_nothing_heavy_is_loaded_before_it_is_needed() -> None:
    script = (
        "import sys; from wayshot_cli.encode import stream\n"
        "assert not {'av', 'numpy', 'PIL'} & set(sys.modules)\n"
        "from wayshot_cli.encode import video\n"
        "assert not {'av', 'numpy', 'PIL'} & set(sys.modules)\n"
        "video.check('mp4', stream.VideoOptions())\n"
        "assert not {'numpy', 'PIL'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
