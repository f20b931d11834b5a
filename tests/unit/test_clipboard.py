"""What is offered on the clipboard, and how long a reader may take for it."""

import os
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayshot_cli import clipboard, waiting
from wayshot_cli.errors import CaptureTimeoutError
from wayshot_cli.waiting import Waiter

PATIENCE = 0.6


def test_a_text_has_the_names_that_applications_ask_for() -> None:
    offers = clipboard.text("caf\N{LATIN SMALL LETTER E WITH ACUTE}")
    assert next(iter(offers)) == "text/plain;charset=utf-8"
    assert {"text/plain", "UTF8_STRING", "TEXT", "STRING"} < offers.keys()
    assert set(offers.values()) == {b"caf\xc3\xa9"}


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name and b"/" not in name))
def test_a_file_is_a_uri_that_leads_to_it(name: bytes) -> None:
    offers = clipboard.file(os.fsdecode(b"/tmp/" + name))
    path = os.path.normpath(b"/tmp/" + name)
    uri, end = offers["text/uri-list"].split(b"\r\n")
    assert end == b""
    assert uri.startswith(b"file:///")
    assert uri.isascii()
    assert not {*b' \r\n"<>#?'} & set(uri)
    assert unquote_to_bytes(uri.removeprefix(b"file://")) == path
    assert offers["x-special/gnome-copied-files"] == b"copy\n" + uri


def test_a_file_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert clipboard.file("a b.png")["text/uri-list"] == f"file://{tmp_path}/a%20b.png\r\n".encode()


@pytest.fixture
def waiter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiter]:
    """Wait for readers who are soon too slow."""
    monkeypatch.setattr(clipboard, "_PATIENCE", PATIENCE)
    with Waiter(20) as waiter:
        yield waiter


def test_who_takes_nothing_is_given_up(waiter: Waiter) -> None:
    reading_fd, writing_fd = os.pipe()
    ended: list[object] = []
    reader = clipboard._Reader(waiter, writing_fd, bytes(1 << 20), ended.append)
    waiter.wait(lambda: bool(ended), "testing")
    assert ended == [reader]
    with open(reading_fd, "rb") as file:
        assert len(file.read()) < 1 << 20


def test_who_takes_a_little_now_and_then_gets_all(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = monotonic()
    for module in (clipboard, waiting):
        monkeypatch.setattr(module, "monotonic", lambda: now)
    reading_fd, writing_fd = os.pipe()
    ended: list[object] = []
    reader = clipboard._Reader(waiter, writing_fd, bytes(1 << 19), ended.append)

    def wait_until_given_more() -> None:
        before = len(reader._rest)
        waiter.wait(lambda: bool(ended) or len(reader._rest) < before, "testing")

    wait_until_given_more()
    taken = 0
    while not ended:
        now += PATIENCE * 0.9
        taken += len(os.read(reading_fd, 1 << 15))
        wait_until_given_more()
    with open(reading_fd, "rb") as file:
        assert taken + len(file.read()) == 1 << 19


def test_nobody_waits_for_whom_was_given_all(waiter: Waiter) -> None:
    reading_fd, writing_fd = os.pipe()
    ended: list[object] = []
    clipboard._Reader(waiter, writing_fd, b"all", ended.append)
    waiter.wait(lambda: bool(ended), "testing")
    with open(reading_fd, "rb") as file:
        assert file.read() == b"all"
    with pytest.raises(CaptureTimeoutError):
        waiter.wait(lambda: len(ended) > 1, "testing", waiter.deadline() - 20 + 2 * PATIENCE)
