"""A connection to the fake compositor: its objects, its bytes in and out."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tests.fake import wire
from tests.fake.faults import Moment, Step
from tests.fake.resources import (
    INVALID_METHOD,
    INVALID_OBJECT,
    Display,
    ProtocolError,
    Resource,
)

if TYPE_CHECKING:
    from tests.fake.compositor import FakeCompositor

T = TypeVar("T")

FLOOD_CHUNK = 65536


@dataclass(frozen=True)
class Request:
    """A request that some client made."""

    connection: int
    interface: str
    name: str
    object_id: int
    arguments: tuple[wire.Argument, ...]


class Client:
    """One connection."""

    def __init__(self, compositor: FakeCompositor, peer: socket.socket, number: int) -> None:
        """Serve a socket that was just accepted."""
        self.compositor = compositor
        self.peer = peer
        self.number = number
        self.objects: dict[int, Resource] = {}
        self.incoming = bytearray()
        self.fds: list[int] = []
        self.outgoing = bytearray()
        self.silent = False
        self.flood = b""
        self.open = True
        self.outgoing_fds: list[int] = []  # sent with the next byte
        self.next_server_id = wire.FIRST_SERVER_ID
        self.display = Display(self, 1)
        self.dribbling = False
        # Of films, by Head.index: the last frame, and where the next one is all damage.
        self.copied: dict[int, int] = {}
        self.stale: set[int] = set()
        compositor.selector.register(peer, selectors.EVENT_READ, self)

    def add(self, resource: Resource) -> None:
        """Take a new object in; its id must be free, and the client's but for an event's object."""
        object_id = resource.object_id
        is_ours = object_id >= wire.FIRST_SERVER_ID
        if object_id in self.objects or object_id <= 0 or is_ours != resource.is_of_an_event:
            raise ProtocolError(self.display, INVALID_OBJECT, f"the id {object_id} is not free")
        self.objects[object_id] = resource

    def remove(self, resource: Resource) -> None:
        """Forget an object and tell the client that its id is free."""
        del self.objects[resource.object_id]
        if not resource.is_of_an_event:
            self.send(self.display.event("delete_id", resource.object_id))

    def get(self, object_id: int, kind: type[T]) -> T:
        """Return the object that an argument names."""
        resource = self.objects.get(object_id)
        if not isinstance(resource, kind):
            message = f"the object {object_id} is {resource}, not a {kind.__name__}"
            raise ProtocolError(self.display, INVALID_OBJECT, message)
        return resource

    def violation(self, message: str) -> None:
        """Write down what the client did against the protocol."""
        self.compositor.violations.append(f"client {self.number}: {message}")

    def error(self, resource: Resource, code: int, message: str) -> None:
        """Send wl_display.error and close."""
        self.send(self.display.event("error", resource.object_id, code, message))
        self.close()

    # Requests.

    def receive(self) -> None:
        """Read and answer what came."""
        try:
            data, fds = wire.receive(self.peer)
        except ConnectionError:
            data, fds = b"", []
        self.fds += fds
        if not data:
            self.left()
            return
        self.incoming += data
        try:
            for message in wire.split(self.incoming):
                self.dispatch(message)
                if not self.open:
                    return
        except ProtocolError as error:
            self.violation(f"{error.resource}: {error}")
            self.error(error.resource, error.code, str(error))
        except wire.WireError as error:
            self.violation(str(error))
            self.error(self.display, INVALID_METHOD, str(error))

    def dispatch(self, message: wire.Message) -> None:
        """Answer one request."""
        resource = self.objects.get(message.object_id)
        if resource is None:
            text = f"a request to the object {message.object_id}, which does not exist"
            raise ProtocolError(self.display, INVALID_OBJECT, text)
        requests = resource.interface.requests
        if message.opcode >= len(requests):
            raise ProtocolError(resource, INVALID_METHOD, f"no request {message.opcode}")
        name, signature = requests[message.opcode]
        if wire.since(signature) > resource.version:
            text = f"{name} in version {resource.version}"
            raise ProtocolError(resource, INVALID_METHOD, text)
        arguments = wire.Reader(message.body, self.fds).arguments(signature)
        self.compositor.log(
            Request(
                self.number, resource.interface.name, name, resource.object_id, tuple(arguments)
            )
        )
        getattr(resource, f"on_{name}")(*arguments)

    def left(self) -> None:
        """Note what the client left behind when it went."""
        for resource in self.objects.values():
            leftover = resource.leftover()
            if leftover:
                self.compositor.leaks.append(f"client {self.number}: {leftover}")
        self.close()

    # Events.

    def owe(
        self, step: Step, resource: Resource, data: bytes, output: str | bytes | None = None
    ) -> bool:
        """Send an answer, unless a fault for this step prevents it; tell whether to go on."""
        moment = Moment(step, self, resource, data, output)
        for fault in self.compositor.due(moment):
            if not fault.action(moment):
                return False
        self.send(data)
        return self.open

    def send(self, data: bytes) -> None:
        """Queue bytes, at once or after the compositor's latency.

        The fds in ``outgoing_fds`` go with the next byte that is written: never too late.
        """
        if not data or self.silent or not self.open:
            return
        if self.compositor.config.latency:
            self.compositor.later(self.compositor.config.latency, lambda: self.queue(data))
        else:
            self.queue(data)

    def queue(self, data: bytes) -> None:
        """Put bytes behind those that wait to be written."""
        if self.open:
            self.outgoing += data
            self.write()

    def repeat(self, data: bytes, every: float) -> None:
        """Send the same again and again."""
        if self.open:
            self.send(data)
            self.compositor.later(every, lambda: self.repeat(data, every))

    def start_flood(self, data: bytes) -> None:
        """Send the same whenever there is room."""
        self.flood = data
        self.write()

    def write(self) -> None:
        """Write what the client takes without blocking."""
        if self.compositor.config.dribble:
            if not self.dribbling:
                self.dribbling = True
                self.write_byte()
            return
        if self.flood and not self.outgoing:
            self.outgoing += self.flood * (FLOOD_CHUNK // len(self.flood))
        try:
            while self.outgoing:
                del self.outgoing[: self.send_now(self.outgoing)]
        except BlockingIOError:
            pass
        except ConnectionError:
            return  # the next read tells
        self.watch()

    def write_byte(self) -> None:
        """Write one byte, and the next one later."""
        if not self.open or not self.outgoing:
            self.dribbling = False
            return
        try:
            del self.outgoing[: self.send_now(self.outgoing[:1])]
        except BlockingIOError:
            pass
        except ConnectionError:
            return
        self.compositor.later(self.compositor.config.dribble, self.write_byte)

    def send_now(self, data: bytearray) -> int:
        """Send bytes with the fds that wait; return how many bytes went."""
        sent = socket.send_fds(self.peer, [data], self.outgoing_fds)
        while self.outgoing_fds:
            os.close(self.outgoing_fds.pop())
        return sent

    def watch(self) -> None:
        """Ask to be told when more can be written, if there is more."""
        more = bool(self.outgoing or self.flood)
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if more else 0)
        self.compositor.selector.modify(self.peer, events, self)

    def close(self) -> None:
        """Close the connection after what can be written at once."""
        if not self.open:
            return
        self.open = False
        with contextlib.suppress(OSError):
            self.peer.send(self.outgoing)
        for resource in list(self.objects.values()):
            resource.let_go()
        self.objects.clear()
        for fd in self.fds + self.outgoing_fds:
            os.close(fd)
        self.fds.clear()
        self.outgoing_fds.clear()
        self.compositor.selector.unregister(self.peer)
        self.peer.close()
        self.compositor.clients.remove(self)
