"""A frozen screen on compositors that misbehave, and what they are given to show."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.descriptors import descriptors, leaving_no_more
from tests.fake import FORMATS, FakeCompositor, Fault, Output, Step, faults
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
from tests.faults.selecting import LAYERS, select, selecting
from tests.processes import is_running, wait_until
from wayshot_cli.cli.children import descendants
from wayshot_cli.cli.selecting import Programs, select_point, select_region
from wayshot_cli.errors import CancelledError, SelectionError, UnsupportedError
from wayshot_cli.freeze import freeze
from wayshot_cli.geometry import Box
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake.layers import Shown

PART = Output().upright(0)[2:6, 1:4]
"""What 1,2 3x4 shows."""

OVERLAY, ALL_EDGES, WHOLE_OUTPUT = 3, 15, -1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the command runs; what the selector leaves behind goes to the folder above."""
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def assert_right(shown: Shown, output: Output) -> None:
    """Check where it is shown, and that nobody's keyboard is taken for it."""
    assert (shown.layer, shown.anchor, shown.exclusive_zone) == (OVERLAY, ALL_EDGES, WHOLE_OUTPUT)
    assert (shown.keyboard, shown.namespace) == (0, "wayshot")
    assert shown.destination == output.logical_size


ANSWER = "until [ -e ../go ]; do sleep 0.02; done; echo 1,2 3x4"


def frozen(
    folder: Path, *outputs: Output, copies: int = 0, image_copy_version: int = 0
) -> dict[str | bytes | None, Shown]:
    """Return what is shown while the selector waits.

    The captures themselves are shown, but for some that have to be copied.
    """
    (folder.parent / "go").unlink(missing_ok=True)
    (folder.parent / "asked").unlink(missing_ok=True)
    config = replace(LAYERS, outputs=outputs, image_copy_version=image_copy_version)
    with FakeCompositor(config) as compositor:
        with selecting(compositor, folder, "--freeze", script=ANSWER) as process:
            shown = compositor.shown
            (folder.parent / "go").touch()
        assert process.returncode == 0
        compositor.wait_until_gone()
        assert (compositor.violations, compositor.leaks) == ([], [])
        assert compositor.count("wl_shm", "create_pool") == len(outputs) + copies
    return shown


@pytest.mark.parametrize("protocol", ["screencopy", "image-copy"])
@pytest.mark.parametrize("transform", range(8))
def test_the_capture_itself_is_shown_as_the_output_is_turned(
    folder: Path, transform: int, protocol: str
) -> None:
    is_newer = protocol == "image-copy"
    output = Output(transform=transform, padding=0 if is_newer else 12, y_invert=not is_newer)
    shown = frozen(folder, output, image_copy_version=int(is_newer))["FAKE-1"]
    assert_right(shown, output)
    assert shown.pixels == output.memory(0)
    if is_newer:
        assert shown.transform == transform


@pytest.mark.parametrize("name", ["ARGB8888", "ABGR8888", "BGRA8888", "ARGB2101010"])
@pytest.mark.parametrize("transform", [0, 5])
def test_what_has_alpha_is_shown_opaque(folder: Path, name: str, transform: int) -> None:
    output = Output(transform=transform, shm_format=FORMATS[name], padding=12)
    shown = frozen(folder, output, copies=1)["FAKE-1"]
    assert_right(shown, output)
    assert (shown.transform, shown.size) == (0, output.upright_size)
    seen = FORMATS[name].shown(output.upright(0)).astype("uint8")
    assert shown.format == FORMATS["ARGB8888"].code
    assert shown.pixels == FORMATS["ARGB8888"].pack(seen, shown.stride, filler=255)


def test_a_logical_size_that_is_cut_off_resamples_nothing(folder: Path) -> None:
    # At 1.5 that is 426x320 logical units, and those are 639x480 pixels.
    output = Output(width=640, height=480, logical=(426, 320), transform=2)
    shown = frozen(folder, output, copies=1)["FAKE-1"]
    assert_right(shown, output)
    assert (shown.size, shown.transform) == ((639, 480), 0)
    expected = FORMATS["ARGB8888"].pack(output.upright(0)[:, :639], shown.stride, filler=255)
    assert shown.pixels == expected


def test_each_output_shows_its_own(folder: Path) -> None:
    outputs = Output("FAKE-1", scale=2), Output("FAKE-2", width=40, height=30, x=32)
    shown = frozen(folder, *outputs)
    for index, output in enumerate(outputs):
        assert_right(shown[output.name], output)
        assert shown[output.name].pixels == output.memory(index)


# What is missing, late or wrong


@pytest.mark.parametrize("step", [Step.CONFIGURE, Step.SHOWN])
def test_silence_ends_at_the_timeout(folder: Path, step: Step) -> None:
    config = replace(LAYERS, faults=(Fault(step, faults.withhold),))
    words = ("--select", "--freeze", "--selector", "touch ../asked")
    result = shoot(config, folder, *words, timeout=TIMEOUT)
    assert_failed(result, 1, "showing what was captured")
    assert_waited(result)
    assert not (folder.parent / "asked").exists()


@pytest.mark.parametrize("step", [Step.CONFIGURE, Step.SHOWN])
@pytest.mark.parametrize(
    ("action", "word"),
    [
        (faults.hang_up, "closed the connection"),
        (faults.hang_up_midway, "closed the connection"),
        (faults.protocol_error, "you did nothing wrong"),
    ],
    ids=["hang-up", "hang-up midway", "protocol error"],
)
def test_the_end_of_the_connection_is_told(
    folder: Path, step: Step, action: faults.Action, word: str
) -> None:
    config = replace(LAYERS, faults=(Fault(step, action),))
    result = shoot(config, folder, "--select", "--freeze", "--selector", "touch ../asked")
    assert_failed(result, 1, word, "showing what was captured")
    assert_told_at_once(result)
    assert not (folder.parent / "asked").exists()


@pytest.mark.parametrize(
    "size", [(0, 0), (64, 0), (62, 48), (64, 50), (1 << 31, 48), ((1 << 32) - 1, (1 << 32) - 1)]
)
def test_a_size_that_is_not_the_outputs_is_refused(folder: Path, size: tuple[int, int]) -> None:
    # The serial is true, but the fake one has counted it already.
    action = faults.saying_instead("configure", 1, *size)
    config = replace(LAYERS, faults=(Fault(Step.CONFIGURE, action),))
    result = shoot(config, folder, "--select", "--freeze", "--selector", "touch ../asked")
    assert_failed(result, 1, f"{size[0]}x{size[1]}", "64x48", "FAKE-1")


@pytest.mark.parametrize(
    ("change", "missing"),
    [({"layer_shell_version": 0}, "zwlr_layer_shell_v1"), ({"viewporter_version": 0}, "wp_view")],
)
def test_what_cannot_be_frozen_says_why(folder: Path, change: dict[str, int], missing: str) -> None:
    config = replace(LAYERS, **change)  # type: ignore[arg-type]
    result = shoot(config, folder, "--select", "--freeze", "--selector", "touch ../asked")
    assert_failed(result, 4, "cannot be frozen", missing)
    assert "without --freeze" in result.stderr


# What happens while the user selects


def test_an_output_that_is_not_to_be_covered_is_captured_nevertheless(folder: Path) -> None:
    config = replace(LAYERS, faults=(Fault(Step.CONFIGURE, faults.saying_instead("closed")),))
    assert_shot(select(config, folder, "echo 1,2 3x4", "--freeze"), PART)


CHANGES = {
    "reconfigured": lambda compositor: compositor.reconfigure(),
    "resized": lambda compositor: compositor.reconfigure((20, 30)),
    "closed": lambda compositor: compositor.close_surfaces(),
    "another mode": lambda compositor: compositor.change_output("FAKE-1", width=32, height=24),
    "unplugged": lambda compositor: compositor.remove_output("FAKE-1"),
    "plugged in": lambda compositor: compositor.add_output(Output("FAKE-2", x=64)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_meanwhile_changes_no_picture(folder: Path, change: str) -> None:
    with FakeCompositor(LAYERS) as compositor:
        with selecting(compositor, folder, "--freeze", script=ANSWER) as process:
            CHANGES[change](compositor)
            if change in {"resized", "closed"}:
                compositor.wait_for("zwlr_layer_surface_v1", "destroy")
                assert not compositor.shown
            elif change == "reconfigured":
                compositor.wait_for("zwlr_layer_surface_v1", "ack_configure", 2)
                assert compositor.shown
            (folder.parent / "go").touch()
        assert process.returncode == 0
        compositor.wait_until_gone()
        assert (compositor.violations, compositor.leaks) == ([], [])


def test_an_output_is_cut_out_of_what_was_frozen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No menu can be seen over a frozen screen; a single output needs none.
    monkeypatch.setenv("WAYSHOT_MENU", "touch ../asked")
    result = shoot(LAYERS, folder, "--select", "output", "--freeze")
    assert_shot(result, Output().upright(0))
    assert not (folder.parent / "asked").exists()


@pytest.mark.parametrize("words", [[], ["--select", "window"], ["-o", "FAKE-1"]])
def test_freezing_is_for_what_is_selected_on_the_screen(folder: Path, words: list[str]) -> None:
    result = shoot(LAYERS, folder, "--freeze", *words)
    assert_failed(result, 2, "--freeze is for --select")


def test_a_failed_selection_leaves_nothing_on_the_screen(folder: Path) -> None:
    with FakeCompositor(LAYERS) as compositor:
        with selecting(compositor, folder, "--freeze", script="exit 1") as process:
            pass
        assert process.returncode == 3
        compositor.wait_until_gone()
        assert (compositor.violations, compositor.leaks) == ([], [])


def test_a_killed_command_takes_its_surfaces_along(folder: Path) -> None:
    with FakeCompositor(LAYERS) as compositor:
        with selecting(compositor, folder, "--freeze", script="exec sleep 2") as process:
            pid = int((folder.parent / "asked").read_text())
            process.kill()
        compositor.wait_until_gone()
        assert compositor.violations == []
        wait_until(lambda: not is_running(pid))


def test_freezing_again_and_again_leaves_no_descriptor_and_no_process() -> None:
    def select() -> None:
        with Connection(str(compositor.socket_path), timeout=LONG) as link, freeze(link) as frozen:
            point = select_point(link, Programs(["echo", "1,2 3x4"]))
            with pytest.raises(CancelledError):
                select_region(link, Programs(["false"]))
            with pytest.raises(SelectionError):
                select_region(link, Programs(["yes"]))
            with pytest.raises(UnsupportedError):
                select_region(link, Programs(["no-such-selector"]))
        assert frozen.cut(Box(*point, 3, 4)).to_numpy().tolist() == PART.tolist()

    with FakeCompositor(LAYERS) as compositor:
        select()
        compositor.wait_until_gone()
        with leaving_no_more(descriptors, lambda: len(list(descendants(os.getpid())))):
            for _ in range(5):
                select()
        compositor.wait_until_gone()
        assert (compositor.violations, compositor.leaks) == ([], [])


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["region", "--selector", "echo 66,10 20x10"], "FAKE-2-20x10.png"),
        (["region", "--selector", "echo 60,10 20x10"], "FAKE-1+FAKE-2-20x10.png"),
    ],
)
def test_a_name_says_what_was_cut_out(folder: Path, words: list[str], name: str) -> None:
    outputs = Output("FAKE-1"), Output("FAKE-2", x=64)
    with FakeCompositor(replace(LAYERS, outputs=outputs)) as compositor:
        template = "{output}-{width}x{height}.png"
        result = wayshot(compositor, folder, "--freeze", "--select", *words, template)
    assert (result.code, result.stderr) == (0, "")
    assert result.files == [name]
