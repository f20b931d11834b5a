"""Running wayshot as its users do, and reading what it made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import IO

    from tests.live.client import Picture
    from tests.stage import Stage

WAYSHOT = (sys.executable, "-m", "wayshot_cli")

PATIENCE = 60.0
"""Seconds after which a command that should have ended counts as hung."""


def wayshot(
    stage: Stage,
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run wayshot in the session, with ``env`` added, until it ends."""
    return subprocess.run(
        [*WAYSHOT, *arguments],
        env={**stage.env, **(env or {})},
        input=stdin.encode(),
        cwd=cwd,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )


def start(
    stage: Stage,
    *arguments: str | Path,
    stdout: int | IO[bytes] = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start wayshot in the session and leave it running."""
    return subprocess.Popen(
        [*WAYSHOT, *arguments],
        env={**stage.env, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


def shoot(stage: Stage, folder: Path, *arguments: str) -> Picture:
    """Take a PNG, check that nothing was said, and read it as it is: three channels or four."""
    path = folder / "shot.png"
    result = wayshot(stage, *arguments, path)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    picture = read(path)
    path.unlink()
    return picture


def read(path: Path) -> Picture:
    """Decode a picture file wholly."""
    with Image.open(path) as image:
        return np.asarray(image)


def error(result: subprocess.CompletedProcess[bytes]) -> str:
    """Return what a failed run said on stderr, having checked that it spoke to people."""
    text = result.stderr.decode()
    assert "Traceback" not in text
    assert result.stdout == b""
    return text


@contextmanager
def frozen(stage: Stage) -> Iterator[None]:
    """Let the compositor be there and say nothing: its process is stopped."""
    os.kill(stage.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(stage.pid, signal.SIGCONT)
