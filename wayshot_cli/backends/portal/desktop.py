"""org.freedesktop.portal.Desktop: requests, their responses, and sessions."""

import contextlib
import os
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any

from jeepney import DBusAddress
from jeepney.low_level import ObjectPathType

from wayshot_cli.dbus import BUS, Bus, Reply, Signal, Variant
from wayshot_cli.errors import (
    CancelledError,
    CaptureError,
    CaptureTimeoutError,
    TargetLostError,
    UnsupportedError,
    WayshotError,
)
from wayshot_cli.waiting import LONGEST_TIMEOUT

if TYPE_CHECKING:
    from wayshot_cli.waiting import Waiter

_NAME = "org.freedesktop.portal.Desktop"
_PATH = "/org/freedesktop/portal/desktop"
_REQUEST = "org.freedesktop.portal.Request"
_SESSION = "org.freedesktop.portal.Session"
_CLOSING = 0.5  # seconds that a portal has to say that it has closed a session

_SUCCESS, _CANCELLED, _ENDED = range(3)  # Request.Response


class Desktop:
    """The portal, as one connection to the session bus sees it. ``close()`` at the end."""

    def __init__(self, waiter: "Waiter") -> None:
        """Connect to the bus, and start the portal if need be.

        Raises UnsupportedError where there is no bus or no portal, CaptureError where one of them
        does not answer, or makes no sense.
        """
        self._tokens = count(1)
        self._responses: dict[str, tuple[int, dict[str, Variant]]] = {}
        self._closed: set[str] = set()
        self._is_gone = False
        self._bus = Bus(waiter, "portal", self._on_signal)
        try:
            self._sender = self._bus.unique_name[1:].replace(".", "_")
            doing = "connecting to the portal"
            # Before the first call: what answers at once, answers not too soon.
            self._bus.subscribe(_NAME, f"path_namespace='{_PATH}'", doing)
            self.call("org.freedesktop.DBus.Peer", "Ping", doing=doing)
        except UnsupportedError as error:
            self.close()
            raise UnsupportedError(str(error), hint=install_hint()) from error
        except BaseException:
            self.close()
            raise

    def properties(self, interface: str) -> dict[str, Variant]:
        """Return an interface's properties. Raises UnsupportedError where there are none."""
        name = interface.rpartition(".")[2]
        doing = f"asking for {name}"
        try:
            reply = self.call(
                "org.freedesktop.DBus.Properties", "GetAll", "s", (interface,),
                returns="a{sv}", doing=doing,
            )  # fmt: skip
        except UnsupportedError as error:
            message = f"the portal of this desktop has no {name}"
            raise UnsupportedError(message, hint=install_hint()) from error
        return dict(reply.body[0])

    def call(  # noqa: PLR0913 - a method, its arguments and what it returns
        self,
        interface: str,
        method: str,
        signature: str = "",
        body: tuple[Any, ...] = (),
        *,
        returns: str = "",
        doing: str,
    ) -> Reply:
        """Call a method of the portal that answers at once. Raises what ``Bus.call`` raises."""
        address = DBusAddress(_PATH, bus_name=_NAME, interface=interface)
        try:
            return self._bus.call(address, method, signature, body, returns=returns, doing=doing)
        except CaptureTimeoutError as error:
            hint = "is xdg-desktop-portal well? --timeout gives it more time"
            raise CaptureTimeoutError(str(error), hint=hint) from error

    def request(  # noqa: PLR0913 - a method, its arguments and the way to wait for it
        self,
        interface: str,
        method: str,
        signature: str,
        body: tuple[Any, ...],
        options: dict[str, Variant],
        *,
        doing: str,
        session: str | None = None,
        asks_user: bool = False,
    ) -> dict[str, Variant]:
        """Make a request and return its results.

        Its last argument is ``options``, which ``signature`` and ``body`` leave out. What
        ``asks_user`` may take as long as the user likes. Raises CancelledError when the user says
        no, UnsupportedError when the portal does, TargetLostError when ``session`` is closed
        meanwhile.
        """
        token = f"wayshot{next(self._tokens)}"
        body = (*body, options | {"handle_token": ("s", token)})
        reply = self.call(interface, method, f"{signature}a{{sv}}", body, returns="o", doing=doing)
        # Before version 0.9 portals made up a path of their own.
        handles = {f"{_PATH}/request/{self._sender}/{token}", reply.body[0]}
        deadline = monotonic() + LONGEST_TIMEOUT if asks_user else None
        self._bus.wait(
            lambda: bool(handles & self._responses.keys() or self._has_ended(session)),
            doing,
            deadline,
        )
        answered = handles & self._responses.keys()
        if not answered:
            raise self._ended(session, doing)
        code, results = self._responses.pop(answered.pop())
        if code != _SUCCESS:
            raise _refusal(code, doing)
        return results

    def create_session(self, interface: str, doing: str) -> str:
        """Return the handle of a new session. Raises what ``request`` raises."""
        token = f"wayshot{next(self._tokens)}"
        options: dict[str, Variant] = {"session_handle_token": ("s", token)}
        results = self.request(interface, "CreateSession", "", (), options, doing=doing)
        kind, handle = results.get("session_handle", ("", None))
        try:
            # The specification has a path, portals give a string.
            ObjectPathType().check_data(handle if kind in {"s", "o"} else None)
        except (TypeError, ValueError) as error:
            message = f"the portal gave a session without a handle: {handle!r}"
            raise CaptureError(message) from error
        return str(handle)

    @property
    def is_mutter(self) -> bool:
        """Whether Mutter sends the pictures, as GNOME and some others have it."""
        return self._bus.has_owner("org.gnome.Mutter.ScreenCast")

    def is_closed(self, session: str) -> bool:
        """Whether a session has been closed, or its portal is gone."""
        return self._has_ended(session) or self._bus.failure is not None

    def close_session(self, session: str) -> None:
        """End a session, waiting a moment for the portal to do so."""
        if self.is_closed(session):
            return
        # When we hang up, the portal closes what is left.
        with contextlib.suppress(WayshotError):
            try:
                self._bus.call(
                    DBusAddress(session, bus_name=_NAME, interface=_SESSION), "Close",
                    doing="closing the session", deadline=monotonic() + _CLOSING,
                )  # fmt: skip
            except CancelledError:
                self._bus.waiter.wake()  # it was meant for more than this

    def close(self) -> None:
        """Hang up. Harmless twice."""
        self._bus.close()

    def _has_ended(self, session: str | None) -> bool:
        return self._is_gone or session in self._closed

    def _ended(self, session: str | None, doing: str) -> WayshotError:
        if session in self._closed:
            return TargetLostError(f"the portal closed the session while {doing}")
        return CaptureError(f"the portal went away while {doing}")

    def _on_signal(self, signal: Signal) -> None:
        if (signal.sender, signal.member) == (BUS, "NameOwnerChanged"):
            _, old_owner, _ = signal.body
            self._is_gone |= bool(old_owner)  # it started for us, and must stay
        elif (signal.interface, signal.member) == (_SESSION, "Closed"):
            self._closed.add(signal.path)
        elif (signal.interface, signal.member) == (_REQUEST, "Response"):
            if signal.signature != "ua{sv}":
                message = "the portal gave a malformed response"
                raise CaptureError(message)
            code, results = signal.body
            self._responses[signal.path] = code, results


def desktop_name() -> str:
    """Return the name of the running desktop, as ubuntu:GNOME, empty if it has none."""
    return os.environ.get("XDG_CURRENT_DESKTOP", "")


def install_hint() -> str:
    """Say what to install for the portal of this desktop."""
    backends = {
        "gnome": "gnome", "kde": "kde", "sway": "wlr", "wlroots": "wlr", "river": "wlr",
        "labwc": "wlr", "wayfire": "wlr", "niri": "gnome", "hyprland": "hyprland",
        "cosmic": "cosmic", "lxqt": "lxqt", "pantheon": "pantheon",
    }  # fmt: skip
    for name in desktop_name().lower().split(":"):
        if name in backends:
            return f"install xdg-desktop-portal-{backends[name]}, PipeWire and WirePlumber"
    return "install xdg-desktop-portal with the backend of this desktop, PipeWire and WirePlumber"


def _refusal(code: int, doing: str) -> WayshotError:
    if code == _CANCELLED:
        return CancelledError(f"the user cancelled {doing}")
    if code == _ENDED:
        return UnsupportedError(
            f"the portal refused while {doing}",
            hint="journalctl --user -u 'xdg-desktop-portal*' may say why",
        )
    return CaptureError(f"the portal gave the unknown response {code} while {doing}")
