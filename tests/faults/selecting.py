"""Selectors that are scripts, and a command that waits for one."""

from __future__ import annotations

import shlex
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.fake import Config
from tests.faults.command import LIMIT, LONG, shoot
from tests.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fake import FakeCompositor
    from tests.faults.command import Result

WAYSHOT = (sys.executable, "-m", "wayshot_cli")

LAYERS = Config(layer_shell_version=4)
"""A compositor that has layer surfaces, and so a screen that can be frozen."""


def sh(script: str) -> str:
    """Return a shell script as a command for --selector or --menu."""
    return f"sh -c {shlex.quote(script)}"


def select(config: Config, folder: Path, script: str, *words: str) -> Result:
    """Have a region selected by a script."""
    return shoot(config, folder, "--select", "--selector", sh(script), *words)


@contextmanager
def selecting(
    compositor: FakeCompositor, folder: Path, *words: str, script: str = "exec sleep 60"
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command; the block begins when its selector asks, and ends when both have.

    ``asked``, in the folder above, has the selector's process id.
    """
    asked = folder.parent / "asked"
    script = f"echo $$ > ../asked.part; mv ../asked.part ../asked; {script}"
    process = subprocess.Popen(
        [
            *(*WAYSHOT, "--timeout", str(LONG)),
            *("--select", "--selector", sh(script), *words, "shot.png"),
        ],
        env=compositor.env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(asked.exists)
        yield process
        process.wait(LIMIT)
    finally:
        process.kill()
        process.communicate()
