"""Windows that are recorded: they change their size, hide, close, and come back."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.fake import Fault, Output, Step, faults
from tests.fake.image_copy import ImageFrame
from tests.fake.toplevels import ACTIVATED
from tests.faults.command import TIMEOUT
from tests.faults.recording import recording
from tests.faults.test_record_outputs import assert_shown, let_run, pictures
from tests.faults.windows import ONE, TWO, desktop, premultiplied

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.recording import Recording

RAW = ("-t", "raw", "--pixel-format", "rgb24", "-r", "30")
SIZE = 40, 30
LARGE = 60, 50

STATIC = desktop(ONE, idle=True)
SHOWN = premultiplied(STATIC, "one")
"""ONE as video has it: over black."""

GROWN = premultiplied(
    desktop(replace(ONE, surface=replace(ONE.surface, width=LARGE[0], height=LARGE[1]))), "one"
)


def grow(running: Recording) -> None:
    """Make the window larger."""
    running.compositor.change_output("one", width=LARGE[0], height=LARGE[1])


def test_a_window_that_is_closed_is_the_end_of_a_whole_file(tmp_path: Path) -> None:
    with recording(STATIC, tmp_path, *RAW, "-w", "id-1", "a.raw") as running:
        let_run(running, size=SIZE)
        running.compositor.close_window("one")
        result = running.result()
    assert result.code == 6
    assert "id-1" in result.complaint
    assert "First" in result.complaint
    frames = pictures(result, size=SIZE)
    assert len(frames) == result.whole_statistics.written
    assert_shown(frames, SHOWN)


@pytest.mark.parametrize("step", [Step.CAPTURE, Step.DESCRIBED, Step.READY])
def test_so_is_one_that_is_closed_while_a_frame_is_on_its_way(step: Step, tmp_path: Path) -> None:
    close = faults.doing(
        lambda compositor: (
            compositor.close_window("one") if "one" in compositor.desktop.windows else None
        )
    )
    config = replace(STATIC, idle=False, faults=(Fault(step, close, skip=5),))
    with recording(config, tmp_path, *RAW, "-w", "id-1", "a.raw") as running:
        result = running.result()
    assert result.code == 6
    assert result.whole_statistics.written > 0
    assert_shown(pictures(result, size=SIZE), SHOWN)


def test_a_capture_that_is_stopped_is_lost_though_the_window_is_listed(tmp_path: Path) -> None:
    config = replace(STATIC, idle=False, faults=(Fault(Step.DESCRIBED, stop_session, skip=5),))
    with recording(config, tmp_path, *RAW, "-w", "id-1", "a.raw") as running:
        result = running.result()
    assert result.code == 6
    assert result.whole_statistics.written > 0


def stop_session(moment: faults.Moment) -> bool:
    """Stop the session of a frame, which fails with it."""
    assert isinstance(moment.resource, ImageFrame)
    moment.resource.session.stop()
    return False


class TestResize:
    """In the middle of a recording."""

    @pytest.mark.parametrize("how", ["scale", "pad"])
    def test_the_recording_keeps_its_size(self, how: str, tmp_path: Path) -> None:
        options = (*RAW, "-w", "id-1", "--on-resize", how, "a.raw")
        with recording(STATIC, tmp_path, *options) as running:
            let_run(running, size=SIZE)
            running.compositor.wait_until_watched("one")
            grow(running)
            running.compositor.wait_until_watched("one")
            time.sleep(0.15)
            let_run(running, size=SIZE)
            result = running.told(signal.SIGINT)
        assert result.code == 0
        frames = pictures(result, size=SIZE)
        assert np.array_equal(frames[0], SHOWN)
        last = frames[-1]
        if how == "pad":
            assert np.array_equal(last, GROWN[: SIZE[1], : SIZE[0]])
        else:  # 60x50 in 40x30 is 36x30, in the middle
            assert not last[:, :2].any()
            assert not last[:, 38:].any()
            assert np.abs(last[:, 2:38].mean() - GROWN.mean()) < 8

    def test_stop(self, tmp_path: Path) -> None:
        options = (*RAW, "-w", "id-1", "--on-resize", "stop", "a.raw")
        with recording(STATIC, tmp_path, *options) as running:
            let_run(running, size=SIZE)
            grow(running)
            result = running.result()
        assert result.code == 0
        assert "60x50: stopped (--on-resize)" in result.words
        assert_shown(pictures(result, size=SIZE), SHOWN)

    def test_segment(self, tmp_path: Path) -> None:
        options = (*RAW, "-w", "id-1", "--on-resize", "segment", "a.raw")
        with recording(STATIC, tmp_path, *options) as running:
            let_run(running, size=SIZE)
            grow(running)
            let_run(running, "a-2.raw", LARGE)
            result = running.told(signal.SIGINT)
        assert result.code == 0
        assert_shown(pictures(result, size=SIZE), SHOWN)
        assert_shown(pictures(result, "a-2.raw", LARGE), GROWN)


class TestSilence:
    """Of windows that nobody sees."""

    def test_the_first_frame_is_owed(self, tmp_path: Path) -> None:
        config = replace(STATIC, faults=(Fault(Step.CAPTURE, faults.withhold),))
        options = (*RAW, "-w", "id-1", "a.raw")
        with recording(config, tmp_path, *options, timeout=TIMEOUT) as running:
            result = running.result()
        assert result.code == 1
        assert "did not answer in time" in result.complaint
        assert "id-1" in result.complaint
        assert result.files == []

    def test_the_next_one_is_not(self, tmp_path: Path) -> None:
        options = (*RAW, "-w", "id-1", "--duration", "2", "a.raw")
        with recording(STATIC, tmp_path, *options, timeout=TIMEOUT) as running:
            result = running.result()
        assert (result.code, result.words) == (0, "")
        frames = pictures(result, size=SIZE)
        assert result.slots == 60
        assert_shown(frames, SHOWN)

    def test_pausing_and_a_still_in_between_do_no_harm(self, tmp_path: Path) -> None:
        with recording(STATIC, tmp_path, *RAW, "-w", "id-1", "a.raw") as running:
            let_run(running, size=SIZE)
            for number in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR1):
                running.send(number)
                time.sleep(0.2)
            let_run(running, size=SIZE)
            result = running.told(signal.SIGINT)
        assert result.code == 0
        (still,) = (name for name in result.files if name.endswith(".png"))
        assert still
        assert_shown(pictures(result, size=SIZE), SHOWN)


class TestLost:
    """What --on-lost wait does, and stop does not."""

    @pytest.mark.parametrize("wish", ["app_id:org.one", "title:First", "active"])
    def test_the_next_window_of_that_name_is_recorded_on(self, wish: str, tmp_path: Path) -> None:
        first = replace(ONE, states=(ACTIVATED,))
        again = replace(first, name="again", identifier="id-9")
        config = desktop(first, idle=True)
        shown = premultiplied(desktop(first, again), "again")
        options = (*RAW, "-w", wish, "--on-lost", "wait", "a.raw")
        with recording(config, tmp_path, *options) as running:
            let_run(running, size=SIZE)
            running.compositor.close_window("one")
            let_run(running, size=SIZE)
            running.compositor.open_window(TWO)
            let_run(running, size=SIZE)
            running.compositor.open_window(again)
            running.wait_for_another("a.raw", SIZE[0] * SIZE[1] * 3)
            result = running.told(signal.SIGINT)
        assert (result.code, result.words) == (0, "")
        shown_two = premultiplied(desktop(first, TWO, again), "again")
        assert not np.array_equal(shown, shown_two)
        assert_shown(pictures(result, size=SIZE), SHOWN, shown_two)

    def test_an_identifier_does_not_come_back(self, tmp_path: Path) -> None:
        options = (*RAW, "-w", "id-1", "--on-lost", "wait", "a.raw")
        with recording(STATIC, tmp_path, *options) as running:
            let_run(running, size=SIZE)
            running.compositor.close_window("one")
            running.compositor.open_window(replace(ONE, name="again", identifier="id-9"))
            let_run(running, size=SIZE)
            result = running.told(signal.SIGINT)
        assert (result.code, result.words) == (0, "")
        assert_shown(pictures(result, size=SIZE), SHOWN)

    def test_another_window_of_the_same_name_is_not_taken_for_it(self, tmp_path: Path) -> None:
        with recording(STATIC, tmp_path, *RAW, "-w", "app_id:org.one", "a.raw") as running:
            let_run(running, size=SIZE)
            running.compositor.open_window(replace(ONE, name="again", identifier="id-9"))
            let_run(running, size=SIZE)
            running.compositor.close_window("one")
            result = running.result()
        assert result.code == 6
        assert_shown(pictures(result, size=SIZE), SHOWN)

    def test_a_new_title_is_no_loss(self, tmp_path: Path) -> None:
        with recording(STATIC, tmp_path, *RAW, "-w", "title:First", "a.raw") as running:
            let_run(running, size=SIZE)
            running.compositor.change_window("one", title="Other")
            let_run(running, size=SIZE)
            result = running.told(signal.SIGINT)
        assert (result.code, result.words) == (0, "")

    def test_windows_that_come_and_go_do_not_pile_up(self, tmp_path: Path) -> None:
        options = (*RAW, "-w", "app_id:org.one", "--on-lost", "wait", "a.raw")
        with recording(STATIC, tmp_path, *options) as running:
            let_run(running, size=SIZE)
            descriptors = running.descriptors()
            running.compositor.close_window("one")
            for number in range(20):
                name = f"again-{number}"
                running.compositor.open_window(replace(ONE, name=name, identifier=name))
                time.sleep(0.03)
                running.compositor.close_window(name)
            for handle in (
                "ext_foreign_toplevel_handle_v1",
                "zwlr_foreign_toplevel_handle_v1",
            ):
                running.compositor.wait_for(handle, "destroy", 21)
                assert running.compositor.count(handle, "destroy") == 21
            running.wait_until(lambda: running.descriptors() <= descriptors + 2)
            result = running.told(signal.SIGINT)
            assert running.compositor.leaks == []
        assert (result.code, result.words) == (0, "")


def test_the_active_window_is_the_one_that_is_so_after_the_delay(tmp_path: Path) -> None:
    config = desktop(replace(ONE, states=(ACTIVATED,)), TWO, idle=True)
    options = ("-w", "active", "-d", "2", "--duration", "0.5", "a.raw")
    with recording(config, tmp_path, *RAW, *options) as running:
        running.compositor.wait_for("wl_registry", "bind", 8)
        time.sleep(0.3)
        running.compositor.change_window("one", states=())
        running.compositor.change_window("two", states=(ACTIVATED,))
        result = running.result()
    assert (result.code, result.words) == (0, "")
    assert_shown(pictures(result, size=SIZE), premultiplied(config, "two"))


class TestRefusals:
    """Before anything is recorded."""

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            (("-w", "id-2"), 5),
            (("-w", "id-1", "--backend", "screencopy"), 4),
            (("-w", "id-1", "--no-damage"), 4),
            (("-w", "id-1", "-o", "FAKE-1"), 2),
            (("-w", "id-1", "-g", "0,0 1x1"), 2),
            (("-w", ""), 3),
        ],
    )
    def test_nothing_is_written(self, options: tuple[str, ...], code: int, tmp_path: Path) -> None:
        with recording(STATIC, tmp_path, *RAW, *options, "a.raw") as running:
            result = running.result()
        assert result.code == code
        assert result.files == []


def test_the_focused_output_stays_the_one_that_it_was_at_the_beginning(tmp_path: Path) -> None:
    outputs = Output("FAKE-1"), Output("FAKE-2", x=64)
    first = replace(ONE, outputs=("FAKE-2",), states=(ACTIVATED,))
    config = desktop(first, outputs=outputs, idle=True)
    with recording(config, tmp_path, *RAW, "-o", "focused", "a.raw") as running:
        let_run(running)
        running.compositor.change_window("one", outputs=("FAKE-1",))
        running.compositor.change_output("FAKE-1", description="another")
        let_run(running)
        result = running.told(signal.SIGINT)
    assert (result.code, result.words) == (0, "")
    assert_shown(pictures(result), outputs[1].upright(1))
