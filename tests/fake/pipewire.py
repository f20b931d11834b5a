"""A PipeWire of the tests' own: bus, daemon and session manager, and producers that obey.

    with PipeWire() as pipewire, pipewire.producer() as producer:
        producer.offer(8, 64, 48)
        subprocess.run(["wayshot", "--pipewire-node", str(producer.node)], env=pipewire.env)
        producer.send(seed=5, stride=512)

Nothing outlives the ``with`` block, nor the tests if they are killed.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from tests.processes import UNTIL_OUR_END, end, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.live.client import Picture

READY = "WAYSHOT_TEST_PRODUCER"
"""The environment variable that names a producer that is compiled already."""

PATIENCE = 30.0
"""Seconds that each of them has for a start, or for an answer."""

BGRX, RGB = 8, 15

# The modules that captures take, none of which asks D-Bus for anything.
DAEMON = """
context.properties = { core.daemon = true core.name = pipewire-0 support.dbus = false }
context.spa-libs = { support.* = support/libspa-support }
context.modules = [
    { name = libpipewire-module-protocol-native }
    { name = libpipewire-module-access }
    { name = libpipewire-module-client-node }
    { name = libpipewire-module-adapter }
    { name = libpipewire-module-metadata }
    { name = libpipewire-module-link-factory }
    { name = libpipewire-module-session-manager }
]
"""


class PipeWireError(Exception):
    """One of them did not start, or did not do as told."""


@functools.cache
def compiled() -> Path:
    """Compile the producer, once. Needs libpipewire-0.3-dev and pkg-config.

    In the guest there is no compiler: it gets one that is ready.
    """
    if ready := os.environ.get(READY):
        return Path(ready)
    program = Path(tempfile.mkdtemp(prefix="producer-")) / "producer"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libpipewire-0.3"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    source = str(Path(__file__).with_suffix(".c"))
    subprocess.run(["gcc", "-w", "-o", str(program), source, *flags], check=True)
    return program


class PipeWire:
    """A private daemon with its session manager, in a runtime directory of its own."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self.runtime_dir = Path()
        self.env: dict[str, str] = {}
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Start all, and wait until the session manager links."""
        self.runtime_dir = Path(tempfile.mkdtemp(prefix="pipewire-"))
        self.env = {
            **{name: value for name, value in os.environ.items() if name != "WAYLAND_DISPLAY"},
            "XDG_RUNTIME_DIR": str(self.runtime_dir),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.runtime_dir}/bus",
            "HOME": str(self.runtime_dir),
            "XDG_STATE_HOME": str(self.runtime_dir),
        }
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End everything."""
        self.close()

    def close(self) -> None:
        """End the session manager, the daemon and the bus, in this order."""
        while self._processes:
            end(self._processes.pop())
        shutil.rmtree(self.runtime_dir, ignore_errors=True)

    @property
    def daemon(self) -> subprocess.Popen[bytes]:
        """The daemon."""
        return self._processes[1]

    def producer(self, *words: str) -> Producer:
        """Return a producer that is to be started: with ``daemon-allocates``, without memory."""
        return Producer(self, words)

    def spawn(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Run a command until this ends; its words go to a file by its name."""
        log = f"{Path(command[0]).name}.log"
        process = spawn(command, env=self.env, folder=self.runtime_dir, log=log)
        self._processes.append(process)
        return process

    def _start(self) -> None:
        config = self.runtime_dir / "daemon.conf"
        config.write_text(DAEMON)
        address = self.env["DBUS_SESSION_BUS_ADDRESS"]
        self.spawn(["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={address}"])
        self._wait_for((self.runtime_dir / "bus").exists, "the bus")
        self.spawn(["pipewire", "-c", str(config)])
        self._wait_for((self.runtime_dir / "pipewire-0").exists, "the daemon")
        self.spawn(["wireplumber"])
        # It has loaded its policy once it has made the metadata that others set.
        self._wait_for(lambda: '"default"' in self._metadata(), "the session manager")

    def _metadata(self) -> str:
        command = ["pw-cli", "ls", "Metadata"]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        return done.stdout

    def _wait_for(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > deadline or self._processes[-1].poll() is not None:
                logs = "\n".join(p.read_text() for p in self.runtime_dir.glob("*.log"))
                message = f"{what} did not start:\n{logs}"
                raise PipeWireError(message)
            time.sleep(0.02)


class Producer:
    """A node that sends pictures as it is told; the words are those of pipewire.c."""

    def __init__(self, pipewire: PipeWire, words: Sequence[str]) -> None:
        """Start nothing yet."""
        self._pipewire = pipewire
        self._words = words
        self._said: queue.Queue[str] = queue.Queue()
        self.node = -1

    def __enter__(self) -> Self:
        """Start it."""
        self.process = subprocess.Popen(
            [*UNTIL_OUR_END, str(compiled()), *self._words],
            env=self._pipewire.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        end(self.process)
        self._reader.join(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._said.put(line.rstrip("\n"))
        self._said.put("end")

    def tell(self, verb: str, *words: object, **settings: int) -> None:
        """Say a line to it; settings stay until they are set again."""
        assert self.process.stdin
        pairs = [f"{name.replace('_', '-')}={value}" for name, value in settings.items()]
        self.process.stdin.write(" ".join([verb, *map(str, words), *pairs]) + "\n")
        self.process.stdin.flush()

    def wait_for(self, start: str, patience: float = PATIENCE) -> str:
        """Return the next line that starts so; those before it are forgotten."""
        deadline = time.monotonic() + patience
        heard = []
        while time.monotonic() < deadline:
            try:
                line = self._said.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if line.startswith(start):
                return line
            heard.append(line)
        message = f"the producer never said {start!r}, but {heard}"
        raise PipeWireError(message)

    def offer(self, format_: int, width: int, height: int, *modifiers: int) -> None:
        """Offer one format: at first, or in place of the one before.

        With several modifiers, the consumer is to choose; with ``fixates``, we do it as well.
        """
        self.tell("format", format_, width, height, *modifiers)
        if self.node < 0:
            self.node = int(self.wait_for("node ").split()[1])

    def send(self, **settings: int) -> None:
        """Send a picture, once somebody takes pictures."""
        self.tell("send", **settings)
        self.wait_for("sent")


def picture(width: int, height: int, seed: int = 0, *, bytes_per_pixel: int = 4) -> Picture:
    """What a producer sends: bytes, of shape (height, width * bytes_per_pixel)."""
    y, x = np.mgrid[:height, : width * bytes_per_pixel]
    return np.asarray((y * 31 + x * 7 + seed) & 0xFF, np.uint8)


@contextlib.contextmanager
def sending(producer: Producer, seed: int) -> Iterator[None]:
    """Send the same picture all the while, from when somebody takes it."""
    is_over = threading.Event()

    def send() -> None:
        while not is_over.wait(0.02):
            producer.tell("send", seed=seed)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
