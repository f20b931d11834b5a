"""Stands between sway and its clients, and says that frames of wlr-screencopy may be dmabufs.

xdg-desktop-portal-wlr up to 0.7.1 casts nothing unless a compositor says so, which one that draws
by software does not; it goes on to use shared memory. So ``linux_dmabuf`` is put before each
``buffer_done``; all else passes as it is.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEADER = struct.Struct("=II")
XR24 = 0x34325258
MOST_FDS = 28  # a message of libwayland's

DISPLAY, DELETE_ID = 1, 1
BUFFER, LINUX_DMABUF, BUFFER_DONE = 0, 5, 6  # events of zwlr_screencopy_frame_v1


class DmabufProxy:
    """A socket at ``path`` for the one at ``upstream``, from ``__enter__`` to ``__exit__``."""

    def __init__(self, path: Path, upstream: Path) -> None:
        self._upstream = upstream
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._links: list[_Link] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()
        for link in self._links:
            link.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._upstream))
                self._links.append(_Link(client, server))


class _Link:
    """One client: a thread for each direction."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._sockets = client, server
        self._managers: set[int] = set()
        self._frames: dict[int, tuple[int, int]] = {}
        self._threads = [
            threading.Thread(target=_pump, args=(client, server, self._note), daemon=True),
            threading.Thread(target=_pump, args=(server, client, self._add), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for end in self._sockets:
            end.close()

    def _note(self, target: int, opcode: int, message: bytes) -> bytes:
        """Learn from a request which objects are frames."""
        if opcode == 0 and b"zwlr_screencopy_manager_v1\0" in message:
            self._managers.add(struct.unpack_from("=I", message, len(message) - 4)[0])
        elif target in self._managers and opcode in {0, 1}:
            self._frames[struct.unpack_from("=I", message, 8)[0]] = 0, 0
        return message

    def _add(self, sender: int, opcode: int, message: bytes) -> bytes:
        """Return an event, with another before it where that is missing."""
        if (sender, opcode) == (DISPLAY, DELETE_ID):  # which is another object's from now on
            self._frames.pop(struct.unpack_from("=I", message, 8)[0], None)
        elif sender in self._frames and opcode == BUFFER:
            self._frames[sender] = struct.unpack_from("=II", message, 12)
        elif sender in self._frames and opcode == BUFFER_DONE:
            size = self._frames[sender]
            return struct.pack("=IIIII", sender, 20 << 16 | LINUX_DMABUF, XR24, *size) + message
        return message


def _pump(
    source: socket.socket, sink: socket.socket, edit: Callable[[int, int, bytes], bytes]
) -> None:
    """Hand on whole messages and all file descriptors, until one side hangs up."""
    rest = b""
    with contextlib.suppress(OSError):
        while True:
            data, fds, _, _ = socket.recv_fds(source, 1 << 16, MOST_FDS)
            if not data:
                break
            rest, out = rest + data, b""
            while len(rest) >= HEADER.size:
                target, word = HEADER.unpack_from(rest)
                if len(rest) < word >> 16:
                    break
                message, rest = rest[: word >> 16], rest[word >> 16 :]
                out += edit(target, word & 0xFFFF, message)
            sent = socket.send_fds(sink, [out], fds) if out else 0
            sink.sendall(out[sent:])
            for fd in fds:
                socket.close(fd)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
