"""Ways to get frames, and the ladder that chooses among them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, Union

from wayshot_cli.backends.common import PortalWish, Wish, nobody
from wayshot_cli.backends.screencopy import Screencopy
from wayshot_cli.errors import InvalidArgumentError, UnsupportedError
from wayshot_cli.waiting import Waiter
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from wayshot_cli.backends import export_dmabuf, screencopy
    from wayshot_cli.backends.pipewire import node, session
    from wayshot_cli.backends.portal import Portal, screenshot

Backend: TypeAlias = Union[Screencopy, "export_dmabuf.ExportDmabuf", "Portal", "node.Node"]
Session: TypeAlias = Union[
    "screencopy.Session", "export_dmabuf.Session", "screenshot.Session", "session.Session"
]


def _export_dmabuf(connection: Connection, wish: Wish) -> Backend:
    from wayshot_cli.backends.export_dmabuf import ExportDmabuf  # noqa: PLC0415 - only when pinned

    return ExportDmabuf(connection, wish)


def _portal(connection: Connection, wish: Wish) -> Backend:
    from wayshot_cli.backends.portal import Portal  # noqa: PLC0415 - where nothing else serves

    return Portal(connection, wish)


def _node(
    waiter: Waiter, number: int, backend: str, wish: Wish, portal: PortalWish | None
) -> "node.Node":
    from wayshot_cli.backends.pipewire.node import Node  # noqa: PLC0415 - only when pinned

    if backend != "auto" or portal is not None:
        message = f"PipeWire node {number} is captured without another backend"
        raise InvalidArgumentError(message)
    return Node(waiter, number, wish)


BACKENDS: dict[str, Callable[[Connection, Wish], Backend]] = {
    "screencopy": Screencopy,
    "export-dmabuf": _export_dmabuf,
    "portal": _portal,
}
"""Backends by the name that ``--backend`` takes beside ``auto``."""

AUTO = ("screencopy", "portal")
"""Those that ``auto`` tries, best first: what is exported may be drawn over while it is read.

The portal comes last, for it may ask the user.
"""

BUFFERS = ("shm", "dmabuf")
"""Names that ``--buffer`` takes beside ``auto``."""


class PassedOver(NamedTuple):
    """A backend that was not taken, and why."""

    name: str
    reason: str


def connect(timeout: float, pipewire_node: int | None = None) -> Waiter:
    """Return a connection to the compositor; for a node of PipeWire's none is needed."""
    if pipewire_node is None:
        return Connection(timeout=timeout)
    return Waiter(timeout)


def choose(  # noqa: PLR0913 - what was wished for, all of it optional
    connection: Waiter,
    wish: str = "auto",
    buffer: str = "auto",
    device: str | None = None,
    *,
    damage: bool = True,
    pipewire_node: int | None = None,
    portal: PortalWish | None = None,
    screenshot: bool = False,
    warn: Callable[[str], object] = nobody,
) -> tuple[Backend, list[PassedOver]]:
    """Return the best backend that this compositor can serve, and those passed over.

    ``wish`` pins one, ``buffer`` its memory, ``device`` the node for dmabufs, and so
    their use; without ``damage`` it has to give each frame, changed or not. ``portal`` says what
    the portal is asked for, and so pins it; with ``screenshot`` it may take one where it casts
    nothing; ``warn`` is told what people must know. A ``pipewire_node`` is captured by itself.
    Raises UnsupportedError with the reasons when none is left, InvalidArgumentError when there is
    none of that name or the wishes contradict each other.
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
    if pipewire_node is not None:
        return _node(
            connection, pipewire_node, wish, Wish(buffer, device, damage, warn=warn), portal
        ), []
    assert isinstance(connection, Connection)  # noqa: S101 - see connect
    if portal is not None:
        if wish not in ("auto", "portal"):
            message = f"the portal's wishes are not for {wish}"
            raise InvalidArgumentError(message)
        wish = "portal"
    wishes = Wish(buffer, device, damage, portal or PortalWish(), screenshot, warn)
    passed_over: list[PassedOver] = []
    hint = (
        "wayshot needs wlr-screencopy, as sway, Hyprland, river, labwc and Wayfire have it, "
        "or the portal of another desktop"
    )
    for name in AUTO if wish == "auto" else (wish,):
        try:
            return BACKENDS[name](connection, wishes), passed_over
        except UnsupportedError as error:
            passed_over.append(PassedOver(name, str(error)))
            hint = error.hint or hint
    message = "; ".join(f"{name}: {reason}" for name, reason in passed_over)
    raise UnsupportedError(message, hint=hint)
