"""The way to a cast, as the library goes it, against a portal that answers as it is told."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.descriptors import leaving_no_descriptors
from tests.fake import Config, FakeCompositor
from tests.portal.bus import PATIENCE
from tests.portal.fake import (
    PATH,
    REMOTE_DESKTOP,
    SCREEN_CAST,
    Behaviour,
    FakePortal,
    started,
    stream,
)
from wayshot_cli.backends.common import PortalWish, Target, Wish
from wayshot_cli.backends.portal import Portal
from wayshot_cli.errors import (
    CancelledError,
    CaptureError,
    CaptureTimeoutError,
    InvalidArgumentError,
    NotFoundError,
    TargetLostError,
    UnsupportedError,
    WayshotError,
)
from wayshot_cli.geometry import Box
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.portal.bus import SessionBus
    from wayshot_cli.wayland.outputs import Output

SHORT = 0.5
"""A time-out for what is never answered."""

ALL = stream(42), stream(43, position=("(ii)", (64, 0)), size=("(ii)", (80, 60)))


@contextmanager
def asking(
    bus: SessionBus,
    behaviour: Behaviour,
    target: Target = Target(),  # noqa: B008 - immutable
    *,
    wish: Wish = Wish(),  # noqa: B008
    timeout: float = PATIENCE,
) -> Iterator[tuple[FakePortal, Portal, list[Output]]]:
    """Ask for a cast, and check that nothing of it is left at the end.

    ``timeout`` is for each step of the handshake.
    """
    with (
        leaving_no_descriptors(),
        FakePortal(bus.address, behaviour) as fake,
        Connection() as connection,
    ):
        with contextlib.closing(Portal(connection, wish)) as portal:
            connection.timeout = timeout
            yield fake, portal, portal.read_outputs(target)
        fake.wait_until_gone()


def failure(bus: SessionBus, behaviour: Behaviour, timeout: float = PATIENCE) -> WayshotError:
    """Return the error that asking for a cast of FAKE-1 ends with."""
    target = Target(["FAKE-1"])
    with (
        pytest.raises(WayshotError) as info,
        asking(bus, behaviour, target, timeout=timeout),
    ):
        pass
    return info.value


@pytest.mark.usefixtures("compositor")
class TestGranted:
    def test_the_steps_are_those_of_the_interface(self, bus: SessionBus) -> None:
        with asking(bus, Behaviour(), Target(["FAKE-1"])) as (fake, portal, outputs):
            assert fake.methods == ["CreateSession", "SelectSources", "Start"]
            assert {call.interface for call in fake.calls} == {SCREEN_CAST}
            options = fake.call("SelectSources").options
            assert options["types"] == ("u", 1)
            assert options["multiple"] == ("b", False)
            assert options["cursor_mode"] == ("u", 1)
            assert options["persist_mode"] == ("u", 2)
            assert "restore_token" not in options
            assert [output.name for output in outputs] == ["FAKE-1"]
            assert outputs[0].box == Box(0, 0, 64, 48)
            assert not portal.is_over
        assert fake.closed == [fake.session]

    @pytest.mark.parametrize("way", ["early", "old_paths"])
    def test_responses_are_found_wherever_they_come(self, bus: SessionBus, way: str) -> None:
        behaviour = Behaviour()
        setattr(behaviour, way, True)
        with asking(bus, behaviour) as (_, _, outputs):
            assert len(outputs) == 1

    def test_the_remote_is_a_socket_to_the_portal(self, bus: SessionBus) -> None:
        with asking(bus, Behaviour()) as (fake, portal, _):
            assert portal.cast
            fds = [portal.cast.open_remote() for _ in range(2)]
            for fd in fds:
                assert stat.S_ISSOCK(os.fstat(fd).st_mode)
                assert not os.get_inheritable(fd)
            with socket.socket(fileno=fds[1]) as remote:
                fake.remotes[1].send(b"!")
                assert remote.recv(1) == b"!"
            os.close(fds[0])

    def test_the_cursor_is_embedded_when_it_is_wished_for(self, bus: SessionBus) -> None:
        with asking(bus, Behaviour(), Target(cursor=True)) as (fake, _, _):
            assert fake.call("SelectSources").options["cursor_mode"] == ("u", 2)

    @pytest.mark.parametrize(("cursor", "painted"), [(False, "hidden"), (True, "metadata")])
    def test_metadata_of_the_cursor_will_do(
        self, bus: SessionBus, *, cursor: bool, painted: str
    ) -> None:
        behaviour = Behaviour()
        behaviour.properties[SCREEN_CAST]["AvailableCursorModes"] = ("u", 4)
        with asking(bus, behaviour, Target(cursor=cursor)) as (fake, portal, _):
            assert fake.call("SelectSources").options["cursor_mode"] == ("u", 4)
            assert portal.cast
            assert portal.cast.cursor == painted

    def test_an_old_portal_is_asked_for_nothing_that_it_does_not_know(
        self, bus: SessionBus
    ) -> None:
        behaviour = Behaviour()
        behaviour.properties[SCREEN_CAST] = {
            "version": ("u", 1),
            "AvailableSourceTypes": ("u", 1),
        }
        with asking(bus, behaviour) as (fake, _, _):
            options = fake.call("SelectSources").options
            assert not {"cursor_mode", "persist_mode", "restore_token"} & options.keys()

    def test_windows_and_virtual_monitors_are_sources(self, bus: SessionBus) -> None:
        for source, bit in (("window", 2), ("virtual", 4)):
            behaviour = Behaviour(results={"Start": started((42, {"source_type": ("u", bit)}))})
            wish = Wish(portal=PortalWish(source))
            with asking(bus, behaviour, wish=wish) as (fake, _, outputs):
                assert fake.call("SelectSources").options["types"] == ("u", bit)
                assert len(outputs) == 1

    def test_a_remote_desktop_is_asked_for_once_for_all(self, bus: SessionBus) -> None:
        wish = Wish(portal=PortalWish(remote_desktop=True))
        with asking(bus, Behaviour(), wish=wish) as (fake, _, _):
            steps = [(call.interface, call.method) for call in fake.calls]
            assert steps == [
                (REMOTE_DESKTOP, "CreateSession"),
                (REMOTE_DESKTOP, "SelectDevices"),
                (SCREEN_CAST, "SelectSources"),
                (REMOTE_DESKTOP, "Start"),
            ]
            assert fake.call("SelectDevices").options["persist_mode"] == ("u", 2)
            assert fake.call("SelectDevices").options["types"] == ("u", 3)
            assert "persist_mode" not in fake.call("SelectSources").options

    def test_it_is_asked_once_though_the_outputs_are_read_twice(self, bus: SessionBus) -> None:
        with asking(bus, Behaviour()) as (fake, portal, outputs):
            assert portal.read_outputs(Target()) == outputs
            assert portal.are_current(outputs)
            assert fake.methods.count("Start") == 1

    def test_nobody_else_can_answer_in_the_portals_name(self, bus: SessionBus) -> None:
        def interlude(fake: FakePortal, method: str) -> None:
            if method == "Start":
                fake.forge_response()

        with asking(bus, Behaviour(interlude=interlude)) as (_, _, outputs):
            assert len(outputs) == 1


@pytest.mark.usefixtures("compositor")
class TestRefused:
    @pytest.mark.parametrize("method", ["CreateSession", "SelectSources", "Start"])
    @pytest.mark.parametrize(
        ("code", "error"), [(1, CancelledError), (2, UnsupportedError), (7, CaptureError)]
    )
    def test_responses_have_their_meanings(
        self, bus: SessionBus, method: str, code: int, error: type[WayshotError]
    ) -> None:
        assert type(failure(bus, Behaviour(results={method: (code, {})}))) is error

    @pytest.mark.parametrize(
        ("name", "error", "words"),
        [
            ("org.freedesktop.portal.Error.NotFound", NotFoundError, "does not find"),
            ("org.freedesktop.portal.Error.InvalidArgument", UnsupportedError, "does not take"),
            ("org.freedesktop.portal.Error.NotAllowed", UnsupportedError, "does not allow"),
            ("org.freedesktop.portal.Error.Cancelled", CancelledError, "cancelled"),
            ("org.freedesktop.portal.Error.WindowDestroyed", TargetLostError, "window"),
            ("org.freedesktop.portal.Error.Failed", CaptureError, "failed with"),
            ("org.freedesktop.DBus.Error.AccessDenied", UnsupportedError, "does not allow"),
            ("org.freedesktop.DBus.Error.NoReply", CaptureError, "without an answer"),
            ("org.freedesktop.DBus.Error.UnknownMethod", UnsupportedError, "cannot do that"),
            ("org.freedesktop.DBus.Error.TimedOut", CaptureTimeoutError, "not start in time"),
            ("org.freedesktop.DBus.Error.Spawn.Failed", UnsupportedError, "does not start"),
        ],
    )
    def test_errors_of_dbus_are_said_in_words(
        self, bus: SessionBus, name: str, error: type[WayshotError], words: str
    ) -> None:
        said = failure(bus, Behaviour(errors={"SelectSources": name}))
        assert type(said) is error
        assert words in str(said)
        assert "(so it says)" in str(said)
        assert "choosing what to cast" in str(said)

    def test_a_portal_without_casts_says_what_to_install(self, bus: SessionBus) -> None:
        behaviour = Behaviour()
        del behaviour.properties[SCREEN_CAST]
        error = failure(bus, behaviour)
        assert isinstance(error, UnsupportedError)
        assert "ScreenCast" in str(error)
        assert "xdg-desktop-portal-gnome" in (error.hint or "")

    @pytest.mark.parametrize(
        ("desktop", "backend"),
        [("ubuntu:GNOME", "-gnome,"), ("KDE", "-kde,"), ("sway", "-wlr,"),
         ("Hyprland", "-hyprland,"), ("Own", " with the backend"), ("", " with the backend")],
    )  # fmt: skip
    def test_each_desktop_has_a_portal_of_its_own(
        self, bus: SessionBus, monkeypatch: pytest.MonkeyPatch, desktop: str, backend: str
    ) -> None:
        monkeypatch.setenv("XDG_CURRENT_DESKTOP", desktop)
        error = failure(bus, Behaviour(properties={}))
        assert f"install xdg-desktop-portal{backend}" in (error.hint or "")

    def test_sources_and_cursors_that_there_are_not_are_not_asked_for(
        self, bus: SessionBus
    ) -> None:
        behaviour = Behaviour()
        behaviour.properties[SCREEN_CAST]["AvailableSourceTypes"] = ("u", 2)
        error = failure(bus, behaviour)
        assert isinstance(error, UnsupportedError)
        assert "window" in str(error)
        behaviour = Behaviour()
        behaviour.properties[SCREEN_CAST]["AvailableCursorModes"] = ("u", 2)
        error = failure(bus, behaviour)
        assert isinstance(error, UnsupportedError)
        assert "hide the cursor" in str(error)

    def test_an_unknown_output_is_not_asked_for(self, bus: SessionBus) -> None:
        behaviour = Behaviour()
        with pytest.raises(NotFoundError), asking(bus, behaviour, Target(["NONE"])):
            pass

    def test_outputs_are_no_windows(self, bus: SessionBus) -> None:
        wish = Wish(portal=PortalWish("window"))
        with (
            pytest.raises(InvalidArgumentError),
            asking(bus, Behaviour(), Target(["FAKE-1"]), wish=wish),
        ):
            pass


@pytest.mark.usefixtures("compositor")
def test_nobody_is_asked_where_there_is_no_pipewire(
    bus: SessionBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        message = "no libpipewire"
        raise UnsupportedError(message)

    monkeypatch.setattr("wayshot_cli.backends.pipewire.library.library", fail)
    with FakePortal(bus.address) as fake, Connection() as connection:
        with pytest.raises(UnsupportedError, match="no libpipewire"):
            Portal(connection)
        with contextlib.closing(Portal(connection, Wish(screenshot=True))) as portal:
            (output,) = portal.read_outputs(Target())
            assert output.name == "desktop"
        assert fake.methods == []


@pytest.mark.usefixtures("compositor")
class TestSlow:
    @pytest.mark.parametrize("way", ["mute", "silent"])
    @pytest.mark.parametrize("method", ["CreateSession", "SelectSources"])
    def test_each_step_has_its_time(self, bus: SessionBus, way: str, method: str) -> None:
        behaviour = Behaviour()
        getattr(behaviour, way).add(method)
        error = failure(bus, behaviour, SHORT)
        assert isinstance(error, CaptureTimeoutError)
        assert "the portal did not answer in time" in str(error)

    def test_a_start_that_is_not_even_taken_has_its_time(self, bus: SessionBus) -> None:
        assert isinstance(failure(bus, Behaviour(mute={"Start"}), SHORT), CaptureTimeoutError)

    def test_a_portal_that_says_nothing_at_all_has_its_time(self, bus: SessionBus) -> None:
        with FakePortal(bus.address, Behaviour(mute={"GetAll"})), Connection() as connection:
            connection.timeout = SHORT
            with pytest.raises(CaptureTimeoutError):
                Portal(connection)

    def test_the_dialog_may_take_longer(self, bus: SessionBus) -> None:
        behaviour = Behaviour(silent={"Start"})
        with FakePortal(bus.address, behaviour) as fake, Connection() as connection:

            def interlude(_: FakePortal, method: str) -> None:
                if method == "Start":
                    connection.timeout = SHORT

            behaviour.interlude = interlude

            def close() -> None:
                fake.wait_for(lambda: "Start" in fake.methods)
                time.sleep(2 * SHORT)
                fake.close_session()

            closer = threading.Thread(target=close)
            closer.start()
            with contextlib.closing(Portal(connection)) as portal, pytest.raises(TargetLostError):
                portal.read_outputs(Target())
            closer.join()

    def test_a_wake_up_ends_the_dialog(self, bus: SessionBus) -> None:
        behaviour = Behaviour(silent={"Start"})
        with FakePortal(bus.address, behaviour) as fake, Connection() as connection:
            portal = Portal(connection)

            def wake() -> None:
                fake.wait_for(lambda: "Start" in fake.methods)
                connection.wake()

            waker = threading.Thread(target=wake)
            waker.start()
            with pytest.raises(CancelledError):
                portal.read_outputs(Target())
            waker.join()
            portal.close()
            fake.wait_until_gone()
            assert fake.closed == [fake.session]


@pytest.mark.usefixtures("compositor")
class TestClosed:
    @pytest.mark.parametrize("method", ["SelectSources", "Start"])
    def test_a_session_that_is_closed_meanwhile_is_lost(self, bus: SessionBus, method: str) -> None:
        error = failure(bus, Behaviour(closes_at=method))
        assert type(error) is TargetLostError
        assert "closed the session" in str(error)

    @pytest.mark.parametrize("method", ["CreateSession", "SelectSources", "Start"])
    def test_a_portal_that_leaves_ends_the_wait(self, bus: SessionBus, method: str) -> None:
        error = failure(bus, Behaviour(leaves_at=method))
        assert type(error) is CaptureError
        assert "went away" in str(error)

    def test_a_portal_that_comes_back_is_another(self, bus: SessionBus) -> None:
        with asking(bus, Behaviour()) as (fake, portal, _):
            fake.leave()
            fake.come_back()
            portal.connection.wait(lambda: portal.is_over, "waiting for the end")
            with contextlib.suppress(CaptureTimeoutError):
                portal.connection.wait(
                    lambda: not portal.is_over, "waiting", time.monotonic() + 0.2
                )
            assert portal.is_over

    def test_a_cast_that_ends_later_is_over(self, bus: SessionBus) -> None:
        with asking(bus, Behaviour()) as (fake, portal, outputs):
            fake.close_session()
            portal.connection.wait(lambda: portal.is_over, "waiting for the end")
            assert not portal.are_current(outputs)
            with pytest.raises(TargetLostError):
                portal.read_outputs(Target())
            assert portal.cast
            with pytest.raises(TargetLostError):
                portal.cast.open_remote()
        assert fake.closed == []


@pytest.mark.usefixtures("compositor")
class TestMalformed:
    @pytest.mark.parametrize(
        "behaviour",
        [
            Behaviour(results={"CreateSession": (0, {})}),
            Behaviour(session=("u", 5)),
            Behaviour(session=("s", "no path")),
            Behaviour(signature="u"),
            Behaviour(results={"Start": (0, {})}),
            Behaviour(results={"Start": (0, {"streams": ("a(ua{sv})", [])})}),
            Behaviour(results={"Start": (0, {"streams": ("s", "none")})}),
            Behaviour(results={"Start": (0, {"streams": ("a(u)", [(1,)])})}),
            Behaviour(results={"Start": started(stream(0xFFFFFFFF))}),
        ],
    )
    def test_answers_without_sense_fail(self, bus: SessionBus, behaviour: Behaviour) -> None:
        assert type(failure(bus, behaviour)) is CaptureError

    @pytest.mark.parametrize("kind", ["file", "text"])
    def test_a_remote_that_is_none_fails(self, bus: SessionBus, kind: str) -> None:
        with asking(bus, Behaviour(remote=kind)) as (_, portal, _):
            assert portal.cast
            with pytest.raises(CaptureError):
                portal.cast.open_remote()

    def test_a_session_may_be_an_object_path(self, bus: SessionBus) -> None:
        with asking(bus, Behaviour(session=("o", f"{PATH}/session/x"))) as (_, _, outputs):
            assert len(outputs) == 1

    @pytest.mark.parametrize(
        "properties",
        [
            {"size": ("s", "large")},
            {"size": ("(ii)", (0, -5))},
            {"size": ("(ii)", (2**31 - 1, 1)), "position": ("u", 7)},
            {"source_type": ("u", 64), "pipewire-serial": ("s", "")},
        ],
    )
    def test_properties_without_sense_count_as_missing(
        self, bus: SessionBus, properties: dict[str, tuple[str, object]]
    ) -> None:
        behaviour = Behaviour(results={"Start": started((42, properties))})
        with asking(bus, behaviour) as (_, portal, outputs):
            assert len(outputs) == 1
            assert portal.cast
            (only,) = portal.cast.streams
            assert only.node_id == 42
            assert (only.size, only.position, only.serial, only.source) == (None, None, None, None)


@pytest.mark.usefixtures("compositor")
class TestTargets:
    def test_several_outputs_are_asked_for_together(self, bus: SessionBus) -> None:
        behaviour = Behaviour(results={"Start": started(*ALL)})
        with asking(bus, behaviour) as (fake, _, outputs):
            assert fake.call("SelectSources").options["multiple"] == ("b", True)
            assert [output.name for output in outputs] == ["FAKE-1", "FAKE-2"]
            assert Target().plan(outputs).box == Box(0, 0, 144, 60)

    def test_of_several_streams_the_named_output_is_taken(self, bus: SessionBus) -> None:
        behaviour = Behaviour(results={"Start": started(*ALL)})
        target = Target(["FAKE-2"])
        with asking(bus, behaviour, target) as (fake, _, outputs):
            assert fake.call("SelectSources").options["multiple"] == ("b", False)
            (chosen,) = target.plan(outputs).outputs
            assert chosen.offer.name == 43

    def test_what_the_dialog_has_decided_is_said(self, bus: SessionBus) -> None:
        said: list[str] = []
        for other in (stream(position=("(ii)", (9, 9))), stream(size=("(ii)", (7, 7)))):
            behaviour = Behaviour(results={"Start": started(other)})
            with asking(bus, behaviour, Target(["FAKE-1"]), wish=Wish(warn=said.append)) as (
                _, _, outputs,
            ):  # fmt: skip
                assert [output.name for output in outputs] == ["FAKE-1"]
        assert len(said) == 2
        assert "dialog" in said[0]

    def test_the_wrong_streams_are_no_output(self, bus: SessionBus) -> None:
        nowhere = stream(42, position=("s", "")), stream(43, position=("s", ""), size=("s", ""))
        for target in (Target(["FAKE-2"]), Target(["FAKE-1", "FAKE-2"]), Target()):
            behaviour = Behaviour(results={"Start": started(*nowhere)})
            with pytest.raises(UnsupportedError), asking(bus, behaviour, target):
                pass

    def test_a_region_needs_to_know_where_the_stream_lies(self, bus: SessionBus) -> None:
        target = Target(region=Box(70, 5, 9, 9))
        behaviour = Behaviour(results={"Start": started(ALL[1])})
        with asking(bus, behaviour, target) as (_, _, outputs):
            assert target.plan(outputs).outputs == outputs
        behaviour = Behaviour(results={"Start": started((43, {}))})
        with pytest.raises(UnsupportedError), asking(bus, behaviour, target):
            pass

    def test_a_scale_needs_to_know_how_large_it_is(self, bus: SessionBus) -> None:
        behaviour = Behaviour(results={"Start": started((43, {}))})
        with pytest.raises(UnsupportedError), asking(bus, behaviour, Target(scale=2.0)):
            pass


@pytest.mark.usefixtures("compositor")
class TestTokens:
    @staticmethod
    def kept(state: Path) -> dict[str, str]:
        """Return the tokens of this desktop."""
        path = state / "wayshot" / "portal.json"
        return dict(json.loads(path.read_text())["GNOME"]) if path.exists() else {}

    @staticmethod
    def keep(state: Path, **tokens: str) -> None:
        """Have tokens from an earlier time; ``_`` stands for a space."""
        (state / "wayshot").mkdir(parents=True)
        own = {name.replace("__", "-").replace("_", " "): token for name, token in tokens.items()}
        (state / "wayshot" / "portal.json").write_text(json.dumps({"GNOME": own}))

    def test_each_spares_the_next_dialog_and_is_used_once(
        self, bus: SessionBus, state: Path
    ) -> None:
        target = Target(["FAKE-1"])
        for used in (None, "token-1", "token-2"):
            number = 0 if used is None else int(used[-1])
            behaviour = Behaviour(
                results={"Start": started(restore_token=("s", f"token-{number + 1}"))}
            )
            with asking(bus, behaviour, target) as (fake, _, _):
                options = fake.call("SelectSources").options
                assert options.get("restore_token", ("s", None)) == ("s", used)
                assert self.kept(state) == {"screen-cast monitor FAKE-1": f"token-{number + 1}"}

    def test_they_are_kept_by_target(self, bus: SessionBus, state: Path) -> None:
        for target in (Target(["FAKE-1"]), Target(region=Box(70, 0, 5, 5)), Target()):
            behaviour = Behaviour(results={"Start": started(*ALL, restore_token=("s", "x"))})
            with asking(bus, behaviour, target):
                pass
        assert set(self.kept(state)) == {
            "screen-cast monitor FAKE-1",
            "screen-cast monitor FAKE-2",
            "screen-cast monitor FAKE-1 FAKE-2",
        }

    def test_one_that_is_refused_leaves_the_question_to_the_user(
        self, bus: SessionBus, state: Path
    ) -> None:
        self.keep(state, screen__cast_monitor_FAKE__1="stale")
        behaviour = Behaviour(valid_tokens=set())
        with asking(bus, behaviour, Target(["FAKE-1"])) as (fake, _, _):
            assert fake.methods == ["CreateSession", "SelectSources", "Start"] * 2
            assert fake.closed != [fake.session]
            assert "restore_token" not in fake.call("SelectSources").options
        assert self.kept(state) == {"screen-cast monitor FAKE-1": "token-1"}

    def test_a_wake_up_while_a_refused_one_is_put_away_spares_the_dialog(
        self, bus: SessionBus, state: Path
    ) -> None:
        self.keep(state, screen__cast_monitor_FAKE__1="stale")
        behaviour = Behaviour(valid_tokens=set(), mute={"Close"})
        with (
            FakePortal(bus.address, behaviour) as fake,
            Connection() as connection,
            contextlib.closing(Portal(connection)) as portal,
        ):

            def wake() -> None:
                fake.wait_for(lambda: bool(fake.closed))
                connection.wake()

            waker = threading.Thread(target=wake)
            waker.start()
            with pytest.raises(CancelledError):
                portal.read_outputs(Target(["FAKE-1"]))
            waker.join()
            assert fake.methods.count("Start") == 1

    @pytest.mark.parametrize(
        "behaviour",
        [
            Behaviour(results={"Start": (1, {})}),
            Behaviour(results={"Start": (2, {})}),
            Behaviour(closes_at="Start"),
            Behaviour(leaves_at="Start"),
            Behaviour(silent={"SelectSources"}),
            Behaviour(errors={"SelectSources": "org.freedesktop.portal.Error.Failed"}),
        ],
        ids=["cancelled", "refused", "closed", "gone", "silent", "failed"],
    )
    def test_a_failure_that_may_pass_costs_none(
        self, bus: SessionBus, state: Path, behaviour: Behaviour
    ) -> None:
        self.keep(state, screen__cast_monitor_FAKE__1="good")
        assert failure(bus, behaviour, SHORT)
        assert self.kept(state) == {"screen-cast monitor FAKE-1": "good"}

    @pytest.mark.parametrize("token", ["a\nb", "", "x" * 2**20], ids=["lines", "none", "long"])
    def test_one_that_could_not_be_read_again_costs_no_others(
        self, bus: SessionBus, state: Path, token: str
    ) -> None:
        self.keep(state, screen__cast_monitor_FAKE__2="good")
        behaviour = Behaviour(results={"Start": started(restore_token=("s", token))})
        with asking(bus, behaviour, Target(["FAKE-1"])):
            assert self.kept(state) == {"screen-cast monitor FAKE-2": "good"}

    def test_one_without_a_successor_is_spent(self, bus: SessionBus, state: Path) -> None:
        self.keep(state, screen__cast_monitor_FAKE__1="last")
        with asking(bus, Behaviour(results={"Start": started()}), Target(["FAKE-1"])):
            assert self.kept(state) == {}

    def test_a_remote_desktop_that_was_allowed_is_used(self, bus: SessionBus, state: Path) -> None:
        self.keep(state, remote__desktop_monitor_FAKE__1="remote")
        with asking(bus, Behaviour(), Target(["FAKE-1"])) as (fake, _, _):
            assert fake.call("SelectDevices").options["restore_token"] == ("s", "remote")
            assert "restore_token" not in fake.call("SelectSources").options
        assert self.kept(state) == {"remote-desktop monitor FAKE-1": "token-1"}

    def test_what_does_not_show_the_output_is_not_kept_for_it(
        self, bus: SessionBus, state: Path
    ) -> None:
        other = started(ALL[1], restore_token=("s", "wrong"))
        with asking(bus, Behaviour(results={"Start": other}), Target(["FAKE-1"])):
            assert self.kept(state) == {}

    def test_a_corrupt_file_is_said_and_replaced(self, bus: SessionBus, state: Path) -> None:
        self.keep(state)
        (state / "wayshot" / "portal.json").write_text("nonsense")
        said: list[str] = []
        with asking(bus, Behaviour(), Target(["FAKE-1"]), wish=Wish(warn=said.append)):
            assert self.kept(state) == {"screen-cast monitor FAKE-1": "token-1"}
        assert len(said) == 1


def test_a_virtual_monitor_needs_no_other(
    bus: SessionBus, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeCompositor(Config(outputs=())) as compositor:
        for name, value in compositor.environ.items():
            monkeypatch.setenv(name, value)
        with asking(bus, Behaviour(), wish=Wish(portal=PortalWish("virtual"))) as (_, _, outputs):
            assert len(outputs) == 1
        with pytest.raises(NotFoundError), asking(bus, Behaviour()):
            pass
    assert state.exists()


def test_there_may_be_no_bus(
    compositor: FakeCompositor, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    assert compositor
    for address in (
        f"unix:path={tmp_path}/none",
        f"unix:path=/{'x' * 200}",
        "tcp:host=localhost,port=1",
        "nonsense",
        "unix:",
        ";",
    ):
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        with Connection() as connection, pytest.raises(UnsupportedError):
            Portal(connection)
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
    with Connection() as connection:
        with pytest.raises(UnsupportedError, match="no session bus at"):
            Portal(connection)
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        with pytest.raises(UnsupportedError, match="XDG_RUNTIME_DIR"):
            Portal(connection)


@pytest.mark.usefixtures("compositor")
def test_there_may_be_no_portal(bus: SessionBus) -> None:
    assert bus.address
    with Connection() as connection, pytest.raises(UnsupportedError) as info:
        Portal(connection)
    assert "there is no portal on the session bus" in str(info.value)
    assert "xdg-desktop-portal-gnome" in (info.value.hint or "")
