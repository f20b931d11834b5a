"""Video (mp4, mkv, webm): when each picture is shown, and what a kill leaves."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import pytest

from tests import probe
from tests.unit.videofile import (
    COLOURS,
    FILMS,
    SECOND,
    USUAL,
    Pipe,
    colour,
    count_packets,
    is_near,
    record,
    shows,
)
from wayshot_cli.encode.stream import VIDEO_FORMATS, VideoOptions
from wayshot_cli.encode.video import Video
from wayshot_cli.record import _ON_ITS_WAY as ON_ITS_WAY

if TYPE_CHECKING:
    from pathlib import Path

NTSC = Fraction(60_000, 1001)
SOFTWARE = [
    name
    for name in (
        *("libx264", "libx264rgb", "libx265", "libvpx-vp9", "libvpx", "ffv1", "mpeg4"),
        *("libsvtav1", "libaom-av1"),  # PyAV has had the one or the other
    )
    if name in av.codecs_available
]


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


# ---------------------------------------------------------------- a kill


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


@pytest.mark.parametrize("rate", [None, Fraction(60)], ids=str)
@pytest.mark.parametrize("name", VIDEO_FORMATS)
def test_only_video_of_variable_rate_wants_to_be_told_that_nothing_changes(
    name: str, rate: Fraction | None
) -> None:
    stream = Video(Pipe(), name, colour(0), rate, USUAL)
    assert stream.longest_rest_ns == (SECOND // 10 if name in FILMS and not rate else None)
    stream.abandon()


# ------------------------------------------------- what codecs hold back


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


def test_with_a_tune_of_one_s_own_x264_holds_one_picture_back_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = count_packets(monkeypatch)
    pictures = [(colour(i), i * SECOND // 60) for i in range(20)]
    options = VideoOptions(preset="medium", codec_options=(("tune", "film"),))
    record(tmp_path / "a.mp4", pictures, SECOND // 3, options)
    assert passed == [0] + [1] * 19 + [1]
