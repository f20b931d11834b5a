"""Windows: listed, named and captured, whatever the compositor says of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.fake import FORMATS, Config, FakeCompositor, Fault, Output, Step, Window, faults
from tests.fake.image_copy import BUFFER_CONSTRAINTS
from tests.fake.toplevels import ACTIVATED, FULLSCREEN, MAXIMIZED, MINIMIZED
from tests.faults.command import (
    LONG,
    TIMEOUT,
    assert_failed,
    assert_shot,
    assert_told_at_once,
    assert_waited,
    shoot,
    wayshot,
)
from tests.faults.windows import ONE, TWO, desktop, premultiplied, straight

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake.faults import Action
    from tests.faults.command import Result

TWIN = replace(TWO, app_id=ONE.app_id, title=ONE.title)
"""Another window that says the same of itself as ONE."""


def run_list(config: Config, folder: Path, *arguments: str, timeout: float = LONG) -> Result:
    """Run ``wayshot list``."""
    with FakeCompositor(config) as compositor:
        result = wayshot(compositor, folder, "list", "--timeout", str(timeout), *arguments)
        assert compositor.leaks == []
    return result


def listed(config: Config, folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """Return the windows that ``wayshot list --json`` prints."""
    result = run_list(config, folder, "--json", *arguments)
    assert (result.code, result.stderr) == (0, "")
    windows: list[dict[str, Any]] = json.loads(result.stdout)["windows"]
    return windows


def entry(window: Window, *states: str) -> dict[str, Any]:
    """Return what the list says of a window."""
    return {
        "identifier": window.identifier,
        "app_id": window.app_id,
        "title": window.title,
        "states": list(states),
    }


class TestList:
    """What `wayshot list` says."""

    def test_both_protocols_together_tell_all(self, tmp_path: Path) -> None:
        config = desktop(
            replace(ONE, states=(ACTIVATED, FULLSCREEN)),
            replace(TWO, states=(MINIMIZED, MAXIMIZED)),
        )
        assert listed(config, tmp_path) == [
            entry(ONE, "activated", "fullscreen"),
            entry(TWO, "maximized", "minimized"),
        ]

    def test_windows_that_say_the_same_have_no_states(self, tmp_path: Path) -> None:
        config = desktop(replace(ONE, states=(ACTIVATED,)), TWIN)
        assert listed(config, tmp_path) == [entry(ONE), entry(TWIN)]

    @pytest.mark.parametrize("manager", [0, 1, 3])
    @pytest.mark.parametrize("lists", [0, 1])
    def test_each_protocol_alone_tells_its_part(
        self, lists: int, manager: int, tmp_path: Path
    ) -> None:
        config = desktop(
            replace(ONE, states=(MAXIMIZED,)),
            toplevel_list_version=lists,
            toplevel_manager_version=manager,
        )
        said = entry(ONE, *(["maximized"] if manager else []))
        if not lists:
            said["identifier"] = None
        assert listed(config, tmp_path) == ([said] if lists or manager else [])

    @pytest.mark.parametrize(
        "identifier",
        [None, "", "x" * 33, "a\nb", "a\x1b[2Jb", b"\xff\xfe", "\N{SNOWMAN}"],
        ids=ascii,
    )
    def test_a_broken_identifier_is_none(
        self, identifier: str | bytes | None, tmp_path: Path
    ) -> None:
        config = desktop(replace(ONE, identifier=identifier))
        assert listed(config, tmp_path) == [entry(replace(ONE, identifier=None))]
        assert "org.one" in run_list(config, tmp_path).stdout.decode()

    def test_the_longest_identifier_is_one(self, tmp_path: Path) -> None:
        window = replace(ONE, identifier="~ " * 16)
        assert listed(desktop(window), tmp_path) == [entry(window)]

    def test_names_do_not_reach_the_terminal_as_they_are(self, tmp_path: Path) -> None:
        config = desktop(replace(ONE, app_id="a\x1b[31m", title="two\nlines [bold]\x9b"))
        result = run_list(config, tmp_path)
        assert (result.code, result.stderr) == (0, "")
        printed = result.stdout.decode()
        assert not {c for c in printed if not c.isprintable()} - {"\n"}
        assert "a\\x1b[31m" in printed
        assert "two\\nlines [bold]\\x9b" in printed

    def test_names_that_are_not_utf_8_are_shown_somehow(self, tmp_path: Path) -> None:
        (said,) = listed(desktop(replace(ONE, title=b"caf\xe9")), tmp_path)
        assert said["title"] == "caf\N{REPLACEMENT CHARACTER}"

    def test_states_that_nobody_knows_are_left_out(self, tmp_path: Path) -> None:
        config = desktop(replace(ONE, states=(4, 0xFFFFFFFF, ACTIVATED, ACTIVATED, 99)))
        assert listed(config, tmp_path) == [entry(ONE, "activated")]

    def test_a_torn_array_of_states_does_no_harm(self, tmp_path: Path) -> None:
        torn = Fault(Step.TOPLEVEL_DONE, saying_to_manager("state", b"\2\0\0\0\1\0"))
        assert listed(desktop(ONE, faults=(torn,)), tmp_path) == [entry(ONE, "activated")]

    def test_what_is_said_last_before_done_holds(self, tmp_path: Path) -> None:
        late = Fault(Step.TOPLEVEL_DONE, faults.saying_first("title", "Renamed"))
        assert listed(desktop(ONE, faults=(late,)), tmp_path) == [
            entry(replace(ONE, title="Renamed"))
        ]

    def test_a_window_is_there_when_all_of_it_has_been_said(self, tmp_path: Path) -> None:
        config = desktop(ONE, TWO, faults=(Fault(Step.TOPLEVEL_DONE, faults.withhold, "one"),))
        assert listed(config, tmp_path) == [entry(TWO)]

    def test_a_window_that_is_closed_at_once_is_not_there(self, tmp_path: Path) -> None:
        config = desktop(ONE, TWO, faults=(Fault(Step.TOPLEVEL_DONE, closing("one"), "two"),))
        assert listed(config, tmp_path) == [entry(TWO)]

    @pytest.mark.parametrize("step", [Step.TOPLEVEL, Step.TOPLEVEL_DONE])
    def test_lists_that_end_early_have_told_what_they_have_told(
        self, step: Step, tmp_path: Path
    ) -> None:
        finish = faults.doing(lambda compositor: compositor.finish_windows())
        config = desktop(ONE, TWO, faults=(Fault(step, finish, "one"),))
        assert listed(config, tmp_path) == [entry(ONE)]

    @pytest.mark.parametrize("step", [Step.TOPLEVEL, Step.TOPLEVEL_DONE])
    def test_silence_ends_at_the_timeout(self, step: Step, tmp_path: Path) -> None:
        config = desktop(ONE, faults=(Fault(step, faults.fall_silent),))
        result = run_list(config, tmp_path, timeout=TIMEOUT)
        assert_failed(result, 1, "did not answer", "asking for the windows")
        assert_waited(result)

    def test_a_broken_event_is_an_error_and_not_a_crash(self, tmp_path: Path) -> None:
        garbled = faults.garbling(faults.with_string_size(8, 4000))
        result = run_list(desktop(ONE, faults=(Fault(Step.TOPLEVEL, garbled),)), tmp_path)
        assert_failed(result, 1, "asking for the windows")

    def test_thousands_of_windows_are_listed(self, tmp_path: Path) -> None:
        windows = [Window(f"w{n}", f"app.{n % 7}", f"Title {n}", f"id-{n}") for n in range(1000)]
        config = desktop(*windows)
        assert listed(config, tmp_path) == list(map(entry, windows))


def saying_to_manager(event: str, *arguments: Any) -> Action:
    """Say something more of a window in wlr's list, which ext's has no event for."""

    def action(moment: faults.Moment) -> bool:
        if moment.resource.interface.name.startswith("zwlr"):
            moment.client.send(moment.resource.event(event, *arguments))
        return True

    return action


def withholding_from_list(moment: faults.Moment) -> bool:
    """Say of a window in wlr's list alone that it is there."""
    return moment.resource.interface.name.startswith("zwlr")


def closing(name: str) -> Action:
    """Close a window, once, then answer as usual."""
    return faults.doing(
        lambda compositor: (
            compositor.close_window(name) if name in compositor.desktop.windows else None
        )
    )


class TestNames:
    """Which window is meant, and what is said when none is."""

    @pytest.mark.parametrize("wish", ["id-2", "app_id:org.two", "title:Second", "active"])
    def test_a_window_is_named_in_four_ways(self, wish: str, tmp_path: Path) -> None:
        config = desktop(ONE, replace(TWO, states=(ACTIVATED,)))
        result = shoot(config, tmp_path, "-w", wish)
        assert_shot(result, straight(config, "two"))
        assert result.stderr == ""

    @pytest.mark.parametrize(
        "wish", ["id-3", "ID-1", "id", "title:Firs", "app_id:Org.one", "org.one"]
    )
    def test_what_no_window_is_called_is_answered_with_what_there_is(
        self, wish: str, tmp_path: Path
    ) -> None:
        result = shoot(desktop(ONE, TWO), tmp_path, "-w", wish)
        assert_failed(result, 5, wish.rpartition(":")[2])
        hint = result.stderr.partition("\n")[2]
        assert hint == "  windows: id-1 (org.one: 'First'); id-2 (org.two: 'Second')\n"

    @pytest.mark.parametrize("wish", ["app_id:org.one", "title:First"])
    def test_what_several_windows_are_called_is_answered_with_those(
        self, wish: str, tmp_path: Path
    ) -> None:
        result = shoot(
            desktop(ONE, TWIN, replace(TWO, name="3", identifier="id-3")), tmp_path, "-w", wish
        )
        assert_failed(result, 5, "2 windows")
        assert "id-1" in result.stderr
        assert "id-2" in result.stderr
        assert "id-3" not in result.stderr

    def test_an_identifier_that_is_used_twice_names_nothing(self, tmp_path: Path) -> None:
        config = desktop(ONE, replace(TWO, identifier="id-1"))
        assert_failed(shoot(config, tmp_path, "-w", "id-1"), 5, "2 windows")

    def test_a_list_of_thousands_is_cut_short(self, tmp_path: Path) -> None:
        windows = [Window(f"w{n}", "app", f"Title {n}", f"id-{n}") for n in range(1000)]
        result = shoot(desktop(*windows), tmp_path, "-w", "app_id:app")
        assert_failed(result, 5, "1000 windows")
        assert "and 990 more" in result.stderr
        assert len(result.stderr) < 1000

    def test_names_are_escaped_in_complaints(self, tmp_path: Path) -> None:
        config = desktop(replace(ONE, title="a\x1b[2J\nb", app_id="\x07"))
        assert_failed(shoot(config, tmp_path, "-w", "nothing"), 5)

    def test_no_windows_at_all(self, tmp_path: Path) -> None:
        result = shoot(desktop(), tmp_path, "-w", "title:First")
        assert_failed(result, 5, "First")
        assert "there are no windows" in result.stderr

    @pytest.mark.parametrize("manager", [0, 3])
    @pytest.mark.parametrize("wish", ["id-1", "nothing", "app_id:org.one", "active"])
    def test_without_the_list_no_window_can_be_captured(
        self, wish: str, manager: int, tmp_path: Path
    ) -> None:
        config = desktop(
            replace(ONE, states=(ACTIVATED,)),
            toplevel_list_version=0,
            toplevel_manager_version=manager,
        )
        result = shoot(config, tmp_path, "-w", wish)
        assert_failed(result, 4, "does not offer ext_foreign_toplevel_list_v1")
        assert "sway 1.12" in result.stderr

    def test_an_empty_name_is_a_menu_that_was_closed(self, tmp_path: Path) -> None:
        assert_failed(shoot(desktop(ONE), tmp_path, "-w", ""), 3, "cancelled")

    def test_an_identifier_that_reads_like_something_else_is_an_identifier(
        self, tmp_path: Path
    ) -> None:
        config = desktop(replace(ONE, states=(ACTIVATED,)), replace(TWO, identifier="active"))
        assert_shot(shoot(config, tmp_path, "-w", "active"), straight(config, "two"))


class TestActive:
    """The window that has the keyboard, and its output."""

    def test_nothing_is_active(self, tmp_path: Path) -> None:
        assert_failed(shoot(desktop(ONE), tmp_path, "-w", "active"), 5, "no window is active")

    @pytest.mark.parametrize(
        ("config", "reason"),
        [
            (desktop(ONE, toplevel_manager_version=0), "zwlr_foreign_toplevel_manager_v1"),
            (desktop(replace(ONE, states=(ACTIVATED,)), TWIN), "others have its app_id and title"),
            (
                desktop(*(replace(window, states=(ACTIVATED,)) for window in (ONE, TWO))),
                "2 are",
            ),
        ],
        ids=["not said", "twins", "two seats"],
    )
    def test_what_cannot_be_told_is_said(self, config: Config, reason: str, tmp_path: Path) -> None:
        assert_failed(shoot(config, tmp_path, "-w", "active"), 4, reason)

    def test_a_twin_that_one_list_alone_tells_may_be_the_active_one(self, tmp_path: Path) -> None:
        """As of a window that cannot be captured."""
        hide = Fault(Step.TOPLEVEL_DONE, withholding_from_list, "two")
        config = desktop(ONE, replace(TWIN, states=(ACTIVATED,)), faults=(hide,))
        assert_failed(
            shoot(config, tmp_path, "-w", "active"), 4, "others have its app_id and title"
        )

    def test_it_is_told_after_the_delay(self, tmp_path: Path) -> None:
        config = desktop(replace(ONE, states=(ACTIVATED,)), TWO)
        change = Fault(Step.SYNC, activating_later("two", "one"), skip=2)
        config = replace(config, faults=(change,))
        result = shoot(config, tmp_path, "-w", "active", "-d", "1")
        assert_shot(result, straight(config, "two"))

    OUTPUTS = (Output("FAKE-1"), Output("FAKE-2", x=64))

    def test_the_focused_output_is_the_one_with_it(self, tmp_path: Path) -> None:
        config = desktop(
            replace(ONE, outputs=("FAKE-1",)),
            replace(TWO, outputs=("FAKE-2",), states=(ACTIVATED,)),
            outputs=self.OUTPUTS,
        )
        assert_shot(shoot(config, tmp_path, "-o", "focused"), self.OUTPUTS[1].upright(1))
        both = shoot(config, tmp_path, "-o", "focused", "-o", "FAKE-1", "--no-clobber")
        assert both.code == 1  # the file is there already: it came as far as that

    def test_it_needs_no_identifier(self, tmp_path: Path) -> None:
        config = desktop(
            replace(ONE, outputs=("FAKE-2",), states=(ACTIVATED,)),
            outputs=self.OUTPUTS,
            toplevel_list_version=0,
            image_copy_version=0,
        )
        assert_shot(shoot(config, tmp_path, "-o", "focused"), self.OUTPUTS[1].upright(1))

    def test_an_output_that_is_called_so_is_meant(self, tmp_path: Path) -> None:
        outputs = Output("FAKE-1"), Output("focused", x=64)
        config = desktop(replace(ONE, outputs=("FAKE-1",), states=(ACTIVATED,)), outputs=outputs)
        assert_shot(shoot(config, tmp_path, "-o", "focused"), outputs[1].upright(1))

    @pytest.mark.parametrize(
        ("config", "reason"),
        [
            (desktop(ONE, toplevel_manager_version=0), "zwlr_foreign_toplevel_manager_v1"),
            (desktop(replace(ONE, outputs=("FAKE-1",))), "no window is active"),
            (desktop(replace(ONE, states=(ACTIVATED,))), "on none"),
            (
                desktop(
                    replace(ONE, outputs=("FAKE-1", "FAKE-2"), states=(ACTIVATED,)),
                    outputs=OUTPUTS,
                ),
                "FAKE-1 and FAKE-2",
            ),
        ],
        ids=["not said", "none active", "on none", "on two"],
    )
    def test_a_focus_that_cannot_be_told_is_said(
        self, config: Config, reason: str, tmp_path: Path
    ) -> None:
        assert_failed(shoot(config, tmp_path, "-o", "focused"), 4, reason)


def activating_later(name: str, instead_of: str) -> Action:
    """Let another window be the active one, a moment later."""

    def change(compositor: FakeCompositor) -> None:
        compositor.later(0.1, lambda: compositor.change_window(name, states=(ACTIVATED,)))
        compositor.later(0.1, lambda: compositor.change_window(instead_of, states=()))

    done: list[bool] = []

    def action(moment: faults.Moment) -> bool:
        if not done:
            done.append(True)
            change(moment.compositor)
        return True

    return action


class TestCapture:
    """The picture of a window, and what comes instead."""

    def test_a_window_is_its_own_pixels_with_straight_alpha(self, tmp_path: Path) -> None:
        config = desktop(ONE, TWO)
        assert_shot(shoot(config, tmp_path, "-w", "id-1"), straight(config, "one"))

    @pytest.mark.parametrize("transform", [0, 1, 6])
    def test_it_comes_upright(self, transform: int, tmp_path: Path) -> None:
        surface = replace(ONE.surface, transform=transform)
        config = desktop(replace(ONE, surface=surface))
        assert_shot(shoot(config, tmp_path, "-w", "id-1"), straight(config, "one"))

    def test_one_that_shows_nothing_is_not_said_to_be_powered_off(self, tmp_path: Path) -> None:
        surface = replace(ONE.surface, constraints=(("buffer_size", 0, 0),))
        result = shoot(desktop(replace(ONE, surface=surface)), tmp_path, "-w", "id-1")
        assert_failed(result, 1, "no picture of window id-1")
        assert "is it minimized?" in result.stderr

    def test_without_alpha_it_is_opaque(self, tmp_path: Path) -> None:
        surface = replace(ONE.surface, shm_format=FORMATS["XRGB8888"])
        config = desktop(replace(ONE, surface=surface))
        assert_shot(shoot(config, tmp_path, "-w", "id-1"), premultiplied(config, "one"))

    @pytest.mark.parametrize(
        ("settings", "options", "reason"),
        [
            ({}, ("--backend", "screencopy"), "screencopy: it captures outputs, no windows"),
            ({"export_version": 1}, ("--backend", "export-dmabuf"), "captures outputs, no windows"),
            ({"image_copy_version": 0}, (), "ext_image_copy_capture_manager_v1"),
            ({"toplevel_source_version": 0}, (), "toplevel_image_capture_source_manager_v1"),
            ({"toplevel_list_version": 0}, (), "ext_foreign_toplevel_list_v1"),
        ],
        ids=["screencopy", "export-dmabuf", "no image-copy", "no sources", "no list"],
    )
    def test_what_cannot_capture_windows_says_so(
        self, settings: dict[str, Any], options: tuple[str, ...], reason: str, tmp_path: Path
    ) -> None:
        result = shoot(desktop(ONE, **settings), tmp_path, "-w", "app_id:org.one", *options)
        assert_failed(result, 4, reason)

    @pytest.mark.parametrize(
        "step",
        [Step.CONSTRAINTS, Step.CONSTRAINTS_DONE, Step.CAPTURE, Step.DESCRIBED, Step.READY],
        ids=lambda step: step.name,
    )
    def test_a_window_that_is_closed_midway_is_lost(self, step: Step, tmp_path: Path) -> None:
        config = desktop(ONE, faults=(Fault(step, closing("one")),))
        result = shoot(config, tmp_path, "-w", "id-1")
        if result.code == 0:  # it was all there by then
            assert step is Step.READY
            assert_shot(result, straight(config, "one"))
            return
        assert_failed(result, 6, "id-1", "went away")
        assert_told_at_once(result)

    def test_a_window_that_is_closed_once_it_is_found_is_lost(self, tmp_path: Path) -> None:
        config = desktop(ONE, faults=(Fault(Step.SHM_FORMATS, closing("one")),))
        result = shoot(config, tmp_path, "-w", "id-1")
        assert result.code in {5, 6}
        assert_told_at_once(result)

    def test_what_is_closed_after_its_picture_is_no_loss(self, tmp_path: Path) -> None:
        config = desktop(ONE, faults=(Fault(Step.AFTER_READY, closing("one")),))
        assert_shot(shoot(config, tmp_path, "-w", "id-1"), straight(config, "one"))

    def test_a_capture_that_is_stopped_is_lost_though_the_window_is_listed(
        self, tmp_path: Path
    ) -> None:
        config = desktop(ONE, faults=(Fault(Step.CONSTRAINTS, faults.failed),))
        assert_failed(shoot(config, tmp_path, "-w", "id-1"), 6, "id-1")

    @pytest.mark.parametrize("step", [Step.CONSTRAINTS_DONE, Step.CAPTURE, Step.READY])
    def test_silence_ends_at_the_timeout(self, step: Step, tmp_path: Path) -> None:
        config = desktop(ONE, faults=(Fault(step, faults.withhold),))
        result = shoot(config, tmp_path, "-w", "id-1", timeout=TIMEOUT)
        assert_failed(result, 1, "did not answer", "id-1", "First")
        assert "another program" in result.stderr
        assert_waited(result)

    def test_a_window_that_becomes_larger_meanwhile_is_taken_as_it_is_then(
        self, tmp_path: Path
    ) -> None:
        grown = replace(ONE.surface, width=60, height=50)
        grow = faults.doing(
            lambda compositor: (
                compositor.change_output("one", width=60, height=50)
                if compositor.desktop.heads["one"].output.width == ONE.surface.width
                else None
            )
        )
        config = desktop(ONE, faults=(Fault(Step.CAPTURE, grow),))
        result = shoot(config, tmp_path, "-w", "id-1")
        assert_shot(result, straight(desktop(replace(ONE, surface=grown)), "one"))

    def test_buffers_that_are_refused_for_ever_end_at_the_timeout(self, tmp_path: Path) -> None:
        config = desktop(ONE, faults=(Fault(Step.CAPTURE, faults.failing(BUFFER_CONSTRAINTS)),))
        assert_failed(shoot(config, tmp_path, "-w", "id-1", timeout=TIMEOUT), 1, "id-1")

    def test_a_window_that_is_closed_between_two_attempts_is_lost(self, tmp_path: Path) -> None:
        def refuse(moment: faults.Moment) -> bool:
            compositor = moment.compositor
            compositor.later(0.01, lambda: compositor.close_window("one"))
            moment.resource.fail(BUFFER_CONSTRAINTS)
            return False

        config = desktop(ONE, faults=(Fault(Step.CAPTURE, refuse),))
        result = shoot(config, tmp_path, "-w", "id-1")
        assert_failed(result, 6, "id-1", "went away")
        assert_told_at_once(result)

    def test_a_window_among_thousands_is_found(self, tmp_path: Path) -> None:
        windows = [Window(f"w{n}", "app", f"Title {n}", f"id-{n}") for n in range(1000)]
        config = desktop(*windows)
        result = shoot(config, tmp_path, "-w", "title:Title 789")
        assert_shot(result, straight(config, "w789"))

    def test_verbose_says_what_was_captured(self, tmp_path: Path) -> None:
        result = shoot(desktop(ONE), tmp_path, "-w", "id-1", "-v")
        assert result.code == 0
        assert re.search(r"capturing by image-copy into shared memory\n", result.stderr)

    def test_the_cursor_is_asked_for(self, tmp_path: Path) -> None:
        with FakeCompositor(desktop(ONE)) as compositor:
            for options in ([], ["-c"]):
                assert wayshot(compositor, tmp_path, "-w", "id-1", *options, "a.png").code == 0
            asked = [r.arguments[2] for r in compositor.requests if r.name == "create_session"]
            assert compositor.leaks == []
        assert asked == [0, 1]
