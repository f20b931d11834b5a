"""The library in several threads, and after a fork."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import wayshot_cli as wayshot
from tests.descriptors import leaving_no_more, links
from tests.fake import Config, FakeCompositor, Output
from tests.processes import in_a_fork
from wayshot_cli.errors import ClosedError, ConcurrentUseError
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.protocols.core import WL_SHM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wayshot_cli.wayland.proxy import Proxy

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0
OUTPUT = Output("HEADLESS-1", 64, 48)


@pytest.fixture(params=[{}, {"image_copy_version": 1, "screencopy_version": 0}], ids=str)
def compositor(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeCompositor]:
    config = Config(outputs=(OUTPUT,), idle=True, **request.param)
    with FakeCompositor(config) as compositor:
        for name, value in compositor.environ.items():
            monkeypatch.setenv(name, value)
        yield compositor
        compositor.wait_until_gone()
        assert compositor.violations == compositor.leaks == []


def is_right(frame: wayshot.Frame) -> bool:
    return np.array_equal(frame.to_numpy(), OUTPUT.upright(0))


def test_shots_in_many_threads_at_once_are_all_right_and_leave_nothing(
    compositor: FakeCompositor, tmp_path: Path
) -> None:
    np.save(tmp_path / "expected.npy", OUTPUT.upright(0))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.shooters",
            tmp_path / "expected.npy",
            "8",
            "50",
            "HEADLESS-1",
        ],
        env=compositor.env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def read_in_another_thread(
    stream: wayshot.FrameStream, compositor: FakeCompositor
) -> Iterator[None]:
    """Let another thread wait for what an idle screen does not give, as long as the block runs."""
    frames: list[wayshot.Frame] = []
    thread = threading.Thread(target=lambda: frames.extend(stream))
    thread.start()
    try:
        if compositor.config.image_copy_version:
            compositor.wait_for("ext_image_copy_capture_frame_v1", "capture", 2)
        else:  # the first one is answered
            compositor.wait_for("zwlr_screencopy_frame_v1", "copy_with_damage", 2)
        yield
        assert thread.is_alive()
    finally:
        stream.stop()
        thread.join(PATIENCE)
    assert 1 <= len(frames) <= 2
    assert all(map(is_right, frames))


each_use = pytest.mark.parametrize(
    "use",
    [
        lambda connection: wayshot.shot(connection=connection),
        lambda connection: wayshot.outputs(connection=connection),
        lambda connection: wayshot.windows(connection=connection),
        lambda connection: wayshot.stream(connection=connection),
        lambda connection: connection.roundtrip("trying"),
        lambda connection: connection.close(),
    ],
    ids=["shot", "outputs", "windows", "stream", "roundtrip", "close"],
)


@each_use
def test_a_connection_that_another_thread_uses_says_so(
    use: Callable[[Connection], object], compositor: FakeCompositor
) -> None:
    with Connection() as connection:
        with (
            wayshot.stream(connection=connection) as stream,
            read_in_another_thread(stream, compositor),
            pytest.raises(ConcurrentUseError, match="another thread") as caught,
        ):
            use(connection)
        assert caught.value.hint
        assert is_right(wayshot.shot(connection=connection))


def test_a_stream_that_another_thread_reads_says_so_and_goes_on(
    compositor: FakeCompositor,
) -> None:
    with wayshot.stream() as stream:
        with read_in_another_thread(stream, compositor):
            for use in (stream.read, stream.close):
                with pytest.raises(ConcurrentUseError):
                    use()
            assert not stream.is_closed
        assert stream.is_closed


def read_and_be_interrupted(
    stream: wayshot.FrameStream, compositor: FakeCompositor, use: Callable[[], object]
) -> None:
    """Wait for what an idle screen does not give, and use things in a signal handler meanwhile."""
    refused: list[ConcurrentUseError] = []

    def handle(*_: object) -> None:
        with pytest.raises(ConcurrentUseError, match="in the middle of a wait") as caught:
            use()
        refused.append(caught.value)

    while stream.read(0.1) or not compositor.is_watched("HEADLESS-1"):  # screencopy has two
        pass
    before = signal.signal(signal.SIGALRM, handle)
    try:
        stream._source.connection.call_at(  # in the wait, and not before it
            0, lambda: signal.setitimer(signal.ITIMER_REAL, 0.1)
        )
        assert stream.read(0.5) is None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert [error.hint for error in refused if error.hint]


@each_use
def test_a_signal_handler_cannot_use_a_connection_that_waits(
    use: Callable[[Connection], object], compositor: FakeCompositor
) -> None:
    with Connection() as connection:
        with wayshot.stream(connection=connection) as stream:
            read_and_be_interrupted(stream, compositor, lambda: use(connection))
        assert is_right(wayshot.shot(connection=connection))


@pytest.mark.usefixtures("compositor")
def test_a_handler_of_events_may_bind_any_number_of_globals() -> None:
    """Which sends what is queued, every now and then."""
    with Connection(timeout=PATIENCE) as connection:
        offer = connection.find(WL_SHM)
        assert offer
        bound: list[Proxy] = []

        def on_format(_format: int) -> None:
            if not bound:
                bound.extend(connection.bind(offer, WL_SHM) for _ in range(100))

        connection.bind(offer, WL_SHM).on(format=on_format)
        connection.roundtrip("asking for formats")
        connection.roundtrip("binding")
    assert len(bound) == 100


def test_nor_a_stream_that_waits(compositor: FakeCompositor) -> None:
    with wayshot.stream() as stream:
        for use in (stream.read, stream.close):
            read_and_be_interrupted(stream, compositor, use)
            assert not stream.is_closed


@pytest.mark.usefixtures("compositor")
def test_a_stream_may_go_out_of_scope_while_its_connection_waits() -> None:
    with Connection() as connection:
        streams = [wayshot.stream(connection=connection)]
        assert is_right(next(streams[0]))
        before = len(connection.proxies)
        connection.call_at(0, streams.clear)
        connection.wait(lambda: not streams, "letting go of it")
        assert len(connection.proxies) < before


def eventfds() -> int:
    """Count the descriptors that streams have, and nobody else here."""
    return links().count("anon_inode:[eventfd]")


@pytest.mark.parametrize("is_used_again", [True, False])
@pytest.mark.usefixtures("compositor")
def test_a_stream_may_go_out_of_scope_while_another_thread_uses_its_connection(
    *, is_used_again: bool
) -> None:
    with leaving_no_more(eventfds, collecting=False), Connection() as connection:
        before = eventfds()
        streams = [wayshot.stream(connection=connection)]
        assert is_right(next(streams[0]))
        bound = len(connection.proxies)
        in_wait = threading.Event()
        connection.call_at(0, in_wait.set)
        thread = threading.Thread(target=connection.sleep, args=[0.2])
        thread.start()
        assert in_wait.wait(PATIENCE)
        streams.clear()  # pytest fails for what a finalizer raises
        thread.join(PATIENCE)
        if is_used_again:
            connection.roundtrip("trying")
            assert eventfds() <= before
            assert len(connection.proxies) < bound
            assert is_right(wayshot.shot(connection=connection))


@pytest.mark.usefixtures("compositor")
def test_one_thread_after_the_other_may_use_a_connection() -> None:
    with Connection() as connection:
        for _ in range(3):
            frames: list[wayshot.Frame] = []
            thread = threading.Thread(
                target=lambda: frames.append(wayshot.shot(connection=connection))  # noqa: B023
            )
            thread.start()
            thread.join(PATIENCE)
            assert is_right(*frames)


def test_a_forked_process_gets_nothing_through_what_its_parent_opened(
    compositor: FakeCompositor,
) -> None:
    with Connection() as connection, wayshot.stream(connection=connection) as stream:
        frame = next(stream)
        sent = len(compositor.requests)

        def in_child() -> None:
            for use in (
                lambda: wayshot.shot(connection=connection),
                lambda: connection.roundtrip("trying"),
                stream.read,
            ):
                with pytest.raises(ClosedError):
                    use()
            stream.close()
            connection.close()
            assert is_right(frame)  # which shows what the parent's does
            frame.close()

        in_a_fork(in_child)
        assert len(compositor.requests) == sent
        assert is_right(frame)
        compositor.damage("HEADLESS-1")
        assert is_right(next(stream))


@pytest.mark.usefixtures("compositor")
def test_a_forked_process_may_open_its_own_while_other_threads_capture() -> None:
    done = threading.Event()

    def shoot() -> None:
        while not done.is_set():
            wayshot.shot().close()

    def shoot_right() -> None:
        assert is_right(wayshot.shot())

    threads = [threading.Thread(target=shoot) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            in_a_fork(shoot_right)
    finally:
        done.set()
        for thread in threads:
            thread.join(PATIENCE)
