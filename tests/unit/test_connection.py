"""The one place that waits: answers, errors and ends of a connection, against raw bytes."""

import errno
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.descriptors import leaving_no_descriptors
from tests.fake import Config, FakeCompositor
from tests.unit.peer import DISPLAY, REGISTRY, Peer, event
from wayshot_cli.errors import (
    CancelledError,
    CaptureError,
    CaptureTimeoutError,
    UnsupportedError,
)
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.interface import Protocol
from wayshot_cli.wayland.proxy import Proxy

SLACK = 10.0
"""Seconds that a slow machine may add to any bounded wait."""

CHILD = Protocol.interface(
    "test_child_v1",
    2,
    requests=(("destroy", ""),),
    events=(("hello", "u"),),
)
THING = Protocol.interface(
    "test_thing_v1",
    3,
    requests=(
        ("everything", "iufs?saoh?o", "test_thing_v1", "test_thing_v1"),
        ("make_child", "nu", "test_child_v1"),
        ("release", "2"),
    ),
    events=(
        ("everything", "iufs?saoh?o", "test_thing_v1", "test_thing_v1"),
        ("child", "n", "test_child_v1"),
        ("fds", "hh"),
        ("poke", ""),
    ),
)
EVERYTHING, CHILD_MADE, FDS, POKE = range(4)


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    with Peer(("test_thing_v1", 3)) as peer:
        monkeypatch.setenv("WAYLAND_SOCKET", str(peer.take_client_fd()))
        yield peer


@pytest.fixture
def connection(peer: Peer) -> Iterator[Connection]:  # noqa: ARG001 - at the other end
    with Connection(timeout=5) as connection:
        yield connection


@pytest.fixture
def thing(connection: Connection) -> Proxy:
    return bound(connection)


def bound(connection: Connection) -> Proxy:
    offer = connection.find(THING)
    assert offer
    proxy = connection.bind(offer, THING)
    connection.roundtrip("binding the thing")
    return proxy


def id_of(peer: Peer) -> int:
    return peer.bound["test_thing_v1"]


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds + SLACK


def is_closed_everywhere(write_end: int) -> bool:
    """Whether no read end of the pipe is left in any process."""
    try:
        os.write(write_end, b"!")
    except BrokenPipeError:
        return True
    return False


# Messages


def test_arguments_of_every_kind_arrive_as_they_were_said(peer: Peer, thing: Proxy) -> None:
    got: list[Any] = []
    thing.on(everything=lambda *values: got.extend(values))
    read_end, write_end = os.pipe()
    own = id_of(peer)
    said = (-7, 0xFFFFFFFE, -0x180, "caf\u00e9", None, b"\0\1\2", own, None, None)
    peer.say(event(own, EVERYTHING, "iufssaoho", *said), [read_end])
    os.close(read_end)
    thing.connection.wait(lambda: bool(got), "listening")
    *plain, fd, nobody = got
    assert plain == [-7, 0xFFFFFFFE, -1.5, "caf\u00e9", None, b"\0\1\2", thing]
    assert nobody is None
    assert not os.get_inheritable(fd)
    os.close(fd)
    assert is_closed_everywhere(write_end)
    os.close(write_end)


def test_requests_of_every_kind_go_out_as_the_wire_format_has_them(
    peer: Peer, thing: Proxy
) -> None:
    read_end, write_end = os.pipe()
    said = (-7, 0xFFFFFFFE, -1.5, "caf\u00e9", None, b"\0\1\2", thing, read_end, None)
    thing.send("everything", *said)
    os.close(read_end)
    thing.connection.roundtrip("speaking")
    own = id_of(peer)
    expected = event(
        own, 0, "iufssaoho", -7, 0xFFFFFFFE, -0x180, "caf\u00e9", None, b"\0\1\2", own, None, None
    )
    assert peer.requests == [(own, 0, expected[8:])]
    assert len(peer.fds) == 1
    os.write(write_end, b"!")
    assert os.read(peer.fds[0], 1) == b"!"
    os.close(write_end)


@pytest.mark.parametrize(
    ("data", "text"), [(b"", ""), (b"\xff\xfe", "\ufffd\ufffd"), (b"a\x1b[2J", "a\x1b[2J")]
)
def test_strings_that_are_not_text_still_arrive(
    peer: Peer, thing: Proxy, data: bytes, text: str
) -> None:
    got: list[str] = []

    def on_everything(*values: Any) -> None:
        got.append(values[3])
        os.close(values[7])

    thing.on(everything=on_everything)
    own = id_of(peer)
    with open(os.devnull, "rb") as null:
        said = (0, 0, 0, data, None, b"", own, None, None)
        peer.say(event(own, EVERYTHING, "iufssaoho", *said), [null.fileno()])
    thing.connection.wait(lambda: bool(got), "listening")
    assert got == [text]


def test_what_an_object_made_by_an_event_says_next_is_not_lost(peer: Peer, thing: Proxy) -> None:
    got: list[tuple[str, int]] = []

    def on_child(child: Proxy) -> None:
        child.on(hello=lambda number: got.append((child.interface.name, number)))

    thing.on(child=on_child)
    first = 0xFF000000
    peer.say(
        b"".join(
            event(id_of(peer), CHILD_MADE, "n", first + n) + event(first + n, 0, "u", 40 + n)
            for n in range(2)
        )
    )
    thing.connection.wait(lambda: len(got) == 2, "listening")
    assert got == [("test_child_v1", 40), ("test_child_v1", 41)]


def test_a_request_makes_an_object_of_its_makers_version(peer: Peer, thing: Proxy) -> None:
    got: list[int] = []
    child = thing.create("make_child", 5, hello=got.append)
    thing.connection.roundtrip("making a child")
    ((maker, opcode, body),) = peer.requests
    new_id, argument = struct.unpack("=II", body)
    assert (maker, opcode, argument) == (id_of(peer), 1, 5)
    peer.say(event(new_id, 0, "u", 9))
    thing.connection.wait(lambda: bool(got), "listening")
    assert got == [9]
    assert child.version == thing.version == 3


def test_destroying_says_so_once_and_later_events_go_nowhere(peer: Peer, thing: Proxy) -> None:
    got: list[str] = []
    thing.on(poke=lambda: got.append("poke"))
    thing.destroy()
    thing.destroy()
    read_end, write_end = os.pipe()
    peer.say(event(id_of(peer), POKE) + event(id_of(peer), FDS, "hh", None, None), [read_end] * 2)
    os.close(read_end)
    thing.connection.roundtrip("listening")
    assert peer.requests == [(id_of(peer), 2, b"")]  # its destructor is called release
    assert got == []
    assert is_closed_everywhere(write_end)
    os.close(write_end)


def test_a_destructor_that_the_version_lacks_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with Peer(("test_thing_v1", 1)) as peer:
        monkeypatch.setenv("WAYLAND_SOCKET", str(peer.take_client_fd()))
        with Connection(timeout=5) as connection:
            thing = bound(connection)
            thing.destroy()
            connection.roundtrip("listening")
        assert thing.version == peer.versions["test_thing_v1"] == 1
        assert peer.requests == []


def test_a_global_is_bound_at_the_highest_version_that_both_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Peer(("unknown_v1", 1), ("test_thing_v1", 7), ("test_thing_v1", 2)) as peer:
        monkeypatch.setenv("WAYLAND_SOCKET", str(peer.take_client_fd()))
        with Connection(timeout=5) as connection:
            assert [offer.version for offer in connection.find_all(THING)] == [7, 2]
            bound(connection)
            assert peer.versions == {"test_thing_v1": 3}
            peer.say(event(REGISTRY, 1, "u", 2))
            connection.wait(lambda: len(connection.find_all(THING)) == 1, "waiting for the end")
            offer = connection.find(THING)
            assert offer
            assert (offer.name, offer.version) == (3, 2)


def test_thousands_of_objects_do_not_overflow_the_request_buffer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 3000
    with Peer(*[("test_thing_v1", 3)] * count) as peer:
        monkeypatch.setenv("WAYLAND_SOCKET", str(peer.take_client_fd()))
        with Connection(timeout=10) as connection:
            for offer in connection.find_all(THING):
                connection.bind(offer, THING)
            connection.roundtrip("binding")
            assert len(connection.proxies) > count


def test_fds_of_events_that_nobody_handles_are_closed(peer: Peer, thing: Proxy) -> None:
    read_end, write_end = os.pipe()
    peer.say(event(id_of(peer), FDS, "hh", None, None), [read_end, read_end])
    os.close(read_end)
    thing.connection.roundtrip("listening")
    assert is_closed_everywhere(write_end)
    os.close(write_end)


# Exceptions


class HandlerError(Exception):
    """Raised by handlers below."""


@pytest.mark.parametrize("kind", [HandlerError, KeyboardInterrupt, SystemExit, CaptureError])
def test_what_a_handler_raises_reaches_the_waiter(
    peer: Peer, thing: Proxy, kind: type[BaseException]
) -> None:
    raised = kind("from the handler")

    def stumble() -> None:
        raise raised

    thing.on(poke=stumble)
    peer.say(event(id_of(peer), POKE))
    with pytest.raises(kind) as caught:
        thing.connection.wait(lambda: False, "stumbling")
    assert caught.value is raised
    thing.connection.roundtrip("going on")


def test_the_traceback_of_an_exception_leads_to_the_handler(peer: Peer, thing: Proxy) -> None:
    def stumble() -> None:
        raise HandlerError

    thing.on(poke=stumble)
    peer.say(event(id_of(peer), POKE))
    with pytest.raises(HandlerError) as caught:
        thing.connection.wait(lambda: False, "stumbling")
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "stumble"


def test_the_first_of_several_exceptions_is_the_one_raised(peer: Peer, thing: Proxy) -> None:
    raised: list[HandlerError] = []

    def stumble() -> None:
        raised.append(HandlerError(len(raised)))
        raise raised[-1]

    thing.on(poke=stumble)
    peer.say(event(id_of(peer), POKE) * 3)
    with pytest.raises(HandlerError) as caught:
        thing.connection.wait(lambda: False, "stumbling")
    assert caught.value is raised[0]
    with suppress(HandlerError):  # where the three came in more than one batch
        thing.connection.roundtrip("going on")
    thing.connection.roundtrip("going on")


def test_an_exception_stays_in_the_thread_whose_handler_raised_it(
    peer: Peer, thing: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def stumble() -> None:
        inside.set()
        go_on.wait(5)
        raise HandlerError

    thing.on(poke=stumble)
    peer.say(event(id_of(peer), POKE))
    with Peer() as other, ThreadPoolExecutor(1) as pool:
        failing = pool.submit(thing.connection.wait, lambda: False, "stumbling")
        assert inside.wait(5)
        monkeypatch.setenv("WAYLAND_SOCKET", str(other.take_client_fd()))
        with Connection(timeout=5) as connection:
            go_on.set()
            for _ in range(50):
                connection.roundtrip("minding its own business")
        with pytest.raises(HandlerError):
            failing.result(5)


def test_a_signal_handlers_exception_ends_a_wait(connection: Connection) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with at_most(0.1), pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it may come early
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            connection.wait(lambda: False, "waiting")
    finally:
        signal.signal(signal.SIGUSR1, old)
    connection.roundtrip("going on")


# Ends


def test_a_protocol_error_names_interface_code_and_what_was_being_done(
    peer: Peer, thing: Proxy
) -> None:
    peer.say(event(DISPLAY, 0, "ous", id_of(peer), 77, "you did nothing wrong"))
    with pytest.raises(CaptureError, match=r"error 77 on test_thing_v1#\d+.* while doing it"):
        thing.connection.wait(lambda: False, "doing it")
    with pytest.raises(CaptureError, match=r"while doing it again"):
        thing.connection.roundtrip("doing it again")


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_an_error_of_the_display_itself_is_told_as_one(
    peer: Peer, connection: Connection, code: int
) -> None:
    """libwayland keeps errno's EINVAL and such for these; they are no nonsense on the wire."""
    peer.say(event(DISPLAY, 0, "ous", DISPLAY, code, "you did nothing wrong"))
    with pytest.raises(CaptureError) as caught:
        connection.wait(lambda: False, "doing it")
    assert f"reported error {code} on wl_display#1 " in str(caught.value)
    assert str(caught.value).endswith("while doing it")


def test_a_protocol_error_about_an_object_that_has_gone_is_still_told(
    peer: Peer, thing: Proxy
) -> None:
    thing.destroy()
    peer.say(event(DISPLAY, 0, "ous", id_of(peer), 3, "whatever"))
    with pytest.raises(CaptureError, match=r"error 3 on .*while doing it"):
        thing.connection.wait(lambda: False, "doing it")


def test_the_compositors_last_words_are_heard_though_it_no_longer_listens(
    peer: Peer, thing: Proxy
) -> None:
    peer.say(event(DISPLAY, 0, "ous", id_of(peer), 5, "goodbye"))
    peer.hang_up()
    with pytest.raises(CaptureError, match="error 5 on test_thing_v1"):
        thing.connection.roundtrip("speaking")


def test_a_hang_up_is_an_error_at_once(peer: Peer, connection: Connection) -> None:
    threading.Timer(0.1, peer.hang_up).start()
    with at_most(0.1), pytest.raises(CaptureError, match="closed the connection while waiting"):
        connection.wait(lambda: False, "waiting")


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("=II", REGISTRY, 4 << 16),
        event(REGISTRY, 99),
        event(REGISTRY, 0, "u", 9),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
    ids=["a size below the header's", "no such event", "too short", "HTTP"],
)
def test_what_is_not_wayland_is_an_error(peer: Peer, connection: Connection, data: bytes) -> None:
    peer.say(data)
    with at_most(0), pytest.raises(CaptureError, match=r"not Wayland .* while listening"):
        connection.wait(lambda: False, "listening")


def test_a_hang_up_in_the_middle_of_a_message_is_an_error_at_once(
    peer: Peer, connection: Connection
) -> None:
    peer.say(event(REGISTRY, 0, "usu", 9, "x", 1)[:10])
    peer.hang_up()
    with at_most(0), pytest.raises(CaptureError, match="closed the connection while listening"):
        connection.wait(lambda: False, "listening")


def test_silence_is_an_error_at_the_deadline(peer: Peer, connection: Connection) -> None:
    peer.on_sync = lambda _callback: None
    connection.timeout = 0.2
    for _ in range(2):  # a timeout is not the end of the connection
        started = time.monotonic()
        with pytest.raises(CaptureTimeoutError, match="did not answer in time while asking"):
            connection.roundtrip("asking")
        assert 0.2 <= time.monotonic() - started < 0.2 + SLACK
    peer.on_sync = None
    connection.timeout = 5
    connection.roundtrip("asking again")


def test_a_deadline_that_has_passed_is_an_error_without_waiting(connection: Connection) -> None:
    with at_most(0), pytest.raises(CaptureTimeoutError):
        connection.wait(lambda: False, "waiting", time.monotonic() - 1)


def test_what_is_done_already_needs_no_time(connection: Connection) -> None:
    connection.wait(lambda: True, "waiting", time.monotonic() - 1)


@contextmanager
def flooding(peer: Peer) -> Iterator[None]:
    """Let the peer send events without end, as fast as they are read."""
    stop = threading.Event()
    flood = event(id_of(peer), POKE) * 400

    def pour() -> None:
        with suppress(OSError):
            while not stop.is_set():
                peer.say(flood)

    pourer = threading.Thread(target=pour)
    pourer.start()
    try:
        yield
    finally:
        stop.set()
        peer.hang_up()
        pourer.join(5)


def test_a_flood_of_events_does_not_outlast_the_deadline(peer: Peer, thing: Proxy) -> None:
    with flooding(peer):
        deadline = time.monotonic() + 0.3
        with at_most(0.3), pytest.raises(CaptureTimeoutError, match="waiting for something else"):
            thing.connection.wait(lambda: False, "waiting for something else", deadline)


def test_a_compositor_that_reads_nothing_does_not_hold_the_client_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Peer(("test_thing_v1", 3)) as peer:
        client = peer.take_client_fd()
        with socket.socket(fileno=os.dup(client)) as end:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        monkeypatch.setenv("WAYLAND_SOCKET", str(client))
        with Connection(timeout=5) as connection:
            thing = bound(connection)
            asked, go_on = threading.Event(), threading.Event()

            def stop_reading(_callback: int) -> None:
                asked.set()
                go_on.wait(10)

            peer.on_sync = stop_reading
            connection.timeout = 0.3
            with pytest.raises(CaptureTimeoutError):
                connection.roundtrip("stopping it")
            assert asked.wait(5)

            def fill() -> None:
                for _ in range(2000):
                    thing.create("make_child", 1)
                    connection.flush("filling the socket")

            with at_most(0.3), pytest.raises(CaptureTimeoutError, match="filling the socket"):
                fill()
            go_on.set()


def test_waking_from_another_thread_cancels_the_wait(connection: Connection) -> None:
    threading.Timer(0.1, connection.wake).start()
    with at_most(0.1), pytest.raises(CancelledError, match="while waiting"):
        connection.wait(lambda: False, "waiting")
    connection.roundtrip("going on")  # one wake, one cancelled wait


def test_waking_before_a_wait_cancels_it(connection: Connection) -> None:
    connection.wake()
    connection.wake()
    with at_most(0), pytest.raises(CancelledError):
        connection.wait(lambda: False, "waiting")
    connection.roundtrip("going on")


def test_a_flood_does_not_drown_a_wake(peer: Peer, thing: Proxy) -> None:
    with flooding(peer):
        threading.Timer(0.1, thing.connection.wake).start()
        with at_most(0.1), pytest.raises(CancelledError):
            thing.connection.wait(lambda: False, "waiting")


# Opening and closing


def test_closing_twice_does_no_harm(connection: Connection) -> None:
    connection.close()
    connection.close()
    assert not connection.proxies


@pytest.mark.parametrize(
    "use",
    [
        "connection.roundtrip('asking')",
        "connection.wait(lambda: False, 'waiting')",
        "connection.flush('flushing')",
        "connection.bind(connection.find(WL_SHM), WL_SHM)",
        "wayshot_cli.outputs(connection=connection)",
        "wayshot_cli.windows(connection=connection)",
        "wayshot_cli.shot(connection=connection)",
        "wayshot_cli.shot(connection=connection, backend='portal')",
        "wayshot_cli.shot(connection=connection, backend='export-dmabuf')",
        "wayshot_cli.shot_dmabuf(connection=connection)",
        "wayshot_cli.stream(connection=connection)",
        "stream.read()",
        "proxy.send('create_pool', 0, 1)",
        "proxy.create('create_pool', 0, 1)",
    ],
)
def test_a_connection_that_was_closed_says_so_and_never_faults(use: str) -> None:
    script = f"""
import wayshot_cli
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.protocols.core import WL_SHM
with Connection(timeout=20) as connection:
    proxy = connection.bind(connection.find(WL_SHM), WL_SHM)
    stream = wayshot_cli.stream(connection=connection)
proxy.destroy()
try:
    {use}
except wayshot_cli.ClosedError as error:
    print(error)
"""
    with FakeCompositor(Config()) as compositor:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=compositor.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the connection has been closed\n"


def test_nothing_is_left_over_of_200_connections() -> None:
    with FakeCompositor(Config()) as compositor:
        path = compositor.environ["WAYLAND_DISPLAY"]
        Connection(path).close()
        compositor.wait_until_gone()
        with leaving_no_descriptors():
            for _ in range(200):
                with Connection(path) as connection:
                    assert connection.find_all(THING) == []
        compositor.wait_until_gone()
        assert compositor.connections == 201


def test_nothing_is_left_over_of_a_connection_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    with leaving_no_descriptors():
        for _ in range(20):
            with Peer() as peer:
                peer.on_sync = lambda _callback, peer=peer: peer.hang_up()
                monkeypatch.setenv("WAYLAND_SOCKET", str(peer.take_client_fd()))
                with pytest.raises(CaptureError, match="listing the compositor's globals"):
                    Connection(timeout=5)


def test_an_open_connection_that_is_forgotten_does_not_crash_at_exit() -> None:
    script = """
from wayshot_cli.wayland.connection import Connection
keep = Connection(timeout=20)
Connection(timeout=20)
"""
    with FakeCompositor(Config()) as compositor:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", script],
            env=compositor.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_compositor_is_called_by_its_process(connection: Connection) -> None:
    assert connection.compositor == Path("/proc/self/comm").read_text().strip()


def test_an_inherited_socket_is_used_once_and_not_inherited_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Peer() as peer:
        fd = peer.take_client_fd()
        os.set_inheritable(fd, True)  # noqa: FBT003 - positional only
        monkeypatch.setenv("WAYLAND_SOCKET", str(fd))
        with Connection(timeout=5):
            assert "WAYLAND_SOCKET" not in os.environ
            assert not os.get_inheritable(fd)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


@pytest.mark.parametrize("value", ["", "seven", "-1", "4711", "99999999999999999999"])
def test_an_inherited_socket_that_is_none_is_told(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("WAYLAND_SOCKET", value)
    with pytest.raises(UnsupportedError, match="WAYLAND_SOCKET"):
        Connection(timeout=1)


@pytest.mark.parametrize("kind", ["/dev/null", "a pipe's read end", "a pipe's write end"])
def test_an_inherited_descriptor_that_is_no_socket_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    read_end, write_end = os.pipe()
    with open(read_end, "rb"), open(write_end, "wb"), open("/dev/null", "rb") as null:
        fds = {"/dev/null": null.fileno(), "a pipe's read end": read_end}
        monkeypatch.setenv("WAYLAND_SOCKET", str(fds.get(kind, write_end)))
        with at_most(0), pytest.raises(UnsupportedError, match="WAYLAND_SOCKET") as caught:
            Connection(timeout=30)
    assert caught.value.exit_code == 4


def nowhere(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setenv("XDG_RUNTIME_DIR", str(folder))
    patch.setenv("WAYLAND_DISPLAY", "wayland-7")


def no_runtime_dir(patch: pytest.MonkeyPatch, _folder: Path) -> None:
    patch.delenv("XDG_RUNTIME_DIR", raising=False)
    patch.delenv("WAYLAND_DISPLAY", raising=False)


def relative_runtime_dir(patch: pytest.MonkeyPatch, _folder: Path) -> None:
    patch.setenv("XDG_RUNTIME_DIR", "run")


def a_file(patch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "wayland-7").touch()
    nowhere(patch, folder)


def too_long(patch: pytest.MonkeyPatch, folder: Path) -> None:
    nowhere(patch, folder)
    patch.setenv("WAYLAND_DISPLAY", "w" * 200)


def nobody_listens(patch: pytest.MonkeyPatch, folder: Path) -> None:
    nowhere(patch, folder)
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(folder / "wayland-7"))


@pytest.mark.parametrize(
    "arrange", [nowhere, no_runtime_dir, relative_runtime_dir, a_file, too_long, nobody_listens]
)
def test_no_compositor_is_an_error_with_a_way_out(
    arrange: Callable[[pytest.MonkeyPatch, Path], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("WAYLAND_SOCKET", raising=False)
    arrange(monkeypatch, tmp_path)
    with (
        leaving_no_descriptors(),
        pytest.raises(UnsupportedError, match="no Wayland") as caught,
    ):
        Connection(timeout=1)
    assert caught.value.hint


def test_a_full_backlog_is_an_error_at_the_deadline(tmp_path: Path) -> None:
    path = str(tmp_path / "busy")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
        waiting = [socket.socket(socket.AF_UNIX, kind) for _ in range(3)]
        assert errno.EAGAIN in [end.connect_ex(path) for end in waiting]
        with at_most(0.2), pytest.raises(CaptureTimeoutError, match="accepts no connections"):
            Connection(path, timeout=0.2)
        for end in waiting:
            end.close()


# Beside pywayland's own client


@pytest.mark.parametrize("order", ["before", "after", "between"])
def test_pywaylands_client_and_ours_do_not_disturb_each_other(order: str) -> None:
    theirs = """
def use_theirs():
    from pywayland.client import Display
    import pywayland.protocol.wayland
    seen = []
    display = Display()
    display.connect()
    registry = display.get_registry()
    registry.dispatcher["global"] = lambda _r, name, interface, version: seen.append(interface)
    display.roundtrip()
    assert "wl_output" in seen, seen
    registry.destroy()
    display.disconnect()
"""
    ours = """
def use_ours():
    import wayshot_cli
    frame = wayshot_cli.shot()
    assert (frame.width, frame.height) == (64, 48)
    frame.to_numpy()
"""
    calls = {
        "before": "use_theirs(); use_ours()",
        "after": "use_ours(); use_theirs(); use_ours()",
        "between": "import wayshot_cli.wayland.proxy, pywayland.client; use_ours(); use_theirs()",
    }
    with FakeCompositor(Config()) as compositor:
        done = subprocess.run(
            [sys.executable, "-c", theirs + ours + calls[order]],
            env=compositor.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        compositor.wait_until_gone()
        assert compositor.violations == []
