"""What happens at a time while something else is waited for."""

import os
import select
import threading
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic

import pytest

from tests.fake import FakeCompositor
from tests.processes import held_elsewhere, in_a_fork
from wayshot_cli.errors import CaptureTimeoutError
from wayshot_cli.waiting import Waiter
from wayshot_cli.wayland.connection import Connection


@pytest.fixture(params=["alone", "beside a compositor"])
def waiter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiter]:
    if request.param == "alone":
        with Waiter() as waiter:
            yield waiter
        return
    monkeypatch.delenv("WAYLAND_SOCKET", raising=False)
    with FakeCompositor() as compositor:
        for name, value in compositor.environ.items():
            monkeypatch.setenv(name, value)
        with Connection() as connection:
            yield connection


def test_a_handler_is_called_once_at_its_time(waiter: Waiter) -> None:
    called: list[float] = []
    due = monotonic() + 0.1
    waiter.call_at(due, lambda: called.append(monotonic()))
    waiter.wait(lambda: bool(called), "waiting")
    waiter.sleep(0.1)
    assert len(called) == 1
    assert called[0] >= due


def test_it_may_ask_to_be_called_again(waiter: Waiter) -> None:
    called: list[float] = []

    def again() -> None:
        called.append(monotonic())
        waiter.call_at(monotonic() + 0.01, again)

    waiter.call_at(monotonic(), again)
    waiter.wait(lambda: len(called) == 5, "waiting")
    waiter.call_off(again)
    waiter.sleep(0.05)
    assert len(called) == 5


def test_what_is_called_off_does_not_happen(waiter: Waiter) -> None:
    waiter.call_at(monotonic(), pytest.fail)
    waiter.call_off(pytest.fail)
    waiter.call_off(pytest.fail)
    waiter.sleep(0.05)


def test_a_deadline_before_it_holds(waiter: Waiter) -> None:
    waiter.call_at(monotonic() + 60, pytest.fail)
    with pytest.raises(CaptureTimeoutError):
        waiter.wait(lambda: False, "waiting", monotonic() + 0.05)


def test_what_is_there_at_a_deadline_that_has_passed_is_taken(waiter: Waiter) -> None:
    reading_fd, writing_fd = os.pipe()
    try:
        os.write(writing_fd, b"x")
        read: list[bytes] = []
        waiter.watch(reading_fd, lambda: read.append(os.read(reading_fd, 1)))
        waiter.wait(lambda: bool(read), "waiting", monotonic() - 1)
        with pytest.raises(CaptureTimeoutError):
            waiter.wait(lambda: len(read) == 2, "waiting", monotonic() - 1)
    finally:
        waiter.unwatch(reading_fd)
        os.close(reading_fd)
        os.close(writing_fd)


def test_what_a_handler_raises_reaches_whoever_waits(waiter: Waiter) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    waiter.call_at(monotonic(), fail)
    with pytest.raises(ZeroDivisionError):
        waiter.sleep(1)
    waiter.sleep(0.01)


def test_a_handler_that_writes_is_called_when_there_is_room(waiter: Waiter) -> None:
    reading_fd, writing_fd = os.pipe()
    try:
        os.set_blocking(writing_fd, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writing_fd, bytes(1 << 16))
        called: list[int] = []
        waiter.watch(writing_fd, lambda: called.append(1), select.POLLOUT)
        waiter.sleep(0.05)
        assert not called
        os.read(reading_fd, 1 << 16)
        waiter.wait(lambda: bool(called), "waiting")
        waiter.unwatch(writing_fd)
    finally:
        os.close(reading_fd)
        os.close(writing_fd)


def test_one_that_is_being_woken_is_closed_after_that(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is woken late, as by what was left behind, may be closing it in another thread."""
    closing = threading.Thread(target=waiter.close)
    write = os.write

    def slowly(fd: int, data: bytes) -> int:
        monkeypatch.undo()
        closing.start()
        closing.join(0.1)
        return write(fd, data)

    monkeypatch.setattr(os, "write", slowly)
    waiter.wake()
    closing.join()
    assert waiter.is_closed
    waiter.wake()


def test_a_forked_process_does_not_wait_for_threads_of_its_parent(waiter: Waiter) -> None:
    """One may have been waking it: in the child the lock is then held for ever."""

    def use() -> None:
        waiter.wake()
        waiter.close()

    with held_elsewhere(waiter._waking):
        in_a_fork(use)
    waiter.wait(lambda: True, "testing")
    waiter.sleep(0)  # which nobody has woken
