"""The region grammar, and boxes: edges, intersections, rounding."""

from fractions import Fraction
from math import floor

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wayshot_cli.errors import CancelledError, InvalidArgumentError
from wayshot_cli.geometry import (
    Box,
    Size,
    bounding_box,
    parse_point,
    parse_region,
    pixel_at,
    round_half_up,
    true_scale,
)

MOST = 999_999_999
coordinates = st.integers(-MOST, MOST)
sides = st.integers(1, MOST)
regions = st.builds(Box, coordinates, coordinates, sides, sides)
# Small ones meet each other often.
places, lengths = st.integers(-8, 8), st.integers(1, 8)
small_boxes = st.builds(Box, places, places, lengths, lengths)


def cells(box: Box) -> set[tuple[int, int]]:
    return {(x, y) for x in range(box.x, box.right) for y in range(box.y, box.bottom)}


@given(regions)
def test_a_region_is_read_as_it_is_written(box: Box) -> None:
    assert parse_region(str(box)) == box


@given(regions)
def test_the_x11_form_means_the_same(box: Box) -> None:
    assert parse_region(f"{box.width}x{box.height}+{box.x}+{box.y}") == box


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("10,20 300x400", Box(10, 20, 300, 400)),
        ("-1920,-5 1x1", Box(-1920, -5, 1, 1)),
        ("300x400+-5+10", Box(-5, 10, 300, 400)),
        ("300x400+5+-10", Box(5, -10, 300, 400)),
        ("-0,007 01x1", Box(0, 7, 1, 1)),
        ("1,2  3x4", Box(1, 2, 3, 4)),
        ("1,2\t3x4", Box(1, 2, 3, 4)),
        (" 1,2 3x4\r\n", Box(1, 2, 3, 4)),
        ("\n3x4+1+2\n", Box(1, 2, 3, 4)),
    ],
)
def test_whitespace_signs_and_leading_zeros_do_no_harm(text: str, box: Box) -> None:
    assert parse_region(text) == box


@pytest.mark.parametrize("text", ["", "\n", " \t\r\n"])
def test_nothing_means_that_the_selection_was_cancelled(text: str) -> None:
    with pytest.raises(CancelledError):
        parse_region(text)


@pytest.mark.parametrize(
    "text",
    [
        "everything",
        "1,2",
        "3x4",
        "1,23x4",
        "1 ,2 3x4",
        "1, 2 3x4",
        "1,2 3x4 5",
        "1,2 3x4\n5,6 7x8",
        "1,2 -3x4",
        "1,2 3x-4",
        "+1,2 3x4",
        "--1,2 3x4",
        "1.5,2 3x4",
        "1,2 3.0x4",
        "1,2 3X4",
        "1e3,2 3x4",
        "0x10,2 3x4",
        "1_0,2 3x4",
        "3x4+1",
        "3x4-1+2",
        "3x4+1-2",
        "3x4++1+2",
        "1,2 3x4\0",
        "1,2\u00a03x4",  # a no-break space
        "\u0661,2 3x4",  # a digit, though not an ASCII one
        "1,2 3\u00d74",  # a multiplication sign
    ],
)
def test_what_is_not_a_region_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="not a region") as caught:
        parse_region(text)
    assert caught.value.hint
    assert "WxH" in caught.value.hint


@pytest.mark.parametrize("text", ["1,2 0x4", "1,2 3x0", "0x0+1+2"])
def test_a_region_without_area_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="no area"):
        parse_region(text)


@pytest.mark.parametrize("digits", [10, 5000])
@pytest.mark.parametrize("form", ["{},0 1x1", "0,-{} 1x1", "0,0 {}x1", "1x{}+0+0", "1x1+{}+0"])
def test_numbers_that_no_compositor_can_mean_are_refused(form: str, digits: int) -> None:
    with pytest.raises(InvalidArgumentError):
        parse_region(form.format("9" * digits))


@given(st.text())
def test_any_text_is_a_region_or_an_error_of_the_family(text: str) -> None:
    try:
        box = parse_region(text)
    except (CancelledError, InvalidArgumentError):
        return
    assert min(box.size) > 0


@given(small_boxes, small_boxes)
def test_an_intersection_is_what_both_cover(one: Box, other: Box) -> None:
    both = one.intersection(other)
    assert (cells(both) if both else set()) == cells(one) & cells(other)
    assert one.contains(other) == (cells(other) <= cells(one))


@given(st.lists(small_boxes, min_size=1, max_size=4))
def test_a_bounding_box_touches_what_it_holds_on_every_side(boxes: list[Box]) -> None:
    bound = bounding_box(boxes)
    assert all(bound.contains(box) for box in boxes)
    edges = (bound.x, bound.y, bound.right, bound.bottom)
    assert edges == (
        min(box.x for box in boxes),
        min(box.y for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )


@given(st.integers(-(10**6), 10**6), st.integers(1, 480))
def test_edges_round_half_up_on_both_sides_of_zero(edge: int, step: int) -> None:
    """120ths, the steps of fractional scales, hit a half often; a float must not lose it."""
    exact = Fraction(edge * step, 120)
    assert round_half_up(edge * step / 120) == floor(exact + Fraction(1, 2))


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("10,20", (10, 20)),
        ("-1920,-5", (-1920, -5)),
        ("0.5,-3.25", (0.5, -3.25)),
        (" 1,2\n", (1, 2)),
        ("1,2 1x1", (1, 2)),
        ("-7,2 30x40", (-7, 2)),
    ],
)
def test_a_point_is_read_from_words_or_from_a_region(text: str, point: tuple[float, float]) -> None:
    assert parse_point(text) == point


@pytest.mark.parametrize("text", ["", " \n"])
def test_no_point_means_that_the_selection_was_cancelled(text: str) -> None:
    with pytest.raises(CancelledError):
        parse_point(text)


@pytest.mark.parametrize(
    "text",
    [
        *("1", "1,", ",2", "1 2", "1,2,3", "1.,2", ".5,2", "1e3,2", "nan,2", "inf,inf"),
        *("1,2 1.5x1", "1234567890,2", "\N{ARABIC-INDIC DIGIT ONE},2"),
    ],
)
def test_what_is_no_point_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="not a point"):
        parse_point(text)


@given(
    st.builds(Box, places, places, st.integers(1, 3000), st.integers(1, 3000)),
    st.integers(60, 480),
    st.data(),
)
def test_the_pixel_at_a_point_covers_it(box: Box, steps: int, data: st.DataObject) -> None:
    scale = Fraction(steps, 120)
    native = Size(floor(box.width * scale), floor(box.height * scale))
    assume(min(native) > 0)
    x = data.draw(st.integers(0, box.width - 1))
    y = data.draw(st.integers(0, box.height - 1))
    column, row = pixel_at(box.x + x, box.y + y, box, native)
    assert 0 <= column < native.width
    assert 0 <= row < native.height
    if true_scale(native, box.size) == float(scale):
        assert column == min(floor(x * scale), native.width - 1)
        assert row == min(floor(y * scale), native.height - 1)


def test_the_scale_in_force_counts_and_not_the_rounded_size() -> None:
    # 640 / 1.5 is 426.67, so that the ratio of the sizes is 1.5023.
    assert pixel_at(425, 319, Box(0, 0, 426, 320), Size(640, 480)) == (637, 478)
    assert pixel_at(425.9, 319.9, Box(0, 0, 426, 320), Size(640, 480)) == (638, 479)


def test_halves_of_a_unit_lead_to_every_pixel() -> None:
    box, native = Box(-10, 5, 4, 3), Size(8, 6)
    points = [(-10 + i / 2, 5 + j / 2) for j in range(6) for i in range(8)]
    assert [pixel_at(x, y, box, native) for x, y in points] == [
        (i, j) for j in range(6) for i in range(8)
    ]
