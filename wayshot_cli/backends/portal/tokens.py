"""Restore tokens: what spares the portal's dialog the next time, once each.

They lie in one file of the state folder, by desktop and target. Each is good for one cast, which
gives the next one; one that failed stays, for the failure may pass.
"""

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from time import monotonic, sleep

from wayshot_cli.backends.portal.files import open_now

_LARGEST = 1 << 20  # bytes
_LONGEST_TOKEN = 4096  # characters; portals give UUIDs
_TEMPORARY = ".portal-"  # what names of files begin with that are to replace it
_PATIENCE = 0.5  # seconds for another process that changes the file

_UNREADABLE = (OSError, ValueError, RecursionError)

Tokens = dict[str, dict[str, str]]
"""Tokens by desktop and target."""


def path() -> str:
    """Return where the tokens are kept."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if not state.startswith("/"):  # as the XDG Base Directory Specification has it
        state = os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "wayshot", "portal.json")


class TokenStore:
    """The tokens of one desktop. What cannot be read or written is said to ``warn``, no more."""

    def __init__(self, desktop: str, warn: Callable[[str], object]) -> None:
        """Take whose tokens they are."""
        self._desktop = desktop
        self._warn = warn
        self._own: dict[str, str] | None = None  # as they were read

    def get(self, target: str) -> str | None:
        """Return the token for a target, None where there is none."""
        if self._own is None:
            self._own = {}
            try:
                self._own = _read().get(self._desktop, {})
            except _UNREADABLE as error:
                self._warn(
                    f"{path()!r} is not what wayshot wrote, the portal will ask again: {error}"
                )
        return self._own.get(target)

    def put(self, target: str, token: str | None) -> None:
        """Keep the token for a target in place of the one before; None forgets that.

        One that could not be read again, or is none, would cost all others: it is not kept.
        """
        try:
            os.makedirs(os.path.dirname(path()), mode=0o700, exist_ok=True)
            with _locked():
                tokens = _read_or_nothing()
                self._own = own = tokens.setdefault(self._desktop, {})
                own.pop(target, None)
                if token and len(token) <= _LONGEST_TOKEN and token.isprintable():
                    own[target] = token
                _write(tokens)
        except OSError as error:
            self._warn(
                f"cannot keep the portal's permission in {path()!r}, it will ask again: "
                f"{error.strerror}"
            )


def forget() -> None:
    """Remove all tokens, of all desktops. Raises OSError."""
    with contextlib.suppress(FileNotFoundError), _locked():
        folder = os.path.dirname(path())
        for name in os.listdir(folder):
            if name.startswith(_TEMPORARY):  # of a process that was killed meanwhile
                os.unlink(os.path.join(folder, name))
        os.unlink(path())


def _read() -> Tokens:
    """Return what the file says. Raises one of ``_UNREADABLE`` when that makes no sense."""
    try:
        with open_now(path()) as file:
            tokens = json.loads(file.read(_LARGEST) or b"")  # None: a FIFO that is empty
    except FileNotFoundError:
        return {}
    if not isinstance(tokens, dict) or not all(_are_tokens(own) for own in tokens.values()):
        message = "it holds something else"
        raise ValueError(message)
    return tokens


def _read_or_nothing() -> Tokens:
    try:
        return _read()
    except _UNREADABLE:
        return {}


def _are_tokens(own: object) -> bool:
    """Whether they can be sent over D-Bus, whose strings are UTF-8 without NUL."""
    return isinstance(own, dict) and all(
        isinstance(token, str) and token.isprintable() for token in own.values()
    )


def _write(tokens: Tokens) -> None:
    """Replace the file whole; nobody else may read it."""
    folder = os.path.dirname(path())
    fd, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=folder)  # mode 0600
    try:
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(tokens, file, indent=1)
            file.write("\n")
        os.replace(temporary, path())
    except BaseException:
        os.unlink(temporary)
        raise


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Keep other processes from changing the file meanwhile; not from reading it."""
    fd = os.open(os.path.dirname(path()), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = monotonic() + _PATIENCE
        while not _try_lock(fd) and monotonic() < deadline:
            sleep(0.01)  # whoever sits on it for so long is stopped: go on without
        yield
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
