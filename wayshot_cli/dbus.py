"""The session bus: calls that are answered in bounded time, and signals.

    with Waiter() as waiter, Bus(waiter, "notification service", on_signal) as bus:
        bus.subscribe(NAME, f"interface='{NAME}'", "connecting to the notification service")
        address = DBusAddress(PATH, bus_name=NAME, interface=NAME)
        reply = bus.call(address, "GetCapabilities", returns="as", doing="asking what it can do")
        bus.wait(lambda: has_come, "waiting for the signal", deadline)

jeepney knows the format; the socket is ours, so that a ``Waiter`` can wait for it as for
everything else: with a deadline, ended by a wake-up, and while a compositor is talked to.
"""

import array
import contextlib
import errno
import os
import select
import socket
from collections.abc import Callable
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self

from jeepney import DBusAddress, HeaderFields, Message, MessageType, Parser, new_method_call
from jeepney.auth import BEGIN, AuthenticationError, Authenticator
from jeepney.bus import get_connectable_addresses

from wayshot_cli.errors import (
    CancelledError,
    CaptureError,
    CaptureTimeoutError,
    NotFoundError,
    TargetLostError,
    UnsupportedError,
    WayshotError,
)

if TYPE_CHECKING:
    from wayshot_cli.waiting import Waiter

Variant = tuple[str, Any]
"""A signature and a value of it, as jeepney gives and takes them."""

BUS = "org.freedesktop.DBus"
"""The name of the bus itself, whose signals come unasked for where a name is subscribed to."""

_ITSELF = DBusAddress("/org/freedesktop/DBus", bus_name=BUS, interface=BUS)
_CONNECTING = "connecting to the session bus"
_LONGEST_MESSAGE = 1 << 24  # bytes; the bus itself allows 2^27, a portal needs some hundred
_MOST_FDS = 16  # a message, as dbus-daemon's default allows
_RETRY = 0.01  # seconds until a bus that accepts no connections is tried again
_FD = array.array("i").itemsize

_MEANINGS: dict[str, tuple[type[WayshotError], str]] = {
    "ServiceUnknown": (UnsupportedError, "there is no PEER on the session bus"),
    "NameHasNoOwner": (UnsupportedError, "there is no PEER on the session bus"),
    "UnknownMethod": (UnsupportedError, "the PEER cannot do that"),
    "UnknownInterface": (UnsupportedError, "the PEER cannot do that"),
    "UnknownObject": (UnsupportedError, "the PEER cannot do that"),
    "InvalidArgs": (UnsupportedError, "the PEER does not take what was asked for"),
    "InvalidArgument": (UnsupportedError, "the PEER does not take what was asked for"),
    "AccessDenied": (UnsupportedError, "the PEER does not allow it"),
    "NotAllowed": (UnsupportedError, "the PEER does not allow it"),
    "NotFound": (NotFoundError, "the PEER does not find what was asked for"),
    "Cancelled": (CancelledError, "the PEER says that it was cancelled"),
    "WindowDestroyed": (TargetLostError, "the window went away"),
    "NoReply": (CaptureError, "the PEER went away without an answer"),
    "TimedOut": (CaptureTimeoutError, "the PEER did not start in time"),
    "Timeout": (CaptureTimeoutError, "the PEER did not answer in time"),
}
"""What the last word of a D-Bus error's name means; all else is a CaptureError."""


class Reply(NamedTuple):
    """What a method returned: its values, and the file descriptors among them, now the caller's."""

    body: tuple[Any, ...]
    fds: list[int]


class Signal(NamedTuple):
    """A signal: ``sender`` is a name that was subscribed to, ``signature`` is that of ``body``."""

    sender: str
    path: str
    interface: str
    member: str
    signature: str
    body: tuple[Any, ...]


class Bus:
    """A connection to the session bus, to talk to one peer; ``close()`` at the end.

    ``on_signal`` is called with what ``subscribe`` asked for, during any wait; it must not wait
    itself. Once the bus has hung up or talks nonsense, ``failure`` says so: calls raise it.
    """

    def __init__(
        self, waiter: "Waiter", peer: str, on_signal: Callable[[Signal], object] = lambda _: None
    ) -> None:
        """Connect and say hello. ``peer`` is what people call whoever will be talked to.

        Raises UnsupportedError when there is no bus or it refuses us, CaptureTimeoutError when it
        does not answer, CaptureError when it hangs up.
        """
        self.waiter = waiter
        self.failure: WayshotError | None = None
        self.unique_name = ""
        self._peer = peer
        self._on_signal = on_signal
        self._owners = {BUS: BUS}  # unique names, by the names that are subscribed to
        self._parser = Parser()
        self._serials = count(1)
        self._replies: dict[int, tuple[Message, list[int]] | None] = {}
        self._unsent = b""
        deadline = waiter.deadline()
        self._socket = _connect(waiter, deadline)
        try:
            self._authenticate(deadline)
            waiter.watch(self._socket.fileno(), self._on_ready)
            hello = self.call(_ITSELF, "Hello", returns="s", doing=_CONNECTING)
            self.unique_name = hello.body[0]
        except BaseException:
            self.close()
            raise

    def subscribe(self, name: str, rule: str, doing: str) -> None:
        """Have signals of whoever owns a well-known name, and of changes of its owner.

        The rule is what the D-Bus Specification calls a match rule, without type and sender. What
        others send in the owner's name is dropped; a new owner is told of by NameOwnerChanged,
        whose sender is ``BUS``, before anything that it sends itself.
        """
        rules = f"sender='{BUS}',member='NameOwnerChanged',arg0='{name}'", f"sender='{name}',{rule}"
        self._owners[name] = ""
        for words in rules:
            self.call(_ITSELF, "AddMatch", "s", (f"type='signal',{words}",), doing=doing)
        with contextlib.suppress(UnsupportedError):  # nobody yet
            owner = self.call(_ITSELF, "GetNameOwner", "s", (name,), returns="s", doing=doing)
            self._owners[name] = owner.body[0]

    def has_owner(self, name: str) -> bool:
        """Whether somebody has a name on the bus."""
        doing = f"looking for {name}"
        answer = self.call(_ITSELF, "NameHasOwner", "s", (name,), returns="b", doing=doing)
        return bool(answer.body[0])

    def call(  # noqa: PLR0913 - a method, its arguments and what it returns
        self,
        address: DBusAddress,
        method: str,
        signature: str = "",
        body: tuple[Any, ...] = (),
        *,
        returns: str = "",
        doing: str,
        deadline: float | None = None,
    ) -> Reply:
        """Call a method and return its answer, whose signature must be ``returns``.

        ``deadline`` is a time.monotonic(), without it the waiter's time-out bounds the call.
        Raises CaptureTimeoutError, CancelledError after ``Waiter.wake``, CaptureError for a
        hang-up or an answer of another kind, and what ``_MEANINGS`` makes of D-Bus errors.
        """
        message = new_method_call(address, method, signature or None, body)
        serial = next(self._serials)
        self._replies[serial] = None
        try:
            self._send(message.serialise(serial), doing)
            self.wait(lambda: self._replies[serial] is not None, doing, deadline)
        except BaseException:
            self._drop_reply(serial)
            raise
        reply = self._replies.pop(serial)
        assert reply is not None  # noqa: S101 - it was waited for
        answer, fds = reply
        if answer.header.message_type is MessageType.error:
            _close_all(fds)
            raise _meaning(answer, "session bus" if address is _ITSELF else self._peer, doing)
        if _field(answer, HeaderFields.signature) != returns:
            _close_all(fds)
            message_ = f"the {self._peer} gave a malformed answer to {method} while {doing}"
            raise CaptureError(message_)
        return Reply(answer.body, fds)

    def wait(self, done: Callable[[], bool], doing: str, deadline: float | None = None) -> None:
        """Wait as ``Waiter.wait`` does; its time-out is the peer's, not a compositor's."""
        try:
            self.waiter.wait(lambda: done() or self.failure is not None, doing, deadline)
        except CaptureTimeoutError as error:
            who = self._peer if self.unique_name else "session bus"
            message = f"the {who} did not answer in time while {doing}"
            raise CaptureTimeoutError(message) from error
        if self.failure and not done():
            raise self.failure

    def close(self) -> None:
        """Hang up: a portal ends the sessions and dialogs of whoever does. Harmless twice."""
        if self._socket.fileno() >= 0:
            self.waiter.unwatch(self._socket.fileno())
            self._socket.close()
        for serial in list(self._replies):
            self._drop_reply(serial)
        _close_all(self._parser.fds)
        self._parser.fds = []

    def __enter__(self) -> Self:
        """Return this, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _authenticate(self, deadline: float) -> None:
        authenticator = Authenticator(enable_fds=True)
        received: list[bytes] = []
        fd = self._socket.fileno()
        self.waiter.watch(fd, lambda: received.append(self._receive_line()))
        try:
            for line in authenticator:
                self._send(line, _CONNECTING)
                self.waiter.wait(lambda: bool(received), _CONNECTING, deadline)
                authenticator.feed(received.pop())
        except AuthenticationError as error:
            message = f"the session bus refuses us: {error}"
            raise UnsupportedError(message, hint="is it another user's?") from error
        except CaptureTimeoutError as error:
            message = f"the session bus did not answer in time while {_CONNECTING}"
            raise CaptureTimeoutError(message) from error
        finally:
            self.waiter.unwatch(fd)
        self._send(BEGIN, _CONNECTING)

    def _receive_line(self) -> bytes:
        try:
            data = self._socket.recv(1024)
        except OSError:
            data = b""
        if not data:
            self._hung_up(_CONNECTING)
        return data

    def _send(self, data: bytes, doing: str) -> None:
        """Send what the socket takes, and the rest while waiting: half a message breaks the bus."""
        self._unsent += data
        self._send_rest(doing)

    def _send_rest(self, doing: str) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            self.waiter.watch(self._socket.fileno(), self._on_ready, select.POLLIN | select.POLLOUT)
        except OSError:
            self._hung_up(doing)

    def _on_ready(self) -> None:
        """Send the rest, and read a message or a part of it; nobody must wait for what it says."""
        try:
            if self._unsent:
                self.waiter.watch(self._socket.fileno(), self._on_ready)
                self._send_rest(f"talking to the {self._peer}")
            self._receive()
            fds = self._parser.fds
            if message := self._parser.get_next_message():
                self._dispatch(message, fds[: message.header.fields.get(HeaderFields.unix_fds, 0)])
        except WayshotError as error:
            self._fail(error)
        except Exception:  # noqa: BLE001 - jeepney raises whatever the bytes lead it to
            self._fail(CaptureError("the session bus sent something that is not D-Bus"))

    def _receive(self) -> None:
        # No further than the end of a message: then its file descriptors are its own.
        wanted = self._parser.bytes_desired()
        if not 0 < wanted <= _LONGEST_MESSAGE:
            message = f"the session bus sent a message of {wanted} bytes"
            raise CaptureError(message)
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(
                min(wanted, 1 << 16), socket.CMSG_SPACE(_MOST_FDS * _FD), socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except OSError as error:
            data, ancillary, flags = b"", [], 0
            if error.errno not in (errno.ECONNRESET, errno.EPIPE):
                raise
        fds = array.array("i")
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(content[: len(content) - len(content) % _FD])
        self._parser.add_data(data, fds=list(fds))
        if not data:
            self._hung_up(f"waiting for the {self._peer}")
        if flags & socket.MSG_CTRUNC:
            message = "the session bus sent file descriptors that do not fit"
            raise CaptureError(message)

    def _dispatch(self, message: Message, fds: list[int]) -> None:
        header = message.header
        if header.message_type is MessageType.signal:
            _close_all(fds)
            self._dispatch_signal(message)
            return
        serial = header.fields.get(HeaderFields.reply_serial)
        if self._replies.get(serial, message) is None:
            self._replies[serial] = message, fds
        else:  # nobody waits for it any longer, or it is a call, which nobody has to make
            _close_all(fds)

    def _dispatch_signal(self, message: Message) -> None:
        sender = _field(message, HeaderFields.sender)
        member = _field(message, HeaderFields.member)
        if (sender, member) == (BUS, "NameOwnerChanged"):
            changed, _, owner = message.body
            if changed in self._owners:
                self._owners[changed] = owner
        for name, owner in self._owners.items():
            if owner == sender:  # anybody can send us signals
                self._on_signal(
                    Signal(
                        name,
                        _field(message, HeaderFields.path),
                        _field(message, HeaderFields.interface),
                        member,
                        _field(message, HeaderFields.signature),
                        message.body,
                    )
                )

    def _drop_reply(self, serial: int) -> None:
        reply = self._replies.pop(serial, None)
        if reply:
            _close_all(reply[1])

    def _fail(self, error: WayshotError) -> None:
        self.failure = error
        self.waiter.unwatch(self._socket.fileno())

    def _hung_up(self, doing: str) -> NoReturn:
        message = f"the session bus closed the connection while {doing}"
        raise CaptureError(message)


def session_address() -> str:
    """Return the address of the session bus. Raises UnsupportedError where none is known."""
    if address := os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return address
    runtime_dir = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime_dir.startswith("/"):
        return f"unix:path={runtime_dir}/bus"  # as sd-bus and GLib have it
    message = "no session bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set"
    raise UnsupportedError(message)


def _connect(waiter: "Waiter", deadline: float) -> socket.socket:
    """Return a connected socket that does not block."""
    address = session_address()
    try:
        path = next(get_connectable_addresses(address))
    except (ValueError, RuntimeError, KeyError) as error:
        message = f"DBUS_SESSION_BUS_ADDRESS is no address that can be used: {address!r}"
        raise UnsupportedError(message) from error
    try:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        message = f"cannot make a socket: {error.strerror}"
        raise CaptureError(message) from error
    try:
        while (number := _try_to_connect(link, path)) == errno.EAGAIN and monotonic() < deadline:
            waiter.sleep(_RETRY)  # its backlog is full, and no poll tells when it is not
    except BaseException:
        link.close()
        raise
    if number == 0:
        return link
    link.close()
    if number == errno.EAGAIN:
        message = f"the session bus at {path!r} accepts no connections"
        raise CaptureTimeoutError(message)
    message = f"no session bus at {path!r}: {os.strerror(number)}"
    raise UnsupportedError(message, hint="is DBUS_SESSION_BUS_ADDRESS that of a running session?")


def _try_to_connect(link: socket.socket, path: str) -> int:
    """Return 0 or an errno, which connect_ex does not for every path."""
    try:
        return link.connect_ex(path)
    except OSError:  # longer than any socket's
        return errno.ENAMETOOLONG


def _field(message: Message, field: HeaderFields) -> str:
    return str(message.header.fields.get(field, ""))


def _meaning(answer: Message, peer: str, doing: str) -> WayshotError:
    """Return a D-Bus error as one of ours."""
    name = _field(answer, HeaderFields.error_name)
    kind, meaning = _MEANINGS.get(
        name.rpartition(".")[2], (CaptureError, f"the PEER failed with {name}")
    )
    if ".Spawn." in name:
        kind, meaning = UnsupportedError, "the PEER does not start"
    words = answer.body[0] if answer.body and isinstance(answer.body[0], str) else ""
    said = f" ({words})" if words else ""
    return kind(f"{meaning.replace('PEER', peer)} while {doing}{said}")


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
