"""What happens to a picture when it is there: --edit, --clipboard, --exec, --notify, in this order.

Loaded only for these options.
"""

import contextlib
import io
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from wayshot_cli import encode, sinks
from wayshot_cli.cli import ENDING, before_leaving, handle_ending, leave, printable, say
from wayshot_cli.cli.children import ending_children
from wayshot_cli.cli.names import say_path
from wayshot_cli.cli.options import is_default, refuse, require_command
from wayshot_cli.cli.shot import Writing, write
from wayshot_cli.errors import (
    CancelledError,
    InvalidArgumentError,
    UnsupportedError,
    WayshotError,
    WriteError,
)
from wayshot_cli.geometry import Size

if TYPE_CHECKING:
    from PIL.Image import Image

    from wayshot_cli.frame import Frame

_PLACE = "{}"  # of the path in a command
_EDITORS = {
    "satty": ["satty", "--filename", _PLACE, "--output-filename", _PLACE, "--early-exit"],
    "swappy": ["swappy", "--file", _PLACE, "--output-file", _PLACE],
}
"""The editors that are looked for, in this order; each saves where it has read."""

_THUMBNAIL = 256  # pixels a side, at most
# What Python and __main__ ignore, which others would inherit.
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGUSR1, signal.SIGUSR2)


class _Preview(NamedTuple):
    """The size of a picture, and a small one of it."""

    size: Size
    thumbnail: "Image"


class Delivery:
    """What the line wants to happen to a picture, or to a recording, when it is there."""

    def __init__(  # noqa: PLR0913 - the options
        self,
        file: str | None,
        timeout: float,
        *,
        format_: str = "",
        edit: bool = False,
        editor: list[str] | None = None,
        clipboard: bool = False,
        exec_: list[str] | None = None,
        notify: bool = False,
    ) -> None:
        """Check the words, for a picture in a format or a recording.

        Raises click.UsageError, UnsupportedError for a program that is missing, and what
        ``clipboard.require`` does.
        """
        has_place = any(_PLACE in word for word in exec_ or ())
        if clipboard and file is None and is_default("clipboard"):
            # It gives way to what the line says of a file.
            is_format_typed = format_ != "png" and not is_default("format_")
            is_place_typed = has_place and not is_default("exec_")
            clipboard = not (is_format_typed or is_place_typed)
        leaves_file = not clipboard if file is None else _is_file(file)
        if edit and format_ != "png":
            refuse(f"--edit is for png, not {format_}", "edit")
            edit = False
        if edit:
            require_command("editor")
        if clipboard and file is None and format_ != "png":
            refuse(f"the clipboard gets PNG: name a FILE for {format_}", "format_")
        if has_place and not leaves_file:
            refuse("{} in --exec stands for a file, and none is left here: name a FILE", "exec_")
            exec_ = None
        self._file = file
        self._timeout = timeout
        self._clipboard = clipboard
        self._notify = notify
        self._leaves_file = leaves_file
        self._unsaid: WriteError | None = None
        with self.telling_errors():
            self._editor = _find_editor(editor) if edit else None
            self._command = _find(exec_, "--exec") if exec_ else None
            if clipboard and file is None:
                from wayshot_cli.clipboard import require  # noqa: PLC0415 - for this alone

                require(timeout=timeout)  # or the picture would be lost

    @contextlib.contextmanager
    def telling_errors(self) -> Iterator[None]:
        """Notify of errors, too, for a key binding has no terminal; who cancels knows it."""
        try:
            yield
        except CancelledError:
            raise
        except WayshotError as error:
            if not isinstance(error, InvalidArgumentError) or is_default("notify"):
                self.tell_error(str(error), error.hint)  # else ``run`` does, as of all misuse
            raise

    def tell_error(self, message: str, hint: str | None) -> None:
        """Notify of an error, if a notification is wished for."""
        self._tell("wayshot failed", f"{message}\n{hint or ''}", "dialog-error")

    def deliver(self, frame: "Frame", writing: Writing) -> None:
        """Write a picture, and do the rest; the frame is closed then.

        Raises what writing and ``clipboard.copy`` do, and WayshotError when a program fails.
        """
        path, png = self._write(frame, writing)
        preview = None
        if self._notify:
            preview = _preview(_opened(png) if png and self._editor else frame.to_pillow())
        if self._clipboard and png is None:
            png = _read(path) if path and writing.format == "png" else _encoded(frame)
        frame.close()  # what goes on in the background keeps all that is in memory
        if self._clipboard and png:
            self._copy(png, path)
        self._finish("Screenshot", [path] if path else [], "camera-photo", preview)
        if self._unsaid:
            raise self._unsaid

    def deliver_recording(self, paths: list[str]) -> None:
        """Do the rest for a recording that is complete, in files or elsewhere."""
        self._finish("Recording", paths, "camera-video")

    def _finish(
        self, what: str, paths: list[str], icon: str, preview: _Preview | None = None
    ) -> None:
        """Run the command, for each file or without one, then notify.

        One that fails keeps no other file from it, and is told in the end.
        """
        each: list[str | None] = [*paths] or [None]
        failures = [error for path in each if (error := self._run_command(path))]
        if failures:
            raise failures[0]
        done = "saved" if paths else "copied" if self._clipboard else "done"
        facts = [os.path.basename(path) for path in paths[:1]]
        if len(paths) > 1:
            facts.append(f"the first of {len(paths)} files")
        if preview:
            facts.append(f"{preview.size.width}\N{MULTIPLICATION SIGN}{preview.size.height}")
        thumbnail = preview.thumbnail if preview else None
        path = paths[0] if paths else None
        self._tell(f"{what} {done}", "\n".join(facts), icon, path, thumbnail)

    def _run_command(self, path: str | None) -> WayshotError | None:
        """Run what --exec names, if there is something; return how it failed."""
        if self._command:
            is_stdout_ours = self._file is not None and sinks.is_descriptor(self._file)
            try:
                _run(self._command, path, "--exec", has_stdout=not is_stdout_ours)
            except WayshotError as error:
                return error
        return None

    def _write(self, frame: "Frame", writing: Writing) -> tuple[str | None, bytes | None]:
        """Write and edit; return the path of the file that is left, and the PNG, if at hand."""
        png: bytes | None = None
        if self._leaves_file:
            path = write(frame, writing, say_name=self._say_name)
            if path and self._editor:
                png = self._edit(_read(path))
                sinks.write_file(path, [png])
            return path, png
        if self._editor or (self._clipboard and writing.format == "png"):
            png = _encoded(frame, writing.options)
        if png and self._editor:
            png = self._edit(png)
        if self._file is not None:
            write(frame, writing, png)
        return None, png

    def _say_name(self, path: str) -> None:
        """Print the name of the file; where stdout takes nothing, that is told after all else."""
        try:
            say_path(path)
        except WriteError as error:
            self._unsaid = error

    def _edit(self, png: bytes) -> bytes:
        """Return what the editor makes of a picture, in a copy: until then all stays as it is."""
        from wayshot_cli.encode.png import SIGNATURE  # noqa: PLC0415 - for this alone

        assert self._editor  # noqa: S101 - the callers have looked
        with _private_folder() as folder:
            path = os.path.join(folder, "wayshot.png")
            sinks.write_file(path, [png])
            _run(self._editor, path, "--edit", has_stdout=False)
            edited = _read(path) if os.path.exists(path) else b""
        if not edited.startswith(SIGNATURE):
            message = f"--edit: {self._editor[0]} has left no PNG"
            raise WayshotError(message)
        return edited

    def _copy(self, png: bytes, path: str | None) -> None:
        from wayshot_cli import clipboard  # noqa: PLC0415 - for this alone

        offers = {"image/png": png, **(clipboard.file(path) if path else {})}
        clipboard.copy(offers, timeout=self._timeout)

    def _tell(
        self,
        summary: str,
        body: str,
        icon: str,
        path: str | None = None,
        image: "Image | None" = None,
    ) -> None:
        """Show a notification, if one is wished for; it is worth no error."""
        if not self._notify:
            return
        from wayshot_cli import notifications  # noqa: PLC0415 - for this alone

        lines = [printable(line) for line in body.splitlines() if line]
        note = notifications.Note(summary, "\n".join(lines), icon, image, path)
        try:
            notifications.notify(note, timeout=self._timeout)
        except WayshotError as error:
            say(f"no notification: {error}", hint=error.hint)


def _is_file(file: str) -> bool:
    """Whether FILE leads to a file, and not to a descriptor, a FIFO or a device."""
    if sinks.is_descriptor(file):
        return False
    try:
        mode = os.stat(file).st_mode
    except OSError:
        return True
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _find_editor(words: list[str] | None) -> list[str]:
    """Return the editor's words, or those of the first one that is installed."""
    if words:
        words = _EDITORS.get(words[0], words) if len(words) == 1 else words
        return _find(words if any(_PLACE in word for word in words) else [*words, _PLACE], "--edit")
    for name, words in _EDITORS.items():
        if shutil.which(name):
            return words
    message = "--edit: there is no editor"
    raise UnsupportedError(message, hint="install satty or swappy, or name one with --editor")


def _find(words: list[str], option: str) -> list[str]:
    if shutil.which(words[0]) is None:
        message = f"{option}: there is no program {words[0]!r}"
        raise UnsupportedError(message, hint="is it installed, and in PATH?")
    return words


def _run(words: list[str], path: str | None, option: str, *, has_stdout: bool) -> None:
    """Run a program to its end, with the path in place of ``{}``.

    Where it may not have our stdout it prints to stderr. Raises WayshotError when it fails. A
    signal that ends us ends it, too, and what it has started.
    """
    words = [word.replace(_PLACE, os.path.abspath(path)) if path else word for word in words]
    end_children = ending_children()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # or nobody would know how it ended
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    handle_ending(leave)  # not as a recording does, which is over
    try:
        pid = os.posix_spawnp(
            words[0], words, os.environ,
            file_actions=[] if has_stdout else [(os.POSIX_SPAWN_DUP2, 2, 1)],
            setsigmask=mask, setsigdef=_IGNORED,
        )  # fmt: skip
        before_leaving.insert(0, end_children)  # before what it works on goes
    except OSError as error:
        message = f"{option}: cannot run {words[0]!r}: {error.strerror}"
        raise WayshotError(message) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        before_leaving.remove(end_children)
    if code:
        how = f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}"
        message = f"{option}: {words[0]!r} {how}"
        raise WayshotError(message)


@contextlib.contextmanager
def _private_folder() -> Iterator[str]:
    """Make a folder that nobody else looks into, and that goes at the end, whatever that is."""
    runtime_dir = os.environ.get("XDG_RUNTIME_DIR", "")
    parent = runtime_dir if os.path.isabs(runtime_dir) else tempfile.gettempdir()
    folder = os.path.join(parent, f"wayshot-{os.urandom(6).hex()}")
    remove = partial(shutil.rmtree, folder, ignore_errors=True)
    before_leaving.append(remove)
    try:
        with sinks.errors_named(folder):
            os.mkdir(folder, 0o700)
        yield folder
    finally:
        remove()
        before_leaving.remove(remove)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        message = f"cannot read {path!r}: {error.strerror}"
        raise WayshotError(message) from error


def _encoded(frame: "Frame", options: encode.Options = encode.DEFAULTS) -> bytes:
    return b"".join(encode.encode(frame, "png", options))


def _opened(png: bytes) -> "Image":
    """Return what an editor has made. Raises WayshotError when that cannot be read."""
    from PIL import Image  # noqa: PLC0415 - for a notification alone

    try:
        image = Image.open(io.BytesIO(png), formats=["PNG"])
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    except (OSError, ValueError, SyntaxError) as error:
        message = f"--edit has left a PNG that cannot be read: {error}"
        raise WayshotError(message) from error


def _preview(image: "Image") -> _Preview:
    size = Size(*image.size)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return _Preview(size, image)
