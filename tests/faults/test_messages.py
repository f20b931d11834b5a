"""Bytes that are not Wayland."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fake import Config, Fault, Step, faults, wire
from tests.faults.command import (
    TIMEOUT,
    assert_failed,
    assert_shot,
    assert_waited,
    picture_of,
    shoot,
)

if TYPE_CHECKING:
    from pathlib import Path

STEPS = [Step.GLOBALS, Step.OUTPUT, Step.XDG_OUTPUT, Step.BUFFER, Step.READY]

UNREADABLE = {
    "a size of 0": faults.with_size(0),
    "a size of 4": faults.with_size(4),
    "a size of a header alone": faults.with_size(8),
    "a size that is no multiple of 4": faults.with_size(10),
    "a size of an odd number": faults.with_size(13),
    "a size beyond all data": faults.with_size(0xFFFC),
    "an event that the interface does not have": faults.with_opcode(77),
    "the greatest opcode": faults.with_opcode(0xFFFF),
    "an argument too few": faults.without_last_word,
}

# Where the length of a string stands in the first message of these steps.
STRINGS = {Step.GLOBALS: 12, Step.OUTPUT: 28}


@pytest.mark.parametrize("change", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("step", STEPS)
def test_a_broken_message_is_the_end(step: Step, change: faults.Change, tmp_path: Path) -> None:
    result = shoot(Config(faults=(Fault(step, faults.garbling(change)),)), tmp_path)
    assert_failed(result, 1)


@pytest.mark.parametrize("size", [0, 1000, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("step", STRINGS)
def test_a_string_of_a_wrong_size_is_the_end(step: Step, size: int, tmp_path: Path) -> None:
    change = faults.with_string_size(STRINGS[step], size)
    result = shoot(Config(faults=(Fault(step, faults.garbling(change)),)), tmp_path)
    assert_failed(result, 1)


@pytest.mark.parametrize("step", STRINGS)
def test_a_string_without_its_end_is_the_end(step: Step, tmp_path: Path) -> None:
    change = faults.with_string_unended(STRINGS[step])
    result = shoot(Config(faults=(Fault(step, faults.garbling(change)),)), tmp_path)
    assert_failed(result, 1)


@pytest.mark.parametrize("object_id", [0, 0x7FFFFFFF, wire.FIRST_SERVER_ID, 0xFFFFFFFF])
def test_an_answer_to_nobody_is_none(object_id: int, tmp_path: Path) -> None:
    change = faults.with_object(object_id)
    config = Config(faults=(Fault(Step.READY, faults.garbling(change)),))
    result = shoot(config, tmp_path, timeout=TIMEOUT)
    assert_failed(result, 1, "'FAKE-1'")
    assert_waited(result)


@pytest.mark.parametrize("object_id", [0x7FFFFFFF, wire.FIRST_SERVER_ID, 0xFFFFFFFF])
@pytest.mark.parametrize("step", STEPS)
def test_a_message_to_nobody_is_ignored(step: Step, object_id: int, tmp_path: Path) -> None:
    def stray(moment: faults.Moment) -> bool:
        moment.client.send(wire.encode(object_id, 0, "uu", (1, 2)))
        return True

    config = Config(faults=(Fault(step, stray),))
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize("step", STEPS)
def test_noise_is_the_end(step: Step, tmp_path: Path) -> None:
    noise = bytes(range(7, 256, 3)) * 40

    def hiss(moment: faults.Moment) -> bool:
        moment.client.send(noise)
        return False

    assert_failed(shoot(Config(faults=(Fault(step, hiss),)), tmp_path), 1)


def test_a_web_server_is_no_compositor(tmp_path: Path) -> None:
    def answer(moment: faults.Moment) -> bool:
        moment.client.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        moment.client.close()
        return False

    result = shoot(Config(faults=(Fault(Step.GLOBALS, answer),)), tmp_path)
    assert_failed(result, 1, "globals")
