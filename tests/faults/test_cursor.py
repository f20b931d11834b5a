"""The cursor apart from the picture: where it is, that it is not, and what goes wrong with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.fake import FORMATS, Config, Cursor, FakeCompositor, Fault, Output, Step, faults
from tests.fake.image_copy import CURSOR_INDEX, STOPPED
from tests.faults.command import LONG, TIMEOUT
from wayshot_cli import Box, CaptureError, CaptureTimeoutError, UnsupportedError, shot
from wayshot_cli.frame import Alpha
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from wayshot_cli.frame import Frame

IMAGE = Output("cursor", 7, 5, shm_format=FORMATS["ARGB8888"])
CURSOR = Cursor(IMAGE, (20, 10), (3, 2))
CONFIG = Config(screencopy_version=0, image_copy_version=1, seat_version=5, cursor=CURSOR)


def take(config: Config, timeout: float = LONG, **wishes: Any) -> Frame:
    """Take a shot with the cursor apart, and check that nothing is left of it."""
    with FakeCompositor(config) as compositor:
        try:
            with Connection(str(compositor.socket_path), timeout=timeout) as connection:
                return shot(connection=connection, cursor="separate", **wishes)
        finally:
            compositor.wait_until_gone()
            assert compositor.violations == []
            assert compositor.leaks == []


def test_it_has_an_image_a_place_and_a_hotspot() -> None:
    frame = take(CONFIG)
    assert frame.cursor
    assert (frame.cursor.position, frame.cursor.hotspot) == ((20, 10), (3, 2))
    assert frame.cursor.box == Box(17, 8, 7, 5)
    assert bytes(frame.cursor.image.memory) == IMAGE.memory(CURSOR_INDEX)
    assert frame.cursor.image.alpha is Alpha.PREMULTIPLIED


def test_it_is_not_painted_as_well() -> None:
    with FakeCompositor(CONFIG) as compositor:
        with Connection(str(compositor.socket_path), timeout=LONG) as connection:
            shot(connection=connection, cursor="separate")
        assert [r.arguments[2] for r in compositor.requests if r.name == "create_session"] == [0]


@pytest.mark.parametrize("cursor", [False, True])
def test_nobody_asks_for_what_is_not_wished_for(cursor: bool) -> None:  # noqa: FBT001
    with FakeCompositor(CONFIG) as compositor:
        with Connection(str(compositor.socket_path), timeout=LONG) as connection:
            assert shot(connection=connection, cursor=cursor).cursor is None
        assert not any("cursor" in request.name for request in compositor.requests)


@pytest.mark.parametrize(
    "config",
    [
        replace(CONFIG, cursor=replace(CURSOR, over=None)),
        replace(
            CONFIG,
            cursor=Cursor(replace(IMAGE, constraints=(("buffer_size", 0, 0),)), (0, 0), over=None),
        ),
        replace(CONFIG, cursor=None),
        replace(CONFIG, seat_version=0),
    ],
    ids=["elsewhere", "no size", "no pointer", "no seat"],
)
def test_there_is_none(config: Config) -> None:
    assert take(config).cursor is None


@pytest.mark.parametrize("version", [1, 3, 5])
def test_every_version_of_seats_will_do(version: int) -> None:
    with FakeCompositor(replace(CONFIG, seat_version=version)) as compositor:
        with Connection(str(compositor.socket_path), timeout=LONG) as connection:
            assert shot(connection=connection, cursor="separate").cursor
        assert compositor.violations == []


def test_no_seat_stays_bound() -> None:
    """But as long as its pointer is used: wlroots forgets that with the seat."""
    with FakeCompositor(CONFIG) as compositor:
        with Connection(str(compositor.socket_path), timeout=LONG) as connection:
            assert shot(connection=connection, cursor="separate").cursor
            connection.roundtrip("waiting")
            (client,) = compositor.clients
            kinds = compositor._run(lambda: {it.interface.name for it in client.objects.values()})
            assert not {"wl_seat", "wl_pointer"} & kinds
        names = [request.name for request in compositor.requests]
        assert names.index("create_pointer_cursor_session") < names.index("release")
        assert compositor.violations == []


@pytest.mark.parametrize(
    ("region", "position"),
    [
        ("10,5 30x30", (10, 5)),
        ("22,0 30x30", (-2, 10)),  # of the image two columns are left
        ("24,0 30x30", None),
        ("-10,-10 40x30", (30, 20)),
    ],
)
def test_a_region_has_it_where_it_lies(region: str, position: tuple[int, int] | None) -> None:
    cursor = take(CONFIG, region=region).cursor
    assert (cursor and cursor.position) == position


def test_it_lies_over_one_of_several_outputs() -> None:
    outputs = (Output("FAKE-1", 30, 20, x=-30), Output("FAKE-2", 64, 48, y=7))
    config = replace(CONFIG, outputs=outputs, cursor=replace(CURSOR, over="FAKE-2"))
    cursor = take(config).cursor
    assert cursor
    assert cursor.position == (50, 17)


def test_a_scaled_picture_has_it_where_it_points() -> None:
    cursor = take(CONFIG, scale=0.5).cursor
    assert cursor
    assert cursor.position == (10, 5)


def cursor_session(moment: faults.Moment) -> Any:
    (session,) = (
        resource
        for resource in moment.client.objects.values()
        if resource.interface.name == "ext_image_copy_capture_cursor_session_v1"
    )
    return session


def test_a_hotspot_that_is_told_after_the_image_is_of_the_next_one() -> None:
    def change(moment: faults.Moment) -> bool:
        moment.client.send(moment.owed + cursor_session(moment).event("hotspot", 6, 4))
        moment.resource.proceed(moment.step)
        return False

    cursor = take(replace(CONFIG, faults=(Fault(Step.READY, change, output="cursor"),))).cursor
    assert cursor
    assert cursor.hotspot == (3, 2)


def leave(moment: faults.Moment) -> bool:
    moment.client.send(cursor_session(moment).event("leave"))
    return False


def test_one_that_leaves_before_it_is_captured_is_gone() -> None:
    fault = Fault(Step.CAPTURE, leave, output="cursor")
    assert take(replace(CONFIG, faults=(fault,))).cursor is None


def test_one_that_fails_for_a_moment_is_tried_again() -> None:
    fault = Fault(Step.CAPTURE, faults.failing(0, 2), output="cursor")
    assert take(replace(CONFIG, faults=(fault,))).cursor


def test_one_that_has_left_when_it_is_tried_again_is_gone() -> None:
    failed = Fault(Step.CAPTURE, faults.failing(0, 1), output="cursor")
    absent = Fault(Step.CURSOR, faults.withhold, output="cursor", skip=1)
    assert take(replace(CONFIG, faults=(failed, absent))).cursor is None


def test_one_that_leaves_while_it_is_tried_again_is_gone() -> None:
    failed = Fault(Step.CAPTURE, faults.failing(0, 1), output="cursor")
    left = Fault(Step.CAPTURE, leave, output="cursor", skip=1)
    assert take(replace(CONFIG, faults=(failed, left))).cursor is None


@pytest.mark.parametrize("step", [Step.CONSTRAINTS, Step.CAPTURE, Step.READY])
def test_an_image_that_never_comes_ends_at_the_timeout(step: Step) -> None:
    fault = Fault(step, faults.withhold, output="cursor")
    with pytest.raises(CaptureTimeoutError, match="the cursor over output 'FAKE-1'"):
        take(replace(CONFIG, faults=(fault,)), TIMEOUT)


def test_a_pointer_that_is_unplugged_meanwhile_has_none() -> None:
    fault = Fault(Step.CAPTURE, faults.failing(STOPPED), output="cursor")
    assert take(replace(CONFIG, faults=(fault,))).cursor is None


def test_an_image_that_fails_forever_ends_at_the_timeout() -> None:
    fault = Fault(Step.CAPTURE, faults.failing(0), output="cursor")
    with pytest.raises(CaptureError, match="failed to capture the cursor over output 'FAKE-1'"):
        take(replace(CONFIG, faults=(fault,)), TIMEOUT)


def test_other_backends_have_none_apart() -> None:
    config = replace(CONFIG, screencopy_version=3, image_copy_version=0)
    for backend in ("auto", "screencopy"):
        with pytest.raises(UnsupportedError, match="no cursor apart"):
            take(config, backend=backend)
