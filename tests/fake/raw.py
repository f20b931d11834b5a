"""A client of a few lines for the tests of the fake compositor: requests out, events in."""

from __future__ import annotations

import array
import contextlib
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.fake import protocol, wire

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake.config import ShmOffer
    from tests.fake.wire import Argument

INTERFACES = {
    value.name: value for value in vars(protocol).values() if isinstance(value, protocol.Interface)
}


class HungUpError(Exception):
    """The compositor closed the connection."""


@dataclass(frozen=True)
class Event:
    """What the compositor said."""

    object_id: int
    name: str
    arguments: tuple[Argument, ...]


class RawClient:
    """Blocking; ids are never used again."""

    def __init__(self, path: Path, *, patience: float = 20.0, learn: bool = True) -> None:
        """Connect and ask for the globals; wait for them if ``learn``."""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(patience)
        self.kinds = {1: protocol.WL_DISPLAY}
        self.events: list[Event] = []
        self.incoming = bytearray()
        try:
            self.socket.connect(str(path))
            self.registry = self.new("get_registry", 1, "wl_registry")
            if learn:
                self.roundtrip()
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self.socket.close()

    def request(self, object_id: int, name: str, *arguments: Argument, fd: int = -1) -> None:
        """Send a request."""
        for opcode, (request, signature) in enumerate(self.kinds[object_id].requests):
            if request == name:
                data = wire.encode(object_id, opcode, signature, arguments)
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))
                # Whoever was hung up on first reads why.
                with contextlib.suppress(ConnectionError):
                    self.socket.sendmsg([data], [] if fd < 0 else [rights])
                return
        raise KeyError(name)

    def reserve(self, interface: str) -> int:
        """Take an id."""
        object_id = len(self.kinds) + 1
        self.kinds[object_id] = INTERFACES[interface]
        return object_id

    def new(
        self, request: str, object_id: int, interface: str, *arguments: Argument, fd: int = -1
    ) -> int:
        """Send a request whose first argument is a new id; return it."""
        new_id = self.reserve(interface)
        self.request(object_id, request, new_id, *arguments, fd=fd)
        return new_id

    def bind(self, interface: str, which: int = 0, version: int | None = None) -> int:
        """Bind one of the globals of an interface, at the version offered unless told."""
        name, _, offered = [
            event.arguments
            for event in self.events
            if event.name == "global" and event.arguments[1] == interface
        ][which]
        new_id = self.reserve(interface)
        self.request(
            self.registry, "bind", name, interface, offered if version is None else version, new_id
        )
        return new_id

    def read(self) -> list[Event]:
        """Wait for events, at least one."""
        events: list[Event] = []
        while not events:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:  # it had not read everything
                data = b""
            if not data:
                raise HungUpError
            self.incoming += data
            for message in wire.split(self.incoming):
                name, signature = self.kinds[message.object_id].events[message.opcode]
                arguments = wire.Reader(message.body).arguments(signature)
                events.append(Event(message.object_id, name, tuple(arguments)))
        self.events += events
        return events

    def wait_for(self, object_id: int, *names: str) -> Event:
        """Wait until an object gets one of these events, unless it has."""
        while True:
            for event in self.events:
                if event.object_id == object_id and event.name in names:
                    return event
            self.read()

    def roundtrip(self) -> None:
        """Wait until everything asked for has been answered."""
        self.wait_for(self.new("sync", 1, "wl_callback"), "done")

    def said(self, object_id: int) -> list[tuple[Argument, ...]]:
        """Return what an object was told, as (name, arguments...)."""
        return [(e.name, *e.arguments) for e in self.events if e.object_id == object_id]

    def buffer(self, shm: int, offer: ShmOffer) -> tuple[int, int, int]:
        """Make a buffer; return pool, buffer and fd."""
        size = offer.stride * offer.height
        fd = os.memfd_create("buffer", os.MFD_CLOEXEC)
        os.ftruncate(fd, size)
        pool = self.new("create_pool", shm, "wl_shm_pool", None, size, fd=fd)
        buffer = self.new(
            "create_buffer",
            pool,
            "wl_buffer",
            0,
            offer.width,
            offer.height,
            offer.stride,
            offer.format,
        )
        return pool, buffer, fd
