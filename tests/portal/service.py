"""What the tests' services on a bus have in common: a name, and a thread that answers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from jeepney.bus_messages import message_bus

from tests.portal.bus import PATIENCE, connected

if TYPE_CHECKING:
    from collections.abc import Callable

    from jeepney import Message
    from jeepney.io.blocking import DBusConnection


class Service:
    """Has names on a bus, and hears who leaves it, from ``__enter__`` to ``__exit__``."""

    def __init__(self, address: str, *names: str) -> None:
        self._address = address
        self._names = names
        self._bus: DBusConnection
        self._stopping = False
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self._bus = connected(self._address, enable_fds=True)
        for name in self._names:
            self._bus.send_and_get_reply(message_bus.RequestName(name), timeout=PATIENCE)
        rule = "type='signal',member='NameOwnerChanged'"
        self._bus.send_and_get_reply(message_bus.AddMatch(rule), timeout=PATIENCE)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Leave the bus. Harmless twice."""
        self._stopping = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def wait_for(self, done: Callable[[], bool]) -> None:
        """Wait until something is true of what has come."""
        with self._changed:
            assert self._changed.wait_for(done, PATIENCE), vars(self)

    def _serve(self) -> None:
        with self._bus:
            while not self._stopping:
                try:
                    message = self._bus.receive(timeout=0.02)
                except TimeoutError:
                    continue
                with self._changed:
                    self._handle(message)
                    self._changed.notify_all()

    def _handle(self, message: Message) -> None:
        """Answer a message, or remember it."""
        raise NotImplementedError
