"""What a stream of libpipewire calls back, through the compiled functions in kernels/."""

import itertools
import weakref
from typing import Any, Protocol

from wayshot_cli.backends.pipewire._pipewire import ffi
from wayshot_cli.kernels._kernels import ffi as own_ffi
from wayshot_cli.kernels._kernels import lib as own_lib

_LONGEST_POD = 1 << 16  # bytes; what producers agree to has some hundred


class Listener(Protocol):
    """Who is called, in libpipewire's thread or within a call of its own, locked in any case.

    ``fail`` gets what the others raise.
    """

    def on_state_changed(self, state: int, words: str) -> None:
        """Take an enum pw_stream_state, and what went wrong if something did."""

    def on_param_changed(self, id_: int, pod: bytes | None) -> None:
        """Take a parameter, None when it is withdrawn."""

    def on_remove_buffer(self, buffer: Any) -> None:
        """Take a ``struct pw_buffer *`` that is about to end."""

    def on_process(self) -> None:
        """Know that buffers have come."""

    def fail(self, error: BaseException) -> None:
        """Take an exception, which C could not pass on."""


_keys = itertools.count(1)
# One that nobody has any more gets no calls.
_listeners: "weakref.WeakValueDictionary[int, Listener]" = weakref.WeakValueDictionary()


def register(listener: Listener) -> int:
    """Return the number that stands for a listener, as the data of callbacks."""
    key = next(_keys)
    _listeners[key] = listener
    return key


def forget(key: int) -> None:
    """Let a listener have no more calls."""
    _listeners.pop(key, None)


def table() -> Any:
    """Return a ``struct pw_stream_events *``: version 0, which old libraries know as well."""
    events: Any = ffi.new("struct pw_stream_events *")
    for name in ("state_changed", "param_changed", "remove_buffer", "process"):
        function = own_ffi.addressof(own_lib, f"ws_pw_{name}")
        setattr(events, name, ffi.cast("void *", int(own_ffi.cast("uintptr_t", function))))
    return events


def _call(key: Any, method: str, *arguments: Any) -> None:
    listener = _listeners.get(int(own_ffi.cast("uintptr_t", key)))
    if listener is None:
        return
    try:
        getattr(listener, method)(*arguments)
    except BaseException as error:  # noqa: BLE001 - C lies below
        listener.fail(error)


@own_ffi.def_extern("ws_pw_state_changed")  # type: ignore[untyped-decorator]
def _on_state_changed(key: Any, _old: int, state: int, words: Any) -> None:
    text = own_ffi.string(words).decode(errors="replace") if words else ""
    _call(key, "on_state_changed", state, text)


@own_ffi.def_extern("ws_pw_param_changed")  # type: ignore[untyped-decorator]
def _on_param_changed(key: Any, id_: int, param: Any) -> None:
    pod = None
    if param:
        size = 8 + own_ffi.cast("uint32_t *", param)[0]
        pod = bytes(own_ffi.buffer(param, min(size, _LONGEST_POD)))
    _call(key, "on_param_changed", id_, pod)


@own_ffi.def_extern("ws_pw_remove_buffer")  # type: ignore[untyped-decorator]
def _on_remove_buffer(key: Any, buffer: Any) -> None:
    pointer = ffi.cast("struct pw_buffer *", int(own_ffi.cast("uintptr_t", buffer)))
    _call(key, "on_remove_buffer", pointer)


@own_ffi.def_extern("ws_pw_process")  # type: ignore[untyped-decorator]
def _on_process(key: Any) -> None:
    _call(key, "on_process")
