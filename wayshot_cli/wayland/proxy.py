"""Proxies: a Python object for each protocol object, and the one dispatcher of their events."""

from _thread import get_ident
from collections.abc import Callable
from os import close
from typing import TYPE_CHECKING, Any

from pywayland import ffi, lib

from wayshot_cli.errors import ClosedError
from wayshot_cli.kernels._kernels import ffi as own_ffi
from wayshot_cli.kernels._kernels import lib as own_lib
from wayshot_cli.wayland.interface import Interface, Protocol, compiled

if TYPE_CHECKING:
    from types import TracebackType

    from wayshot_cli.wayland.connection import Connection

# A handler may take any of the protocol's argument types; the tables say which.
Handler = Callable[..., object]

_live: dict[int, "Proxy"] = {}  # by the address of the struct wl_proxy
_raised: dict[int, BaseException] = {}  # by thread: what a handler raised inside libwayland
_dispatch_address = int(own_ffi.cast("uintptr_t", own_ffi.addressof(own_lib, "ws_dispatch")))
_dispatcher = ffi.cast("wl_dispatcher_func_t", _dispatch_address)


class Proxy:
    """A protocol object: send it requests by name, give it handlers by event name.

    Arguments are those of the protocol in its order, the new id left out: strings are str,
    objects are proxies, arrays bytes, fds plain numbers (an event's fd is the handler's to
    close). An event without a handler is ignored, its fds closed. Handlers run inside
    ``Connection.wait``; what they raise, that raises.
    """

    def __init__(
        self, connection: "Connection", pointer: Any, interface: Interface, version: int
    ) -> None:
        """Take a ``struct wl_proxy *``; ``adopt()`` makes its events and its end ours."""
        self.connection = connection
        self.interface = interface
        self.version = version
        self._pointer = pointer
        self._address = int(ffi.cast("uintptr_t", pointer))
        self._handlers: dict[str, Handler] = {}

    def adopt(self) -> "Proxy":
        """Attach the dispatcher. wl_display alone is not adopted: it is libwayland's."""
        _live[self._address] = self
        self.connection.proxies[self._address] = self
        lib.wl_proxy_add_dispatcher(self._pointer, _dispatcher, ffi.NULL, ffi.NULL)
        return self

    @property
    def is_alive(self) -> bool:
        """Whether neither the object nor its connection has ended."""
        return self._pointer is not None

    def on(self, **handlers: Handler) -> "Proxy":
        """Set handlers by event name."""
        self._handlers.update(handlers)
        return self

    def send(self, request: str, *args: object) -> None:
        """Queue a request that creates nothing; the next wait sends it."""
        opcode = self.interface.opcodes[request]
        arguments, _keep = _pack(self.interface.requests[opcode].kinds, args)
        lib.wl_proxy_marshal_array(self._alive(), opcode, arguments)

    def create(self, request: str, *args: object, **handlers: Handler) -> "Proxy":
        """Queue a request that creates an object, and return it with its handlers set."""
        message = self.interface.requests[self.interface.opcodes[request]]
        interface = Protocol.find(message.types[0])
        return self._construct(request, args, interface, self.version).on(**handlers)

    def bind(self, name: int, interface: Interface, version: int) -> "Proxy":
        """``wl_registry.bind``, whose new id alone carries its interface and version along."""
        args = (name, interface.name, version)
        return self._construct("bind", args, interface, version)

    def destroy(self) -> None:
        """Send the destructor that the interface has, if any, and forget the object."""
        if self._pointer is None or self.connection.is_forked:
            return
        for destructor in ("destroy", "release"):
            opcode = self.interface.opcodes.get(destructor)
            if opcode is not None and self.interface.requests[opcode].since <= self.version:
                lib.wl_proxy_marshal_array(self._pointer, opcode, ffi.NULL)
                break
        self.forget()

    def forget(self) -> None:
        """Free the client's side of the object, saying nothing to the compositor."""
        if self._pointer is not None and not self.connection.is_forked:
            del _live[self._address], self.connection.proxies[self._address]
            lib.wl_proxy_destroy(self._pointer)
            self._pointer = None
            self._handlers.clear()  # they lead back to whoever holds us, frames and all

    def _alive(self) -> Any:
        """Return the pointer. Raises ClosedError when libwayland has freed what it leads to.

        And in a forked process, which shares the socket.
        """
        self.connection.require_open()
        if self._pointer is None or self.connection.is_forked:
            message = f"{self.interface.name} was used after its end"
            raise ClosedError(message)
        return self._pointer

    def _construct(
        self, request: str, args: tuple[object, ...], interface: Interface, version: int
    ) -> "Proxy":
        opcode = self.interface.opcodes[request]
        arguments, _keep = _pack(self.interface.requests[opcode].kinds, args)
        pointer = own_lib.ws_wayland_marshal_constructor(
            as_void(self._alive()),
            opcode,
            as_void(arguments),
            as_void(compiled(interface)),
            version,
        )
        if pointer == own_ffi.NULL:
            raise MemoryError
        pointer = ffi.cast("struct wl_proxy *", int(own_ffi.cast("uintptr_t", pointer)))
        return Proxy(self.connection, pointer, interface, version).adopt()

    def _dispatch(self, opcode: int, arguments: Any) -> None:
        message = self.interface.events[opcode]
        types = iter(message.types)
        values = [
            _unpack(self, kind, next(types) if kind in "on" else "", arguments[index])
            for index, kind in enumerate(message.kinds)
        ]
        handler = self._handlers.get(message.name)
        if handler:
            handler(*values)
        else:
            for kind, value in zip(message.kinds, values, strict=True):
                if kind == "h":
                    close(value)


def take_raised() -> BaseException | None:
    """Return what a handler has raised in this thread since the last call, if anything."""
    return _raised.pop(get_ident(), None)


def _carry(_kind: object, error: BaseException, traceback: "TracebackType") -> None:
    # C code lies between the handler and whoever waits: the exception steps over it here.
    _raised.setdefault(get_ident(), error.with_traceback(traceback))


@own_ffi.def_extern("ws_dispatch", onerror=_carry)  # type: ignore[untyped-decorator]
def _dispatch(_data: Any, target: Any, opcode: int, _message: Any, arguments: Any) -> int:
    proxy = _live.get(int(own_ffi.cast("uintptr_t", target)))
    if proxy:
        address = int(own_ffi.cast("uintptr_t", arguments))
        proxy._dispatch(opcode, ffi.cast("union wl_argument *", address))  # noqa: SLF001
    return 0


def as_void(pointer: Any) -> Any:
    """Carry a pointer of pywayland's cffi instance over to ours, as a ``void *``."""
    return own_ffi.cast("void *", int(ffi.cast("uintptr_t", pointer)))


def _pack(kinds: str, args: tuple[object, ...]) -> tuple[Any, list[Any]]:
    """Make the ``union wl_argument`` array, and a list of what must outlive its use."""
    arguments = ffi.new("union wl_argument[]", max(len(kinds), 1))
    keep: list[Any] = []
    values = iter(args)
    for index, kind in enumerate(kinds):
        slot = arguments[index]
        if kind == "n":
            continue  # stays NULL: libwayland puts the new object in
        value: Any = next(values)
        if kind == "i":
            slot.i = value
        elif kind == "u":
            slot.u = value
        elif kind == "h":
            slot.h = value
        elif kind == "f":
            slot.f = lib.wl_fixed_from_double(value)
        elif kind == "o":
            slot.o = ffi.NULL if value is None else ffi.cast("struct wl_object *", value._alive())  # noqa: SLF001
        elif kind == "s":
            keep.append(ffi.NULL if value is None else ffi.new("char[]", value.encode()))
            slot.s = keep[-1]
        else:
            data = ffi.from_buffer(value)
            array = ffi.new("struct wl_array *", {"size": len(data), "data": data})
            keep += [data, array]
            slot.a = array
    return arguments, keep


def _unpack(parent: Proxy, kind: str, type_: str, slot: Any) -> Any:
    value: Any = None
    match kind:
        case "i":
            value = slot.i
        case "u":
            value = slot.u
        case "h":
            value = slot.h
        case "f":
            value = lib.wl_fixed_to_double(slot.f)
        case "s" if slot.s:
            value = ffi.string(slot.s).decode(errors="replace")
        case "a":
            value = bytes(ffi.buffer(slot.a.data, slot.a.size)) if slot.a.size else b""
        case "n":
            # An event made this object: its own events may follow in the same batch, so
            # the dispatcher is attached before anything else is read.
            pointer = ffi.cast("struct wl_proxy *", slot.o)
            interface = Protocol.find(type_)
            value = Proxy(parent.connection, pointer, interface, parent.version).adopt()
        case "o" if slot.o:
            value = _live.get(int(ffi.cast("uintptr_t", slot.o)))
    return value
