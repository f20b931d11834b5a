"""The choice of a format, and the formats other than PNG."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from tests.unit import qoifile, reference
from wayshot_cli import encode, kernels
from wayshot_cli.encode import Options, image, plain
from wayshot_cli.errors import InvalidArgumentError, UnsupportedError, WriteError
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Box, Size, Transform
from wayshot_cli.pixels import ABGR8888, ABGR16161616, ARGB8888, BY_DRM_NAME, XRGB8888

LOSSLESS = ("webp", "tiff")


def gradient(width: int, height: int) -> Frame:
    pixels = bytes(
        byte for y in range(height) for x in range(width) for byte in (x * 2, y * 2, x + y, 0)
    )
    return Frame(memoryview(pixels), XRGB8888, Size(width, height), width * 4)


def encoded(frame: Frame, format_: str, options: Options = encode.DEFAULTS) -> bytes:
    return b"".join(encode.encode(frame, format_, options))


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


def rgb(frame: Frame) -> bytes:
    return bytes(kernels.pack(frame, kernels.Target(8, 3)))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.png", "png"),
        ("a.PNG", "png"),
        ("a", "png"),
        ("a.b/c", "png"),
        (".png", "png"),
        ("x.jpg", "jpeg"),
        ("x.y.JPEG", "jpeg"),
        ("x.tif", "tiff"),
        ("x.pnm", "ppm"),
        (Path("x.avif"), "avif"),
        ("x.raw", "raw"),
    ],
)
def test_the_extension_names_the_format(path: str | Path, name: str) -> None:
    assert encode.format_of(path) == name


def test_the_name_of_an_extension_is_a_format() -> None:
    assert encoded(gradient(8, 8), "jpg") == encoded(gradient(8, 8), "jpeg")


def test_an_unknown_extension_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidArgumentError, match=r"'\.bmp'") as caught:
        encode.format_of("a.bmp")
    assert all(extension in str(caught.value.hint) for extension in encode.EXTENSIONS)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bmp", Options()),
        ("png", Options(level=10)),
        ("png", Options(level=-1)),
        ("jpeg", Options(quality=0)),
        ("jpeg", Options(quality=101)),
    ],
)
def test_nonsense_is_refused_before_anything_is_encoded(name: str, options: Options) -> None:
    with pytest.raises(InvalidArgumentError):
        encode.encode(gradient(2, 2), name, options)


@pytest.mark.parametrize("transform", [Transform.NORMAL, Transform.FLIPPED_90])
@pytest.mark.parametrize("name", ["webp", "tiff", "ppm", "png", "qoi"])
def test_lossless_formats_keep_every_pixel(name: str, transform: Transform) -> None:
    frame = reference.random_frame(XRGB8888, Size(33, 70), transform)
    picture = opened(encoded(frame, name))
    assert (picture.mode, picture.size) == ("RGB", (frame.width, frame.height))
    assert picture.tobytes() == rgb(frame)


@pytest.mark.parametrize("name", ["webp", "tiff", "png", "qoi"])
def test_translucent_pictures_are_stored_straight(name: str) -> None:
    pixels = bytes((0, 50, 100, 100)) * 3 + bytes((255, 0, 0, 255)) * 3
    frame = Frame(memoryview(pixels), ABGR8888, Size(3, 2), 12, alpha=Alpha.PREMULTIPLIED)
    picture = opened(encoded(frame, name))
    assert picture.mode == "RGBA"
    assert picture.tobytes() == bytes((0, 128, 255, 100)) * 3 + bytes((255, 0, 0, 255)) * 3


@pytest.mark.parametrize("name", ["webp", "avif", "tiff", "qoi"])
def test_alpha_that_is_opaque_everywhere_is_left_out(name: str) -> None:
    pixels = bytes((10, 20, 30, 255)) * 256
    frame = Frame(memoryview(pixels), ABGR8888, Size(16, 16), 64, alpha=Alpha.PREMULTIPLIED)
    assert opened(encoded(frame, name)).mode == "RGB"


def test_avif_keeps_alpha() -> None:
    pixels = bytes((0, 50, 100, 100)) * 256
    frame = Frame(memoryview(pixels), ABGR8888, Size(16, 16), 64, alpha=Alpha.PREMULTIPLIED)
    picture = opened(encoded(frame, "avif"))
    assert picture.mode == "RGBA"
    assert picture.getpixel((8, 8)) == pytest.approx((0, 128, 255, 100), abs=3)


@pytest.mark.parametrize("name", ["jpeg", "avif"])
def test_lossy_formats_come_close(name: str) -> None:
    frame = gradient(64, 48)
    picture = opened(encoded(frame, name))
    assert picture.size == (64, 48)
    worst = max(abs(a - b) for a, b in zip(picture.tobytes(), rgb(frame), strict=True))
    assert worst <= 6


@pytest.mark.parametrize("name", ["jpeg", "ppm"])
def test_without_alpha_in_the_format_black_is_behind(name: str) -> None:
    pixels = bytes((0, 50, 100, 100)) * 256
    premultiplied = Frame(memoryview(pixels), ABGR8888, Size(16, 16), 64, alpha=Alpha.PREMULTIPLIED)
    straight = Frame(memoryview(pixels), ABGR8888, Size(16, 16), 64, alpha=Alpha.STRAIGHT)
    assert opened(encoded(premultiplied, name)).getpixel((8, 8)) == pytest.approx(
        (0, 50, 100), abs=2
    )
    assert opened(encoded(straight, name)).getpixel((8, 8)) == pytest.approx((0, 20, 39), abs=2)


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif"])
def test_quality_costs_bytes(name: str) -> None:
    frame = reference.random_frame(XRGB8888, Size(64, 64))
    sizes = [len(encoded(frame, name, Options(quality=quality))) for quality in (10, 50, 95)]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("quality", [90, 95, 100])
def test_noise_which_makes_the_largest_jpeg_is_written_whole(quality: int) -> None:
    frame = reference.random_frame(XRGB8888, Size(640, 480))
    picture = opened(encoded(frame, "jpeg", Options(quality=quality)))
    assert picture.size == (640, 480)
    error = np.abs(np.asarray(picture).astype(int) - frame.to_numpy())  # decodes to the last row
    assert error.mean() < 30


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif", "tiff"])
@pytest.mark.parametrize("error", [OSError("encoder error -2"), ValueError("what")], ids=repr)
def test_a_failure_of_pillow_is_an_error_of_the_family_that_names_the_format(
    monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(WriteError, match=f"as {name}: {error}") as caught:
        encoded(gradient(8, 8), name)
    assert caught.value.__cause__ is error


def test_jpeg_keeps_the_colours_of_single_pixels_at_high_quality() -> None:
    """Red and blue columns of one pixel: with halved colour resolution they would be purple."""
    pixels = (bytes((255, 0, 0, 0)) + bytes((0, 0, 255, 0))) * 8 * 16
    frame = Frame(memoryview(pixels), XRGB8888, Size(16, 16), 64)
    sharp = opened(encoded(frame, "jpeg", Options(quality=90))).getpixel((8, 8))
    assert sharp == pytest.approx((0, 0, 255), abs=25)
    halved = opened(encoded(frame, "jpeg", Options(quality=89))).getpixel((8, 8))
    assert halved != pytest.approx((0, 0, 255), abs=25)


def test_a_picture_larger_than_the_format_allows_is_refused() -> None:
    frame = Frame(memoryview(bytes(4 * 16384)), XRGB8888, Size(16384, 1), 65536)
    with pytest.raises(InvalidArgumentError, match="too large for webp"):
        encode.encode(frame, "webp")
    assert opened(encoded(frame, "jpeg")).size == (16384, 1)


def test_a_format_that_pillow_lacks_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    with pytest.raises(UnsupportedError, match="avif"):
        encode.encode(gradient(2, 2), "avif")


def test_ppm_of_a_deep_frame_has_16_bits() -> None:
    frame = reference.random_frame(BY_DRM_NAME["XRGB2101010"], Size(5, 130), Transform.ROTATED_270)
    data = encoded(frame, "ppm")
    header = b"P6\n130 5\n65535\n"
    assert data.startswith(header)
    wanted = reference.packed(frame, Box(0, 0, 130, 5), kernels.Target(16, 3), ">")
    assert data[len(header) :] == wanted


@pytest.mark.parametrize("alpha", [Alpha.IGNORED, Alpha.STRAIGHT])
def test_qoi_has_header_stream_and_end(alpha: Alpha) -> None:
    frame = reference.random_frame(ABGR8888, Size(9, 150), Transform.FLIPPED, alpha)
    data = encoded(frame, "qoi")
    channels = 3 if alpha is Alpha.IGNORED else 4
    assert data[:14] == b"qoif\0\0\0\x09\0\0\0\x96" + bytes((channels, 0))
    assert data[-8:] == b"\0\0\0\0\0\0\0\1"
    wanted = reference.packed(frame, Box(0, 0, 9, 150), kernels.Target(8, channels))
    assert qoifile.decode(data[14:-8], 9 * 150, channels) == wanted


@pytest.mark.parametrize("transform", Transform)
@pytest.mark.parametrize("name", ["XRGB8888", "BGR888", "RGB565", "ABGR16161616"])
def test_raw_is_tight_upright_and_unchanged(name: str, transform: Transform) -> None:
    frame = reference.random_frame(BY_DRM_NAME[name], Size(70, 131), transform, padding=8, offset=8)
    box = Box(1, 2, frame.width - 3, frame.height - 2)
    part = frame.crop(box)
    assert plain.raw_format(part) == BY_DRM_NAME[name].name
    assert encoded(part, "raw") == reference.native(frame, box)


def test_raw_of_a_tight_upright_frame_is_the_frame_s_own_memory() -> None:
    memory = bytearray(5 * 4 * 4)
    frame = Frame(memoryview(memory), ARGB8888, Size(4, 5), 16)
    (piece,) = encode.encode(frame.crop(Box(0, 2, 4, 2)), "raw")
    memory[32] = 77
    assert len(piece) == 32
    assert piece[0] == 77


@pytest.mark.parametrize("alpha", [Alpha.IGNORED, Alpha.PREMULTIPLIED])
def test_raw_of_a_format_without_a_name_is_bgr0(alpha: Alpha) -> None:
    fmt = BY_DRM_NAME["ARGB2101010"]
    frame = reference.random_frame(fmt, Size(7, 70), Transform.ROTATED_90, alpha)
    assert plain.raw_format(frame) == "bgr0"
    colours = reference.packed(frame, Box(0, 0, 70, 7), kernels.Target(8, 3))
    wanted = b"".join(colours[i : i + 3][::-1] + b"\xff" for i in range(0, len(colours), 3))
    assert encoded(frame, "raw") == wanted


def test_pillow_gets_the_picture_upright() -> None:
    opaque = reference.random_frame(XRGB8888, Size(6, 4), Transform.ROTATED_90)
    picture = image.to_pillow(opaque)
    assert (picture.mode, picture.size) == ("RGB", (4, 6))
    assert picture.tobytes() == rgb(opaque)
    deep = reference.random_frame(ABGR16161616, Size(6, 4), alpha=Alpha.STRAIGHT)
    assert image.to_pillow(deep).tobytes() == reference.packed(
        deep, Box(0, 0, 6, 4), kernels.Target(8, 4)
    )


def test_a_small_png_loads_no_heavy_module() -> None:
    script = (
        "import sys; from wayshot_cli import encode; from wayshot_cli.frame import Frame\n"
        "from wayshot_cli.geometry import Size; from wayshot_cli.pixels import XRGB8888\n"
        "f = Frame(memoryview(bytes(64)), XRGB8888, Size(4, 4), 16)\n"
        "b''.join(encode.encode(f, encode.format_of('a.png')))\n"
        "heavy = {'numpy', 'PIL', 'logging', 'dataclasses', 'concurrent', 'threading', 'queue'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
