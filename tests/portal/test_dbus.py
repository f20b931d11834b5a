"""The client of the session bus, on a bus with a service that echoes, comes and goes."""

from __future__ import annotations

import os
import resource
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import pytest
from jeepney import DBusAddress, HeaderFields, new_error, new_method_return, new_signal
from jeepney.bus_messages import message_bus

from tests.descriptors import leaving_no_descriptors
from tests.portal.bus import PATIENCE, SessionBus, connected
from wayshot_cli.dbus import BUS, Bus, Signal
from wayshot_cli.errors import (
    CancelledError,
    CaptureError,
    CaptureTimeoutError,
    UnsupportedError,
    WayshotError,
)
from wayshot_cli.waiting import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "com.example.Echo"
ECHO = DBusAddress("/com/example/Echo", bus_name=NAME, interface=NAME)
DOING = "trying it"
SHORT = 0.5
LARGE = 1 << 22
"""Bytes that no socket takes at once."""


class Echo:
    """A service that returns what it is told, in a thread, from ``__enter__`` to ``__exit__``."""

    def __init__(self, address: str) -> None:
        self._bus = connected(address)
        self._thread = threading.Thread(target=self._serve)
        self._stopping = False

    def __enter__(self) -> Self:
        self._bus.send_and_get_reply(message_bus.RequestName(NAME), timeout=PATIENCE)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join(PATIENCE)
        self._bus.close()

    def say(self, word: str, destination: str | None = None) -> None:
        """Send a signal, to all who asked for it or to one who did not."""
        message = new_signal(ECHO, "Said", "s", (word,))
        if destination:
            message.header.fields[HeaderFields.destination] = destination
        self._bus.send(message)

    def _serve(self) -> None:
        while not self._stopping:
            try:
                message = self._bus.receive(timeout=0.02)
            except TimeoutError:
                continue
            fields = message.header.fields
            member = fields.get(HeaderFields.member)
            if member == "Echo":
                self._bus.send(
                    new_method_return(message, fields[HeaderFields.signature], message.body)
                )
            elif member == "Fail":
                self._bus.send(new_error(message, message.body[0], "s", ("so it says",)))


@pytest.fixture
def waiter(bus: SessionBus, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiter]:
    """Wait for answers of the module's bus."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
    with leaving_no_descriptors(), Waiter(PATIENCE) as waiter:
        yield waiter


@contextmanager
def heard(waiter: Waiter) -> Iterator[tuple[Bus, list[Signal]]]:
    """Subscribe to what the service says, and collect it."""
    signals: list[Signal] = []
    with Bus(waiter, "echo", signals.append) as bus:
        bus.subscribe(NAME, f"interface='{NAME}'", DOING)
        signals.clear()  # of what the bus says of ourselves
        yield bus, signals


def echo(bus: Bus, value: Any, signature: str = "s", **options: Any) -> Any:
    """Return what the service returns."""
    reply = bus.call(ECHO, "Echo", signature, (value,), returns=signature, doing=DOING, **options)
    return reply.body[0]


def test_a_call_is_answered(bus: SessionBus, waiter: Waiter) -> None:
    with Echo(bus.address), Bus(waiter, "echo") as client:
        assert echo(client, "hello") == "hello"
        assert echo(client, b"x" * LARGE, "ay") == b"x" * LARGE


def test_the_errors_name_who_was_asked(bus: SessionBus, waiter: Waiter) -> None:
    with Bus(waiter, "echo") as client:
        with pytest.raises(UnsupportedError, match="there is no echo on the session bus"):
            echo(client, "hello")
        with Echo(bus.address):
            for name, kind, words in (
                ("com.example.Error.NotAllowed", UnsupportedError, "the echo does not allow it"),
                ("com.example.Error.Odd", CaptureError, "the echo failed with com.example.Error"),
            ):
                with pytest.raises(WayshotError, match=words) as info:
                    client.call(ECHO, "Fail", "s", (name,), doing=DOING)
                assert type(info.value) is kind
                assert str(info.value).endswith("while trying it (so it says)")
            with pytest.raises(CaptureError, match="malformed"):
                client.call(ECHO, "Echo", "s", ("hello",), returns="u", doing=DOING)


def test_what_the_bus_does_not_take_in_time_is_sent_later_and_whole(
    bus: SessionBus, waiter: Waiter
) -> None:
    with Echo(bus.address), Bus(waiter, "echo") as client:
        bus.signal(signal.SIGSTOP)
        try:
            waiter.timeout = SHORT
            with pytest.raises(CaptureTimeoutError, match="the echo did not answer in time"):
                echo(client, b"x" * LARGE, "ay")
        finally:
            bus.signal(signal.SIGCONT)
        waiter.timeout = PATIENCE
        assert echo(client, "next") == "next"


def test_a_wake_up_ends_a_call(bus: SessionBus, waiter: Waiter) -> None:
    with Echo(bus.address), Bus(waiter, "echo") as client:
        waiter.wake()
        with pytest.raises(CancelledError):
            client.call(ECHO, "Nothing", doing=DOING)
        assert echo(client, "next") == "next"


def test_signals_come_from_whoever_owns_the_name(bus: SessionBus, waiter: Waiter) -> None:
    """Also from one that owns it later; a change of its owner comes first."""
    with heard(waiter) as (client, signals):

        def wait(done: Callable[[], bool]) -> list[tuple[str, str]]:
            client.wait(done, DOING)
            said = [(signal.sender, signal.member) for signal in signals]
            signals.clear()
            return said

        for _ in range(2):
            with Echo(bus.address) as service:
                service.say("hello")
                assert wait(lambda: len(signals) == 2) == [
                    (BUS, "NameOwnerChanged"),
                    (NAME, "Said"),
                ]
            assert wait(lambda: bool(signals)) == [(BUS, "NameOwnerChanged")]


def test_signals_of_a_service_that_is_there_already(bus: SessionBus, waiter: Waiter) -> None:
    with Echo(bus.address) as service, heard(waiter) as (client, signals):
        service.say("hello")
        client.wait(lambda: bool(signals), DOING)
        assert signals == [Signal(NAME, ECHO.object_path, NAME, "Said", "s", ("hello",))]


def test_nobody_else_speaks_in_its_name(bus: SessionBus, waiter: Waiter) -> None:
    with Echo(bus.address) as service, heard(waiter) as (client, signals):
        with Echo(bus.address) as liar:  # which does not get the name
            liar.say("lies", client.unique_name)
        service.say("truth")
        client.wait(lambda: bool(signals), DOING)
        assert [signal.body for signal in signals] == [("truth",)]


def test_a_bus_that_ends_fails_whoever_waits(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SessionBus() as own:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", own.address)
        client = Bus(waiter, "echo")
    with client:
        with pytest.raises(CaptureError, match="closed the connection while waiting for the echo"):
            client.wait(lambda: False, DOING)
        assert client.failure


def test_too_few_descriptors_are_told_as_such(waiter: Waiter) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    first_free = os.dup(0)
    os.close(first_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, limits[1]))
    try:
        with pytest.raises(CaptureError, match="cannot make a socket: Too many open files"):
            Bus(waiter, "echo")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    with Bus(waiter, "echo") as client:
        assert client.unique_name
