"""A window of known pixels: a client that speaks xdg-shell, with the opcodes of xdg-shell.xml."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

import numpy as np

from tests.live.client import PATIENCE, Client, WireError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.client import Event, Picture

ARGB8888 = 0
"""wl_shm's code; in memory blue, green, red, alpha; premultiplied."""

SETTLING = 0.1
"""Seconds in which the compositor asks for what it wants of a window that is new or has changed."""


def translucent(width: int, height: int) -> Picture:
    """Paint premultiplied red, green, blue and alpha: every alpha there is, above all 0 and 255."""
    y, x = np.mgrid[:height, :width]
    alpha = np.clip((x * 7 + y * 11) % 320 - 32, 0, 255)
    colours = np.stack([x * 5 & 255, y * 3 & 255, (x + y) & 255], axis=-1)
    premultiplied = (colours * alpha[..., None] + 127) // 255
    return np.concatenate([premultiplied, alpha[..., None]], axis=-1).astype(np.uint8)


class Window:
    """A window of its own connection, on the screen from ``__init__`` until ``close``."""

    def __init__(self, socket_path: Path, app_id: str, title: str, picture: Picture) -> None:
        """Open it, as large as the picture (premultiplied red, green, blue, alpha)."""
        self.client = Client(socket_path)
        try:
            self._open(app_id, title)
            self.paint(picture)
        except BaseException:
            self.client.close()
            raise

    def _open(self, app_id: str, title: str) -> None:
        client = self.client
        self._surface = client.create(client.bind("wl_compositor", 4), 0)
        self._xdg_surface = client.create(client.bind("xdg_wm_base", 1), 2, self._surface)
        self._toplevel = client.create(self._xdg_surface, 1)
        client.request(self._toplevel, 2, title)
        client.request(self._toplevel, 3, app_id)
        client.request(self._surface, 6)
        (serial,) = client.wait(self._xdg_surface, 0).words()
        client.request(self._xdg_surface, 4, serial)

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Hang up: the window goes."""
        self.client.close()

    def minimize(self) -> None:
        """Hide it, where the compositor does that."""
        self.client.request(self._toplevel, 13)
        self.client.roundtrip()

    def paint(self, picture: Picture, *, scale: int = 1) -> None:
        """Show another picture, at its size; returns when the compositor has drawn it.

        With a ``scale`` the picture has so many pixels for each logical unit.
        """
        height, width, _ = picture.shape
        client = self.client
        buffer, memory = client.shm_buffer(width, height, width * 4, ARGB8888)
        bgra = np.frombuffer(memory, np.uint8).reshape(height, width, 4)
        bgra[:] = picture[..., [2, 1, 0, 3]]
        client.request(self._surface, 8, scale)
        client.request(self._xdg_surface, 3, 0, 0, width // scale, height // scale)
        client.request(self._surface, 1, buffer, 0, 0)
        client.request(self._surface, 9, 0, 0, width, height)
        drawn = client.create(self._surface, 3)
        client.request(self._surface, 6)
        deadline = time.monotonic() + PATIENCE
        while not any(event.sender == drawn for event in self._answer()):
            if time.monotonic() > deadline:
                message = "the compositor does not draw the window"
                raise WireError(message)
            time.sleep(0.005)
        # sway waits for answers before it goes on; labwc may ask without end.
        deadline = time.monotonic() + SETTLING
        while time.monotonic() < deadline:
            self._answer()
            time.sleep(0.005)

    def _answer(self) -> list[Event]:
        """Read what has come, and agree to every size: the window keeps its own."""
        events = self.client.roundtrip()
        for event in events:
            if (event.sender, event.opcode) == (self._xdg_surface, 0):
                self.client.request(self._xdg_surface, 4, *event.words())
                self.client.request(self._surface, 6)
        return events
