"""What is offered to a producer of pictures, and what it agrees to. Pure.

Numbers are those of spa/param: format.h, buffers.h, video/raw.h, and of spa/buffer/meta.h.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from wayshot_cli import pixels
from wayshot_cli.backends.pipewire import pods
from wayshot_cli.backends.pipewire.pods import Kind, Object, Property, Scalar, Type, Value
from wayshot_cli.errors import CaptureError, InvalidArgumentError, UnsupportedError
from wayshot_cli.geometry import LONGEST_SIDE, Size, parse_size
from wayshot_cli.pixels import PixelFormat
from wayshot_cli.wayland.dmabuf import LINEAR

# Types of objects, and the parameters that they are for.
_FORMAT, _PARAM_BUFFERS, _PARAM_META = 0x40003, 0x40004, 0x40005
_ENUM_FORMAT, FORMAT, _BUFFERS, _META = 3, 4, 5, 6

_MEDIA_TYPE, _MEDIA_SUBTYPE, _VIDEO, _RAW = 1, 2, 2, 1
_VIDEO_FORMAT, _VIDEO_MODIFIER, _VIDEO_SIZE = 0x20001, 0x20002, 0x20003
_VIDEO_FRAMERATE, _VIDEO_MAX_FRAMERATE = 0x20004, 0x20005
_BUFFERS_BUFFERS, _BUFFERS_DATA_TYPE = 1, 6
_META_TYPE, _META_SIZE = 1, 2

MEM_PTR, MEM_FD, DMA_BUF = 1, 2, 3
"""Types of a buffer's memory."""

HEADER, CROP, DAMAGE, CURSOR, TRANSFORM = 1, 2, 3, 5, 8
"""Types of metadata that are asked for."""

HEADER_SIZE, REGION_SIZE, CURSOR_SIZE, BITMAP_SIZE, TRANSFORM_SIZE = 32, 16, 28, 20, 4
"""Bytes of their structs."""

_MOST_DAMAGE = 16  # regions
_LARGEST_CURSOR = 1024  # pixels a side
_PREFERRED_SIZE = Size(1920, 1080)
_PREFERRED_RATE = Fraction(60)
_FASTEST = 1000  # frames per second

# Those without alpha first, for screens have none; among them what compositors draw into.
_NAMES = {
    8: ("BGRx", "XRGB8888"),
    7: ("RGBx", "XBGR8888"),
    9: ("xRGB", "BGRX8888"),
    10: ("xBGR", "RGBX8888"),
    12: ("BGRA", "ARGB8888"),
    11: ("RGBA", "ABGR8888"),
    13: ("ARGB", "BGRA8888"),
    14: ("ABGR", "RGBA8888"),
    15: ("RGB", "BGR888"),
    16: ("BGR", "RGB888"),
    80: ("xRGB_210LE", "XRGB2101010"),
    81: ("xBGR_210LE", "XBGR2101010"),
    82: ("RGBx_102LE", "RGBX1010102"),
    83: ("BGRx_102LE", "BGRX1010102"),
    84: ("ARGB_210LE", "ARGB2101010"),
    85: ("ABGR_210LE", "ABGR2101010"),
    86: ("RGBA_102LE", "RGBA1010102"),
    87: ("BGRA_102LE", "BGRA1010102"),
}
FORMATS = {number: pixels.BY_DRM_NAME[drm_name] for number, (_, drm_name) in _NAMES.items()}
"""Pixel formats by SPA's numbers, the preferred ones first."""


FOURCCS = [format_.fourcc for format_ in FORMATS.values()]
"""Their numbers with DRM."""


class Preference(NamedTuple):
    """What the producer is asked for: size and rate if it can, ``format`` and nothing else."""

    size: Size = _PREFERRED_SIZE
    rate: Fraction = _PREFERRED_RATE
    format: int | None = None
    is_size_fixed: bool = False


class Agreed(NamedTuple):
    """What pictures will be. ``modifier`` is None where they are no dmabufs.

    With ``choices`` the modifier is still open: one of them.
    """

    format: PixelFormat
    size: Size
    modifier: int | None
    choices: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Write size, format and modifier."""
        modifier = "" if self.modifier is None else f", modifier {self.modifier:#x}"
        return f"{self.size} {name_of(self.format)}{modifier}"


def format_named(name: str) -> int:
    """Return the number of a format by SPA's name for it. Raises InvalidArgumentError."""
    for number, (known, _) in _NAMES.items():
        if known == name:
            return number
    message = f"no format named {name!r}"
    raise InvalidArgumentError(
        message, hint=f"known are {', '.join(n for n, _ in _NAMES.values())}"
    )


def fixed_by(text: str | None, prefer: Preference) -> Preference:
    """Return the preference that ``FORMAT`` or ``FORMAT:WxH`` makes of one, alone to be offered.

    Raises InvalidArgumentError when it is not of that form.
    """
    if not text:
        return prefer
    name, _, size = text.partition(":")
    prefer = prefer._replace(format=format_named(name))
    if not size:
        return prefer
    wanted = parse_size(size)
    if wanted is None:
        message = f"not a size: {size!r}"
        raise InvalidArgumentError(message)
    return prefer._replace(size=wanted, is_size_fixed=True)


def name_of(format_: PixelFormat) -> str:
    """Return SPA's name of a format."""
    return next(name for name, drm_name in _NAMES.values() if drm_name == format_.drm_name)


def formats(
    prefer: Preference, *, plain: bool, modifiers: Mapping[int, Sequence[int]]
) -> list[bytes]:
    """Return the formats to offer, best first.

    ``modifiers`` says by fourcc how dmabufs may be laid out; each such format is an offer of its
    own, for whoever agrees to it has to agree to a modifier. ``plain`` adds those without.
    """
    numbers = [prefer.format] if prefer.format is not None else list(FORMATS)
    found = [
        _format([number], prefer, modifiers[FORMATS[number].fourcc])
        for number in numbers
        if modifiers.get(FORMATS[number].fourcc)
    ]
    return [*found, _format(numbers, prefer)] if plain else found


def fixed(agreed: Agreed, prefer: Preference, modifier: int) -> bytes:
    """Return the offer of one format with one modifier: the answer to an open choice."""
    number = next(n for n, format_ in FORMATS.items() if format_ is agreed.format)
    return _format([number], prefer, [modifier])


def _format(numbers: Sequence[int], prefer: Preference, modifiers: Sequence[int] = ()) -> bytes:
    def ids(*values: int) -> Property:
        return Property(_one_of(Type.ID, values))

    rate = (prefer.rate.numerator, prefer.rate.denominator)
    properties = {
        _MEDIA_TYPE: ids(_VIDEO),
        _MEDIA_SUBTYPE: ids(_RAW),
        _VIDEO_FORMAT: ids(*numbers),
    }
    if modifiers:
        # Nobody fixates one modifier: there is nothing left to choose.
        flags = pods.MANDATORY | (pods.DONT_FIXATE if len(modifiers) > 1 else 0)
        signed = [modifier - (modifier >> 63 << 64) for modifier in modifiers]
        properties[_VIDEO_MODIFIER] = Property(_one_of(Type.LONG, signed), flags)
    size = (prefer.size.width, prefer.size.height)
    least, greatest = (
        (size, size) if prefer.is_size_fixed else ((1, 1), (LONGEST_SIDE, LONGEST_SIDE))
    )
    properties[_VIDEO_SIZE] = _range(Type.RECTANGLE, size, least, greatest)
    # 0/1 is what producers say whose rate varies.
    properties[_VIDEO_FRAMERATE] = _range(Type.FRACTION, rate, (0, 1), (_FASTEST, 1))
    properties[_VIDEO_MAX_FRAMERATE] = _range(Type.FRACTION, rate, (0, 1), (_FASTEST, 1))
    return pods.build(Object(_FORMAT, _ENUM_FORMAT, properties))


def _one_of(type_: Type, values: Sequence[int]) -> Value:
    if len(values) == 1:
        return Value.one(type_, values[0])
    return Value(type_, (values[0], *values), Kind.ENUM)


def _range(type_: Type, default: Scalar, least: Scalar, greatest: Scalar) -> Property:
    return Property(Value(type_, (default, least, greatest), Kind.RANGE))


def read_format(pod: bytes) -> Agreed:
    """Read what a producer has agreed to. Raises CaptureError, UnsupportedError."""
    object_ = pods.parse(pod)
    number = object_.find(_VIDEO_FORMAT, Type.ID)
    media = (object_.find(_MEDIA_TYPE, Type.ID), object_.find(_MEDIA_SUBTYPE, Type.ID))
    if object_.type != _FORMAT or media != (_VIDEO, _RAW):
        message = f"a stream of media {media}, not of raw pictures"
        raise UnsupportedError(message)
    if not isinstance(number, int) or number not in FORMATS:
        message = f"a stream of video format {number}, which wayshot cannot read"
        raise UnsupportedError(message)
    size = object_.find(_VIDEO_SIZE, Type.RECTANGLE)
    if not isinstance(size, tuple) or not Size(*size).is_possible:
        message = f"a stream of pictures of the impossible size {size}"
        raise CaptureError(message)
    modifier = object_.find(_VIDEO_MODIFIER, Type.LONG)
    choices: tuple[int, ...] = ()
    if isinstance(modifier, int):
        modifier %= 1 << 64
        property_ = object_.properties[_VIDEO_MODIFIER]
        if property_.flags & pods.DONT_FIXATE and property_.value:
            choices = tuple(v % (1 << 64) for v in property_.value.values if isinstance(v, int))
    else:
        modifier = None
    return Agreed(FORMATS[number], Size(*size), modifier, choices)


def chosen(choices: Sequence[int]) -> int:
    """Return the modifier to take: what can be read by mapping it, where that is possible."""
    return LINEAR if LINEAR in choices else choices[0]


def buffers(types: Sequence[int]) -> bytes:
    """Return the wish for buffers whose memory is of one of the types.

    One is always kept, the newest; the producer needs others to go on.
    """
    mask = sum(1 << type_ for type_ in types)
    count = Value(Type.INT, (8, 2, 32), Kind.RANGE)
    data_type = Value(Type.INT, (mask,), Kind.FLAGS)
    return pods.build(
        Object(
            _PARAM_BUFFERS,
            _BUFFERS,
            {_BUFFERS_BUFFERS: Property(count), _BUFFERS_DATA_TYPE: Property(data_type)},
        )
    )


def metas(*, cursor: bool) -> list[bytes]:
    """Return the wishes for metadata, one for each type."""
    region, largest = REGION_SIZE, _cursor_size(_LARGEST_CURSOR)
    sizes = {
        HEADER: Value.one(Type.INT, HEADER_SIZE),
        CROP: Value.one(Type.INT, region),
        DAMAGE: Value(Type.INT, (_MOST_DAMAGE * region, region, 64 * region), Kind.RANGE),
        TRANSFORM: Value.one(Type.INT, TRANSFORM_SIZE),
    }
    if cursor:
        sizes[CURSOR] = Value(Type.INT, (_cursor_size(64), _cursor_size(1), largest), Kind.RANGE)
    return [
        pods.build(
            Object(
                _PARAM_META,
                _META,
                {_META_TYPE: Property(Value.one(Type.ID, type_)), _META_SIZE: Property(size)},
            )
        )
        for type_, size in sizes.items()
    ]


def _cursor_size(side: int) -> int:
    return CURSOR_SIZE + BITMAP_SIZE + side * side * 4
