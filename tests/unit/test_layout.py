"""Who is captured for a target, and where each frame lands in the picture."""

import random
from fractions import Fraction
from math import floor
from typing import ClassVar, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wayshot_cli import layout
from wayshot_cli.errors import CaptureError, NotFoundError
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Box, Size, Transform, bounding_box, true_scale
from wayshot_cli.layout import Piece, fit
from wayshot_cli.pixels import ABGR8888, ABGR16161616, BGR888, BY_DRM_NAME, XRGB8888
from wayshot_cli.wayland.connection import Global
from wayshot_cli.wayland.outputs import Output

Picture = NDArray[np.uint8]
XRGB2101010 = BY_DRM_NAME["XRGB2101010"]


def output(
    number: int,
    box: Box,
    mode: Size | None = None,
    *,
    scale: int = 1,
    transform: Transform = Transform.NORMAL,
) -> Output:
    return Output(
        name=f"FAKE-{number}",
        description="",
        make="",
        model="",
        box=box,
        mode=mode or box.size,
        refresh_mhz=60_000,
        transform=transform,
        integer_scale=scale,
        physical_size_mm=Size(0, 0),
        offer=Global(number, "wl_output", 4),
    )


def noise(size: Size, seed: int = 1) -> Picture:
    pixels = random.Random(seed).randbytes(size.width * size.height * 3)
    return np.frombuffer(pixels, np.uint8).reshape(size.height, size.width, 3)


def frame_of(pixels: Picture, time_ns: int = 0) -> Frame:
    """Wrap an upright RGB picture as an output's buffer, its fourth byte junk."""
    height, width, _ = pixels.shape
    junk = np.full((height, width, 1), 0x5A, np.uint8)
    memory = memoryview(np.concatenate((pixels[:, :, ::-1], junk), axis=2).tobytes())
    return Frame(memory, XRGB8888, Size(width, height), width * 4, time_ns=time_ns)


def shown(frame: Frame) -> Picture:
    array = frame.to_numpy()
    assert array.dtype == np.uint8
    return cast("Picture", array)


def piece(box: Box, native: Size | None = None, seed: int = 1) -> Piece:
    return Piece(box, frame_of(noise(native or box.size, seed)))


def edge(value: int, scale: Fraction) -> int:
    return floor(value * scale + Fraction(1, 2))


class TestPlan:
    left = output(1, Box(0, 0, 100, 80))
    right = output(2, Box(100, 20, 50, 50))
    away = output(3, Box(-40, 300, 10, 10))
    everyone: ClassVar = [left, right, away]

    def test_nothing_named_is_everything(self) -> None:
        plan = layout.plan(self.everyone)
        assert plan.outputs == self.everyone
        assert plan.box == Box(-40, 0, 190, 310)

    def test_names_give_their_bounding_box_and_only_those_drawn(self) -> None:
        plan = layout.plan(self.everyone, names=["FAKE-3", "FAKE-2", "FAKE-3"])
        assert plan.outputs == [self.right, self.away]  # once each, in the compositor's order
        assert plan.box == bounding_box([self.right.box, self.away.box])

    def test_a_region_takes_the_outputs_that_it_touches_and_keeps_its_size(self) -> None:
        region = Box(90, -50, 500, 80)
        plan = layout.plan(self.everyone, region=region)
        assert plan.outputs == [self.left, self.right]
        assert plan.box == region

    def test_an_edge_in_common_is_no_overlap(self) -> None:
        assert layout.plan(self.everyone, region=Box(99, 20, 1, 50)).outputs == [self.left]

    @pytest.mark.parametrize("region", [Box(100, 0, 50, 20), Box(5000, 0, 1, 1)], ids=str)
    def test_a_region_on_no_output_is_not_found_and_told_where_they_are(self, region: Box) -> None:
        with pytest.raises(NotFoundError, match=str(region)) as caught:
            layout.plan(self.everyone, region=region)
        assert caught.value.hint
        assert "'FAKE-2'" in caught.value.hint or "FAKE-2 at" in caught.value.hint

    def test_an_unknown_name_is_not_found_and_told_the_known_ones(self) -> None:
        with pytest.raises(NotFoundError, match="FAKE-9") as caught:
            layout.plan(self.everyone, names=["FAKE-1", "FAKE-9"])
        assert "FAKE-3" in f"{caught.value} {caught.value.hint}"

    def test_no_outputs_at_all_are_an_error_of_their_own(self) -> None:
        with pytest.raises(NotFoundError, match="no outputs"):
            layout.plan([])


class TestRequestedRegion:
    """Only where everybody agrees what a region means is it asked of the compositor."""

    region = Box(110, 60, 30, 20)

    def request(self, *outputs: Output, region: Box = region) -> Box | None:
        return layout.plan(list(outputs), region=region).request_region(outputs[0])

    def test_it_is_local_to_the_output(self) -> None:
        assert self.request(output(1, Box(100, 50, 200, 100))) == Box(10, 10, 30, 20)

    def test_an_integer_scale_is_exact(self) -> None:
        hidpi = output(1, Box(100, 50, 200, 100), Size(400, 200), scale=2)
        assert self.request(hidpi) == Box(10, 10, 30, 20)

    def test_what_sticks_out_is_not_asked_for(self) -> None:
        inside = self.request(output(1, Box(120, 50, 200, 100)))
        assert inside == Box(0, 10, 20, 20)

    @pytest.mark.parametrize(
        "only",
        [
            output(1, Box(100, 50, 133, 66), Size(200, 100), scale=2),  # 1.5
            output(1, Box(100, 50, 400, 200), Size(200, 100)),  # 0.5
            output(1, Box(100, 50, 200, 100), Size(400, 100), scale=2),  # one axis only
            output(1, Box(100, 50, 200, 100), Size(400, 200), scale=3),  # wl_output.scale lies
            output(1, Box(100, 50, 200, 100), Size(0, 0)),  # no mode known
            output(1, Box(100, 50, 100, 200), Size(200, 100), transform=Transform.ROTATED_90),
            output(1, Box(100, 50, 200, 100), transform=Transform.FLIPPED),
        ],
    )
    def test_where_compositors_differ_the_whole_is_taken(self, only: Output) -> None:
        assert self.request(only) is None

    def test_a_whole_output_is_no_region(self) -> None:
        assert self.request(output(1, self.region)) is None

    def test_several_outputs_are_taken_whole(self) -> None:
        outputs = output(1, Box(100, 50, 20, 100)), output(2, Box(120, 50, 200, 100))
        assert self.request(*outputs) is None


# Logical sizes are the floor of the exact ones, or the floor of these plus a half.
halves = st.sampled_from([Fraction(0), Fraction(1, 2)])


class TestTrueScale:
    @pytest.mark.parametrize(
        ("native", "logical", "scale"),
        [
            (Size(640, 480), Size(426, 320), Fraction(3, 2)),  # truncated: 1.5023 and 1.5
            (Size(640, 480), Size(427, 320), Fraction(3, 2)),  # rounded: 1.4988
            (Size(643, 481), Size(321, 240), Fraction(2)),  # truncated: 2.0031 and 2.0042
            (Size(1200, 600), Size(923, 461), Fraction(13, 10)),
            (Size(1200, 800), Size(1600, 1066), Fraction(3, 4)),
            (Size(1920, 1080), Size(1920, 1080), Fraction(1)),
            (Size(3840, 2160), Size(1920, 1080), Fraction(2)),
            (Size(2256, 1504), Size(1504, 1002), Fraction(3, 2)),
        ],
    )
    def test_scales_of_real_outputs_are_recovered(
        self, native: Size, logical: Size, scale: Fraction
    ) -> None:
        assert true_scale(native, logical) == float(scale)

    # A logical side that is off by less than a unit is off by less than 1/length of itself;
    # the next step is told apart once 120 * scale / length is below a half.
    @settings(max_examples=500)
    @given(
        st.integers(60, 480),
        st.integers(240, 2**15),
        st.integers(240, 2**15),
        halves,
    )
    def test_the_scale_is_recovered_where_the_sizes_tell_it(
        self, step: int, width: int, height: int, half: Fraction
    ) -> None:
        scale = Fraction(step, 120)
        native = Size(floor(width * scale) * 2, floor(height * scale) * 2)
        logical = Size(*(floor(side / scale + half) for side in native))
        assume(min(logical) > 240 * scale)
        assert true_scale(native, logical) == step / 120

    @settings(max_examples=500)
    @given(st.integers(60, 480), st.integers(1, 5000), st.integers(1, 5000), halves)
    @example(373, 51, 289, Fraction(0))  # just as far off as it may be
    def test_it_explains_small_sizes_at_least_to_the_unit(
        self, step: int, width: int, height: int, half: Fraction
    ) -> None:
        scale = Fraction(step, 120)
        logical = Size(*(floor(side / scale + half) for side in (width, height)))
        assume(min(logical) > 0)
        found = true_scale(Size(width, height), logical)
        ratios = Fraction(width, logical.width), Fraction(height, logical.height)
        if found == float(max(ratios)):
            return
        assert abs(width / found - logical.width) < 1
        assert abs(height / found - logical.height) < 1
        assert abs(found - min(ratios)) <= 1.5 / 120 + 1e-9


class TestOneOutput:
    @pytest.mark.parametrize(
        ("box", "native"),
        [
            (Box(0, 0, 64, 48), Size(64, 48)),
            (Box(-30, 7, 426, 320), Size(640, 480)),
            (Box(5, 5, 923, 461), Size(1200, 600)),
            (Box(0, 0, 160, 106), Size(120, 80)),
        ],
        ids=str,
    )
    def test_it_is_its_own_pixels_at_any_scale(self, box: Box, native: Size) -> None:
        whole = piece(box, native)
        picture = layout.render(box, [whole])
        assert Size(picture.width, picture.height) == native
        assert picture.memory.obj is whole.frame.memory.obj
        assert np.array_equal(shown(picture), noise(native))

    @given(st.integers(60, 360), st.integers(0, 19), st.integers(0, 14), st.data())
    @settings(suppress_health_check=[HealthCheck.too_slow])
    def test_a_region_inside_is_a_crop_between_rounded_edges(
        self, step: int, x: int, y: int, data: st.DataObject
    ) -> None:
        box = Box(-7, 11, 20, 15)
        native = Size(20 * step // 120, 15 * step // 120)
        part = Box(x, y, data.draw(st.integers(1, 20 - x)), data.draw(st.integers(1, 15 - y)))
        scale_x, scale_y = Fraction(native.width, 20), Fraction(native.height, 15)
        left, right = edge(part.x, scale_x), edge(part.right, scale_x)
        top, bottom = edge(part.y, scale_y), edge(part.bottom, scale_y)
        assume(left < right and top < bottom)
        whole = piece(box, native)
        picture = layout.render(part.moved(box.x, box.y), [whole])
        assert picture.memory.obj is whole.frame.memory.obj
        assert np.array_equal(shown(picture), noise(native)[top:bottom, left:right])

    @pytest.mark.parametrize("region", [Box(0, 0, 1, 1), Box(9, 9, 1, 1), Box(4, 0, 1, 10)])
    def test_a_region_thinner_than_a_pixel_shows_one(self, region: Box) -> None:
        picture = layout.render(region, [piece(Box(0, 0, 10, 10), Size(3, 3))])
        assert min(picture.width, picture.height) >= 1

    @pytest.mark.parametrize("x", range(10))
    def test_a_region_thinner_than_a_pixel_shows_the_one_that_its_centre_lies_in(
        self, x: int
    ) -> None:
        """Four pixels for ten units; those at 0, 3, 5 and 8 lie between two rounded edges."""
        whole, box = piece(Box(-7, 11, 10, 10), Size(4, 4)), Box(x - 7, 20 - x, 1, 1)
        expected = noise(Size(4, 4))[floor((9.5 - x) * 0.4), floor((x + 0.5) * 0.4)]
        pixels = shown(layout.render(box, [whole]))
        assert pixels.shape == (1, 1, 3)
        assert np.array_equal(pixels[0, 0], expected)

    @pytest.mark.parametrize("x", range(10))
    def test_a_thin_region_at_a_scale_asked_for_is_never_transparent(self, x: int) -> None:
        """At 0.3 the ten units are three pixels; the last unit begins where the last one ends."""
        whole = piece(Box(0, 0, 10, 10))
        everything = shown(layout.render(Box(0, 0, 10, 10), [whole], 0.3))
        pixels = shown(layout.render(Box(x, 9 - x, 1, 1), [whole], 0.3))
        assert pixels.shape == (1, 1, 3)
        expected = everything[floor((9.5 - x) * 0.3), floor((x + 0.5) * 0.3)]
        assert np.abs(pixels[0, 0].astype(int) - expected).max() <= 2

    def test_a_region_that_sticks_out_keeps_its_size_and_is_transparent_there(self) -> None:
        native = Size(30, 20)
        picture = layout.render(Box(-5, 5, 10, 20), [piece(Box(0, 0, 20, 13), native)])
        # 30/20 and 20/13 pixels per unit, from the output's corner.
        assert (picture.width, picture.height) == (8 + 7, 38 - 8)
        pixels = shown(picture)
        assert picture.alpha is Alpha.STRAIGHT
        assert np.array_equal(pixels[:12, 7:, :3], noise(native)[8:, :8])
        assert (pixels[:12, 7:, 3] == 255).all()
        assert not pixels[:, :7].any()
        assert not pixels[12:].any()

    def test_a_scale_that_is_asked_for_resamples(self) -> None:
        flat = np.full((10, 20, 3), (200, 100, 50), np.uint8)
        picture = layout.render(Box(0, 0, 20, 10), [Piece(Box(0, 0, 20, 10), frame_of(flat))], 0.7)
        assert (picture.width, picture.height) == (14, 7)
        assert (shown(picture) == (200, 100, 50)).all()

    def test_whole_multiples_repeat_pixels(self) -> None:
        whole = piece(Box(0, 0, 5, 4))
        picture = layout.render(Box(1, 1, 3, 2), [whole], 3.0)
        expected = noise(Size(5, 4)).repeat(3, axis=0).repeat(3, axis=1)[3:9, 3:12]
        assert np.array_equal(shown(picture), expected)

    @pytest.mark.parametrize("box", [Box(0, 0, 70_000, 1), Box(0, 0, 60_000, 60_000)], ids=str)
    def test_an_absurd_picture_is_refused_before_memory_is_taken(self, box: Box) -> None:
        with pytest.raises(CaptureError, match="too large"):
            layout.render(box, [piece(Box(0, 0, 8, 8))])

    @pytest.mark.parametrize("scale", [1e5, 1e300])
    def test_an_absurd_scale_is_refused(self, scale: float) -> None:
        with pytest.raises(CaptureError, match="too large"):
            layout.render(Box(0, 0, 8, 8), [piece(Box(0, 0, 8, 8))], scale)


class TestSeveralOutputs:
    def test_they_lie_side_by_side_and_the_hole_is_transparent(self) -> None:
        left, right = piece(Box(0, 0, 6, 4), seed=1), piece(Box(6, 1, 3, 5), seed=2)
        picture = layout.render(Box(0, 0, 9, 6), [left, right])
        expected = np.zeros((6, 9, 4), np.uint8)
        expected[:4, :6, :3], expected[:4, :6, 3] = noise(Size(6, 4), 1), 255
        expected[1:, 6:, :3], expected[1:, 6:, 3] = noise(Size(3, 5), 2), 255
        assert np.array_equal(shown(picture), expected)

    def test_a_covered_picture_is_opaque(self) -> None:
        pieces = [piece(Box(0, 0, 6, 4), seed=1), piece(Box(6, 0, 3, 4), seed=2)]
        picture = layout.render(Box(0, 0, 9, 4), pieces)
        assert picture.alpha is Alpha.IGNORED
        expected = np.concatenate((noise(Size(6, 4), 1), noise(Size(3, 4), 2)), axis=1)
        assert np.array_equal(shown(picture), expected)

    def test_the_greatest_scale_is_the_pictures_and_is_not_resampled(self) -> None:
        hidpi = piece(Box(0, 0, 10, 6), Size(20, 12), seed=1)
        plain = piece(Box(10, 0, 5, 6), seed=2)
        pixels = shown(layout.render(Box(0, 0, 15, 6), [plain, hidpi]))
        doubled = noise(Size(5, 6), 2).repeat(2, axis=0).repeat(2, axis=1)
        assert np.array_equal(pixels, np.concatenate((noise(Size(20, 12), 1), doubled), axis=1))

    @pytest.mark.parametrize("reverse", [False, True])
    def test_a_pixel_too_many_from_truncation_does_not_reach_into_the_neighbour(
        self, *, reverse: bool
    ) -> None:
        """640 pixels at 1.5 are said to be 426 units, which are 639 pixels."""
        pieces = [
            piece(Box(0, 0, 426, 320), Size(640, 480), seed=1),
            piece(Box(426, 0, 426, 320), Size(640, 480), seed=2),
        ]
        picture = layout.render(Box(0, 0, 852, 320), pieces[::-1] if reverse else pieces)
        pixels = shown(picture)
        assert pixels.shape == (480, 1278, 3)
        assert np.array_equal(pixels[:, :639], noise(Size(640, 480), 1)[:, :639])
        assert np.array_equal(pixels[:, 639:], noise(Size(640, 480), 2)[:, :639])

    def test_a_pixel_too_many_does_not_reach_into_a_hole(self) -> None:
        pieces = [
            piece(Box(0, 0, 426, 320), Size(640, 480), seed=1),
            piece(Box(500, 0, 100, 320), Size(150, 480), seed=2),
        ]
        pixels = shown(layout.render(Box(0, 0, 600, 320), pieces))
        assert not pixels[:, 639:750].any()

    def test_a_pixel_too_few_leaves_no_seam(self) -> None:
        """640 pixels at 1.5 are 426.67 units; rounded to 427, these take 641 pixels."""
        native = Size(640, 2)
        pieces = [piece(Box(0, 0, 427, 1), native, 1), piece(Box(427, 0, 427, 1), native, 2)]
        picture = layout.render(Box(0, 0, 854, 1), pieces, 1.5)
        assert picture.alpha is Alpha.IGNORED
        left, right = noise(native, 1), noise(native, 2)
        expected = np.concatenate((left, left[:, -1:], right), axis=1)
        assert np.array_equal(shown(picture), expected)

    def test_a_deep_output_keeps_its_depth(self) -> None:
        word = (1023 << 20 | 512 << 10 | 1).to_bytes(4, "little")
        deep = Frame(memoryview(word * 4), XRGB2101010, Size(2, 2), 8)
        pieces = [Piece(Box(0, 0, 2, 2), deep), piece(Box(2, 0, 2, 2))]
        picture = layout.render(Box(0, 0, 4, 2), pieces)
        array = picture.to_numpy()
        assert array.dtype == np.uint16
        assert array[0, 0].tolist() == [65535, 32800, 64]
        assert np.array_equal(array[:, 2:], noise(Size(2, 2)).astype(np.uint16) * 257)

    def test_the_time_is_that_of_the_last(self) -> None:
        pieces = [Piece(Box(x, 0, 2, 2), frame_of(noise(Size(2, 2)), 5 + x)) for x in (0, 2)]
        assert layout.render(Box(0, 0, 4, 2), pieces).time_ns == 7


STEPS = (60, 90, 120, 150, 156, 180, 200, 240, 300)  # of scales, in 120ths
sides = st.integers(2, 12)
long_sides = st.integers(4, 1000)


def divided(pixels: int, step: int, *, truncates: bool) -> int:
    """Pixels to logical units, as one compositor or another does it."""
    units = Fraction(pixels * 120, step)
    return max(1, floor(units) if truncates else floor(units + Fraction(1, 2)))


@st.composite
def neighbours(draw: st.DrawFn, steps: st.SearchStrategy[int]) -> list[tuple[Box, Size]]:
    """Two to four outputs in a row or a column: their boxes and native sizes."""
    outputs: list[tuple[Box, Size]] = []
    is_row = draw(st.booleans())
    x, y = draw(st.integers(-9, 9)), draw(st.integers(-9, 9))
    for _ in range(draw(st.integers(2, 4))):
        step, truncates = draw(steps), draw(st.booleans())
        along, across = draw(long_sides), draw(sides) * step // 60
        native = Size(along, across) if is_row else Size(across, along)
        box = Box(x, y, *(divided(side, step, truncates=truncates) for side in native))
        outputs.append((box, native))
        x, y = (box.right, y) if is_row else (x, box.bottom)
    return outputs


at_one_scale = st.sampled_from(STEPS).flatmap(lambda step: neighbours(st.just(step)))


@st.composite
def regions_that_touch_all(
    draw: st.DrawFn, outputs: st.SearchStrategy[list[tuple[Box, Size]]]
) -> tuple[Box, list[tuple[Box, Size]]]:
    chosen = draw(outputs)
    boxes = [box for box, _ in chosen]
    everything = bounding_box(boxes)
    left = draw(st.integers(everything.x, min(box.right for box in boxes) - 1))
    right = draw(st.integers(max(left, *(box.x for box in boxes)) + 1, everything.right))
    top = draw(st.integers(everything.y, min(box.bottom for box in boxes) - 1))
    bottom = draw(st.integers(max(top, *(box.y for box in boxes)) + 1, everything.bottom))
    return Box(left, top, right - left, bottom - top), chosen


def as_rgba(frame: Frame) -> Picture:
    pixels = shown(frame)
    opaque = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    return pixels if pixels.shape[2] == 4 else np.concatenate((pixels, opaque), axis=2)


class Grid:
    """The pixels of a picture of some outputs, edge by edge, in exact fractions."""

    def __init__(self, pieces: list[Piece]) -> None:
        found = max(true_scale(Size(p.frame.width, p.frame.height), p.box.size) for p in pieces)
        self.scale = Fraction(found).limit_denominator(10_000)
        self.everything = bounding_box([p.box for p in pieces])

    def place(self, box: Box) -> tuple[slice, slice]:
        """Rows and columns of a box in the picture of everything."""
        left, top = edge(self.everything.x, self.scale), edge(self.everything.y, self.scale)
        rows = slice(edge(box.y, self.scale) - top, edge(box.bottom, self.scale) - top)
        columns = slice(edge(box.x, self.scale) - left, edge(box.right, self.scale) - left)
        assume(rows.start < rows.stop and columns.start < columns.stop)
        return rows, columns


def assert_part_of_everything(region: Box, pieces: list[Piece], tolerance: int = 0) -> None:
    grid = Grid(pieces)
    expected = as_rgba(layout.render(grid.everything, pieces))[grid.place(region)]
    part = as_rgba(layout.render(region, pieces))
    assert part.shape == expected.shape
    assert np.abs(part.astype(int) - expected.astype(int)).max() <= tolerance


@given(regions_that_touch_all(at_one_scale))
def test_a_region_is_that_part_of_the_picture_of_everything(
    case: tuple[Box, list[tuple[Box, Size]]],
) -> None:
    region, outputs = case
    pieces = [piece(*each, seed) for seed, each in enumerate(outputs)]
    scale = float(Grid(pieces).scale)
    for p in pieces:  # else it is resampled, which the next test is about
        assume(abs(p.box.width * scale - p.frame.width) <= 1)
        assume(abs(p.box.height * scale - p.frame.height) <= 1)
    assert_part_of_everything(region, pieces)


@given(regions_that_touch_all(neighbours(st.sampled_from(STEPS))))
@example(  # an edge at half a pixel: 771 times 13/6
    (
        Box(0, 0, 771, 1),
        [
            (Box(0, 0, 423, 4), Size(317, 3)),
            (Box(423, 0, 343, 4), Size(429, 5)),
            (Box(766, 0, 6, 4), Size(13, 8)),
        ],
    )
)
def test_resampling_only_what_is_wanted_gives_what_resampling_all_gives(
    case: tuple[Box, list[tuple[Box, Size]]],
) -> None:
    """Gradients, near enough: Pillow takes either axis first, and rounds in between."""
    region, outputs = case
    pieces = []
    for box, native in outputs:
        y, x = np.mgrid[0 : native.height, 0 : native.width]
        x, y = 40 + 80 * x // native.width, 40 + 80 * y // native.height
        ramp = np.dstack((x, y, x + y)).astype(np.uint8)
        pieces.append(Piece(box, frame_of(ramp)))
    assert_part_of_everything(region, pieces, tolerance=2)


@given(neighbours(st.sampled_from(STEPS)) | at_one_scale)
def test_neighbours_leave_no_gap_and_do_not_overlap(outputs: list[tuple[Box, Size]]) -> None:
    """Flat colours: each pixel of an output's place is its own, whoever is painted last."""
    pieces = [
        Piece(box, frame_of(np.full((native.height, native.width, 3), 60 * i + 9, np.uint8)))
        for i, (box, native) in enumerate(outputs)
    ]
    grid = Grid(pieces)
    rows, columns = grid.place(grid.everything)
    expected = np.zeros((rows.stop, columns.stop, 4), np.uint8)
    for i, p in enumerate(pieces):
        expected[grid.place(p.box)] = (60 * i + 9, 60 * i + 9, 60 * i + 9, 255)
    for order in (pieces, pieces[::-1]):
        picture = layout.render(grid.everything, order)
        assert (picture.alpha is Alpha.IGNORED) == bool(expected[:, :, 3].all())
        assert np.array_equal(as_rgba(picture), expected)


@given(neighbours(st.just(120)))
def test_outputs_at_scale_1_come_through_pixel_for_pixel(outputs: list[tuple[Box, Size]]) -> None:
    pieces = [piece(box, native, seed) for seed, (box, native) in enumerate(outputs)]
    grid = Grid(pieces)
    rows, columns = grid.place(grid.everything)
    expected = np.zeros((rows.stop, columns.stop, 4), np.uint8)
    for p in pieces:
        expected[grid.place(p.box)] = as_rgba(p.frame)
    assert np.array_equal(as_rgba(layout.render(grid.everything, pieces)), expected)


class TestFitting:
    """A picture of another size in a recording that began with this one."""

    def picture(self, width: int, height: int) -> Frame:
        memory = memoryview(bytes(range(1, 1 + 3 * width * height)))
        return Frame(memory, BGR888, Size(width, height), 3 * width)

    def test_pad_keeps_the_pixels_of_the_upper_left_and_fills_with_black(self) -> None:
        frame = self.picture(3, 2)
        fitted = fit(frame, Size(5, 4), "pad").to_numpy()
        assert fitted.shape == (4, 5, 3)
        assert np.array_equal(fitted[:2, :3], frame.to_numpy())
        assert not fitted[2:].any()
        assert not fitted[:, 3:].any()

    def test_pad_cuts_what_is_too_much(self) -> None:
        frame = self.picture(5, 4)
        fitted = fit(frame, Size(3, 6), "pad").to_numpy()
        assert np.array_equal(fitted[:4], frame.to_numpy()[:, :3])
        assert not fitted[4:].any()

    @pytest.mark.parametrize("size", [Size(8, 4), Size(4, 8), Size(12, 4), Size(1, 1), Size(7, 3)])
    def test_scale_keeps_the_proportions_and_centres_over_black(self, size: Size) -> None:
        white = Frame(memoryview(b"\xff" * 24), BGR888, Size(4, 2), 12)
        fitted = fit(white, size, "scale").to_numpy()
        assert fitted.shape[:2] == (size.height, size.width)
        rows = np.asarray(fitted.any(axis=(1, 2)))
        columns = np.asarray(fitted.any(axis=(0, 2)))
        ratio = min(size.width / 4, size.height / 2)
        assert abs(columns.sum() - 4 * ratio) <= 1
        assert abs(rows.sum() - 2 * ratio) <= 1
        assert fitted[np.ix_(rows, columns)].min() == 255
        for used in (rows, columns):
            first, behind = used.argmax(), used[::-1].argmax()
            assert abs(int(first) - int(behind)) <= 1

    def test_the_transform_is_undone(self) -> None:
        memory = memoryview(bytes(range(1, 19)))
        turned = Frame(memory, BGR888, Size(3, 2), 9, Transform.ROTATED_90)
        fitted = fit(turned, Size(2, 3), "pad").to_numpy()
        assert np.array_equal(fitted, turned.to_numpy())

    def test_deep_pictures_stay_deep(self) -> None:
        memory = memoryview(np.full((2, 2, 4), 0x1234, np.uint16).tobytes())
        frame = Frame(memory, ABGR16161616, Size(2, 2), 16)
        fitted = fit(frame, Size(3, 3), "pad").to_numpy()
        assert fitted[0, 0, 0] == 0x1234
        assert not fitted[2].any()

    @pytest.mark.parametrize("how", ["pad", "scale"])
    @pytest.mark.parametrize("deep", [False, True])
    def test_a_translucent_window_lies_over_black(self, how: str, *, deep: bool) -> None:
        if deep:
            pixel, format_ = np.array([0x1100, 0x2200, 0x3300, 0x8000], np.uint16), ABGR16161616
        else:
            pixel, format_ = np.array([0x11, 0x22, 0x33, 0x80], np.uint8), ABGR8888
        memory = memoryview(np.tile(pixel, 4).tobytes())
        frame = Frame(
            memory,
            format_,
            Size(2, 2),
            2 * format_.bytes_per_pixel,
            alpha=Alpha.PREMULTIPLIED,
        )
        fitted = fit(frame, Size(4, 2), how)
        assert fitted.alpha is Alpha.IGNORED
        picture = fitted.to_numpy() >> (8 if deep and how == "pad" else 0)
        left = 1 if how == "scale" else 0
        assert np.abs(picture[:, left : left + 2].astype(int) - [0x11, 0x22, 0x33]).max() <= 1
        assert not np.delete(picture, [left, left + 1], axis=1).any()
