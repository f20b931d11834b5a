"""Pods: the bytes that libpipewire's own headers make, and whatever bytes there are."""

import contextlib
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayshot_cli.backends.pipewire import offers, pods
from wayshot_cli.backends.pipewire._pipewire import ffi
from wayshot_cli.backends.pipewire.pods import Kind, Object, Property, Type, Value
from wayshot_cli.errors import CaptureError, InvalidArgumentError, UnsupportedError
from wayshot_cli.geometry import Size
from wayshot_cli.pixels import XRGB8888

TILED, VENDOR = 0x0100_0000_0000_0002, 0xFF00_0000_0000_0001
PREFERENCE = offers.Preference(Size(800, 600), Fraction(30000, 1001))


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What pods.c prints, by name. Needs libpipewire-0.3-dev and pkg-config."""
    program = tmp_path_factory.mktemp("pods") / "pods"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "libpipewire-0.3"], capture_output=True, text=True, check=True
    ).stdout.split()
    source = str(Path(__file__).with_name("pods.c"))
    subprocess.run(["gcc", "-w", *flags, "-o", str(program), source], check=True)
    printed = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    return dict(line.split(" ") for line in printed.splitlines())


def test_formats_are_those_of_the_headers(golden: dict[str, str]) -> None:
    tiled = {XRGB8888.fourcc: [TILED, 0, VENDOR]}
    dmabuf, plain = offers.formats(PREFERENCE, plain=True, modifiers=tiled)
    assert plain.hex() == golden["plain"]
    assert dmabuf.hex() == golden["modifiers"]
    assert offers.formats(PREFERENCE, plain=False, modifiers=tiled) == [dmabuf]
    agreed = offers.Agreed(XRGB8888, Size(800, 600), TILED, (TILED, 0))
    assert offers.fixed(agreed, PREFERENCE, TILED).hex() == golden["fixed"]


def test_buffers_and_metadata_are_those_of_the_headers(golden: dict[str, str]) -> None:
    assert offers.buffers([offers.MEM_PTR, offers.MEM_FD]).hex() == golden["buffers"]
    names = ["header", "crop", "damage", "transform", "cursor"]
    assert [pod.hex() for pod in offers.metas(cursor=True)] == [golden[name] for name in names]
    assert len(offers.metas(cursor=False)) == len(names) - 1


def test_structs_lie_as_the_headers_say(golden: dict[str, str]) -> None:
    metas = {"spa_meta_header", "spa_meta_cursor", "spa_meta_bitmap"}
    said = {name: int(value) for name, value in golden.items() if "sizeof" in name or "." in name}
    seen = {}
    for name in said:
        if name.startswith("sizeof-"):
            seen[name] = ffi.sizeof(f"struct {name[7:]}")
        elif name.partition(".")[0] not in metas:
            struct_name, field = name.split(".")
            seen[name] = ffi.offsetof(f"struct {struct_name}", field)
    # These come as bytes and are read by struct: see backends/pipewire/metas.py.
    seen |= {
        "spa_meta_header.pts": 8,
        "spa_meta_cursor.position": 8,
        "spa_meta_cursor.bitmap_offset": 24,
        "spa_meta_bitmap.size": 4,
        "spa_meta_bitmap.stride": 12,
        "spa_meta_bitmap.offset": 16,
    }
    assert seen == said


def agreed_format(**changes: Property | None) -> bytes:
    """A format as a producer agrees to it; None leaves a property out."""
    properties: dict[str, Property | None] = {
        "media": Property(Value.one(Type.ID, 2)),
        "subtype": Property(Value.one(Type.ID, 1)),
        "format": Property(Value.one(Type.ID, 8)),
        "size": Property(Value.one(Type.RECTANGLE, (640, 480))),
    }
    properties |= changes
    keys = {"media": 1, "subtype": 2, "format": 0x20001, "modifier": 0x20002, "size": 0x20003}
    found = {keys[name]: property_ for name, property_ in properties.items() if property_}
    return pods.build(Object(0x40003, 4, found))


def test_what_is_agreed_to_is_read() -> None:
    assert offers.read_format(agreed_format()) == (XRGB8888, Size(640, 480), None, ())
    linear = Property(Value.one(Type.LONG, 0), pods.MANDATORY)
    assert offers.read_format(agreed_format(modifier=linear)) == (XRGB8888, (640, 480), 0, ())


def test_an_open_choice_of_modifiers_is_one_and_a_flag_less_one_is_none() -> None:
    values = Value(Type.LONG, (TILED, TILED, VENDOR - 2**64), Kind.ENUM)
    open_ = Property(values, pods.MANDATORY | pods.DONT_FIXATE)
    agreed = offers.read_format(agreed_format(modifier=open_))
    assert agreed.choices == (TILED, TILED, VENDOR)
    assert offers.chosen(agreed.choices) == TILED
    assert offers.chosen([TILED, 0]) == 0
    settled = offers.read_format(agreed_format(modifier=Property(values, pods.MANDATORY)))
    assert settled.choices == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"media": Property(Value.one(Type.ID, 1))}, "not of raw pictures"),
        ({"subtype": None}, "not of raw pictures"),
        ({"format": Property(Value.one(Type.ID, 2))}, "video format 2"),
        ({"format": None}, "video format None"),
        ({"format": Property(Value.one(Type.INT, 8))}, "is no id"),
        ({"size": None}, "impossible size"),
        ({"size": Property(Value.one(Type.RECTANGLE, (0, 480)))}, "impossible size"),
        ({"size": Property(Value.one(Type.RECTANGLE, (640, 65536)))}, "impossible size"),
        ({"size": Property(Value.one(Type.FRACTION, (640, 480)))}, "is no rectangle"),
    ],
)
def test_a_format_that_cannot_be_read_says_why(
    changes: dict[str, Property | None], words: str
) -> None:
    with pytest.raises((CaptureError, UnsupportedError), match=words):
        offers.read_format(agreed_format(**changes))


def test_a_fixed_format_is_offered_alone() -> None:
    preference = offers.Preference(format=offers.format_named("RGBA"))
    (pod,) = offers.formats(preference, plain=True, modifiers={})
    assert pods.parse(pod).properties[0x20001].value == Value.one(Type.ID, 11)
    with pytest.raises(InvalidArgumentError, match="no format named 'rgba'"):
        offers.format_named("rgba")


def test_a_format_can_be_fixed_by_name_and_size() -> None:
    assert offers.fixed_by(None, PREFERENCE) == offers.fixed_by("", PREFERENCE) == PREFERENCE
    assert offers.fixed_by("BGRA", PREFERENCE) == PREFERENCE._replace(format=12)
    fixed = offers.fixed_by("BGRA:64x48", PREFERENCE)
    assert (fixed.size, fixed.is_size_fixed) == (Size(64, 48), True)
    for text in ("XYZ", "BGRA:64", "BGRA:0x5", "BGRA:-1x5", "BGRA:1x2x3", ":4x4"):
        with pytest.raises(InvalidArgumentError):
            offers.fixed_by(text, PREFERENCE)


SCALARS: dict[Type, st.SearchStrategy[pods.Scalar]] = {
    Type.BOOL: st.integers(0, 1),
    Type.ID: st.integers(0, 2**32 - 1),
    Type.INT: st.integers(-(2**31), 2**31 - 1),
    Type.LONG: st.integers(-(2**63), 2**63 - 1),
    Type.FLOAT: st.floats(width=32, allow_nan=False),
    Type.DOUBLE: st.floats(allow_nan=False),
    Type.RECTANGLE: st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    Type.FRACTION: st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
}


@st.composite
def values(draw: st.DrawFn) -> Value:
    type_ = draw(st.sampled_from(list(SCALARS)))
    kind = draw(st.sampled_from(list(Kind)))
    most = 1 if kind is Kind.NONE else 5
    scalars: list[pods.Scalar] = draw(st.lists(SCALARS[type_], min_size=1, max_size=most))
    return Value(type_, tuple(scalars), kind)


NUMBERS = st.integers(0, 2**32 - 1)
OBJECTS = st.builds(
    Object,
    NUMBERS,
    NUMBERS,
    st.dictionaries(NUMBERS, st.builds(Property, values(), NUMBERS), max_size=4),
)


@given(OBJECTS)
def test_what_is_built_is_read_back(object_: Object) -> None:
    pod = pods.build(object_)
    assert len(pod) % 8 == 0
    assert pods.parse(pod) == object_


def parse_or_refuse(pod: bytes) -> None:
    """Anything but the family of errors would come out of libpipewire's thread."""
    with contextlib.suppress(CaptureError, UnsupportedError):
        offers.read_format(pod)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    parse_or_refuse(data)
    parse_or_refuse(struct.pack("=II", len(data), Type.OBJECT) + data)


@given(st.data())
def test_a_format_with_any_words_changed_is_read_or_refused(data: st.DataObject) -> None:
    choice = Value(Type.LONG, (0, 0, TILED), Kind.ENUM)
    pod = bytearray(agreed_format(modifier=Property(choice, pods.DONT_FIXATE)))
    for _ in range(data.draw(st.integers(1, 3))):
        position = 4 * data.draw(st.integers(0, len(pod) // 4 - 1))
        struct.pack_into("=I", pod, position, data.draw(st.integers(0, 40) | NUMBERS))
    parse_or_refuse(bytes(pod))
    parse_or_refuse(bytes(pod[: data.draw(st.integers(0, len(pod)))]))


def test_values_of_unknown_types_are_passed_over() -> None:
    string = struct.pack("=IIII", 7, 0, 3, 8) + b"ab\0".ljust(8, b"\0")
    known = struct.pack("=IIII", 9, 0, 4, 4) + struct.pack("=i", -5).ljust(8, b"\0")
    body = struct.pack("=II", 1, 2) + string + known
    object_ = pods.parse(struct.pack("=II", len(body), 15) + body)
    assert object_.properties == {7: Property(None), 9: Property(Value.one(Type.INT, -5))}
    assert object_.find(9, Type.INT) == -5
    assert object_.find(8, Type.INT) is None
    with pytest.raises(CaptureError, match="0x7 is no int"):
        object_.find(7, Type.INT)
