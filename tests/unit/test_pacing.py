"""Time as a recording counts it. Every test gives the times itself; none waits."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayshot_cli.errors import InvalidArgumentError
from wayshot_cli.pacing import (
    GRACE,
    LONGEST_LAG,
    SECOND,
    Pacer,
    Statistics,
    Timeline,
    default_rate,
    exact_rate,
    read_rate,
)

NTSC = Fraction(60_000, 1001)

rates = st.one_of(
    st.sampled_from([Fraction(n) for n in (1, 10, 24, 25, 30, 50, 60, 144)]),
    st.just(NTSC),
    st.fractions(Fraction(1, 10), 240, max_denominator=1001),
)
refreshes = st.one_of(st.none(), rates)
times = st.integers(0, 3600 * SECOND)


class TestRates:
    @pytest.mark.parametrize(
        ("said", "meant"),
        [
            ("59.94", NTSC),
            ("29.97", Fraction(30_000, 1001)),
            ("23.976", Fraction(24_000, 1001)),
            ("119.88", Fraction(120_000, 1001)),
            ("60", Fraction(60)),
            ("59.951", Fraction(59_951, 1000)),
            ("25", Fraction(25)),
            ("12.5", Fraction(25, 2)),
            ("0.0004", Fraction(1, 2500)),
        ],
    )
    def test_what_ntsc_rates_were_rounded_to_means_them(self, said: str, meant: Fraction) -> None:
        assert exact_rate(Fraction(said)) == meant

    @pytest.mark.parametrize(
        ("refreshes_mhz", "rate"),
        [
            ([60_000], Fraction(60)),
            ([59_940], NTSC),
            ([50_000], Fraction(50)),
            ([144_000], Fraction(60)),
            ([30_000, 59_940], NTSC),
            ([0], Fraction(60)),
            ([-1], Fraction(60)),
            ([0, 50_000], Fraction(50)),
            ([], Fraction(60)),
        ],
    )
    def test_the_default_is_the_fastest_refresh_but_at_most_60(
        self, refreshes_mhz: list[int], rate: Fraction
    ) -> None:
        assert default_rate(refreshes_mhz) == rate


class TestTimeline:
    def test_counts_from_the_first_frame(self) -> None:
        timeline = Timeline(1000)
        assert timeline.position(1000) == 0
        assert timeline.position(1700) == 700

    def test_what_came_before_the_first_frame_is_at_its_place(self) -> None:
        assert Timeline(1000).position(10) == 0

    def test_stands_still_in_a_pause_and_goes_on_where_it_stood(self) -> None:
        timeline = Timeline(0)
        timeline.pause(100)
        assert timeline.is_paused
        assert timeline.position(5000) == 100
        timeline.resume(5000)
        assert not timeline.is_paused
        assert timeline.position(5000) == 100
        assert timeline.position(5070) == 170

    def test_a_frame_of_the_pause_counts_as_of_its_end(self) -> None:
        timeline = Timeline(0)
        timeline.pause(100)
        timeline.resume(5000)
        assert timeline.position(3000) == 100

    def test_resuming_what_does_not_pause_changes_nothing(self) -> None:
        timeline = Timeline(0)
        timeline.resume(50)
        assert timeline.position(80) == 80

    @given(st.lists(st.integers(0, 1000), max_size=20))
    def test_positions_are_the_time_outside_of_pauses(self, steps: list[int]) -> None:
        timeline, now, expected = Timeline(0), 0, 0
        for number, step in enumerate(steps):
            now += step
            if number % 2:
                timeline.resume(now)
            else:
                expected += step
                timeline.pause(now)
            assert timeline.position(now) == expected


class TestSlots:
    @given(rates, refreshes, st.integers(0, 100_000))
    def test_a_frame_of_a_slots_own_time_is_shown_from_that_slot_on(
        self, rate: Fraction, refresh: Fraction | None, slot: int
    ) -> None:
        pacer = Pacer(rate, refresh)
        assert pacer.slot(pacer.time(slot)) == slot

    @given(rates, refreshes, times)
    def test_a_slot_shows_nothing_younger_than_the_tolerance(
        self, rate: Fraction, refresh: Fraction | None, time: int
    ) -> None:
        pacer = Pacer(rate, refresh)
        assert pacer.time(pacer.slot(time)) >= time - pacer.tolerance - 1

    @given(rates, refreshes, times)
    def test_a_frame_is_in_the_first_slot_that_may_show_it(
        self, rate: Fraction, refresh: Fraction | None, time: int
    ) -> None:
        pacer = Pacer(rate, refresh)
        slot = pacer.slot(time)
        assert slot == 0 or pacer.time(slot - 1) + pacer.tolerance <= time + 1

    @given(st.sampled_from([NTSC, Fraction(60), Fraction(50)]), st.data())
    def test_a_screen_of_the_same_rate_may_jitter_by_almost_half_a_frame(
        self, rate: Fraction, data: st.DataObject
    ) -> None:
        pacer = Pacer(rate, rate)
        jitter = int(SECOND / rate * Fraction(49, 100))
        for slot in range(1, 50):
            time = pacer.time(slot) + data.draw(st.integers(-jitter, jitter))
            assert pacer.slot(time) == slot

    def test_of_a_faster_screen_the_frame_of_the_slots_time_is_shown(self) -> None:
        pacer = Pacer(Fraction(30), Fraction(60))
        frames = [(pacer.slot(n * SECOND // 60), n) for n in range(60)]
        newest = dict(frames)  # the last of a slot wins
        assert [newest[slot] for slot in range(29)] == [2 * slot for slot in range(29)]

    def test_of_a_screen_of_no_simple_ratio_the_nearest_frame_is_shown(self) -> None:
        pacer = Pacer(Fraction(60), Fraction(144))
        newest = {pacer.slot(n * SECOND // 144): n for n in range(1440)}
        for slot in range(590):
            assert abs(Fraction(newest[slot], 144) - Fraction(slot, 60)) <= Fraction(1, 288)

    @given(rates, st.integers(1, 10**12))
    def test_a_recording_has_as_many_slots_as_fit_its_duration(
        self, rate: Fraction, duration: int
    ) -> None:
        slots = Pacer(rate).slots(duration)
        assert slots >= 1
        assert abs(slots - duration * rate / SECOND) <= Fraction(1, 2) or slots == 1


class TestDeciding:
    @given(rates, refreshes, times)
    def test_a_frame_that_is_on_its_way_no_longer_than_the_grace_is_not_late(
        self, rate: Fraction, refresh: Fraction | None, time: int
    ) -> None:
        pacer = Pacer(rate, refresh)
        assert pacer.slot(time) >= pacer.decided(time + GRACE)

    @given(rates, refreshes, st.integers(0, 100_000))
    def test_a_slot_is_decided_when_it_is_said_to_be(
        self, rate: Fraction, refresh: Fraction | None, slot: int
    ) -> None:
        pacer = Pacer(rate, refresh)
        at = pacer.decided_at(slot)
        assert pacer.decided(at) > slot
        assert pacer.decided(at - 3) <= slot

    @given(rates, times)
    def test_what_is_dropped_lies_behind_by_the_longest_lag(self, rate: Fraction, now: int) -> None:
        pacer = Pacer(rate)
        worth = pacer.worth(now)
        assert worth == 0 or pacer.time(worth - 1) < now - LONGEST_LAG
        assert pacer.time(worth) >= now - LONGEST_LAG - pacer.tolerance - 1


class TestCapturing:
    @given(rates, rates, st.integers(0, 10_000))
    def test_the_last_frame_of_each_slot_is_always_captured(
        self, rate: Fraction, refresh: Fraction, number: int
    ) -> None:
        """The next frame that decides a slot begins an interval or more after the request."""
        pacer = Pacer(rate, refresh)
        interval = int(SECOND / refresh)
        position = number * SECOND * refresh.denominator // refresh.numerator
        start = pacer.capture_from(position)
        assert start >= position
        for missed in range(1, 2 * 240):
            time = position + missed * interval
            if time > start:
                break
            assert pacer.slot(time + interval) == pacer.slot(time), "another one follows it"

    def test_a_screen_as_fast_as_the_recording_is_captured_at_once(self) -> None:
        pacer = Pacer(Fraction(60), Fraction(60))
        assert pacer.capture_from(SECOND) == SECOND

    def test_a_slow_recording_leaves_the_screen_alone_in_between(self) -> None:
        pacer = Pacer(Fraction(1), Fraction(60))
        assert pacer.capture_from(SECOND) > SECOND + 9 * SECOND // 10

    def test_without_a_known_refresh_all_is_captured(self) -> None:
        assert Pacer(Fraction(1)).capture_from(SECOND) == SECOND


class TestStatistics:
    def test_no_interval_without_frames(self) -> None:
        assert Statistics().interval(0.5) is None

    def test_percentiles_are_those_of_the_intervals(self) -> None:
        statistics = Statistics()
        for _ in range(98):
            statistics.add_interval(16_700_000)
        statistics.add_interval(33_350_000)
        statistics.add_interval(90 * SECOND)
        assert statistics.interval(0.5) == 16_700_000
        assert statistics.interval(0.99) == 33_300_000
        assert statistics.interval(1) == SECOND

    def test_memory_does_not_grow(self) -> None:
        statistics = Statistics()
        before = len(statistics._intervals)
        for number in range(10_000):
            statistics.add_interval(number * 12_345_678)
        assert len(statistics._intervals) == before


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        (30, Fraction(30)),
        ("30", Fraction(30)),
        (29.97, Fraction(30_000, 1001)),
        ("59.94", Fraction(60_000, 1001)),
        ("24000/1001", Fraction(24_000, 1001)),
        (Fraction(15, 2), Fraction(15, 2)),
        (7.5, Fraction(15, 2)),
        (0.001, Fraction(1, 1000)),
        (1000, Fraction(1000)),
    ],
)
def test_a_rate_is_read_exactly(value: str | float | Fraction, rate: Fraction) -> None:
    assert read_rate(value) == rate


@pytest.mark.parametrize(
    "value", [0, -1, 1001, 1e-9, float("nan"), float("inf"), "", "x", "1/0", None, [30], 1 + 2j]
)
def test_what_is_no_rate_is_refused(value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="frames per second"):
        read_rate(value)
