"""The config file: what it says, and on which line it says so."""

import os
import re
import stat
import tomllib
from collections.abc import Iterator
from typing import Any

from wayshot_cli.errors import InvalidArgumentError

Keys = tuple[str, ...]
"""A value's place, as ("profile", "share", "format")."""

_LARGEST = 1 << 16  # bytes: a config has some hundreds
_DEEPEST = 8  # tables inside tables: a profile's option is the fourth
_TOKEN = re.compile(
    r'''"""(?:\\.|[^\\])*?"""+|"(?:\\.|[^"\\\n])*"'''
    r"""|'''.*?'''+|'[^'\n]*'|\#[^\n]*|[][{}\n]""",
    re.DOTALL,
)
"""What may hold the ends of lines, and what only seems to: strings, comments, brackets."""


class Config:
    """A file's values, and the lines that they begin on."""

    def __init__(self, path: str, text: str = "") -> None:
        """Parse the text. Raises InvalidArgumentError, naming the line, when it is no TOML."""
        self.path = path
        self._text = text.replace("\r\n", "\n")  # as tomllib does
        try:
            self.values: dict[str, Any] = tomllib.loads(self._text)
        except (ValueError, RecursionError) as error:  # numbers too long, arrays too deep
            message, _, place = str(error).rpartition(" (at ")
            number = re.match(r"line (\d+), column (\d+)", place)
            end = len(self._text.rstrip("\n").split("\n"))
            line = int(number[1]) if number else end
            message = f"{path}:{line}: {message or error}"
            raise InvalidArgumentError(
                message, hint="man 5 wayshot shows how it is written"
            ) from None

    def table(self, *keys: str) -> dict[str, Any]:
        """Return what is in a table, nothing where there is none.

        Raises InvalidArgumentError for a value where a table has to be.
        """
        table = self.values
        for depth, key in enumerate(keys, 1):
            table = table.get(key, {})
            if not isinstance(table, dict):
                name = bracketed(keys[:depth])
                raise self.error(keys[:depth], f"{key!r} is no option but a table, {name}")
        return table

    def where(self, keys: Keys) -> str:
        """Return the path and the line on which a value, or the first of a table, begins."""
        return f"{self.path}:{self.line(keys)}"

    def line(self, keys: Keys) -> int:
        """Return the line, from 1, on which a value, or the first of a table, begins."""
        found = (line for line, place in self._places() if place[: len(keys)] == keys)
        return next(found, 1)

    def error(self, keys: Keys, message: str, *, hint: str | None = None) -> InvalidArgumentError:
        """Return the error that says what is wrong with a value, and where that stands."""
        return InvalidArgumentError(f"{self.where(keys)}: {message}", hint=hint)

    def _places(self) -> Iterator[tuple[int, Keys]]:
        """Yield the place of each value and table, and the line of its statement.

        tomllib tells neither; but a statement alone is TOML, too.
        """
        header: Keys = ()
        for line, statement in self._statements():
            try:
                values = tomllib.loads(statement)
            except RecursionError:  # in a list of lists of lists, as we are deeper than before
                continue
            for place in _leaves(values):
                if statement.lstrip().startswith("["):
                    header = place
                    yield line, header
                elif place:
                    yield line, header + place

    def _statements(self) -> Iterator[tuple[int, str]]:
        """Yield the text, line by line but for values on several, and the number of each line."""
        begin, line, depth = 0, 1, 0
        text = f"{self._text}\n"
        for token in _TOKEN.finditer(text):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
            if token[0] == "\n" and not depth:
                statement = text[begin : token.end()]
                yield line, statement
                begin, line = token.end(), line + statement.count("\n")


def _leaves(value: object, depth: int = _DEEPEST) -> Iterator[Keys]:
    """Yield the places of the values inside tables; an empty table is a value."""
    if isinstance(value, dict) and value and depth:
        for key, inner in value.items():
            yield from ((key, *place) for place in _leaves(inner, depth - 1))
    else:
        yield ()


def read(path: str) -> Config:
    """Read a config file.

    Raises InvalidArgumentError when it cannot be read or is no TOML. Never waits for a writer.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            is_regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            data = file.read(_LARGEST + 1) if is_regular else b""
    except OSError as error:
        raise _unreadable(path, error.strerror) from error
    if not is_regular:
        raise _unreadable(path, "it is not a regular file")
    if len(data) > _LARGEST:
        raise _unreadable(path, f"it is larger than {_LARGEST >> 10} KiB")
    try:
        return Config(path, data.decode().removeprefix("\ufeff"))  # the mark of some editors
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{path}:{line}: this is not UTF-8"
        raise InvalidArgumentError(message) from error


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _unreadable(path: str, reason: str | None) -> InvalidArgumentError:
    message = f"cannot read {path}: {reason}"
    return InvalidArgumentError(message, hint="--profile none reads no configuration")


def bracketed(keys: Keys) -> str:
    """Write a table's name as its header does."""
    return f"[{'.'.join(key if _is_bare(key) else _quoted(key) for key in keys)}]"


def _is_bare(key: str) -> bool:
    """Whether a key needs no quotes."""
    return re.fullmatch(r"[A-Za-z0-9_-]+", key) is not None


def _quoted(text: str) -> str:
    """Write a string as TOML does; whatever a terminal could take amiss is escaped."""
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 1 << 16 else f"\\U{ord(char):08x}"


def written(value: object) -> str:
    """Write a string, a number, true or false, or a list of them as TOML does."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    return _quoted(value) if isinstance(value, str) else repr(value)
