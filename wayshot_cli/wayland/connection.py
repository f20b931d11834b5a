"""Connection: one compositor, and the one place that waits for it."""

import errno
import os
import select
import stat
from collections.abc import Callable
from time import monotonic, sleep
from typing import TYPE_CHECKING, NamedTuple

import pywayland._ffi
from pywayland import ffi, lib

from wayshot_cli.errors import (
    CaptureError,
    CaptureTimeoutError,
    UnsupportedError,
)
from wayshot_cli.kernels._kernels import ffi as own_ffi
from wayshot_cli.kernels._kernels import lib as own_lib
from wayshot_cli.waiting import DEFAULT_TIMEOUT, LONGEST_TIMEOUT, Waiter
from wayshot_cli.wayland.interface import Interface
from wayshot_cli.wayland.protocols.core import WL_DISPLAY
from wayshot_cli.wayland.proxy import Proxy, as_void, take_raised

if TYPE_CHECKING:
    from wayshot_cli.wayland.outputs import OutputFacts
    from wayshot_cli.wayland.toplevels import Toplevels

# libwayland's request buffer is 4 KiB up to 1.22, a bind some 50 bytes: send them before that
# overflows.
_BINDS_PER_FLUSH = 32
# Bytes read at a time: all else waits for a deadline to be looked at. No message is longer.
_PART = 1 << 16


class Global(NamedTuple):
    """What the compositor offers under a number: an interface in some version."""

    name: int
    interface: str
    version: int


class Connection(Waiter):
    """A connection to the compositor that WAYLAND_DISPLAY names.

    Every wait polls three things: the display, a wake-up pipe that ``wake()`` writes to from
    any thread or signal handler, and a deadline. So whatever the compositor does, the caller
    gets an answer or an error in bounded time, and the error says what was being done.

    Use from one thread at a time. ``close()`` (or leaving the ``with`` block) frees
    everything; frames that were captured stay valid.
    """

    def __init__(self, display: str | None = None, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Connect, and read the list of globals.

        ``display`` is a socket's name or path; without it WAYLAND_SOCKET or WAYLAND_DISPLAY
        decide, as for every Wayland client. ``timeout`` in seconds bounds each wait that
        names no deadline of its own.

        Raises UnsupportedError when there is no compositor to talk to, CaptureTimeoutError
        when it does not answer, CaptureError when it hangs up, InvalidArgumentError for a
        time-out that is none. After ``close()`` everything raises ClosedError.
        """
        _open_libwayland()
        super().__init__(timeout)
        self.proxies: dict[int, Proxy] = {}
        self.globals: dict[int, Global] = {}
        self.outputs: dict[int, OutputFacts] = {}
        self.toplevels: Toplevels | None = None
        self._singletons: dict[str, Proxy] = {}
        self._unflushed_binds = 0
        self._display = ffi.NULL
        self.compositor_pid: int | None = None
        try:
            self._connect(display)
            root = ffi.cast("struct wl_proxy *", self._display)
            self._root = Proxy(self, root, WL_DISPLAY, WL_DISPLAY.version)
            self._registry = self._root.create(
                "get_registry", **{"global": self._on_global}, global_remove=self._on_global_remove
            )
            self.roundtrip("listing the compositor's globals")
        except BaseException:
            self.close()
            raise

    def _connect(self, display: str | None) -> None:
        fd = _connect(display, self.deadline())
        self.compositor_pid = own_lib.ws_peer_pid(fd) or None
        self._display = lib.wl_display_connect_to_fd(fd)
        if self._display == ffi.NULL:
            os.close(fd)
            raise MemoryError
        own_lib.ws_wayland_limit_buffers(as_void(self._display), _PART)

    def _on_global(self, name: int, interface: str, version: int) -> None:
        self.globals[name] = Global(name, interface, version)

    def _on_global_remove(self, name: int) -> None:
        self.globals.pop(name, None)

    @property
    def compositor_process(self) -> str | None:
        """The name of the process that serves the socket, None if unknown."""
        try:
            with open(f"/proc/{self.compositor_pid}/comm", "rb") as comm:
                return comm.read().decode(errors="replace").strip()
        except OSError:
            return None

    @property
    def compositor(self) -> str:
        """What to call whoever serves the socket."""
        return self.compositor_process or "the compositor"

    @property
    def is_closed(self) -> bool:
        """Whether ``close()`` has been called."""
        return bool(self._display == ffi.NULL)

    def find(self, interface: Interface) -> Global | None:
        """Return the first global of that interface."""
        return next(iter(self.find_all(interface)), None)

    def singleton(self, interface: Interface) -> Proxy | None:
        """Bind the global of which there is one at most, once; None where there is none."""
        if interface.name not in self._singletons:
            offer = self.find(interface)
            if offer is None:
                return None
            self._singletons[interface.name] = self.bind(offer, interface)
        return self._singletons[interface.name]

    def find_all(self, interface: Interface) -> list[Global]:
        """Return all globals of that interface, in the order they were announced."""
        return [g for g in self.globals.values() if g.interface == interface.name]

    def bind(self, offer: Global, interface: Interface) -> Proxy:
        """Bind a global at the highest version that both sides know."""
        self._unflushed_binds += 1
        if self._unflushed_binds == _BINDS_PER_FLUSH:
            self.flush("binding globals")
        return self._registry.bind(offer.name, interface, min(offer.version, interface.version))

    def flush(self, what: str) -> None:
        """Send all queued requests, waiting for the compositor to take them if need be."""
        # Handlers of events bind globals, too, in the middle of a wait.
        with self.in_use(in_wait=True), self._waiting():
            self.require_open()
            self._unflushed_binds = 0
            deadline = self.deadline()
            while not self._flush():
                self._wait_for_fd(select.POLLOUT, deadline, what)

    def settle(self, what: str) -> None:
        """Wait until the compositor knows of all that was asked, and of the answers to that."""
        self.roundtrip(what)
        self.flush(what)

    def roundtrip(self, what: str) -> None:
        """Wait until the compositor has answered all that was sent so far."""
        answered: list[int] = []
        callback = self._root.create("sync", done=answered.append)
        try:
            self.wait(lambda: bool(answered), what)
        finally:
            callback.forget()  # the server destroys it with the event

    def _wait(self, done: Callable[[], bool], what: str, deadline: float) -> None:
        """Dispatch events until ``done()``.

        Raises what ``wait`` does, and CaptureError for a hang-up or protocol error.
        """
        self.require_open()
        self._dispatch(what)
        has_looked = False  # what has come is not late, however late we ask for it
        while not done():
            if lib.wl_display_prepare_read(self._display) == 0:
                try:
                    events = 0 if self._flush() else select.POLLOUT
                    self._wait_for_fd(events | select.POLLIN, deadline, what, has_looked=has_looked)
                    has_looked = True
                except BaseException:
                    own_lib.ws_wayland_cancel_read(as_void(self._display))
                    raise
                if lib.wl_display_read_events(self._display) < 0:
                    raise self._display_error(what)
            self._dispatch(what)

    def close(self) -> None:
        """Free every object and the connection, sending what is queued. Harmless twice.

        Raises ConcurrentUseError while another thread waits, or this one, which a signal handler
        has interrupted: ``wake()`` ends that.
        """
        if self.is_forked:
            return  # it is the parent's, whose threads may have held libwayland's locks
        with self.in_use():
            if not self.is_closed:
                lib.wl_display_flush(self._display)
            for proxy in list(self.proxies.values()):
                proxy.forget()
            if not self.is_closed:
                lib.wl_display_disconnect(self._display)
                self._display = ffi.NULL
            super().close()

    def _flush(self) -> bool:
        """Send what fits; False when the compositor has to read first."""
        if lib.wl_display_flush(self._display) >= 0:
            return True
        # After EPIPE the compositor's last words can still be read, and tell the reason.
        return bool(ffi.errno != errno.EAGAIN)

    def _wait_for_fd(
        self, events: int, deadline: float, what: str, *, has_looked: bool = True
    ) -> None:
        remaining = min(deadline - monotonic(), LONGEST_TIMEOUT)
        # Asked here, not by poll: a flood of other events must not outlast the deadline.
        if remaining <= 0 and has_looked:
            message = f"{self.compositor} did not answer in time while {what}"
            raise CaptureTimeoutError(message)
        fd = lib.wl_display_get_fd(self._display)
        self._poll.register(fd, events)
        happened = self._poll_fds(remaining, what).get(fd, 0)
        # libwayland sees the end only between messages; behind half a one it reads on forever.
        if happened & select.POLLHUP and own_lib.ws_at_end(fd):
            raise self._hang_up(what)

    def _dispatch(self, what: str) -> None:
        result = lib.wl_display_dispatch_pending(self._display)
        if error := take_raised():
            raise error
        if result < 0:
            raise self._display_error(what)

    def _hang_up(self, what: str) -> CaptureError:
        return CaptureError(f"{self.compositor} closed the connection while {what}")

    def _display_error(self, what: str) -> CaptureError:
        """Return what has ended the connection, as an error."""
        interface, object_id = own_ffi.new("const void **"), own_ffi.new("uint32_t *")
        code = own_lib.ws_wayland_protocol_error(as_void(self._display), interface, object_id)
        number = lib.wl_display_get_error(self._display)
        if interface[0] != own_ffi.NULL:
            address = int(own_ffi.cast("uintptr_t", interface[0]))
            name = ffi.string(ffi.cast("struct wl_interface *", address).name).decode()
            problem = f"reported error {code} on {name}#{object_id[0]}"
            # "wl_shm#3: error 1: words", where take_over_log() was called
            words = own_ffi.string(own_lib.ws_wayland_last_log()).decode(errors="replace")
            if words := words.partition(f"error {code}: ")[2].strip():
                problem += f" ({words})"
        elif number in (errno.EPIPE, errno.ECONNRESET):
            return self._hang_up(what)
        elif number == errno.EPROTO:
            problem = f"reported error {code} on an object that is gone"
        elif number in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            return CaptureError(f"{os.strerror(number)} here, while {what}")
        else:
            problem = f"sent something that is not Wayland ({os.strerror(number)})"
        return CaptureError(f"{self.compositor} {problem} while {what}")


def take_over_log() -> None:
    """Keep libwayland from printing protocol errors on stderr: our errors quote them.

    For commands only: the handler is libwayland's one and only, a library's user may have set it.
    """
    _open_libwayland()
    own_lib.ws_wayland_keep_log()


def _open_libwayland() -> None:
    extension = pywayland._ffi.__file__  # noqa: SLF001 - the compiled module itself
    if not own_lib.ws_wayland_open(os.fsencode(extension)):
        message = "pywayland's libwayland is too old"
        raise UnsupportedError(message, hint="install a newer pywayland")


def _connect(display: str | None, deadline: float) -> int:
    """Return a connected socket: wl_display_connect's rules, but never blocking."""
    inherited = os.environ.pop("WAYLAND_SOCKET", None) if display is None else None
    if inherited is not None:
        try:
            fd = int(inherited)
            os.set_inheritable(fd, False)  # noqa: FBT003 - positional only
            is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)
        except (ValueError, OverflowError, OSError):
            is_socket = False
        if not is_socket:
            message = f"WAYLAND_SOCKET is not an open socket: {inherited!r}"
            raise UnsupportedError(message)
        return fd
    path = socket_path(display)
    while (fd := own_lib.ws_connect(os.fsencode(path))) == -errno.EAGAIN:
        if monotonic() > deadline:
            message = f"the compositor at {path} accepts no connections"
            raise CaptureTimeoutError(message)
        sleep(0.01)  # the backlog is full, and no poll tells when it is not
    if -fd in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
        message = f"cannot make a socket: {os.strerror(-fd)}"
        raise CaptureError(message)
    if fd < 0:
        message = f"no Wayland compositor at {path}: {os.strerror(-fd)}"
        raise UnsupportedError(message, hint="is WAYLAND_DISPLAY that of a running session?")
    return int(fd)


def socket_path(display: str | None = None) -> str:
    """Return the socket that a name, a path or else WAYLAND_DISPLAY means.

    Raises UnsupportedError without XDG_RUNTIME_DIR, where one is needed.
    """
    display = display or os.environ.get("WAYLAND_DISPLAY") or "wayland-0"
    if display.startswith("/"):
        return display
    runtime_dir = os.environ.get("XDG_RUNTIME_DIR", "")
    if not runtime_dir.startswith("/"):
        message = "no Wayland session: XDG_RUNTIME_DIR is not set"
        raise UnsupportedError(message, hint="run wayshot inside a Wayland session")
    return f"{runtime_dir}/{display}"
