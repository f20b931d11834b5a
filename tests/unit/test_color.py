"""Colours in CSS's words: the values of CSS Color 4, and the way back."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayshot_cli.color import FORMATS, Color

bytes_ = st.integers(0, 255)
channels = st.integers(0, 65535).map(lambda value: value / 65535)

# Ottosson's own matrices (bottosson.github.io/posts/oklab), which go straight from linear sRGB.
LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def of_bytes(red: int, green: int, blue: int) -> Color:
    return Color(red / 255, green / 255, blue / 255)


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


def from_hsl(hue: float, saturation: float, lightness: float) -> list[float]:
    """CSS Color 4, 7.1, hslToRgb."""
    saturation, lightness = saturation / 100, lightness / 100
    reach = saturation * min(lightness, 1 - lightness)
    turns = ((n + hue / 30) % 12 for n in (0, 8, 4))
    return [lightness - reach * max(-1, min(k - 3, 9 - k, 1)) for k in turns]


def from_oklch(lightness: float, chroma: float, hue: float) -> list[float]:
    """Back through the inverse of Ottosson's matrices."""
    angle = math.radians(hue)
    oklab = np.array([lightness, chroma * math.cos(angle), chroma * math.sin(angle)])
    linear = np.linalg.solve(LMS, np.linalg.solve(OKLAB, oklab) ** 3)
    return [
        12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
        for value in linear
    ]


def in_bytes(channels: list[float]) -> tuple[int, ...]:
    return tuple(math.floor(channel * 255 + 0.5) for channel in channels)


@pytest.mark.parametrize(
    ("hex_", "hsl", "oklch"),
    [
        ("#000000", "hsl(0 0% 0%)", "oklch(0% 0 none)"),
        ("#ffffff", "hsl(0 0% 100%)", "oklch(100% 0 none)"),
        ("#808080", "hsl(0 0% 50.2%)", "oklch(59.99% 0 none)"),
        ("#ff0000", "hsl(0 100% 50%)", "oklch(62.8% 0.25768 29.23)"),
        ("#00ff00", "hsl(120 100% 50%)", "oklch(86.64% 0.29483 142.5)"),
        ("#0000ff", "hsl(240 100% 50%)", "oklch(45.2% 0.31321 264.05)"),
        ("#663399", "hsl(270 50% 40%)", "oklch(44.03% 0.1603 303.37)"),
        ("#ff0001", "hsl(359.76 100% 50%)", "oklch(62.8% 0.25765 29.18)"),
    ],
    ids=["black", "white", "grey", "red", "lime", "blue", "rebeccapurple", "a hue near 360"],
)
def test_known_colours(hex_: str, hsl: str, oklch: str) -> None:
    red, green, blue = bytes.fromhex(hex_.removeprefix("#"))
    written = [write(of_bytes(red, green, blue)) for write in FORMATS.values()]
    assert written == [hex_, f"rgb({red} {green} {blue})", hsl, oklch]


@given(bytes_, bytes_, bytes_)
def test_every_format_leads_back_to_the_same_bytes(red: int, green: int, blue: int) -> None:
    color, rgb = of_bytes(red, green, blue), (red, green, blue)
    assert FORMATS["hex"](color) == "#" + bytes(rgb).hex()
    assert tuple(numbers(FORMATS["rgb"](color))) == rgb
    assert in_bytes(from_hsl(*numbers(FORMATS["hsl"](color)))) == rgb
    lightness, chroma, *hue = numbers(FORMATS["oklch"](color))
    assert in_bytes(from_oklch(lightness / 100, chroma, *(hue or [0]))) == rgb


@given(channels, channels, channels)
def test_hsl_is_exact_before_it_is_written(red: float, green: float, blue: float) -> None:
    hue, saturation, lightness = Color(red, green, blue).hsl
    assert 0 <= hue < 360
    assert 0 <= saturation <= 100
    assert 0 <= lightness <= 100
    assert from_hsl(hue, saturation, lightness) == pytest.approx([red, green, blue], abs=1e-9)


@given(channels, channels, channels)
def test_oklch_agrees_with_ottossons_matrices(red: float, green: float, blue: float) -> None:
    color = Color(red, green, blue)
    lightness, chroma, hue = color.oklch
    assert hue is None or 0 <= hue < 360
    assert from_oklch(lightness, chroma, hue or 0) == pytest.approx(list(color), abs=1e-4)


@given(channels)
def test_grey_has_no_hue(level: float) -> None:
    color = Color(level, level, level)
    assert color.oklch[1:] == (0, None)
    assert color.hsl == (0, 0, level * 100)


@given(channels, channels, channels)
def test_what_has_more_than_8_bits_is_rounded(red: float, green: float, blue: float) -> None:
    color = Color(red, green, blue)
    assert color.bytes == pytest.approx([channel * 255 for channel in color], abs=0.5 + 1e-6)
