"""PNG's filters and QOI's stream as the kernels make them, for each way of compiling them."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit import pngfile, qoifile, reference
from wayshot_cli import kernels
from wayshot_cli.errors import InvalidArgumentError
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Box, Size, Transform
from wayshot_cli.kernels import PngFilter, Target
from wayshot_cli.pixels import ABGR8888, BGR888, XRGB8888, PixelFormat

pytestmark = pytest.mark.usefixtures("every_build")


def costs(row: bytes, above: bytes, left: int) -> list[int]:
    """The sum of absolute differences for each of the five filters."""
    padded, over = bytes(left) + row, bytes(left) + above
    sums = []
    for kind in range(5):
        differences = [
            (padded[i] - pngfile.prediction(kind, padded[i - left], over[i], over[i - left])) & 255
            for i in range(left, len(padded))
        ]
        sums.append(sum(min(d, 256 - d) for d in differences))
    return sums


def rgb_frame(rows: list[bytes]) -> Frame:
    width = len(rows[0]) // 3
    return Frame(memoryview(b"".join(rows)), BGR888, Size(width, len(rows)), 3 * width)


def smooth(width: int, height: int, seed: int) -> list[bytes]:
    """Rows with a bit of everything: flat, gradients, noise, repeats."""
    chance = random.Random(seed)
    rows = [chance.randbytes(3 * width)]
    while len(rows) < height:
        rows.append(next_row(rows[-1], chance))
    return rows


def next_row(above: bytes, chance: random.Random) -> bytes:
    match chance.randrange(6):
        case 0:
            return above
        case 1:
            return bytes((byte + chance.randint(0, 3)) & 255 for byte in above)
        case 2:
            return bytes((i + chance.randint(0, 2)) & 255 for i in range(len(above)))
        case 3:
            return bytes(chance.choice((0, 1, 254, 255)) for _ in above)
        case 4:
            return chance.randbytes(len(above))
    return bytes(len(above))


def filtered(filters: PngFilter, y: int, rows: int, above: bytes | None) -> tuple[bytes, int]:
    """Rows as they come of it, given the packed row above them."""
    filters.filter(y, rows)
    data, zeros = filters.finish(above)
    return bytes(data), zeros


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    width=st.one_of(st.integers(1, 50), st.sampled_from([341, 342, 343, 400, 683])),
    height=st.integers(1, 9),
    seed=st.integers(0, 999),
)
def test_filtered_rows_are_the_least_sum_and_can_be_undone(
    width: int, height: int, seed: int
) -> None:
    rows = smooth(width, height, seed)
    data, zeros = filtered(PngFilter(rgb_frame(rows), Target(8, 3), height), 0, height, None)
    above = bytes(3 * width)
    counted = 0
    for y, row in enumerate(rows):
        at = y * (3 * width + 1)
        kind, filtered_row = data[at], data[at + 1 : at + 1 + 3 * width]
        assert pngfile.unfilter(kind, filtered_row, above, 3) == row
        sums = costs(row, above, 3)
        assert sums[kind] == min(sums)
        above = row
        counted += filtered_row.count(0)
    assert zeros == counted


@pytest.mark.parametrize("transform", Transform)
@pytest.mark.parametrize(
    ("fmt", "alpha"), [(XRGB8888, Alpha.IGNORED), (ABGR8888, Alpha.PREMULTIPLIED)], ids=str
)
def test_any_rows_are_filtered_as_in_the_whole(
    fmt: PixelFormat, alpha: Alpha, transform: Transform
) -> None:
    frame = reference.random_frame(fmt, Size(37, 71), transform, alpha)
    target = Target.of(frame)
    whole, _ = filtered(PngFilter(frame, target, frame.height), 0, frame.height, None)
    row = 1 + frame.width * target.bytes_per_pixel
    filters = PngFilter(frame, target, 35)
    for y, rows in ((0, 35), (2, 33), (1, 31), (3, 32), (0, 1), (30, 7), (5, 1)):
        above = None
        if y:
            filters.filter(y - 1, 1)
            above = filters.last_row()
        assert filtered(filters, y, rows, above)[0] == whole[y * row : (y + rows) * row]


@pytest.mark.parametrize("target", [Target(d, c) for d in (8, 16) for c in (3, 4)], ids=str)
def test_filtered_rows_hold_the_packed_pixels(target: Target) -> None:
    frame = reference.random_frame(ABGR8888, Size(21, 6), alpha=Alpha.STRAIGHT)
    length = frame.width * target.bytes_per_pixel
    data, _ = filtered(PngFilter(frame, target, 6), 0, 6, None)
    above, packed = bytes(length), b""
    for y in range(6):
        at = y * (length + 1)
        above = pngfile.unfilter(
            data[at], data[at + 1 : at + 1 + length], above, target.bytes_per_pixel
        )
        packed += above
    assert packed == reference.packed(frame, Box(0, 0, 21, 6), target, ">")


def test_more_rows_than_there_is_room_for_is_refused() -> None:
    frame = reference.random_frame(XRGB8888, Size(4, 9))
    with pytest.raises(InvalidArgumentError):
        PngFilter(frame, Target(8, 3), 8).filter(0, 9)


def desktop(width: int, height: int, channels: int, seed: int) -> bytes:
    """Pixels with runs, repeats, small and large differences, so that every QOI chunk occurs."""
    chance = random.Random(seed)
    palette = [chance.randbytes(4) for _ in range(5)] + [b"\0\0\0\xff", bytes(4)]
    pixels: list[bytes] = []
    pixel = b"\0\0\0\xff"
    while len(pixels) < width * height:
        match chance.randrange(6):
            case 0:
                pixels.extend([pixel] * chance.choice((1, 2, 61, 62, 63, 130)))
            case 1:
                pixel = chance.choice(palette)
            case 2:
                pixel = chance.randbytes(4)
            case 3:
                pixel = bytes((b + chance.randint(-2, 1)) & 255 for b in pixel[:3]) + pixel[3:]
            case 4:
                green = chance.randint(-32, 31)
                moves = (green + chance.randint(-8, 7), green, green + chance.randint(-8, 7))
                pixel = bytes((b + m) & 255 for b, m in zip(pixel, moves, strict=False)) + pixel[3:]
            case _:
                pixel = pixel[:3] + chance.randbytes(1)
        pixels.append(pixel)
    return b"".join(pixel[:channels] for pixel in pixels[: width * height])


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("seed", range(20))
def test_qoi_decodes_to_the_same_pixels_however_it_is_cut(channels: int, seed: int) -> None:
    pixels = desktop(50, 20, channels, seed)
    view = memoryview(pixels)
    cut = seed * 37 * channels
    encoder = kernels.QoiEncoder(channels)
    stream = bytes(encoder.encode(view[:cut])) + bytes(encoder.encode(view[cut:]))
    stream += encoder.finish()
    assert qoifile.decode(stream, 1000, channels) == pixels
    at_once = kernels.QoiEncoder(channels)
    assert bytes(at_once.encode(view)) + at_once.finish() == stream
