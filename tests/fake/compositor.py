"""A Wayland compositor for tests, which knows every pixel and can go wrong on purpose.

It serves wl_shm, wl_output, xdg-output, wlr-screencopy and ext-image-copy-capture over a Unix
socket, speaks the wire format by itself (:mod:`tests.fake.wire`) and runs in a thread of the test::

    config = Config(outputs=(Output("FAKE-1", 64, 48, transform=1),), screencopy_version=2)
    with FakeCompositor(config) as compositor:
        subprocess.run([sys.executable, "-m", "wayshot_cli", "shot.png"], env=compositor.env)
        assert compositor.violations == []  # the client obeyed the protocol
        assert compositor.leaks == []  # and destroyed what it had made
    expected = config.outputs[0].upright(0)  # height x width x RGB, see tests.fake.pixels.pattern

``env`` is os.environ with WAYLAND_DISPLAY (an absolute path) and XDG_RUNTIME_DIR; ``environ`` holds
only these two, for monkeypatch. What is to go wrong stands in ``Config.faults``
(:mod:`tests.fake.faults`) or in the lies of an :class:`Output` (:mod:`tests.fake.config`).  An
output with a film (:mod:`tests.fake.film`) changes its picture, on a clock that a test may steer.

While it runs a test may change things (``add_output``, ``remove_output``, ``change_output``,
``damage``, ``advance_to``, ``hang_up``) and look on (``requests``, ``count``, ``wait_for``,
``is_watched``, ``wait_until_watched``, ``connections``, ``connected``, ``held_fds``). All these may
be called from any thread.
"""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import shutil
import socket
import tempfile
import threading
import time
from collections import Counter, deque
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from tests.fake.client import Client, Request
from tests.fake.config import Config, Output
from tests.fake.data_control import Clipboard, ExtDataManager, WlrDataManager
from tests.fake.dmabuf import ExportManager, LinuxDmabuf
from tests.fake.faults import Fault, Moment, Step
from tests.fake.film import VirtualClock
from tests.fake.image_copy import (
    BUFFER_CONSTRAINTS,
    STOPPED,
    ImageCopyManager,
    ImageSession,
    OutputSourceManager,
    Seat,
)
from tests.fake.layers import Compositor, LayerShell, LayerSurface, Viewporter
from tests.fake.resources import (
    Buffer,
    Copy,
    Head,
    Registry,
    Resource,
    ScreencopyManager,
    Shm,
    ShmPool,
    WlOutput,
    XdgOutput,
    XdgOutputManager,
)
from tests.fake.toplevels import (
    Desktop,
    ToplevelList,
    ToplevelManager,
    ToplevelSourceManager,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fake.layers import Shown

T = TypeVar("T")

PATIENCE = 10.0  # seconds that a call from another thread waits for the server's


@dataclass(frozen=True)
class Global:
    """An entry of the registry."""

    kind: type[Resource] | None
    interface: str
    version: int
    head: Head | None = None


@dataclass(order=True)
class Timer:
    """A call at a time."""

    when: float
    order: int
    call: Callable[[], None] = field(compare=False)


class FakeCompositor:
    """The server; see the module."""

    def __init__(self, config: Config | None = None) -> None:
        """Prepare; nothing listens before ``with``."""
        self.config = config or Config()
        self.violations: list[str] = []
        self.leaks: list[str] = []
        self.requests: list[Request] = []
        self.connections = 0  # ever made
        self.clients: list[Client] = []
        self.globals: dict[int, Global] = {}
        self.all_globals: dict[int, Global] = {}  # those that were removed, too
        self.heads: list[Head] = []
        self.desktop = Desktop(self)
        self.clipboard = Clipboard(self)
        self.crash: BaseException | None = None
        self._seen: Counter[int] = Counter()  # how often each fault's moment has come
        self._names = itertools.count(1)
        self._timers: list[Timer] = []
        self._order = itertools.count()
        self._calls: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._make_globals()

    def _make_globals(self) -> None:
        config = self.config
        for kind, version in (
            (Shm, config.wl_shm_version),
            (XdgOutputManager, config.xdg_output_version),
            (ScreencopyManager, config.screencopy_version),
            (LinuxDmabuf, config.dmabuf_version),
            (ExportManager, config.export_version),
            (ToplevelList, config.toplevel_list_version),
            (ToplevelManager, config.toplevel_manager_version),
            (ToplevelSourceManager, config.toplevel_source_version),
            (ImageCopyManager, config.image_copy_version),
            (OutputSourceManager, config.image_copy_version),
            (Seat, config.seat_version),
            (ExtDataManager, config.ext_data_control_version),
            (WlrDataManager, config.wlr_data_control_version),
            (LayerShell, config.layer_shell_version),
            (Compositor, 4 if config.layer_shell_version else 0),
            (Viewporter, config.viewporter_version if config.layer_shell_version else 0),
        ):
            if version:
                self._add_global(Global(kind, kind.interface.name, version))
        for _ in range(config.decoys):
            self._add_global(Global(None, "fake_decoy_v1", 1))
        for output in config.outputs:
            self._plug(output)
        for window in config.windows:
            self.desktop.open(window)

    def __enter__(self) -> Self:
        """Listen."""
        self.directory = Path(tempfile.mkdtemp(prefix="fake-"))
        self.socket_path = self.directory / "wayland-fake"
        self.environ = {
            "WAYLAND_DISPLAY": str(self.socket_path),
            "XDG_RUNTIME_DIR": str(self.directory),
        }
        self.env = os.environ | self.environ
        self.env.pop("WAYLAND_SOCKET", None)
        self.selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.socket_path))
        self._listener.listen()
        self._listener.settimeout(0)
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.settimeout(0)
        if self.config.accept:
            self.selector.register(self._listener, selectors.EVENT_READ)
        self.selector.register(self._wake_read, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="fake compositor", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up on everybody; raise what went wrong in the server itself."""
        self._stopping = True
        self._wake()
        self._thread.join(PATIENCE)
        self._close_clients()
        self.selector.close()
        for end in (self._listener, self._wake_read, self._wake_write):
            end.close()
        shutil.rmtree(self.directory)
        if self.crash is not None:
            raise self.crash

    # For tests: look on.

    @property
    def shm_formats(self) -> tuple[int, ...]:
        """The codes that wl_shm offers."""
        if self.config.shm_formats is not None:
            return self.config.shm_formats
        codes = [0, 1, *(head.output.shm_format.code for head in self.heads)]
        return tuple(dict.fromkeys(codes))

    @property
    def connected(self) -> int:
        """How many clients there are now."""
        return len(self.clients)

    @property
    def held_fds(self) -> int:
        """How many of the clients' fds are open here."""
        return self._run(self._count_fds)

    def _count_fds(self) -> int:
        memories = {
            id(resource.memory)
            for client in self.clients
            for resource in client.objects.values()
            if isinstance(resource, (ShmPool, Buffer))
        }
        waiting = sum(len(client.fds) + len(client.outgoing_fds) for client in self.clients)
        return len(memories) + waiting

    def count(self, interface: str, name: str) -> int:
        """How often a request was made."""
        return sum((r.interface, r.name) == (interface, name) for r in list(self.requests))

    def wait_for(self, interface: str, name: str, count: int = 1, timeout: float = 20.0) -> None:
        """Wait until a request has been made ``count`` times."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.count(interface, name) >= count, timeout):
                message = f"no {interface}.{name} in {timeout} s"
                raise TimeoutError(message)

    def wait_until_gone(self, timeout: float = 20.0) -> None:
        """Wait until no client is left, so that violations and leaks are complete."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self.clients, timeout):
                message = f"{len(self.clients)} clients are still there after {timeout} s"
                raise TimeoutError(message)

    def is_watched(self, name: str = "FAKE-1") -> bool:
        """Tell whether a client has what an idle output, or window, shows, and waits for more."""
        return self._run(
            lambda: any(
                frame.waiting and frame.head.output.name == name and not frame.head.gone
                for _, frame in self._resources(Copy)
            )
        )

    def wait_until_watched(self, name: str = "FAKE-1", timeout: float = 20.0) -> None:
        """Wait until a client does so."""
        deadline = time.monotonic() + timeout
        while not self.is_watched(name):
            if time.monotonic() > deadline:
                message = f"nobody waits for what is new on {name} after {timeout} s"
                raise TimeoutError(message)
            time.sleep(0.005)

    # For tests and faults: change something.

    def add_output(self, output: Output) -> None:
        """Plug an output in; its index in the pattern is the next one."""
        self._run(lambda: self._announce(self._plug(output)))

    def remove_output(self, name: str | bytes | None, *, fail_frames: bool = True) -> None:
        """Unplug an output. Its frames under way fail, or are never answered."""
        self._run(lambda: self._unplug(self._head(name), fail_frames=fail_frames))

    def change_output(self, name: str | bytes | None, **changes: object) -> None:
        """Change an output's fields (another mode, say); its frames under way fail."""
        self._run(lambda: self._change(self._head(name), changes))

    def open_window(self, window: Window) -> None:
        """Open a window."""
        self._run(lambda: self.desktop.open(window))

    def change_window(self, name: str, **changes: object) -> None:
        """Change what is said of a window; ``change_output`` changes what it shows."""
        self._run(lambda: self.desktop.change(name, changes))

    def close_window(self, name: str) -> None:
        """Close a window; captures of it are stopped."""
        self._run(lambda: self.desktop.close(name))

    def finish_windows(self) -> None:
        """Say that no more windows will be told."""
        self._run(self.desktop.finish)

    def paste(self, mime_type: str) -> int:
        """Ask for what is on the clipboard, and return an fd to read it from."""
        reading_fd, writing_fd = os.pipe2(os.O_CLOEXEC)
        self.paste_into(mime_type, writing_fd)
        return reading_fd

    def paste_into(self, mime_type: str, fd: int) -> None:
        """Ask that what is on the clipboard be written to an fd, which is taken over."""
        self._run(lambda: self.clipboard.paste(mime_type, fd))

    def replace_clipboard(self) -> None:
        """Let somebody else empty the clipboard."""
        self._run(lambda: self.clipboard.set(None))

    def finish_clipboard(self) -> None:
        """Take the seat away, for those who hold its clipboard."""
        self._run(self.clipboard.finish)

    def reconfigure(self, size: tuple[int, int] | None = None) -> None:
        """Configure all layer surfaces again, to another size or the one that they have."""
        self._run(lambda: self._for_surfaces(lambda surface: surface.configure(size)))

    def close_surfaces(self) -> None:
        """Tell all layer surfaces that they are not shown any more."""
        self._run(lambda: self._for_surfaces(LayerSurface.close))

    @property
    def shown(self) -> dict[str | bytes | None, Shown]:
        """What layer surfaces show, by their outputs."""
        return self._run(
            lambda: {
                it.head.output.name: shown
                for _, it in self._resources(LayerSurface)
                if (shown := it.shown())
            }
        )

    def damage(self, name: str | bytes | None = "FAKE-1") -> None:
        """Damage all of an output: answers copy_with_damage on an idle screen.

        With a film, the next beginning of a frame is an answer, whether it is drawn or not.
        """
        self._run(lambda: self._damage(self._head(name)))

    def advance_to(self, time_ns: int) -> None:
        """Let the virtual clock get to a time, and answer whoever waited for it."""
        clock = self.config.clock
        assert isinstance(clock, VirtualClock)
        self._run(lambda: self._advance(clock, time_ns))

    def hang_up(self) -> None:
        """Close all connections."""
        self._run(self._close_clients)

    # The server's own, in its thread.

    def due(self, moment: Moment) -> list[Fault]:
        """Return the faults whose time has come."""
        faults = []
        for number, fault in enumerate(self.config.faults):
            if fault.concerns(moment):
                if self._seen[number] >= fault.skip:
                    faults.append(fault)
                self._seen[number] += 1
        return faults

    def log(self, request: Request) -> None:
        """Write a request down and wake who waits for it."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call something after a while; equal times keep their order."""
        heapq.heappush(self._timers, Timer(time.monotonic() + seconds, next(self._order), call))

    def _run(self, call: Callable[[], T]) -> T:
        if threading.current_thread() is self._thread:
            return call()
        future: Future[T] = Future()

        def answer() -> None:
            try:
                future.set_result(call())
            except Exception as error:  # noqa: BLE001, it is raised where it belongs
                future.set_exception(error)

        self._calls.append(answer)
        self._wake()
        return future.result(PATIENCE)

    def _wake(self) -> None:
        self._wake_write.send(b"!")

    def _serve(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except BaseException as error:  # noqa: BLE001, __exit__ raises it
            self.crash = error
            self._close_clients()

    def _turn(self) -> None:
        timeout = None
        if self._timers:
            timeout = max(0.0, self._timers[0].when - time.monotonic())
        for key, mask in self.selector.select(timeout):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._wake_read:
                self._wake_read.recv(4096)
            else:
                client: Client = key.data
                if mask & selectors.EVENT_READ and client.open:
                    client.receive()
                if mask & selectors.EVENT_WRITE and client.open:
                    client.write()
        while self._calls:
            self._calls.popleft()()
        now = time.monotonic()
        while self._timers and self._timers[0].when <= now:
            heapq.heappop(self._timers).call()
        with self._changed:
            self._changed.notify_all()

    def _accept(self) -> None:
        peer, _ = self._listener.accept()
        peer.settimeout(0)
        self.connections += 1
        client = Client(self, peer, self.connections)
        self.clients.append(client)
        client.owe(Step.ACCEPT, client.display, b"")

    def _add_global(self, entry: Global) -> int:
        name = next(self._names)
        self.globals[name] = self.all_globals[name] = entry
        return name

    def _plug(self, output: Output) -> int:
        head = Head(output, len(self.heads))
        self.heads.append(head)
        version = self.config.wl_output_version
        return self._add_global(Global(WlOutput, WlOutput.interface.name, version, head))

    def _head(self, name: str | bytes | None) -> Head:
        for head in self.heads:
            if not head.gone and head.output.name == name:
                return head
        raise KeyError(name)

    def _resources(self, kind: type[T]) -> list[tuple[Client, T]]:
        return [
            (client, resource)
            for client in self.clients
            for resource in client.objects.values()
            if isinstance(resource, kind)
        ]

    def _for_surfaces(self, do: Callable[[LayerSurface], None]) -> None:
        for _, surface in self._resources(LayerSurface):
            do(surface)

    def _announce(self, name: int) -> None:
        for client, registry in self._resources(Registry):
            client.send(registry.announcement(name))

    def _unplug(self, head: Head, *, fail_frames: bool) -> None:
        head.gone = True
        (name,) = (name for name, entry in self.globals.items() if entry.head is head)
        del self.globals[name]
        for client, registry in self._resources(Registry):
            client.send(registry.event("global_remove", name))
        if fail_frames:
            self._fail_frames(head, STOPPED)
            for session in self._sessions(head):
                session.stop()

    def _fail_frames(self, head: Head, reason: int) -> None:
        for _, frame in self._resources(Copy):
            if frame.head is head:
                frame.fail(reason)

    def _sessions(self, head: Head) -> list[ImageSession]:
        return [session for _, session in self._resources(ImageSession) if session.head is head]

    def _change(self, head: Head, changes: dict[str, object]) -> None:
        head.output = replace(head.output, **changes)  # type: ignore[arg-type]
        head.prepare()
        self._make_stale(head)
        self._fail_frames(head, BUFFER_CONSTRAINTS)
        for session in self._sessions(head):
            session.describe()
        for _, wl_output in self._resources(WlOutput):
            if wl_output.head is head:
                wl_output.describe()
        for _, xdg_output in self._resources(XdgOutput):
            if xdg_output.wl_output.head is head:
                xdg_output.describe()

    def _close_clients(self) -> None:
        for client in list(self.clients):
            client.close()

    def _damage(self, head: Head) -> None:
        self._make_stale(head)
        for _, frame in self._resources(Copy):
            if frame.head is head:
                frame.retry(leaping=True)

    def _make_stale(self, head: Head) -> None:
        head.damaged = True
        for session in self._sessions(head):
            session.damaged = True
        for client in self.clients:
            client.stale.add(head.index)

    def _advance(self, clock: VirtualClock, time_ns: int) -> None:
        clock.set(time_ns)
        for _, frame in self._resources(Copy):
            frame.retry()
