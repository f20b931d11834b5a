"""A notification service and a file manager for tests, which remember what they were asked.

with SessionBus() as bus, FakeService(bus.address) as service:
    ...
    service.press(service.notified[-1].number, "open")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    new_error,
    new_method_return,
    new_signal,
)

from tests.portal.service import Service

NAME = "org.freedesktop.Notifications"
FILES = "org.freedesktop.FileManager1"
CLOSED_BY_USER = 2


@dataclass(frozen=True)
class Notified:
    """A call of Notify; ``number`` is what it was given."""

    number: int
    client: str
    app: str
    icon: str
    summary: str
    body: str
    actions: list[str]
    hints: dict[str, tuple[str, Any]]
    timeout: int


class FakeService(Service):
    """The service, from ``__enter__`` to ``__exit__``.

    ``mute`` are methods without an answer, ``failing`` those with an error.
    """

    def __init__(
        self,
        address: str,
        *,
        capabilities: tuple[str, ...] = ("body", "body-markup", "actions"),
        mute: tuple[str, ...] = (),
        failing: tuple[str, ...] = (),
        names: tuple[str, ...] = (NAME, FILES),
    ) -> None:
        super().__init__(address, *names)
        self.notified: list[Notified] = []
        self.shown: list[tuple[list[str], str]] = []  # items in the file manager, and the token
        self.closed: list[tuple[int]] = []  # by who showed them
        self.gone: set[str] = set()  # clients that have hung up
        self._capabilities = capabilities
        self._mute = mute
        self._failing = failing

    def wait_until_gone(self, notified: Notified) -> None:
        """Wait until who showed a notification has hung up."""
        self.wait_for(lambda: notified.client in self.gone)

    def press(self, notified: Notified, key: str, *, token: str = "") -> None:
        """Say that the user has pressed a button."""
        if token:
            self._signal(notified.client, "ActivationToken", "us", (notified.number, token))
        self._signal(notified.client, "ActionInvoked", "us", (notified.number, key))

    def close(self, notified: Notified) -> None:
        """Say that it was closed."""
        body = notified.number, CLOSED_BY_USER
        self._signal(notified.client, "NotificationClosed", "uu", body)

    def broadcast(self, member: str, signature: str, body: tuple[Any, ...]) -> None:
        """Say something to all, as some services do."""
        self._signal(None, member, signature, body)

    def _signal(
        self, client: str | None, member: str, signature: str, body: tuple[Any, ...]
    ) -> None:
        emitter = DBusAddress("/org/freedesktop/Notifications", interface=NAME)
        signal = new_signal(emitter, member, signature, body)
        if client:
            signal.header.fields[HeaderFields.destination] = client
        self._bus.send(signal)

    def _handle(self, message: Message) -> None:
        fields = message.header.fields
        member = fields.get(HeaderFields.member)
        if message.header.message_type is MessageType.signal:
            if member == "NameOwnerChanged" and not message.body[2]:
                self.gone.add(message.body[0])
        elif message.header.message_type is not MessageType.method_call or member in self._mute:
            return
        elif member in self._failing:
            error = new_error(message, "org.freedesktop.DBus.Error.Failed", "s", ("so it says",))
            self._bus.send(error)
        elif member == "GetCapabilities":
            self._bus.send(new_method_return(message, "as", (list(self._capabilities),)))
        elif member == "Notify":
            app, _, icon, summary, body, actions, hints, timeout = message.body
            number = len(self.notified) + 1
            client = fields[HeaderFields.sender]
            self.notified.append(
                Notified(number, client, app, icon, summary, body, actions, hints, timeout)
            )
            self._bus.send(new_method_return(message, "u", (number,)))
        elif member in {"ShowItems", "CloseNotification"}:
            (self.shown if member == "ShowItems" else self.closed).append(message.body)
            self._bus.send(new_method_return(message))
