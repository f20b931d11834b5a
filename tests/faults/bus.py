"""A session bus of our own, with the portal on it, and the ways in which it can be broken."""

from __future__ import annotations

import contextlib
import enum
import socket
import threading
from typing import TYPE_CHECKING, Self

from jeepney import HeaderFields, Parser, new_error, new_method_return

if TYPE_CHECKING:
    from pathlib import Path

    from jeepney import Message


class Kind(enum.Enum):
    """What the bus does to its clients, after what it has done before."""

    SILENT = "never accepts"
    MUTE = "says nothing after the handshake"
    HANGS_UP = "closes the connection after the handshake"
    GARBAGE = "sends what is no message"
    NO_PORTAL = "answers that there is no portal"
    STRANGE = "answers for the portal, with a string for a number"
    PORTAL = "answers for the portal"


HANDSHAKE = (
    (b"EXTERNAL", b"OK 0123456789abcdef0123456789abcdef\r\n"),
    (b"NEGOTIATE_UNIX_FD", b"AGREE_UNIX_FD\r\n"),
    (b"BEGIN", b""),
)
ANSWERS = {"Hello": ("s", (":1.1",)), "AddMatch": (None, ()), "GetNameOwner": ("s", (":1.2",))}
"""The bus's own."""


class Bus:
    """A bus of one kind, in a thread, from ``__enter__`` to ``__exit__``."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self._kind = kind
        self._path = folder / "bus"
        self.address = f"unix:path={self._path}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._clients: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._listener.bind(str(self._path))
        self._listener.listen()
        if self._kind is not Kind.SILENT:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._listener.shutdown(socket.SHUT_RDWR)  # which ends accept()
            for client in self._clients:
                client.shutdown(socket.SHUT_RDWR)
            self._thread.join()
        for connection in (*self._clients, self._listener):
            connection.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # the client may leave at any time, or never come
            self._serve()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        self._clients.append(client)
        with contextlib.suppress(ConnectionError):  # whoever has heard enough may hang up
            self._speak(client)

    def _speak(self, client: socket.socket) -> None:
        received = b""
        for word, answer in HANDSHAKE:
            while b"\r\n" not in received:
                if not (data := client.recv(4096)):
                    return
                received += data
            line, _, received = received.partition(b"\r\n")
            assert word in line
            client.sendall(answer)
        if self._kind is Kind.HANGS_UP:
            client.shutdown(socket.SHUT_RDWR)
            return
        if self._kind is Kind.GARBAGE:
            client.sendall(bytes(range(256)) * 16)
        parser, serial, data = Parser(), 0, received
        while data or (data := client.recv(4096)):
            parser.add_data(data)
            data = b""
            while self._kind is not Kind.MUTE and (question := parser.get_next_message()):
                serial += 1
                client.sendall(self._answer(question).serialise(serial))

    def _answer(self, question: Message) -> Message:
        method = question.header.fields[HeaderFields.member]
        if method in ANSWERS:
            return new_method_return(question, *ANSWERS[method])
        if self._kind is Kind.NO_PORTAL:
            name = "org.freedesktop.DBus.Error.ServiceUnknown"
            return new_error(question, name, "s", ("nobody\x1b[31m has it",))
        if method == "Ping":
            return new_method_return(question)
        properties = {
            "version": ("u", 5) if self._kind is Kind.PORTAL else ("s", "five"),
            "AvailableSourceTypes": ("u", 3),
            "AvailableCursorModes": ("u", 2),
        }
        return new_method_return(question, "a{sv}", (properties,))
