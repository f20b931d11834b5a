"""When a recording shows what: pure arithmetic. No clock is read here, every time is an argument.

Times are nanoseconds. A *position* counts from the recording's first frame, pauses cut out.
"""

import math
from array import array
from dataclasses import dataclass, field
from fractions import Fraction

from wayshot_cli.errors import InvalidArgumentError

SECOND = 1_000_000_000
MOST_FRAMES_PER_SECOND = 60
"""What the default rate is limited to; also the rate where no refresh is known."""

GRACE = SECOND // 10
"""How long a frame may be on its way before its slot is filled with the one before it."""

LONGEST_LAG = SECOND
"""How far writing may fall behind the clock, hoping to catch up, before slots are dropped."""

_FASTEST = 1000  # frames per second that can be asked for; and seconds per frame
_MOST_EXACT = 1001  # the denominator of NTSC's rates


def read_rate(value: str | float | Fraction) -> Fraction:
    """Return the frames per second that 30, 29.97 or "30000/1001" mean, exactly.

    Raises InvalidArgumentError for what is no rate.
    """
    try:
        rate = Fraction(value)
    except (TypeError, ValueError, ArithmeticError):
        rate = Fraction(0)
    if not Fraction(1, _FASTEST) <= rate <= _FASTEST:
        message = f"{value!r} is no number of frames per second from 1/{_FASTEST} to {_FASTEST}"
        raise InvalidArgumentError(message)
    return exact_rate(rate).limit_denominator(_MOST_EXACT)


def exact_rate(rate: Fraction) -> Fraction:
    """Return the NTSC rate (n * 1000/1001) that was rounded to this one, else the rate itself.

    wl_output says millihertz and people say two or three decimals: 59.94 means 60000/1001.
    """
    ntsc = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    return ntsc if ntsc and abs(ntsc - rate) < Fraction(1, 2000) else rate


def default_rate(refreshes_mhz: list[int]) -> Fraction:
    """Return the frames per second for outputs of these refreshes in millihertz (0: unknown)."""
    fastest = exact_rate(Fraction(max(refreshes_mhz, default=0), 1000))
    return min(fastest, Fraction(MOST_FRAMES_PER_SECOND)) if fastest > 0 else Fraction(60)


class Timeline:
    """Turns the compositor's times into positions: from the first frame on, without pauses."""

    def __init__(self, start_ns: int) -> None:
        """Take the time of the first frame."""
        self._origin = start_ns
        self._resumed_at = start_ns
        self._paused_at: int | None = None

    @property
    def is_paused(self) -> bool:
        """Whether positions stand still."""
        return self._paused_at is not None

    def position(self, time_ns: int) -> int:
        """Return the position of a time: during a pause that of its begin."""
        if self._paused_at is not None:
            time_ns = min(time_ns, self._paused_at)
        return max(time_ns, self._resumed_at) - self._origin

    def pause(self, time_ns: int) -> None:
        """Let positions stand still from now on."""
        self._paused_at = max(time_ns, self._resumed_at)

    def resume(self, time_ns: int) -> None:
        """Let positions go on where they stood."""
        if self._paused_at is not None:
            self._resumed_at = max(time_ns, self._paused_at)
            self._origin += self._resumed_at - self._paused_at
            self._paused_at = None


@dataclass(frozen=True)
class Pacer:
    """Divides positions into the slots of a constant rate: slot n is shown from n / rate on.

    A slot shows the newest frame whose position is at most ``tolerance`` after the slot's
    own: half an interval of whichever is faster, the screen or the recording. So a screen of the
    same rate may jitter by half a frame, and of a faster one the nearest frame is taken.
    """

    rate: Fraction
    refresh: Fraction | None = None

    @property
    def tolerance(self) -> int:
        """Nanoseconds by which a frame may be younger than the slot that shows it."""
        return int(SECOND / (2 * max(self.rate, self.refresh or 0)))

    def time(self, slot: int) -> int:
        """Return the position from which a slot is shown."""
        return int(slot * SECOND / self.rate)

    def slot(self, position: int) -> int:
        """Return the first slot that shows a frame of this position."""
        return max(0, math.ceil((position - self.tolerance) * self.rate / SECOND))

    def slots(self, duration: int) -> int:
        """Return how many slots a recording of this duration has: at least one."""
        return max(1, math.floor(duration * self.rate / SECOND + Fraction(1, 2)))

    def decided(self, position: int) -> int:
        """Return how many slots no frame can change any more that is not ``GRACE`` late."""
        return self.slot(position - GRACE)

    def decided_at(self, slot: int) -> int:
        """Return the position at which that slot is decided."""
        return math.ceil(slot * SECOND / self.rate) + self.tolerance + GRACE + 1

    def worth(self, position: int) -> int:
        """Return the first slot that is still worth writing; those before it are dropped."""
        return self.slot(position - LONGEST_LAG)

    def capture_from(self, position: int) -> int:
        """Return when it is soon enough to ask for the frame after one of this position.

        A screen that is much faster than the recording need not be copied each time: only the
        frames just before the end of a slot can be the slot's last.
        """
        if not self.refresh:
            return position
        interval = int(SECOND / self.refresh)
        end = self.time(self.slot(position + interval)) + self.tolerance
        return max(position, end - 2 * interval)


_BIN = SECOND // 10_000
_BINS = 10_000


@dataclass
class Statistics:
    """What happened to the frames of a recording.

    ``captured`` came from the compositor, ``skipped`` of them were never written: newer ones took
    their place. ``written`` went out, ``duplicated`` of them the same once more; ``dropped``
    should have gone out, but the reader was too slow. ``late`` came after their time was filled.
    """

    captured: int = 0
    written: int = 0
    duplicated: int = 0
    skipped: int = 0
    dropped: int = 0
    late: int = 0
    duration_ns: int = 0
    _intervals: "array[int]" = field(default_factory=lambda: array("Q", bytes(8 * (_BINS + 1))))

    def add_interval(self, nanoseconds: int) -> None:
        """Count an interval between two captured frames, to a tenth of a millisecond."""
        self._intervals[min(max(nanoseconds, 0) // _BIN, _BINS)] += 1

    def interval(self, share: float) -> int | None:
        """Return the interval that this share of all is not longer than, None without any.

        A second stands for everything longer.
        """
        wanted = share * sum(self._intervals)
        total = 0
        for number, count in enumerate(self._intervals):
            total += count
            if count and total >= wanted:
                return number * _BIN
        return None
