"""org.freedesktop.portal.Screenshot.PickColor: the user points at a pixel, in the desktop's way."""

import contextlib
from typing import TYPE_CHECKING

from wayshot_cli.backends.portal.desktop import Desktop
from wayshot_cli.backends.portal.screenshot import SCREENSHOT
from wayshot_cli.errors import CaptureError

if TYPE_CHECKING:
    from wayshot_cli.wayland.connection import Connection


def pick_color(connection: "Connection") -> tuple[float, float, float]:
    """Return red, green and blue of a pixel, as sRGB has them, each from 0 to 1.

    Raises what ``Desktop.request`` raises, UnsupportedError among it where there is no portal or
    it is too old, and CaptureError for what is no colour.
    """
    with contextlib.closing(Desktop(connection)) as desktop:
        desktop.properties(SCREENSHOT)
        results = desktop.request(
            SCREENSHOT, "PickColor", "s", ("",), {}, doing="picking a colour", asks_user=True
        )
    kind, color = results.get("color", ("", None))
    if kind != "(ddd)" or not all(0 <= channel <= 1 for channel in color):
        message = f"the portal gave what is no colour: {color!r}"
        raise CaptureError(message)
    red, green, blue = color
    return red, green, blue
