"""org.freedesktop.portal.ScreenCast: the way to a cast, alone or on a RemoteDesktop session."""

import os
import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from wayshot_cli.backends.common import PORTAL_SOURCES
from wayshot_cli.backends.portal.desktop import Desktop
from wayshot_cli.errors import CaptureError, TargetLostError, UnsupportedError
from wayshot_cli.geometry import Box, Size

if TYPE_CHECKING:
    from wayshot_cli.dbus import Variant

SCREEN_CAST = "org.freedesktop.portal.ScreenCast"
REMOTE_DESKTOP = "org.freedesktop.portal.RemoteDesktop"

_SOURCES = dict(zip(PORTAL_SOURCES, (1, 2, 4), strict=True))  # AvailableSourceTypes
_CURSORS = {"hidden": 1, "embedded": 2, "metadata": 4}  # AvailableCursorModes
_KEYBOARD_AND_POINTER = 1 | 2  # AvailableDeviceTypes
_PERSISTS_SINCE = {SCREEN_CAST: 4, REMOTE_DESKTOP: 2}
_UNTIL_REVOKED = 2  # persist_mode
_NO_NODE = 0xFFFFFFFF  # PW_ID_ANY


class Stream(NamedTuple):
    """A stream of a cast: its PipeWire node, and what the portal says of it, None where nothing.

    ``position`` and ``size`` are those of the compositor's logical space, though some portals
    say pixels. ``serial`` is the node's object.serial, which unlike its id is never used again.
    """

    node_id: int
    serial: int | None = None
    position: tuple[int, int] | None = None
    size: Size | None = None
    source: str | None = None

    @property
    def box(self) -> Box | None:
        """Where it lies, if that is known."""
        return Box(*self.position, *self.size) if self.position and self.size else None


class CastWish(NamedTuple):
    """What is asked for: see the options of ScreenCast.SelectSources."""

    source: str = PORTAL_SOURCES[0]
    multiple: bool = False
    cursor: bool = False
    remote_desktop: bool = False


class Cast:
    """A screen cast that has been granted. ``close()`` at the end."""

    def __init__(self, desktop: Desktop, session: str, streams: list[Stream], cursor: str) -> None:
        """Take what ``ScreenCast.start`` got; ``cursor`` is hidden, embedded or metadata."""
        self.streams = streams
        self.cursor = cursor
        self.has_lost_a_stream = False
        self.is_of_mutter = desktop.is_mutter
        self._desktop = desktop
        self._session = session

    @property
    def is_closed(self) -> bool:
        """Whether it has ended, which the user can do at any time."""
        return self.has_lost_a_stream or self._desktop.is_closed(self._session)

    def open_remote(self) -> int:
        """Return an fd of PipeWire's that sees the streams, for one connection; the caller's.

        Raises TargetLostError when the cast has ended, CaptureError for anything but a socket.
        """
        doing = "opening PipeWire"
        if self.is_closed:
            message = f"the portal closed the session before {doing}"
            raise TargetLostError(message)
        reply = self._desktop.call(
            SCREEN_CAST, "OpenPipeWireRemote", "oa{sv}", (self._session, {}),
            returns="h", doing=doing,
        )  # fmt: skip
        (fd,) = reply.body
        for other in reply.fds:
            if other != fd:
                os.close(other)
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            os.close(fd)
            message = "the portal gave something else than a connection to PipeWire"
            raise CaptureError(message)
        return int(fd)

    def close(self) -> None:
        """End it. Harmless twice."""
        self._desktop.close_session(self._session)


class ScreenCast:
    """The portal's screen casts: what it offers, and the way to one."""

    def __init__(self, desktop: Desktop) -> None:
        """Ask what there is. Raises UnsupportedError where there are no screen casts."""
        self._desktop = desktop
        self._properties = desktop.properties(SCREEN_CAST)

    @property
    def version(self) -> int:
        """The version of the interface, 0 where none is told."""
        return _number(self._properties, "version")

    @property
    def sources(self) -> tuple[str, ...]:
        """What can be cast, of PORTAL_SOURCES."""
        available = _number(self._properties, "AvailableSourceTypes")
        return tuple(name for name, bit in _SOURCES.items() if available & bit)

    @property
    def cursor_modes(self) -> tuple[str, ...]:
        """How the cursor can be had: hidden, embedded, metadata; none before version 2."""
        available = _number(self._properties, "AvailableCursorModes")
        return tuple(name for name, bit in _CURSORS.items() if available & bit)

    def start(
        self, wish: CastWish, token: str | None, on_token: Callable[[str | None], object]
    ) -> Cast:
        """Ask for a cast, and wait until the user has decided, unless ``token`` spares that.

        ``on_token`` is given the next token at once, None if there is none. Raises CancelledError
        when the user says no, UnsupportedError when the portal cannot or does not want to,
        TargetLostError when it closes the session meanwhile, CaptureError for answers that make no
        sense.
        """
        if wish.source not in self.sources:
            names = ", ".join(self.sources) or "nothing"
            message = f"the portal of this desktop casts {names}, but no {wish.source}"
            raise UnsupportedError(message)
        options: dict[str, Variant] = {
            "types": ("u", _SOURCES[wish.source]), "multiple": ("b", wish.multiple),
        }  # fmt: skip
        if cursor := self._cursor(wish):
            options["cursor_mode"] = ("u", _CURSORS[cursor])
        owner = REMOTE_DESKTOP if wish.remote_desktop else SCREEN_CAST
        properties = self._properties
        if wish.remote_desktop:
            properties = self._desktop.properties(owner)
        persistence = _persistence(_number(properties, "version"), owner, token)
        session = self._desktop.create_session(owner, "creating a session")
        try:
            if wish.remote_desktop:  # whose grant the cast is part of
                devices = _number(properties, "AvailableDeviceTypes") & _KEYBOARD_AND_POINTER
                persistence["types"] = ("u", devices)
                self._request(owner, "SelectDevices", session, persistence, "choosing devices")
            else:
                options |= persistence
            self._request(SCREEN_CAST, "SelectSources", session, options, "choosing what to cast")
            results = self._desktop.request(
                owner, "Start", "os", (session, ""), {},
                doing="starting the screen cast", session=session, asks_user=True,
            )  # fmt: skip
            on_token(_value(results, "restore_token", "s"))
            # Metadata of the cursor is left alone where it is not to be painted.
            cursor = cursor if wish.cursor else "hidden"
            return Cast(self._desktop, session, list(_streams(results)), cursor)
        except BaseException:
            self._desktop.close_session(session)
            raise

    def _cursor(self, wish: CastWish) -> str:
        """Return the best cursor mode that there is; empty before version 2, which has none."""
        for name in ("embedded", "metadata") if wish.cursor else ("hidden", "metadata"):
            if name in self.cursor_modes:
                return name
        if not self.cursor_modes and not wish.cursor:
            return ""
        what = "paint" if wish.cursor else "hide"
        message = f"the portal of this desktop cannot {what} the cursor"
        raise UnsupportedError(message)

    def _request(
        self, interface: str, method: str, session: str, options: "dict[str, Variant]", doing: str
    ) -> None:
        self._desktop.request(
            interface, method, "o", (session,), options, doing=doing, session=session
        )


def _persistence(version: int, owner: str, token: str | None) -> "dict[str, Variant]":
    """Ask for a token that holds until it is revoked, and spend the last one."""
    if version < _PERSISTS_SINCE[owner]:
        return {}
    persistence: dict[str, Variant] = {"persist_mode": ("u", _UNTIL_REVOKED)}
    if token is not None:
        persistence["restore_token"] = ("s", token)
    return persistence


def _streams(results: "dict[str, Variant]") -> Iterator[Stream]:
    """Read ``streams``; what is missing or makes no sense is None, but for the node."""
    streams = _value(results, "streams", "a(ua{sv})")
    if not streams:
        message = "the portal started a screen cast without any stream"
        raise CaptureError(message)
    for node_id, properties in streams:
        if node_id == _NO_NODE:
            message = "the portal started a stream without a PipeWire node"
            raise CaptureError(message)
        size = Size(*(_value(properties, "size", "(ii)") or (0, 0)))
        types = {bit: name for name, bit in _SOURCES.items()}
        yield Stream(
            node_id,
            _value(properties, "pipewire-serial", "t"),
            _value(properties, "position", "(ii)"),
            size if size.is_possible else None,
            types.get(_value(properties, "source_type", "u")),
        )


def _value(results: "dict[str, Variant]", name: str, signature: str) -> Any:
    """Return a value, None where it is missing or of another type."""
    kind, value = results.get(name, ("", None))
    return value if kind == signature else None


def _number(properties: "dict[str, Variant]", name: str) -> int:
    return _value(properties, name, "u") or 0
