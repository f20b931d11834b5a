"""A private session bus, on which nothing is started by itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from jeepney.io.blocking import DBusConnection, open_dbus_connection

PATIENCE = 30.0
"""Seconds that anything on the bus has for an answer."""

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
    <allow user="*"/>
  </policy>
</busconfig>
"""


def connected(address: str, *, enable_fds: bool = False) -> DBusConnection:
    """Connect to a bus. Left alone, jeepney gives up after a second."""
    return open_dbus_connection(address, enable_fds=enable_fds, auth_timeout=PATIENCE)


class SessionBus:
    """A dbus-daemon, from ``__enter__`` to ``__exit__``."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bus-"))
        self.path = self.folder / "bus"
        self.address = f"unix:path={self.path}"

    def __enter__(self) -> Self:
        config = self.folder / "bus.conf"
        config.write_text(CONFIG.format(path=self.path))
        self._daemon = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"],
            stdout=subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", os.defpath)},
        )
        assert self._daemon.stdout
        assert self._daemon.stdout.readline().startswith(b"unix:")
        return self

    def signal(self, number: int) -> None:
        """Send a signal to the daemon."""
        self._daemon.send_signal(number)

    def __exit__(self, *_: object) -> None:
        self._daemon.terminate()
        self._daemon.wait(PATIENCE)
        assert self._daemon.stdout
        self._daemon.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)
