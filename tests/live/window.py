"""A window of known pixels: a client that speaks xdg-shell, with the opcodes of xdg-shell.xml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from tests.live.client import Client

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.client import Picture

ARGB8888 = 0
"""wl_shm's code; in memory blue, green, red, alpha; premultiplied."""


def translucent(width: int, height: int) -> Picture:
    """Paint premultiplied red, green, blue and alpha: every alpha there is, above all 0 and 255."""
    y, x = np.mgrid[:height, :width]
    alpha = np.clip((x * 7 + y * 11) % 320 - 32, 0, 255)
    colours = np.stack([x * 5 & 255, y * 3 & 255, (x + y) & 255], axis=-1)
    premultiplied = (colours * alpha[..., None] + 127) // 255
    return np.concatenate([premultiplied, alpha[..., None]], axis=-1).astype(np.uint8)


def straight(premultiplied: Picture) -> Picture:
    """Divide colours by alpha, rounded half up; what is wholly transparent is black."""
    alpha = premultiplied[..., 3:].astype(int)
    divisor = np.maximum(alpha, 1)
    colours = (premultiplied[..., :3].astype(int) * 255 * 2 + divisor) // (2 * divisor)
    return np.concatenate([np.minimum(colours, 255) * (alpha > 0), alpha], axis=-1).astype(np.uint8)


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

    def rename(self, title: str) -> None:
        """Change the title."""
        self.client.request(self._toplevel, 2, title)
        self.client.roundtrip()

    def paint(self, picture: Picture, *, scale: int = 1) -> None:
        """Show another picture, at its size; returns when the compositor has taken it."""
        height, width, _ = picture.shape
        client = self.client
        buffer, memory = client.shm_buffer(width, height, width * 4, ARGB8888)
        bgra = np.frombuffer(memory, np.uint8).reshape(height, width, 4)
        bgra[:] = picture[..., [2, 1, 0, 3]]
        client.request(self._surface, 8, scale)
        client.request(self._xdg_surface, 3, 0, 0, width // scale, height // scale)
        client.request(self._surface, 1, buffer, 0, 0)
        client.request(self._surface, 9, 0, 0, width, height)
        client.request(self._surface, 6)
        self._acknowledge()

    def _acknowledge(self) -> None:
        for event in self.client.roundtrip():
            if (event.sender, event.opcode) == (self._xdg_surface, 0):
                self.client.request(self._xdg_surface, 4, *event.words())
                self.client.request(self._surface, 6)
