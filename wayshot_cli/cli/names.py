"""Where files go that nobody named, and what they are called."""

import os
import re
import stat
import time
from collections.abc import Iterator


def is_folder(file: str) -> bool:
    """Whether FILE is a folder to choose a name in."""
    if file.endswith("/"):
        return True
    try:
        return stat.S_ISDIR(os.stat(file).st_mode)
    except OSError:
        return False


def generated_names(folder: str, extension: str, prefix: str = "wayshot") -> Iterator[str]:
    """Yield names by the date, then the same numbered from 2."""
    stem = os.path.join(folder, f"{prefix}-{time.strftime('%Y%m%d-%H%M%S')}")
    yield stem + extension
    for number in range(2, 10_000):
        yield f"{stem}-{number}{extension}"


def user_folder(kind: str) -> str:
    """Return the XDG folder for PICTURES or VIDEOS, or the current one where there is none.

    user-dirs.dirs(5) is a shell fragment; it is parsed and never sourced.
    """
    home = os.environ.get("HOME", "")
    config = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    try:
        with open(f"{config}/user-dirs.dirs", encoding="utf-8", errors="surrogateescape") as file:
            settings = file.read()
    except OSError:
        return "."
    pattern = rf'^\s*XDG_{kind}_DIR="((?:[^"\\\n]|\\.)*)"'
    for quoted in reversed(re.findall(pattern, settings, re.MULTILINE)):  # the last one stands
        folder = re.sub(r"^\$HOME(?=/|$)", lambda _: home, quoted)
        folder = re.sub(r"\\(.)", r"\1", folder)
        if folder.startswith("/") and os.path.isdir(folder):
            return folder
    return "."
