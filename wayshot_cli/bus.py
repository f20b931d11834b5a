"""One question to a D-Bus bus, in bounded time."""

import os
from time import monotonic
from typing import TYPE_CHECKING, Any

from jeepney import HeaderFields, Parser
from jeepney.bus import get_bus
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import prep_socket
from jeepney.wrappers import DBusErrorResponse, unwrap_msg

from wayshot_cli.errors import CaptureError, CaptureTimeoutError, UnsupportedError

if TYPE_CHECKING:
    import socket

    from jeepney import Message

_PART = 1 << 16  # bytes read at a time


def session_bus() -> str:
    """Return the address of the session bus. Raises UnsupportedError where none is known."""
    if address := os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return address
    runtime_dir = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime_dir.startswith("/"):
        return f"unix:path={runtime_dir}/bus"  # as sd-bus and GLib have it
    message = "no session bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set"
    raise UnsupportedError(message)


def ask(address: str, question: "Message", timeout: float) -> tuple[Any, ...]:
    """Connect to a bus, ask whom the message names, and return what the answer holds.

    Raises UnsupportedError where there is no bus or nobody to ask, CaptureTimeoutError when the
    answer does not come within so many seconds, CaptureError when it is none.
    """
    deadline = monotonic() + timeout
    try:
        # jeepney's own connection says Hello without a limit of time.
        with prep_socket(get_bus(address), timeout=timeout) as connection:
            parser = Parser()
            for serial, message in enumerate((message_bus.Hello(), question), 1):
                answer = _ask(connection, parser, message, serial, deadline)
    except TimeoutError as error:
        message = f"no answer in time from the bus at {address}"
        raise CaptureTimeoutError(message) from error
    except DBusErrorResponse as error:
        said = error.data[0] if error.data and isinstance(error.data[0], str) else error.name
        raise UnsupportedError(str(said)) from error
    except OSError as error:
        message = f"no bus at {address}: {error.strerror or error}"
        raise UnsupportedError(message) from error
    except Exception as error:
        # What jeepney makes of bytes that are no address or no D-Bus is any of Python's errors.
        message = f"the bus at {address} is broken: {error!r}"
        raise CaptureError(message) from error
    return answer


def _ask(
    connection: "socket.socket",
    parser: Parser,
    question: "Message",
    serial: int,
    deadline: float,
) -> tuple[Any, ...]:
    connection.settimeout(_until(deadline))
    connection.sendall(question.serialise(serial))
    while True:
        while (answer := parser.get_next_message()) is None:
            connection.settimeout(_until(deadline))
            if not (data := connection.recv(_PART)):
                message = "it hung up"
                raise ConnectionResetError(message)
            parser.add_data(data)
        if answer.header.fields.get(HeaderFields.reply_serial) == serial:
            return unwrap_msg(answer)  # type: ignore[no-any-return]


def _until(deadline: float) -> float:
    if (left := deadline - monotonic()) <= 0:
        raise TimeoutError
    return left
