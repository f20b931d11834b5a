"""libpipewire: opened when the first stream is, its connection, and the thread that serves it."""

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import Any

from wayshot_cli.backends.pipewire._pipewire import ffi
from wayshot_cli.errors import CaptureError, ClosedError, UnsupportedError

_SONAME = "libpipewire-0.3.so.0"
_HINT = "install PipeWire (Debian: pipewire, wireplumber, libpipewire-0.3-0)"


@functools.cache
def library() -> Any:
    """Return libpipewire, initialised. Raises UnsupportedError where there is none."""
    lib = _load()
    lib.pw_init(ffi.NULL, ffi.NULL)
    return lib


def version() -> str:
    """Return the version of libpipewire. Raises UnsupportedError where there is none."""
    words: Any = ffi.string(_load().pw_get_library_version())
    return str(words.decode())


@functools.cache
def _load() -> Any:
    try:
        lib: Any = ffi.dlopen(_SONAME)
        lib.pw_init, lib.pw_get_library_version  # noqa: B018 - looked up at their first use
    except (OSError, ffi.error) as error:
        message = f"libpipewire cannot be loaded: {error}"
        raise UnsupportedError(message, hint=_HINT) from error
    return lib


def duplicate(fd: int) -> int:
    """Return a duplicate of an fd, for ourselves alone. Raises CaptureError."""
    try:
        return os.dup(fd)
    except OSError as error:
        message = f"cannot duplicate a file descriptor: {error.strerror}"
        raise CaptureError(message) from error


class Remote:
    """A connection to a PipeWire daemon, and libpipewire's thread for it.

    Whatever belongs to it is touched only by that thread, or with ``locked()``. Everything that
    is called back comes in that thread, with the lock held.

    A forked process touches nothing: that thread is not in it, and may have held the lock; the
    connection is that of the process which goes on to use it.
    """

    def __init__(self, fd: int | None) -> None:
        """Connect by an fd, which is duplicated, or to the default daemon.

        Raises UnsupportedError when there is none, or no libpipewire.
        """
        self.lib = library()
        self._process = os.getpid()
        self._context = self._core = ffi.NULL
        self._loop = self.lib.pw_thread_loop_new(b"wayshot pipewire", ffi.NULL)
        if self._loop == ffi.NULL:
            raise _cannot_start()
        try:
            self._start()
            self._connect(fd)
        except BaseException:
            self.close()
            raise

    @property
    def core(self) -> Any:
        """The ``struct pw_core *``."""
        return self._core

    @property
    def is_own_thread(self) -> bool:
        """Whether this is called in libpipewire's thread."""
        return bool(self.lib.pw_thread_loop_in_thread(self._loop))

    @property
    def is_forked(self) -> bool:
        """Whether this is another process than the one that has connected."""
        return os.getpid() != self._process

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep libpipewire's thread out. Raises ClosedError after ``close()`` or a fork."""
        if self._loop == ffi.NULL or self.is_forked:
            message = "this stream has been closed"
            raise ClosedError(message)
        self.lib.pw_thread_loop_lock(self._loop)
        try:
            yield
        finally:
            self.lib.pw_thread_loop_unlock(self._loop)

    def close(self) -> None:
        """End the connection, then the thread, which must not be the one that calls this."""
        if self._core != ffi.NULL:
            with self.locked():
                self.lib.pw_core_disconnect(self._core)
        self.lib.pw_thread_loop_stop(self._loop)
        if self._context != ffi.NULL:
            self.lib.pw_context_destroy(self._context)
        self.lib.pw_thread_loop_destroy(self._loop)
        self._loop = ffi.NULL

    def _start(self) -> None:
        # Real-time priority is not ours to ask for: libpipewire would, over D-Bus.
        properties = self.lib.pw_properties_new_string(b"module.rt=false support.dbus=false")
        loop = self.lib.pw_thread_loop_get_loop(self._loop)
        self._context = self.lib.pw_context_new(loop, properties, 0)
        if self._context == ffi.NULL or self.lib.pw_thread_loop_start(self._loop) < 0:
            raise _cannot_start()

    def _connect(self, fd: int | None) -> None:
        with self.locked():
            if fd is None:
                self._core = self.lib.pw_context_connect(self._context, ffi.NULL, 0)
            else:
                # It is closed with the connection, or at once when there is none.
                own = duplicate(fd)
                self._core = self.lib.pw_context_connect_fd(self._context, own, ffi.NULL, 0)
            if self._core == ffi.NULL:
                message = f"there is no PipeWire to talk to: {os.strerror(ffi.errno)}"
                raise UnsupportedError(message, hint=_HINT)


def _cannot_start() -> CaptureError:
    return CaptureError(f"libpipewire cannot start: {os.strerror(ffi.errno)}")
