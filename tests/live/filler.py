"""A program with one window, of the size that it is given, in one colour; it needs nothing.

    filler.py WHAT@SECONDS...

Each WHAT happens so long after the start: a colour (rrggbb) is shown, ``exit:N`` ends it. The
upper left pixel is white, the lower right one black.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time

DISPLAY, REGISTRY, SYNC, COMPOSITOR, SHM, WM_BASE, SURFACE, XDG_SURFACE, TOPLEVEL = range(1, 10)
INTERFACES = {COMPOSITOR: b"wl_compositor", SHM: b"wl_shm", WM_BASE: b"xdg_wm_base"}
DEFAULT_SIZE = (200, 100)


class Filler:
    """Speaks just as much Wayland as it takes."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(
            os.path.join(os.environ["XDG_RUNTIME_DIR"], os.environ["WAYLAND_DISPLAY"])
        )
        self.received = b""
        self.size = DEFAULT_SIZE
        self.pixel = b""
        self.is_listed = self.is_configured = False
        self.globals: dict[bytes, int] = {}
        self.last_id = TOPLEVEL
        self.send(DISPLAY, 1, REGISTRY)
        self.send(DISPLAY, 0, SYNC)
        while not self.is_listed:
            self.read()
        for number, interface in INTERFACES.items():
            self.send(REGISTRY, 0, self.globals[interface], 1, number, text=interface)

    def send(self, target: int, opcode: int, *words: int, text: bytes = b"", fd: int = -1) -> None:
        """Send a request: words, or a word, a text and words."""
        body = struct.pack(f"={len(words)}i", *words)
        if text:
            padded = text + b"\0" * (4 - len(text) % 4)
            body = body[:4] + struct.pack("=I", len(text) + 1) + padded + body[4:]
        message = struct.pack("=II", target, (8 + len(body)) << 16 | opcode) + body
        socket.send_fds(self.socket, [message], [] if fd < 0 else [fd])

    def open(self) -> None:
        """Open the window."""
        self.send(COMPOSITOR, 0, SURFACE)
        self.send(WM_BASE, 2, XDG_SURFACE, SURFACE)
        self.send(XDG_SURFACE, 1, TOPLEVEL)
        self.send(SURFACE, 6)
        while not self.is_configured:
            self.read()

    def show(self, pixel: bytes) -> None:
        """Show a colour: blue, green, red and nothing."""
        self.pixel = pixel
        if not self.is_configured:
            self.open()
        self.paint()

    def paint(self) -> None:
        """Draw all again."""
        width, height = self.size
        pixels = b"\xff" * 4 + self.pixel * (width * height - 2) + b"\0" * 4
        fd = os.memfd_create("filler")
        os.write(fd, pixels)
        pool, buffer = self.last_id + 1, self.last_id + 2
        self.last_id += 2
        self.send(SHM, 0, pool, len(pixels), fd=fd)
        os.close(fd)
        self.send(pool, 0, buffer, 0, width, height, width * 4, 1)
        self.send(SURFACE, 1, buffer, 0, 0)
        self.send(SURFACE, 2, 0, 0, width, height)
        self.send(SURFACE, 6)

    def read(self, seconds: float | None = None) -> None:
        """Answer what comes within so many seconds."""
        self.socket.settimeout(seconds)
        try:
            part = self.socket.recv(1 << 16)
        except (TimeoutError, BlockingIOError):
            return
        if not part:
            sys.exit("the compositor has gone")
        self.received += part
        while len(self.received) >= 8:
            target, length = struct.unpack_from("=II", self.received)
            if len(self.received) < length >> 16:
                return
            body = self.received[8 : length >> 16]
            self.received = self.received[length >> 16 :]
            self.handle(target, length & 0xFFFF, body)

    def handle(self, target: int, opcode: int, body: bytes) -> None:
        """Do what an event asks for."""
        if (target, opcode) == (DISPLAY, 0):
            sys.exit(f"protocol error: {body!r}")
        elif (target, opcode) == (REGISTRY, 0):
            name, length = struct.unpack_from("=II", body)
            self.globals[body[8 : 8 + length - 1]] = name
        elif target == SYNC:
            self.is_listed = True
        elif (target, opcode) == (WM_BASE, 0):
            self.send(WM_BASE, 3, *struct.unpack("=i", body))
        elif (target, opcode) == (TOPLEVEL, 0):
            width, height = struct.unpack_from("=ii", body)
            self.size = (width or DEFAULT_SIZE[0], height or DEFAULT_SIZE[1])
        elif (target, opcode) == (XDG_SURFACE, 0):
            self.send(XDG_SURFACE, 4, *struct.unpack("=i", body))
            if self.is_configured:
                self.paint()
            self.is_configured = True


def main() -> None:
    """Do what the arguments say, then stay."""
    began = time.monotonic()
    filler = Filler()
    for word in sys.argv[1:]:
        what, _, moment = word.partition("@")
        while (remaining := began + float(moment) - time.monotonic()) > 0:
            filler.read(remaining)
        if what.startswith("exit:"):
            sys.exit(int(what[5:]))
        filler.show(bytes.fromhex(what)[::-1] + b"\0")
    while True:
        filler.read()


if __name__ == "__main__":
    main()
