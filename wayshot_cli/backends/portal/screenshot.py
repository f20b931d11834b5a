"""org.freedesktop.portal.Screenshot: the desktop's own picture of everything, as a file."""

import contextlib
import os
import stat
import tempfile
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

from wayshot_cli import pixels
from wayshot_cli.backends.portal.desktop import Desktop
from wayshot_cli.backends.portal.files import open_now
from wayshot_cli.errors import CaptureError, UnsupportedError
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Box, Size

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from PIL import Image

    from wayshot_cli.dmabuf_frame import DmabufFrame

SCREENSHOT = "org.freedesktop.portal.Screenshot"

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
_MAX_PIXELS = 2**28
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - where others write


class Screenshot:
    """The portal's screenshots."""

    def __init__(self, desktop: Desktop) -> None:
        """Ask whether there are any. Raises UnsupportedError where there are none."""
        self._desktop = desktop
        desktop.properties(SCREENSHOT)

    def take(self, note: "Callable[[str], object]") -> Frame:
        """Return a picture of the whole desktop, waiting for the user, who may be asked first.

        The portal leaves it in a file, of whose end its specification says nothing. In a
        temporary place nobody looks for it: there it is removed. Anywhere else, as in Pictures,
        it may be what the user sees as theirs: there it stays, and ``note`` is told.
        """
        doing = "taking a screenshot"
        try:
            results = self._desktop.request(
                SCREENSHOT, "Screenshot", "s", ("",), {"interactive": ("b", False)},
                doing=doing, asks_user=True,
            )  # fmt: skip
        except UnsupportedError as error:  # the last that could have been tried
            raise CaptureError(str(error), hint=error.hint) from error
        kind, uri = results.get("uri", ("", ""))
        path = _path(uri if kind == "s" else "")
        frame = _read(path)
        with contextlib.suppress(OSError):  # the picture is there, whatever becomes of its file
            if _is_temporary(path):
                os.unlink(path)
        if os.path.exists(path):
            note(f"the portal has left its screenshot at {path!r}")
        return frame


class Session:
    """Takes screenshots, as the sessions of other backends capture an output."""

    doing = "taking a screenshot by the portal"

    def __init__(self, screenshot: Screenshot, box: Box, note: "Callable[[str], object]") -> None:
        """Take what is to be shown: ``box`` holds all outputs."""
        self.box = box
        self.is_started = False
        self._screenshot = screenshot
        self._note = note

    @property
    def is_copying(self) -> bool:
        """Whether all is said that the portal needs."""
        return self.is_started

    @property
    def is_done(self) -> bool:
        """Whether ``finish()`` gets a picture without asking for another step first."""
        return self.is_started

    def start(self, *, damage: bool = False) -> None:  # noqa: ARG002 - nobody says what changed
        """Have ``finish()`` take one: there is no telling the portal to be ready."""
        self.is_started = True

    def finish(self, deadline: float) -> Frame:  # noqa: ARG002 - the user may be asked first
        """Take it. Raises what ``Desktop.request`` raises, CaptureError for a useless file."""
        self.is_started = False
        return self._screenshot.take(self._note)

    def finish_dmabuf(self, deadline: float) -> "DmabufFrame":  # noqa: ARG002 - the contract's
        """Refuse: the portal's screenshots are files."""
        message = "a screenshot of the portal's is no dmabuf"
        raise UnsupportedError(message)

    def cancel(self) -> None:
        """Forget that one was wanted."""
        self.is_started = False

    close = cancel

    def __enter__(self) -> Self:
        """Return the session itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the session."""
        self.close()


def _path(uri: str) -> str:
    try:
        parts = urlsplit(uri)
    except ValueError:
        parts = urlsplit("")
    path = unquote(parts.path)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"} or "\0" in path:
        message = f"the portal gave a screenshot that is no file: {uri!r}"
        raise CaptureError(message)
    return os.path.normpath(path)


def _read(path: str) -> Frame:
    try:
        with open_now(path) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                message = f"the portal gave a screenshot that is no file: {path!r}"
                raise CaptureError(message)  # noqa: TRY301 - as the rest is
            with _open_image(file) as image:
                if image.width * image.height > _MAX_PIXELS:
                    message = f"the portal gave a screenshot of {image.width}x{image.height} pixels"
                    raise CaptureError(message)  # noqa: TRY301
                rgb = image.convert("RGB")
    except CaptureError:
        raise
    except Exception as error:  # Pillow raises whatever the bytes lead it to
        message = f"cannot read the portal's screenshot {path!r}: {error}"
        raise CaptureError(message) from error
    return Frame(
        memoryview(rgb.tobytes()), pixels.BGR888, Size(*rgb.size), rgb.width * 3,
        alpha=Alpha.IGNORED,
    )  # fmt: skip


def _open_image(file: "BinaryIO") -> "Image.Image":
    """Open a picture as Pillow's open() does, but for its own limit, of which it would warn."""
    from PIL import Image  # noqa: PLC0415 - 18 ms

    Image.init()
    start = file.read(16)
    file.seek(0)
    for name in _FORMATS:
        read, is_one = Image.OPEN[name]
        if is_one and is_one(start) is True:
            return read(file, "")
    message = "it is of no known format"
    raise ValueError(message)


def _is_temporary(path: str) -> bool:
    """Whether it is a file of ours in a place for what need not stay."""
    places = [tempfile.gettempdir(), *_TEMPORARY]
    places += [os.environ.get("XDG_RUNTIME_DIR", ""), os.environ.get("XDG_CACHE_HOME", "")]
    places.append(os.path.expanduser("~/.cache"))
    folder = os.path.realpath(os.path.dirname(path))
    is_inside = any(
        os.path.commonpath([folder, os.path.realpath(place)]) == os.path.realpath(place)
        for place in places
        if place.startswith("/")
    )
    facts = os.lstat(path)
    return is_inside and stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid()
