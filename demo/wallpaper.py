"""A landscape that goes on from one output to the next, whatever their scales and places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

SKY = ((0.00, 0x1B1F4B), (0.30, 0x5B3A78), (0.52, 0xD0657A), (0.68, 0xF7A76C), (0.80, 0xFDE0A0))
"""Colours of the sky by height, from the zenith down."""

RIDGES = (
    # height of the crest, how far peaks reach, width of a peak (all in logical units), colour
    (0.62, 120.0, 420.0, 0xB0647E),
    (0.71, 110.0, 300.0, 0x7C4A74),
    (0.80, 90.0, 230.0, 0x4A3463),
    (0.90, 70.0, 160.0, 0x241F45),
)

SUN = (0.42, 0.56, 62.0, 0xFFF3CF)
"""Where the sun stands (as parts of width and height), its radius and colour."""


def landscape(
    box: tuple[int, int, int, int], desktop: tuple[int, int], scale: float
) -> NDArray[np.uint8]:
    """Paint the part of the landscape behind the logical ``box`` (x, y, width, height).

    ``desktop`` is the logical size of the whole; the part comes at ``scale`` pixels per logical
    unit, as an array of shape (height, width, 3).
    """
    left, top, width, height = box
    x = left + (np.arange(round(width * scale)) + 0.5) / scale
    y = top + (np.arange(round(height * scale)) + 0.5)[:, None] / scale
    down = y / desktop[1]

    stops = np.array([position for position, _ in SKY])
    colours = np.array([_rgb(colour) for _, colour in SKY])
    sky = np.stack([np.interp(down[:, 0], stops, colours[:, c]) for c in range(3)], axis=-1)
    picture = np.repeat(sky[:, None], len(x), axis=1)

    across, height_of_sun, radius, colour = SUN
    distance = np.hypot(x - across * desktop[0], y - height_of_sun * desktop[1])
    _blend(picture, colour, 0.55 * np.exp(-distance / (radius * 3)))
    _blend(picture, colour, np.clip((radius - distance) * scale + 0.5, 0, 1))

    for number, (level, reach, width_of_peak, ridge_colour) in enumerate(RIDGES):
        crest = level * desktop[1] - reach * _noise(x / width_of_peak, seed=number)
        inside = np.clip((y - crest) * scale + 0.5, 0, 1)
        _blend(picture, ridge_colour, inside)
        haze = np.clip((y - crest) / 260, 0, 1) * (0.35 - 0.07 * number)
        _blend(picture, SKY[-2][1], inside * haze)
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def _blend(picture: Floats, colour: int, alpha: Floats) -> None:
    picture += (np.array(_rgb(colour)) - picture) * alpha[..., None]


def _noise(x: Floats, *, seed: int) -> Floats:
    """Sum octaves of smooth noise, each half as high and half as wide as the one before."""
    random = np.random.default_rng(seed)
    total = np.zeros_like(x)
    for octave in range(7):
        heights = random.uniform(-1, 1, 512)
        at = x * 2**octave + 64
        index = np.floor(at).astype(int)
        part = at - index
        smooth = part * part * (3 - 2 * part)
        before, after = heights[index % 512], heights[(index + 1) % 512]
        total += (before + (after - before) * smooth) / 2**octave
    return total


def _rgb(colour: int) -> tuple[float, float, float]:
    return colour >> 16, colour >> 8 & 255, colour & 255
