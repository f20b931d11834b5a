"""SPA pods, the binary values that PipeWire negotiates with. Pure: bytes in, bytes out.

A pod is ``u32 size, u32 type``, a body of that size, and zeros up to a multiple of 8; numbers are
in the machine's order (spa/pod/pod.h). An object is a pod whose body has properties, each with a
pod as its value. A value can be a choice: several of one type, the first being the default.
"""

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from wayshot_cli.errors import CaptureError


class Type(IntEnum):
    """Kinds of pods that a format is made of (spa/utils/type.h)."""

    BOOL = 2
    ID = 3
    INT = 4
    LONG = 5
    FLOAT = 6
    DOUBLE = 7
    RECTANGLE = 10
    FRACTION = 11
    OBJECT = 15
    CHOICE = 19


class Kind(IntEnum):
    """What the values of a choice are."""

    NONE = 0  # one value: nothing to choose
    RANGE = 1  # default, least, greatest
    STEP = 2  # default, least, greatest, step
    ENUM = 3  # default, then all that are possible
    FLAGS = 4  # default, then flags


MANDATORY = 1 << 3
"""A property's flag: who does not know it cannot agree (spa/pod/pod.h)."""
DONT_FIXATE = 1 << 4
"""A property's flag: the choice stays open, whoever allocates makes it."""

Scalar = int | float | tuple[int, int]

_HEADER = struct.Struct("=II")
_CHOICE = struct.Struct("=IIII")  # kind, flags, and the header that all values share
_BODIES = {
    Type.BOOL: struct.Struct("=i"),
    Type.ID: struct.Struct("=I"),
    Type.INT: struct.Struct("=i"),
    Type.LONG: struct.Struct("=q"),
    Type.FLOAT: struct.Struct("=f"),
    Type.DOUBLE: struct.Struct("=d"),
    Type.RECTANGLE: struct.Struct("=II"),
    Type.FRACTION: struct.Struct("=II"),
}
_PAIRS = (Type.RECTANGLE, Type.FRACTION)


class Value(NamedTuple):
    """A pod that is no object: one value, or a choice of several."""

    type: Type
    values: tuple[Scalar, ...]
    kind: Kind = Kind.NONE

    @classmethod
    def one(cls, type_: Type, value: Scalar) -> "Value":
        """Return a value with nothing to choose."""
        return cls(type_, (value,))

    @property
    def default(self) -> Scalar:
        """The value, or the first of a choice."""
        return self.values[0]


class Property(NamedTuple):
    """A value under its key, with flags; the value is None where it is of a type not known here."""

    value: Value | None
    flags: int = 0


class Object(NamedTuple):
    """An object: its type, the parameter that it is for, and its properties by key."""

    type: int
    id: int
    properties: dict[int, Property]

    def find(self, key: int, type_: Type) -> Scalar | None:
        """Return a property's value, or the default of its choice; None where there is none.

        Raises CaptureError when the property is of another type.
        """
        if key not in self.properties:
            return None
        value = self.properties[key].value
        if value is None or value.type is not type_:
            message = f"malformed pod: property {key:#x} is no {type_.name.lower()}"
            raise CaptureError(message)
        return value.default


def build(object_: Object) -> bytes:
    """Return an object as a pod."""
    body = [_HEADER.pack(object_.type, object_.id)]
    for key, property_ in object_.properties.items():
        if property_.value is not None:
            body += [_HEADER.pack(key, property_.flags), _build_value(property_.value)]
    return _pod(Type.OBJECT, b"".join(body))


def _build_value(value: Value) -> bytes:
    layout = _BODIES[value.type]
    bodies = [layout.pack(*_as_tuple(scalar)) for scalar in value.values]
    if value.kind is Kind.NONE:
        return _pod(value.type, bodies[0])
    return _pod(
        Type.CHOICE, _CHOICE.pack(value.kind, 0, layout.size, value.type) + b"".join(bodies)
    )


def _pod(type_: Type, body: bytes) -> bytes:
    return _HEADER.pack(len(body), type_) + body + bytes(-len(body) % 8)


def _as_tuple(scalar: Scalar) -> Iterable[int | float]:
    return scalar if isinstance(scalar, tuple) else (scalar,)


def parse(pod: bytes) -> Object:
    """Read an object. Raises CaptureError when the bytes are none, whatever they are."""
    type_, body = _split(pod)
    if type_ != Type.OBJECT or len(body) < _HEADER.size:
        message = f"malformed pod: no object, but type {type_} of {len(body)} bytes"
        raise CaptureError(message)
    object_type, id_ = _HEADER.unpack_from(body)
    object_ = Object(object_type, id_, {})
    position = _HEADER.size
    while position < len(body):
        if len(body) - position < 2 * _HEADER.size:
            message = "malformed pod: it ends within a property"
            raise CaptureError(message)
        key, flags = _HEADER.unpack_from(body, position)
        position += _HEADER.size
        value_type, value = _split(body[position:])
        object_.properties[key] = Property(_parse_value(value_type, value), flags)
        # The last one may lack its padding, as everything may that nothing follows.
        position += _HEADER.size + len(value) + -len(value) % 8
    return object_


def _parse_value(type_: int, body: bytes) -> Value | None:
    """Read a body; None where this module does not know the type."""
    kind, count = Kind.NONE, 1
    if type_ == Type.CHOICE:
        if len(body) < _CHOICE.size:
            message = f"malformed pod: a choice of {len(body)} bytes"
            raise CaptureError(message)
        number, _flags, size, type_ = _CHOICE.unpack_from(body)
        body = body[_CHOICE.size :]
        layout = _layout(type_)
        if layout is None:
            return None
        if number > Kind.FLAGS or size != layout.size or len(body) < size:
            message = f"malformed pod: a choice {number} of {len(body)} bytes, {size} for each"
            raise CaptureError(message)
        kind, count = Kind(number), len(body) // size
    layout = _layout(type_)
    if layout is None:
        return None
    if len(body) < layout.size:
        message = f"malformed pod: type {type_} of {len(body)} bytes"
        raise CaptureError(message)
    fields = [layout.unpack_from(body, index * layout.size) for index in range(count)]
    is_pair = type_ in _PAIRS
    return Value(Type(type_), tuple(both if is_pair else both[0] for both in fields), kind)


def _layout(type_: int) -> struct.Struct | None:
    return _BODIES[Type(type_)] if type_ in _BODIES else None


def _split(data: bytes) -> tuple[int, bytes]:
    """Return the type and the body of the pod that the data begins with."""
    if len(data) < _HEADER.size:
        message = f"malformed pod: {len(data)} bytes"
        raise CaptureError(message)
    size, type_ = _HEADER.unpack_from(data)
    if size > len(data) - _HEADER.size:
        message = f"malformed pod: {size} bytes said, {len(data) - _HEADER.size} there"
        raise CaptureError(message)
    return type_, data[_HEADER.size : _HEADER.size + size]
