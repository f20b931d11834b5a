"""Compositors with windows, and what a shot of one shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.fake import Config, Output, Window

if TYPE_CHECKING:
    from tests.fake.pixels import Picture

MANAGER = "zwlr_foreign_toplevel_manager_v1"

ONE = Window("one", "org.one", "First", "id-1")
TWO = Window("two", "org.two", "Second", "id-2")

FILLER = 0x5A
"""The alpha of everything that the fake compositor writes with one."""


def desktop(*windows: Window, **settings: Any) -> Config:
    """Return a compositor that lists these windows in both ways, and captures them."""
    versions = {
        "image_copy_version": 1,
        "toplevel_list_version": 1,
        "toplevel_source_version": 1,
        "toplevel_manager_version": 3,
    }
    return Config(**{"outputs": (Output(),), "windows": windows, **versions, **settings})


def premultiplied(config: Config, name: str) -> Picture:
    """Return the colours that the compositor gives of a window."""
    (number,) = (n for n, window in enumerate(config.windows) if window.name == name)
    return config.windows[number].surface.upright(len(config.outputs) + number)


def straight(config: Config, name: str) -> Picture:
    """Return what a PNG of a window shows: red, green, blue, and alpha that is not multiplied."""
    colours = premultiplied(config, name).astype(int)
    divided = (colours * 255 * 2 + FILLER) // (2 * FILLER)
    return np.dstack((divided, np.full(divided.shape[:2], FILLER))).astype(np.uint8)
