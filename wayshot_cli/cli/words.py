"""The words that complete a line: the session's outputs and windows, the profiles.

The scripts that ``wayshot completions`` prints know options and choices; for the rest they start
wayshot with what they ask for in ``_WAYSHOT_COMPLETE``, at each TAB. So this knows neither click
nor the commands, which would take longer to load than all else together.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from typing import NoReturn

from wayshot_cli.cli import leave, printable
from wayshot_cli.errors import WayshotError

_PATIENCE = 1.0  # seconds, for all of it: somebody waits at a prompt

Word = tuple[str, str]
"""A word, and what it means."""


def print_and_exit(kind: str) -> NoReturn:
    """Print the words of that kind, one a line, each with a tab and what it means; or nothing."""
    signal.signal(signal.SIGALRM, leave)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    try:
        # A word that is not printable cannot be typed; and it would not be one line.
        lines = [
            f"{word}\t{printable(meaning)}\n"
            for word, meaning in _KINDS[kind]()
            if word.isprintable()
        ]
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        sys.stdout.writelines(lines)
        sys.stdout.flush()
    except (KeyError, WayshotError, OSError):
        os._exit(1)
    os._exit(0)


def _outputs() -> Iterator[Word]:
    from wayshot_cli.wayland.connection import Connection  # noqa: PLC0415 - for these kinds alone
    from wayshot_cli.wayland.outputs import FOCUSED, read_outputs  # noqa: PLC0415

    with Connection(timeout=_PATIENCE) as connection:
        outputs = read_outputs(connection)
    yield from ((output.name, output.description) for output in outputs)
    if FOCUSED not in {output.name for output in outputs}:
        yield FOCUSED, "the one with the active window"


def _windows() -> Iterator[Word]:
    """Name each window by what it alone has."""
    from wayshot_cli.wayland.connection import Connection  # noqa: PLC0415 - for these kinds alone
    from wayshot_cli.wayland.toplevels import ACTIVE, read_windows  # noqa: PLC0415

    with Connection(timeout=_PATIENCE) as connection:
        windows = read_windows(connection)
    if windows:
        yield ACTIVE, "the one that has the keyboard"
    app_ids = Counter(window.app_id for window in windows)
    titles = Counter(window.title for window in windows)
    yield from ((f"app_id:{w.app_id}", w.title) for w in windows if app_ids[w.app_id] == 1)
    yield from ((f"title:{w.title}", w.app_id) for w in windows if titles[w.title] == 1)
    yield from ((w.identifier, f"{w.app_id}: {w.title}") for w in windows if w.identifier)


def _profiles() -> Iterator[Word]:
    from wayshot_cli.cli.names import NO_PROFILE, config_path, is_configured  # noqa: PLC0415
    from wayshot_cli.config import read  # noqa: PLC0415 - for this kind alone

    profiles = read(config_path()).table("profile") if is_configured() else {}
    for name, options in profiles.items():
        yield name, ", ".join(options) if isinstance(options, dict) else ""
    yield NO_PROFILE, "nothing that is configured"


_KINDS = {"outputs": _outputs, "profiles": _profiles, "windows": _windows}
