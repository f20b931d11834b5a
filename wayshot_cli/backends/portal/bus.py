"""The session bus: calls that are answered in bounded time, and signals.

jeepney knows the format; the socket is ours, so that ``Connection.wait`` can wait for it as for
everything else: with a deadline, ended by a wake-up, and while a compositor is talked to.
"""

import array
import contextlib
import errno
import os
import socket
from collections.abc import Callable
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from jeepney import DBusAddress, HeaderFields, Message, MessageType, Parser, new_method_call
from jeepney.auth import BEGIN, AuthenticationError, Authenticator
from jeepney.bus import get_connectable_addresses

from wayshot_cli.bus import session_bus
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
    from wayshot_cli.wayland.connection import Connection

Variant = tuple[str, Any]
"""A signature and a value of it, as jeepney gives and takes them."""

_LONGEST_MESSAGE = 1 << 24  # bytes; the bus itself allows 2^27, a portal needs some hundred
_MOST_FDS = 16  # a message, as dbus-daemon's default allows
_RETRY = 0.01  # seconds until a bus that accepts no connections is tried again
_FD = array.array("i").itemsize

_MEANINGS: dict[str, tuple[type[WayshotError], str]] = {
    "ServiceUnknown": (UnsupportedError, "there is no portal on the session bus"),
    "NameHasNoOwner": (UnsupportedError, "there is no portal on the session bus"),
    "UnknownMethod": (UnsupportedError, "the portal cannot do that"),
    "UnknownInterface": (UnsupportedError, "the portal cannot do that"),
    "UnknownObject": (UnsupportedError, "the portal cannot do that"),
    "InvalidArgs": (UnsupportedError, "the portal does not take what was asked for"),
    "InvalidArgument": (UnsupportedError, "the portal does not take what was asked for"),
    "AccessDenied": (UnsupportedError, "the portal does not allow it"),
    "NotAllowed": (UnsupportedError, "the portal does not allow it"),
    "NotFound": (NotFoundError, "the portal does not find what was asked for"),
    "Cancelled": (CancelledError, "the portal says that it was cancelled"),
    "WindowDestroyed": (TargetLostError, "the window went away"),
    "NoReply": (CaptureError, "the portal went away without an answer"),
    "TimedOut": (CaptureTimeoutError, "the portal did not start in time"),
    "Timeout": (CaptureTimeoutError, "the portal did not answer in time"),
}
"""What the last word of a D-Bus error's name means; all else is a CaptureError."""


class Reply(NamedTuple):
    """What a method returned: its values, and the file descriptors among them, now the caller's."""

    body: tuple[Any, ...]
    sender: str
    fds: list[int]


class Signal(NamedTuple):
    """A signal: ``signature`` is that of ``body``."""

    sender: str
    path: str
    interface: str
    member: str
    signature: str
    body: tuple[Any, ...]


class Bus:
    """A connection to the session bus, whose waits are those of a connection to a compositor.

    ``on_signal`` is called with what ``subscribe`` asked for, during any wait; it must not wait
    itself. Once the bus has hung up or talks nonsense, ``failure`` says so: calls raise it.
    """

    def __init__(self, connection: "Connection", on_signal: Callable[[Signal], None]) -> None:
        """Connect and say hello.

        Raises UnsupportedError when there is no bus or it refuses us, CaptureTimeoutError when it
        does not answer, CaptureError when it hangs up.
        """
        self.connection = connection
        self.failure: WayshotError | None = None
        self.unique_name = ""
        self._on_signal = on_signal
        self._parser = Parser()
        self._serials = count(1)
        self._replies: dict[int, tuple[Message, list[int]] | None] = {}
        deadline = connection.deadline()
        self._socket = _connect(connection, deadline)
        try:
            self._authenticate(deadline)
            connection.watch(self._socket.fileno(), self._on_readable)
            hello = self.call(_bus_address(), "Hello", returns="s", doing=_CONNECTING)
            self.unique_name = hello.body[0]
        except BaseException:
            self.close()
            raise

    def subscribe(self, rule: str, doing: str) -> None:
        """Ask for signals; the rule is one of the D-Bus Specification's match rules."""
        self.call(_bus_address(), "AddMatch", "s", (rule,), doing=doing)

    def has_owner(self, name: str) -> bool:
        """Whether somebody has a name on the bus."""
        doing = f"looking for {name}"
        answer = self.call(_bus_address(), "NameHasOwner", "s", (name,), returns="b", doing=doing)
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

        ``deadline`` is a time.monotonic(), without it the connection's time-out bounds the call.
        Raises CaptureTimeoutError, CancelledError after ``Connection.wake``, CaptureError for a
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
            raise _meaning(answer, doing)
        if _field(answer, HeaderFields.signature) != returns:
            _close_all(fds)
            message_ = f"the portal gave a malformed answer to {method} while {doing}"
            raise CaptureError(message_)
        return Reply(answer.body, _field(answer, HeaderFields.sender), fds)

    def wait(self, done: Callable[[], bool], doing: str, deadline: float | None = None) -> None:
        """Wait as ``Connection.wait`` does; its time-out is the portal's, not the compositor's."""
        try:
            self.connection.wait(lambda: done() or self.failure is not None, doing, deadline)
        except CaptureTimeoutError as error:
            who = "the portal" if self.unique_name else "the session bus"
            message = f"{who} did not answer in time while {doing}"
            raise CaptureTimeoutError(message) from error
        if self.failure and not done():
            raise self.failure

    def close(self) -> None:
        """Hang up: a portal ends the sessions and dialogs of whoever does. Harmless twice."""
        if self._socket.fileno() >= 0:
            self.connection.unwatch(self._socket.fileno())
            self._socket.close()
        for serial in list(self._replies):
            self._drop_reply(serial)
        _close_all(self._parser.fds)
        self._parser.fds = []

    def _authenticate(self, deadline: float) -> None:
        authenticator = Authenticator(enable_fds=True)
        received: list[bytes] = []
        fd = self._socket.fileno()
        self.connection.watch(fd, lambda: received.append(self._receive_line()))
        try:
            for line in authenticator:
                self._send(line, _CONNECTING)
                self.connection.wait(lambda: bool(received), _CONNECTING, deadline)
                authenticator.feed(received.pop())
        except AuthenticationError as error:
            message = f"the session bus refuses us: {error}"
            raise UnsupportedError(message, hint="is it another user's?") from error
        except CaptureTimeoutError as error:
            message = f"the session bus did not answer in time while {_CONNECTING}"
            raise CaptureTimeoutError(message) from error
        finally:
            self.connection.unwatch(fd)
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
        try:
            self._socket.sendall(data)
        except BlockingIOError as error:
            message = f"the session bus takes nothing while {doing}"
            raise CaptureTimeoutError(message) from error
        except OSError:
            self._hung_up(doing)

    def _on_readable(self) -> None:
        """Read a message or a part of it; nobody must wait for what it says."""
        try:
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
            self._hung_up("waiting for the portal")
        if flags & socket.MSG_CTRUNC:
            message = "the session bus sent file descriptors that do not fit"
            raise CaptureError(message)

    def _dispatch(self, message: Message, fds: list[int]) -> None:
        header = message.header
        if header.message_type is MessageType.signal:
            _close_all(fds)
            self._on_signal(
                Signal(
                    _field(message, HeaderFields.sender),
                    _field(message, HeaderFields.path),
                    _field(message, HeaderFields.interface),
                    _field(message, HeaderFields.member),
                    _field(message, HeaderFields.signature),
                    message.body,
                )
            )
            return
        serial = header.fields.get(HeaderFields.reply_serial)
        if self._replies.get(serial, message) is None:
            self._replies[serial] = message, fds
        else:  # nobody waits for it any longer, or it is a call, which nobody has to make
            _close_all(fds)

    def _drop_reply(self, serial: int) -> None:
        reply = self._replies.pop(serial, None)
        if reply:
            _close_all(reply[1])

    def _fail(self, error: WayshotError) -> None:
        self.failure = error
        self.connection.unwatch(self._socket.fileno())

    def _hung_up(self, doing: str) -> NoReturn:
        message = f"the session bus closed the connection while {doing}"
        raise CaptureError(message)


_CONNECTING = "connecting to the session bus"


def _bus_address() -> DBusAddress:
    name = "org.freedesktop.DBus"
    return DBusAddress("/org/freedesktop/DBus", bus_name=name, interface=name)


def _connect(connection: "Connection", deadline: float) -> socket.socket:
    """Return a connected socket that does not block."""
    address = session_bus()
    try:
        path = next(get_connectable_addresses(address))
    except (ValueError, RuntimeError, KeyError) as error:
        message = f"DBUS_SESSION_BUS_ADDRESS is no address that can be used: {address!r}"
        raise UnsupportedError(message) from error
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        while (number := _try_to_connect(link, path)) == errno.EAGAIN and monotonic() < deadline:
            connection.sleep(_RETRY)  # its backlog is full, and no poll tells when it is not
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


def _meaning(answer: Message, doing: str) -> WayshotError:
    """Return a D-Bus error as one of ours."""
    name = _field(answer, HeaderFields.error_name)
    kind, meaning = _MEANINGS.get(
        name.rpartition(".")[2], (CaptureError, f"the portal failed with {name}")
    )
    if ".Spawn." in name:
        kind, meaning = UnsupportedError, "the portal does not start"
    words = answer.body[0] if answer.body and isinstance(answer.body[0], str) else ""
    return kind(f"{meaning} while {doing}" + (f" ({words})" if words else ""))


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
