"""Names made of what is captured: FILE with codes of strftime and ``{fields}`` (see wayshot(1))."""

import os
import re
import sys
import time
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

from wayshot_cli.cli.names import DEFAULT_NAME, numbered
from wayshot_cli.errors import InvalidArgumentError

if TYPE_CHECKING:
    from wayshot_cli.geometry import Size
    from wayshot_cli.sources import Source
    from wayshot_cli.still import Subject
    from wayshot_cli.waiting import Waiter
    from wayshot_cli.wayland.toplevels import Window

FIELDS = ("output", "app_id", "title", "width", "height", "counter")

# POSIX's, but for those that make slashes and line breaks. The C library lets unknown ones pass.
_CODES = "aAbBCdeFgGhHIjmMpRsSTuUVwWyYzZ"
_HIGHEST = 1_000_000  # that {counter} comes to
_LONGEST_NAME = 255  # bytes: NAME_MAX of most file systems
_LONGEST_NUMBER = len("-9999")  # of what makes a name another one
_EMPTY = {"output": "screen", "app_id": "unknown", "title": "untitled"}  # the words for no words

_TOKEN = re.compile(
    r"(?P<literal>[^%{}]+|%%|\{\{|\}\})|%(?P<code>.?)"
    r"|\{(?P<field>[^{}:]*)(?P<form>:[^{}]*)?\}|[{}]",
    re.DOTALL,
)


class _Field(NamedTuple):
    """The letter of a code, as ``Y``, or one of ``FIELDS``, with at least so many digits."""

    name: str
    digits: int = 0


_Tokens = list["str | _Field"]


class Template:
    """FILE with fields, of which ``fields`` are those in braces.

    ``extension`` is what all of its names end with, empty where they have none.
    """

    def __init__(self, text: str, known: Collection[str] = FIELDS) -> None:
        """Read it. Raises InvalidArgumentError for what is no field, or is not ``known`` here."""
        *self._folders, self._name = _parts(text + DEFAULT_NAME * text.endswith("/"))
        if [".."] in [*self._folders, self._name]:
            message = "FILE is a template, which may not lead up by .."
            raise InvalidArgumentError(message, hint="name that folder itself")
        in_folders = _fields(self._folders)
        self.fields = in_folders | _fields([self._name])
        if late := self.fields - {*known}:
            message = f"{{{min(late)}}} is not known yet when this file gets its name"
            raise InvalidArgumentError(message, hint=_hint(known))
        if "counter" in in_folders:
            message = "{counter} is for the name of a file, not of a folder"
            raise InvalidArgumentError(message, hint=_hint(known))
        # A dot before a field begins no extension.
        last = self._name.pop() if isinstance(self._name[-1], str) else ""
        self.extension = os.path.splitext(f"{'x' if self._name else ''}{last}")[1]
        self._name.append(str(last).removesuffix(self.extension))
        self._outputs: tuple[str, ...] = ()
        self._window: Window | None = None

    def note(self, subject: "Subject | Source") -> None:
        """Remember of what is captured what the names are made of."""
        self._outputs, self._window = subject.outputs, subject.window
        if self._window is None and self.fields & {"app_id", "title"}:
            self._window = _active_window(subject.connection)

    def names(self, extension: str, size: "Size | None" = None) -> Iterator[str]:
        """Yield paths for what has been noted, all in one folder, in the order to try them.

        They get that extension where they have none; ``size`` is that of the picture. What is
        captured only names things in the folder that the user's own words say, and is cut where
        a name would be too long.
        """
        extension = self.extension or extension
        values = self._values(size)
        folder = "".join(_expand(tokens, values) + "/" for tokens in self._folders)
        if "counter" not in self.fields:
            stem = _expand(self._name, values, _LONGEST_NUMBER + len(os.fsencode(extension)))
            yield from numbered(folder + stem, extension)
            return
        for number in range(1, _HIGHEST):
            values["counter"] = str(number)
            stem = _expand(self._name, values, len(os.fsencode(extension)))
            yield folder + stem + extension

    def _values(self, size: "Size | None") -> dict[str, str]:
        """Return what stands for each field, but for the counter."""
        now = time.localtime()
        window = self._window
        said = {
            "output": "+".join(filter(None, self._outputs)),
            "app_id": window.app_id if window else "",
            "title": window.title if window else "",
        }
        return {
            **{code: time.strftime(f"%{code}", now) for code in _CODES},
            **{name: _clean(text) or _EMPTY[name] for name, text in said.items()},
            **({name: str(side) for name, side in size._asdict().items()} if size else {}),
        }


def _parts(text: str) -> list[_Tokens]:
    """Return what stands between slashes, in tokens, of which no two strings are neighbours."""
    parts: list[_Tokens] = [[]]
    for token in _tokens(text):
        if isinstance(token, _Field):
            parts[-1].append(token)
            continue
        first, *others = token.split("/")
        if parts[-1] and not isinstance(before := parts[-1][-1], _Field):
            parts[-1][-1] = before + first
        else:
            parts[-1].append(first)
        parts += [[other] for other in others]
    return parts


def _tokens(text: str) -> Iterator["str | _Field"]:
    for match in _TOKEN.finditer(text):
        literal, code, field, form = match.group("literal", "code", "field", "form")
        if literal:
            yield literal[0] if literal in {"%%", "{{", "}}"} else literal
        elif code and code in _CODES:
            yield _Field(code)
        elif field in FIELDS and form is None:
            yield _Field(field)
        elif field == "counter" and re.fullmatch(":0[1-9]", form):
            yield _Field(field, int(form[-1]))
        else:
            what = "a single brace" if match[0] in {"{", "}"} else match[0]
            message = f"FILE is a template, in which {what} means nothing"
            raise InvalidArgumentError(message, hint=_hint(FIELDS))


def _hint(known: Collection[str]) -> str:
    fields = " ".join(f"{{{name}}}" for name in known)
    return f"fields are {fields}, and strftime's as %Y; for a %, {{ or }} itself write it twice"


def _fields(parts: list[_Tokens]) -> set[str]:
    return {token.name for tokens in parts for token in tokens if isinstance(token, _Field)} & {
        *FIELDS
    }


def _active_window(connection: "Waiter") -> "Window | None":
    """Return the active window, None where nobody tells it."""
    from wayshot_cli.wayland.connection import Connection  # noqa: PLC0415 - for these fields alone
    from wayshot_cli.wayland.toplevels import find_active  # noqa: PLC0415

    return find_active(connection) if isinstance(connection, Connection) else None


def _clean(text: str) -> str:
    """Return what can be a part of a file's name, and hides none: it comes from any program."""
    encoding = sys.getfilesystemencoding()
    text = text.encode(encoding, "replace").decode(encoding)
    text = "".join(c if c.isspace() or (c.isprintable() and c != "/") else "_" for c in text)
    return " ".join(text.split()).lstrip("._- ")


def _expand(tokens: _Tokens, values: dict[str, str], spare: int = 0) -> str:
    """Return a name that leaves so many bytes spare, if cutting what is captured allows it."""
    limit = longest = _LONGEST_NAME - spare
    while True:
        name = "".join(
            token if isinstance(token, str)
            else _cut(values[token.name], limit) if token.name in _EMPTY
            else values[token.name].zfill(token.digits)
            for token in tokens
        )  # fmt: skip
        if len(os.fsencode(name)) <= longest or limit <= 1:
            return name
        limit -= 1


def _cut(text: str, limit: int) -> str:
    """Return the beginning of a text, at most so many bytes, in whole characters."""
    return os.fsencode(text)[:limit].decode(sys.getfilesystemencoding(), "ignore").rstrip()
