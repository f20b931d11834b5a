"""Notifications of the desktop: with a thumbnail, and buttons that open the file or its folder.

The service's interface is that of the Desktop Notifications Specification 1.2. It sends what
becomes of a notification to whoever showed it, and some take it away when that one has gone: so a
child of this process stays with it until it is closed.
"""

import contextlib
import os
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from signal import SIGPIPE, SIGUSR1, SIGUSR2, SIGXFSZ
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from jeepney import DBusAddress

from wayshot_cli.background import detach
from wayshot_cli.dbus import BUS, Bus
from wayshot_cli.errors import WayshotError
from wayshot_cli.waiting import DEFAULT_TIMEOUT, LONGEST_TIMEOUT, Waiter

if TYPE_CHECKING:
    from PIL.Image import Image

    from wayshot_cli.dbus import Signal

_NAME = "org.freedesktop.Notifications"
_SERVICE = DBusAddress("/org/freedesktop/Notifications", bus_name=_NAME, interface=_NAME)
_FILES_NAME = "org.freedesktop.FileManager1"
_FILES = DBusAddress("/org/freedesktop/FileManager1", bus_name=_FILES_NAME, interface=_FILES_NAME)

_DOING = "showing a notification"
_ANSWERS = 8  # that are waited for
_LONGEST_LIFE = 600.0  # seconds for which a button works
_START = 25.0  # seconds for a file manager that is not running yet
_ACTIONS = ("default", "Open", "open", "Open", "folder", "Show folder")
"""Keys and labels; "default" is a click on the notification itself."""


class Note(NamedTuple):
    """What a notification says; ``icon`` is a name of the Icon Naming Specification.

    ``image`` is shown in its stead: a small one, RGB or RGBA. ``path`` is the file that the
    buttons open.
    """

    summary: str
    body: str
    icon: str
    image: "Image | None" = None
    path: str | None = None


def notify(note: Note, *, timeout: float = DEFAULT_TIMEOUT) -> None:
    """Show a notification; return when it is there.

    A child of this process stays until it is closed, where there is something to open. ``timeout``
    in seconds bounds each answer of the service. Raises UnsupportedError where there is no bus or
    no service, CaptureError, or what it comprises, when they misbehave, WayshotError for what else
    goes wrong.
    """
    if note.path is not None:
        note = note._replace(path=os.path.abspath(note.path))
    detach(
        partial(_show, note, timeout), _DOING, name="ws-notify",
        timeout=min(_ANSWERS * timeout, LONGEST_TIMEOUT),
    )  # fmt: skip


def _show(note: Note, timeout: float, ready: Callable[[], None]) -> None:
    fate = _Fate()
    with Waiter(timeout) as waiter, Bus(waiter, "notification service", fate.take) as bus:
        bus.subscribe(_NAME, f"interface='{_NAME}'", _DOING)
        capabilities = bus.call(_SERVICE, "GetCapabilities", returns="as", doing=_DOING).body[0]
        actions = _ACTIONS if note.path and "actions" in capabilities else ()
        body = escape(note.body, quote=False) if "body-markup" in capabilities else note.body
        hints = {"image-data": _image_data(note.image)} if note.image else {}
        shown = bus.call(
            _SERVICE, "Notify", "susssasa{sv}i",
            ("wayshot", 0, note.icon, note.summary, body, list(actions), hints, -1),
            returns="u", doing=_DOING,
        )  # fmt: skip
        if not actions:
            return
        fate.number = shown.body[0]
        ready()
        bus.wait(lambda: fate.is_over, _DOING, monotonic() + _LONGEST_LIFE)
        assert note.path  # noqa: S101 - there are no actions without
        if fate.action == "folder":
            _show_in_folder(bus, note.path, fate.token)
        elif fate.action:
            _open(note.path, fate.token)
        if fate.action:  # not every service then takes it away, and there is nobody behind it now
            with contextlib.suppress(WayshotError):
                bus.call(_SERVICE, "CloseNotification", "u", shown.body, doing=_DOING)


class _Fate:
    """What becomes of the notification with this ``number``.

    ``action`` is the key of the button that was pressed, ``token`` lets what it starts have the
    focus (xdg-activation).
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.action = ""
        self.token = ""
        self.is_over = False

    def take(self, signal: "Signal") -> None:
        match signal.member, signal.signature, signal.body:
            case "NameOwnerChanged", "sss", (_, gone, _):
                self.is_over |= signal.sender == BUS and bool(gone)
            case "ActivationToken", "us", (self.number, token):
                self.token = token
            case "ActionInvoked", "us", (self.number, action):
                self.action = action
                self.is_over = True
            case "NotificationClosed", "uu", (self.number, _):
                self.is_over = True


def _image_data(image: "Image") -> tuple[str, Any]:
    """Return an RGB or RGBA picture as the hint of that name has it."""
    channels = len(image.getbands())
    facts = image.width, image.height, image.width * channels, channels == len("RGBA"), 8, channels
    return "(iiibiiay)", (*facts, image.tobytes())


def _show_in_folder(bus: Bus, path: str, token: str) -> None:
    try:
        bus.call(
            _FILES, "ShowItems", "ass", ([Path(path).as_uri()], token),
            doing="showing the folder", deadline=monotonic() + _START,
        )  # fmt: skip
    except WayshotError:
        _open(os.path.dirname(path), token)


def _open(path: str, token: str) -> None:
    environment = {**os.environ, **({"XDG_ACTIVATION_TOKEN": token} if token else {})}
    with contextlib.suppress(OSError):  # there is nobody left to tell
        os.posix_spawnp(
            "xdg-open", ["xdg-open", path], environment,
            setsigdef=[SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2],
        )  # fmt: skip
