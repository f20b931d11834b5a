"""Where files go that nobody named, and what they are called."""

import contextlib
import os
import re
import stat
import time
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from wayshot_cli import sinks
from wayshot_cli.errors import WriteError

if TYPE_CHECKING:
    from wayshot_cli.cli import templates

STDOUT = "-"
"""FILE for stdout."""

_NOW = "%Y%m%d-%H%M%S"
DEFAULT_NAME = f"wayshot-{_NOW}"
"""The template for who gives no name."""

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


def read_template(
    file: str | None, known: Collection[str] | None = None
) -> "templates.Template | None":
    """Return FILE as a template; None where it is a path as it stands, a folder or - or nothing.

    ``known`` are the fields that are to be had, without it all. Raises InvalidArgumentError for
    others.
    """
    if file is None or not ("%" in file or "{" in file):
        return None
    from wayshot_cli.cli import templates  # noqa: PLC0415 - a plain name needs none of it

    return templates.Template(file, templates.FIELDS if known is None else known)


def format_name(file: str | None, template: "templates.Template | None") -> str | None:
    """Return a name that has FILE's extension, None where FILE says none for the picture."""
    if template:
        return f"x{template.extension}" if template.extension else None
    return None if file is None or file == STDOUT or is_folder(file) else file


@contextlib.contextmanager
def hinting_at_mkdir(mkdir: bool) -> Iterator[None]:  # noqa: FBT001 - the option itself
    """Tell whom a missing folder stops of the option that makes folders."""
    try:
        yield
    except WriteError as error:
        if isinstance(error.__cause__, FileNotFoundError) and not mkdir:
            error.hint = "--mkdir makes the folders that are missing"
        raise


def say_path(path: str) -> None:
    """Print the path of a file whose name was chosen here."""
    with sinks.errors_named("stdout"):
        sinks.write_fd(1, [os.fsencode(path) + b"\n"])


def generated_names(folder: str, extension: str, prefix: str = "wayshot") -> Iterator[str]:
    """Yield names by the date, then the same numbered from 2."""
    stem = os.path.join(folder, f"{prefix}-{time.strftime(_NOW)}")
    yield from numbered(stem, extension)


def numbered(stem: str, extension: str) -> Iterator[str]:
    """Yield a path, then the same numbered from 2."""
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
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    if folder.startswith("/"):  # any other is to be ignored, says the specification
        return folder
    return f"{os.environ.get('HOME', '')}/.config"
