"""The Wayland wire format by hand: messages to bytes and back.

A message is a header of two native-endian words (object id; size in bytes << 16 | opcode) and its
arguments, each padded to a word.  File descriptors travel beside the bytes as SCM_RIGHTS.
Signatures are written as libwayland writes them: ``i`` int, ``u`` uint, ``f`` fixed, ``s`` string,
``o`` object, ``n`` new_id, ``a`` array, ``h`` fd, with the version that brought the message as
leading digits (``"2o"``).

Written apart from libwayland on purpose: a server that shares its client's library cannot tell
that client anything new, and cannot send what the library refuses to send.
"""

from __future__ import annotations

import array
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Argument: TypeAlias = int | str | bytes | None

HEADER = struct.Struct("=II")
MAX_FDS = 28  # what libwayland sends at once
FIRST_SERVER_ID = 0xFF000000


class WireError(Exception):
    """The peer sent bytes that are no message."""


def padded(size: int) -> int:
    """Round up to whole words."""
    return (size + 3) & ~3


def types_of(signature: str) -> str:
    """Return the argument types of a signature, without its version and nullable marks."""
    return signature.lstrip("0123456789").replace("?", "")


def since(signature: str) -> int:
    """Return the version of the interface that brought a message."""
    digits = signature[: len(signature) - len(signature.lstrip("0123456789"))]
    return int(digits or 1)


def header(object_id: int, opcode: int, size: int) -> bytes:
    """Pack a header; ``size`` counts the header too, and may be a lie."""
    return HEADER.pack(object_id, (size & 0xFFFF) << 16 | opcode)


def pack_array(data: bytes) -> bytes:
    """Pack an array, or a string together with its NUL: length, bytes, padding."""
    return struct.pack("=I", len(data)) + data.ljust(padded(len(data)), b"\0")


def pack_argument(kind: str, value: Argument) -> bytes:
    """Pack one argument; strings may be given as bytes to send what is not UTF-8."""
    match kind, value:
        case "i" | "f", int():
            return struct.pack("=i", value)
        case "u" | "o" | "n", int():
            return struct.pack("=I", value & 0xFFFFFFFF)
        case "s" | "o", None:
            return struct.pack("=I", 0)
        case "s", str() | bytes():
            text = value.encode() if isinstance(value, str) else value
            return pack_array(text + b"\0")
        case "a", bytes():
            return pack_array(value)
        case "h", _:
            return b""
    message = f"{value!r} does not fit the type {kind!r}"
    raise TypeError(message)


def encode(object_id: int, opcode: int, signature: str, arguments: Sequence[Argument]) -> bytes:
    """Return a message as bytes; its fds, if any, are sent beside it."""
    pairs = zip(types_of(signature), arguments, strict=True)
    body = b"".join(pack_argument(kind, value) for kind, value in pairs)
    return header(object_id, opcode, HEADER.size + len(body)) + body


@dataclass
class Message:
    """One message as it stood on the wire."""

    object_id: int
    opcode: int
    body: bytes


def split(data: bytearray) -> Iterator[Message]:
    """Take whole messages off the front of ``data``, leave the rest there."""
    while len(data) >= HEADER.size:
        object_id, word = HEADER.unpack_from(data)
        size, opcode = word >> 16, word & 0xFFFF
        if size < HEADER.size or size % 4:
            message = f"a message of {size} bytes for object {object_id}"
            raise WireError(message)
        if len(data) < size:
            return
        body = bytes(data[HEADER.size : size])
        del data[:size]
        yield Message(object_id, opcode, body)


@dataclass
class Reader:
    """Takes arguments off a message's body, and their fds off ``fds``, in order."""

    body: bytes
    fds: list[int] = field(default_factory=list)
    position: int = 0

    def word(self, code: str = "I") -> int:
        """Take one word."""
        if self.position + 4 > len(self.body):
            message = "a message ends before its arguments do"
            raise WireError(message)
        (value,) = struct.unpack_from("=" + code, self.body, self.position)
        self.position += 4
        return int(value)

    def bytes(self) -> bytes:
        """Take an array."""
        size = self.word()
        start = self.position
        if start + size > len(self.body):
            message = f"an array of {size} bytes reaches over the end of its message"
            raise WireError(message)
        self.position += padded(size)
        return self.body[start : start + size]

    def string(self) -> str | None:
        """Take a string; None when it is null."""
        data = self.bytes()
        if not data:
            return None
        if data[-1]:
            message = "a string without NUL"
            raise WireError(message)
        return data[:-1].decode(errors="surrogateescape")

    def argument(self, kind: str) -> Argument:
        """Take one argument."""
        match kind:
            case "i" | "f":
                return self.word("i")
            case "u" | "o" | "n":
                return self.word()
            case "s":
                return self.string()
            case "a":
                return self.bytes()
            case "h" if self.fds:
                return self.fds.pop(0)
        message = "a message without its file descriptor"
        raise WireError(message)

    def arguments(self, signature: str) -> list[Argument]:
        """Take all arguments; nothing may be left over."""
        values = [self.argument(kind) for kind in types_of(signature)]
        if self.position != len(self.body):
            message = f"{len(self.body) - self.position} bytes too many in a message"
            raise WireError(message)
        return values


def receive(peer: socket.socket) -> tuple[bytes, list[int]]:
    """Receive what is there: bytes (none at the end of the stream) and fds."""
    word = array.array("i").itemsize
    data, ancillary, _flags, _address = peer.recvmsg(65536, socket.CMSG_SPACE(MAX_FDS * word))
    fds = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % word])
    return data, fds.tolist()
