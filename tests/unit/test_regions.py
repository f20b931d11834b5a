"""The region grammar, and boxes: edges, intersections, rounding."""

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayshot_cli.errors import CancelledError, InvalidArgumentError
from wayshot_cli.geometry import Box, bounding_box, parse_region, round_half_up

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
