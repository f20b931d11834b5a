"""Windows: what the compositor says of its toplevels, in two protocols.

ext-foreign-toplevel-list gives each window an identifier, and what it lists can be captured;
wlr-foreign-toplevel-management knows states and outputs. Neither mentions the other: a window's
app_id and title, which both have, join them.
"""

from collections import Counter
from typing import NamedTuple

from wayshot_cli.errors import CancelledError, NotFoundError, UnsupportedError
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.outputs import FOCUSED, read_outputs
from wayshot_cli.wayland.protocols.ext_foreign_toplevel_list import EXT_FOREIGN_TOPLEVEL_LIST_V1
from wayshot_cli.wayland.protocols.wlr_foreign_toplevel_management import (
    ZWLR_FOREIGN_TOPLEVEL_MANAGER_V1,
)
from wayshot_cli.wayland.proxy import Proxy

ACTIVE = "active"
"""What ``--window`` takes for the window that has the keyboard."""

_STATES = ("maximized", "minimized", "activated", "fullscreen")
"""By the numbers of zwlr_foreign_toplevel_handle_v1.state; there may be more one day."""

_LONGEST_IDENTIFIER = 32  # ext_foreign_toplevel_handle_v1.identifier
_MOST_NAMED = 10  # windows in the hint of an error


class Window(NamedTuple):
    """One window (a toplevel).

    ``identifier`` is its alone for as long as the compositor runs, None where that gives none.
    ``states`` are some of maximized, minimized, activated and fullscreen, ``outputs`` the names of
    those that show it: both are empty where the compositor does not say them, or where
    another window has the same app_id and title.
    """

    identifier: str | None
    app_id: str
    title: str
    states: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the record that ``wayshot list --json`` prints."""
        return {
            "identifier": self.identifier,
            "app_id": self.app_id,
            "title": self.title,
            "states": list(self.states),
        }

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.identifier or '(no identifier)'} ({self.app_id}: {self.title!r})"


def read_windows(connection: Connection) -> list[Window]:
    """Return the compositor's windows as they are now, in the order it announced them.

    The list is empty where the compositor has no protocol for it. The first call binds what
    there is; the connection keeps what later events say.
    """
    return [entry.window for entry in _read(connection).entries()]


def find_window(connection: Connection, wish: str) -> tuple[Window, "Toplevel"]:
    """Return the one window that is wished for, and what to capture it by.

    ``wish`` is an identifier, ``app_id:NAME``, ``title:TEXT`` or ``active``. Raises NotFoundError
    when it names no window or several, with those there are, CancelledError when it is
    empty, as what a menu leaves that was closed; UnsupportedError when the compositor does not
    tell which is active, or lists windows by wlr-foreign-toplevel-management alone.
    """
    if not wish:
        message = "the window is empty: selection cancelled"
        raise CancelledError(message)
    toplevels = _read(connection)
    entries = toplevels.entries()
    kind, colon, text = wish.partition(":")
    if not colon or kind not in {"app_id", "title"}:
        kind, text = "identifier", wish
    named = [entry for entry in entries if getattr(entry.window, kind) == text]
    if wish == ACTIVE and not named:
        named = [_find_active(toplevels, entries)]
    if len(named) == 1:
        window, toplevel = named[0]
        if toplevel is None:
            message = (
                f"{connection.compositor} does not offer {EXT_FOREIGN_TOPLEVEL_LIST_V1.name}, "
                "without which no window can be captured"
            )
            raise UnsupportedError(message)
        return window, toplevel
    message = f"{len(named) or 'no'} window{'s have' if named else ' has'} the {kind} {text!r}"
    raise NotFoundError(message, hint=_listing(named or entries))


def find_active(connection: Connection) -> Window | None:
    """Return the window that has the keyboard, None where there is none or nobody tells it."""
    toplevels = _read(connection)
    try:
        return _find_active(toplevels, toplevels.entries()).window
    except (NotFoundError, UnsupportedError):
        return None


def find_focused(connection: Connection) -> str:
    """Return the name of the output with the active window.

    An output that is really named ``focused`` is meant by its name. Raises UnsupportedError when it
    cannot be told.
    """
    toplevels = _read(connection)
    if FOCUSED in toplevels.outputs.values():
        return FOCUSED
    active = toplevels.active()
    shown_on = {name for facts in active for name in toplevels.names_of(facts.outputs)}
    if len(shown_on) == 1:
        return shown_on.pop()
    if active:
        reason = f"the active window is on {' and '.join(sorted(shown_on)) or 'none'}"
    else:
        reason = "no window is active"
    message = f"the focused output cannot be told: {reason}"
    raise UnsupportedError(message, hint="name one that wayshot list shows")


def _read(connection: Connection) -> "Toplevels":
    outputs = read_outputs(connection)  # bound before the windows, which name them
    toplevels = connection.toplevels
    if toplevels is None:
        toplevels = connection.toplevels = Toplevels(connection)
    connection.roundtrip("asking for the windows")
    proxies = (facts.proxy for facts in connection.outputs.values())
    toplevels.outputs = dict(zip(proxies, (output.name for output in outputs), strict=True))
    return toplevels


def _find_active(toplevels: "Toplevels", entries: list["Entry"]) -> "Entry":
    active = toplevels.active()
    if not active:
        message = "no window is active"
        raise NotFoundError(message, hint=_listing(entries))
    joined = [entry for entry in entries if "activated" in entry.window.states]
    if len(active) == len(joined) == 1:
        return joined[0]
    named = [entry for entry in entries if any(entry.is_same(facts) for facts in active)]
    message = "which window is active cannot be told"
    if len(active) > 1:
        message += f": {len(active)} are"
    elif named:
        message += ": others have its app_id and title"
    raise UnsupportedError(message, hint=_listing(named or entries))


def _listing(entries: list["Entry"]) -> str:
    """Say what there is, for people who have to choose."""
    if not entries:
        return "there are no windows"
    named = "; ".join(str(entry.window) for entry in entries[:_MOST_NAMED])
    more = len(entries) - _MOST_NAMED
    return f"windows: {named}" + (f"; and {more} more" if more > 0 else "")


class Entry(NamedTuple):
    """A window, and what it can be captured by, None where the protocol for that is not there."""

    window: Window
    toplevel: "Toplevel | None"

    def is_same(self, facts: "_Facts") -> bool:
        """Whether the two protocols may well mean the same window."""
        return (self.window.app_id, self.window.title) == facts.key


class _Facts(NamedTuple):
    """What one protocol says of a window."""

    identifier: str | None = None
    app_id: str = ""
    title: str = ""
    states: tuple[str, ...] = ()
    outputs: tuple[Proxy, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What both protocols say."""
        return self.app_id, self.title


class Toplevel:
    """A window in either protocol, which ``proxy`` is the handle of.

    ``facts`` are what has been said of it, each time up to ``done``; None before the first.
    """

    def __init__(self, proxy: Proxy, toplevels: "Toplevels") -> None:
        self.proxy = proxy.on(
            title=self._on_title,
            app_id=self._on_app_id,
            identifier=self._on_identifier,
            state=self._on_state,
            output_enter=self._on_output_enter,
            output_leave=self._on_output_leave,
            done=self._on_done,
            closed=self._on_closed,
        )
        self.facts: _Facts | None = None
        self.is_closed = False
        self._pending = _Facts()
        self._toplevels = toplevels

    def _on_title(self, title: str | None) -> None:
        self._pending = self._pending._replace(title=title or "")

    def _on_app_id(self, app_id: str | None) -> None:
        self._pending = self._pending._replace(app_id=app_id or "")

    def _on_identifier(self, identifier: str | None) -> None:
        # One that breaks the protocol's rules names nothing.
        is_valid = (
            identifier
            and len(identifier) <= _LONGEST_IDENTIFIER
            and identifier.isascii()
            and identifier.isprintable()
        )
        self._pending = self._pending._replace(identifier=identifier if is_valid else None)

    def _on_state(self, numbers: bytes) -> None:
        states = memoryview(numbers[: len(numbers) & ~3]).cast("I")
        names = tuple(name for number, name in enumerate(_STATES) if number in states)
        self._pending = self._pending._replace(states=names)

    def _on_output_enter(self, output: Proxy | None) -> None:
        if output and output not in self._pending.outputs:
            self._pending = self._pending._replace(outputs=(*self._pending.outputs, output))

    def _on_output_leave(self, output: Proxy | None) -> None:
        left = tuple(other for other in self._pending.outputs if other is not output)
        self._pending = self._pending._replace(outputs=left)

    def _on_done(self) -> None:
        self.facts = self._pending
        self._toplevels.changes += 1

    def _on_closed(self) -> None:
        self.is_closed = True
        self._toplevels.forget(self)
        self.proxy.destroy()


class Toplevels:
    """All windows of a connection, followed from when they were first asked for."""

    def __init__(self, connection: Connection) -> None:
        """Bind what there is of the two protocols."""
        self.changes = 0  # counts them
        self.outputs: dict[Proxy, str] = {}  # their names
        self._connection = connection
        self._listed: list[Toplevel] = []
        self._managed: list[Toplevel] = []
        self._list = connection.singleton(EXT_FOREIGN_TOPLEVEL_LIST_V1)
        if self._list:
            self._list.on(toplevel=self._on_listed, finished=self._list.destroy)
        self._manager = connection.singleton(ZWLR_FOREIGN_TOPLEVEL_MANAGER_V1)
        if self._manager:  # whose end destroys it on the other side
            self._manager.on(toplevel=self._on_managed, finished=self._manager.forget)

    def entries(self) -> list[Entry]:
        """Return the windows of which all has been said, joined."""
        managed = [it.facts for it in self._managed if it.facts]
        if self._list is None:
            return [Entry(self._window(facts, facts), None) for facts in managed]
        listed = [(it, it.facts) for it in self._listed if it.facts]
        names = Counter(facts.key for _, facts in listed)
        counterparts = {facts.key: facts for facts in managed}
        for key, count in Counter(facts.key for facts in managed).items():
            if count > 1 or names[key] > 1:
                del counterparts[key]
        return [
            Entry(self._window(facts, counterparts.get(facts.key, _Facts())), it)
            for it, facts in listed
        ]

    def active(self) -> list[_Facts]:
        """Return the windows that are active, one for each seat at most.

        Raises UnsupportedError when the compositor does not tell.
        """
        if self._manager is None:
            compositor, missing = self._connection.compositor, ZWLR_FOREIGN_TOPLEVEL_MANAGER_V1.name
            message = f"{compositor} does not offer {missing}, which tells the active window"
            raise UnsupportedError(message)
        told = (it.facts for it in self._managed if it.facts)
        return [facts for facts in told if "activated" in facts.states]

    def names_of(self, outputs: tuple[Proxy, ...]) -> tuple[str, ...]:
        """Return the names of outputs; one that is gone has none."""
        return tuple(self.outputs[output] for output in outputs if output in self.outputs)

    def forget(self, toplevel: Toplevel) -> None:
        """Let go of a window that was closed."""
        self.changes += 1
        for toplevels in (self._listed, self._managed):
            if toplevel in toplevels:
                toplevels.remove(toplevel)

    def _window(self, facts: _Facts, other: _Facts) -> Window:
        outputs = self.names_of(other.outputs)
        return Window(facts.identifier, facts.app_id, facts.title, other.states, outputs)

    def _on_listed(self, proxy: Proxy) -> None:
        self._listed.append(Toplevel(proxy, self))

    def _on_managed(self, proxy: Proxy) -> None:
        self._managed.append(Toplevel(proxy, self))
