"""A session bus that is none: it keeps silent, talks nonsense, or hangs up."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.descriptors import leaving_no_descriptors
from tests.fake import Config, FakeCompositor
from tests.portal.bus import PATIENCE
from wayshot_cli.backends.portal import Portal
from wayshot_cli.errors import CaptureError, CaptureTimeoutError, UnsupportedError, WayshotError
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHORT = 0.3

HELLO = b"OK 1234deadbeef\r\n"
AGREED = b"AGREE_UNIX_FD\r\n"
HEADER = b"l\x02\x00\x01"  # little-endian, a reply, no flags, version 1


def failure(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    serve: Callable[[socket.socket], None],
    timeout: float = PATIENCE,
) -> WayshotError:
    """Return how connecting to a bus ends that ``serve`` plays; ``timeout`` is for the bus."""
    path = tmp_path / "bus"
    with leaving_no_descriptors(), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(PATIENCE)

        def run() -> None:
            # Whoever has had enough may hang up while something is said to it.
            with listener.accept()[0] as client, contextlib.suppress(ConnectionError):
                client.settimeout(PATIENCE)
                serve(client)

        server = threading.Thread(target=run)
        server.start()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={path}")
        with Connection() as connection:
            connection.timeout = timeout
            with pytest.raises(WayshotError) as info:
                Portal(connection)
        server.join(PATIENCE)
    path.unlink()
    return info.value


def until_hang_up(client: socket.socket) -> None:
    """Read until the other side has had enough."""
    while client.recv(4096):
        pass


def after_hello(data: bytes) -> Callable[[socket.socket], None]:
    """Serve the authentication, then these bytes for an answer to Hello."""

    def serve(client: socket.socket) -> None:
        client.recv(4096)
        client.send(HELLO[:4])
        client.send(HELLO[4:])
        client.recv(4096)
        client.send(AGREED)
        client.recv(4096)
        client.send(data)
        until_hang_up(client)

    return serve


@pytest.mark.usefixtures("compositor")
@pytest.mark.parametrize("said", [b"", HELLO, HELLO + AGREED])
def test_silence_has_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    def serve(client: socket.socket) -> None:
        for line in said.splitlines(keepends=True):
            client.recv(4096)
            client.send(line)
        until_hang_up(client)

    error = failure(tmp_path, monkeypatch, serve, SHORT)
    assert type(error) is CaptureTimeoutError
    assert "bus" in str(error)


@pytest.mark.usefixtures("compositor")
@pytest.mark.parametrize("said", [b"REJECTED EXTERNAL\r\n", b"ERROR\r\n", HELLO + HELLO])
def test_a_bus_may_refuse_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    def serve(client: socket.socket) -> None:
        client.recv(4096)
        client.send(said)
        until_hang_up(client)

    error = failure(tmp_path, monkeypatch, serve)
    assert type(error) is UnsupportedError
    assert "refuses us" in str(error)


@pytest.mark.usefixtures("compositor")
@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\0" * 64,
        HEADER + b"\xff\xff\xff\x7f" + b"\x01\0\0\0" + b"\xff\xff\xff\xff" + b"\0" * 64,
        HEADER + b"\0\0\0\0\x01\0\0\0\x08\0\0\0" + b"\x05\x01u\0\x01\0\0\0" + b"\x09\x01u\0",
        HEADER + b"\x04\0\0\0\x01\0\0\0\x10\0\0\0\x05\x01u\0\x01\0\0\0\x09\x01u\0\x05\0\0\0abcd",
        HEADER
        + b"\x04\0\0\0\x01\0\0\0\x0f\0\0\0\x05\x01u\0\x01\0\0\0\x08\x01g\0\x01s\0\0"
        + b"\xff\xff\xff\xff",
    ],
    ids=["text", "zeros", "huge", "half", "missing fds", "string beyond the end"],
)
def test_what_is_not_dbus_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    error = failure(tmp_path, monkeypatch, after_hello(data), SHORT)
    assert type(error) in {CaptureError, CaptureTimeoutError}


@pytest.mark.usefixtures("compositor")
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_bus_may_hang_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    def serve(client: socket.socket) -> None:
        for line in (HELLO, AGREED)[:steps]:
            client.recv(4096)
            client.send(line)
        client.recv(4096)

    error = failure(tmp_path, monkeypatch, serve)
    assert type(error) is CaptureError
    assert "closed the connection" in str(error)


@pytest.mark.usefixtures("compositor")
def test_a_full_backlog_has_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bus"
    with leaving_no_descriptors(), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        waiting = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)]
        while waiting[-1].connect_ex(str(path)) == 0:
            waiting.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={path}")
        with Connection() as connection:
            connection.timeout = SHORT
            with pytest.raises(CaptureTimeoutError):
                Portal(connection)
        for client in waiting:
            client.close()


@pytest.mark.parametrize("words", [[], ["-o", "FAKE-1"], ["-g", "0,0 5x5", "-c"]], ids=" ".join)
def test_nobody_asks_it_for_what_the_compositor_gives(tmp_path: Path, words: list[str]) -> None:
    with (
        socket.socket(socket.AF_UNIX) as listener,
        FakeCompositor(Config(image_copy_version=1)) as compositor,
    ):
        listener.bind(str(tmp_path / "bus"))
        listener.listen()
        listener.settimeout(0)
        done = subprocess.run(
            [sys.executable, "-m", "wayshot_cli", *words, "shot.png"],
            env={**compositor.env, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path}/bus"},
            cwd=tmp_path,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        with pytest.raises(BlockingIOError):
            listener.accept()
