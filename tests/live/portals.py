"""Real portals: PipeWire, xdg-desktop-portal and a backend of it, on a bus of their own.

They run as whoever runs the tests, for the portal looks into its clients' processes; a compositor
may be another user's.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from jeepney import DBusAddress, MessageType, Properties, message_bus, new_method_call

from tests.live.dmabuf_proxy import DmabufProxy
from tests.portal.bus import SessionBus, connected
from tests.processes import spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jeepney.io.blocking import DBusConnection

    from tests.stage import Sway

PATIENCE = 20.0
PORTAL = "org.freedesktop.portal.Desktop"
LIBEXEC = Path("/usr/libexec")


class Services:
    """Processes with a runtime folder and a session bus, ended together."""

    def __init__(self, desktop: str) -> None:
        self._stack = contextlib.ExitStack()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.folder = Path(tempfile.mkdtemp(prefix="portal-"))
        self.bus = SessionBus()
        self.env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "XDG_CURRENT_DESKTOP": desktop,
            "XDG_SESSION_TYPE": "wayland",
            "DBUS_SESSION_BUS_ADDRESS": self.bus.address,
            "GSETTINGS_BACKEND": "memory",
            "NO_AT_BRIDGE": "1",
            "GTK_A11Y": "none",
        }

    def __enter__(self) -> Self:
        with self._stack as stack:
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            stack.enter_context(self.bus)
            stack.callback(self._end_all)
            self.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Start what belongs to it, in order."""
        raise NotImplementedError

    def enter(self, context: contextlib.AbstractContextManager[object]) -> None:
        """Have something end with the services."""
        self._stack.enter_context(context)

    def spawn(self, *command: str | Path, env: Mapping[str, str] | None = None) -> None:
        """Start a program; what it says goes to a log by its name."""
        log = f"{Path(command[0]).name}.log"
        self._processes.append(
            spawn(command, env={**self.env, **(env or {})}, folder=self.folder, log=log)
        )

    def spawn_service(self, name: str, *command: str | Path) -> None:
        """Start a program, and wait until it has its name on the bus."""
        self.spawn(*command)
        self.wait(lambda: self._has_owner(name), name)

    def spawn_pipewire(self) -> None:
        """Start PipeWire with a session manager, and wait until they can be used."""
        self.spawn("pipewire")
        self.wait((self.folder / "pipewire-0").exists, "pipewire")
        self.spawn("wireplumber")

    def spawn_portal(self, backend: str) -> None:
        """Start the permission store, a backend and the portal, and wait until it casts."""
        prefix = "org.freedesktop.impl.portal"
        self.spawn_service(f"{prefix}.PermissionStore", LIBEXEC / "xdg-permission-store")
        self.spawn_service(f"{prefix}.desktop.{backend}", LIBEXEC / f"xdg-desktop-portal-{backend}")
        self.spawn_service(PORTAL, LIBEXEC / "xdg-desktop-portal")
        self.wait(self._casts, "ScreenCast")

    def wait(self, done: Callable[[], bool], what: str) -> None:
        """Wait for something to be there."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, f"no {what}\n{self.logs()}"
            time.sleep(0.02)

    def logs(self) -> str:
        """Return the end of what each program said."""
        tails = [
            f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            for log in sorted(self.folder.glob("*.log"))
        ]
        return "\n".join(tails)

    def _has_owner(self, name: str) -> bool:
        with connected(self.bus.address) as bus:
            reply = bus.send_and_get_reply(message_bus.NameHasOwner(name), timeout=PATIENCE)
            return bool(reply.body[0])

    def _casts(self) -> bool:
        address = DBusAddress(
            "/org/freedesktop/portal/desktop", PORTAL, "org.freedesktop.portal.ScreenCast"
        )
        with connected(self.bus.address) as bus:
            get = Properties(address).get("AvailableSourceTypes")
            reply = bus.send_and_get_reply(get, timeout=PATIENCE)
            is_there = reply.header.message_type is MessageType.method_return
            return is_there and reply.body[0] != ("u", 0)

    def _end_all(self) -> None:
        while self._processes:
            process = self._processes.pop()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class WlrPortal(Services):
    """xdg-desktop-portal-wlr on a sway; it casts one output and asks nobody.

    With ``pretends_dmabufs`` it is told that there are dmabufs, see ``DmabufProxy``.
    """

    def __init__(self, sway: Sway, output: str, *, pretends_dmabufs: bool) -> None:
        super().__init__("sway")
        self._pretends_dmabufs = pretends_dmabufs
        self._sway = sway
        self._output = output

    def start(self) -> None:
        config = self.folder / "config" / "xdg-desktop-portal-wlr"
        config.mkdir(parents=True)
        (config / "config").write_text(
            f"[screencast]\noutput_name={self._output}\nmax_fps=30\nchooser_type=none\n"
        )
        self.env["WAYLAND_DISPLAY"] = str(self._sway.socket)
        self.spawn_pipewire()
        if self._pretends_dmabufs:
            display = self.folder / "wayland-proxy"
            self.enter(DmabufProxy(display, self._sway.socket))
            self.env["WAYLAND_DISPLAY"] = str(display)
        self.spawn_portal("wlr")
        self.env["WAYLAND_DISPLAY"] = str(self._sway.socket)


class GnomePortal(Services):
    """xdg-desktop-portal-gnome on a headless Mutter with one monitor, Meta-0."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__("GNOME")
        self._size = width, height
        self.display = self.folder / "wayland-gnome"

    def start(self) -> None:
        self.spawn_pipewire()
        monitor = "{}x{}".format(*self._size)
        command = ["mutter", "--headless", "--wayland", "--no-x11", "--virtual-monitor", monitor]
        mutter = "org.gnome.Mutter.ScreenCast"
        self.spawn_service(mutter, *command, "--wayland-display", self.display.name)
        self.wait(self.display.exists, "mutter")
        self.env["WAYLAND_DISPLAY"] = str(self.display)
        self.spawn_portal("gnome")

    def allow(self) -> None:
        """Store what the portal stores when a user allows the monitor, and the token for it."""
        token = str(uuid.uuid4())
        with connected(self.bus.address) as bus:
            display = "org.gnome.Mutter.DisplayConfig"
            address = DBusAddress("/org/gnome/Mutter/DisplayConfig", display, display)
            state = _call(bus, address, "GetCurrentState")
            (_, vendor, product, serial), *_ = state[1][0]
            now = int(time.time() * 1e6)
            monitor = [(0, 1, ("s", f"{vendor}:{product}:{serial}"))]
            grant = ("(suv)", ("GNOME", 1, ("(xxa(uuv))", (now, now, monitor))))
            store = "org.freedesktop.impl.portal.PermissionStore"
            address = DBusAddress("/org/freedesktop/impl/portal/PermissionStore", store, store)
            entry = ("screencast", True, token, {"": ["yes"]}, grant)
            _call(bus, address, "Set", "sbsa{sas}v", entry)
        folder = self.folder / "state" / "wayshot"
        folder.mkdir(parents=True, exist_ok=True)
        tokens = {"GNOME": {"screen-cast monitor Meta-0": token}}
        (folder / "portal.json").write_text(json.dumps(tokens))

    def tokens(self) -> list[Path]:
        """Return the files in which wayshot keeps tokens."""
        return list((self.folder / "state" / "wayshot").iterdir())


def _call(
    bus: DBusConnection, address: DBusAddress, method: str, signature: str = "", body: Any = ()
) -> Any:
    call = new_method_call(address, method, signature or None, body)
    reply = bus.send_and_get_reply(call, timeout=PATIENCE)
    assert reply.header.message_type is MessageType.method_return, reply.body
    return reply.body
