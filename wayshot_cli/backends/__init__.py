"""Ways to get frames, and the ladder that chooses among them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, Union

from wayshot_cli.backends.common import Wish
from wayshot_cli.backends.screencopy import Screencopy
from wayshot_cli.errors import InvalidArgumentError, UnsupportedError
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from wayshot_cli.backends import export_dmabuf, screencopy

Backend: TypeAlias = Union[Screencopy, "export_dmabuf.ExportDmabuf"]
Session: TypeAlias = Union["screencopy.Session", "export_dmabuf.Session"]


def _export_dmabuf(connection: Connection, wish: Wish) -> Backend:
    from wayshot_cli.backends.export_dmabuf import ExportDmabuf  # noqa: PLC0415 - only when pinned

    return ExportDmabuf(connection, wish)


BACKENDS: dict[str, Callable[[Connection, Wish], Backend]] = {
    "screencopy": Screencopy,
    "export-dmabuf": _export_dmabuf,
}
"""Backends by the name that ``--backend`` takes beside ``auto``."""

AUTO = ("screencopy",)
"""Those that ``auto`` tries, best first: what is exported may be drawn over while it is read."""

BUFFERS = ("shm", "dmabuf")
"""Names that ``--buffer`` takes beside ``auto``."""

_HINT = (
    "wayshot needs wlr-screencopy, as sway, Hyprland, river, labwc and Wayfire have it; "
    "on GNOME and KDE use their own screenshot tools"
)
_HINT_FOR_DMABUFS = "shared memory needs none of that: leave --backend, --buffer and --device away"


class PassedOver(NamedTuple):
    """A backend that was not taken, and why."""

    name: str
    reason: str


def choose(
    connection: Connection, wish: str = "auto", buffer: str = "auto", device: str | None = None
) -> tuple[Backend, list[PassedOver]]:
    """Return the best backend that this compositor can serve, and those passed over.

    ``wish`` pins one, ``buffer`` its memory, ``device`` the node for dmabufs, and so
    their use. Raises UnsupportedError with the reasons when none is left, InvalidArgumentError when
    there is none of that name or the wishes contradict each other.
    """
    for kind, name, known in (("backend", wish, BACKENDS), ("buffer", buffer, BUFFERS)):
        if name not in ("auto", *known):
            message = f"no {kind} named {name!r}"
            raise InvalidArgumentError(message, hint=f"known are auto, {', '.join(known)}")
    if device is not None:
        if buffer == "shm":
            message = f"{device} is a device for dmabufs, not for shared memory"
            raise InvalidArgumentError(message)
        buffer = "dmabuf"
    passed_over: list[PassedOver] = []
    hint = _HINT_FOR_DMABUFS if buffer == "dmabuf" or wish == "export-dmabuf" else _HINT
    for name in AUTO if wish == "auto" else (wish,):
        try:
            return BACKENDS[name](connection, Wish(buffer, device)), passed_over
        except UnsupportedError as error:
            passed_over.append(PassedOver(name, str(error)))
            hint = error.hint or hint
    message = "; ".join(f"{name}: {reason}" for name, reason in passed_over)
    raise UnsupportedError(message, hint=hint)
