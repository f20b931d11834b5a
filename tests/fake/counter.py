"""A number written into a picture in black and white blocks, large enough to outlive any encoding.

The picture is divided into 12 rows of 8 cells.  The upper three rows hold the number's high byte,
its low byte and a check byte, a cell per bit, the highest bit on the left, white for 1; the lower
three rows hold the same again, so that a picture of which one part is newer than another is
noticed.  The six rows between them are free.  The layout follows the picture's size: it can be
read from a scaled picture, from a luma plane of any range, from a decoded video.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Cell: TypeAlias = tuple[slice, slice]
"""Rows and columns, to index a picture with."""

NUMBERS = 1 << 16
"""How many numbers there are: greater ones begin at 0 again."""

COLUMNS = 8
GRID_ROWS = 12
UPPER = (0, 1, 2)
LOWER = (9, 10, 11)
SMALLEST = 16, 24
"""Width and height below which a cell would have less than 2x2 pixels."""

DARK, BRIGHT = 0.25, 0.75
"""Parts of full scale: what lies between them is neither black nor white."""


class CounterError(Exception):
    """There is no number to be read, or not only one."""


def cells(width: int, height: int) -> list[Cell]:
    """Return where the 48 cells lie, in the order of bits(): the upper copy, then the lower."""
    if width < SMALLEST[0] or height < SMALLEST[1]:
        message = f"{width}x{height} is too small for a counter"
        raise ValueError(message)
    rows = [row * height // GRID_ROWS for row in range(GRID_ROWS + 1)]
    columns = [column * width // COLUMNS for column in range(COLUMNS + 1)]
    return [
        (slice(rows[row], rows[row + 1]), slice(columns[column], columns[column + 1]))
        for row in (*UPPER, *LOWER)
        for column in range(COLUMNS)
    ]


def bits(number: int) -> list[bool]:
    """Return which of the 48 cells are white."""
    number %= NUMBERS
    high, low = divmod(number, 256)
    word = number << 8 | _check(high, low)
    return [bool(word >> bit & 1) for bit in reversed(range(24))] * 2


def paint_counter(picture: NDArray[Any], number: int) -> None:
    """Write a number into a picture, in place."""
    height, width = picture.shape[:2]
    for cell, bit in zip(cells(width, height), bits(number), strict=True):
        picture[cell] = 255 if bit else 0


def read_counter(picture: NDArray[Any], white: int = 255) -> int:
    """Return the number of an upright picture: shape (h, w) of luma or (h, w, 3) of colours.

    ``white`` is the sample's greatest value: 1023 for 10 bits. Raises CounterError where a cell is
    neither black nor white and where check byte or copies disagree, as in a torn picture.
    """
    height, width = picture.shape[:2]
    upper, lower = np.split(
        np.array([_is_white(picture[_core(cell)], white) for cell in cells(width, height)]), 2
    )
    if not np.array_equal(upper, lower):
        message = f"{_word(upper):#08x} above, {_word(lower):#08x} below"
        raise CounterError(message)
    number, check = divmod(_word(upper), 256)
    if check != _check(*divmod(number, 256)):
        message = f"the check byte of {number} is {check:#x}"
        raise CounterError(message)
    return number


def _check(high: int, low: int) -> int:
    # Any change of one of the bytes changes it; a black or white picture does not have the right
    # one, neither has a mirrored or turned one.
    return (low + 3 * high + 0x35) & 0xFF


def _core(cell: Cell) -> Cell:
    rows, columns = cell
    return _inner_half(rows), _inner_half(columns)


def _inner_half(span: slice) -> slice:
    margin = (span.stop - span.start + 1) // 4
    return slice(span.start + margin, span.stop - margin)


def _is_white(block: NDArray[Any], white: int) -> bool:
    level = float(block.mean()) / white
    if DARK <= level <= BRIGHT:
        message = f"a cell is neither black nor white: {level:.2f} of full scale"
        raise CounterError(message)
    return level > BRIGHT


def _word(values: NDArray[np.bool_]) -> int:
    return int("".join("01"[int(value)] for value in values), 2)
