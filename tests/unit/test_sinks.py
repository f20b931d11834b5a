"""Bytes to their place: whole or not at all, and nothing left behind."""

import errno
import os
import resource
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tests.descriptors import leaving_no_descriptors
from wayshot_cli import sinks
from wayshot_cli.errors import WriteError

if TYPE_CHECKING:
    from typing_extensions import Buffer

OLD = b"old picture"
NEW: "list[Buffer]" = [b"new ", bytearray(b"pic"), memoryview(b"ture")]
WRITTEN = b"new picture"
LONGEST = 255  # bytes of a file's name
PATIENCE = 30.0  # seconds for other threads


class ChunksFailError(Exception):
    """What an encoder may raise."""


def failing(error: Exception) -> Iterator[bytes]:
    yield b"half of a "
    raise error


def without_tmpfile(patch: pytest.MonkeyPatch, answer: int) -> None:
    """Let this be a kernel or file system that has no O_TMPFILE."""
    real_open = os.open

    def open_(path: str | bytes, flags: int, mode: int = 0o777, **rest: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(answer, os.strerror(answer), path)
        return real_open(path, flags, mode, **rest)

    patch.setattr(os, "open", open_)


@pytest.fixture(
    params=[0, errno.EOPNOTSUPP, errno.EISDIR], ids=["O_TMPFILE", "EOPNOTSUPP", "EISDIR"]
)
def every_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Write by O_TMPFILE, and where there is none; nothing may be left open."""
    if request.param:
        without_tmpfile(monkeypatch, request.param)
    with leaving_no_descriptors():
        yield


@pytest.fixture
def folder(tmp_path: Path, every_way: None) -> Path:  # noqa: ARG001 - each test in every way
    return tmp_path


@pytest.fixture
def _umask() -> Iterator[None]:
    old = os.umask(0o027)
    yield
    os.umask(old)


def names(folder: Path) -> set[str]:
    return set(os.listdir(folder))


@pytest.mark.usefixtures("_umask")
def test_a_new_file_has_the_mode_that_the_umask_leaves(folder: Path) -> None:
    path = folder / "a.png"
    sinks.write_file(path, NEW)
    assert path.read_bytes() == WRITTEN
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(folder) == {"a.png"}


@pytest.mark.parametrize("mode", [0o600, 0o444, 0o4755])
def test_a_replaced_file_keeps_its_mode(folder: Path, mode: int) -> None:
    path = folder / "a.png"
    path.write_bytes(OLD)
    path.chmod(mode)
    with path.open("rb") as reader:
        sinks.write_file(path, NEW)
        assert reader.read() == OLD  # who had it open reads on in the old one
    assert path.read_bytes() == WRITTEN
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert names(folder) == {"a.png"}


def test_a_symlink_stays_and_its_target_is_replaced(folder: Path) -> None:
    away = folder / "away"
    away.mkdir()
    (away / "real.png").write_bytes(OLD)
    (folder / "second").symlink_to("away/real.png")
    (folder / "first").symlink_to("second")
    sinks.write_file(folder / "first", NEW)
    assert (away / "real.png").read_bytes() == WRITTEN
    assert (folder / "first").readlink() == Path("second")
    assert (folder / "second").readlink() == Path("away/real.png")
    assert names(away) == {"real.png"}


def test_a_dangling_symlink_gets_its_target(folder: Path) -> None:
    (folder / "away").mkdir()
    (folder / "link").symlink_to("away/new.png")
    sinks.write_file(folder / "link", NEW)
    assert (folder / "link").is_symlink()
    assert (folder / "away" / "new.png").read_bytes() == WRITTEN


def test_a_symlink_to_itself_is_an_error(folder: Path) -> None:
    (folder / "loop").symlink_to("loop")
    with pytest.raises(WriteError, match="loop"):
        sinks.write_file(folder / "loop", NEW)
    assert names(folder) == {"loop"}


def test_a_fifo_is_written_in_place(folder: Path) -> None:
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(fifo.read_bytes)
        sinks.write_file(fifo, NEW)
        assert reader.result(PATIENCE) == WRITTEN
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert names(folder) == {"fifo"}


def test_a_device_is_written_in_place() -> None:
    sinks.write_file("/dev/null", NEW, clobber=False)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(WriteError, match="No space left"):
        sinks.write_file("/dev/full", NEW)


def test_stdout_by_its_name_is_written_in_place(tmp_path: Path) -> None:
    """The shell has opened the file, and may have more to write to it."""
    path = tmp_path / "log"
    script = "from wayshot_cli import sinks; sinks.write_file('/dev/stdout', [b'new'])"
    with path.open("wb") as log:
        subprocess.run([sys.executable, "-c", script], stdout=log, check=True)
        assert os.path.samestat(os.fstat(log.fileno()), path.stat())
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("mode", ["ab", "wb"])
@pytest.mark.parametrize("path", ["/dev/stderr", "/dev/fd/{}", "/proc/self/fd/{}"])
def test_a_log_behind_a_descriptor_keeps_what_it_holds(
    tmp_path: Path, path: str, mode: str
) -> None:
    """The shell has opened the log, written to it, and writes on: 2>>log, or {...} 2>log."""
    with (tmp_path / "log").open(mode) as log:
        log.write(b"before ")
        log.flush()
        target = path.format(log.fileno())
        script = f"from wayshot_cli import sinks; sinks.write_file({target!r}, [b'picture'])"
        command = [sys.executable, "-c", script]
        subprocess.run(command, stderr=log, pass_fds=[log.fileno()], check=True)
        log.write(b" after")
    assert (tmp_path / "log").read_bytes() == b"before picture after"
    assert names(tmp_path) == {"log"}


@pytest.mark.parametrize(
    "spoil",
    [
        os.mkdir,
        lambda path: os.mknod(path, stat.S_IFSOCK | 0o600),
    ],
    ids=["folder", "socket"],
)
def test_what_cannot_hold_a_picture_is_an_error(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(tmp_path / "a.png")
    before = os.stat(tmp_path / "a.png")
    with pytest.raises(WriteError, match=r"a\.png"):
        sinks.write_file(tmp_path / "a.png", NEW)
    assert os.stat(tmp_path / "a.png") == before


@pytest.mark.parametrize("path", ["missing/a.png", "file/a.png", "n" * (LONGEST + 1)])
def test_a_place_that_is_not_there_is_named(folder: Path, path: str) -> None:
    (folder / "file").write_bytes(OLD)
    with pytest.raises(WriteError, match=path) as caught:
        sinks.write_file(folder / path, NEW)
    assert isinstance(caught.value.__cause__, OSError)
    assert names(folder) == {"file"}


def test_an_existing_file_stays_unless_it_may_be_replaced(folder: Path) -> None:
    path = folder / "a.png"
    path.write_bytes(OLD)
    (folder / "link").symlink_to("a.png")
    for target in (path, folder / "link"):
        with pytest.raises(WriteError, match="File exists"):
            sinks.write_file(target, NEW, clobber=False)
    assert path.read_bytes() == OLD
    assert names(folder) == {"a.png", "link"}


def test_a_file_that_appears_meanwhile_stays_too(folder: Path) -> None:
    path = folder / "a.png"

    def chunks() -> Iterator[bytes]:
        yield b"new"
        path.write_bytes(OLD)

    with pytest.raises(WriteError, match="File exists"):
        sinks.write_file(path, chunks(), clobber=False)
    assert path.read_bytes() == OLD
    assert names(folder) == {"a.png"}


def test_a_new_file_appears_without_clobbering(folder: Path) -> None:
    sinks.write_file(folder / "a.png", NEW, clobber=False)
    assert (folder / "a.png").read_bytes() == WRITTEN


@pytest.mark.parametrize(
    "name",
    [b"two\nlines.png", b"caf\xe9.png", b"-", b" ", b"x" * LONGEST, b"\xff" * LONGEST, b"\x1b[2J"],
    ids=ascii,
)
def test_any_name_that_linux_takes_can_be_written(folder: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(folder), name)
    for _ in range(2):  # new, then replaced
        sinks.write_file(os.fsdecode(path), NEW)
    assert os.listdir(os.fsencode(folder)) == [name]
    assert sinks.write_new([os.fsdecode(path), f"{folder}/other"], NEW) == f"{folder}/other"


def test_a_relative_path_is_relative_to_where_we_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    sinks.write_file("a.png", NEW)
    assert sinks.write_new(["./b.png"], NEW) == "./b.png"
    assert names(folder) == {"a.png", "b.png"}


@pytest.mark.parametrize("error", [ChunksFailError(), OSError(errno.EIO, "broken")], ids=repr)
def test_an_error_midway_leaves_what_was_there(folder: Path, error: Exception) -> None:
    expected = WriteError if isinstance(error, OSError) else type(error)
    path = folder / "a.png"
    with pytest.raises(expected):
        sinks.write_file(path, failing(error))
    with pytest.raises(expected):
        sinks.write_new([str(path)], failing(error))
    assert names(folder) == set()
    path.write_bytes(OLD)
    with pytest.raises(expected):
        sinks.write_file(path, failing(error))
    assert path.read_bytes() == OLD
    assert names(folder) == {"a.png"}


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk; it needs a process of its own."""
    path = tmp_path / "a.png"
    path.write_bytes(OLD)
    script = f"""
import signal, resource
from wayshot_cli import sinks
from wayshot_cli.errors import WriteError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, {resource.RLIM_INFINITY}))
for target in ("a.png", "b.png"):
    try:
        sinks.write_file(target, [bytes(5000)])
    except WriteError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("File too large") == 2
    assert path.read_bytes() == OLD
    assert names(tmp_path) == {"a.png"}


def test_chunks_reach_a_descriptor_that_takes_little_at_a_time() -> None:
    data = os.urandom(1 << 20)
    read_end, write_end = os.pipe()
    with ThreadPoolExecutor(1) as pool, open(read_end, "rb") as reader:
        received = pool.submit(reader.read)
        words = memoryview(data).cast("I")
        sinks.write_fd(write_end, [data[:7], b"", words])
        os.close(write_end)
        assert received.result(PATIENCE) == data[:7] + data


def test_a_slow_reader_of_a_pipe_that_does_not_block_gets_everything() -> None:
    """Whoever shares the pipe may have set O_NONBLOCK: then it is full before we are done."""
    data = os.urandom(1 << 20)
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)

    def read_slowly() -> bytes:
        received = b""
        with open(read_end, "rb", buffering=0) as reader:
            while piece := reader.read(50_000):
                received += piece
                time.sleep(0.01)
        return received

    with ThreadPoolExecutor(1) as pool:
        received = pool.submit(read_slowly)
        try:
            sinks.write_fd(write_end, [data[:7], memoryview(data)])
        finally:
            os.close(write_end)
        assert received.result(PATIENCE) == data[:7] + data


def test_a_reader_that_has_gone_is_told_apart() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with pytest.raises(BrokenPipeError):
        sinks.write_fd(write_end, NEW)
    with pytest.raises(WriteError) as caught, sinks.errors_named("stdout"):
        sinks.write_fd(write_end, NEW)
    assert isinstance(caught.value.__cause__, BrokenPipeError)
    os.close(write_end)


def test_a_message_shows_names_that_are_not_text(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"\xff\n", b"a.png")
    with pytest.raises(WriteError) as caught:
        sinks.write_file(os.fsdecode(path), NEW)
    assert str(caught.value).isprintable()


def test_the_first_free_name_is_taken(folder: Path) -> None:
    (folder / "a.png").write_bytes(OLD)
    (folder / "a-2.png").symlink_to("nowhere")
    candidates = [f"{folder}/{name}.png" for name in ("a", "a-2", "a-3", "a-4")]
    assert sinks.write_new(candidates, NEW) == f"{folder}/a-3.png"
    assert names(folder) == {"a.png", "a-2.png", "a-3.png"}
    assert (folder / "a.png").read_bytes() == OLD


def test_no_free_name_is_an_error(folder: Path) -> None:
    (folder / "a.png").write_bytes(OLD)
    with pytest.raises(WriteError, match="File exists"):
        sinks.write_new([f"{folder}/a.png"], NEW)
    assert names(folder) == {"a.png"}


def test_many_at_once_get_a_name_each(folder: Path) -> None:
    count = 16
    start = threading.Barrier(count)

    def write(number: int) -> tuple[str, bytes]:
        content = b"%d" % number
        candidates = (f"{folder}/a-{n}.png" for n in range(count))
        start.wait(PATIENCE)
        return sinks.write_new(candidates, [content]), content

    with ThreadPoolExecutor(count) as pool:
        written = dict(pool.map(write, range(count)))
    assert len(written) == count
    assert {str(path): path.read_bytes() for path in folder.iterdir()} == written


def test_without_o_tmpfile_and_renameat2_new_names_are_still_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS has neither: renameat2 with RENAME_NOREPLACE is EINVAL there."""
    without_tmpfile(monkeypatch, errno.EOPNOTSUPP)
    stub = SimpleNamespace(ws_rename_noreplace=lambda _old, _new: errno.EINVAL)
    monkeypatch.setattr(sinks, "lib", stub)
    (tmp_path / "a.png").write_bytes(OLD)
    candidates = [f"{tmp_path}/a.png", f"{tmp_path}/b.png"]
    assert sinks.write_new(candidates, NEW) == f"{tmp_path}/b.png"
    assert (tmp_path / "a.png").read_bytes() == OLD
    assert names(tmp_path) == {"a.png", "b.png"}


def test_temporary_files_are_removed_by_whoever_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_tmpfile(monkeypatch, errno.EOPNOTSUPP)
    (tmp_path / "a.png").write_bytes(OLD)

    def chunks() -> Iterator[bytes]:
        yield b"half"
        assert len(names(tmp_path)) == 2
        sinks.remove_temporaries()
        sinks.remove_temporaries()
        assert names(tmp_path) == {"a.png"}
        raise ChunksFailError

    with pytest.raises(ChunksFailError):
        sinks.write_file(tmp_path / "a.png", chunks())
    assert (tmp_path / "a.png").read_bytes() == OLD


def test_a_temporary_file_is_forgotten_once_it_is_done_or_could_not_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "_temporaries", set())
    without_tmpfile(monkeypatch, errno.EOPNOTSUPP)
    sinks.write_file(tmp_path / "a.png", NEW)
    sinks.write_file(tmp_path / "a.png", NEW)
    with pytest.raises(ChunksFailError):
        sinks.write_file(tmp_path / "a.png", failing(ChunksFailError()))
    assert sinks._temporaries == set()
    with pytest.raises(WriteError):
        sinks.write_file(tmp_path / "missing" / "a.png", NEW)
    assert sinks._temporaries == set()
