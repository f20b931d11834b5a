"""Boxes, sizes, the eight transforms and the region grammar. Pure: knows nothing else."""

import math
import re
from enum import IntEnum
from typing import NamedTuple

from wayshot_cli.errors import CancelledError, InvalidArgumentError

_HAIR = 1e-9  # products for a picture are wrong by less, and edges differ by more


def round_half_up(value: float) -> int:
    """Round as every edge in wayshot is rounded: ``floor(value + 0.5)``.

    Python's ``round`` goes to the even neighbour, which would let two outputs
    that share an edge disagree by a pixel about where it lies. A half that was multiplied
    out a hair too small, as 771 times 13/6, still goes up.
    """
    return math.floor(value + 0.5 + _HAIR)


LONGEST_SIDE = 65535
"""Pixels: no screen is larger, encoders take no more, and products stay far from overflow."""


class Size(NamedTuple):
    """Width and height, in the units of the context (pixels or logical units)."""

    width: int
    height: int

    @property
    def is_possible(self) -> bool:
        """Whether something can have so many pixels: what others say of sizes is asked here."""
        return 0 < min(self) <= max(self) <= LONGEST_SIDE

    def __str__(self) -> str:
        """Write ``WxH``."""
        return f"{self.width}x{self.height}"


class Box(NamedTuple):
    """A rectangle by its upper left corner and size; right and bottom are exclusive."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column that is no longer inside."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row that is no longer inside."""
        return self.y + self.height

    @property
    def size(self) -> Size:
        """Width and height."""
        return Size(self.width, self.height)

    def intersection(self, other: "Box") -> "Box | None":
        """Return the part that both cover, or None where they only touch or lie apart."""
        left, top = max(self.x, other.x), max(self.y, other.y)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        if right <= left or bottom <= top:
            return None
        return Box(left, top, right - left, bottom - top)

    def contains(self, other: "Box") -> bool:
        """Tell whether the other box lies wholly inside this one."""
        return self.intersection(other) == other

    def moved(self, dx: int, dy: int) -> "Box":
        """Return the same box, shifted."""
        return Box(self.x + dx, self.y + dy, self.width, self.height)

    def scaled(self, factor: int) -> "Box":
        """Return the box in units that are a whole number of times smaller."""
        return Box(self.x * factor, self.y * factor, self.width * factor, self.height * factor)

    def __str__(self) -> str:
        """Write ``X,Y WxH``, the form that slurp prints and ``--region`` reads."""
        return f"{self.x},{self.y} {self.width}x{self.height}"


def bounding_box(boxes: list[Box]) -> Box:
    """Return the smallest box that covers all of the boxes (at least one)."""
    left, top = min(box.x for box in boxes), min(box.y for box in boxes)
    right, bottom = max(box.right for box in boxes), max(box.bottom for box in boxes)
    return Box(left, top, right - left, bottom - top)


# For each transform the matrix (a, b, c, d) that leads from the upright picture to the
# buffer, about the centre of both: buffer_x = a*x + b*y, buffer_y = c*x + d*y.
_TO_BUFFER = (
    (1, 0, 0, 1),
    (0, 1, -1, 0),
    (-1, 0, 0, -1),
    (0, -1, 1, 0),
    (-1, 0, 0, 1),
    (0, 1, 1, 0),
    (1, 0, 0, -1),
    (0, -1, -1, 0),
)


class Transform(IntEnum):
    """``wl_output.transform``: how an upright picture was turned to make the buffer.

    A buffer that comes with one of these is brought upright by undoing it.
    The angles count counter-clockwise, the flip is about the vertical axis and
    comes before the turn, as the Wayland protocol has it.
    """

    NORMAL = 0
    ROTATED_90 = 1
    ROTATED_180 = 2
    ROTATED_270 = 3
    FLIPPED = 4
    FLIPPED_90 = 5
    FLIPPED_180 = 6
    FLIPPED_270 = 7

    @property
    def label(self) -> str:
        """The protocol's name, as wlr-randr prints it: ``normal``, ``90``, ``flipped-270``."""
        name = self.name.lower().replace("_", "-")
        return name.removeprefix("rotated-")

    @property
    def matrix(self) -> tuple[int, int, int, int]:
        """(a, b, c, d) with buffer_x = a*x + b*y and buffer_y = c*x + d*y, about the centre."""
        return _TO_BUFFER[self]

    @property
    def swaps_axes(self) -> bool:
        """Whether width and height of buffer and upright picture are exchanged."""
        return self.matrix[0] == 0

    def apply(self, size: Size) -> Size:
        """Return the size after the transform (or its inverse: it is the same)."""
        return Size(size.height, size.width) if self.swaps_axes else size

    def y_inverted(self) -> "Transform":
        """Return the transform of a buffer whose rows, besides, run from bottom to top."""
        a, b, c, d = self.matrix
        return Transform(_TO_BUFFER.index((a, b, -c, -d)))


# Nine digits hold any coordinate a compositor can name (32 bits) without overflow anywhere.
_X_Y_SIZE = r"(-?\d{1,9}),(-?\d{1,9})\s+(\d{1,9})x(\d{1,9})"
_SIZE_X_Y = r"(\d{1,9})x(\d{1,9})\+(-?\d{1,9})\+(-?\d{1,9})"


def parse_size(text: str) -> Size | None:
    """Read ``WxH``, pixels; None when it is no possible size."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    size = Size(int(match[1]), int(match[2])) if match else None
    return size if size and size.is_possible else None


def parse_region(text: str) -> Box:
    """Read a region in logical coordinates: ``X,Y WxH`` (slurp) or ``WxH+X+Y`` (X11).

    X and Y may be negative, in X11's form as ``WxH+-5+10``.

    Raises CancelledError for an empty string, which is what ``$(slurp)`` leaves
    when the user pressed Escape, and InvalidArgumentError for anything else
    that is not a region with a positive area.
    """
    text = text.strip()
    if not text:
        message = "the region is empty: selection cancelled"
        raise CancelledError(message)
    if match := re.fullmatch(_X_Y_SIZE, text, re.ASCII):
        x, y, width, height = map(int, match.groups())
    elif match := re.fullmatch(_SIZE_X_Y, text, re.ASCII):
        width, height, x, y = map(int, match.groups())
    else:
        message = f"not a region: {text!r}"
        raise InvalidArgumentError(message, hint="write X,Y WxH or WxH+X+Y, in whole numbers")
    if width == 0 or height == 0:
        message = f"the region has no area: {text!r}"
        raise InvalidArgumentError(message)
    return Box(x, y, width, height)


def parse_point(text: str) -> tuple[float, float]:
    """Read a point in logical coordinates: ``X,Y``, or ``X,Y WxH``, which ``slurp -p`` prints.

    Raises CancelledError for an empty string, as ``parse_region``, and InvalidArgumentError.
    """
    text = text.strip()
    if not text:
        message = "the point is empty: selection cancelled"
        raise CancelledError(message)
    match = re.fullmatch(r"(-?\d{1,9}(?:\.\d{1,9})?),(-?\d{1,9}(?:\.\d{1,9})?)", text, re.ASCII)
    match = match or re.fullmatch(_X_Y_SIZE, text, re.ASCII)
    if not match:
        message = f"not a point: {text!r}"
        raise InvalidArgumentError(message, hint="write X,Y")
    return float(match[1]), float(match[2])


_SCALE_STEPS = 120  # fractional-scale-v1 counts scales in 120ths


def true_scale(native: Size, logical: Size) -> float:
    """Return the scale in force of something with these sizes, in pixels per logical unit.

    Logical sizes are whole numbers, cut off or rounded (640x480 at 1.5 says 426x320), so that
    native / logical is only near it: mostly above, and least so on the axis where it is
    smaller. Scales are multiples of 1/120: the nearest one is it when it explains the logical
    size to within less than one unit on both axes. Else the greater ratio stands.
    """
    ratios = native.width / logical.width, native.height / logical.height
    nearest = round(min(ratios) * _SCALE_STEPS)
    for step in sorted(range(max(1, nearest - 1), nearest + 2), key=lambda n: abs(n - nearest)):
        exact = step / _SCALE_STEPS
        if all(
            abs(pixels / exact - units) < 1 for pixels, units in zip(native, logical, strict=True)
        ):
            return exact
    return max(ratios)


def pixel_at(x: float, y: float, box: Box, native: Size) -> tuple[int, int]:
    """Return the pixel that covers a point, where ``native`` pixels show a logical ``box``.

    The point is in the box. This is the pixel under a pointer at that place: the scale in
    force counts, not the ratio of the sizes.
    """
    scale = true_scale(native, box.size)
    column = math.floor((x - box.x) * scale + _HAIR)
    row = math.floor((y - box.y) * scale + _HAIR)
    return min(column, native.width - 1), min(row, native.height - 1)
