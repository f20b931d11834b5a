"""Programs that run beside the tests, and none of which outlives them, be they killed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

UNTIL_OUR_END = ("setpriv", "--pdeathsig", "TERM")
"""What a command is led by, to end with us."""


def spawn(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    folder: Path,
    log: str,
    user: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a folder, and a session of its own; what it says is added to a log there.

    ``user`` is the number of a user, and of a group, that it runs as.
    """
    lead = list(UNTIL_OUR_END)
    if user is not None:
        lead += [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    with (folder / log).open("ab") as output:
        return subprocess.Popen(
            [*lead, *command],
            env=env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """End a program, a stopped one as well."""
    process.terminate()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
