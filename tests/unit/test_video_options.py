"""The options of video: what reaches the codec, and what is refused beforehand."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import av
import pytest

from tests import probe
from tests.unit.videofile import FILMS, SECOND, USUAL, colour, noise, record, solid
from wayshot_cli.encode import avcodecs, video
from wayshot_cli.encode.stream import VIDEO_FORMATS, VideoOptions
from wayshot_cli.encode.video import Video
from wayshot_cli.errors import InvalidArgumentError, UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_formats_are_those_that_are_promised() -> None:
    assert tuple(avcodecs.FORMATS) == VIDEO_FORMATS


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


# ------------------------------------------------------------- the check


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
