"""The wire format against bytes written out by hand, and the ways to break them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fake import faults, wire

# wl_registry@2.bind(7, "wl_shm", 1, new id 5), as a little-endian machine sends it.
BIND = bytes.fromhex(
    "02000000 00002000"  # object 2, opcode 0, 32 bytes
    "07000000 07000000"  # name 7, 7 bytes of string
    "776c5f73 686d0000"  # "wl_shm", NUL, padding
    "01000000 05000000"  # version 1, id 5
)


def test_a_message_is_encoded_to_the_byte() -> None:
    assert wire.encode(2, 0, "usun", (7, "wl_shm", 1, 5)) == BIND


def test_a_message_is_decoded_to_the_byte() -> None:
    (message,) = wire.split(bytearray(BIND))
    assert (message.object_id, message.opcode) == (2, 0)
    assert wire.Reader(message.body).arguments("usun") == [7, "wl_shm", 1, 5]


def test_messages_are_split_wherever_the_stream_was_cut() -> None:
    data = bytearray()
    messages: list[wire.Message] = []
    for byte in BIND * 3:
        data.append(byte)
        messages += wire.split(data)
    assert [message.body for message in messages] == [BIND[8:]] * 3
    assert not data


STRINGS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 2**32 - 1),
    STRINGS,
    st.none() | STRINGS,
    st.binary(),
)
def test_what_is_encoded_can_be_decoded(
    number: int, word: int, text: str, nullable: str | None, data: bytes
) -> None:
    arguments: list[wire.Argument] = [number, word, text, nullable, data]
    encoded = wire.encode(9, 3, "2iussa", arguments)
    if len(encoded) < 2**16:
        (message,) = wire.split(bytearray(encoded))
        assert wire.Reader(message.body).arguments("2iussa") == arguments


def decode(data: bytes) -> list[list[wire.Argument]]:
    """Return the arguments of all messages, each taken for a bind."""
    messages = wire.split(bytearray(data))
    return [wire.Reader(message.body).arguments("usun") for message in messages]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (faults.with_size(0), "a message of 0 bytes"),
        (faults.with_size(4), "a message of 4 bytes"),
        (faults.with_size(30), "a message of 30 bytes"),
        (faults.with_size(28), "ends before its arguments do"),
        (faults.without_last_word, "ends before its arguments do"),
        (faults.with_string_size(12, 1000), "reaches over the end"),
        (faults.with_string_size(12, 3), "without NUL"),
        (faults.with_string_unended(12), "without NUL"),
    ],
)
def test_a_broken_message_is_noticed(change: faults.Change, problem: str) -> None:
    with pytest.raises(wire.WireError, match=problem):
        decode(change(BIND))


def test_a_message_with_bytes_left_over_is_noticed() -> None:
    (message,) = wire.split(bytearray(BIND))
    with pytest.raises(wire.WireError, match="4 bytes too many"):
        wire.Reader(message.body).arguments("usu")


def test_a_message_without_its_fd_is_noticed() -> None:
    with pytest.raises(wire.WireError, match="without its file descriptor"):
        wire.Reader(b"").arguments("h")


def test_other_objects_and_opcodes_change_the_header_only() -> None:
    assert faults.with_object(77)(BIND) == (77).to_bytes(4, "little") + BIND[4:]
    assert faults.with_opcode(9)(BIND) == BIND[:4] + b"\x09\x00\x20\x00" + BIND[8:]
