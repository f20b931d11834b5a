"""The library's face: its names, its arguments, and the way from a target to a frame."""

import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wayshot_cli
from tests.descriptors import leaving_no_more, memory
from tests.fake import Config, FakeCompositor, Fault, Output, Step, Window, faults
from tests.faults.windows import ONE, TWO, desktop, straight
from tests.unit.peer import Peer
from wayshot_cli import Box, backends
from wayshot_cli.errors import (
    CaptureError,
    CaptureTimeoutError,
    ClosedError,
    InvalidArgumentError,
    NotFoundError,
    TargetLostError,
    UnsupportedError,
    WayshotError,
)
from wayshot_cli.geometry import Transform
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.outputs import find_output, read_outputs

LEFT = Output("FAKE-1", 64, 48)
RIGHT = Output("FAKE-2", 40, 30, x=64, y=5, transform=1, y_invert=True, padding=12)


PATIENCE = 20.0
"""Seconds for an answer that comes."""


def connected(compositor: FakeCompositor, timeout: float = PATIENCE) -> Connection:
    return Connection(compositor.environ["WAYLAND_DISPLAY"], timeout=timeout)


def shoot(config: Config, timeout: float = PATIENCE, **wishes: Any) -> np.ndarray[Any, Any]:
    with FakeCompositor(config) as compositor:
        with connected(compositor, timeout) as connection:
            frame = wayshot_cli.shot(connection=connection, **wishes)
        compositor.wait_until_gone()
        assert compositor.violations == []
    return frame.to_numpy()


# Names


def test_every_public_name_is_there_and_no_other() -> None:
    for name in wayshot_cli.__all__:
        assert getattr(wayshot_cli, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        wayshot_cli.nonsense  # type: ignore[attr-defined]  # noqa: B018 - a type checker says so


def test_a_prompt_completes_names_that_nobody_has_used() -> None:
    script = "import wayshot_cli as w; assert {*w.__all__, '__version__'} <= {*dir(w)}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize(
    "script",
    [
        "import wayshot_cli; wayshot_cli.outputs",
        "import wayshot_cli; wayshot_cli.shot; wayshot_cli.outputs",
        "from wayshot_cli import outputs; from wayshot_cli import shot",
        "import wayshot_cli.cli.app",
    ],
)
def test_the_order_in_which_names_are_used_does_not_change_what_they_are(script: str) -> None:
    script += "; import wayshot_cli; assert callable(wayshot_cli.shot)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_errors_are_one_family() -> None:
    kinds = [getattr(wayshot_cli, n) for n in wayshot_cli.__all__ if n.endswith("Error")]
    assert all(issubclass(kind, WayshotError) for kind in kinds)
    assert issubclass(CaptureTimeoutError, CaptureError)
    assert issubclass(InvalidArgumentError, ValueError)
    assert wayshot_cli.WayshotError("what", hint="how").hint == "how"
    assert str(wayshot_cli.WayshotError("what", hint="how")) == "what"


# The ladder


SHM = {"wl_shm": 1}
SCREENCOPY = {"zwlr_screencopy_manager_v1": 3}
IMAGE_COPY = {
    "ext_image_copy_capture_manager_v1": 1,
    "ext_output_image_capture_source_manager_v1": 1,
}

SOURCES = {
    "ext_foreign_toplevel_image_capture_source_manager_v1": 1,
    "ext_foreign_toplevel_list_v1": 1,
}


def choose(
    patch: pytest.MonkeyPatch,
    offers: dict[str, int],
    wish: str,
    *,
    damage: bool = True,
    windows: bool = False,
) -> tuple[str, list[Any]]:
    """Choose among what a compositor offers; return the name, and what was passed over."""
    with Peer(*offers.items()) as peer:
        patch.setenv("WAYLAND_SOCKET", str(peer.take_client_fd()))
        with Connection(timeout=5) as connection:
            chosen, passed_over = backends.choose(connection, wish, damage=damage, windows=windows)
            return chosen.name, [rung.name for rung in passed_over]


@pytest.mark.parametrize(
    ("name", "needed"), [("screencopy", SCREENCOPY | SHM), ("image-copy", IMAGE_COPY | SHM)]
)
def test_what_the_compositor_lacks_is_named_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, name: str, needed: dict[str, int]
) -> None:
    for missing in needed:
        offers = {interface: needed[interface] for interface in needed if interface != missing}
        for wish in ("auto", name):
            with pytest.raises(
                UnsupportedError, match=f"{name}: .* does not offer {missing}"
            ) as caught:
                choose(monkeypatch, offers, wish)
            assert caught.value.hint


@pytest.mark.parametrize(
    ("offers", "wish", "chosen"),
    [
        (SCREENCOPY, "screencopy", ("screencopy", [])),
        (SCREENCOPY, "auto", ("screencopy", ["image-copy"])),
        (IMAGE_COPY, "auto", ("image-copy", [])),
        (IMAGE_COPY | SCREENCOPY, "auto", ("image-copy", [])),
        (IMAGE_COPY | SCREENCOPY, "screencopy", ("screencopy", [])),
    ],
)
def test_the_best_backend_that_can_be_served_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
    offers: dict[str, int],
    wish: str,
    chosen: tuple[str, list[str]],
) -> None:
    assert choose(monkeypatch, offers | SHM, wish) == chosen


def test_frames_that_do_not_differ_are_screencopys(monkeypatch: pytest.MonkeyPatch) -> None:
    both = IMAGE_COPY | SCREENCOPY | SHM
    for wish in ("auto", "screencopy"):
        assert choose(monkeypatch, both, wish, damage=False)[0] == "screencopy"
    with pytest.raises(UnsupportedError, match="only when something has changed"):
        choose(monkeypatch, both, "image-copy", damage=False)


@pytest.mark.parametrize("wish", ["auto", "image-copy"])
def test_windows_are_image_copys(monkeypatch: pytest.MonkeyPatch, wish: str) -> None:
    all_of_them = IMAGE_COPY | SCREENCOPY | SHM | SOURCES
    assert choose(monkeypatch, all_of_them, wish, windows=True) == ("image-copy", [])
    for missing in (*SOURCES, "ext_image_copy_capture_manager_v1"):
        offers = {name: all_of_them[name] for name in all_of_them if name != missing}
        with pytest.raises(UnsupportedError, match=f"does not offer {missing}") as caught:
            choose(monkeypatch, offers, wish, windows=True)
        assert caught.value.hint


def test_a_backend_that_captures_no_windows_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedError, match="screencopy: it captures outputs, no windows"):
        choose(monkeypatch, SCREENCOPY | SHM | SOURCES, "screencopy", windows=True)


@pytest.mark.parametrize("wish", ["", "no-such-backend"])
def test_a_backend_that_does_not_exist_is_never_served_by_another(
    monkeypatch: pytest.MonkeyPatch, wish: str
) -> None:
    with pytest.raises(InvalidArgumentError, match="no backend named"):
        choose(monkeypatch, SCREENCOPY | SHM, wish)


# Arguments


@pytest.mark.parametrize(
    ("wishes", "kind"),
    [
        ({"output": "FAKE-1", "region": "0,0 1x1"}, InvalidArgumentError),
        ({"region": "nonsense"}, InvalidArgumentError),
        ({"region": ""}, wayshot_cli.CancelledError),
        ({"region": (0, 0, 0, 5)}, InvalidArgumentError),
        ({"region": Box(0, 0, 5, -5)}, InvalidArgumentError),
        ({"region": "5000,0 1x1"}, NotFoundError),
        ({"output": "FAKE-9"}, NotFoundError),
        ({"output": ["FAKE-1", "FAKE-9"]}, NotFoundError),
        ({"output": []}, InvalidArgumentError),
        ({"output": ()}, InvalidArgumentError),
        ({"output": b"FAKE-1"}, InvalidArgumentError),
        ({"output": ["FAKE-1", 2]}, InvalidArgumentError),
        ({"region": ()}, InvalidArgumentError),
        ({"region": (1, 2, 3)}, InvalidArgumentError),
        ({"region": (0.5, 0, 10, 10)}, InvalidArgumentError),
        ({"scale": 0.0}, InvalidArgumentError),
        ({"cursor": "apart"}, InvalidArgumentError),
        ({"scale": -1.0}, InvalidArgumentError),
        ({"scale": float("nan")}, InvalidArgumentError),
        ({"scale": float("inf")}, InvalidArgumentError),
        ({"window": "id-1", "output": "FAKE-1"}, InvalidArgumentError),
        ({"window": "id-1", "region": "0,0 1x1"}, InvalidArgumentError),
        ({"window": "id-1", "scale": 2.0}, InvalidArgumentError),
        ({"window": "id-1"}, UnsupportedError),
        ({"output": "focused"}, UnsupportedError),
    ],
    ids=str,
)
def test_nonsense_is_an_error_of_the_family(wishes: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        shoot(Config(outputs=(LEFT,)), **wishes)


def test_an_output_in_place_of_its_name_is_told_where_that_is() -> None:
    with FakeCompositor(Config(outputs=(LEFT,))) as compositor, connected(compositor) as connection:
        output = wayshot_cli.outputs(connection=connection)[0]
        with pytest.raises(InvalidArgumentError, match="not a name of an output") as caught:
            wayshot_cli.shot(output, connection=connection)  # type: ignore[arg-type]
    assert caught.value.hint == "an Output has its name in .name"


@pytest.mark.parametrize("use", ["shot", "stream", "outputs", "windows"])
def test_a_connection_that_has_been_closed_is_said_to_be(use: str) -> None:
    with FakeCompositor(Config(outputs=(LEFT,))) as compositor:
        connection = connected(compositor)
        connection.close()
        with pytest.raises(ClosedError, match="the connection has been closed"):
            getattr(wayshot_cli, use)(connection=connection)


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), -1.0])
def test_an_impossible_timeout_is_an_error_of_the_family(timeout: float) -> None:
    with FakeCompositor(Config(accept=True)) as compositor, pytest.raises(WayshotError):
        connected(compositor, timeout)


# Pictures


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("transform", range(8))
@pytest.mark.parametrize("y_invert", [False, True])
def test_a_shot_is_upright(version: int, transform: int, *, y_invert: bool) -> None:
    output = Output("FAKE-1", 7, 5, transform=transform, y_invert=y_invert, padding=8)
    config = Config(outputs=(output,), screencopy_version=version)
    assert np.array_equal(shoot(config), output.upright(0))


def test_several_outputs_are_one_picture() -> None:
    pixels = shoot(Config(outputs=(LEFT, RIGHT)))
    assert pixels.shape == (48, 94, 4)
    assert np.array_equal(pixels[:, :64, :3], LEFT.upright(0))
    assert np.array_equal(pixels[5:45, 64:, :3], RIGHT.upright(1))
    assert not pixels[45:, 64:].any()


@pytest.mark.parametrize("names", ["FAKE-2", ["FAKE-2"], ("FAKE-2", "FAKE-2")])
def test_an_output_is_taken_by_name(names: str | list[str]) -> None:
    assert np.array_equal(shoot(Config(outputs=(LEFT, RIGHT)), output=names), RIGHT.upright(1))


@pytest.mark.parametrize("region", ["10,20 30x7", (10, 20, 30, 7), Box(10, 20, 30, 7)], ids=type)
@pytest.mark.parametrize("refused", [0, 1])
def test_a_region_is_that_part_whether_the_compositor_serves_it_or_not(
    refused: int, region: str | Box
) -> None:
    asked: list[faults.Moment] = []

    def refuse(moment: faults.Moment) -> bool:
        asked.append(moment)
        return faults.failed(moment) if len(asked) <= refused else True

    pixels = shoot(Config(outputs=(LEFT,), faults=(Fault(Step.BUFFER, refuse),)), region=region)
    assert np.array_equal(pixels, LEFT.upright(0)[20:27, 10:40])
    assert len(asked) == 1 + refused


def test_a_region_of_numpys_integers_is_one() -> None:
    region = tuple(np.array([10, 20, 30, 7]))
    pixels = shoot(Config(outputs=(LEFT,)), region=region)
    assert np.array_equal(pixels, LEFT.upright(0)[20:27, 10:40])


def test_all_outputs_are_asked_for_before_any_is_awaited() -> None:
    with FakeCompositor(Config(outputs=(LEFT, RIGHT))) as compositor:
        with connected(compositor) as connection:
            wayshot_cli.shot(connection=connection)
        compositor.wait_until_gone()
        names = [request.name for request in compositor.requests]
    first_copy = names.index("copy")
    assert names[:first_copy].count("capture_output") == names.count("capture_output") == 2


@pytest.mark.parametrize("cursor", [False, True])
def test_the_cursor_is_painted_when_it_is_wanted(*, cursor: bool) -> None:
    with FakeCompositor(Config()) as compositor:
        with connected(compositor) as connection:
            wayshot_cli.shot(connection=connection, cursor=cursor)
        compositor.wait_until_gone()
        (request,) = [r for r in compositor.requests if r.name == "capture_output"]
    assert request.arguments[1] == int(cursor)


def test_shots_on_an_open_connection_do_not_pile_up() -> None:
    with FakeCompositor(Config(outputs=(LEFT, RIGHT))) as compositor:
        with connected(compositor) as connection:
            held = []
            for _ in range(4):
                wayshot_cli.shot(connection=connection).close()
                connection.roundtrip("settling")
                held.append((len(connection.proxies), compositor.held_fds))
        compositor.wait_until_gone()
        assert compositor.connections == 1
    assert held[1:] == held[:1] * 3


@pytest.mark.parametrize("version", [1, 3])
@pytest.mark.parametrize("outputs", [(LEFT,), (LEFT, RIGHT)], ids=len)
def test_meanwhile_is_called_once_while_the_compositor_has_the_buffers(
    outputs: tuple[Output, ...], version: int
) -> None:
    calls: list[int] = []
    config = Config(
        outputs=outputs,
        screencopy_version=version,
        faults=(Fault(Step.READY, faults.withhold),),
    )
    with FakeCompositor(config) as compositor, connected(compositor, timeout=3) as connection:

        def meanwhile() -> None:
            compositor.wait_for("zwlr_screencopy_frame_v1", "copy", len(outputs))
            calls.append(compositor.count("zwlr_screencopy_frame_v1", "copy"))

        # Nothing is ready, so that it cannot have been called after the last answer.
        with pytest.raises(CaptureTimeoutError):
            wayshot_cli.shot(connection=connection, meanwhile=meanwhile)
    assert calls == [len(outputs)]


def test_a_borrowed_connection_holds_no_more_after_shots_that_failed() -> None:
    wrong: dict[Step, faults.Action] = {}

    def stumble(moment: faults.Moment) -> bool:
        return wrong[moment.step](moment) if moment.step in wrong else True

    steps = (Step.BUFFER, Step.READY)
    config = Config(outputs=(LEFT, RIGHT), faults=tuple(Fault(step, stumble) for step in steps))
    with FakeCompositor(config) as compositor:
        with connected(compositor) as connection:
            wayshot_cli.shot(connection=connection).close()
            connection.roundtrip("settling")
            held = len(connection.proxies), compositor.held_fds
            for step in steps:
                for action in (faults.failed, faults.withhold):
                    wrong = {step: action}
                    connection.timeout = 1 if action is faults.withhold else PATIENCE
                    with pytest.raises(CaptureError):
                        wayshot_cli.shot(connection=connection)
                    connection.timeout = PATIENCE
                    connection.roundtrip("settling")
                    assert (len(connection.proxies), compositor.held_fds) == held
            wrong = {}
            wayshot_cli.shot(connection=connection).close()
        compositor.wait_until_gone()
        assert compositor.violations == []
        assert compositor.leaks == []


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """Whoever takes pictures for hours may have no cyclic garbage collector, or a late one."""
    gc.collect()  # what earlier tests have left
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("wishes", [{}, {"region": "5,5 9x9"}, {"scale": 0.5}], ids=str)
def test_shots_leave_no_memory_to_the_garbage_collector(
    wishes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        leaving_no_more(memory, collecting=False),
        FakeCompositor(Config(outputs=(LEFT, RIGHT))) as compositor,
    ):
        for name, value in compositor.environ.items():
            monkeypatch.setenv(name, value)
        for _ in range(20):
            with wayshot_cli.shot(**wishes):
                pass
        compositor.wait_until_gone()
        assert compositor.leaks == []


@pytest.mark.usefixtures("_no_collector")
def test_a_frame_outlives_its_connection_and_its_memory_goes_with_it() -> None:
    with leaving_no_more(memory, collecting=False):
        before = memory()
        with FakeCompositor(Config(outputs=(LEFT,))) as compositor:
            with connected(compositor) as connection:
                frame = wayshot_cli.shot(connection=connection)
            compositor.wait_until_gone()
        assert np.array_equal(frame.to_numpy(), LEFT.upright(0))
        assert memory() > before
        frame.close()


@pytest.mark.parametrize(
    ("step", "action", "kind"),
    [
        (Step.BUFFER, faults.withhold, CaptureTimeoutError),
        (Step.BUFFER, faults.failed, CaptureError),
        (Step.BUFFER, faults.hang_up, CaptureError),
        (Step.BUFFER, faults.doing(lambda c: c.remove_output("FAKE-1")), TargetLostError),
        (Step.READY, faults.withhold, CaptureTimeoutError),
        (Step.READY, faults.failed, CaptureError),
        (Step.READY, faults.hang_up, CaptureError),
    ],
)
def test_whatever_the_compositor_does_is_one_error_of_the_family(
    step: Step, action: Callable[[faults.Moment], bool], kind: type[WayshotError]
) -> None:
    timeout = 3 if action is faults.withhold else PATIENCE
    with pytest.raises(kind) as caught:
        shoot(Config(outputs=(LEFT,), faults=(Fault(step, action),)), timeout)
    assert type(caught.value) is kind
    assert "'FAKE-1'" in str(caught.value)


# Outputs


def outputs_of(config: Config) -> list[wayshot_cli.Output]:
    with FakeCompositor(config) as compositor, connected(compositor) as connection:
        return read_outputs(connection)


def test_an_output_says_what_the_compositor_says_of_it() -> None:
    config = Config(outputs=(Output("DP-1", 300, 200, transform=5, x=-7, y=9, logical=(133, 200)),))
    (output,) = outputs_of(config)
    assert output.box == Box(-7, 9, 133, 200)
    assert output.native_size == (200, 300)
    assert output.scale == 1.5
    assert output.as_json() == {
        "name": "DP-1",
        "description": "a fake output",
        "make": "Fake",
        "model": "One",
        "x": -7,
        "y": 9,
        "width": 133,
        "height": 200,
        "scale": 1.5,
        "integer_scale": 1,
        "transform": "flipped-90",
        "mode": {"width": 300, "height": 200, "refresh": 60.0},
        "physical_size_mm": [320, 240],
    }


def test_reading_the_outputs_again_makes_nothing_new() -> None:
    with FakeCompositor(Config(outputs=(LEFT, RIGHT))) as compositor:
        with connected(compositor) as connection:
            first = wayshot_cli.outputs(connection=connection)
            held = len(connection.proxies)
            for _ in range(5):
                assert wayshot_cli.outputs(connection=connection) == first
                assert len(connection.proxies) == held
        compositor.wait_until_gone()
        assert compositor.count("wl_registry", "bind") == len(["a manager", "LEFT", "RIGHT"])
        assert compositor.leaks == []


def test_an_output_read_again_is_as_it_has_become() -> None:
    with (
        FakeCompositor(Config(outputs=(LEFT, RIGHT))) as compositor,
        connected(compositor) as connection,
    ):
        first, _ = wayshot_cli.outputs(connection=connection)
        assert first.box == Box(0, 0, 64, 48)
        compositor.change_output(
            "FAKE-1", width=300, height=200, refresh=75_000, scale=2, transform=1, x=-7, y=9
        )
        changed, unchanged = wayshot_cli.outputs(connection=connection)
        assert changed.box == Box(-7, 9, 100, 150)
        assert (changed.mode, changed.refresh_mhz) == ((300, 200), 75_000)
        assert (changed.integer_scale, changed.transform) == (2, Transform.ROTATED_90)
        assert unchanged.box == Box(64, 5, 30, 40)


def test_outputs_read_again_are_those_that_are_there_now() -> None:
    def names() -> list[str]:
        return [output.name for output in wayshot_cli.outputs(connection=connection)]

    with (
        FakeCompositor(Config(outputs=(LEFT, RIGHT))) as compositor,
        connected(compositor) as connection,
    ):
        assert names() == ["FAKE-1", "FAKE-2"]
        held = len(connection.proxies)
        compositor.remove_output("FAKE-1")
        assert names() == ["FAKE-2"]
        assert len(connection.proxies) < held
        compositor.add_output(Output("FAKE-3", x=500))
        assert names() == ["FAKE-2", "FAKE-3"]
        assert len(connection.proxies) == held
        taken = wayshot_cli.shot("FAKE-3", connection=connection)
        assert np.array_equal(taken.to_numpy(), Output("FAKE-3").upright(2))


def test_without_xdg_output_the_box_follows_from_mode_scale_and_transform() -> None:
    config = Config(
        outputs=(Output("DP-1", 300, 200, transform=1, scale=2, x=5),), xdg_output_version=0
    )
    (output,) = outputs_of(config)
    assert output.box == Box(5, 0, 100, 150)


def test_outputs_without_names_are_counted() -> None:
    config = Config(outputs=(LEFT, RIGHT), wl_output_version=3, xdg_output_version=1)
    assert [output.name for output in outputs_of(config)] == ["output-1", "output-2"]


def test_an_impossible_transform_is_a_problem_of_that_output() -> None:
    def lie(moment: faults.Moment) -> bool:
        moment.client.send(
            moment.resource.event("geometry", 0, 0, 1, 1, 0, "", "", 8)
            + moment.resource.event("mode", 1, 64, 48, 60_000)
        )
        return False

    config = Config(outputs=(LEFT, RIGHT), faults=(Fault(Step.OUTPUT, lie, output=LEFT.name),))
    bad, good = outputs_of(config)
    assert "impossible transform 8" in str(bad.problem)
    assert good.problem is None
    assert "problem" in bad.as_json()


def test_an_unknown_output_is_answered_with_the_known_ones() -> None:
    outputs = outputs_of(Config(outputs=(LEFT, RIGHT)))
    with pytest.raises(NotFoundError) as caught:
        find_output(outputs, "FAKE-9")
    assert "FAKE-1" in f"{caught.value} {caught.value.hint}"
    assert "FAKE-2" in f"{caught.value} {caught.value.hint}"


# Windows


def test_a_window_is_a_frame_with_premultiplied_alpha() -> None:
    with FakeCompositor(desktop(ONE, TWO)) as compositor, connected(compositor) as connection:
        for wish, name in (("id-2", "two"), ("title:First", "one"), ("id-2", "two")):
            frame = wayshot_cli.shot(window=wish, connection=connection)
            assert frame.alpha is wayshot_cli.Alpha.PREMULTIPLIED
            assert np.array_equal(frame.to_numpy(), straight(compositor.config, name))
        objects = len(connection.proxies)
        for _ in range(3):
            wayshot_cli.shot(window="id-1", connection=connection)
        assert len(connection.proxies) == objects
        connection.close()
        assert compositor.violations == []


def test_windows_are_followed_on_an_open_connection() -> None:
    with FakeCompositor(desktop(ONE)) as compositor, connected(compositor) as connection:
        (window,) = wayshot_cli.windows(connection=connection)
        assert window == wayshot_cli.Window("id-1", "org.one", "First")
        compositor.open_window(TWO)
        compositor.change_window("one", title="Renamed", states=(2,), outputs=("FAKE-1",))
        renamed, two = wayshot_cli.windows(connection=connection)
        assert renamed == ("id-1", "org.one", "Renamed", ("activated",), ("FAKE-1",))
        compositor.remove_output("FAKE-1")
        assert wayshot_cli.windows(connection=connection)[0].outputs == ()
        compositor.close_window("one")
        assert wayshot_cli.windows(connection=connection) == [two]
        assert compositor.count("ext_foreign_toplevel_list_v1", "destroy") == 0
        for handle in ("ext_foreign_toplevel_handle_v1", "zwlr_foreign_toplevel_handle_v1"):
            compositor.wait_for(handle, "destroy")


def test_reading_the_windows_again_makes_nothing_new() -> None:
    with FakeCompositor(desktop(ONE, TWO)) as compositor, connected(compositor) as connection:
        first = wayshot_cli.windows(connection=connection)
        objects = len(connection.proxies)
        for _ in range(3):
            assert wayshot_cli.windows(connection=connection) == first
        assert len(connection.proxies) == objects


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.sets(st.integers(0, 4))),
        max_size=6,
    )
)
def test_states_are_those_of_windows_that_cannot_be_confused(
    facts: list[tuple[str, str, set[int]]],
) -> None:
    windows = [
        Window(str(n), app_id, title, f"id-{n}", tuple(states))
        for n, (app_id, title, states) in enumerate(facts)
    ]
    with FakeCompositor(desktop(*windows)) as compositor, connected(compositor) as connection:
        listed = wayshot_cli.windows(connection=connection)
    names = [(window.app_id, window.title) for window in windows]
    known = ["maximized", "minimized", "activated", "fullscreen"]
    assert [window.identifier for window in listed] == [window.identifier for window in windows]
    for window, said, name in zip(windows, listed, names, strict=True):
        assert (said.app_id, said.title) == name
        expected = [state for number, state in enumerate(known) if number in window.states]
        assert list(said.states) == (expected if names.count(name) == 1 else [])
