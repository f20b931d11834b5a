"""Bytes to their place: files that appear whole or not at all, descriptors, recordings."""

import contextlib
import errno
import fcntl
import itertools
import os
import select
import stat
from collections.abc import Iterable, Iterator, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Self

from wayshot_cli.errors import WriteError
from wayshot_cli.kernels._kernels import lib

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Names that exist only while a picture is being written and that must not survive us: the
# command's signal handlers remove them before they leave.
_temporaries: set[bytes] = set()

_PART = 1 << 18  # bytes: what a reader of 0.5 MB/s takes before it counts as stuck

_TMP = b"/var/tmp"  # on a disk, unlike /tmp: for what may become large (file-hierarchy(7))


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
    path: "str | os.PathLike[str]",
    chunks: "Iterable[Buffer]",
    *,
    clobber: bool = True,
    mkdir: bool = False,
) -> None:
    """Write a picture to a path, whole or not at all.

    A symlink is resolved first. A missing or regular target appears (or is replaced) in one
    step, with mode 0666 less the umask (or the mode it had). FIFOs, devices, /dev/stdout and
    /dev/fd/N are written in place. With ``clobber`` off an existing file stays;
    ``mkdir`` makes the folders that are missing.
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
        if mkdir:
            os.makedirs(os.path.dirname(target), exist_ok=True)
        with _new_file(os.path.dirname(target)) as file:
            if old is not None:
                os.fchmod(file.fd, stat.S_IMODE(old.st_mode))
            write_fd(file.fd, chunks)
            file.publish(target, clobber=clobber)


def write_new(paths: Iterable[str], chunks: "Iterable[Buffer]", *, mkdir: bool = False) -> str:
    """Write a picture to the first of the paths, all in one folder, that does not exist.

    ``mkdir`` makes that folder, and those above it, where they are missing.
    Returns that path. Raises WriteError, and leaves nothing behind then.
    """
    candidates = iter(paths)
    first = next(candidates)
    with errors_named(first):
        folder = os.path.realpath(os.path.dirname(os.fsencode(first)))
        if mkdir:
            os.makedirs(folder, exist_ok=True)
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
            except BlockingIOError:
                _wait_until_writable(fd)


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


class RecordingFile:
    """A recording's place, filled from the first byte on, so that a kill leaves what was written.

    Nothing is touched before that byte: only then an existing regular file is emptied, or a FIFO
    or device opened. What a path like /dev/stdout stands for (or ``-``) is written to as it is.
    One thread writes; ``blocked_for`` and ``nbytes`` may be read from others.

    All methods raise WriteError, whose cause is a BrokenPipeError when the reader has gone.
    """

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        *,
        clobber: bool = True,
        mkdir: bool = False,
        others: Iterable[str] = (),
    ) -> None:
        """Look at the path.

        With ``clobber`` off an existing regular file is refused, or rather the first of the
        ``others`` is taken that does not exist; ``name`` says which it is. ``mkdir`` makes the
        folders that are missing, with the first byte.
        """
        self.name = "stdout" if path == "-" else os.fspath(path)
        self.nbytes = 0
        self._fd = 1 if path == "-" else _named_descriptor(path)
        self._is_ours = self._fd is None  # to open and to close
        self._clobber = clobber
        self._mkdir = mkdir
        self._others = iter(others)
        self.is_file = False  # and not somebody's descriptor, a FIFO or a device
        self._is_reserved = False
        self._blocked_since: float | None = None
        if self._fd is not None:
            _widen_pipe(self._fd)
            return
        with errors_named(path):
            while (old := _stat(self.name)) and stat.S_ISREG(old.st_mode) and not clobber:
                self._take_other_name()
            self.is_file = old is None or stat.S_ISREG(old.st_mode)
            if not mkdir:
                os.stat(self._folder)  # say now that it is missing

    @property
    def blocked_for(self) -> float:
        """Seconds for which a reader has taken nothing; 0 where nobody waits for one."""
        since = self._blocked_since
        return 0.0 if since is None or self.is_file else monotonic() - since

    @property
    def is_gone(self) -> bool:
        """Whether there was a reader who has gone; writing would be told so, too."""
        if self.is_file or self._fd is None:
            return False
        ready = select.poll()
        ready.register(self._fd, 0)
        return any(happened & select.POLLERR for _, happened in ready.poll(0))

    def seekable(self) -> bool:
        """Whether ``seek`` works. In somebody else's descriptor we have no place of our own."""
        return self.is_file

    def reserve(self) -> None:
        """Take the name before the first byte, for another program to write to.

        What may be replaced stays until that program does so.
        """
        with errors_named(self.name):
            self._make_folder()
            if not self._clobber:
                self._open()
        self._is_reserved = True

    def write_all(self, buffers: "Sequence[Buffer]") -> None:
        """Write all the bytes, in order."""
        with errors_named(self.name):
            self._blocked_since = monotonic()
            try:
                fd = self._open()
                for buffer in buffers:
                    self.nbytes += self._write(fd, memoryview(buffer).cast("B"))
            finally:
                self._blocked_since = None

    def _write(self, fd: int, view: memoryview) -> int:
        """Write bytes in parts, so that one sees whether a slow reader takes any."""
        total = len(view)
        while view:
            try:
                view = view[os.write(fd, view[:_PART]) :]
            except BlockingIOError:
                _wait_until_writable(fd)
            self._blocked_since = monotonic()
        return total

    def write(self, data: "Buffer") -> int:
        """Write all the bytes and return how many there were (the way of file objects)."""
        self.write_all([data])
        return memoryview(data).nbytes

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move in the file, as io.IOBase.seek does."""
        with errors_named(self.name):
            return os.lseek(self._open(), offset, whence)

    def tell(self) -> int:
        """Return the place in the file, as io.IOBase.tell does."""
        return self.seek(0, os.SEEK_CUR)

    def close(self) -> None:
        """Complete the recording. A file that nothing was written to has not come to be.

        One that somebody has removed meanwhile is an error; it may have another name by now.
        """
        try:
            with errors_named(self.name):
                if self.is_file and (self.nbytes or self._is_reserved):
                    self._look_for_file()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of everything as it is, of a name for which nothing was written, too.

        Harmless twice.
        """
        if self._is_ours and self._fd is not None:
            own = os.fstat(self._fd)
            if self._is_reserved and self.is_file and not own.st_size:
                with contextlib.suppress(OSError):
                    if os.path.samestat(own, os.stat(self.name)):
                        os.unlink(self.name)
            os.close(self._fd)
            self._fd = None

    def _look_for_file(self) -> None:
        if os.path.lexists(self.name):
            return
        os.stat(self._folder)  # which may have gone, too
        if self._fd is not None and not os.fstat(self._fd).st_nlink:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    @property
    def _folder(self) -> str:
        return os.path.dirname(os.path.realpath(self.name))

    def _take_other_name(self) -> None:
        other = next(self._others, None)
        if other is None:
            raise _exists()
        self.name = other

    def _make_folder(self) -> None:
        if self._mkdir and self.is_file:
            os.makedirs(self._folder, exist_ok=True)

    def _open(self) -> int:
        if self._fd is None:
            self._make_folder()
        while self._fd is None:
            flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY
            if self.is_file:
                flags |= os.O_CREAT | (os.O_TRUNC if self._clobber else os.O_EXCL)
            try:
                self._fd = os.open(self.name, flags, 0o666)
            except FileExistsError:  # since we looked
                self._take_other_name()
            else:
                _widen_pipe(self._fd)
        return self._fd


class WholeRecordingFile(RecordingFile):
    """The same for formats that are worth nothing before their end: it appears at ``close()``.

    Until then a regular file has no name; for anything else the bytes wait in a temporary file.
    """

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        *,
        clobber: bool = True,
        mkdir: bool = False,
        others: Iterable[str] = (),
    ) -> None:
        """Look at the path, and try whether its folder takes a file, where it must be there."""
        super().__init__(path, clobber=clobber, mkdir=mkdir, others=others)
        self._file: _UnnamedFile | _TemporaryFile | None = None
        if not mkdir:
            with self._make_file():
                pass

    @property
    def is_gone(self) -> bool:
        """Whether there is a reader no more. Raises WriteError then: it had not enough."""
        if super().is_gone:
            raise self._unread()
        return False

    def _unread(self) -> WriteError:
        return WriteError(f"cannot write {self.name!r}: its reader has gone")

    def seekable(self) -> bool:
        """``seek`` always works."""
        return True

    def close(self) -> None:
        """Let the file appear, or write all to what is no file."""
        try:
            with errors_named(self.name):
                if self._file and self.nbytes and self.is_file:
                    self._publish(self._file)
                elif self._file and self.nbytes:
                    self._copy(self._file.fd)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Leave nothing. Harmless twice."""
        if self._file:
            self._file.__exit__()
            self._file = None
        super().abandon()

    def _make_file(self) -> "_UnnamedFile | _TemporaryFile":
        with errors_named(self.name):
            self._make_folder()
            return _new_file(os.fsencode(self._folder) if self.is_file else _TMP)

    def _publish(self, file: "_UnnamedFile | _TemporaryFile") -> None:
        while True:
            target = os.path.realpath(os.fsencode(self.name))
            if self._clobber and (old := _stat(target)):
                os.fchmod(file.fd, stat.S_IMODE(old.st_mode))
            try:
                file.publish(target, clobber=self._clobber)
            except FileExistsError:
                self._take_other_name()
            else:
                return

    def _copy(self, source: int) -> None:
        os.lseek(source, 0, os.SEEK_SET)
        self._blocked_since = monotonic()
        try:
            target = super()._open()
            while chunk := os.read(source, _PART):
                self._write(target, memoryview(chunk))
        except BrokenPipeError:
            raise self._unread() from None
        finally:
            self._blocked_since = None

    def _open(self) -> int:
        if self._file is None:
            self._file = self._make_file()
        return self._file.fd


def _wait_until_writable(fd: int) -> None:
    # Somebody who shares the pipe has set O_NONBLOCK.
    ready = select.poll()
    ready.register(fd, select.POLLOUT)
    ready.poll()


def _widen_pipe(fd: int) -> None:
    """Let a pipe hold 1 MiB, the most that users may ask for: fewer switches to its reader."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 1 << 20)


def is_descriptor(path: str | None) -> bool:
    """Whether the path (``-`` for stdout) stands for an open descriptor."""
    return path is not None and (path == "-" or _named_descriptor(path) is not None)


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
        fd = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666)
    except OSError as error:
        # This is how kernels and file systems without O_TMPFILE answer.
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
            raise
        return _TemporaryFile(folder)
    return _UnnamedFile(fd)


def _exists() -> OSError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def _stat(path: "str | bytes | os.PathLike[str]") -> os.stat_result | None:
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
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
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
