"""A Wayland client in plain sockets to judge wayshot with: they share no line and no library.

It shows a picture as the background of an output, pixel for pixel at any scale and under any
transform, reads an output's buffer as the compositor stores it, sets outputs and moves a pointer.
Speaking the wire format itself costs a hundred lines and keeps libwayland out of the tests'
process. Opcodes are counted from 0 in the order in which the protocol definitions (wayland.xml,
viewporter.xml, wlr-layer-shell-unstable-v1.xml, wlr-screencopy-unstable-v1.xml,
wlr-output-management-unstable-v1.xml, wlr-virtual-pointer-unstable-v1.xml) declare requests and
events.
"""

from __future__ import annotations

import mmap
import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    """Rows of pixels of red, green and blue: shape (height, width, 3)."""

PATIENCE = 60.0
"""Seconds that the compositor has for one answer."""

XRGB8888 = 1
"""wl_shm's code; in memory blue, green, red, unused."""

HEADER_SIZE = 8
DISPLAY = 1
TOP_LEFT = 1 | 4
BACKGROUND_LAYER, BOTTOM_LAYER = 0, 1

FIXED = 256
"""One, as a number of Wayland's type ``fixed``."""


class WireError(Exception):
    """The compositor refused, hung up or kept silent."""


@dataclass(frozen=True, slots=True)
class Fd:
    """A file descriptor as an argument of a request."""

    number: int


@dataclass(frozen=True, slots=True)
class Event:
    """One event, its arguments still packed."""

    sender: int
    opcode: int
    payload: bytes

    def words(self) -> tuple[int, ...]:
        """Unpack all arguments as unsigned 32-bit words, for events without strings."""
        return struct.unpack(f"={len(self.payload) // 4}I", self.payload)

    def string(self, offset: int = 0) -> str:
        """Unpack the string whose length word stands at ``offset``."""
        (length,) = struct.unpack_from("=I", self.payload, offset)
        return self.payload[offset + 4 : offset + 4 + length - 1].decode()


@dataclass(frozen=True, slots=True)
class WlOutput:
    """A bound output: its object and its transform as wl_output numbers them."""

    object_id: int
    transform: int


@dataclass(frozen=True, slots=True)
class Head:
    """How an output is set, in the words of wlr-output-management."""

    mode: tuple[int, ...]
    position: tuple[int, ...]
    transform: int
    """As wl_output numbers it."""
    scale: int
    """In 256ths."""


class Client:
    """One connection; what it shows stays on the screen until it is closed."""

    def __init__(self, socket_path: Path) -> None:
        """Connect, list the globals and learn the outputs' names."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._received = b""
        self._last_id = DISPLAY
        self._pointer: int | None = None
        try:
            self._socket.settimeout(PATIENCE)
            self._socket.connect(str(socket_path))
            self._registry = self._new_id()
            self.request(DISPLAY, 1, self._registry)
            self.globals = [self._global(event) for event in self.roundtrip()]
            self.outputs = self._bind_outputs()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self.close()

    def close(self) -> None:
        """Hang up; the compositor takes away what was shown."""
        self._socket.close()

    def fileno(self) -> int:
        """Return the socket's file descriptor, to wait for events beside other things."""
        return self._socket.fileno()

    def request(self, target: int, opcode: int, *arguments: int | str | Fd) -> None:
        """Send one request."""
        body, fds = b"", []
        for argument in arguments:
            if isinstance(argument, Fd):
                fds.append(argument.number)
            elif isinstance(argument, str):
                text = argument.encode() + b"\0"
                body += struct.pack("=I", len(text)) + text + b"\0" * (-len(text) % 4)
            else:
                body += struct.pack("=I", argument & 0xFFFFFFFF)
        header = struct.pack("=II", target, (8 + len(body)) << 16 | opcode)
        socket.send_fds(self._socket, [header + body], fds)

    def create(self, target: int, opcode: int, *arguments: int | str | Fd) -> int:
        """Send a request whose first argument is the id of the object that it creates."""
        new_id = self._new_id()
        self.request(target, opcode, new_id, *arguments)
        return new_id

    def create_last(self, target: int, opcode: int, *arguments: int | str | Fd) -> int:
        """Do the same where the new id is the last argument."""
        new_id = self._new_id()
        self.request(target, opcode, *arguments, new_id)
        return new_id

    def roundtrip(self) -> list[Event]:
        """Wait until every request so far has been handled; return the events until then."""
        callback = self.create(DISPLAY, 0)
        events: list[Event] = []
        while (event := self._next_event()).sender != callback:
            events.append(event)
        return events

    def wait(self, sender: int, *opcodes: int) -> Event:
        """Return the next event of ``sender`` that is one of ``opcodes``; drop all others."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            event = self._next_event()
            if event.sender == sender and event.opcode in opcodes:
                return event
        message = f"no event {opcodes} of object {sender} within {PATIENCE} s"
        raise WireError(message)

    def arrived(self) -> list[Event]:
        """Return the events that are there; wait for none."""
        if select.select([self], [], [], 0)[0]:
            self._receive()
        events = []
        while self._has_event():
            events.append(self._next_event())
        return events

    def bind(self, interface: str, version: int) -> int:
        """Bind the first global of that interface."""
        for name, offered, _ in self.globals:
            if offered == interface:
                return self._bind(name, interface, version)
        message = f"the compositor has no {interface}"
        raise WireError(message)

    def show(
        self,
        output: str,
        picture: Picture,
        logical_size: tuple[int, int],
        *,
        layer: int = BACKGROUND_LAYER,
        is_hidden: bool = False,
    ) -> None:
        """Show ``picture`` in a layer of ``output``, from its upper left corner on.

        The picture covers ``logical_size``, and may reach beyond the right and the lower edge.
        Returns once the compositor has drawn a frame with it, or, where that is below
        something else, has all that it needs to.
        """
        height, width, _ = picture.shape
        surface = self.create(self.bind("wl_compositor", 4), 0)
        viewport = self.create(self.bind("wp_viewporter", 1), 1, surface)
        layer_surface = self.create(
            self.bind("zwlr_layer_shell_v1", 1),
            0,
            surface,
            self.outputs[output].object_id,
            layer,
            "wayshot-tests",
        )
        self.request(layer_surface, 0, *logical_size)
        self.request(layer_surface, 1, TOP_LEFT)
        self.request(layer_surface, 2, -1)
        self.request(surface, 6)
        serial, _, _ = self.wait(layer_surface, 0).words()
        self.request(layer_surface, 6, serial)

        buffer, memory = self.shm_buffer(width, height, width * 4)
        bgrx = np.frombuffer(memory, np.uint8).reshape(height, width, 4)
        bgrx[..., :3] = picture[..., ::-1]
        self.request(viewport, 2, *logical_size)
        self.request(surface, 1, buffer, 0, 0)
        self.request(surface, 9, 0, 0, width, height)
        drawn = self.create(surface, 3)
        self.request(surface, 6)
        if is_hidden:
            self.roundtrip()
        else:
            self.wait(drawn, 0)

    def point(self, x: int, y: int, width: int, height: int) -> None:
        """Plug in a pointer, at a place in all of the outputs, which are so wide and high.

        It stays until the client is closed.
        """
        self._pointer_at(x, y, width, height)
        self.roundtrip()

    def click(self, x: int, y: int, width: int, height: int) -> None:
        """Put the pointer there, as ``point`` does, press the left button, and let it go."""
        left = 0x110  # linux/input-event-codes.h
        pointer = self._pointer_at(x, y, width, height)
        for is_pressed in (1, 0):
            self.request(pointer, 2, int(time.monotonic() * 1000), left, is_pressed)
            self.request(pointer, 4)
        self.roundtrip()

    def _pointer_at(self, x: int, y: int, width: int, height: int) -> int:
        if self._pointer is None:
            manager = self.bind("zwlr_virtual_pointer_manager_v1", 1)
            any_seat = 0
            self._pointer = self.create_last(manager, 0, any_seat)
        self.request(self._pointer, 1, int(time.monotonic() * 1000), x, y, width, height)
        self.request(self._pointer, 4)
        return self._pointer

    def dump(self, output: str) -> Picture:
        """Read the pixels of ``output`` as the compositor stores them: before any transform."""
        manager = self.bind("zwlr_screencopy_manager_v1", 1)
        frame = self.create(manager, 0, 0, self.outputs[output].object_id)
        offer, ready, failed = 0, 2, 3
        event = self.wait(frame, offer, failed)
        if event.opcode == failed:
            message = f"{output}: the compositor has no frame to copy"
            raise WireError(message)
        shm_format, width, height, stride = event.words()
        if shm_format not in {0, XRGB8888} or stride != width * 4:
            message = f"{output}: wl_shm format {shm_format:#x}, stride {stride}: not handled here"
            raise WireError(message)
        buffer, memory = self.shm_buffer(width, height, stride, shm_format)
        self.request(frame, 0, buffer)
        if self.wait(frame, 1).words() != (0,):
            message = f"{output}: y_invert: not handled here"
            raise WireError(message)
        if self.wait(frame, ready, failed).opcode == failed:
            message = f"{output}: the compositor failed to copy"
            raise WireError(message)
        bgrx = np.frombuffer(memory, np.uint8).reshape(height, width, 4)
        return bgrx[..., 2::-1].copy()

    def heads(self) -> dict[str, Head]:
        """Read how each output is set, by its name; not those that are off."""
        return {name: head for name, (_, head) in self._read_heads()[2].items()}

    def set_heads(self, wanted: Mapping[str, Head]) -> None:
        """Set all outputs at once. Raises WireError where one lacks or they stay as they are."""
        manager, serial, heads = self._read_heads()
        if heads.keys() != wanted.keys():
            message = f"there are the outputs {[*heads]}, not {[*wanted]}"
            raise WireError(message)
        configuration = self.create(manager, 0, serial)
        for name, head in wanted.items():
            enabled = self.create(configuration, 0, heads[name][0])
            self.request(enabled, 1, *head.mode, 0)
            self.request(enabled, 2, *head.position)
            self.request(enabled, 3, head.transform)
            self.request(enabled, 4, head.scale)
        self.request(configuration, 2)
        succeeded, failed, cancelled = 0, 1, 2
        if self.wait(configuration, succeeded, failed, cancelled).opcode != succeeded:
            message = f"the compositor does not set its outputs to {wanted}"
            raise WireError(message)

    def shm_buffer(
        self, width: int, height: int, stride: int, shm_format: int = XRGB8888
    ) -> tuple[int, mmap.mmap]:
        """Make a wl_buffer; return it and its memory."""
        size = stride * height
        fd = os.memfd_create("wayshot-tests")
        try:
            os.ftruncate(fd, size)
            pool = self.create(self.bind("wl_shm", 1), 0, Fd(fd), size)
            memory = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        return self.create(pool, 0, 0, width, height, stride, shm_format), memory

    def _read_heads(self) -> tuple[int, int, dict[str, tuple[int, Head]]]:
        """Return the output manager, its serial and each enabled head, by its output's name."""
        manager = self.bind("zwlr_output_manager_v1", 1)
        new_head, done, size = 0, 1, 0
        name, current_mode, position, transform, scale = 0, 5, 6, 7, 8
        events = self.roundtrip()
        told = {(event.sender, event.opcode): event for event in events}
        heads = {}
        for event in events:
            if (event.sender, event.opcode) == (manager, new_head):
                (head,) = event.words()
                if (head, current_mode) not in told:
                    continue
                (mode,) = told[head, current_mode].words()
                state = Head(
                    told[mode, size].words(),
                    struct.unpack("=2i", told[head, position].payload),
                    *told[head, transform].words(),
                    *told[head, scale].words(),
                )
                heads[told[head, name].string()] = head, state
        (serial,) = told[manager, done].words()
        return manager, serial, heads

    def _bind_outputs(self) -> dict[str, WlOutput]:
        bound = [
            self._bind(name, interface, 4)
            for name, interface, _ in self.globals
            if interface == "wl_output"
        ]
        geometry, name_event = 0, 4
        events = self.roundtrip()
        names = {event.sender: event.string() for event in events if event.opcode == name_event}
        transforms = {
            event.sender: struct.unpack("=I", event.payload[-4:])[0]
            for event in events
            if event.sender in bound and event.opcode == geometry
        }
        return {names[output]: WlOutput(output, transforms[output]) for output in bound}

    def _bind(self, name: int, interface: str, version: int) -> int:
        new_id = self._new_id()
        self.request(self._registry, 0, name, interface, version, new_id)
        return new_id

    @staticmethod
    def _global(event: Event) -> tuple[int, str, int]:
        (name,) = struct.unpack_from("=I", event.payload)
        (version,) = struct.unpack("=I", event.payload[-4:])
        return name, event.string(4), version

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _next_event(self) -> Event:
        sender, second = struct.unpack("=II", self._read(HEADER_SIZE))
        event = Event(sender, second & 0xFFFF, self._read((second >> 16) - HEADER_SIZE))
        if (event.sender, event.opcode) == (DISPLAY, 0):
            culprit, code = struct.unpack_from("=II", event.payload)
            message = f"protocol error {code} of object {culprit}: {event.string(8)}"
            raise WireError(message)
        return event

    def _has_event(self) -> bool:
        if len(self._received) < HEADER_SIZE:
            return False
        _, second = struct.unpack_from("=II", self._received)
        return len(self._received) >= int(second) >> 16

    def _read(self, count: int) -> bytes:
        while len(self._received) < count:
            self._receive()
        result, self._received = self._received[:count], self._received[count:]
        return result

    def _receive(self) -> None:
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            message = f"no answer from the compositor within {PATIENCE} s"
            raise WireError(message) from None
        if not data:
            message = "the compositor hung up"
            raise WireError(message)
        self._received += data
