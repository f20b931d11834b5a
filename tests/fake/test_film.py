"""Films of the fake compositor: which frame is answered with when, and that it can be read."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fake import (
    FORMATS,
    Config,
    CounterError,
    FakeCompositor,
    Fault,
    Film,
    Output,
    RealClock,
    ShmOffer,
    Step,
    VirtualClock,
    faults,
    read_counter,
)
from tests.fake.counter import NUMBERS, SMALLEST, bits, cells, paint_counter
from tests.fake.film import SECOND, backwards, far, jittery, zero
from tests.fake.pixels import picture, to_buffer
from tests.fake.raw import HungUpError, RawClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fake.pixels import Picture

BASE = 5_000 * SECOND + 1
FILM = Film(Fraction(60))
NTSC = Fraction(60_000, 1001)


class Camera:
    """A client that copies frames of one output into one buffer, again and again."""

    def __init__(self, compositor: FakeCompositor, region: tuple[int, ...] = ()) -> None:
        """Connect, and learn the buffer from a first frame."""
        self.client = RawClient(compositor.socket_path)
        self.shm = self.client.bind("wl_shm")
        self.manager = self.client.bind("zwlr_screencopy_manager_v1")
        self.region = region
        self.bind_output()

    def bind_output(self, which: int = 0) -> None:
        """Take an output, and a buffer that fits."""
        self.output = self.client.bind("wl_output", which)
        frame = self.frame()
        self.offer = ShmOffer(*self.client.wait_for(frame, "buffer").arguments)  # type: ignore[arg-type]
        self.client.request(frame, "destroy")
        self.pool, self.buffer, self.fd = self.client.buffer(self.shm, self.offer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Let the buffer go, and disconnect."""
        os.close(self.fd)
        self.client.request(self.buffer, "destroy")
        self.client.request(self.pool, "destroy")
        self.client.roundtrip()
        self.client.socket.close()

    def frame(self) -> int:
        """Begin a frame."""
        request = "capture_output_region" if self.region else "capture_output"
        arguments = (0, self.output, *self.region)
        return self.client.new(request, self.manager, "zwlr_screencopy_frame_v1", *arguments)

    def start(self, request: str = "copy_with_damage") -> int:
        """Ask for a frame."""
        frame = self.frame()
        self.client.request(frame, request, self.buffer)
        self.client.roundtrip()
        return frame

    def finish(self, frame: int) -> tuple[int, int]:
        """Wait for a frame; return the number that it shows and the stamp."""
        stamp = self.stamp(frame)
        return read_counter(self.pixels()), stamp

    def stamp(self, frame: int) -> int:
        """Wait for a frame and return its stamp."""
        end = self.client.wait_for(frame, "ready", "failed")
        assert end.name == "ready"
        self.client.request(frame, "destroy")
        high, low, nanoseconds = map(int, end.arguments)  # type: ignore[arg-type]
        return (high << 32 | low) * SECOND + nanoseconds

    def capture(self, request: str = "copy_with_damage") -> tuple[int, int]:
        """Take a frame."""
        return self.finish(self.start(request))

    def pixels(self) -> Picture:
        """Return the colours in the buffer, whose format is XRGB8888."""
        offer = self.offer
        data = os.pread(self.fd, offer.stride * offer.height, 0)
        rows = np.frombuffer(data, np.uint8).reshape(offer.height, offer.stride)
        return rows[:, : offer.width * 4].reshape(offer.height, offer.width, 4)[:, :, 2::-1]

    def is_waiting(self, frame: int) -> bool:
        """Tell whether a frame has not been answered."""
        self.client.roundtrip()
        return self.client.said(frame)[-1][0] == "buffer_done"


def virtual(film: Film = FILM, *, stops: tuple[int, ...] = (), **output: Any) -> Config:
    """Return a config with one film on a virtual clock; stops are frame numbers."""
    clock = VirtualClock(BASE, tuple(map(film.offset_ns, stops)))
    return Config((Output(film=film, **output),), clock=clock)


def real(film: Film = FILM, base_ns: int | None = None) -> Config:
    """Return a config with one film in real time."""
    return Config((Output(film=film),), clock=RealClock(base_ns))


def with_fault(config: Config, step: Step, action: faults.Action, skip: int) -> Config:
    """Return a config in which something goes wrong."""
    return replace(config, faults=(Fault(step, action, skip=skip),))


def let_pass(compositor: FakeCompositor, seconds: float) -> None:
    """Let time pass, on either clock."""
    clock = compositor.config.clock
    if isinstance(clock, VirtualClock):
        compositor.advance_to(clock.now_ns() + round(seconds * SECOND))
    else:
        time.sleep(seconds)


# The counter.


@given(
    st.integers(0, NUMBERS - 1),
    st.tuples(st.integers(SMALLEST[0], 300), st.integers(SMALLEST[1], 300)),
)
def test_a_number_is_read_as_it_was_painted(number: int, size: tuple[int, int]) -> None:
    canvas = picture(0, *size)
    paint_counter(canvas, number)
    assert read_counter(canvas) == number
    luma = canvas @ [0.2126, 0.7152, 0.0722]
    assert read_counter(16 + luma * 219 / 255) == number
    assert read_counter(np.round(64 + luma * 876 / 255), white=1023) == number


def test_numbers_begin_again_after_16_bits() -> None:
    assert bits(NUMBERS + 5) == bits(5) != bits(4)


def test_a_number_survives_scaling_blur_and_noise() -> None:
    canvas = picture(0, 64, 48)
    paint_counter(canvas, 0xA53C)
    halved = canvas.reshape(24, 2, 32, 2, 3).mean((1, 3))
    assert read_counter(halved) == 0xA53C
    blurred = np.stack([np.roll(canvas, by, axis=0) for by in range(-2, 3)]).mean(0)
    assert read_counter(blurred) == 0xA53C
    noise = np.random.default_rng(1).normal(0, 40, canvas.shape)
    assert read_counter(np.clip(canvas + noise, 0, 255)) == 0xA53C


def test_the_middle_of_the_picture_stays_free() -> None:
    canvas = picture(0, 640, 480)
    paint_counter(canvas, 7)
    assert np.array_equal(canvas[120:360], picture(0, 640, 480)[120:360])


@pytest.mark.parametrize("level", [0, 80, 128, 255])
def test_a_picture_of_one_colour_has_no_number(level: int) -> None:
    with pytest.raises(CounterError):
        read_counter(np.full((48, 64), level, np.uint8))


def test_the_pattern_alone_has_no_number() -> None:
    with pytest.raises(CounterError, match="neither black nor white"):
        read_counter(picture(0, 64, 48))


@given(st.integers(0, NUMBERS - 2), st.integers(1, 47))
def test_a_torn_picture_has_no_number(number: int, row: int) -> None:
    canvas, later = np.zeros((2, 48, 64), np.uint8)
    paint_counter(canvas, number)
    paint_counter(later, number + 1)
    first, last = np.flatnonzero((canvas != later).any(1))[[0, -1]]
    canvas[row:] = later[row:]
    # Within a row of cells the tear shows when it is more than at the cell's edge.
    if first + 2 <= row <= last - 1:
        with pytest.raises(CounterError):
            read_counter(canvas)


@given(st.integers(0, NUMBERS - 1), st.integers(0, 47))
def test_one_wrong_cell_is_noticed(number: int, which: int) -> None:
    canvas = np.zeros((48, 64), np.uint8)
    paint_counter(canvas, number)
    cell = cells(64, 48)[which]
    canvas[cell] = 255 - canvas[cell]
    with pytest.raises(CounterError, match="above"):
        read_counter(canvas)


@given(st.integers(0, NUMBERS - 1), st.integers(0, 23))
def test_a_wrong_cell_in_both_copies_is_noticed(number: int, which: int) -> None:
    canvas = np.zeros((48, 64), np.uint8)
    paint_counter(canvas, number)
    for cell in (cells(64, 48)[which], cells(64, 48)[which + 24]):
        canvas[cell] = 255 - canvas[cell]
    with pytest.raises(CounterError, match="check byte"):
        read_counter(canvas)


@pytest.mark.parametrize("transform", range(1, 8))
def test_a_turned_picture_does_not_pass_for_an_upright_one(transform: int) -> None:
    readings = []
    for number in (0, 1, 2, 3, 100, 200, 255):
        canvas = np.zeros((96, 96), np.uint8)
        paint_counter(canvas, number)
        try:
            readings.append(read_counter(to_buffer(canvas, transform)) == number)
        except CounterError:
            readings.append(False)
    assert not any(readings)


def test_a_picture_too_small_for_a_counter_is_refused() -> None:
    with pytest.raises(ValueError, match="15x48 is too small"):
        paint_counter(np.zeros((48, 15), np.uint8), 0)


# A film's times.


@given(
    st.sampled_from([Fraction(60), NTSC, Fraction(24_000, 1001), Fraction(1, 3), Fraction(1000)]),
    st.integers(0, NUMBERS),
)
def test_a_frame_is_there_from_its_time_on(rate: Fraction, number: int) -> None:
    film = Film(rate)
    begin = film.offset_ns(number)
    assert begin == int(number * SECOND / rate)
    assert film.number_at(begin) == number
    assert film.number_at(begin - 1) == number - 1
    assert film.number_at(film.offset_ns(number + 1) - 1) == number


def test_skipped_frames_are_not_drawn() -> None:
    film = Film(Fraction(60), skipped=(range(2, 5), range(10, 20, 2)), last=17)
    drawn = [0, 1, 5, 6, 7, 8, 9, 11, 13, 15, 17]
    assert [n for n in range(25) if film.drawn_at(n) == n] == drawn
    assert [film.drawn_at(n) for n in (4, 5, 18, 99)] == [1, 5, 17, 17]
    assert [film.drawn_after(n) for n in range(-1, 17)] == [
        next(later for later in drawn if later > n) for n in range(-1, 17)
    ]
    assert film.drawn_after(17) is film.drawn_after(99) is None


def test_a_film_without_a_first_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="frame 0"):
        Film(Fraction(60), skipped=(range(3),))


# The pictures in the client's memory.


@pytest.mark.parametrize("transform", range(8))
def test_frames_lie_in_memory_as_a_still_of_the_same_picture_would(transform: int) -> None:
    film = Film(Fraction(60), box=(3, 5, 40, 30))
    y_invert = transform > 3
    config = virtual(film, width=64, height=60, transform=transform, y_invert=y_invert, padding=12)
    output = config.outputs[0]
    with FakeCompositor(config) as compositor, Camera(compositor, (2, 3, 30, 50)) as camera:
        for number in (0, 1, 2, 3):
            frame = camera.start()
            camera.client.wait_for(frame, "ready")
            upright = film.picture(number, output.upright(0))
            assert read_counter(film.within(upright)) == number
            left, top, right, bottom = output.upright_region((2, 3, 30, 50))
            stored = to_buffer(upright[top:bottom, left:right], transform)
            assert np.array_equal(camera.pixels(), stored[::-1] if y_invert else stored)


@pytest.mark.parametrize("name", ["RGB888", "RGB565", "XBGR2101010", "XRGB16161616F"])
def test_frames_are_packed_in_the_format_of_the_output(name: str) -> None:
    config = virtual(shm_format=FORMATS[name])
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        for number in range(4):
            camera.client.wait_for(camera.start(), "ready")
            upright = FILM.picture(number, config.outputs[0].upright(0))
            memory = os.pread(camera.fd, camera.offer.stride * camera.offer.height, 0)
            assert memory == FORMATS[name].pack(upright, camera.offer.stride)


def test_the_rest_may_be_of_one_colour() -> None:
    film = Film(Fraction(60), rest=(10, 200, 30))
    with FakeCompositor(virtual(film)) as compositor, Camera(compositor) as camera:
        assert camera.capture()[0] == 0
        assert (camera.pixels()[12:36] == (10, 200, 30)).all()


def test_a_counter_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not lie in"):
        FakeCompositor(virtual(Film(Fraction(60), box=(40, 0, 32, 48))))


def test_a_640x480_frame_is_written_well_within_60_hz() -> None:
    config = virtual(width=640, height=480)
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        started = time.process_time()
        for _ in range(30):
            camera.client.wait_for(camera.start(), "ready")
        # 30 frames at 60/s last 0.5 s; what they cost here is a tenth of it.
        assert time.process_time() - started < 0.5


# The virtual clock.


@pytest.mark.parametrize("request_", ["copy", "copy_with_damage"])
def test_virtual_time_passes_as_the_client_asks(request_: str) -> None:
    film = Film(NTSC)
    config = virtual(film)
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        for number in range(20):
            assert config.clock.now_ns() == BASE + film.offset_ns(max(number - 1, 0))
            assert camera.capture(request_) == (number, BASE + film.offset_ns(number))
        assert config.clock.now_ns() == BASE + film.offset_ns(19)


def test_frames_that_were_missed_are_not_shown_again() -> None:
    config = virtual()
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        assert camera.capture()[0] == 0
        compositor.advance_to(BASE + FILM.offset_ns(10) + 5)
        assert camera.capture() == (10, BASE + FILM.offset_ns(10))
        assert config.clock.now_ns() == BASE + FILM.offset_ns(10) + 5
        assert camera.capture()[0] == 11


def test_damage_leaps_over_skipped_frames_and_copy_shows_the_one_before() -> None:
    film = Film(Fraction(60), skipped=(range(2, 6),))
    offsets = [film.offset_ns(number) + BASE for number in range(10)]
    with FakeCompositor(virtual(film)) as compositor, Camera(compositor) as camera:
        assert [camera.capture() for _ in range(4)] == [
            (number, offsets[number]) for number in (0, 1, 6, 7)
        ]
    with FakeCompositor(virtual(film)) as compositor, Camera(compositor) as camera:
        assert [camera.capture("copy") for _ in range(8)] == [
            (film.drawn_at(number), offsets[number]) for number in range(8)
        ]
        assert [drawn for drawn, _ in (camera.capture("copy"), camera.capture())] == [8, 9]


def test_copy_and_damage_take_turns_without_showing_a_frame_twice() -> None:
    film = Film(Fraction(60), skipped=(range(2, 6),))
    with FakeCompositor(virtual(film)) as compositor, Camera(compositor) as camera:
        captured = [camera.capture(f"copy{kind}") for kind in ("", "", "", "_with_damage", "")]
        numbers = [0, 1, 2, 6, 7]
        assert [stamp - BASE for _, stamp in captured] == [film.offset_ns(n) for n in numbers]
        assert [drawn for drawn, _ in captured] == [0, 1, 1, 6, 7]


@pytest.mark.parametrize("request_", ["copy", "copy_with_damage"])
def test_an_idle_stretch_lasts_until_the_test_lets_time_pass(request_: str) -> None:
    film = Film(Fraction(60), skipped=(range(3, 90),))
    config = virtual(film, stops=(3,))
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        for number in range(3):
            assert camera.capture(request_)[0] == number
        frame = camera.start(request_)
        assert camera.is_waiting(frame)
        assert config.clock.now_ns() == BASE + film.offset_ns(2)
        compositor.advance_to(BASE + film.offset_ns(3) - 1)
        assert camera.is_waiting(frame)
        compositor.advance_to(BASE + film.offset_ns(50))
        if request_ == "copy":
            assert camera.finish(frame) == (2, BASE + film.offset_ns(50))
            assert camera.capture(request_) == (2, BASE + film.offset_ns(51))
        else:
            assert camera.is_waiting(frame)
            compositor.advance_to(BASE + film.offset_ns(90) + 7)
            assert camera.finish(frame) == (90, BASE + film.offset_ns(90))
            assert camera.capture(request_) == (91, BASE + film.offset_ns(91))


def test_after_its_last_frame_a_film_is_a_static_screen() -> None:
    config = virtual(Film(Fraction(60), last=1))
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        assert [camera.capture()[0] for _ in range(2)] == [0, 1]
        frame = camera.start()
        compositor.advance_to(BASE + 100 * SECOND)
        assert camera.is_waiting(frame)
        camera.client.request(frame, "destroy")
        assert camera.capture("copy") == (1, BASE + 100 * SECOND)
        assert compositor.violations == []


def test_virtual_time_does_not_go_back() -> None:
    with FakeCompositor(virtual()) as compositor, pytest.raises(ValueError, match="5 ns back"):
        compositor.advance_to(BASE - 5)


def test_outputs_share_the_time() -> None:
    films = Film(Fraction(60)), Film(Fraction(30))
    outputs = tuple(Output(f"FAKE-{n}", film=film) for n, film in enumerate(films, 1))
    with (
        FakeCompositor(Config(outputs, clock=VirtualClock(BASE))) as compositor,
        Camera(compositor) as first,
        Camera(compositor) as second,
    ):
        second.bind_output(1)
        assert [first.capture()[0] for _ in range(8)] == list(range(8))
        # 7/60 s: the second output shows its frame 3 since 6/60 s.
        assert second.capture() == (3, BASE + SECOND // 10)
        assert second.capture()[0] == 4
        assert first.capture()[0] == 8


def test_each_client_gets_every_frame_once() -> None:
    with (
        FakeCompositor(virtual()) as compositor,
        Camera(compositor) as first,
        Camera(compositor) as second,
    ):
        assert [camera.capture()[0] for camera in (first, second, first, second)] == [0, 0, 1, 1]


# Stamps.


@pytest.mark.parametrize(
    ("stamp", "stamps"),
    [
        (zero, [0, 0, 0]),
        (far, [3600.0, 3600.5, 3601.0]),
        (backwards, [0, 0, 1]),
        (jittery(3, -2), [3e-9, 0.5 - 2e-9, 1 + 3e-9]),
    ],
)
def test_a_stamp_may_be_anything(stamp: Any, stamps: list[float]) -> None:
    base = 0 if stamp is zero else BASE
    config = virtual(Film(Fraction(2)), stamp=stamp)
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        assert [camera.capture() for _ in range(3)] == [
            (number, base + round(said * SECOND)) for number, said in enumerate(stamps)
        ]


def test_at_60_frames_a_second_every_other_stamp_goes_back() -> None:
    config = virtual(stamp=backwards)
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        stamps = [camera.capture()[1] for _ in range(6)]
    assert [later < earlier for earlier, later in itertools.pairwise(stamps)] == [
        True,
        False,
    ] * 2 + [True]


def test_a_still_output_is_stamped_when_it_is_copied() -> None:
    config = Config((Output(stamp=jittery(0, -SECOND)),))
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        before = RealClock.now_ns()
        first, second = (camera.stamp(camera.start()) for _ in range(2))
        after = RealClock.now_ns()
    assert before <= first <= second + SECOND <= after


# The real clock.


def test_frames_appear_in_real_time() -> None:
    config = real()
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        lag = []
        captured = []
        for _ in range(20):
            captured.append(camera.capture())
            lag.append(RealClock.now_ns() - captured[-1][1])
    assert [number for number, _ in captured] == sorted({number for number, _ in captured})
    for number, stamp in captured:
        assert stamp == config.clock.base_ns + FILM.offset_ns(number)
    assert min(lag) >= 0
    assert sorted(lag)[10] < SECOND // 4


def test_a_client_that_was_away_gets_the_newest_frame_at_once() -> None:
    config = real()
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        camera.capture()
        time.sleep(0.2)
        before = RealClock.now_ns()
        number, stamp = camera.capture()
        assert FILM.number_at(before - config.clock.base_ns) <= number
        assert stamp == config.clock.base_ns + FILM.offset_ns(number)
        frame = camera.start()
        assert camera.finish(frame)[0] > number


def test_real_time_is_waited_for() -> None:
    film = Film(Fraction(10), skipped=(range(1, 10),), last=10)
    config = real(film, RealClock.now_ns() + SECOND // 4)
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        for number in (0, 10):
            assert camera.capture() == (number, config.clock.base_ns + film.offset_ns(number))
            assert RealClock.now_ns() >= config.clock.base_ns + film.offset_ns(number)
        frame = camera.start()
        time.sleep(0.15)
        assert camera.is_waiting(frame)


def test_a_copy_in_real_time_is_answered_once_for_each_frame() -> None:
    film = replace(SLOW, last=0)
    config = real(film)
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        begin, numbers = time.monotonic(), [-1]
        for _ in range(4):
            shown, stamp = camera.capture("copy")
            assert shown == 0
            assert stamp <= RealClock.now_ns()
            numbers.append(film.number_at(stamp - config.clock.base_ns))
            assert stamp == config.clock.base_ns + film.offset_ns(numbers[-1])
        # The first may be answered at once, the second too if a frame begins just then.
        assert time.monotonic() - begin >= 2 / 20
    assert numbers == sorted(set(numbers))


# What else can happen, with damage awaited.


FRAME_STEPS = [Step.BUFFER, Step.BUFFER_DONE, Step.FLAGS, Step.READY]
SLOW = Film(Fraction(20))
either_clock = pytest.mark.parametrize("config_of", [virtual, real])
"""Runs a test on a fresh virtual clock, and on a real one."""


@either_clock
@pytest.mark.parametrize("step", [*FRAME_STEPS, Step.OFFERED])
def test_a_frame_of_a_film_fails_at_each_step(step: Step, config_of: Callable[..., Config]) -> None:
    # The camera's first frame, of which it learns the buffer, is no copy.
    skip = 1 if step in {Step.FLAGS, Step.READY} else 2
    config = with_fault(config_of(), step, faults.failed, skip)
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        camera.capture()
        frame = camera.start()
        assert camera.client.wait_for(frame, "failed", "ready").name == "failed"
        let_pass(compositor, 0.05)
        camera.client.roundtrip()
        assert camera.client.said(frame)[-1] == ("failed",)


@pytest.mark.parametrize("step", [Step.FLAGS, Step.READY])
def test_an_answer_that_is_withheld_does_not_come_later(step: Step) -> None:
    config = with_fault(virtual(), step, faults.withhold, 1)
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        camera.capture()
        frame = camera.start()
        let_pass(compositor, 1)
        camera.client.roundtrip()
        assert not {"ready", "failed"} & {name for name, *_ in camera.client.said(frame)}


@either_clock
@pytest.mark.parametrize("action", [faults.hang_up, faults.hang_up_midway, faults.protocol_error])
def test_the_connection_ends_in_the_middle_of_a_film(
    action: faults.Action, config_of: Callable[..., Config]
) -> None:
    config = with_fault(config_of(), Step.READY, action, 2)
    with FakeCompositor(config) as compositor:
        camera = Camera(compositor)
        camera.capture()
        camera.capture()
        with pytest.raises(HungUpError):
            camera.capture()
        os.close(camera.fd)
        camera.client.socket.close()
        compositor.wait_until_gone()
        assert compositor.violations == []


def test_a_client_may_leave_while_it_waits() -> None:
    with FakeCompositor(real(SLOW)) as compositor:
        camera = Camera(compositor)
        camera.capture()
        camera.start()
        os.close(camera.fd)
        camera.client.socket.close()
        compositor.wait_until_gone()
        let_pass(compositor, 0.1)
        assert compositor.violations == []


@either_clock
def test_another_mode_fails_the_frame_under_way_and_damages_everything(
    config_of: Callable[..., Config],
) -> None:
    config = config_of(replace(SLOW, last=1))
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        number, before = camera.capture()
        while number == 0:  # on a busy machine, the last frame is the first to be copied
            number, before = camera.capture()
        frame = camera.start()
        compositor.change_output("FAKE-1", width=80, height=60, transform=2)
        camera.client.roundtrip()
        assert camera.client.said(frame)[-1] == ("failed",)
        os.close(camera.fd)
        for made in (camera.buffer, camera.pool):
            camera.client.request(made, "destroy")
        camera.bind_output()
        assert camera.offer == ShmOffer(1, 80, 60, 320)
        assert camera.stamp(camera.start()) > before
        assert read_counter(camera.pixels()[::-1, ::-1]) == 1
        frame = camera.start()
        let_pass(compositor, 0.1)
        assert camera.is_waiting(frame)


@either_clock
def test_damage_makes_a_static_screen_answer_once(config_of: Callable[..., Config]) -> None:
    config = config_of(replace(SLOW, last=0))
    with FakeCompositor(config) as compositor, Camera(compositor) as camera:
        _, shown = camera.capture()
        frame = camera.start()
        compositor.damage("FAKE-1")
        number, stamp = camera.finish(frame)
        assert number == 0
        assert stamp > shown
        frame = camera.start()
        let_pass(compositor, 0.1)
        assert camera.is_waiting(frame)


@either_clock
def test_an_output_comes_back_under_its_name(config_of: Callable[..., Config]) -> None:
    with FakeCompositor(config_of(SLOW)) as compositor, Camera(compositor) as camera:
        before = [camera.capture()[0] for _ in range(2)][-1]
        frames = [camera.frame() for _ in range(2)]
        camera.client.roundtrip()
        compositor.remove_output("FAKE-1")
        camera.client.request(frames[0], "copy_with_damage", camera.buffer)
        camera.client.roundtrip()
        for frame in frames:
            assert camera.client.said(frame)[-1] == ("failed",)
        compositor.add_output(Output(film=SLOW))
        camera.client.roundtrip()
        camera.output = camera.client.bind("wl_output", 1)
        assert camera.capture()[0] >= before


def test_frames_of_an_output_that_vanished_silently_are_never_answered() -> None:
    with FakeCompositor(virtual(stops=(1,))) as compositor, Camera(compositor) as camera:
        camera.capture()
        frame = camera.start()
        compositor.remove_output("FAKE-1", fail_frames=False)
        let_pass(compositor, 1)
        assert camera.is_waiting(frame)


@either_clock
def test_a_frame_may_be_destroyed_while_it_waits(config_of: Callable[..., Config]) -> None:
    config = config_of(SLOW, stops=(1,)) if config_of is virtual else config_of(SLOW)
    with FakeCompositor(config) as compositor:
        with Camera(compositor) as camera:
            camera.capture()
            frame = camera.start()
            camera.client.request(frame, "destroy")
            camera.client.roundtrip()
            said = camera.client.said(frame)
            let_pass(compositor, 0.1)
            camera.client.roundtrip()
            assert camera.client.said(frame) == said
        compositor.wait_until_gone()
        assert compositor.violations == []


def test_a_buffer_destroyed_before_its_copy_is_a_violation() -> None:
    with FakeCompositor(virtual(stops=(1,))) as compositor, Camera(compositor) as camera:
        camera.capture()
        frame = camera.start()
        camera.client.request(camera.buffer, "destroy")
        _, camera.buffer, fd = camera.client.buffer(camera.shm, camera.offer)
        os.close(fd)
        camera.client.roundtrip()
        let_pass(compositor, 1)
        camera.client.roundtrip()
        assert camera.client.said(frame)[-1] == ("failed",)
        (violation,) = compositor.violations
        assert "was destroyed before its copy ended" in violation


def test_a_frame_that_failed_with_its_mode_is_not_answered_when_damage_comes() -> None:
    with FakeCompositor(Config(idle=True)) as compositor, Camera(compositor) as camera:
        camera.client.wait_for(camera.start(), "ready")
        frame = camera.start()
        compositor.change_output("FAKE-1", scale=2)
        compositor.damage("FAKE-1")
        camera.client.roundtrip()
        assert camera.client.said(frame)[-1] == ("failed",)
