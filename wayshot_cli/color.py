"""Colours as CSS Color 4 writes them, from the sRGB values of a pixel. Pure: knows nothing else."""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from wayshot_cli.geometry import round_half_up

_Vector: TypeAlias = tuple[float, float, float]
_Matrix: TypeAlias = tuple[_Vector, _Vector, _Vector]

# CSS Color 4, 18: linear-light sRGB to CIE XYZ (D65), to cone responses, and their cube roots to
# Oklab. The last two are Ottosson's, computed anew for this white.
_XYZ: _Matrix = (
    (506752 / 1228815, 87881 / 245763, 12673 / 70218),
    (87098 / 409605, 175762 / 245763, 12673 / 175545),
    (7918 / 409605, 87881 / 737289, 1001167 / 1053270),
)
_LMS: _Matrix = (
    (0.8190224379967030, 0.3619062600528904, -0.1288737815209879),
    (0.0329836539323885, 0.9292868615863434, 0.0361446663506424),
    (0.0481771893596242, 0.2642395317527308, 0.6335478284694309),
)
_OKLAB: _Matrix = (
    (0.2104542683093140, 0.7936177747023054, -0.0040720430116193),
    (1.9779985324311684, -2.4285922420485799, 0.4505937096174110),
    (0.0259040424655478, 0.7827717124575296, -0.8086757549230774),
)
_GREY = 4e-6  # a chroma up to which there is no hue (CSS Color 4, 12.2)


class Color(NamedTuple):
    """A colour of sRGB: red, green and blue, gamma-encoded, each from 0 to 1."""

    red: float
    green: float
    blue: float

    @property
    def bytes(self) -> tuple[int, int, int]:
        """Red, green and blue from 0 to 255."""
        red, green, blue = (round_half_up(channel * 255) for channel in self)
        return red, green, blue

    @property
    def hsl(self) -> _Vector:
        """Hue in degrees, saturation and lightness in percent. The hue of grey is 0."""
        high, low = max(self), min(self)
        lightness, spread = (high + low) / 2, high - low
        if not spread:
            return 0.0, 0.0, lightness * 100
        if high == self.red:
            hue = (self.green - self.blue) / spread
        elif high == self.green:
            hue = (self.blue - self.red) / spread + 2
        else:
            hue = (self.red - self.green) / spread + 4
        saturation = spread / min(high + low, (1 - high) + (1 - low))
        return hue * 60 % 360, saturation * 100, lightness * 100

    @property
    def oklch(self) -> tuple[float, float, float | None]:
        """Lightness from 0 to 1, chroma, and hue in degrees, which grey has not."""
        cones = _times(_LMS, _times(_XYZ, _map(_linear, self)))
        lightness, a, b = _times(_OKLAB, _map(math.cbrt, cones))
        chroma = math.hypot(a, b)
        if chroma <= _GREY:
            return lightness, 0.0, None
        return lightness, chroma, math.degrees(math.atan2(b, a)) % 360


def _hex(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color.bytes)


def _rgb(color: Color) -> str:
    return "rgb({} {} {})".format(*color.bytes)


def _hsl(color: Color) -> str:
    hue, saturation, lightness = color.hsl
    return f"hsl({_hue(hue)} {_short(saturation, 2)}% {_short(lightness, 2)}%)"


def _oklch(color: Color) -> str:
    lightness, chroma, hue = color.oklch
    angle = "none" if hue is None else _hue(hue)
    return f"oklch({_short(lightness * 100, 2)}% {_short(chroma, 5)} {angle})"


FORMATS: dict[str, Callable[[Color], str]] = {
    "hex": _hex,
    "rgb": _rgb,
    "hsl": _hsl,
    "oklch": _oklch,
}
"""How a colour is written. All but the last two round it to 8 bits a channel; any 8-bit colour can
be had back from each."""


def _linear(channel: float) -> float:
    """Undo sRGB's gamma."""
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 - sRGB's


def _times(matrix: _Matrix, vector: _Vector) -> _Vector:
    x, y, z = (sum(m * v for m, v in zip(row, vector, strict=True)) for row in matrix)
    return x, y, z


def _map(function: Callable[[float], float], vector: _Vector) -> _Vector:
    x, y, z = map(function, vector)
    return x, y, z


def _hue(degrees: float) -> str:
    return _short(round(degrees, 2) % 360, 2)


def _short(value: float, places: int) -> str:
    """Write so many decimal places, less the zeros at their end."""
    return f"{value:.{places}f}".rstrip("0").rstrip(".")
