"""Ways to get frames, and the ladder that chooses among them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, Union

from wayshot_cli.backends.common import PortalWish, Wish, nobody
from wayshot_cli.errors import InvalidArgumentError, UnsupportedError
from wayshot_cli.waiting import Waiter
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from wayshot_cli.backends import export_dmabuf, image_copy, screencopy
    from wayshot_cli.backends.pipewire import node, session
    from wayshot_cli.backends.portal import Portal, screenshot
    from wayshot_cli.wayland.toplevels import Toplevel, Window

Backend: TypeAlias = Union[
    "image_copy.ImageCopy",
    "screencopy.Screencopy",
    "export_dmabuf.ExportDmabuf",
    "Portal",
    "node.Node",
]
Session: TypeAlias = Union[
    "image_copy.Session",
    "screencopy.Session",
    "export_dmabuf.Session",
    "screenshot.Session",
    "session.Session",
]


# Each is imported when it is tried: a shot needs one of them.


def _image_copy(connection: Connection, wish: Wish) -> Backend:
    from wayshot_cli.backends.image_copy import ImageCopy  # noqa: PLC0415

    return ImageCopy(connection, wish)


def _screencopy(connection: Connection, wish: Wish) -> Backend:
    from wayshot_cli.backends.screencopy import Screencopy  # noqa: PLC0415

    return Screencopy(connection, wish)


def _export_dmabuf(connection: Connection, wish: Wish) -> Backend:
    from wayshot_cli.backends.export_dmabuf import ExportDmabuf  # noqa: PLC0415

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
    _refuse_beyond("PipeWire", wish)
    return Node(waiter, number, wish)


BACKENDS: dict[str, Callable[[Connection, Wish], Backend]] = {
    "image-copy": _image_copy,
    "screencopy": _screencopy,
    "export-dmabuf": _export_dmabuf,
    "portal": _portal,
}
"""Backends by the name that ``--backend`` takes beside ``auto``."""

AUTO = ("image-copy", "screencopy", "portal")
"""Those that ``auto`` tries, best first: what is exported may be drawn over while it is read.

The portal comes last, for it may ask the user, and only where the compositor has no protocol.
"""

_MANAGERS = {
    "image-copy": "ext_image_copy_capture_manager_v1",
    "screencopy": "zwlr_screencopy_manager_v1",
}
"""The globals without which a backend need not be imported, which takes a millisecond."""

WINDOWS = ("image-copy",)
"""Those that capture windows, not only outputs."""

SEPARATE_CURSORS = ("image-copy",)
"""Those that capture the cursor apart from what it lies over."""

BUFFERS = ("shm", "dmabuf")
"""Names that ``--buffer`` takes beside ``auto``."""

_HINT = (
    "wayshot needs ext-image-copy-capture or wlr-screencopy, as sway, labwc, COSMIC, Hyprland, "
    "river and Wayfire have them, or the portal of another desktop"
)
_DMABUFS_HINT = "shared memory needs none of that: leave --backend, --buffer and --device away"
_WINDOWS_HINT = (
    "windows need ext-image-copy-capture and ext-foreign-toplevel-list, as sway 1.12 and "
    "labwc 0.20 have them; a region of the screen needs neither"
)


def _refuse_beyond(name: str, wish: Wish) -> None:
    """Refuse what a backend of that name never captures. Raises UnsupportedError."""
    if wish.windows and name not in WINDOWS:
        message = "it captures outputs, no windows"
        raise UnsupportedError(message)
    if wish.separate_cursor and name not in SEPARATE_CURSORS:
        message = "it captures no cursor apart from what it lies over"
        raise UnsupportedError(message)


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
    windows: bool = False,
    separate_cursor: bool = False,
    pipewire_node: int | None = None,
    portal: PortalWish | None = None,
    screenshot: bool = False,
    warn: Callable[[str], object] = nobody,
) -> tuple[Backend, list[PassedOver]]:
    """Return the best backend that this compositor can serve, and those passed over.

    ``wish`` pins one, ``buffer`` its memory, ``device`` the node for dmabufs, and so
    their use; without ``damage`` it has to give each frame, changed or not, with ``windows`` to
    capture windows, too, with ``separate_cursor`` the cursor beside each frame. ``portal`` says
    what the portal is asked for, and so pins it; with ``screenshot`` it may take one where it casts
    nothing; ``warn`` is told what people must know. A ``pipewire_node`` is captured by itself.
    Whoever gets a backend closes it. Raises UnsupportedError with the reasons when none is left,
    InvalidArgumentError when there is none of that name or the wishes contradict each other,
    ClosedError for a connection that has been closed.
    """
    connection.require_open()
    _check(wish, buffer, device)
    if device is not None:
        buffer = "dmabuf"
    wished = Wish(
        buffer, device, damage, windows, separate_cursor, portal or PortalWish(), screenshot, warn
    )
    if pipewire_node is not None:
        return _node(connection, pipewire_node, wish, wished, portal), []
    assert isinstance(connection, Connection)  # noqa: S101 - see connect
    if portal is not None:
        if wish not in ("auto", "portal"):
            message = f"the portal's wishes are not for {wish}"
            raise InvalidArgumentError(message)
        wish = "portal"
    return _climb(connection, AUTO if wish == "auto" else (wish,), wished)


def _climb(
    connection: Connection, names: Sequence[str], wish: Wish
) -> tuple[Backend, list[PassedOver]]:
    """Return the first of these backends that can serve, and those passed over."""
    passed_over: list[PassedOver] = []
    offered = {offer.interface for offer in connection.globals.values()}
    hint = _WINDOWS_HINT if wish.windows else _HINT
    if wish.buffer == "dmabuf" or names == ("export-dmabuf",):
        hint = _DMABUFS_HINT
    for name in names:
        try:
            _refuse_beyond(name, wish)
            if name in _MANAGERS and _MANAGERS[name] not in offered:
                message = f"{connection.compositor} does not offer {_MANAGERS[name]}"
                raise UnsupportedError(message)  # noqa: TRY301 - as they do
            # Where the compositor itself can be asked, nobody is asked by a dialog.
            if name == "portal" and names == AUTO and not offered.isdisjoint(_MANAGERS.values()):
                message = f"{connection.compositor} has protocols of its own to capture by"
                raise UnsupportedError(message)  # noqa: TRY301 - as they do
            return BACKENDS[name](connection, wish), passed_over
        except UnsupportedError as error:
            passed_over.append(PassedOver(name, str(error)))
            hint = error.hint or hint
    message = "; ".join(f"{name}: {reason}" for name, reason in passed_over)
    raise UnsupportedError(message, hint=hint)


def _check(wish: str, buffer: str, device: str | None) -> None:
    """Refuse what there is not, and what contradicts itself."""
    for kind, name, known in (("backend", wish, BACKENDS), ("buffer", buffer, BUFFERS)):
        if name not in ("auto", *known):
            message = f"no {kind} named {name!r}"
            raise InvalidArgumentError(message, hint=f"known are auto, {', '.join(known)}")
    if device is not None:
        if not device:
            message = "the device for dmabufs is empty"
            raise InvalidArgumentError(message, hint="name a node, as /dev/dri/renderD128")
        if buffer == "shm":
            message = f"{device} is a device for dmabufs, not for shared memory"
            raise InvalidArgumentError(message)


def open_window(
    backend: Backend, window: "Window", toplevel: "Toplevel", *, cursor: bool = False
) -> "image_copy.Session":
    """Return a session on a window, by a backend that was chosen for windows."""
    from wayshot_cli.backends.image_copy import ImageCopy  # noqa: PLC0415 - as above

    assert isinstance(backend, ImageCopy)  # noqa: S101 - no other one captures them
    return backend.open_window(
        toplevel.proxy, f"window {window}", lambda: toplevel.is_closed, cursor=cursor
    )
