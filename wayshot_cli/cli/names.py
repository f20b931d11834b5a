"""Where files go that nobody named, and what they are called."""

import os
import re
import stat
import time
from collections.abc import Iterator

NO_PROFILE = "none"
"""The profile for which nothing is configured."""


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
    try:
        with open(
            f"{_config_home()}/user-dirs.dirs", encoding="utf-8", errors="surrogateescape"
        ) as file:
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


def config_path() -> str:
    """Return which file the config is, be it there or not."""
    return os.environ.get("WAYSHOT_CONFIG") or f"{_config_home()}/wayshot/config.toml"


def is_configured() -> bool:
    """Whether there is a config to read, or ought to be, for somebody has named it.

    /dev/null is the name of none.
    """
    named = os.environ.get("WAYSHOT_CONFIG")
    return named != os.devnull if named else os.path.lexists(config_path())


def _config_home() -> str:
    return os.environ.get("XDG_CONFIG_HOME") or f"{os.environ.get('HOME', '')}/.config"
