"""A fullscreen window on any compositor with xdg-shell, which shows what a test gives it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from tests.live.client import Client, WlOutput

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.client import Picture


class Fullscreen(Client):
    """A window that covers the only output until it is closed."""

    def __init__(self, socket_path: Path, width: int, height: int) -> None:
        """Connect, and wait until the compositor gives it so much room."""
        super().__init__(socket_path)
        try:
            self._size = width, height
            self._surface = self.create(self.bind("wl_compositor", 4), 0)
            shell = self.bind("xdg_wm_base", 1)
            self._xdg_surface = self.create(shell, 2, self._surface)
            self._toplevel = self.create(self._xdg_surface, 1)
            self.request(self._toplevel, 11, 0)  # set_fullscreen, wherever
            self.request(self._surface, 6)
            while True:
                size = struct.unpack_from("=II", self.wait(self._toplevel, 0).payload)
                (serial,) = self.wait(self._xdg_surface, 0).words()
                self.request(self._xdg_surface, 4, serial)
                self.show_picture(np.zeros((height, width, 3), np.uint8))
                if size == self._size:
                    break
        except BaseException:
            self.close()
            raise

    def show_picture(self, picture: Picture) -> None:
        """Show a picture of the output's size; returns when it is drawn."""
        width, height = self._size
        buffer, memory = self.shm_buffer(width, height, width * 4)
        np.frombuffer(memory, np.uint8).reshape(height, width, 4)[..., :3] = picture[..., ::-1]
        self.request(self._surface, 1, buffer, 0, 0)
        self.request(self._surface, 2, 0, 0, width, height)
        drawn = self.create(self._surface, 3)
        self.request(self._surface, 6)
        self.wait(drawn, 0)
        self.request(buffer, 0)

    def _bind_outputs(self) -> dict[str, WlOutput]:
        """Know nothing of outputs: their names need a newer wl_output than Mutter 43 has."""
        return {}
