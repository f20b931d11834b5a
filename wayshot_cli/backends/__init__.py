"""Ways to get frames, and the ladder that chooses among them."""

from typing import NamedTuple

from wayshot_cli.backends.screencopy import Screencopy
from wayshot_cli.errors import InvalidArgumentError, UnsupportedError
from wayshot_cli.wayland.connection import Connection

BACKENDS = {"screencopy": Screencopy}
"""Backends by the name that ``--backend`` takes beside ``auto``, best first."""

BUFFERS = ("shm",)
"""Names that ``--buffer`` takes beside ``auto``."""


class PassedOver(NamedTuple):
    """A backend that was not taken, and why."""

    name: str
    reason: str


def choose(connection: Connection, wish: str = "auto") -> tuple[Screencopy, list[PassedOver]]:
    """Return the best backend that this compositor can serve, and those passed over.

    ``wish`` pins one. Raises UnsupportedError with the reasons when none is left,
    InvalidArgumentError when there is none of that name.
    """
    if wish not in ("auto", *BACKENDS):
        message = f"no backend named {wish!r}"
        raise InvalidArgumentError(message, hint=f"known are auto, {', '.join(BACKENDS)}")
    passed_over: list[PassedOver] = []
    for name in BACKENDS if wish == "auto" else (wish,):
        try:
            return BACKENDS[name](connection), passed_over
        except UnsupportedError as error:
            passed_over.append(PassedOver(name, str(error)))
    message = "; ".join(f"{name}: {reason}" for name, reason in passed_over)
    hint = (
        "wayshot needs wlr-screencopy, as sway, Hyprland, river, labwc and Wayfire have it; "
        "on GNOME and KDE use their own screenshot tools"
    )
    raise UnsupportedError(message, hint=hint)
