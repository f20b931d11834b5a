"""Streams of a constant rate on a virtual clock: which frame is returned when."""

from __future__ import annotations

import contextlib
import itertools
import math
from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayshot_cli import streaming
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Size
from wayshot_cli.pixels import XRGB8888
from wayshot_cli.streaming import FrameStream

if TYPE_CHECKING:
    from collections.abc import Callable

BEGIN, FIRST = 1000.0, 1000.1
LATE = 1e-6
"""Seconds by which a comparison of times may be off."""


class Screen:
    """A source on a clock of its own, which passes only while it is waited on.

    Frame n is drawn ``times(n)`` seconds after FIRST. As compositors do, it answers with the
    first one that is drawn after it was asked, be it asked again before that or not.
    """

    is_current = True

    def __init__(self, refresh: float, times: Callable[[int], float]) -> None:
        self.refreshes_mhz = [round(refresh * 1000)]
        self.times = times
        self.now = BEGIN
        self.asked: float | None = None
        self.last = -1
        self.captured = 0
        self.connection = SimpleNamespace(
            in_use=lambda **_: contextlib.nullcontext(), is_forked=False
        )

    def rest(self, _link: object, until: float, _done: object = None) -> bool:
        self.now = max(self.now, until)
        return False

    def capture(self, until: float) -> Any:
        if self.asked is None:
            self.asked = self.now
        number = self.last + 1
        while FIRST + self.times(number) < self.asked:
            number += 1
        drawn = FIRST + self.times(number)
        if drawn > max(until, self.now):
            self.now = max(self.now, until)
            return None
        self.asked, self.last = None, number
        self.captured += 1
        self.now = max(self.now, drawn)
        frame = Frame(memoryview(bytes(4)), XRGB8888, Size(1, 1), 4, time_ns=number)
        return SimpleNamespace(render=lambda: frame)


Shown = tuple[int, float]
"""The number of a frame, and when it was returned, in seconds after the first."""


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Shown]]:
    return lambda *wishes, **more: read_on(monkeypatch, *wishes, **more)


def open_stream(patch: pytest.MonkeyPatch, screen: Screen, rate: float | Fraction) -> FrameStream:
    patch.setattr(streaming, "monotonic", lambda: screen.now)
    patch.setattr(streaming, "rest", screen.rest)
    stop: Any = contextlib.nullcontext()
    stop.is_wished = False
    source: Any = screen
    return FrameStream(source, Fraction(rate), stop, lambda: None)


def read_on(
    patch: pytest.MonkeyPatch,
    screen: Screen,
    rate: float | Fraction,
    count: int,
    busy: Callable[[int], float] = lambda _: 0.0,
) -> list[Shown]:
    """Read so many frames; after the nth the consumer is busy for ``busy(n)`` seconds."""
    stream, shown = open_stream(patch, screen, rate), []
    for number in range(count):
        shown.append((next(stream).time_ns, screen.now))
        screen.now += busy(number)
    return [(frame, at - shown[0][1]) for frame, at in shown]


def jitter(number: int) -> float:
    """Up to 3 ms early or late, by no pattern."""
    return (number * 7919 % 61 - 30) / 30 * 0.003


@pytest.mark.parametrize("first", range(5))
def test_at_the_screens_rate_each_frame_is_shown_once_though_they_jitter(
    read: Callable[..., list[Shown]], first: int
) -> None:
    screen = Screen(60, lambda n: n / 60 + jitter(n + first))
    assert [frame for frame, _ in read(screen, 60, 500)] == list(range(500))


@pytest.mark.parametrize(
    ("rate", "every", "captured"), [(30, 2, 100), (20, 3, 200), (Fraction(5), 12, 200)]
)
def test_at_a_part_of_it_each_nth_is_shown_and_few_others_are_captured(
    read: Callable[..., list[Shown]], rate: float, every: int, captured: int
) -> None:
    screen = Screen(60, lambda n: n / 60 + jitter(n) / 3)
    shown = read(screen, rate, 100)
    assert [frame for frame, _ in shown] == [every * n for n in range(100)]
    assert screen.captured <= captured + 5


def test_at_twice_its_rate_each_frame_is_shown_twice(read: Callable[..., list[Shown]]) -> None:
    shown = read(Screen(30, lambda n: n / 30), 60, 100)
    assert [frame for frame, _ in shown] == [n // 2 for n in range(100)]


def test_an_idle_screen_is_shown_again_at_each_slot(read: Callable[..., list[Shown]]) -> None:
    screen = Screen(60, lambda n: 0.0 if n == 0 else math.inf)
    shown = read(screen, 25, 50)
    assert [frame for frame, _ in shown] == [0] * 50
    for number, (_, at) in enumerate(shown[1:], 1):
        assert at == pytest.approx(number / 25 + 1 / 120, abs=LATE)


def test_slots_that_nobody_waited_for_are_skipped(read: Callable[..., list[Shown]]) -> None:
    shown = read(Screen(60, lambda n: n / 60), 60, 50, lambda _: 2.5 / 60)
    # To have a frame takes a bit more than one interval: of 2.5 it is the slot after the next.
    assert [round((at - 1 / 120) * 60) for _, at in shown[1:4]] == [4, 8, 12]
    assert all(at * 60 - frame < 1.5 for frame, at in shown)


@pytest.mark.parametrize("rate", [5, 30, 60, 100])
@pytest.mark.parametrize("poll", [0, 0.004, 0.03])
def test_who_only_looks_now_and_then_gets_the_slots_too(
    monkeypatch: pytest.MonkeyPatch, rate: int, poll: float
) -> None:
    screen = Screen(60, lambda n: n / 60)
    stream = open_stream(monkeypatch, screen, rate)
    begin, shown = screen.now, [next(stream).time_ns]
    looks = 0
    while len(shown) < 20:
        looks += 1
        assert looks < 10_000
        screen.now += 0.003  # something else is done
        if frame := stream.read(poll):
            shown.append(frame.time_ns)
            assert screen.now - FIRST - frame.time_ns / 60 < 4.5 / 60
    assert screen.now - begin < 0.1 + 19 * (1 / rate + 0.004) + 1 / 60
    assert shown == sorted(shown)


@given(
    refresh=st.sampled_from([24, 30, 59.94, 60, 75, 144]),
    rate=st.fractions(Fraction(1, 2), 240),
    busy=st.lists(st.floats(0, 0.3), min_size=1, max_size=20),
    phases=st.lists(st.floats(0, 0.2), min_size=1, max_size=7),
)
def test_frames_come_at_slots_and_are_the_newest_that_could_be_had(
    refresh: float, rate: Fraction, busy: list[float], phases: list[float]
) -> None:
    """Whatever the consumer does, nothing comes early, none goes back, none is old."""

    def drawn(number: int) -> float:
        return (number + phases[number % len(phases)]) / refresh

    with pytest.MonkeyPatch.context() as patch:
        screen = Screen(refresh, drawn)
        shown = read_on(patch, screen, rate, 30, lambda n: busy[n % len(busy)])
    start = float(1 / (2 * max(rate, Fraction(round(refresh * 1000), 1000))))
    for number, ((before, since), (frame, at)) in enumerate(itertools.pairwise(shown)):
        slot = (at - start) * float(rate)
        assert abs(slot - round(slot)) < LATE * float(rate)
        assert at > since
        assert frame >= before
        # A frame is asked for, and the next one comes after an interval at most: there is time for
        # that, or the last one has been asked for soon after the slot before, not long ago.
        waited = at - since - busy[number % len(busy)]
        age = at + drawn(0) - drawn(frame)
        if waited > 1.25 / refresh:
            assert age < 1.5 / refresh
        assert age < 2.75 / refresh + max(2 / refresh, float(1 / rate))
