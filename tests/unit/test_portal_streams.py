"""Which output a stream shows, by what different portals say of it."""

import pytest

from wayshot_cli.backends.common import Target
from wayshot_cli.backends.portal.screencast import Stream
from wayshot_cli.backends.portal.streams import as_outputs, match
from wayshot_cli.errors import UnsupportedError
from wayshot_cli.geometry import Box, Size, Transform
from wayshot_cli.wayland.connection import Global
from wayshot_cli.wayland.outputs import Output


def output(name: str, box: Box, mode: Size, transform: Transform = Transform.NORMAL) -> Output:
    offer = Global(hash(name), "wl_output", 4)
    return Output(name, "", "", "", box, mode, 60_000, transform, 1, Size(0, 0), offer)


LAPTOP = output("eDP-1", Box(0, 0, 1280, 800), Size(1920, 1200))
LARGE = output("DP-1", Box(1280, 0, 1920, 1200), Size(1920, 1200))
TURNED = output("DP-2", Box(3200, 0, 1200, 1920), Size(1920, 1200), Transform.ROTATED_90)
ALL = [LAPTOP, LARGE, TURNED]


@pytest.mark.parametrize(
    ("position", "size", "expected"),
    [
        ((0, 0), (1280, 800), LAPTOP),  # as the specification has it
        ((0, 0), (1920, 1200), LAPTOP),  # xdg-desktop-portal-wlr: pixels
        ((1280, 0), (1920, 1200), LARGE),
        ((3200, 0), (1200, 1920), TURNED),
        (None, (1280, 800), LAPTOP),  # KDE: no position
        (None, (1200, 1920), TURNED),
        (None, (1920, 1200), None),  # which may be two
        ((0, 0), (1200, 1920), None),
        ((5, 5), (1280, 800), None),
        ((0, 0), None, None),
        (None, None, None),
    ],
)
def test_position_and_size_tell_it(
    position: tuple[int, int] | None, size: tuple[int, int] | None, expected: Output | None
) -> None:
    stream = Stream(1, position=position, size=Size(*size) if size else None)
    assert match(stream, ALL) is expected


def test_what_is_known_of_an_output_is_known_of_its_stream() -> None:
    (shown,), is_certain = as_outputs([Stream(7, size=Size(1280, 800))], ALL, Target(["eDP-1"]))
    assert is_certain
    assert (shown.name, shown.box, shown.refresh_mhz) == ("eDP-1", LAPTOP.box, 60_000)
    assert shown.offer.name == 7


def test_a_turned_output_comes_upright_from_the_portal() -> None:
    (shown,), _ = as_outputs([Stream(7, size=Size(1200, 1920))], ALL, Target())
    assert shown.transform is Transform.NORMAL
    assert Target().plan([shown]).request_region(shown) is None


def test_streams_that_are_no_outputs_have_names_of_their_own() -> None:
    streams = [
        Stream(7, position=(0, 0), size=Size(9, 9)),
        Stream(8, position=(9, 0), size=Size(5, 5)),
    ]
    shown, is_certain = as_outputs(streams, ALL, Target())
    assert is_certain
    assert [(one.name, one.box) for one in shown] == [
        ("stream-1", Box(0, 0, 9, 9)),
        ("stream-2", Box(9, 0, 5, 5)),
    ]


@pytest.mark.parametrize(
    ("streams", "target"),
    [
        ([Stream(1), Stream(2)], Target()),
        ([Stream(1), Stream(2)], Target(["eDP-1"])),
        ([Stream(1)], Target(["eDP-1", "DP-1"])),
        ([Stream(1, size=Size(1280, 800))], Target(["eDP-1", "DP-1"])),
        ([Stream(1, size=Size(9, 9))], Target(region=Box(0, 0, 5, 5))),
        ([Stream(1)], Target(scale=2.0)),
    ],
)
def test_what_the_portal_does_not_say_can_be_too_little(
    streams: list[Stream], target: Target
) -> None:
    with pytest.raises(UnsupportedError):
        as_outputs(streams, ALL, target)
