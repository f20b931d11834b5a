"""y4m and raw video: what stands in the stream, byte by byte."""

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests import y4m
from wayshot_cli.encode.rawvideo import PIXEL_FORMATS, RawVideo
from wayshot_cli.encode.y4m import TAGS, Y4m
from wayshot_cli.encode.yuv import matrix
from wayshot_cli.errors import InvalidArgumentError, WriteError
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Size, Transform
from wayshot_cli.pixels import FORMATS, XRGB8888, PixelFormat
from wayshot_cli.planes import YUV_FORMATS

NTSC = Fraction(60_000, 1001)
BY_NAME = {format_.drm_name: format_ for format_ in FORMATS}


class Output:
    """Takes what a stream writes."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.calls = 0

    def __call__(self, buffers: Sequence[Any]) -> None:
        self.calls += 1
        for buffer in buffers:
            self.data += buffer


def noise(
    width: int, height: int, seed: int = 0, format_: PixelFormat = XRGB8888, **options: Any
) -> Frame:
    """Return a frame of random bytes, with padded rows."""
    stride = width * format_.bytes_per_pixel + 12
    data = np.random.default_rng(seed).integers(0, 256, stride * height, np.uint8).tobytes()
    return Frame(memoryview(data), format_, Size(width, height), stride, **options)


@pytest.mark.parametrize(
    ("size", "name"),
    [
        (Size(1920, 1080), "bt709"),
        (Size(1280, 10), "bt709"),
        (Size(10, 577), "bt709"),
        (Size(1279, 576), "bt601"),
    ],
)
def test_players_go_by_the_size(size: Size, name: str) -> None:
    assert matrix("auto", size) == name
    assert matrix("bt709", size) == "bt709"
    assert matrix("bt601", size) == "bt601"


class TestY4m:
    @pytest.mark.parametrize("pixel_format", TAGS)
    @pytest.mark.parametrize("size", [(8, 6), (7, 5), (1, 1), (2, 1), (1, 2), (333, 3)])
    @pytest.mark.parametrize("full_range", [None, False, True])
    def test_a_strict_parser_reads_it(
        self, pixel_format: str, size: tuple[int, int], *, full_range: bool | None
    ) -> None:
        output = Output()
        stream = Y4m(output, noise(*size), NTSC, pixel_format=pixel_format, full_range=full_range)
        stream.write(noise(*size, seed=1), 0)
        stream.repeat(1)
        stream.write(noise(*size, seed=2), 2)
        stream.close(3)
        parsed = y4m.Stream(io.BytesIO(output.data))
        assert parsed.header.size == size == stream.size
        assert parsed.header.rate == NTSC
        assert parsed.header.depth == YUV_FORMATS[pixel_format].depth
        is_gray = "gray" in pixel_format
        assert parsed.header.full_range is (is_gray if full_range is None else full_range)
        first, again, other = list(parsed)
        assert all(np.array_equal(*pair) for pair in zip(first.planes, again.planes, strict=True))
        assert size == (1, 1) or not np.array_equal(first.luma, other.luma)

    @pytest.mark.parametrize("colorspace", ["auto", "bt709", "bt601"])
    @pytest.mark.parametrize("full_range", [False, True])
    def test_444_gives_the_colours_back(self, colorspace: str, *, full_range: bool) -> None:
        frame = noise(64, 48)
        output = Output()
        stream = Y4m(
            output, frame, Fraction(30), pixel_format="yuv444p", colorspace=colorspace,
            full_range=full_range,
        )  # fmt: skip
        stream.write(frame, 0)
        (picture,) = y4m.Stream(io.BytesIO(output.data))
        rgb = picture.rgb("bt601" if colorspace == "auto" else colorspace)
        # Half a level of luma and of chroma, times what the matrix makes of it.
        assert np.abs(rgb - frame.to_numpy()).max() <= 2.5

    def test_deep_screens_keep_10_bits(self) -> None:
        frame = noise(8, 8, format_=BY_NAME["XRGB2101010"])
        output = Output()
        Y4m(output, frame, Fraction(60)).write(frame, 0)
        assert y4m.Stream(io.BytesIO(output.data)).header.depth == 10

    def test_a_picture_goes_out_in_one_call(self) -> None:
        output = Output()
        stream = Y4m(output, noise(8, 8), Fraction(60))
        stream.write(noise(8, 8), 0)
        stream.repeat(1)
        assert output.calls == 2

    def test_other_pixel_formats_are_refused(self) -> None:
        with pytest.raises(InvalidArgumentError, match="nv12"):
            Y4m(Output(), noise(8, 8), Fraction(60), pixel_format="nv12")


class TestRaw:
    @pytest.mark.parametrize("transform", Transform)
    def test_the_screens_own_bytes_upright_and_tight(self, transform: Transform) -> None:
        frame = noise(7, 5, transform=transform)
        output = Output()
        stream = RawVideo(output, frame)
        stream.write(frame, 0)
        stream.repeat(1)
        assert stream.pixel_format == "bgr0"
        shape = (2, frame.height, frame.width, 4)
        pixels = np.frombuffer(output.data, np.uint8).reshape(shape)
        for picture in pixels:
            assert np.array_equal(picture[:, :, 2::-1], frame.to_numpy())

    def test_an_upright_tight_frame_is_not_copied(self) -> None:
        memory = memoryview(bytes(4 * 8 * 6))
        frame = Frame(memory, XRGB8888, Size(8, 6), 32)
        written: list[Any] = []
        RawVideo(written.extend, frame).write(frame, 0)
        (view,) = written
        assert view.obj is memory.obj

    @pytest.mark.parametrize("pixel_format", PIXEL_FORMATS)
    def test_has_the_size_that_ffmpeg_expects(self, pixel_format: str) -> None:
        frame = noise(7, 5)
        output = Output()
        stream = RawVideo(output, frame, pixel_format=pixel_format)
        stream.write(frame, 0)
        if pixel_format in YUV_FORMATS:
            expected = YUV_FORMATS[pixel_format].nbytes(Size(7, 5))
        else:
            expected = 7 * 5 * (3 if "24" in pixel_format else 4)
        assert len(output.data) == expected

    @pytest.mark.parametrize(
        ("pixel_format", "order", "filler"),
        [
            ("bgr0", (2, 1, 0), None),
            ("bgra", (2, 1, 0), 255),
            ("rgb0", (0, 1, 2), 255),
            ("rgba", (0, 1, 2), 255),
            ("rgb24", (0, 1, 2), None),
            ("bgr24", (2, 1, 0), None),
        ],
    )
    @pytest.mark.parametrize("format_", ["XRGB8888", "BGR888", "XBGR2101010", "RGBX8888"])
    def test_packed_formats_have_their_order(
        self, format_: str, pixel_format: str, order: tuple[int, ...], filler: int | None
    ) -> None:
        frame = noise(9, 4, format_=BY_NAME[format_], transform=Transform.ROTATED_90)
        output = Output()
        RawVideo(output, frame, pixel_format=pixel_format).write(frame, 0)
        pixels = np.frombuffer(output.data, np.uint8).reshape(9, 4, -1)
        expected = np.asarray(frame.to_pillow().convert("RGB"))
        assert np.array_equal(pixels[:, :, list(order)], expected)
        if filler is not None:
            assert (pixels[:, :, 3] == filler).all()

    @pytest.mark.parametrize(
        ("pixel_format", "expected"),
        [
            ("rgb24", [30, 20, 10]),
            ("bgr24", [10, 20, 30]),
            ("rgb0", [30, 20, 10, 255]),
            ("bgr0", [10, 20, 30, 255]),
            ("rgba", [191, 128, 64, 40]),
            (None, [10, 20, 30, 40]),  # the frame's own bytes
        ],
    )
    def test_windows_lie_over_black(self, pixel_format: str | None, expected: list[int]) -> None:
        memory = memoryview(bytes([10, 20, 30, 40]))  # premultiplied blue, green, red, alpha
        frame = Frame(memory, BY_NAME["ARGB8888"], Size(1, 1), 4, alpha=Alpha.PREMULTIPLIED)
        output = Output()
        RawVideo(output, frame, pixel_format=pixel_format).write(frame, 0)
        assert list(output.data) == expected

    @pytest.mark.parametrize("pixel_format", ["bgr0", "bgr24"])
    def test_straight_alpha_lies_over_black(self, pixel_format: str) -> None:
        memory = memoryview(bytes([200, 100, 50, 51]))
        frame = Frame(memory, BY_NAME["ARGB8888"], Size(1, 1), 4, alpha=Alpha.STRAIGHT)
        output = Output()
        RawVideo(output, frame, pixel_format=pixel_format).write(frame, 0)
        assert list(output.data[:3]) == [40, 20, 10]

    def test_a_screen_that_changes_its_format_is_converted(self) -> None:
        first, other = noise(4, 4), noise(4, 4, seed=1, format_=BY_NAME["XBGR8888"])
        output = Output()
        stream = RawVideo(output, first)
        for time, frame in enumerate((first, other, first)):
            stream.write(frame, time)
        pixels = np.frombuffer(output.data, np.uint8).reshape(3, 4, 4, 4)
        for picture, frame in zip(pixels, (first, other, first), strict=True):
            assert np.array_equal(picture[:, :, 2::-1], frame.to_numpy())

    def test_gray_is_of_full_range_unless_told(self) -> None:
        white = Frame(memoryview(b"\xff" * 16), XRGB8888, Size(2, 2), 8)
        for full_range, level in ((None, 255), (True, 255), (False, 235)):
            output = Output()
            RawVideo(output, white, pixel_format="gray", full_range=full_range).write(white, 0)
            assert bytes(output.data) == bytes([level] * 4)

    @pytest.mark.parametrize("name", ["", "rgb", "yuv411p", "BGR0", "rgb565le"])
    def test_what_it_cannot_make_is_refused_with_what_it_can(self, name: str) -> None:
        with pytest.raises(InvalidArgumentError) as info:
            RawVideo(Output(), noise(2, 2), pixel_format=name or "none")
        assert "nv12" in (info.value.hint or "")

    def test_timestamps_are_milliseconds_with_a_line_for_each_picture(self) -> None:
        output, times = Output(), Output()
        frame = noise(2, 2)
        stream = RawVideo(output, frame, timestamps=times)
        stream.write(frame, 0)
        stream.write(frame, 16_683_333)
        stream.repeat(2_000_000_001)
        stream.close(3_500_000_000)
        assert times.data.decode().splitlines() == [
            "# timestamp format v2", "0.000000", "16.683333", "2000.000001", "3500.000000",
        ]  # fmt: skip
        assert len(output.data) == 4 * 16

    def test_the_end_of_the_last_picture_is_no_further_one_where_it_lasts_no_time(self) -> None:
        output, times = Output(), Output()
        stream = RawVideo(output, noise(2, 2), timestamps=times)
        stream.write(noise(2, 2), 5_000_000)
        stream.close(5_000_000)
        assert len(output.data) == 16
        assert times.data.count(b"\n") == 2

    def test_a_screen_that_gives_what_cannot_be_made_is_no_wrong_usage(self) -> None:
        stream = RawVideo(Output(), noise(2, 2, format_=BY_NAME["RGB565"]))
        with pytest.raises(WriteError) as info:
            stream.write(noise(2, 2), 0)
        assert "bgr0" in (info.value.hint or "")
