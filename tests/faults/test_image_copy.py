"""ext-image-copy-capture: constraints, sessions and frames that go wrong, pixels that do not."""

from __future__ import annotations

import signal
import time
from collections import deque
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.fake import (
    FORMATS,
    Config,
    FakeCompositor,
    Fault,
    Film,
    Output,
    Step,
    VirtualClock,
    faults,
    read_counter,
)
from tests.fake.image_copy import ImageFrame, ImageSession
from tests.faults.command import (
    LIMIT,
    LONG,
    TIMEOUT,
    assert_failed,
    assert_shot,
    assert_told_at_once,
    assert_waited,
    picture_of,
    shoot,
    wayshot,
)
from tests.faults.recording import Recording, Result, once, record, recording
from wayshot_cli.backends.image_copy import ImageCopy
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.outputs import read_outputs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MANAGER = "ext_image_copy_capture_manager_v1"
FRAME = "ext_image_copy_capture_frame_v1"
CONFIG = Config(screencopy_version=0, image_copy_version=1)
IDLE = replace(CONFIG, idle=True)

STEPS = [Step.CONSTRAINTS, Step.CONSTRAINTS_DONE, Step.CAPTURE, Step.DESCRIBED, Step.READY]
FRAME_STEPS = [Step.CAPTURE, Step.DESCRIBED, Step.READY]
NAMED = "'FAKE-1'"
UNKNOWN, BUFFER_CONSTRAINTS, STOPPED = range(3)

XRGB = FORMATS["XRGB8888"].code
STRANGE = 0x20203F3F
SIZE = ("buffer_size", 64, 48)
XRGB_ONLY = ("shm_format", XRGB)


def faulty(*fault: Fault, **output: Any) -> Config:
    return replace(CONFIG, outputs=(Output(**output),), faults=fault)


def constrained(*events: tuple[Any, ...]) -> Config:
    """Return a compositor that asks for just these buffers."""
    return faulty(constraints=events)


def in_formats(*names: str) -> Config:
    codes = tuple(FORMATS[name].code for name in names)
    formats = tuple(("shm_format", code) for code in codes)
    config = constrained(SIZE, *formats)
    return replace(config, shm_formats=codes)


# Pixels.


@pytest.mark.parametrize("says_transform", [True, False], ids=["said", "not said"])
@pytest.mark.parametrize("transform", range(8))
def test_every_orientation_comes_out_upright(
    transform: int, *, says_transform: bool, tmp_path: Path
) -> None:
    output = Output(width=61, height=33, transform=transform, says_transform=says_transform)
    config = replace(CONFIG, outputs=(output,))
    assert_shot(shoot(config, tmp_path), picture_of(config))


def test_everything_is_destroyed(tmp_path: Path) -> None:
    with FakeCompositor(CONFIG) as compositor:
        assert_shot(wayshot(compositor, tmp_path, "shot.png"), picture_of(CONFIG))
        assert compositor.leaks == []


@pytest.mark.parametrize(("words", "option"), [((), 0), (("-c",), 1)])
def test_the_cursor_is_asked_for_as_wished(
    words: tuple[str, ...], option: int, tmp_path: Path
) -> None:
    with FakeCompositor(CONFIG) as compositor:
        assert wayshot(compositor, tmp_path, *words, "shot.png").code == 0
        (options,) = {r.arguments[2] for r in compositor.requests if r.name == "create_session"}
    assert options == option


def test_a_region_is_cut_out_of_the_whole(tmp_path: Path) -> None:
    expected = picture_of(CONFIG)[6:30, 8:40]
    assert_shot(shoot(CONFIG, tmp_path, "-g", "8,6 32x24"), expected)


def test_several_outputs_are_captured_at_once(tmp_path: Path) -> None:
    """None is answered before all have been asked for."""
    outputs = (Output("FAKE-1"), Output("FAKE-2", 30, 40, x=64, transform=1))
    asked: set[object] = set()

    def hold_until_both_are_asked(moment: faults.Moment) -> bool:
        asked.add(moment.output)
        if len(asked) == len(outputs):
            for client in moment.compositor.clients:
                for frame in list(client.objects.values()):
                    if frame.interface.name == FRAME:
                        frame.answer()  # type: ignore[attr-defined] # an ImageFrame
        return False

    config = replace(
        CONFIG, outputs=outputs, faults=(Fault(Step.CAPTURE, hold_until_both_are_asked),)
    )
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read(name: str, tmp_path: Path) -> None:
    """With an odd width: rows of 3 and 2 bytes a pixel do not end where a word does."""
    depth = 16 if any(bits > 8 for _, bits in FORMATS[name].channels) else 8
    output = Output(width=61, height=33, shm_format=FORMATS[name])
    result = shoot(replace(CONFIG, outputs=(output,)), tmp_path, "-t", "ppm", "-v")
    assert result.code == 0
    assert name in result.stderr
    stride = int(result.stderr.rpartition("stride ")[2])
    row = 61 * FORMATS[name].bytes_per_pixel
    assert stride == row + -row % 4
    data = (tmp_path / "shot.png").read_bytes()
    pixels = np.frombuffer(data[-33 * 61 * 3 * (depth // 8) :], np.uint8 if depth == 8 else ">u2")
    assert np.array_equal(pixels.reshape(33, 61, 3), FORMATS[name].shown(output.upright(0), depth))


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        (("ARGB8888",), "ARGB8888"),
        (("ARGB8888", "XRGB8888"), "XRGB8888"),
        (("RGB888", "XBGR8888"), "XBGR8888"),
        (("RGB888", "ABGR8888", "XBGR8888"), "ABGR8888"),
        (("RGB565", "BGR888"), "BGR888"),
        (("XRGB8888", "XRGB2101010", "ABGR16161616F"), "XRGB8888"),
        (("XRGB2101010", "XRGB8888", "ABGR16161616F"), "XRGB2101010"),
        (("ABGR16161616F", "XRGB2101010", "XRGB8888"), "ABGR16161616F"),
    ],
)
def test_of_several_formats_the_best_is_taken(
    offered: tuple[str, ...], taken: str, tmp_path: Path
) -> None:
    result = shoot(in_formats(*offered), tmp_path, "-v")
    assert result.code == 0, result.stderr
    assert f" {taken} " in result.stderr


@pytest.mark.parametrize("place", [0, 1])
def test_a_format_that_nobody_knows_is_passed_over(place: int, tmp_path: Path) -> None:
    formats = [XRGB_ONLY, ("shm_format", STRANGE)]
    config = constrained(SIZE, formats[place], formats[1 - place])
    assert_shot(shoot(config, tmp_path), picture_of(config))


# Constraints.


@pytest.mark.parametrize(
    "size",
    [(0, 48), (64, 0), (65536, 48), (64, 2**31), (2**32 - 1, 2**32 - 1), (65535, 65535)],
    ids=str,
)
def test_an_impossible_size_is_refused(size: tuple[int, int], tmp_path: Path) -> None:
    with FakeCompositor(constrained(("buffer_size", *size), XRGB_ONLY)) as compositor:
        result = wayshot(compositor, tmp_path, "shot.png")
        assert_failed(result, 1, "impossible buffer")
        assert compositor.count("wl_shm", "create_pool") == 0
    assert_told_at_once(result)


@pytest.mark.parametrize("size", [(("buffer_size", 0, 0),), ()], ids=["0x0", "none"])
def test_no_size_is_no_picture(size: tuple[tuple[Any, ...], ...], tmp_path: Path) -> None:
    result = shoot(constrained(*size, XRGB_ONLY), tmp_path)
    assert_failed(result, 1, "no picture", NAMED)
    assert "powered off" in result.stderr
    assert_told_at_once(result)


@pytest.mark.parametrize(
    "formats", [(), (("shm_format", STRANGE),), (("dmabuf_format", XRGB, b""),)], ids=str
)
def test_formats_that_cannot_be_read_cannot_be_done(
    formats: tuple[tuple[Any, ...], ...], tmp_path: Path
) -> None:
    result = shoot(constrained(SIZE, *formats), tmp_path)
    assert_failed(result, 4, "no pixel format of shared memory")
    assert "--backend screencopy" in result.stderr
    assert_told_at_once(result)


def test_the_last_word_on_the_size_counts(tmp_path: Path) -> None:
    config = constrained(("buffer_size", 9, 9), XRGB_ONLY, SIZE)
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize("step", [Step.CONSTRAINTS_DONE, *FRAME_STEPS])
def test_constraints_that_change_on_the_way_are_followed(step: Step, tmp_path: Path) -> None:
    """The frame that is under way fails, and the next attempt takes another format."""

    def change(moment: faults.Moment) -> bool:
        moment.compositor.change_output("FAKE-1", shm_format=FORMATS["XBGR8888"])
        return False

    config = faulty(once(step, change))
    config = replace(config, shm_formats=(XRGB, FORMATS["XBGR8888"].code))
    result = shoot(config, tmp_path, "-v")
    assert "XBGR8888" in result.stderr
    assert_shot(result, picture_of(config))
    assert_told_at_once(result)


def test_formats_that_vanish_cannot_be_done(tmp_path: Path) -> None:
    change = faults.doing(
        lambda compositor: compositor.change_output("FAKE-1", constraints=(SIZE,))
    )
    result = shoot(faulty(once(Step.CAPTURE, change)), tmp_path)
    assert_failed(result, 4, "offered: none")
    assert_told_at_once(result)


def test_a_pending_batch_changes_nothing_before_its_end(tmp_path: Path) -> None:
    """What is said after ``done`` belongs to a batch that is still open."""

    def open_another(moment: faults.Moment) -> bool:
        session = moment.resource
        moment.client.send(moment.owed + session.events(("buffer_size", 1, 1), ("shm_format", 0)))
        return False

    config = faulty(Fault(Step.CONSTRAINTS_DONE, open_another))
    assert_shot(shoot(config, tmp_path), picture_of(config))


# Failures.


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("reason", [UNKNOWN, BUFFER_CONSTRAINTS, 99])
@pytest.mark.parametrize("step", FRAME_STEPS)
def test_what_fails_for_a_while_is_tried_again(
    step: Step, reason: int, times: int, tmp_path: Path
) -> None:
    config = faulty(Fault(step, faults.failing(reason, times)))
    with FakeCompositor(config) as compositor:
        result = wayshot(compositor, tmp_path, "--timeout", str(LONG), "shot.png")
        assert compositor.leaks == []
    assert_shot(result, picture_of(config))
    assert_told_at_once(result)


@pytest.mark.parametrize(
    ("reason", "word"),
    [(UNKNOWN, "failed"), (BUFFER_CONSTRAINTS, "refuses every buffer"), (99, "failed")],
)
def test_what_fails_forever_ends_at_the_timeout(reason: int, word: str, tmp_path: Path) -> None:
    config = faulty(Fault(Step.CAPTURE, faults.failing(reason)))
    result = shoot(config, tmp_path, timeout=TIMEOUT)
    assert_failed(result, 1, NAMED, word)
    assert_waited(result)


@pytest.mark.parametrize(
    "action", [faults.failing(STOPPED), faults.saying_first("failed", STOPPED)]
)
def test_a_session_that_has_stopped_is_told_at_once(action: faults.Action, tmp_path: Path) -> None:
    result = shoot(faulty(Fault(Step.DESCRIBED, action)), tmp_path)
    if result.code:  # a frame that is ready although it failed is a picture
        assert_failed(result, 1, NAMED, "ended the capture")
    assert_told_at_once(result)


def stop(moment: faults.Moment) -> bool:
    """Say that the session has stopped, and nothing more."""
    for resource in list(moment.client.objects.values()):
        if resource.interface.name == "ext_image_copy_capture_session_v1":
            moment.client.send(resource.event("stopped"))
    return False


@pytest.mark.parametrize("step", STEPS)
def test_stopped_is_told_at_once_at_each_step(step: Step, tmp_path: Path) -> None:
    with FakeCompositor(faulty(Fault(step, stop))) as compositor:
        result = wayshot(compositor, tmp_path, "--timeout", str(LONG), "shot.png")
        assert compositor.leaks == []
    assert_failed(result, 1, NAMED, "ended the capture")
    assert_told_at_once(result)


@pytest.mark.parametrize("fail_frames", [True, False], ids=["stopped", "silent"])
@pytest.mark.parametrize("step", STEPS)
def test_an_output_unplugged_at_each_step_went_away(
    step: Step, *, fail_frames: bool, tmp_path: Path
) -> None:
    def unplug(moment: faults.Moment) -> bool:
        moment.compositor.remove_output("FAKE-1", fail_frames=fail_frames)
        return False

    result = shoot(faulty(Fault(step, unplug)), tmp_path)
    assert_failed(result, 6, NAMED, "went away")
    assert_told_at_once(result)


def test_an_output_that_is_gone_a_moment_after_it_stopped_went_away(tmp_path: Path) -> None:
    has_stopped: list[bool] = []

    def go(moment: faults.Moment) -> bool:
        if has_stopped:
            moment.compositor.remove_output("FAKE-1")
            has_stopped.clear()
        return True

    def stop_first(moment: faults.Moment) -> bool:
        has_stopped.append(True)
        return stop(moment)

    config = faulty(Fault(Step.CAPTURE, stop_first), Fault(Step.SYNC, go))
    assert_failed(shoot(config, tmp_path), 6, NAMED, "went away")


# Silence, noise and the end.


@pytest.mark.parametrize("action", [faults.fall_silent, faults.withhold])
@pytest.mark.parametrize("step", STEPS)
def test_silence_ends_at_the_timeout(step: Step, action: faults.Action, tmp_path: Path) -> None:
    result = shoot(faulty(Fault(step, action)), tmp_path, timeout=TIMEOUT)
    assert_failed(result, 1, NAMED, "did not answer in time")
    assert_waited(result)


@pytest.mark.parametrize("action", [faults.flood, faults.trickle])
@pytest.mark.parametrize("step", STEPS)
def test_endless_talk_does_not_hold_the_timeout_up(
    step: Step, action: faults.Action, tmp_path: Path
) -> None:
    result = shoot(faulty(Fault(step, action)), tmp_path, timeout=TIMEOUT)
    assert_failed(result, 1, NAMED)
    assert TIMEOUT <= result.elapsed < LIMIT


@pytest.mark.parametrize("action", [faults.hang_up, faults.hang_up_midway, faults.protocol_error])
@pytest.mark.parametrize("step", STEPS)
def test_the_end_of_the_connection_is_told_at_once(
    step: Step, action: faults.Action, tmp_path: Path
) -> None:
    result = shoot(faulty(Fault(step, action)), tmp_path)
    assert_failed(result, 1, NAMED)
    assert_told_at_once(result)


@pytest.mark.parametrize(
    ("step", "interface"),
    [
        (Step.CONSTRAINTS, "ext_image_copy_capture_session_v1"),
        (Step.READY, "ext_image_copy_capture_frame_v1"),
    ],
)
def test_a_protocol_error_names_the_interface_and_the_code(
    step: Step, interface: str, tmp_path: Path
) -> None:
    result = shoot(faulty(Fault(step, faults.protocol_error)), tmp_path)
    assert_failed(result, 1, interface, "77")


@pytest.mark.parametrize(
    "change",
    [faults.without_last_word, faults.with_size(4), faults.with_opcode(99)],
    ids=["truncated", "no header", "no such event"],
)
@pytest.mark.parametrize("step", [Step.CONSTRAINTS, Step.DESCRIBED])
def test_a_broken_message_is_not_wayland(step: Step, change: faults.Change, tmp_path: Path) -> None:
    result = shoot(faulty(Fault(step, faults.garbling(change))), tmp_path)
    assert_failed(result, 1, NAMED)
    assert_told_at_once(result)


# What a frame says of itself.


@pytest.mark.parametrize(
    "damage",
    [
        (-5, -5, 10, 10),
        (0, 0, 0, 0),
        (0, 0, -1, -1),
        (60, 40, 2**31 - 1, 2**31 - 1),
        (-(2**31), -(2**31), 2**31 - 1, 2**31 - 1),
    ],
    ids=str,
)
def test_nonsense_of_damage_is_harmless(damage: tuple[int, ...], tmp_path: Path) -> None:
    """Recorded, so that the next frame is told what the last one's damage has made stale."""
    fault = Fault(Step.DESCRIBED, faults.saying_first("damage", *damage))
    config = replace(faulty(fault, film=Film(Fraction(60))), shm_formats=(XRGB,))
    result = record(config, tmp_path, "--frames", "10", "a.y4m")
    assert result.code == 0, result.stderr
    assert len(result.counters()) == 10


def test_a_transform_that_is_none_is_refused(tmp_path: Path) -> None:
    config = faulty(Fault(Step.DESCRIBED, faults.saying_first("transform", 8)))
    assert_failed(shoot(config, tmp_path), 1, "transform 8")


@pytest.mark.parametrize(
    "stamp", [(0, 0, 0), (2**32 - 1, 2**32 - 1, 2**32 - 1), (0, 1, 10**9)], ids=str
)
def test_any_time_will_do(stamp: tuple[int, ...], tmp_path: Path) -> None:
    config = faulty(Fault(Step.READY, faults.saying_first("presentation_time", *stamp)))
    assert_shot(shoot(config, tmp_path), picture_of(config))


def test_a_frame_that_says_nothing_but_ready_is_a_picture(tmp_path: Path) -> None:
    config = faulty(Fault(Step.DESCRIBED, faults.leave_out))
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize(
    "event",
    [("failed", 0), ("failed", 2), ("ready",), ("transform", 3), ("transform", 8)],
    ids=str,
)
def test_events_after_ready_change_nothing(event: tuple[Any, ...], tmp_path: Path) -> None:
    def saying_after(moment: faults.Moment) -> bool:
        moment.client.send(moment.owed + moment.resource.event(*event))
        moment.resource.proceed(moment.step)
        return False

    config = faulty(Fault(Step.READY, saying_after))
    assert_shot(shoot(config, tmp_path), picture_of(config))


# The ladder.


def test_both_protocols_give_the_same(tmp_path: Path) -> None:
    config = replace(CONFIG, screencopy_version=3, outputs=(Output(transform=5),))
    for backend in ("auto", "image-copy", "screencopy"):
        result = shoot(config, tmp_path, "-v", "--backend", backend)
        assert f"by {'image-copy' if backend == 'auto' else backend} into" in result.stderr
        assert_shot(result, picture_of(config))


def test_no_damage_is_not_for_it(tmp_path: Path) -> None:
    words = ("-v", "--no-damage", "--frames", "3", "a.y4m")
    config = replace(CONFIG, screencopy_version=3)
    result = record(config, tmp_path, *words)
    assert result.code == 0
    assert "by screencopy into" in result.stderr
    assert "not image-copy: ext-image-copy-capture gives a frame only when" in result.stderr
    result = record(config, tmp_path, "--backend", "image-copy", *words)
    assert result.code == 4
    assert "gives a frame only when" in result.complaint


# Buffers over time.


def test_each_buffer_is_told_what_is_stale_in_it() -> None:
    """Each frame is right in every pixel, however long frames are held, and stays so."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    film = Film(Fraction(60), box=(8, 12, 16, 24))
    output = Output(film=film, transform=3)
    config = replace(CONFIG, outputs=(output,), clock=VirtualClock(now))
    with FakeCompositor(config) as compositor:
        with Connection(str(compositor.socket_path), timeout=LONG) as connection:
            (target,) = read_outputs(connection)
            held: deque[tuple[int, Any]] = deque()
            pattern = output.upright(0)
            with ImageCopy(connection).open(target) as session:
                for turn in range(40):
                    session.start(damage=bool(turn % 13))
                    frame = session.finish(connection.deadline())
                    x, y, width, height = 8, 12, 16, 24
                    number = read_counter(frame.to_numpy()[y : y + height, x : x + width])
                    held.append((number, frame))
                    for shown, kept in held:
                        assert np.array_equal(kept.to_numpy(), film.picture(shown, pattern))
                    kept = None
                    while len(held) > (turn * 7) % 5:
                        held.popleft()
                    del frame
        compositor.wait_until_gone()
        parts = {r.arguments for r in compositor.requests if r.name == "damage_buffer"}
        assert {(0, 0, 64, 48)} < parts  # not always all of it
        assert compositor.violations == []
        assert compositor.leaks == []


# Recordings.


def let_run(running: Recording) -> None:
    """Wait until more has been written."""
    path = running.folder / "a.y4m"
    running.wait_for_bytes("a.y4m", (path.stat().st_size if path.exists() else 0) + 1)


def change_output(running: Recording, **changes: Any) -> None:
    """Change an idle output that is recorded, and wait until that has been captured."""
    running.compositor.wait_for(FRAME, "capture", 2)
    running.compositor.change_output("FAKE-1", **changes)
    # The second one fails, the third one is answered, the fourth one waits for damage.
    running.compositor.wait_for(FRAME, "capture", 4)


def recorded(
    config: Config, folder: Path, happens: Callable[[Recording], object], *words: str
) -> tuple[Result, int]:
    """Record while something happens, and a moment longer; return how many pictures it shows."""
    with recording(config, folder, *words, "a.y4m") as running:
        let_run(running)
        happens(running)
        time.sleep(0.3)
        let_run(running)
        result = running.told(signal.SIGINT)
    assert result.code == 0, result.stderr
    frames = [frame.luma for frame in result.stream()[1]]
    changes = [new for old, new in pairwise(frames) if not np.array_equal(old, new)]
    return result, 1 + len(changes)


def filmed(config: Config, folder: Path, count: int) -> Result:
    """Record a film until so many frames have been asked for."""
    with recording(config, folder, "a.y4m") as running:
        running.compositor.wait_for(FRAME, "capture", count)
        result = running.told(signal.SIGINT)
    assert result.code == 0, result.stderr
    return result


def test_an_idle_screen_is_not_captured_again(tmp_path: Path) -> None:
    def rest(running: Recording) -> None:
        running.compositor.wait_for(FRAME, "capture", 2)
        before = len(running.compositor.requests)
        time.sleep(0.5)
        assert len(running.compositor.requests) == before

    result, shown = recorded(IDLE, tmp_path, rest)
    assert shown == 1
    assert result.whole_statistics.captured == 1


def test_a_film_is_recorded_in_order(tmp_path: Path) -> None:
    result = filmed(faulty(film=Film(Fraction(60))), tmp_path, 60)
    counters = result.counters()
    assert counters == sorted(counters)
    assert len(set(counters)) > 5  # 60 where nobody else needs the processor


def test_a_still_of_an_idle_recording_comes_at_once(tmp_path: Path) -> None:
    """It is to show the screen as it is then, so nothing new is waited for."""

    def take(running: Recording) -> None:
        running.compositor.wait_for(FRAME, "capture", 2)
        running.send(signal.SIGUSR2)
        running.wait_until(lambda: any(path.suffix == ".png" for path in tmp_path.iterdir()))

    result, shown = recorded(IDLE, tmp_path, take)
    assert shown == 1
    assert any(name.endswith(".png") for name in result.files)


@pytest.mark.parametrize("reason", [UNKNOWN, BUFFER_CONSTRAINTS, STOPPED])
def test_a_frame_that_fails_midway_is_passed_over(reason: int, tmp_path: Path) -> None:
    numbers: list[int] = []

    def fail(moment: faults.Moment) -> bool:
        assert isinstance(moment.resource, ImageFrame)
        numbers.append(moment.resource.number)
        moment.resource.fail(reason)
        return False

    config = faulty(once(Step.DESCRIBED, fail, skip=5), film=Film(Fraction(60)))
    counters = filmed(config, tmp_path, 12).counters()
    assert counters == sorted(counters)
    (failed,) = numbers
    assert counters[0] < failed < counters[-1]


@pytest.mark.parametrize("reason", [UNKNOWN, BUFFER_CONSTRAINTS, STOPPED])
def test_frames_that_fail_forever_end_the_recording(reason: int, tmp_path: Path) -> None:
    fault = Fault(Step.DESCRIBED, faults.failing(reason), skip=5)
    result = record(faulty(fault, film=Film(Fraction(60))), tmp_path, "a.y4m", timeout=TIMEOUT)
    assert (result.code, result.files) == (1, ["a.y4m"])
    assert NAMED in result.stderr
    assert len(result.counters()) >= 3
    assert TIMEOUT <= result.elapsed < LIMIT


def test_a_session_that_stops_on_an_idle_screen_is_begun_again(tmp_path: Path) -> None:
    def stop_it(running: Recording) -> None:
        compositor = running.compositor

        def stop_all() -> None:
            for _, session in compositor._resources(ImageSession):
                session.stop()

        compositor.wait_for(FRAME, "capture", 2)
        compositor._run(stop_all)
        compositor.wait_for(MANAGER, "create_session", 2)

    _, shown = recorded(IDLE, tmp_path, stop_it)
    assert shown == 1


def test_another_format_shows_the_same(tmp_path: Path) -> None:
    config = replace(IDLE, shm_formats=(XRGB, FORMATS["BGR888"].code))

    def change(running: Recording) -> None:
        change_output(running, shm_format=FORMATS["BGR888"])

    result, shown = recorded(config, tmp_path, change)
    assert shown == 1
    assert result.whole_statistics.captured > 1


def test_another_mode_is_followed(tmp_path: Path) -> None:
    def change(running: Recording) -> None:
        change_output(running, width=128, height=96)

    _, shown = recorded(IDLE, tmp_path, change)
    assert shown == 2


def test_an_output_that_goes_ends_the_recording_or_is_waited_for(tmp_path: Path) -> None:
    def go_and_return(running: Recording) -> None:
        running.compositor.remove_output("FAKE-1")
        let_run(running)
        running.compositor.add_output(Output("FAKE-1"))
        running.compositor.wait_for(MANAGER, "create_session", 2)

    recorded(IDLE, tmp_path, go_and_return, "-o", "FAKE-1", "--on-lost", "wait")
    with recording(IDLE, tmp_path, "-o", "FAKE-1", "a.y4m") as running:
        let_run(running)
        running.compositor.remove_output("FAKE-1")
        result = running.result()
    assert result.code == 6
    assert result.stream()[1]


def test_a_screen_that_is_off_ends_a_recording_at_the_timeout(tmp_path: Path) -> None:
    """It has constraints, and never a frame."""
    result = record(
        faulty(Fault(Step.CAPTURE, faults.withhold)), tmp_path, "a.y4m", timeout=TIMEOUT
    )
    assert (result.code, result.files) == (1, [])
    assert "did not answer in time" in result.complaint
