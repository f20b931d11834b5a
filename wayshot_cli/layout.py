"""Outputs in logical space: who is captured for a target, and where each frame lands.

``plan`` is asked before the capture and knows only boxes; ``render`` comes after it and
goes by the size of the frames, which is what the compositor really gave.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from wayshot_cli import kernels, pixels
from wayshot_cli.errors import CaptureError, InvalidArgumentError, NotFoundError
from wayshot_cli.frame import Alpha, Cursor, Frame
from wayshot_cli.geometry import (
    LONGEST_SIDE,
    Box,
    Size,
    bounding_box,
    round_half_up,
    true_scale,
)
from wayshot_cli.wayland.outputs import Output, find_output

_MAX_PIXELS = 2**28  # 2 GiB of canvas at 16 bits a channel
_LIMITS = f"at most {LONGEST_SIDE} pixels a side, 2^28 in all"


class Plan(NamedTuple):
    """``box`` in logical coordinates becomes the picture; ``outputs`` are drawn in this order."""

    box: Box
    outputs: list[Output]

    def request_region(self, output: Output) -> Box | None:
        """Return the part of an output that is worth asking the compositor for alone.

        None means the whole output. Compositors disagree on regions of transformed outputs and
        on rounding at fractional scales; elsewhere a region is exact and much cheaper.
        Output-local logical coordinates.
        """
        ratios = {
            native / logical
            for native, logical in zip(output.native_size, output.box.size, strict=True)
        }
        if len(self.outputs) > 1 or output.transform or ratios != {float(output.integer_scale)}:
            return None
        part = self.box.intersection(output.box)
        if part is None or part == output.box:
            return None
        return part.moved(-output.box.x, -output.box.y)


class Piece(NamedTuple):
    """A frame, and the logical box that it shows: an output's, or a region's inside it."""

    box: Box
    frame: Frame

    @property
    def ratios(self) -> tuple[float, float]:
        """Pixels per logical unit, on each axis."""
        return self.frame.width / self.box.width, self.frame.height / self.box.height

    def is_native(self, grid: "_Grid") -> bool:
        """Whether the frame fits the grid pixel for pixel."""
        return (
            abs(self.box.width * grid.scale_x - self.frame.width) <= 1
            and abs(self.box.height * grid.scale_y - self.frame.height) <= 1
        )


def plan(
    outputs: list[Output],
    *,
    names: list[str] | None = None,
    region: Box | None = None,
    scale: float | None = None,
) -> Plan:
    """Say which outputs are captured for the named outputs, a region, or (neither) everything.

    Raises NotFoundError when there are no outputs, none of that name, or none under the region,
    InvalidArgumentError for a region or a scale beyond all measure, CaptureError for an output
    that describes itself impossibly, unless others are named or lie under the region.
    """
    if not outputs:
        message = "the compositor has no outputs"
        raise NotFoundError(message)
    chosen = outputs
    if names is not None:
        # Named twice is drawn once; the order is the compositor's, so that it does not matter.
        wanted = {find_output(outputs, name).offer.name for name in names}
        chosen = [output for output in outputs if output.offer.name in wanted]
    elif region is not None:
        _check_wish(region, scale)
        outputs = [output for output in outputs if not output.problem]  # who knows where they lie
        chosen = [output for output in outputs if output.box.intersection(region)]
    if not chosen:
        message = f"no output lies under the region {region}"
        layout = "; ".join(f"{output.name} at {output.box}" for output in outputs)
        raise NotFoundError(message, hint=f"outputs: {layout}")
    if problem := next((output.problem for output in chosen if output.problem), None):
        raise CaptureError(problem, hint=None if names else "-o takes another output alone")
    box = region or bounding_box([output.box for output in chosen])
    if scale is not None:
        _check_wish(box, scale)
    return Plan(box, chosen)


def render(box: Box, pieces: list[Piece], scale: float | None = None) -> Frame:
    """Put the pieces together into one upright picture of the logical ``box``.

    One output is never resampled: its picture is a crop that shares the frame's memory,
    or a copy where the box sticks out. Several are laid out at the greatest true scale among
    them, or at ``scale`` (pixels per logical unit) where that is given; a piece whose size at
    this scale comes within a pixel of its frame's is pasted pixel for pixel, others are
    resampled. What no piece covers is transparent.

    Raises CaptureError when the picture would be absurdly large.
    """
    if scale is None and len(pieces) == 1:
        grid = _Grid(pieces[0].box.x, pieces[0].box.y, *pieces[0].ratios)
    else:
        common = scale or max(
            true_scale(piece.frame.upright_size, piece.box.size) for piece in pieces
        )
        grid = _Grid(0, 0, common, common)
    picture = grid.pixels(box)
    if len(pieces) == 1 and pieces[0].is_native(grid):
        place, frame = grid.pixels(pieces[0].box), pieces[0].frame
        inside = picture.moved(-place.x, -place.y)
        if frame.contains(inside):
            return frame.crop(inside)
    _check_size(picture.size)
    return _compose(grid, picture, pieces)


def fit(frame: Frame, size: Size, how: str) -> Frame:
    """Return a picture of another size over black, for a recording that cannot change its own.

    "scale" keeps the proportions and centres; "pad" keeps the pixels, from the upper
    left corner on, and cuts what is too much.
    """
    if how == "pad":
        width, height = min(size.width, frame.width), min(size.height, frame.height)
        place = Box(0, 0, width, height)
        frame = frame.crop(place)
    else:
        ratio = min(size.width / frame.width, size.height / frame.height)
        width = max(1, round_half_up(frame.width * ratio))
        height = max(1, round_half_up(frame.height * ratio))
        place = Box((size.width - width) // 2, (size.height - height) // 2, width, height)
        frame = _resample(frame, place.size, Box(0, 0, *place.size))
    target = kernels.Target(16 if frame.format.is_deep else 8, 4)
    stride = size.width * target.bytes_per_pixel
    canvas = bytearray(stride * size.height)
    offset = place.y * stride + place.x * target.bytes_per_pixel
    kernels.blit(kernels.over_black(frame), target, canvas, offset, stride)
    format_ = pixels.ABGR16161616 if frame.format.is_deep else pixels.ABGR8888
    return Frame(memoryview(canvas), format_, size, stride, time_ns=frame.time_ns)


class _Grid(NamedTuple):
    """Logical space divided into pixels: each edge is rounded on its own, half up."""

    origin_x: int
    origin_y: int
    scale_x: float
    scale_y: float

    def pixels(self, box: Box) -> Box:
        left = round_half_up((box.x - self.origin_x) * self.scale_x)
        top = round_half_up((box.y - self.origin_y) * self.scale_y)
        right = round_half_up((box.right - self.origin_x) * self.scale_x)
        bottom = round_half_up((box.bottom - self.origin_y) * self.scale_y)
        # Below scale 1 a box can fall between two edges; it still shows the pixel it lies in.
        if right == left:
            left = math.floor((box.x + box.width / 2 - self.origin_x) * self.scale_x)
        if bottom == top:
            top = math.floor((box.y + box.height / 2 - self.origin_y) * self.scale_y)
        return Box(left, top, max(1, right - left), max(1, bottom - top))


def _compose(grid: _Grid, picture: Box, pieces: list[Piece]) -> Frame:
    places = [grid.pixels(piece.box) for piece in pieces]
    is_covered = _covers(places, picture)
    # Pillow resamples 8 bits a channel; a picture is deep when something in it stays deep.
    is_deep = any(piece.frame.format.is_deep and piece.is_native(grid) for piece in pieces)
    target = kernels.Target(16 if is_deep else 8, 3 if is_covered and not is_deep else 4)
    stride = picture.width * target.bytes_per_pixel
    canvas = bytearray(stride * picture.height)
    for piece, place in zip(pieces, places, strict=True):
        for source, spot in _layers(piece, place, picture, is_native=piece.is_native(grid)):
            offset = (spot.y - picture.y) * stride + (spot.x - picture.x) * target.bytes_per_pixel
            kernels.blit(source, target, canvas, offset, stride)
    format_ = {(8, 3): pixels.BGR888, (8, 4): pixels.ABGR8888}.get(target, pixels.ABGR16161616)
    composed = Frame(
        memoryview(canvas),
        format_,
        picture.size,
        stride,
        alpha=Alpha.IGNORED if is_covered else Alpha.STRAIGHT,
        scale=grid.scale_x,
        time_ns=max(piece.frame.time_ns for piece in pieces),
    )
    composed.cursor = _cursor(pieces, places, picture)
    return composed


def _cursor(pieces: list[Piece], places: list[Box], picture: Box) -> Cursor | None:
    """Return the cursor of the one piece that has it, where it lies in the picture."""
    for piece, place in zip(pieces, places, strict=True):
        if cursor := piece.frame.cursor:
            x, y = cursor.position
            x = place.x - picture.x + math.floor((x + 0.5) * place.width / piece.frame.width)
            y = place.y - picture.y + math.floor((y + 0.5) * place.height / piece.frame.height)
            return cursor._replace(position=(x, y))
    return None


def _layers(
    piece: Piece, place: Box, picture: Box, *, is_native: bool
) -> Iterator[tuple[Frame, Box]]:
    """Yield what to paint for a piece, in order, each with its spot inside the picture."""
    frame, visible = piece.frame, place.intersection(picture)
    if visible is None:
        return
    if not is_native:
        yield _resample(frame, place.size, visible.moved(-place.x, -place.y)), visible
        return
    # A place can be a pixel smaller than the frame, which is then cut, or larger. Painted first
    # one further, the frame fills it with its last row or column: no seam between neighbours.
    for dy in range(max(0, place.height - frame.height), -1, -1):
        for dx in range(max(0, place.width - frame.width), -1, -1):
            shifted = Box(place.x + dx, place.y + dy, frame.width, frame.height)
            if spot := shifted.intersection(visible):
                yield frame.crop(spot.moved(-shifted.x, -shifted.y)), spot


def _resample(frame: Frame, size: Size, part: Box) -> Frame:
    """Return ``part`` of the frame scaled to ``size``, computing no more than that part.

    Whole multiples repeat pixels, as compositors do; everything else is bicubic, and
    antialiased where it shrinks.
    """
    from PIL import Image  # noqa: PLC0415 - 18 ms that only mixed scales pay

    ratio_x, ratio_y = frame.width / size.width, frame.height / size.height
    is_multiple = size.width % frame.width == 0 and size.height % frame.height == 0
    scaled = frame.to_pillow().resize(
        part.size,
        Image.Resampling.NEAREST if is_multiple else Image.Resampling.BICUBIC,
        (part.x * ratio_x, part.y * ratio_y, part.right * ratio_x, part.bottom * ratio_y),
    )
    memory = memoryview(scaled.tobytes())
    has_alpha = scaled.mode == "RGBA"
    format_ = pixels.ABGR8888 if has_alpha else pixels.BGR888
    return Frame(
        memory,
        format_,
        part.size,
        part.width * format_.bytes_per_pixel,
        alpha=Alpha.STRAIGHT if has_alpha else Alpha.IGNORED,
        scale=frame.scale,
        time_ns=frame.time_ns,
    )


def _covers(parts: list[Box], picture: Box) -> bool:
    """Whether the boxes leave no pixel of the picture free."""
    free = [picture]
    for part in parts:
        free = [rest for box in free for rest in _subtract(box, part)]
    return not free


def _subtract(box: Box, part: Box) -> list[Box]:
    """Return what is left of a box without a part, as at most four boxes."""
    hole = box.intersection(part)
    if hole is None:
        return [box]
    rests = (
        Box(box.x, box.y, box.width, hole.y - box.y),
        Box(box.x, hole.bottom, box.width, box.bottom - hole.bottom),
        Box(box.x, hole.y, hole.x - box.x, hole.height),
        Box(hole.right, hole.y, box.right - hole.right, hole.height),
    )
    return [rest for rest in rests if min(rest.size) > 0]


def _check_wish(box: Box, scale: float | None) -> None:
    width, height = (side * (scale or 1.0) for side in box.size)
    if not _is_bearable(width, height):
        message = f"a picture of {box} would be too large"
        if scale is not None:
            message += f" at scale {scale:g}"
        raise InvalidArgumentError(message, hint=_LIMITS)


def _check_size(size: Size) -> None:
    if not _is_bearable(*size):
        message = f"a picture of {size} pixels is too large"
        raise CaptureError(message, hint=_LIMITS)


def _is_bearable(width: float, height: float) -> bool:
    return max(width, height) <= LONGEST_SIDE and width * height <= _MAX_PIXELS
