"""The other end of a connection: answers what libwayland must be told, says what a test says."""

import array
import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Self

from tests.fake import wire

DISPLAY, REGISTRY = 1, 2
SYNC, GET_REGISTRY = 0, 1

Global = tuple[str, int]
"""Interface and version; the names are counted from 1."""


def event(object_id: int, opcode: int, signature: str = "", *arguments: wire.Argument) -> bytes:
    return wire.encode(object_id, opcode, signature, arguments)


class Peer:
    """A compositor of a few lines, in a thread. Its client connects by ``socket_for_client``.

    It announces ``globals``, answers wl_display.sync, and remembers what is bound and every
    other request. ``say`` sends any bytes, with any fds; ``on_sync``, if set, is called instead of
    answering, with the callback's id.
    """

    def __init__(self, *offers: Global) -> None:
        self.globals = offers
        self.bound: dict[str, int] = {}
        self.versions: dict[str, int] = {}
        self.requests: list[tuple[int, int, bytes]] = []
        self.fds: list[int] = []
        self.on_sync: Callable[[int], None] | None = None
        self._ours, self.socket_for_client = socket.socketpair(socket.AF_UNIX)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        self._thread.join(30)
        assert not self._thread.is_alive()
        for end in (self._ours, self.socket_for_client):
            end.close()
        for fd in self.fds:
            os.close(fd)

    def take_client_fd(self) -> int:
        """Give the client's end away: who takes it closes it."""
        return self.socket_for_client.detach()

    def say(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Send bytes to the client; the fds are copied."""
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        sent = self._ours.sendmsg([data], [rights] if fds else [])
        self._ours.sendall(data[sent:])

    def answer(self, callback: int) -> None:
        """Send wl_callback.done, and give the id back."""
        self.say(event(callback, 0, "u", 0) + event(DISPLAY, 1, "u", callback))

    def hang_up(self) -> None:
        """End the conversation in both directions."""
        with contextlib.suppress(OSError):  # the client has gone
            self._ours.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        data = bytearray()
        try:
            while True:
                received, fds = wire.receive(self._ours)
                if not received:
                    return
                data += received
                self.fds += fds
                for message in wire.split(data):
                    self._take(message)
        except (BrokenPipeError, ConnectionResetError):
            return

    def _take(self, message: wire.Message) -> None:
        match message.object_id, message.opcode:
            case (1, 0):
                (callback,) = struct.unpack("=I", message.body)
                (self.on_sync or self.answer)(callback)
            case (1, 1):
                for name, offer in enumerate(self.globals, 1):
                    self.say(event(REGISTRY, 0, "usu", name, *offer))
            case (2, 0):
                reader = wire.Reader(message.body)
                _name, interface, version, new_id = reader.arguments("usun")
                assert isinstance(interface, str)
                assert isinstance(version, int)
                assert isinstance(new_id, int)
                self.bound[interface] = new_id
                self.versions[interface] = version
            case _:
                self.requests.append((message.object_id, message.opcode, message.body))
