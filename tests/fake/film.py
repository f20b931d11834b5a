"""Outputs whose picture changes: frame k shows the number k, on a clock that a test steers.

    clock = VirtualClock(time.clock_gettime_ns(time.CLOCK_MONOTONIC))
    film = Film(Fraction(60))
    config = Config(outputs=(Output(film=film),), clock=clock)
    with FakeCompositor(config) as compositor:
        ...  # record: frame k is stamped clock.base_ns + film.offset_ns(k)

How a copy is answered:

* ``copy_with_damage`` gets a frame newer than the client's last one of this output: at once if
  there is one, and if there are several, the newest.  After another mode, or after
  ``FakeCompositor.damage``, everything is damaged: the next one is answered like a copy.
* ``copy`` gets whatever is shown at a frame's beginning, drawn anew or not, and each beginning
  once: at once if the client has not copied since, else at the next.

With a :class:`VirtualClock` the wait for a frame takes no time: the clock leaps to it. It does not
leap over its ``stops``: who asks for what lies beyond one waits until the test has let enough time
pass with ``FakeCompositor.advance_to``. So an idle stretch, during which the test is in charge, is
made of frames that are ``skipped`` and a stop at the first of them.  With a :class:`RealClock`
frames appear in real time, and an answer comes up to a millisecond after its frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from tests.fake.counter import bits, cells, paint_counter

if TYPE_CHECKING:
    from fractions import Fraction

    from numpy.typing import NDArray

    from tests.fake.config import Output
    from tests.fake.pixels import Format, Picture

SECOND = 1_000_000_000  # ns


# Clocks. All times are CLOCK_MONOTONIC's, in ns.


class RealClock:
    """Frame 0 appears at ``base_ns``, by default when the clock is made."""

    def __init__(self, base_ns: int | None = None) -> None:
        """Begin."""
        self.base_ns = self.now_ns() if base_ns is None else base_ns

    @staticmethod
    def now_ns() -> int:
        """Return the time."""
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    @staticmethod
    def leap_to(_time_ns: int) -> bool:
        """Refuse: real time does not leap."""
        return False


class VirtualClock:
    """Begins at ``base_ns``, the time of frame 0, and passes only as clients ask or tests say.

    ``stops`` are ns after ``base_ns``; see the module. ``now_ns`` may be called in any thread.
    """

    def __init__(self, base_ns: int, stops: tuple[int, ...] = ()) -> None:
        """Begin."""
        self.base_ns = base_ns
        self.stops = tuple(base_ns + stop for stop in stops)
        self._now_ns = base_ns

    def now_ns(self) -> int:
        """Return the time."""
        return self._now_ns

    def leap_to(self, time_ns: int) -> bool:
        """Let time pass for a client, if no stop is in the way; tell whether it passed."""
        if any(self._now_ns < stop <= time_ns for stop in self.stops):
            return False
        self.set(time_ns)
        return True

    def set(self, time_ns: int) -> None:
        """Let time pass; only for the server's thread, tests use FakeCompositor.advance_to."""
        if time_ns < self._now_ns:
            message = f"{self._now_ns - time_ns} ns back"
            raise ValueError(message)
        self._now_ns = time_ns


Clock: TypeAlias = RealClock | VirtualClock


# What the ready event says of a frame's time: a function of the truth and of the frame's number.

Stamp: TypeAlias = Callable[[int, int], int]


def truthful(time_ns: int, _number: int) -> int:
    """Say when the frame was shown."""
    return time_ns


def zero(_time_ns: int, _number: int) -> int:
    """Say nothing."""
    return 0


def backwards(time_ns: int, number: int) -> int:
    """Put every other frame half a second back, before the one that went before it."""
    return time_ns - number % 2 * SECOND // 2


def far(time_ns: int, _number: int) -> int:
    """Stamp with another clock, an hour ahead."""
    return time_ns + 3600 * SECOND


def jittery(*offsets: int) -> Stamp:
    """Be off by so many ns, one frame after the other and from the first one again."""
    return lambda time_ns, number: time_ns + offsets[number % len(offsets)]


@dataclass(frozen=True)
class Film:
    """What an output shows: frame k from ``offset_ns(k)`` after the clock's base on.

    ``skipped`` frames are never drawn, the one before them stays: ``(range(1, 60_000, 2),)`` draws
    every other one.  After the frame ``last`` nothing is drawn any more: 0 is a static screen.
    Around the counter there is the output's place pattern, or ``rest``, a colour.  The counter
    takes ``box`` (x, y, width, height in upright pixels) or, if None, the whole output.
    """

    rate: Fraction
    skipped: tuple[range, ...] = ()
    last: int | None = None
    rest: tuple[int, int, int] | None = None
    box: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        """A screen always shows something."""
        if self._is_skipped(0):
            message = "frame 0 has to be drawn"
            raise ValueError(message)

    def offset_ns(self, number: int) -> int:
        """Return when a frame is shown, after the clock's base; fractions of a ns are cut off."""
        return number * SECOND * self.rate.denominator // self.rate.numerator

    def number_at(self, offset_ns: int) -> int:
        """Return the frame whose time it is, drawn or not; -1 before the first."""
        number = ((offset_ns + 1) * self.rate.numerator - 1) // (SECOND * self.rate.denominator)
        return max(number, -1)

    def drawn_at(self, number: int) -> int:
        """Return the frame that is shown in the time of this one."""
        if self.last is not None:
            number = min(number, self.last)
        while self._is_skipped(number):
            number -= 1
        return number

    def drawn_after(self, number: int) -> int | None:
        """Return the next frame that is drawn; None if this was the last."""
        number += 1
        while self._is_skipped(number):
            number += 1
        return None if self.last is not None and number > self.last else number

    def picture(self, number: int, pattern: Picture) -> Picture:
        """Return a frame of an output whose place pattern is given: upright, (h, w, 3)."""
        picture = pattern.copy()
        if self.rest is not None:
            picture[:] = self.rest
        paint_counter(self.within(picture), number)
        return picture

    def within(self, upright: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a view of the part of a picture that the counter takes."""
        if self.box is None:
            return upright
        x, y, width, height = self.box
        part = upright[y : y + height, x : x + width]
        if part.shape[:2] != (height, width):
            message = f"the counter's box {self.box} does not lie in {upright.shape}"
            raise ValueError(message)
        return part

    def _is_skipped(self, number: int) -> bool:
        return any(number in frames for frames in self.skipped)


class _Block(NamedTuple):
    """A cell's bytes in a buffer, and a row of them in each colour."""

    memory: NDArray[np.uint8]
    black: NDArray[np.uint8]
    white: NDArray[np.uint8]


class Reel:
    """A film made ready for an output: of each frame it paints only the cells that change."""

    def __init__(
        self, output: Output, index: int, region: tuple[int, int, int, int] | None
    ) -> None:
        """Paint frame 0, and find the cells in it."""
        assert output.film is not None
        pattern = output.upright(index)
        # Numbers say which cell a pixel belongs to; they go where transform, region and y_invert
        # put the pixel.
        cell_numbers = np.zeros(pattern.shape[:2], np.uint8)
        part = output.film.within(cell_numbers)
        for number, cell in enumerate(cells(part.shape[1], part.shape[0]), 1):
            part[cell] = number
        offer = output.true_offer(region)
        frame = output.stored(output.film.picture(0, pattern), region)
        self._data = bytearray(output.shm_format.pack(frame, offer.stride))
        self._memory = np.frombuffer(self._data, np.uint8).reshape(offer.height, offer.stride)
        stored = output.stored(cell_numbers, region)
        self._blocks = [self._block(stored == number, output.shm_format) for number in range(1, 49)]
        self._bits = bits(0)

    def memory(self, number: int) -> memoryview:
        """Return the bytes of a frame; they are valid until the next call."""
        wanted = bits(number)
        for block, white, was_white in zip(self._blocks, wanted, self._bits, strict=True):
            if white != was_white:
                block.memory[:] = block.white if white else block.black
        self._bits = wanted
        return memoryview(self._data)

    def _block(self, cell: NDArray[np.bool_], shm_format: Format) -> _Block:
        rows, columns = np.flatnonzero(cell.any(1)), np.flatnonzero(cell.any(0))
        height, width = len(rows), len(columns)  # 0 where the cell lies outside the region
        top, left = (int(rows[0]), int(columns[0])) if height else (0, 0)
        size = shm_format.bytes_per_pixel
        black, white = (
            shm_format.pack(np.full((1, width, 3), level, np.uint8), width * size)
            for level in (0, 255)
        )
        return _Block(
            self._memory[top : top + height, left * size : (left + width) * size],
            np.frombuffer(black, np.uint8),
            np.frombuffer(white, np.uint8),
        )
