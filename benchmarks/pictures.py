"""What is on the screens: a desktop full of text, and a noisy photo; the same ones every time."""

import random
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
"""Shape (height, width, 3): red, green, blue."""

FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"
WORDS = """
    def return import from class self output frame buffer stride for in if else while with as
    assert raise None True False width height scale format memory the and of to is that a it
    pixel screen compositor wayland surface region capture protocol event request object size
""".split()  # noqa: SIM905 - a list of strings would be a page
DARK = ((30, 32, 38), ((212, 212, 212), (86, 156, 214), (206, 145, 120), (106, 153, 85)))
LIGHT = ((252, 252, 250), ((36, 36, 36), (0, 92, 197), (111, 66, 193), (106, 115, 125)))

WINDOWS = (
    (0.02, 0.06, 0.50, 0.95, DARK),
    (0.53, 0.06, 0.97, 0.48, LIGHT),
    (0.53, 0.52, 0.90, 0.93, DARK),
)
"""Left, top, right and bottom as parts of the screen, and the colours."""

Box = tuple[int, int, int, int]
Colours = tuple[tuple[int, int, int], tuple[tuple[int, int, int], ...]]


def text_desktop(width: int, height: int) -> Picture:
    """Draw a wallpaper, a panel, and windows of code that cover most of it."""
    image = Image.fromarray(_wallpaper(width, height))
    draw = ImageDraw.Draw(image)
    chance = random.Random(20)  # noqa: S311 - must be the same every time
    unit = _unit(width)
    font = ImageFont.truetype(FONT, unit)
    draw.rectangle((0, 0, width, 2 * unit), fill=(40, 42, 48))
    draw.text((unit, unit // 2), "1  2  3   editor - wayshot   Mon 12:34", (220, 220, 220), font)
    for box, colours in _windows(width, height):
        _window(draw, box, colours, font, chance)
    return np.asarray(image)


def scrolling_desktop(width: int, height: int, count: int) -> Iterator[Picture]:
    """Set the desktop in motion: the text in each window scrolls, at a speed of its own."""
    still = text_desktop(width, height)
    for number in range(count):
        picture = still.copy()
        for speed, (box, _) in zip((3, 5, 8), _windows(width, height), strict=True):
            left, top, right, bottom = box
            text = slice(top + 2 * _unit(width) + 1, bottom), slice(left + 1, right)
            picture[text] = np.roll(still[text], -speed * number, axis=0)
        yield picture


def _unit(width: int) -> int:
    """Return the height of a letter in pixels."""
    return 16 if width < 3000 else 22


def _windows(width: int, height: int) -> Iterator[tuple[Box, Colours]]:
    for left, top, right, bottom, colours in WINDOWS:
        yield (
            (int(left * width), int(top * height), int(right * width), int(bottom * height)),
            colours,
        )


def _wallpaper(width: int, height: int) -> Picture:
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = (
        40 + 70 * x / width,
        50 + 70 * y / height,
        90 + 90 * (x + y) / (width + height),
    )
    return np.stack((red, green, blue), axis=-1).astype(np.uint8)


def _window(
    draw: ImageDraw.ImageDraw,
    box: Box,
    colours: Colours,
    font: ImageFont.FreeTypeFont,
    chance: random.Random,
) -> None:
    unit = int(font.size)
    background, inks = colours
    left, top, right, bottom = box
    draw.rectangle(box, fill=background, outline=(90, 90, 90))
    draw.rectangle((left, top, right, top + 2 * unit), fill=(70, 74, 84))
    draw.text((left + unit, top + unit // 2), "wayshot_cli/kernels.c", (230, 230, 230), font)
    columns = int((right - left - 2 * unit) / font.getlength("m"))
    for y in range(top + 3 * unit, bottom - 2 * unit, unit * 5 // 4):
        x = left + unit
        room = chance.choice((0, columns // 3, columns // 2, columns * 4 // 5, columns))
        x += chance.randrange(4) * int(4 * font.getlength("m"))
        while room > 0:
            word = chance.choice(WORDS) + chance.choice((" ", " ", " ", "(", ") ", ".", " = "))
            if x + font.getlength(word) > right - unit:
                break
            draw.text((x, y), word, chance.choice(inks), font)
            x += int(font.getlength(word))
            room -= len(word)


def photo(width: int, height: int) -> Picture:
    """Soft shapes under sensor noise."""
    chance = np.random.default_rng(1)
    coarse = chance.normal(128, 60, (height // 40 + 2, width // 40 + 2, 3)).clip(0, 255)
    shapes = Image.fromarray(coarse.astype(np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    noisy = np.asarray(shapes) + chance.normal(0, 4, (height, width, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def bgrx(picture: Picture) -> bytes:
    """Return the picture as a compositor hands it over, XRGB8888."""
    height, width, _ = picture.shape
    out = np.full((height, width, 4), 255, np.uint8)
    out[..., :3] = picture[..., ::-1]
    return out.tobytes()
