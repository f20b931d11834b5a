"""Interface tables, and the C structs that libwayland wants made of them.

A table states what a protocol's XML states: names, signatures and types, in the order
that gives the opcodes. The signature is libwayland's (wayland-util.h, struct wl_message):
``i`` int, ``u`` uint, ``f`` fixed, ``s`` string, ``o`` object, ``n`` new id, ``a`` array,
``h`` fd, ``?`` before a nullable one, and first of all the version that brought the message.
"""

from _thread import allocate_lock
from typing import Any

from pywayland import ffi


class Message:
    """A request or an event; ``types`` names the interface of each ``o`` and ``n``, in order.

    An empty name stands for an object of any interface. ``kinds`` is the signature's
    argument letters alone, ``since`` the interface version that brought the message.
    """

    def __init__(self, name: str, signature: str, *types: str) -> None:
        """Take the message as a table states it."""
        self.name = name
        self.signature = signature
        self.types = types
        arguments = signature.lstrip("0123456789")
        self.kinds = arguments.replace("?", "")
        self.since = int(signature[: len(signature) - len(arguments)] or 1)


class Interface:
    """One interface of a protocol, at the highest version that wayshot speaks."""

    def __init__(
        self, name: str, version: int, requests: tuple[Message, ...], events: tuple[Message, ...]
    ) -> None:
        """Take the interface as a table states it."""
        self.name = name
        self.version = version
        self.requests = requests
        self.events = events
        self.opcodes = {request.name: opcode for opcode, request in enumerate(requests)}


class Protocol:
    """The registry of tables: they refer to each other by name."""

    _known: dict[str, Interface] = {}  # noqa: RUF012 - the one registry, by interface name

    @classmethod
    def interface(
        cls,
        name: str,
        version: int,
        *,
        requests: tuple[tuple[str, ...], ...] = (),
        events: tuple[tuple[str, ...], ...] = (),
    ) -> Interface:
        """Enter an interface; a message is (name, signature, type of each object in it...)."""
        interface = Interface(
            name,
            version,
            tuple(Message(*row) for row in requests),
            tuple(Message(*row) for row in events),
        )
        cls._known[name] = interface
        return interface

    @classmethod
    def find(cls, name: str) -> Interface:
        """Return the interface of that name. Raises KeyError when no table has stated it."""
        return cls._known[name]


_compiled: dict[str, Any] = {}
_compiling = allocate_lock()
_keep_alive: list[Any] = []  # what the structs point to; they live as long as the process


def compiled(interface: Interface) -> Any:
    """Return the ``struct wl_interface *`` of a table, made at first use."""
    struct = _compiled.get(interface.name)
    if struct is None:
        with _compiling:
            made: dict[str, Any] = {}
            struct = _compile(interface, made)
            _compiled.update(made)  # other threads see none that is not whole
    return struct


def _compile(interface: Interface, made: dict[str, Any]) -> Any:
    """Return the struct; it and those that it leads to, in circles, are entered into ``made``."""
    struct = _compiled.get(interface.name) or made.get(interface.name)
    if struct is None:
        struct = made[interface.name] = ffi.new("struct wl_interface *")
        struct.name = _c_string(interface.name)
        struct.version = interface.version
        struct.method_count = len(interface.requests)
        struct.methods = _messages(interface.requests, made)
        struct.event_count = len(interface.events)
        struct.events = _messages(interface.events, made)
    return struct


def _c_string(text: str) -> Any:
    string = ffi.new("char[]", text.encode("ascii"))
    _keep_alive.append(string)
    return string


def _messages(messages: tuple[Message, ...], made: dict[str, Any]) -> Any:
    array = ffi.new("struct wl_message[]", len(messages))
    _keep_alive.append(array)
    for struct, message in zip(array, messages, strict=True):
        kinds = message.kinds
        types = ffi.new("struct wl_interface *[]", max(len(kinds), 1))
        _keep_alive.append(types)
        names = iter(message.types)
        for index, kind in enumerate(kinds):
            if kind in "on" and (name := next(names)):
                types[index] = _compile(Protocol.find(name), made)
        struct.name = _c_string(message.name)
        struct.signature = _c_string(message.signature)
        struct.types = types
    return array
