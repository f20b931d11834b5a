"""Animations (gif, apng, webp): how long each picture lasts, and the palettes of a gif."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests import probe
from tests.unit.videofile import (
    COLOURS,
    SECOND,
    TOLERANCE,
    USUAL,
    animation,
    colour,
    framed,
    record,
    shows,
)
from wayshot_cli.encode import video
from wayshot_cli.encode.video import Video

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from wayshot_cli.frame import Frame

ANIMATIONS = ("gif", "apng", "webp")


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


def test_chunks_of_webp_that_are_odd_are_padded() -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return name + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)

    def shown(milliseconds: int) -> bytes:
        return chunk(b"ANMF", bytes(12) + milliseconds.to_bytes(3, "little") + bytes(5))

    head = b"RIFF" + bytes(4) + b"WEBP" + chunk(b"odd ", b"123")
    whole = bytearray(head + shown(100) + shown(200))
    assert video._webp_until(whole, 1000) == head + shown(100) + shown(900)


# -------------------------------------------------------------- palettes


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
