"""The clipboard: data by MIME type, served from the background until something else is copied.

Through ext-data-control-v1, else wlr-data-control-unstable-v1, which ask for neither a window nor
the focus; where there is neither, wl-copy does it with a window of its own.
"""

import errno
import math
import os
import select
from collections.abc import Callable, Mapping
from functools import partial
from shutil import which
from time import monotonic
from typing import TYPE_CHECKING

from wayshot_cli.background import detach, die_with_parent
from wayshot_cli.errors import (
    CaptureError,
    CaptureTimeoutError,
    UnsupportedError,
    WayshotError,
)
from wayshot_cli.waiting import DEFAULT_TIMEOUT, LONGEST_TIMEOUT, Waiter
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.protocols.core import WL_SEAT
from wayshot_cli.wayland.protocols.ext_data_control import EXT_DATA_CONTROL_MANAGER_V1
from wayshot_cli.wayland.protocols.wlr_data_control import ZWLR_DATA_CONTROL_MANAGER_V1

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from wayshot_cli.wayland.proxy import Proxy

_MANAGERS = EXT_DATA_CONTROL_MANAGER_V1, ZWLR_DATA_CONTROL_MANAGER_V1
_WL_COPY = "wl-copy"

_WHAT = "setting the clipboard"
_ANSWERS = 4  # that are waited for: a connection, its globals, the clipboard, and the work between

_MOST_READERS = 64
_PART = 1 << 16  # bytes written at a time: what a pipe holds
_PATIENCE = 30.0  # seconds for a reader to take something
_LAST_PATIENCE = 60.0  # seconds for all readers that are left when something else is copied

_LONGEST_COMPLAINT = 1000  # bytes of what wl-copy says


def text(words: str) -> dict[str, bytes]:
    """Return a text under all the names that applications, X11's among them, ask for it by."""
    data = words.encode()
    names = "text/plain;charset=utf-8", "text/plain", "UTF8_STRING", "TEXT", "STRING"
    return dict.fromkeys(names, data)


def file(path: "str | os.PathLike[str]") -> dict[str, bytes]:
    """Return a file, as it is copied in file managers, to be pasted in others and in chats."""
    from urllib.parse import quote  # noqa: PLC0415 - of all that is copied only files need it

    uri = b"file://" + quote(os.path.abspath(os.fsencode(path))).encode()
    return {"text/uri-list": uri + b"\r\n", "x-special/gnome-copied-files": b"copy\n" + uri}


def require(*, timeout: float = DEFAULT_TIMEOUT) -> None:
    """Find out in advance whether ``copy`` has a way, for what would be lost without.

    Raises what that does.
    """
    if which(_WL_COPY) or "WAYLAND_SOCKET" in os.environ:  # that serves one connection
        return
    with Connection(timeout=timeout) as connection:
        if not any(map(connection.find, _MANAGERS)):
            raise _no_way(connection.compositor, os.strerror(errno.ENOENT))


def copy(offers: "Mapping[str, Buffer]", *, timeout: float = DEFAULT_TIMEOUT) -> None:
    """Put data on the clipboard of the first seat; return when it can be pasted.

    ``offers`` has data by MIME type, the best first: wl-copy takes no other. ``timeout`` in
    seconds bounds each answer of the compositor, and wl-copy.

    A child of this process serves it until it is replaced or the compositor goes. It keeps all
    that is in memory here: let go of frames first.

    Raises UnsupportedError where there is no way, or no seat; CaptureError, or what it comprises,
    when the compositor misbehaves; WayshotError for what else goes wrong.
    """
    detach(
        partial(_hold, offers, timeout),
        _WHAT,
        name="ws-clipboard",
        timeout=min(_ANSWERS * timeout, LONGEST_TIMEOUT),
    )


def _hold(offers: "Mapping[str, Buffer]", timeout: float, ready: Callable[[], None]) -> None:
    with Connection(timeout=timeout) as connection:
        for interface in _MANAGERS:
            if manager := connection.singleton(interface):
                break
        else:
            _run_wl_copy(connection.compositor, *next(iter(offers.items())), timeout)
            return
        selection = _Selection(connection, manager, offers)
        connection.roundtrip(_WHAT)
        if selection.is_lost:
            message = f"{connection.compositor} took its seat away while {_WHAT}"
            raise CaptureError(message)
        ready()
        selection.serve()


class _Selection:
    """The clipboard as long as it is ours.

    ``is_replaced`` says that it is somebody else's, ``is_lost`` that its seat has gone.
    """

    def __init__(
        self, connection: Connection, manager: "Proxy", offers: "Mapping[str, Buffer]"
    ) -> None:
        """Ask for it. Raises UnsupportedError where there is no seat."""
        seat = connection.singleton(WL_SEAT)
        if seat is None:
            message = f"{connection.compositor} has no seat, and so no clipboard"
            raise UnsupportedError(message)
        self.is_replaced = self.is_lost = False
        self._connection = connection
        self._offers = offers
        self._readers: set[_Reader] = set()
        self._source = manager.create(
            "create_data_source", send=self._on_send, cancelled=self._on_cancelled
        )
        for mime_type in offers:
            self._source.send("offer", mime_type)
        self._device = manager.create(
            "get_data_device",
            seat,
            selection=_decline,
            primary_selection=_decline,
            finished=self._on_finished,
        )
        self._device.send("set_selection", self._source)

    def serve(self) -> None:
        """Send to whoever pastes, until it is not ours any more and all have what they asked for.

        Raises CaptureError when the compositor goes.
        """
        wait = self._connection.wait
        wait(lambda: self.is_replaced or self.is_lost, "holding the clipboard", math.inf)
        self._source.destroy()
        self._device.destroy()
        wait(lambda: not self._readers, "giving away the last", monotonic() + _LAST_PATIENCE)

    def _on_send(self, mime_type: str, fd: int) -> None:
        data = self._offers.get(mime_type)
        if data is None:
            os.close(fd)
            return
        if len(self._readers) == _MOST_READERS:
            min(self._readers, key=lambda reader: reader.deadline).close()
        self._readers.add(_Reader(self._connection, fd, data, self._readers.discard))

    def _on_cancelled(self) -> None:
        self.is_replaced = True

    def _on_finished(self) -> None:
        self.is_lost = True


def _decline(offer: "Proxy | None") -> None:
    """Destroy an offer of what anybody has copied, ourselves included.

    Not before it is named here: libwayland forgets at once what the compositor has made.
    """
    if offer:
        offer.destroy()


class _Reader:
    """Somebody who pastes: takes data out of a pipe, in its own time.

    ``deadline`` is the time.monotonic() by which it has to take something. ``on_end`` is called at
    the end, whatever that is.
    """

    def __init__(
        self, waiter: Waiter, fd: int, data: "Buffer", on_end: "Callable[[_Reader], object]"
    ) -> None:
        """Take the fd over."""
        self._waiter = waiter
        self._fd = fd
        self._rest = memoryview(data).cast("B")
        self._on_end = on_end
        self.deadline = monotonic() + _PATIENCE
        os.set_blocking(fd, False)
        waiter.watch(fd, self._write, select.POLLOUT)
        waiter.call_at(self.deadline, self.close)

    def close(self) -> None:
        """Give it no more."""
        self._waiter.call_off(self.close)
        self._waiter.unwatch(self._fd)
        os.close(self._fd)
        self._on_end(self)

    def _write(self) -> None:
        try:
            self._rest = self._rest[os.write(self._fd, self._rest[:_PART]) :]
        except BlockingIOError:
            return
        except OSError:  # it has hung up, or it is nothing that can be written to
            self._rest = self._rest[:0]
        if not self._rest:
            self.close()
            return
        self.deadline = monotonic() + _PATIENCE
        self._waiter.call_at(self.deadline, self.close)


def _run_wl_copy(compositor: str, mime_type: str, data: "Buffer", timeout: float) -> None:
    """Hand one kind of data to wl-copy, which stays in the background by itself."""
    import subprocess  # noqa: PLC0415 - where nothing else is left

    # In memory, but no pipes: what stays in the background would keep one, and takes a torn one
    # for all.
    with (
        open(os.memfd_create("wayshot-copied"), "w+b") as given,
        open(os.memfd_create("wayshot-said"), "w+b") as said,
    ):
        given.write(data)
        given.seek(0)
        try:
            done = subprocess.run(  # noqa: S603 - a list of words
                [_WL_COPY, "--type", mime_type],
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=said,
                timeout=timeout,
                check=False,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            raise _no_way(compositor, error.strerror) from error
        except subprocess.TimeoutExpired as error:
            message = f"wl-copy did not end in time while {_WHAT}"
            raise CaptureTimeoutError(message) from error
        if done.returncode:
            said.seek(0)
            words = said.read(_LONGEST_COMPLAINT).decode(errors="replace").strip()
            message = f"wl-copy failed while {_WHAT}: {words or done.returncode}"
            raise WayshotError(message)


def _no_way(compositor: str, reason: str | None) -> UnsupportedError:
    message = (
        f"{compositor} offers neither ext-data-control nor wlr-data-control, "
        f"and wl-copy cannot be run: {reason}"
    )
    return UnsupportedError(message, hint="install wl-clipboard")
