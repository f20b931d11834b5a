"""Outputs that change, go and come back while they are recorded."""

from __future__ import annotations

import os
import re
import signal
import time
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.fake import FORMATS, Config, FakeCompositor, Fault, Film, Output, Step, faults
from tests.fake.resources import WlOutput, XdgOutput
from tests.faults.recording import (
    FRAME,
    SOON,
    Recording,
    Result,
    assert_in_its_time,
    moving,
    recording,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fake.pixels import Picture

RAW = ("-t", "raw", "--pixel-format", "rgb24", "-r", "30")
SHOWN = 1
"""Frames that are to be in the file before the next thing happens; more are on their way then."""

ONE = Output("FAKE-1")
TWO = Output("FAKE-2", x=64)


def pictures(result: Result, name: str = "a.raw", size: tuple[int, int] = (64, 48)) -> Picture:
    """Return the recorded pictures: frames, height, width, (r, g, b)."""
    width, height = size
    return np.fromfile(result.folder / name, np.uint8).reshape(-1, height, width, 3)


def changes(frames: Picture) -> Picture:
    """Return the frames that differ from the one before them, and the first."""
    differ = (frames[1:] != frames[:-1]).any(axis=(1, 2, 3))
    return frames[np.flatnonzero(np.concatenate(([True], differ)))]


def assert_shown(frames: Picture, *expected: Picture) -> None:
    """Check which pictures there are, and that no other one comes between them."""
    shown = changes(frames)
    assert len(shown) == len(expected)
    for picture, right in zip(shown, expected, strict=True):
        assert np.array_equal(picture, right)


def let_run(running: Recording, name: str = "a.raw", size: tuple[int, int] = (64, 48)) -> None:
    """Wait until a few frames more have been written."""
    path = running.folder / name
    before = path.stat().st_size if path.exists() else 0
    running.wait_for_bytes(name, before + SHOWN * 3 * size[0] * size[1])


def record_change(
    outputs: tuple[Output, ...],
    folder: Path,
    change: Callable[[Recording], object],
    *arguments: str,
) -> Result:
    """Record a static output, which changes in the middle."""
    with recording(Config(outputs, idle=True), folder, *RAW, *arguments, "a.raw") as running:
        let_run(running)
        running.compositor.wait_until_watched()
        change(running)
        running.compositor.wait_until_watched()
        time.sleep(0.15)
        result = running.told(signal.SIGINT)
    assert result.code == 0, result.stderr
    assert result.words == ""
    return result


def resized(**changed: Any) -> Callable[[Recording], object]:
    """Return a change of the first output."""
    return lambda running: running.compositor.change_output("FAKE-1", **changed)


def over_black(picture: Picture, left: int, top: int) -> Picture:
    """Return a picture of 64x48 with another one somewhere in it."""
    canvas = np.zeros((48, 64, 3), np.uint8)
    height, width = (min(a, b) for a, b in zip(picture.shape[:2], canvas.shape[:2], strict=True))
    canvas[top : top + height, left : left + width] = picture[:height, :width]
    return canvas


# Another size.


@pytest.mark.parametrize(("width", "height"), [(32, 48), (200, 10)])
def test_pad_keeps_the_pixels(width: int, height: int, tmp_path: Path) -> None:
    change = resized(width=width, height=height)
    result = record_change((ONE,), tmp_path, change, "--on-resize", "pad")
    later = replace(ONE, width=width, height=height).upright(0)
    assert_shown(pictures(result), ONE.upright(0), over_black(later, 0, 0))


def test_scale_keeps_the_proportions(tmp_path: Path) -> None:
    result = record_change((ONE,), tmp_path, resized(width=32, height=48))
    later = replace(ONE, width=32, height=48).upright(0)
    assert_shown(pictures(result), ONE.upright(0), over_black(later, 16, 0))


def test_scale_doubles_what_has_half_the_size(tmp_path: Path) -> None:
    result = record_change((ONE,), tmp_path, resized(width=32, height=24))
    later = replace(ONE, width=32, height=24).upright(0)
    doubled = later.repeat(2, axis=0).repeat(2, axis=1)
    assert_shown(pictures(result), ONE.upright(0), doubled)


def test_stop_completes_the_file_and_says_why(tmp_path: Path) -> None:
    with recording(
        Config((ONE,), idle=True), tmp_path, *RAW, "--on-resize", "stop", "a.raw"
    ) as running:
        let_run(running)
        running.compositor.change_output("FAKE-1", width=96, height=72)
        result = running.result()
    assert result.code == 0
    assert "96x72" in result.complaint
    assert result.files == ["a.raw"]
    assert len(pictures(result)) == result.whole_statistics.written
    assert_shown(pictures(result), ONE.upright(0))


def test_segment_goes_on_in_another_file(tmp_path: Path) -> None:
    sizes = [(64, 48), (96, 72), (20, 32)]
    names = ["a.raw", "a-2.raw", "a-3.raw"]
    arguments = (*RAW, "--on-resize", "segment", "a.raw")
    with recording(Config((ONE,), idle=True), tmp_path, *arguments) as running:
        for size, name in zip(sizes, names, strict=True):
            running.compositor.change_output("FAKE-1", width=size[0], height=size[1])
            let_run(running, name, size)
        result = running.told(signal.SIGINT)
    assert result.code == 0
    assert result.files == sorted(names)
    for size, name in zip(sizes, names, strict=True):
        upright = replace(ONE, width=size[0], height=size[1]).upright(0)
        assert_shown(pictures(result, name, size), upright)
    count = sum(len(pictures(result, name, size)) for size, name in zip(sizes, names, strict=True))
    assert count == result.statistics.written
    assert result.slots == round(result.statistics.seconds * 30)


def test_each_segment_has_its_own_times(tmp_path: Path) -> None:
    arguments = ("-t", "raw", "--timestamps", "times.txt", "--on-resize", "segment", "a.raw")
    with recording(Config((ONE,), idle=True), tmp_path, *arguments) as running:
        running.wait_for_bytes("a.raw")
        time.sleep(0.3)
        running.compositor.change_output("FAKE-1", width=32, height=24)
        running.wait_for_bytes("a-2.raw")
        time.sleep(0.2)
        result = running.told(signal.SIGINT)
    assert result.code == 0
    assert result.files == ["a-2.raw", "a.raw", "times-2.txt", "times.txt"]
    for name, times, pixels in (("a", "times", 64 * 48), ("a-2", "times-2", 32 * 24)):
        heading, *lines = (tmp_path / f"{times}.txt").read_text().splitlines()
        assert heading == "# timestamp format v2"
        stamps = [float(line) for line in lines]
        assert stamps == sorted(set(stamps))
        assert stamps[0] == 0
        assert stamps[-1] >= 200
        assert len(stamps) * pixels * 4 == (tmp_path / f"{name}.raw").stat().st_size


def record_two_segments(folder: Path, *arguments: str) -> Result:
    """Record into two files, raw, of which ``segments`` knows the names."""
    options = (*RAW, "--on-resize", "segment", *arguments)
    with recording(Config((ONE,), idle=True), folder, *options) as running:
        running.wait_until(lambda: len(segments(folder)) == 1)
        running.compositor.change_output("FAKE-1", width=32, height=24)
        running.wait_until(lambda: len(segments(folder)) == 2)
        return running.told(signal.SIGINT)


def segments(folder: Path) -> list[Path]:
    """Return the files of raw video that are not empty, in their order."""
    paths = [path for path in folder.glob("*.raw") if path.stat().st_size]
    return sorted(paths, key=lambda path: (len(path.name), path.name))


@pytest.mark.parametrize("code", [0, 3])
def test_each_segment_is_handed_on_when_it_is_whole(code: int, tmp_path: Path) -> None:
    """Also after one for which the command has failed."""
    command = f'sh -c \'stat -c "%s %n" "$1"; exit {code}\' sh {{}}'
    result = record_two_segments(tmp_path, "--exec", command, "a.raw")
    assert result.code == (1 if code else 0)
    assert result.files == ["a-2.raw", "a.raw"]
    handed_on = [f"{path.stat().st_size} {path}" for path in segments(tmp_path)]
    assert result.stdout.decode().splitlines() == handed_on
    assert result.words == ("wayshot: --exec: 'sh' failed with exit code 3\n" if code else "")


def test_the_names_of_all_segments_are_printed_where_they_were_chosen(tmp_path: Path) -> None:
    result = record_two_segments(tmp_path, ".")
    assert result.code == 0
    names = [os.path.join(".", path.name) for path in segments(tmp_path)]
    assert result.stdout.decode().splitlines() == names
    assert names[1] == names[0].replace(".raw", "-2.raw")


@pytest.mark.parametrize("policy", ["scale", "segment"])
def test_nothing_is_lost_of_a_moving_screen_whose_mode_changes(policy: str, tmp_path: Path) -> None:
    arguments = ("--duration", "3", "--on-resize", policy, "a.y4m")
    with recording(moving(30), tmp_path, *arguments) as running:
        running.wait_for_bytes("a.y4m", 64 * 48 * 3 // 2 * 10)
        running.compositor.change_output("FAKE-1", width=96, height=72)
        result = running.result()
    assert result.code == 0
    segments = [name for name in ("a.y4m", "a-2.y4m") if name in result.files]
    assert len(segments) == (2 if policy == "segment" else 1)
    numbers = [number for name in segments for number in result.counters(name)]
    assert len(numbers) == result.statistics.written
    assert result.slots == 90
    assert_in_its_time(numbers, 30, result.statistics.dropped)


# The same size, in another way.


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("xbgr8888", RAW),
        ("rgb565", RAW),
        ("bgr888", RAW[:2] + RAW[4:]),  # the screen's own before, kept
        ("xrgb2101010", RAW[:2] + RAW[4:]),
    ],
)
def test_another_pixel_format_shows_the_same(
    name: str, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    other = next(found for key, found in FORMATS.items() if key.lower() == name)
    # A client may use what wl_shm has offered it.
    codes = (0, 1, other.code)
    config = Config((ONE,), idle=True, shm_formats=codes)
    with recording(config, tmp_path, *arguments, "a.raw") as running:
        let_run(running)
        running.compositor.wait_until_watched()
        running.compositor.change_output("FAKE-1", shm_format=other)
        running.compositor.wait_until_watched()
        time.sleep(0.15)
        let_run(running)
        result = running.told(signal.SIGINT)
    assert result.code == 0
    frames = np.fromfile(tmp_path / "a.raw", np.uint8)
    if arguments == RAW:
        frames = frames.reshape(-1, 48, 64, 3)
    else:
        frames = frames.reshape(-1, 48, 64, 4)[:, :, :, 2::-1]
    assert np.array_equal(frames[0], ONE.upright(0))
    worst = 0 if name != "rgb565" else 8
    assert np.abs(frames.astype(int) - ONE.upright(0)).max() <= worst


@pytest.mark.parametrize("transform", [2, 4])
def test_another_transform_shows_the_same(transform: int, tmp_path: Path) -> None:
    result = record_change((ONE,), tmp_path, resized(transform=transform))
    assert_shown(pictures(result), ONE.upright(0))


def test_a_turned_screen_is_fitted(tmp_path: Path) -> None:
    change = resized(transform=1)
    result = record_change((ONE,), tmp_path, change, "--on-resize", "pad")
    turned = replace(ONE, transform=1).upright(0)
    assert_shown(pictures(result), ONE.upright(0), over_black(turned, 0, 0))


def test_a_frame_of_a_transform_that_is_just_being_told_is_not_shown_turned(
    tmp_path: Path,
) -> None:
    """The compositor changes and goes on; what was asked for before then shows the new state."""

    def turn(compositor: FakeCompositor) -> None:
        (head,), (client,) = compositor.heads, compositor.clients
        client.write = lambda: None  # type: ignore[method-assign] # it is to come all at once
        head.output = replace(head.output, transform=2)
        for resource in list(client.objects.values()):
            if isinstance(resource, (WlOutput, XdgOutput)):
                resource.describe()
        compositor.damage()
        del client.write
        client.write()

    arguments = ("-t", "raw", "--pixel-format", "rgb24", "--timestamps", "times.txt", "a.raw")
    with recording(Config((ONE,), idle=True), tmp_path, *arguments) as running:
        compositor = running.compositor
        compositor.wait_for(FRAME, "copy_with_damage", 2)
        compositor._run(lambda: turn(compositor))
        compositor.wait_for(FRAME, "copy_with_damage", 3)
        result = running.told(signal.SIGINT)
    assert result.code == 0
    assert_shown(pictures(result), ONE.upright(0))


def test_a_region_of_a_screen_that_gets_another_scale_is_that_region_still(
    tmp_path: Path,
) -> None:
    outputs = (replace(ONE, width=128, height=96),)
    region = ("-g", "8,6 32x24")
    with recording(
        Config(outputs, idle=True), tmp_path, *RAW, *region, "--on-resize", "segment", "a.raw"
    ) as running:
        let_run(running, size=(32, 24))
        running.compositor.change_output("FAKE-1", scale=2)
        let_run(running, "a-2.raw", (64, 48))
        result = running.told(signal.SIGINT)
    assert result.code == 0
    whole = outputs[0].upright(0)
    assert_shown(pictures(result, "a.raw", (32, 24)), whole[6:30, 8:40])
    assert_shown(pictures(result, "a-2.raw", (64, 48)), whole[12:60, 16:80])


# Gone.


@pytest.mark.parametrize("fail_frames", [True, False], ids=["failed", "silent"])
@pytest.mark.parametrize("target", [(), ("-o", "FAKE-1"), ("-g", "1,2 30x20")], ids=str)
def test_an_output_that_went_away_ends_a_complete_recording(
    target: tuple[str, ...], *, fail_frames: bool, tmp_path: Path
) -> None:
    size = (30, 20) if "-g" in target else (64, 48)
    with recording(Config((ONE,), idle=True), tmp_path, *RAW, *target, "a.raw") as running:
        let_run(running, size=size)
        running.compositor.remove_output("FAKE-1", fail_frames=fail_frames)
        result = running.result(SOON)
    assert result.code == 6
    assert "went away" in result.complaint
    assert len(pictures(result, size=size)) == result.whole_statistics.written


@pytest.mark.parametrize("policy", ["stop", "wait"])
def test_everything_goes_on_without_one_of_its_outputs(policy: str, tmp_path: Path) -> None:
    arguments = ("--on-lost", policy, "--on-resize", "pad")
    both = np.concatenate((ONE.upright(0), TWO.upright(1)), axis=1)
    one = np.zeros_like(both)
    one[:, :64] = ONE.upright(0)
    with recording(Config((ONE, TWO), idle=True), tmp_path, *RAW, *arguments, "a.raw") as running:
        let_run(running, size=(128, 48))
        running.compositor.wait_for(FRAME, "copy", 2)
        running.compositor.remove_output("FAKE-2")
        running.compositor.wait_for(FRAME, "copy", 3)
        running.compositor.wait_until_watched()
        time.sleep(0.15)
        let_run(running, size=(128, 48))
        running.compositor.damage("FAKE-1")
        result = running.told(signal.SIGINT)
    assert result.code == 0
    assert result.words == ""
    assert_shown(pictures(result, size=(128, 48)), both, one)


def test_an_output_that_is_plugged_in_becomes_part_of_everything(tmp_path: Path) -> None:
    both = np.concatenate((ONE.upright(0), TWO.upright(1)), axis=1)
    with recording(
        Config((ONE,), idle=True), tmp_path, *RAW, "--on-resize", "segment", "a.raw"
    ) as running:
        let_run(running)
        running.compositor.add_output(TWO)
        let_run(running, "a-2.raw", (128, 48))
        result = running.told(signal.SIGINT)
    assert result.code == 0
    assert_shown(pictures(result), ONE.upright(0))
    assert_shown(pictures(result, "a-2.raw", (128, 48)), both)


@pytest.mark.parametrize("target", [("-o", "FAKE-1"), ("-g", "1,2 30x20")], ids=str)
def test_what_others_do_is_no_concern_of_a_recording(
    target: tuple[str, ...], tmp_path: Path
) -> None:
    size = (30, 20) if "-g" in target else (64, 48)
    config = Config((replace(ONE, film=Film(Fraction(30))), TWO))
    with recording(config, tmp_path, *target, "-r", "30", "a.y4m") as running:
        running.wait_for_bytes("a.y4m")
        for _ in range(5):
            running.compositor.remove_output("FAKE-2")
            time.sleep(0.05)
            running.compositor.add_output(TWO)
            running.compositor.change_output("FAKE-2", width=48)
            time.sleep(0.05)
        result = running.told(signal.SIGINT)
    assert result.code == 0
    assert result.words == ""
    header, frames = result.stream()
    assert header.size == size
    assert len(frames) == result.statistics.written
    assert result.slots == round(result.statistics.seconds * 30)


@pytest.mark.parametrize("size", [(64, 48), (32, 24)], ids=str)
def test_a_recording_waits_for_an_output_and_takes_it_back(
    size: tuple[int, int], tmp_path: Path
) -> None:
    returned = replace(ONE, width=size[0], height=size[1], x=200)

    def leave_and_return(running: Recording) -> None:
        compositor = running.compositor
        compositor.remove_output("FAKE-1")
        time.sleep(0.2)
        compositor.add_output(replace(TWO, name="FAKE-3"))
        time.sleep(0.1)
        compositor.add_output(TWO)
        compositor.add_output(returned)  # the fourth of the pattern

    arguments = ("-o", "FAKE-1", "--on-lost", "wait")
    result = record_change((ONE,), tmp_path, leave_and_return, *arguments)
    factor = 64 // size[0]
    later = returned.upright(3).repeat(factor, axis=0).repeat(factor, axis=1)
    assert_shown(pictures(result), ONE.upright(0), later)
    assert len(pictures(result)) == result.statistics.written
    assert result.slots == round(result.statistics.seconds * 30)


def test_a_recording_waits_for_something_to_lie_under_its_region(tmp_path: Path) -> None:
    def leave_and_return(running: Recording) -> None:
        compositor = running.compositor
        copies = compositor.count(FRAME, "copy")
        compositor.change_output("FAKE-1", x=500)
        time.sleep(0.1)
        for _ in range(2):  # a pause, and on
            running.send(signal.SIGUSR1)
            time.sleep(0.1)
        assert compositor.count(FRAME, "copy") == copies, "nothing lies there"
        compositor.change_output("FAKE-1", x=0)

    arguments = ("-g", "0,0 64x48", "--on-lost", "wait")
    result = record_change((ONE,), tmp_path, leave_and_return, *arguments)
    assert_shown(pictures(result), ONE.upright(0))


@pytest.mark.parametrize("arguments", [("--duration", "2"), ()], ids=["duration", "interrupt"])
def test_the_wait_for_an_output_ends_as_a_recording_does(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    config = Config((ONE,), idle=True)
    with recording(config, tmp_path, *RAW, *arguments, "--on-lost", "wait", "a.raw") as running:
        let_run(running)
        running.compositor.remove_output("FAKE-1")
        for _ in range(2):  # a pause, and on; at once they would be one signal
            time.sleep(0.1)
            running.send(signal.SIGUSR1)
        time.sleep(0.1)
        assert running.process.poll() is None
        result = running.result(SOON) if arguments else running.told(signal.SIGINT)
    assert result.code == 0
    assert result.words == ""
    frames = pictures(result)
    assert len(frames) == result.statistics.written
    assert result.slots == round(result.statistics.seconds * 30)
    assert_shown(frames, ONE.upright(0))
    if arguments:
        assert result.slots == 60


def test_all_outputs_may_go_and_come_back_again_and_again(tmp_path: Path) -> None:
    config = Config((ONE, TWO), idle=True)
    arguments = ("--on-lost", "wait", "--on-resize", "pad", "a.raw")
    with recording(config, tmp_path, *RAW, *arguments) as running:
        let_run(running, size=(128, 48))
        descriptors = running.descriptors()
        for _ in range(10):
            running.compositor.remove_output("FAKE-2")
            running.compositor.remove_output("FAKE-1")
            time.sleep(0.02)
            running.compositor.add_output(ONE)
            running.compositor.add_output(TWO)
            time.sleep(0.02)
        let_run(running, size=(128, 48))
        running.wait_until(  # of what is just being asked
            lambda: running.descriptors() <= descriptors + 2
        )
        result = running.told(signal.SIGINT)
    assert result.code == 0
    assert result.words == ""


# At an awkward time.


def test_a_signal_while_a_new_output_is_being_asked_about_does_no_harm(tmp_path: Path) -> None:
    signalled: list[bool] = []

    def interrupt(moment: faults.Moment) -> bool:
        if moment.output == "FAKE-2" and not signalled:
            signalled.append(True)
            running.send(signal.SIGUSR2)
            time.sleep(0.1)
        return True

    config = Config((ONE,), idle=True, faults=(Fault(Step.OUTPUT, interrupt),))
    both = np.concatenate((ONE.upright(0), TWO.upright(1)), axis=1)
    with recording(config, tmp_path, *RAW, "--on-resize", "segment", "a.raw") as running:
        let_run(running)
        running.compositor.add_output(TWO)
        let_run(running, "a-2.raw", (128, 48))
        result = running.told(signal.SIGINT)
    assert signalled
    assert result.code == 0, result.stderr
    assert re.fullmatch(r"wayshot: still: a-\d+-\d+\.png\n", result.words)
    assert_shown(pictures(result, "a-2.raw", (128, 48)), both)
