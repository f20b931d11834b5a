"""Compositors that let wayshot capture nothing: this machine's Mutter and Weston, headless."""

from __future__ import annotations

import subprocess
import time

from tests import stage
from tests.stage import Session, StageError, listens

BUS = """
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""
"""A bus that starts no service, whatever this machine has; root's tests may talk to nobody's."""


class Foreign(Session):
    """One output of 640x480 pixels."""

    @property
    def version(self) -> int:
        """Which major version runs."""
        words = subprocess.run(
            [self.program, "--version"], env=self.env, capture_output=True, text=True, check=True
        ).stdout
        return int(words.split()[1].split(".")[0])


class Weston(Foreign):
    """A headless Weston."""

    program = "weston"

    def _command(self) -> list[str]:
        backend = "--backend=headless-backend.so"
        return ["weston", "--no-config", backend, "--width=640", "--height=480", "--idle-time=0"]


class Mutter(Foreign):
    """A headless Mutter, with the session bus that it needs; nobody else is on it."""

    program = "mutter"

    def _command(self) -> list[str]:
        self._start_bus()
        screen = ("--virtual-monitor", "640x480")
        return ["mutter", "--headless", "--wayland", "--no-x11", *screen]

    def _start_bus(self) -> None:
        path = self.runtime_dir / "bus"
        config = self.runtime_dir / "bus.conf"
        config.write_text(BUS.format(socket=path).lstrip())
        self.spawn(["dbus-daemon", f"--config-file={config}", "--nofork"], log="bus.log")
        deadline = time.monotonic() + stage.PATIENCE
        while not listens(path):
            if time.monotonic() > deadline:
                message = (self.runtime_dir / "bus.log").read_text()
                raise StageError(message)
            time.sleep(0.005)
        self.env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={path}"
