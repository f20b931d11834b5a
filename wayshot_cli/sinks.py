"""Bytes to their place: files that appear whole or not at all, and descriptors."""

import contextlib
import errno
import itertools
import os
import select
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Self

from wayshot_cli.errors import WriteError
from wayshot_cli.kernels._kernels import lib

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Names that exist only while a picture is being written and that must not survive us: the
# command's signal handlers remove them before they leave.
_temporaries: set[bytes] = set()


def remove_temporaries() -> None:
    """Remove the temporary files under way; for whoever is about to end the process."""
    for path in list(_temporaries):
        with contextlib.suppress(OSError):
            os.unlink(path)


@contextlib.contextmanager
def errors_named(path: "str | os.PathLike[str]") -> Iterator[None]:
    """Turn what the system says of a path into a WriteError that names it."""
    try:
        yield
    except OSError as error:
        message = f"cannot write {os.fsdecode(path)!r}: {error.strerror or error}"
        raise WriteError(message) from error


def write_file(
    path: "str | os.PathLike[str]", chunks: "Iterable[Buffer]", *, clobber: bool = True
) -> None:
    """Write a picture to a path, whole or not at all.

    A symlink is resolved first. A missing or regular target appears (or is replaced) in one
    step, with mode 0666 less the umask (or the mode it had). FIFOs, devices, /dev/stdout and
    /dev/fd/N are written in place. With ``clobber`` off an existing file stays.
    Raises WriteError; the target is then what it was before.
    """
    with errors_named(path):
        if (fd := _named_descriptor(path)) is not None:
            write_fd(fd, chunks)
            return
        old = _stat(path)
        if old is not None and not stat.S_ISREG(old.st_mode):
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
            with _Descriptor(fd):
                write_fd(fd, chunks)
            return
        if old is not None and not clobber:
            raise _exists()
        target = os.path.realpath(os.fsencode(path))
        with _new_file(os.path.dirname(target)) as file:
            if old is not None:
                os.fchmod(file.fd, stat.S_IMODE(old.st_mode))
            write_fd(file.fd, chunks)
            file.publish(target, clobber=clobber)


def write_new(paths: Iterable[str], chunks: "Iterable[Buffer]") -> str:
    """Write a picture to the first of the paths, all in one folder, that does not exist.

    Returns that path. Raises WriteError, and leaves nothing behind then.
    """
    candidates = iter(paths)
    first = next(candidates)
    with errors_named(first):
        folder = os.path.realpath(os.path.dirname(os.fsencode(first)))
        with _new_file(folder) as file:
            write_fd(file.fd, chunks)
            for path in itertools.chain((first,), candidates):
                try:
                    file.publish(os.path.join(folder, os.path.basename(os.fsencode(path))))
                except FileExistsError:
                    continue
                return path
            raise _exists()


def write_fd(fd: int, chunks: "Iterable[Buffer]") -> None:
    """Write all chunks to a descriptor, however little it takes at a time.

    Raises OSError, BrokenPipeError among them.
    """
    for chunk in chunks:
        view = memoryview(chunk).cast("B")
        while view:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:  # somebody who shares the pipe has set O_NONBLOCK
                ready = select.poll()
                ready.register(fd, select.POLLOUT)
                ready.poll()


def is_terminal(path: str) -> bool:
    """Whether writing to the path (``-`` for stdout) would write onto a terminal."""
    fd = 1 if path == "-" else _named_descriptor(path)
    if fd is not None:
        return os.isatty(fd)
    try:
        if not stat.S_ISCHR(os.stat(path).st_mode):
            return False
        with _Descriptor(os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)) as device:
            return os.isatty(device.fd)
    except OSError:
        return False  # writing will say what is wrong


def _named_descriptor(path: "str | os.PathLike[str]") -> int | None:
    """Return the descriptor that a path stands for, if it does.

    It is written to as it is: opening /dev/stdout anew would begin at the file's start,
    and replacing what it leads to would leave the shell with a deleted file.
    """
    match os.fspath(path).rpartition("/"):
        case ["/dev", _, "stdout"]:
            return 1
        case ["/dev", _, "stderr"]:
            return 2
        case ["/dev/fd" | "/proc/self/fd", _, number] if number.isdecimal():
            return min(int(number), 2**31 - 1)
    return None


def _new_file(folder: bytes) -> "_UnnamedFile | _TemporaryFile":
    try:
        fd = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    except OSError as error:
        # This is how kernels and file systems without O_TMPFILE answer.
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
            raise
        return _TemporaryFile(folder)
    return _UnnamedFile(fd)


def _exists() -> OSError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def _stat(path: "str | os.PathLike[str]") -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


class _Descriptor:
    """Closes a descriptor at the end of a block."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


class _UnnamedFile(_Descriptor):
    """A file without a name (O_TMPFILE): whatever ends us before ``publish`` leaves nothing."""

    def publish(self, path: bytes, *, clobber: bool = False) -> None:
        """Give the file its name. Raises FileExistsError when it is taken and may not be."""
        folder, name = os.path.split(path)
        # linkat follows /proc's symlink only when told to, and os.link tells it so only
        # where it gets directory descriptors.
        with _Descriptor(os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as at:
            source = b"/proc/self/fd/%d" % self.fd
            try:
                os.link(source, name, src_dir_fd=at.fd, dst_dir_fd=at.fd)
            except FileExistsError:
                if not clobber:
                    raise
                # linkat cannot replace, rename can: by a second name that lives an instant.
                with _TemporaryName(folder) as temporary:
                    os.link(source, os.path.basename(temporary), src_dir_fd=at.fd, dst_dir_fd=at.fd)
                    os.rename(temporary, path)


class _TemporaryFile(_Descriptor):
    """The same where there is no O_TMPFILE: a name of its own that goes at the end."""

    def __init__(self, folder: bytes) -> None:
        self._name = _TemporaryName(folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        path = self._name.__enter__()
        try:
            super().__init__(os.open(path, flags, 0o666))
        except OSError:
            self._name.__exit__()
            raise

    def publish(self, path: bytes, *, clobber: bool = False) -> None:
        """Give the file its name. Raises FileExistsError when it is taken and may not be."""
        if clobber:
            os.rename(self._name.path, path)
            return
        error = lib.ws_rename_noreplace(self._name.path, path)
        if error in (errno.EINVAL, errno.ENOSYS):  # not on this file system, or kernel
            os.link(self._name.path, path)
        elif error:
            raise OSError(error, os.strerror(error))

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._name.__exit__()


class _TemporaryName:
    """A hidden name in a folder; what it names is removed at the end of the block."""

    def __init__(self, folder: bytes) -> None:
        self.path = os.path.join(folder, b".wayshot-" + os.urandom(6).hex().encode())

    def __enter__(self) -> bytes:
        _temporaries.add(self.path)
        return self.path

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        _temporaries.discard(self.path)
