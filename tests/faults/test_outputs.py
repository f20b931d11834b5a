"""Outputs that lie, that have no names or strange ones, and that come and go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.fake import Config, FakeCompositor, Fault, Mode, Output, Step, faults
from tests.fake.resources import Copy
from tests.faults.command import (
    assert_failed,
    assert_shot,
    assert_told_at_once,
    picture_of,
    shoot,
    wayshot,
)

if TYPE_CHECKING:
    from pathlib import Path

HUGE = 2**31 - 1
FRAME_STEPS = [Step.BUFFER, Step.BUFFER_DONE, Step.OFFERED, Step.FLAGS, Step.READY]
LISTING_STEPS = [Step.OUTPUT, Step.OUTPUT_DONE, Step.XDG_OUTPUT]
TWO = (Output("FAKE-1"), Output("FAKE-2", x=64))

STRANGE_NAMES = {
    "escape sequence": b"\x1b[2J\x1b]0;owned\x07",
    "new line": b"DP-1\nwayshot: all is well",
    "carriage return": b"DP-1\rok",
    "C1 control": "DP\N{PADDING CHARACTER}1\N{STRING TERMINATOR}".encode(),
    "bidi override": "DP-\N{RIGHT-TO-LEFT OVERRIDE}1".encode(),
    "invalid UTF-8": b"DP-\xff\xfe\xc3",
    "quotes": b"\"'\\",
    "very long": b"x" * 1500,  # make and model share a message, which may have 4096 bytes
    "empty": b"",
    "percent": b"%s%n{0}[bold red]",
}


# What they say.


def test_no_outputs_at_all(tmp_path: Path) -> None:
    assert_failed(shoot(Config(outputs=()), tmp_path), 5, "no output")


def test_an_empty_name_is_a_cancellation(tmp_path: Path) -> None:
    # As $(slurp -o -f %o) leaves when the user presses Escape.
    assert_failed(shoot(Config(), tmp_path, "-o", ""), 3, "cancelled")


def test_an_output_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = shoot(Config(), tmp_path, "-o", "FAKE-2")
    assert_failed(result, 5, "FAKE-2")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_outputs_without_names_can_be_captured(version: int, tmp_path: Path) -> None:
    config = Config(outputs=(Output(None),), wl_output_version=version, xdg_output_version=1)
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize("wl_output_version", [1, 2, 3, 4])
@pytest.mark.parametrize("xdg_output_version", [0, 1, 2, 3])
def test_each_pair_of_versions_gives_a_picture(
    wl_output_version: int, xdg_output_version: int, tmp_path: Path
) -> None:
    config = Config(
        outputs=(Output("FAKE-1", transform=3, x=-9), Output("FAKE-2", x=48, y=5)),
        wl_output_version=wl_output_version,
        xdg_output_version=xdg_output_version,
    )
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize(("wl_output_version", "xdg_output_version"), [(3, 2), (4, 0), (4, 1)])
def test_one_source_of_names_is_enough(
    wl_output_version: int, xdg_output_version: int, tmp_path: Path
) -> None:
    config = Config(
        outputs=TWO, wl_output_version=wl_output_version, xdg_output_version=xdg_output_version
    )
    assert_shot(shoot(config, tmp_path, "-o", "FAKE-2"), TWO[1].upright(1))


def test_two_outputs_of_one_name_are_both_in_the_whole_picture(tmp_path: Path) -> None:
    config = Config(outputs=(Output("FAKE-1"), Output("FAKE-1", x=64)))
    assert_shot(shoot(config, tmp_path), picture_of(config))


def test_of_two_outputs_of_one_name_the_first_is_meant(tmp_path: Path) -> None:
    config = Config(outputs=(Output("FAKE-1"), Output("FAKE-1", x=64)))
    assert_shot(shoot(config, tmp_path, "-o", "FAKE-1"), config.outputs[0].upright(0))


@pytest.mark.parametrize("name", STRANGE_NAMES.values(), ids=STRANGE_NAMES)
def test_a_strange_name_is_no_obstacle(name: bytes, tmp_path: Path) -> None:
    config = Config(outputs=(Output(name, description=name, make=name, model=name),))
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize("name", STRANGE_NAMES.values(), ids=STRANGE_NAMES)
def test_a_strange_name_reaches_the_terminal_escaped_in_a_complaint(
    name: bytes, tmp_path: Path
) -> None:
    config = Config(outputs=(Output(name),))
    assert_failed(shoot(config, tmp_path, "-o", "FAKE-1"), 5, "FAKE-1")
    config = Config(outputs=(Output(name),), faults=(Fault(Step.FLAGS, faults.failed),))
    assert_failed(shoot(config, tmp_path), 1, "failed")


@pytest.mark.parametrize("name", STRANGE_NAMES.values(), ids=STRANGE_NAMES)
def test_a_strange_name_reaches_the_terminal_escaped_in_the_list(
    name: bytes, tmp_path: Path
) -> None:
    output = Output(name, description=name, make=name, model=name)
    with FakeCompositor(Config(outputs=(output, Output("FAKE-2", x=64)))) as compositor:
        plain = wayshot(compositor, tmp_path, "list")
        parsed = wayshot(compositor, tmp_path, "list", "--json")
    assert plain.code == parsed.code == 0
    text = plain.stdout.decode()
    assert {c for c in text if not c.isprintable()} <= {"\n"}
    assert "FAKE-2" in text
    assert {c for c in parsed.stdout.decode() if not c.isprintable()} <= {"\n"}
    strange, plain_name = (entry["name"] for entry in json.loads(parsed.stdout)["outputs"])
    assert plain_name == "FAKE-2"
    if name and name.isascii():
        assert strange == name.decode()


@pytest.mark.parametrize(
    "name", [b"\x1b[2J", "DP-\N{LATIN SMALL LETTER U WITH DIAERESIS}".encode(), b"DP 1", b"-o"]
)
def test_an_output_can_be_asked_for_by_a_strange_name(name: bytes, tmp_path: Path) -> None:
    config = Config(outputs=(Output("FAKE-1"), Output(name, x=64)))
    result = shoot(config, tmp_path, f"--output={name.decode()}")
    assert_shot(result, config.outputs[1].upright(1))


def test_a_name_longer_than_libwayland_takes_is_the_end_of_the_connection(tmp_path: Path) -> None:
    config = Config(outputs=(Output(b"x" * 60_000),))
    assert_failed(shoot(config, tmp_path), 1, "output")


@pytest.mark.parametrize(
    "modes",
    [
        (),
        (Mode(0, 0),),
        (Mode(-64, -48),),
        (Mode(HUGE, HUGE),),
        (Mode(64, 48, flags=0),),
        (Mode(640, 480, flags=2), Mode(64, 48, flags=1)),
        (Mode(64, 48, refresh=0),),
        (Mode(64, 48, refresh=-1),),
    ],
    ids=str,
)
def test_the_frame_is_believed_not_the_mode(modes: tuple[Mode, ...], tmp_path: Path) -> None:
    config = Config(outputs=(Output(modes=modes),))
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize(
    "modes", [(), (Mode(0, 0),), (Mode(-64, 48),), (Mode(HUGE, HUGE),)], ids=str
)
def test_an_output_without_any_size_has_no_place(modes: tuple[Mode, ...], tmp_path: Path) -> None:
    config = Config(outputs=(Output(modes=modes),), xdg_output_version=0)
    assert_failed(shoot(config, tmp_path), 1, "FAKE-1")


@pytest.mark.parametrize("scale", [0, -1, -HUGE - 1, HUGE])
@pytest.mark.parametrize("xdg_output_version", [0, 3])
def test_an_absurd_scale_does_not_spoil_the_picture(
    scale: int, xdg_output_version: int, tmp_path: Path
) -> None:
    output = Output(scale=scale, logical=(64, 48))
    config = Config(outputs=(output,), xdg_output_version=xdg_output_version)
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize("transform", [8, 99, -1, HUGE])
def test_a_transform_that_does_not_exist_is_refused(transform: int, tmp_path: Path) -> None:
    faulty = Fault(Step.OUTPUT, faults.saying_first("geometry", *geometry(transform)))
    result = shoot(Config(faults=(faulty, Fault(Step.OUTPUT, faults.leave_out))), tmp_path)
    assert_failed(result, 1, "transform", str(transform))


@pytest.fixture(params=["transform", "size"])
def one_impossible(request: pytest.FixtureRequest) -> Config:
    """Return a compositor with two outputs, the first of which describes itself impossibly."""

    def lie(moment: faults.Moment) -> bool:
        transform, side = (99, 48) if request.param == "transform" else (0, HUGE)
        event = moment.resource.event
        moment.client.send(
            event("geometry", *geometry(transform))
            + event("mode", 1, side, side, 0)
            + event("name", "FAKE-1")
        )
        moment.resource.proceed(moment.step)
        return False

    fault = Fault(Step.OUTPUT, lie, output="FAKE-1")
    return Config(outputs=TWO, xdg_output_version=0, faults=(fault,))


@pytest.mark.parametrize("words", [("-o", "FAKE-2"), ("-g", "64,0 64x48")], ids=" ".join)
def test_what_one_output_says_of_itself_is_no_concern_of_another(
    one_impossible: Config, words: tuple[str, ...], tmp_path: Path
) -> None:
    assert_shot(shoot(one_impossible, tmp_path, *words), one_impossible.outputs[1].upright(1))


@pytest.mark.parametrize("words", [(), ("-o", "FAKE-1")], ids=" ".join)
def test_an_impossible_output_that_is_asked_for_fails(
    one_impossible: Config, words: tuple[str, ...], tmp_path: Path
) -> None:
    assert_failed(shoot(one_impossible, tmp_path, *words), 1, "FAKE-1")


def test_the_list_has_the_others_and_says_what_is_wrong(
    one_impossible: Config, tmp_path: Path
) -> None:
    with FakeCompositor(one_impossible) as compositor:
        table = wayshot(compositor, tmp_path, "list")
        facts = json.loads(wayshot(compositor, tmp_path, "list", "--json").stdout)["outputs"]
    assert b"output 'FAKE-1' has " in table.stdout
    assert [output["name"] for output in facts] == ["FAKE-1", "FAKE-2"]
    assert ["problem" in output for output in facts] == [True, False]
    assert facts[1]["width"] == 64


def geometry(transform: int) -> tuple[int | str, ...]:
    """Return the arguments of wl_output.geometry."""
    return 0, 0, 320, 240, 0, "Fake", "One", transform


@pytest.mark.parametrize("logical", [(0, 0), (-64, 48), (64, 0), (HUGE, HUGE), (-HUGE, 1)])
def test_an_absurd_logical_size_gives_way_to_the_mode(
    logical: tuple[int, int], tmp_path: Path
) -> None:
    config = Config(outputs=(Output(logical=logical),))
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize("place", [(HUGE, HUGE), (-HUGE - 1, -HUGE - 1), (HUGE, -HUGE)])
def test_one_output_may_lie_anywhere(place: tuple[int, int], tmp_path: Path) -> None:
    config = Config(outputs=(Output(x=place[0], y=place[1]),))
    assert_shot(shoot(config, tmp_path), picture_of(config))


def test_outputs_too_far_apart_for_one_picture_are_refused(tmp_path: Path) -> None:
    config = Config(outputs=(Output("FAKE-1", x=-HUGE), Output("FAKE-2", x=HUGE)))
    result = shoot(config, tmp_path)
    assert_failed(result, 1, "large")


def test_a_region_of_a_frame_smaller_than_announced_is_refused(tmp_path: Path) -> None:
    output = Output(modes=(Mode(128, 96),), logical=(128, 96))  # its frames are 64x48
    result = shoot(Config(outputs=(output,)), tmp_path, "-g", "70,10 20x20")
    assert_failed(result, 1, "'FAKE-1'", "64x48")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_list_that_is_piped_has_a_whole_line_for_each_output(
    encoding: str, tmp_path: Path
) -> None:
    outputs = tuple(
        Output(f"FAKE-{n}-{'n' * 300}", x=HUGE - n, y=-HUGE, description=f"{n} \xfc " + "d e" * 300)
        for n in range(3)
    )
    with FakeCompositor(Config(outputs=outputs)) as compositor:
        compositor.env |= {"PYTHONIOENCODING": encoding, "COLUMNS": "80"}
        result = wayshot(compositor, tmp_path, "list")
    assert (result.code, result.stderr) == (0, "")
    _headings, *lines = result.stdout.decode(encoding).splitlines()
    for output, line in zip(outputs, lines, strict=True):
        assert isinstance(output.name, str)
        assert line.startswith(f"{output.name} ")
        assert f" {output.x},{output.y} 64x48 " in line
        description = str(output.description)
        if encoding == "ascii":
            description = description.encode("ascii", "backslashreplace").decode()
        assert line.rstrip().endswith(f" {description}")


# What they do.


@pytest.mark.parametrize("fail_frames", [True, False], ids=["failed", "silent"])
@pytest.mark.parametrize("outputs", [(Output(),), TWO], ids=["the only one", "one of two"])
@pytest.mark.parametrize("step", FRAME_STEPS)
def test_an_output_unplugged_during_the_capture_went_away(
    step: Step, outputs: tuple[Output, ...], *, fail_frames: bool, tmp_path: Path
) -> None:
    unplugged = faults.doing(
        lambda compositor: compositor.remove_output("FAKE-1", fail_frames=fail_frames)
    )
    silent_from = Step.FLAGS if step is Step.OFFERED else step
    config = Config(
        outputs=outputs,
        faults=(
            Fault(step, unplugged, output="FAKE-1"),
            Fault(silent_from, faults.withhold, output="FAKE-1"),
        ),
    )
    assert_failed(shoot(config, tmp_path), 6, "'FAKE-1'")


@pytest.mark.parametrize("later", [False, True], ids=["in one batch", "a moment later"])
@pytest.mark.parametrize("step", FRAME_STEPS)
def test_an_output_whose_frame_fails_before_it_is_gone_went_away(
    step: Step, *, later: bool, tmp_path: Path
) -> None:
    has_failed: list[bool] = []

    def fail(moment: faults.Moment) -> bool:
        has_failed.append(True)
        if later:
            return faults.failed(moment)
        # Left in the buffer, for the removal to push it out: the client gets both at once.
        moment.client.outgoing += moment.resource.event("failed")
        assert isinstance(moment.resource, Copy)
        moment.resource.ended = True  # and no copy is answered
        moment.compositor.remove_output("FAKE-1", fail_frames=False)
        return False

    def go(moment: faults.Moment) -> bool:
        """Go when the client, having heard of the failure, asks whether that was all."""
        if later and has_failed:
            has_failed.clear()
            moment.compositor.remove_output("FAKE-1")
        return True

    config = Config(faults=(Fault(step, fail), Fault(Step.SYNC, go)))
    result = shoot(config, tmp_path)
    assert_failed(result, 6, "'FAKE-1'")
    assert_told_at_once(result)


@pytest.mark.parametrize("step", LISTING_STEPS)
def test_an_output_unplugged_while_it_describes_itself_never_was(
    step: Step, tmp_path: Path
) -> None:
    unplugged = faults.doing(lambda compositor: compositor.remove_output("FAKE-1"))
    config = Config(faults=(Fault(step, unplugged, output="FAKE-1"),))
    assert_failed(shoot(config, tmp_path, "-o", "FAKE-1"), 5)


@pytest.mark.parametrize("step", [Step.BUFFER, Step.FLAGS, Step.READY])
def test_another_output_unplugged_during_the_capture_is_nobody_s_business(
    step: Step, tmp_path: Path
) -> None:
    unplugged = faults.doing(lambda compositor: compositor.remove_output("FAKE-2"))
    config = Config(outputs=TWO, faults=(Fault(step, unplugged, output="FAKE-1"),))
    assert_shot(shoot(config, tmp_path, "-o", "FAKE-1"), TWO[0].upright(0))


@pytest.mark.parametrize("step", [Step.BUFFER, Step.OFFERED, Step.READY])
def test_an_output_plugged_in_after_the_list_is_not_in_the_picture(
    step: Step, tmp_path: Path
) -> None:
    plugged = faults.doing(lambda compositor: compositor.add_output(Output("FAKE-2", x=64)))
    config = Config(faults=(Fault(step, plugged, output="FAKE-1"),))
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize("step", [Step.SYNC, *LISTING_STEPS])
def test_an_output_plugged_in_before_the_list_ends_is_in_the_picture(
    step: Step, tmp_path: Path
) -> None:
    second = Output("FAKE-2", x=64)
    to_plug = [second]

    def plug_once(moment: faults.Moment) -> bool:
        if to_plug:
            moment.compositor.add_output(to_plug.pop())
        return True

    config = Config(faults=(Fault(step, plug_once),))
    with FakeCompositor(config) as compositor:
        result = wayshot(compositor, tmp_path, "shot.png")
    assert_shot(result, picture_of(Config(outputs=(config.outputs[0], second))))


@pytest.mark.parametrize("step", [Step.BUFFER_DONE, Step.OFFERED, Step.FLAGS, Step.READY])
def test_another_mode_during_the_capture_fails_it(step: Step, tmp_path: Path) -> None:
    change = faults.doing(lambda compositor: compositor.change_output("FAKE-1", width=32))
    config = Config(faults=(Fault(step, change), Fault(step, faults.withhold)))
    assert_failed(shoot(config, tmp_path), 1, "'FAKE-1'")


def test_one_of_two_outputs_fails_and_there_is_no_picture(tmp_path: Path) -> None:
    config = Config(outputs=TWO, faults=(Fault(Step.FLAGS, faults.failed, output="FAKE-2"),))
    assert_failed(shoot(config, tmp_path), 1, "'FAKE-2'")


def test_both_outputs_are_asked_for_before_either_is_awaited(tmp_path: Path) -> None:
    config = Config(outputs=TWO, faults=(Fault(Step.BUFFER, faults.withhold),))
    with FakeCompositor(config) as compositor:
        result = wayshot(compositor, tmp_path, "--timeout", "1", "shot.png")
        assert compositor.count("zwlr_screencopy_manager_v1", "capture_output") == len(TWO)
    assert_failed(result, 1, "'FAKE-1'")
