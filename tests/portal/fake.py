"""A portal for tests, which answers as it is told and remembers what it was asked.

It serves ScreenCast, RemoteDesktop and Screenshot in a thread, over jeepney::

    behaviour = Behaviour(results={"Start": (1, {})})  # the user says no
    with SessionBus() as bus, FakePortal(bus.address, behaviour) as portal:
        ...
        assert portal.methods == ["CreateSession", "SelectSources", "Start"]
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    new_error,
    new_method_return,
    new_signal,
)
from jeepney.bus_messages import message_bus

from tests.portal.bus import PATIENCE, connected
from tests.portal.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "org.freedesktop.portal.Desktop"
PATH = "/org/freedesktop/portal/desktop"
SCREEN_CAST = "org.freedesktop.portal.ScreenCast"
REMOTE_DESKTOP = "org.freedesktop.portal.RemoteDesktop"
SCREENSHOT = "org.freedesktop.portal.Screenshot"

Variant = tuple[str, Any]


def stream(node: int = 42, **properties: Variant) -> tuple[int, dict[str, Variant]]:
    """Return a stream as Start has it: all of FAKE-1 unless said otherwise."""
    usual: dict[str, Variant] = {"position": ("(ii)", (0, 0)), "size": ("(ii)", (64, 48))}
    return node, {**usual, "source_type": ("u", 1), **properties}


def started(*streams: tuple[int, dict[str, Variant]], **more: Variant) -> tuple[int, Any]:
    """Return the response to a Start that was granted."""
    return 0, {"streams": ("a(ua{sv})", list(streams or (stream(),))), **more}


def _properties() -> dict[str, dict[str, Variant]]:
    return {
        SCREEN_CAST: {
            "version": ("u", 5),
            "AvailableSourceTypes": ("u", 7),
            "AvailableCursorModes": ("u", 7),
        },
        REMOTE_DESKTOP: {"version": ("u", 2), "AvailableDeviceTypes": ("u", 7)},
        SCREENSHOT: {"version": ("u", 2)},
    }


@dataclass
class Behaviour:
    """What the portal does, by the names of methods."""

    properties: dict[str, dict[str, Variant]] = field(default_factory=_properties)
    results: dict[str, tuple[int, Any]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    mute: set[str] = field(default_factory=set)  # no answer to the call
    silent: set[str] = field(default_factory=set)  # an answer, but no response
    closes_at: str = ""  # the session, in place of a response
    leaves_at: str = ""  # the bus, in place of a response
    early: bool = False  # the response comes before the answer to the call
    old_paths: bool = False  # requests have another path than predicted
    session: Variant | None = None  # the session's handle, None: the right one
    signature: str = "ua{sv}"  # of Response
    remote: str = (
        "socket"  # what OpenPipeWireRemote gives: socket, file, text, or a PipeWire's path
    )
    uri: str = ""  # of the screenshot
    valid_tokens: set[str] | None = None  # None: all; others end Start with 2
    interlude: Callable[[FakePortal, str], None] | None = None  # before each answer


@dataclass(frozen=True)
class Call:
    """A call that came: ``options`` is its last argument."""

    interface: str
    method: str
    options: dict[str, Variant]
    body: tuple[Any, ...]


class FakePortal(Service):
    """The portal, from ``__enter__`` to ``__exit__``."""

    def __init__(self, address: str, behaviour: Behaviour | None = None) -> None:
        super().__init__(address, NAME)
        self.behaviour = behaviour or Behaviour()
        self.calls: list[Call] = []
        self.closed: list[str] = []  # sessions, by their clients
        self.gone: list[str] = []  # clients that have hung up
        self.remotes: list[socket.socket] = []  # the portal's ends
        self.session = ""  # the last one
        self._tokens = 0
        self._restored = ""
        self._client = ""

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for remote in self.remotes:
            remote.close()

    @property
    def methods(self) -> list[str]:
        """The names of what was called, in order."""
        return [call.method for call in self.calls]

    def call(self, method: str) -> Call:
        """Return the last call of a method."""
        return next(call for call in reversed(self.calls) if call.method == method)

    def wait_until_gone(self) -> None:
        """Wait until who has called it last has hung up: all that it has sent has come before."""
        self.wait_for(lambda: self._client in self.gone)

    def close_session(self) -> None:
        """Say that the session was closed, as the user can at any time."""
        emitter = DBusAddress(self.session, interface="org.freedesktop.portal.Session")
        self._send(new_signal(emitter, "Closed"))

    def leave(self) -> None:
        """Give up its name, as when it ends."""
        self._send(message_bus.ReleaseName(NAME))

    def come_back(self) -> None:
        """Take it again, as when it is started anew."""
        self._send(message_bus.RequestName(NAME))

    def forge_response(self) -> None:
        """Have somebody else say that all that is asked for is refused."""
        with connected(self._address) as other:
            call = self.calls[-1]
            path = f"{PATH}/request/{self._sender}/{call.options['handle_token'][1]}"
            emitter = DBusAddress(path, interface="org.freedesktop.portal.Request")
            signal = new_signal(emitter, "Response", "ua{sv}", (2, {}))
            signal.header.fields[HeaderFields.destination] = self._client
            other.send(signal)
            # The bus has handed it on when it answers us.
            other.send_and_get_reply(message_bus.GetId(), timeout=PATIENCE)

    @property
    def _sender(self) -> str:
        return self._client[1:].replace(".", "_")

    def _handle(self, message: Message) -> None:
        fields = message.header.fields
        if message.header.message_type is MessageType.signal:
            if fields[HeaderFields.member] == "NameOwnerChanged" and not message.body[2]:
                self.gone.append(message.body[0])
            return
        if message.header.message_type is not MessageType.method_call:
            return
        interface, method = fields.get(HeaderFields.interface, ""), fields[HeaderFields.member]
        self._client = fields[HeaderFields.sender]
        if method == "Ping":
            self._send(new_method_return(message))
        elif method == "GetAll":
            self._get_all(message, message.body[0])
        elif interface == "org.freedesktop.portal.Session":
            self.closed.append(fields[HeaderFields.path])
            if "Close" not in self.behaviour.mute:
                self._send(new_method_return(message))
        else:
            options = message.body[-1]
            self.calls.append(Call(interface, method, options, message.body))
            self._answer(message, method, options)

    def _get_all(self, message: Message, interface: str) -> None:
        known = self.behaviour.properties.get(interface)
        if "GetAll" in self.behaviour.mute:
            return
        if known is None:
            name = "org.freedesktop.DBus.Error.InvalidArgs"
            self._send(new_error(message, name, "s", (f"No such interface “{interface}”",)))
        else:
            self._send(new_method_return(message, "a{sv}", (known,)))

    def _answer(self, message: Message, method: str, options: dict[str, Variant]) -> None:
        behaviour = self.behaviour
        if behaviour.interlude:
            behaviour.interlude(self, method)
        if method in behaviour.mute:
            return
        if method in behaviour.errors:
            error = new_error(message, behaviour.errors[method], "s", ("so it says",))
            self._send(error)
        elif method == "OpenPipeWireRemote":
            self._open_remote(message)
        else:
            token = "t0" if behaviour.old_paths else options["handle_token"][1]
            path = f"{PATH}/request/{self._sender}/{token}"
            if behaviour.early:
                self._respond(path, method, options)
            self._send(new_method_return(message, "o", (path,)))
            if not behaviour.early:
                self._respond(path, method, options)

    def _respond(self, path: str, method: str, options: dict[str, Variant]) -> None:
        behaviour = self.behaviour
        if "session_handle_token" in options:
            token = options["session_handle_token"][1]
            self.session = f"{PATH}/session/{self._sender}/{token}"
        if "restore_token" in options:
            self._restored = options["restore_token"][1]
        if behaviour.closes_at == method:
            self.close_session()
        elif behaviour.leaves_at == method:
            self._bus.send_and_get_reply(message_bus.ReleaseName(NAME), timeout=PATIENCE)
        elif method not in behaviour.silent:
            code, results = behaviour.results.get(method) or self._usual(method)
            emitter = DBusAddress(path, interface="org.freedesktop.portal.Request")
            body = (code, results) if behaviour.signature == "ua{sv}" else (code,)
            self._send(new_signal(emitter, "Response", behaviour.signature, body))

    def _usual(self, method: str) -> tuple[int, Any]:
        if method == "CreateSession":
            return 0, {"session_handle": self.behaviour.session or ("s", self.session)}
        if method == "Screenshot":
            return 0, {"uri": ("s", self.behaviour.uri)}
        if method != "Start":
            return 0, {}
        valid = self.behaviour.valid_tokens
        restored, self._restored = self._restored, ""
        if restored and valid is not None and restored not in valid:
            return 2, {}
        self._tokens += 1
        return started(restore_token=("s", f"token-{self._tokens}"))

    def _open_remote(self, message: Message) -> None:
        if self.behaviour.remote == "text":
            self._send(new_method_return(message, "s", ("no fd",)))
            return
        if self.behaviour.remote == "file":
            fd = os.open(os.devnull, os.O_RDONLY)
        elif self.behaviour.remote == "socket":
            ours, theirs = socket.socketpair()
            self.remotes.append(ours)
            fd = theirs.detach()
        else:
            remote = socket.socket(socket.AF_UNIX)
            remote.connect(self.behaviour.remote)
            fd = remote.detach()
        self._send(new_method_return(message, "h", (fd,)))
        os.close(fd)

    def _send(self, message: Message) -> None:
        self._bus.send(message)
