"""What is shown when: recordings on a virtual clock, of which every frame can be foretold."""

from __future__ import annotations

import itertools
import math
import random
import threading
import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from tests.fake import Config, FakeCompositor, Film, Output, VirtualClock, read_counter
from tests.fake.film import SECOND, backwards, far, jittery, zero
from wayshot_cli import record, sources
from wayshot_cli.backends import common, screencopy
from wayshot_cli.pacing import GRACE, LONGEST_LAG, Statistics
from wayshot_cli.record import Recorder
from wayshot_cli.sources import OutputSource
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fake.film import Stamp
    from wayshot_cli.frame import Frame

BASE = 5_000 * SECOND + 1
STEP = SECOND // 50  # the most that passes at a time while nothing happens
NTSC = Fraction(60_000, 1001)
FRAME = SECOND // 60

PATIENCE = 20.0


class SteppedClock(VirtualClock):
    """A virtual clock that passes only as the simulation lets it."""

    may_leap = False

    def leap_to(self, time_ns: int) -> bool:
        return self.may_leap and super().leap_to(time_ns)


class Notebook:
    """A stream that writes down which number was shown from when on."""

    longest_rest_ns: int | None = None

    def __init__(self, frame: Frame, simulation: Simulation) -> None:
        self.size = frame.upright_size
        self.shown: list[tuple[int, int]] = []
        self.end: int | None = None
        self.counter = -1
        self.simulation = simulation

    def write(self, frame: Frame, time_ns: int) -> None:
        assert frame.upright_size == self.size
        self.counter = read_counter(frame.to_numpy()[:, :, :3])
        self.repeat(time_ns)

    def repeat(self, time_ns: int) -> None:
        assert self.end is None
        self.shown.append((self.counter, time_ns))
        assert self.simulation.reader.wait(PATIENCE)
        self.simulation.takes -= 1
        if self.simulation.takes <= 0:
            self.simulation.reader.clear()

    def close(self, end_ns: int) -> None:
        assert self.end is None
        self.end = end_ns

    def abandon(self) -> None:
        pytest.fail("nothing went wrong")

    @property
    def counters(self) -> list[int]:
        return [counter for counter, _ in self.shown]

    @property
    def times(self) -> list[int]:
        return [time_ns for _, time_ns in self.shown]


class NotingCondition(threading.Condition):
    """The writer's condition, which tells whether it sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.asleep.set()
        try:
            return super().wait(timeout)
        finally:
            self.asleep.clear()

    def notify(self, n: int = 1) -> None:
        self.asleep.clear()
        super().notify(n)


@dataclass
class Simulation:
    """One recording of the output FAKE-1. Time passes only while the recorder waits for something.

    Before it does the writer has done all that it can. ``script`` says what happens when, in
    seconds from the start.
    """

    compositor: FakeCompositor
    clock: SteppedClock
    script: dict[float, Callable[[Simulation], object]]
    rate: Fraction | None
    limits: dict[str, Any]
    start_ns: int = 0
    reader: threading.Event = field(default_factory=threading.Event)
    takes: float = math.inf  # frames that the reader still takes before it stops
    streams: list[Notebook] = field(default_factory=list)
    statistics: Statistics = field(default_factory=Statistics)

    def run(self) -> None:
        self.reader.set()
        self.due = sorted((BASE + round(at * SECOND), call) for at, call in self.script.items())
        with Connection() as link, OutputSource(link, screencopy.Screencopy(link)) as source:
            self.recorder = Recorder(
                source, self.open, rate=self.rate, clock=self.clock.now_ns, **self.limits
            )
            self.wait = link.wait
            link.wait = self.wait_for_copy  # type: ignore[method-assign]
            self.condition = self.recorder._writer._changed = NotingCondition()
            self.compositor.advance_to(BASE + self.start_ns)
            self.recorder.first()
            self.statistics = self.recorder.run()

    def wait_for_copy(
        self, done: Callable[[], bool], what: str, deadline: float | None = None
    ) -> None:
        """Wait; a copy that is not for damage comes with the screen's next frame."""
        self.clock.may_leap = what.startswith("capturing")
        try:
            self.wait(done, what, deadline)
        finally:
            self.clock.may_leap = False

    def open(self, frame: Frame, _number: int) -> Notebook:
        self.streams.append(Notebook(frame, self))
        return self.streams[-1]

    def monotonic(self) -> float:
        return self.clock.now_ns() / SECOND

    def rest(
        self, link: Connection, until: float, done: Callable[[], bool] = lambda: False
    ) -> bool:
        """Do what sources.rest does: wait for something, or until a time."""
        until_ns = BASE + 3600 * SECOND if until == math.inf else int(until * SECOND) + 1000
        while True:
            self.settle()
            link.roundtrip("letting the compositor say what it has to say now")
            now = self.clock.now_ns()
            if self.due and self.due[0][0] <= now:
                self.due.pop(0)[1](self)
            elif done():
                return True
            elif now >= until_ns:
                assert until != math.inf, "nothing ends it"
                return False
            else:
                self.let_pass(min(until_ns, now + STEP, *(at for at, _ in self.due[:1])))

    def let_pass(self, until_ns: int) -> None:
        """Let time pass, but not beyond the next frame."""
        film = self.compositor.heads[0].output.film
        assert film is not None
        number = film.drawn_after(film.number_at(self.clock.now_ns() - BASE))
        if number is not None:
            until_ns = min(until_ns, BASE + film.offset_ns(number))
        self.compositor.advance_to(until_ns)
        with self.condition:
            self.condition.notify()

    def settle(self) -> None:
        """Wait until the writer has nothing to do, or cannot do it."""
        writer = self.recorder._writer
        deadline = time.monotonic() + PATIENCE
        while writer.is_alive() and self.reader.is_set():
            assert time.monotonic() < deadline
            self.condition.asleep.wait(0.002)
            with self.condition:
                if self.condition.asleep.is_set() and not writer._queue:
                    return

    @property
    def stream(self) -> Notebook:
        (stream,) = self.streams
        return stream


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Simulation]]:
    """Return a function that records a film and returns the simulation at its end."""
    compositors: list[FakeCompositor] = []

    def run(  # noqa: PLR0913 - a screen, a recording
        film: Film,
        *,
        rate: Fraction | int | None = None,
        refresh_mhz: int | None = None,
        stamp: Stamp | None = None,
        script: dict[float, Callable[[Simulation], object]] | None = None,
        start_ns: int = 0,
        **limits: Any,
    ) -> Simulation:
        clock = SteppedClock(BASE)
        output = Output(film=film, refresh=refresh_mhz or round(film.rate * 1000))
        if stamp:
            output = Output(film=film, refresh=output.refresh, stamp=stamp)
        with FakeCompositor(Config((output,), clock=clock)) as compositor:
            compositors.append(compositor)
            simulation = Simulation(
                compositor,
                clock,
                script or {},
                None if rate is None else Fraction(rate),
                limits,
                start_ns,
            )
            with monkeypatch.context() as patch:
                for name, value in compositor.environ.items():
                    patch.setenv(name, value)
                patch.setattr(common, "clock_gettime_ns", lambda _clock: clock.now_ns())
                for module in (record, sources):
                    patch.setattr(module, "monotonic", simulation.monotonic)
                    patch.setattr(module, "rest", simulation.rest)
                simulation.run()
            compositor.wait_until_gone()
        check_sums(simulation)
        return simulation

    yield run
    for compositor in compositors:
        assert compositor.violations == compositor.leaks == []


def check_sums(simulation: Simulation) -> None:
    """Check that the statistics are those of what was written."""
    statistics = simulation.statistics
    shown = [note for stream in simulation.streams for note in stream.shown]
    assert len(shown) == statistics.written
    fresh = statistics.written - statistics.duplicated
    assert statistics.captured == fresh + statistics.skipped
    for stream in simulation.streams:
        assert stream.times == sorted(set(stream.times))
        assert stream.end is not None
        assert stream.end >= stream.times[-1]


def slots(rate: Fraction | int, count: int) -> list[int]:
    """Return the times of a constant rate."""
    return [int(slot * SECOND / Fraction(rate)) for slot in range(count)]


def stamped_before(number: int, early_ns: int) -> Stamp:
    """Return stamps of which one says that its frame was shown long before it came."""
    return lambda time_ns, of: time_ns - early_ns * (of == number)


SIXTY = Film(Fraction(60))


# A screen that shows another frame each time.


@pytest.mark.parametrize(
    ("film", "rate"),
    [(SIXTY, Fraction(60)), (Film(NTSC), NTSC), (Film(Fraction(24)), Fraction(24))],
    ids=["60", "59.94", "24"],
)
def test_each_frame_of_a_screen_of_the_same_rate_is_recorded_at_its_time(
    film: Film, rate: Fraction, simulate: Callable[..., Simulation]
) -> None:
    simulation = simulate(film, rate=rate, frames=600)
    assert simulation.stream.counters == list(range(600))
    assert simulation.stream.times == slots(rate, 600)
    assert simulation.statistics.duplicated == 0
    assert simulation.statistics.dropped == 0
    assert simulation.statistics.late == 0


@pytest.mark.parametrize("seed", range(2))
def test_stamps_that_jitter_by_almost_half_a_frame_lose_nothing(
    seed: int, simulate: Callable[..., Simulation]
) -> None:
    most = int(FRAME * 0.45)
    draw = random.Random(seed)
    jitter = jittery(0, *(draw.randint(-most, most) for _ in range(600)))
    simulation = simulate(SIXTY, rate=60, stamp=jitter, duration_ns=10 * SECOND)
    assert simulation.stream.counters == list(range(600))
    assert simulation.stream.times == slots(60, 600)
    assert simulation.statistics.late == 0


@pytest.mark.parametrize("phase", [0.0, 0.3, 0.5, 0.7, 0.95])
def test_it_does_not_matter_when_between_two_frames_a_recording_begins(
    phase: float, simulate: Callable[..., Simulation]
) -> None:
    most = int(FRAME * 0.4)
    draw = random.Random(7)
    jitter = jittery(*(draw.randint(-most, most) * (n != 10) for n in range(600)))
    start = int((10 + phase) * SECOND / 60)
    simulation = simulate(SIXTY, rate=60, stamp=jitter, start_ns=start, duration_ns=3 * SECOND)
    assert simulation.stream.counters == list(range(10, 190))


def test_what_a_screen_has_shown_for_long_is_shown_from_the_recordings_begin_on(
    simulate: Callable[..., Simulation],
) -> None:
    film = Film(Fraction(60), skipped=(range(31, 90),))
    stamp = stamped_before(60, SECOND // 2)  # a copy of then, not of now
    simulation = simulate(film, rate=60, stamp=stamp, start_ns=SECOND, duration_ns=SECOND)
    assert simulation.stream.counters == [30] * 30 + list(range(90, 120))


def test_half_of_the_frames_of_a_screen_of_twice_the_rate(
    simulate: Callable[..., Simulation],
) -> None:
    simulation = simulate(SIXTY, rate=30, duration_ns=5 * SECOND)
    assert simulation.stream.counters == list(range(0, 300, 2))
    assert simulation.stream.times == slots(30, 150)


def test_each_frame_of_a_screen_of_half_the_rate_twice(
    simulate: Callable[..., Simulation],
) -> None:
    simulation = simulate(Film(Fraction(30)), rate=60, duration_ns=5 * SECOND)
    assert simulation.stream.counters == [slot // 2 for slot in range(300)]
    assert simulation.stream.times == slots(60, 300)
    assert simulation.statistics.duplicated == 150


@pytest.mark.parametrize(("refresh", "rate"), [(144, 60), (60, 24), (60, 50), (75, 60), (50, 60)])
def test_the_nearest_frame_of_a_screen_of_another_rate(
    refresh: int, rate: int, simulate: Callable[..., Simulation]
) -> None:
    simulation = simulate(Film(Fraction(refresh)), rate=rate, duration_ns=3 * SECOND)
    assert len(simulation.stream.shown) == 3 * rate
    for slot, counter in enumerate(simulation.stream.counters):
        off = Fraction(counter, refresh) - Fraction(slot, rate)
        if rate < refresh:
            assert abs(off) <= Fraction(1, 2 * refresh)
        else:  # the newest, to half an interval of the recording
            assert -Fraction(1, refresh) <= off - Fraction(1, 2 * rate) <= 0


@pytest.mark.parametrize(("refresh", "rate"), [(60, 1), (144, 24), (240, 30)])
def test_of_a_much_faster_screen_only_the_end_of_each_slot_is_copied(
    refresh: int, rate: int, simulate: Callable[..., Simulation]
) -> None:
    simulation = simulate(Film(Fraction(refresh)), rate=rate, duration_ns=3 * SECOND)
    assert simulation.stream.counters == [slot * refresh // rate for slot in range(3 * rate)]
    assert simulation.statistics.captured <= 4 * 3 * rate


@pytest.mark.parametrize("said", [0, -1])
def test_a_screen_that_does_not_tell_its_refresh_is_recorded_as_any_other(
    said: int, simulate: Callable[..., Simulation]
) -> None:
    simulation = simulate(SIXTY, rate=60, refresh_mhz=said, duration_ns=SECOND)
    assert simulation.stream.counters == list(range(60))


# A screen that does not.


def test_what_is_not_drawn_anew_is_repeated(simulate: Callable[..., Simulation]) -> None:
    film = Film(Fraction(60), skipped=(range(1, 600, 2), range(300, 306)))
    simulation = simulate(film, rate=60, duration_ns=10 * SECOND)
    assert simulation.stream.counters == [film.drawn_at(slot) for slot in range(600)]
    assert simulation.stream.times == slots(60, 600)


def test_an_idle_stretch_is_filled_while_it_lasts(simulate: Callable[..., Simulation]) -> None:
    film = Film(Fraction(60), skipped=(range(30, 210),))
    filled: dict[float, int] = {}

    def look(simulation: Simulation) -> None:
        filled[simulation.monotonic() - BASE / SECOND] = len(simulation.stream.shown)

    simulation = simulate(
        film, rate=60, duration_ns=5 * SECOND, script={1.0: look, 2.0: look, 3.0: look}
    )
    assert simulation.stream.counters == [film.drawn_at(slot) for slot in range(300)]
    assert simulation.statistics.captured == 30 + 90 + 1
    assert simulation.statistics.dropped == simulation.statistics.late == 0
    assert len(filled) == 3
    for at, count in filled.items():
        assert at - (GRACE + 2 * FRAME + STEP) / SECOND <= count / 60 <= at


@pytest.mark.parametrize("rate", [60, Fraction(24_000, 1001), NTSC, 1000, 3, Fraction(1, 2)])
@pytest.mark.parametrize("seconds", [0.001, 0.5, 1.01, 2.34, 3])
def test_a_static_screen_gives_as_many_frames_as_the_duration_has(
    rate: Fraction | int, seconds: float, simulate: Callable[..., Simulation]
) -> None:
    duration = round(seconds * SECOND)
    simulation = simulate(Film(Fraction(60), last=0), rate=rate, duration_ns=duration)
    count = max(1, math.floor(Fraction(duration, SECOND) * rate + Fraction(1, 2)))
    assert simulation.stream.shown == [(0, at) for at in slots(rate, count)]
    assert simulation.stream.end == simulation.statistics.duration_ns == slots(rate, count + 1)[-1]
    assert simulation.statistics.captured == 1


@pytest.mark.parametrize("frames", [1, 2, 61])
@pytest.mark.parametrize("film", [SIXTY, Film(Fraction(60), last=0)], ids=["moving", "static"])
@pytest.mark.parametrize("rate", [60, 30])
def test_a_number_of_frames_is_exact(
    frames: int, film: Film, rate: int, simulate: Callable[..., Simulation]
) -> None:
    simulation = simulate(film, rate=rate, frames=frames)
    expected = [film.drawn_at(slot * 60 // rate) for slot in range(frames)]
    assert simulation.stream.counters == expected
    assert simulation.stream.times == slots(rate, frames)


@pytest.mark.parametrize("seconds", [0.001, 0.2, 1.234])
@pytest.mark.parametrize("film", [SIXTY, Film(Fraction(60), last=0)], ids=["moving", "static"])
def test_a_recording_that_is_stopped_lasted_until_then(
    seconds: float, film: Film, simulate: Callable[..., Simulation]
) -> None:
    script = {seconds: lambda simulation: simulation.recorder.stop()}
    simulation = simulate(film, rate=60, script=script)
    count = max(1, round(seconds * 60))
    assert simulation.stream.counters == [film.drawn_at(slot) for slot in range(count)]


def test_what_is_left_at_the_end_is_written_by_who_only_had_to_wait_for_a_processor(
    simulate: Callable[..., Simulation],
) -> None:
    def stop(simulation: Simulation) -> None:
        writer = simulation.recorder._writer
        end = writer.end

        def end_late(position: int) -> None:
            with writer._changed:  # the thread goes on only then
                end(position)
                simulation.compositor.advance_to(simulation.clock.now_ns() + 7 * SECOND // 10)

        writer.end = end_late  # type: ignore[method-assign]
        simulation.recorder.stop()

    simulation = simulate(SIXTY, rate=60, script={1.5: stop})
    assert simulation.stream.counters == list(range(90))
    assert simulation.statistics.dropped == 0


# Stamps.


@pytest.mark.parametrize("stamp", [zero, far, backwards], ids=["zero", "far", "backwards"])
@pytest.mark.parametrize("rate", [60, None], ids=["constant", "variable"])
def test_where_stamps_are_worth_nothing_arrival_counts(
    stamp: Stamp, rate: int | None, simulate: Callable[..., Simulation]
) -> None:
    simulation = simulate(SIXTY, rate=rate, stamp=stamp, duration_ns=2 * SECOND)
    assert simulation.stream.counters == list(range(120))
    assert all(
        abs(at - expected) < 1000  # ns
        for at, expected in zip(simulation.stream.times, slots(60, 120), strict=True)
    )


def test_a_frame_that_was_on_its_way_for_less_than_the_grace_is_shown_at_its_time(
    simulate: Callable[..., Simulation],
) -> None:
    film = Film(Fraction(60), skipped=(range(21, 40),))
    stamp = stamped_before(40, 5 * FRAME)
    simulation = simulate(film, rate=60, stamp=stamp, duration_ns=SECOND)
    assert simulation.stream.counters == [*range(21), *[20] * 14, *[40] * 6, *range(41, 60)]
    assert simulation.statistics.late == 0


def test_a_frame_that_came_later_than_the_grace_is_late_and_shown_at_once(
    simulate: Callable[..., Simulation],
) -> None:
    film = Film(Fraction(60), skipped=(range(21, 40),))
    stamp = stamped_before(40, 15 * FRAME)
    simulation = simulate(film, rate=60, stamp=stamp, duration_ns=SECOND)
    decided = simulation.stream.counters.index(40)
    assert 40 - 8 <= decided <= 40 - 4  # GRACE are six frames
    assert simulation.stream.counters == [
        *range(21), *[20] * (decided - 21), *[40] * (41 - decided), *range(41, 60),
    ]  # fmt: skip
    assert simulation.statistics.late == 1


# Variable rate.


def test_at_a_variable_rate_each_change_has_its_own_time_and_the_last_one_stays(
    simulate: Callable[..., Simulation],
) -> None:
    drawn = [0, 1, 5, 6, 20, 100, 101, 130]
    gaps = zip(drawn, [*drawn[1:], 1000], strict=True)
    film = Film(Fraction(60), skipped=tuple(range(a + 1, b) for a, b in gaps))
    simulation = simulate(film, duration_ns=3 * SECOND)
    assert simulation.stream.shown == [(number, film.offset_ns(number)) for number in drawn]
    assert simulation.stream.end == 3 * SECOND
    assert simulation.statistics.duplicated == simulation.statistics.dropped == 0


def test_at_a_variable_rate_jitter_is_kept(simulate: Callable[..., Simulation]) -> None:
    jitter = (0, 4_000_001, -3_999_999, 7_000_000)
    simulation = simulate(SIXTY, stamp=jittery(*jitter), duration_ns=2 * SECOND)
    expected = [(n, SIXTY.offset_ns(n) + jitter[n % 4]) for n in range(120)]
    assert simulation.stream.shown == expected


def test_at_a_variable_rate_a_stream_is_told_again_before_it_has_rested_too_long(
    simulate: Callable[..., Simulation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Notebook, "longest_rest_ns", SECOND // 2)
    film = Film(Fraction(60), skipped=(range(31, 1000),))
    simulation = simulate(film, duration_ns=3 * SECOND, script={1.2: pause, 9.2: pause})
    changes, rest = simulation.stream.shown[:31], simulation.stream.shown[31:]
    assert changes == [(number, film.offset_ns(number)) for number in range(31)]
    assert {counter for counter, _ in rest} == {30}
    times = [*simulation.stream.times[30:], 3 * SECOND]
    assert max(b - a for a, b in itertools.pairwise(times)) <= SECOND // 2 + STEP
    assert 4 <= len(rest) <= 6
    assert simulation.stream.end == 3 * SECOND


def test_at_a_variable_rate_a_stall_at_the_end_makes_a_recording_no_longer(
    simulate: Callable[..., Simulation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Notebook, "longest_rest_ns", SECOND // 2)

    def stall(simulation: Simulation) -> None:
        simulation.let_pass(BASE + 7 * SECOND // 2)

    film = Film(Fraction(60), last=0)
    simulation = simulate(film, duration_ns=3 * SECOND, script={2.5: stall})
    assert 2 * SECOND < simulation.stream.times[-1] < 3 * SECOND
    assert simulation.stream.end == simulation.statistics.duration_ns == 3 * SECOND


@pytest.mark.parametrize("rate", [60, None], ids=["constant", "variable"])
def test_what_is_stamped_with_a_time_after_the_end_is_not_recorded(
    rate: int | None, simulate: Callable[..., Simulation]
) -> None:
    ahead = jittery(0, *[30_000_000] * 599)
    simulation = simulate(SIXTY, rate=rate, stamp=ahead, duration_ns=2 * SECOND)
    assert simulation.stream.end == 2 * SECOND
    assert simulation.stream.times[-1] < 2 * SECOND
    assert simulation.statistics.written == (120 if rate else 119)


# Pauses.


def pause(simulation: Simulation) -> None:
    """Pause, or go on."""
    simulation.recorder.toggle_pause()


@pytest.mark.parametrize("rate", [60, None], ids=["constant", "variable"])
def test_a_pause_is_cut_out(rate: int | None, simulate: Callable[..., Simulation]) -> None:
    seen: list[tuple[bool, int]] = []

    def look(simulation: Simulation) -> None:
        seen.append((simulation.recorder.is_paused, simulation.recorder.position))

    script = {1.0: pause, 2.0: look, 3.0: pause, 3.5: look}
    simulation = simulate(SIXTY, rate=rate, duration_ns=2 * SECOND, script=script)
    assert simulation.stream.counters == [*range(60), *range(180, 240)]
    assert simulation.stream.times == slots(60, 120)
    assert seen == [(True, SECOND), (False, 3 * SECOND // 2)]


def test_pauses_at_odd_times_are_cut_out_to_the_frame(
    simulate: Callable[..., Simulation],
) -> None:
    breaks = [(0.505, 0.607), (0.9, 0.901), (1.433, 4.0099)]
    script = {at: pause for both in breaks for at in both}
    simulation = simulate(SIXTY, rate=60, duration_ns=2 * SECOND, script=script)
    assert simulation.stream.times == slots(60, 120)
    for counter, time_ns in simulation.stream.shown:
        shown_at, position = counter / 60, counter / 60
        for begin, end in breaks:
            position -= min(max(shown_at - begin, 0), end - begin)
        # Not younger than its slot by more than half a frame, not older than a frame (or, right
        # after a pause, as old as the screen's frame is then).
        assert -1.5 / 60 < position - time_ns / SECOND < 0.51 / 60


def test_the_screen_is_looked_at_anew_after_a_pause(simulate: Callable[..., Simulation]) -> None:
    film = Film(Fraction(60), skipped=(range(1, 90), range(91, 1000)))
    script = {1.0: pause, 2.0: pause}  # the only change is in the pause
    simulation = simulate(film, rate=60, duration_ns=2 * SECOND, script=script)
    assert simulation.stream.counters == [0] * 60 + [90] * 60


@pytest.mark.parametrize("rate", [60, None], ids=["constant", "variable"])
def test_a_recording_can_end_in_a_pause(
    rate: int | None, simulate: Callable[..., Simulation]
) -> None:
    script = {1.0: pause, 2.0: lambda simulation: simulation.recorder.stop()}
    simulation = simulate(SIXTY, rate=rate, script=script)
    assert simulation.stream.counters == list(range(60))
    assert simulation.stream.end == simulation.statistics.duration_ns == SECOND


def test_pausing_and_going_on_at_once_costs_a_frame_at_most(
    simulate: Callable[..., Simulation],
) -> None:
    def twice(simulation: Simulation) -> None:
        pause(simulation)
        pause(simulation)

    simulation = simulate(SIXTY, rate=60, duration_ns=SECOND, script={0.5: twice})
    counters = simulation.stream.counters
    assert counters[30] in {29, 30}
    assert counters[:30] + counters[31:] == [*range(30), *range(31, 60)]


# A reader that is too slow.


def test_a_reader_that_stops_for_a_while_costs_what_is_too_late(
    simulate: Callable[..., Simulation],
) -> None:
    script = {
        1.001: lambda simulation: simulation.reader.clear(),
        4.0: lambda simulation: simulation.reader.set(),
    }
    simulation = simulate(SIXTY, rate=60, duration_ns=6 * SECOND, script=script)
    shown, statistics = simulation.stream.shown, simulation.statistics
    assert statistics.written + statistics.dropped == 360
    lag = LONGEST_LAG * 60 // SECOND
    assert abs(statistics.dropped - (180 - lag)) <= 3
    before = [number for number, at in shown if at <= SECOND]
    after = [number for number, at in shown if at > 4 * SECOND]
    assert before == list(range(61))
    assert after == list(range(241, 360))
    for number, at in shown:
        assert number <= at * 60 // SECOND + 1, "nothing is shown before its time"


@pytest.mark.parametrize("speed", [5, 45, 55])
def test_a_reader_that_is_too_slow_all_the_time_gets_a_new_picture_each_time(
    speed: int, simulate: Callable[..., Simulation]
) -> None:
    def take(simulation: Simulation, frames: float = 1) -> None:
        simulation.takes = frames
        simulation.reader.set()

    script: dict[float, Callable[[Simulation], None]] = {
        n / speed: take for n in range(1, 11 * speed // 2)
    }
    # Time does not pass while the recording ends; somebody has to take the rest.
    script[5.95] = lambda simulation: take(simulation, math.inf)
    simulation = simulate(SIXTY, rate=60, duration_ns=6 * SECOND, script=script)
    statistics = simulation.statistics
    assert statistics.written + statistics.dropped == 360
    shown = [note for note in simulation.stream.shown if 3 * SECOND < note[1] < 5 * SECOND]
    assert len(shown) >= 0.9 * 2 * speed
    assert len({number for number, _ in shown}) >= 0.8 * len(shown)
    for number, at in shown:
        assert abs(number - at * 60 / SECOND) < 1.01, "at its own time"


def test_a_short_stop_of_the_reader_costs_nothing_of_a_quiet_screen(
    simulate: Callable[..., Simulation],
) -> None:
    film = Film(Fraction(60), skipped=(range(60, 80), range(81, 110)))
    script = {
        1.001: lambda simulation: simulation.reader.clear(),
        1.8: lambda simulation: simulation.reader.set(),
    }
    simulation = simulate(film, rate=60, duration_ns=3 * SECOND, script=script)
    counters = simulation.stream.counters
    assert counters == [film.drawn_at(slot) for slot in range(180)]
    assert simulation.statistics.dropped == 0


# What there is to ask for meanwhile.


def test_a_picture_of_now_can_be_had(simulate: Callable[..., Simulation]) -> None:
    pictures: list[int] = []

    def ask(simulation: Simulation) -> None:
        simulation.recorder.with_latest(
            lambda picture: pictures.append(read_counter(picture.render().to_numpy()))
        )

    script = {0.001: ask, 1.001: ask, 2.0: pause, 3.0: ask, 3.1: pause}
    simulation = simulate(SIXTY, rate=60, duration_ns=3 * SECOND, script=script)
    assert pictures[:2] == [1, 61]  # the first that the screen shows after it was asked for
    assert pictures[2] in {180, 181}  # in the pause, too
    assert simulation.stream.counters == [*range(120), *range(186, 246)]


def test_intervals_are_those_of_the_screen(simulate: Callable[..., Simulation]) -> None:
    film = Film(Fraction(60), skipped=(range(200, 260),))
    statistics = simulate(film, rate=60, duration_ns=10 * SECOND).statistics
    assert statistics.interval(0.5) == 16_600_000
    assert statistics.interval(0.99) == 16_600_000
    assert statistics.interval(1) == SECOND
