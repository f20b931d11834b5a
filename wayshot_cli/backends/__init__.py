"""Ways to get frames, and the ladder that chooses among them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, Union

from wayshot_cli.backends.common import Wish
from wayshot_cli.errors import InvalidArgumentError, UnsupportedError
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from wayshot_cli.backends import export_dmabuf, image_copy, screencopy
    from wayshot_cli.wayland.toplevels import Toplevel, Window

Backend: TypeAlias = Union[
    "image_copy.ImageCopy", "screencopy.Screencopy", "export_dmabuf.ExportDmabuf"
]
Session: TypeAlias = Union["image_copy.Session", "screencopy.Session", "export_dmabuf.Session"]


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


BACKENDS: dict[str, Callable[[Connection, Wish], Backend]] = {
    "image-copy": _image_copy,
    "screencopy": _screencopy,
    "export-dmabuf": _export_dmabuf,
}
"""Backends by the name that ``--backend`` takes beside ``auto``."""

AUTO = ("image-copy", "screencopy")
"""Those that ``auto`` tries, best first: what is exported may be drawn over while it is read."""

WINDOWS = ("image-copy",)
"""Those that capture windows, not only outputs."""

SEPARATE_CURSORS = ("image-copy",)
"""Those that capture the cursor apart from what it lies over."""

BUFFERS = ("shm", "dmabuf")
"""Names that ``--buffer`` takes beside ``auto``."""

_HINT = (
    "wayshot needs ext-image-copy-capture or wlr-screencopy, as sway, labwc, COSMIC, Hyprland, "
    "river and Wayfire have them; on GNOME and KDE use their own screenshot tools"
)
_DMABUFS_HINT = "shared memory needs none of that: leave --backend, --buffer and --device away"
_WINDOWS_HINT = (
    "windows need ext-image-copy-capture and ext-foreign-toplevel-list, as sway 1.12 and "
    "labwc 0.20 have them; a region of the screen needs neither"
)


class PassedOver(NamedTuple):
    """A backend that was not taken, and why."""

    name: str
    reason: str


def choose(  # noqa: PLR0913 - all that can be wished for
    connection: Connection,
    wish: str = "auto",
    buffer: str = "auto",
    device: str | None = None,
    *,
    damage: bool = True,
    windows: bool = False,
    separate_cursor: bool = False,
) -> tuple[Backend, list[PassedOver]]:
    """Return the best backend that this compositor can serve, and those passed over.

    ``wish`` pins one, ``buffer`` its memory, ``device`` the node for dmabufs, and so
    their use; without ``damage`` it has to give each frame, changed or not, with ``windows`` to
    capture windows, too, with ``separate_cursor`` the cursor beside each frame. Raises
    UnsupportedError with the reasons when none is left, InvalidArgumentError when there is none
    of that name or the wishes contradict each other.
    """
    _check(wish, buffer, device)
    if device is not None:
        buffer = "dmabuf"
    passed_over: list[PassedOver] = []
    hint = _WINDOWS_HINT if windows else _HINT
    if buffer == "dmabuf" or wish == "export-dmabuf":
        hint = _DMABUFS_HINT
    for name in AUTO if wish == "auto" else (wish,):
        try:
            if windows and name not in WINDOWS:
                message = "it captures outputs, no windows"
                raise UnsupportedError(message)  # noqa: TRY301 - as they do
            if separate_cursor and name not in SEPARATE_CURSORS:
                message = "it captures no cursor apart from what it lies over"
                raise UnsupportedError(message)  # noqa: TRY301
            wished = Wish(buffer, device, damage, windows, separate_cursor)
            return BACKENDS[name](connection, wished), passed_over
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
