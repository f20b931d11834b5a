"""Where recordings go: what happens to a path, and when."""

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from tests.descriptors import leaving_no_descriptors
from tests.processes import wait_until
from wayshot_cli.errors import WriteError
from wayshot_cli.sinks import RecordingFile, WholeRecordingFile

BOTH = pytest.mark.parametrize("kind", [RecordingFile, WholeRecordingFile])
PATIENCE = 30.0
PART = 1 << 18  # bytes that are written at once


@BOTH
class TestAnyFile:
    def test_nothing_exists_before_the_first_byte(
        self, tmp_path: Path, kind: type[RecordingFile]
    ) -> None:
        file = kind(tmp_path / "a")
        file.close()
        assert not list(tmp_path.iterdir())

    def test_an_existing_file_stays_until_the_first_byte(
        self, tmp_path: Path, kind: type[RecordingFile]
    ) -> None:
        path = tmp_path / "a"
        path.write_text("old")
        file = kind(path)
        assert path.read_text() == "old"
        file.write_all([b"new", b"er"])
        file.close()
        assert path.read_text() == "newer"
        assert file.nbytes == 5

    def test_its_mode_stays_and_a_symlink_is_followed(
        self, tmp_path: Path, kind: type[RecordingFile]
    ) -> None:
        path, link = tmp_path / "a", tmp_path / "link"
        path.write_text("old")
        path.chmod(0o640)
        link.symlink_to("a")
        file = kind(link)
        file.write(b"new")
        file.close()
        assert link.is_symlink()
        assert path.read_text() == "new"
        assert path.stat().st_mode & 0o777 == 0o640

    def test_no_clobber_refuses_what_exists(
        self, tmp_path: Path, kind: type[RecordingFile]
    ) -> None:
        path = tmp_path / "a"
        path.write_text("old")
        with pytest.raises(WriteError, match="exists"):
            kind(path, clobber=False)

    def test_no_clobber_refuses_what_has_come_since(
        self, tmp_path: Path, kind: type[RecordingFile]
    ) -> None:
        path = tmp_path / "a"
        file = kind(path, clobber=False)
        path.write_text("another's")
        with pytest.raises(WriteError, match="exists"):  # noqa: PT012 - at either step
            file.write(b"mine")
            file.close()
        file.abandon()
        assert path.read_text() == "another's"

    def test_a_missing_folder_is_said_at_once(
        self, tmp_path: Path, kind: type[RecordingFile]
    ) -> None:
        with pytest.raises(WriteError, match="missing/a"):
            kind(tmp_path / "missing" / "a")

    def test_seeking_back_overwrites(self, tmp_path: Path, kind: type[RecordingFile]) -> None:
        path = tmp_path / "a"
        file = kind(path)
        assert file.seekable()
        file.write(b"0123456789")
        assert file.tell() == 10
        file.seek(2)
        file.write(b"xx")
        file.seek(0, os.SEEK_END)
        assert file.tell() == 10
        file.close()
        assert path.read_bytes() == b"01xx456789"

    def test_ends_are_harmless_twice_and_leave_no_descriptor(
        self, tmp_path: Path, kind: type[RecordingFile]
    ) -> None:
        with leaving_no_descriptors():
            for end in ("close", "abandon"):
                file = kind(tmp_path / end)
                file.write(b"x")
                getattr(file, end)()
                file.abandon()
                file.close()

    def test_a_fifo_gets_the_bytes_and_stays(
        self, tmp_path: Path, kind: type[RecordingFile]
    ) -> None:
        path = tmp_path / "fifo"
        os.mkfifo(path)
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
        reader.start()
        file = kind(path)
        assert not file.is_file
        file.write_all([b"ab", b"c"])
        file.close()
        reader.join(PATIENCE)
        assert got == [b"abc"]
        assert path.is_fifo()

    def test_a_full_disk_is_named(self, kind: type[RecordingFile]) -> None:
        file = kind("/dev/full")
        with pytest.raises(WriteError, match=r"/dev/full.*No space") as info:  # noqa: PT012
            file.write(b"x")
            file.close()
        assert isinstance(info.value.__cause__, OSError)
        assert info.value.__cause__.errno == errno.ENOSPC
        file.abandon()


class TestAsItComes:
    def test_what_is_written_is_there_at_once(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        file = RecordingFile(path)
        file.write(b"half")
        assert path.read_bytes() == b"half"
        file.abandon()
        assert path.read_bytes() == b"half"

    def test_standard_output_is_written_to_where_it_stands(self, tmp_path: Path) -> None:
        """As ``{ echo head; wayshot record -; echo tail; } > file`` has it."""
        saved = os.dup(1)
        with open(tmp_path / "out", "wb", buffering=0) as target:
            target.write(b"head ")
            os.dup2(target.fileno(), 1)
            try:
                for path in ("-", "/dev/stdout", "/dev/fd/1"):
                    file = RecordingFile(path)
                    assert not file.seekable()
                    assert not file.is_file
                    file.write(b"data ")
                    file.close()
                os.write(1, b"tail")
            finally:
                os.dup2(saved, 1)
                os.close(saved)
        assert (tmp_path / "out").read_bytes() == b"head data data data tail"

    def test_says_for_how_long_a_reader_has_taken_nothing(self) -> None:
        read, write = os.pipe()
        file = RecordingFile(f"/dev/fd/{write}")
        assert file.blocked_for == 0
        thread = threading.Thread(target=file.write, args=(bytes(1 << 22),))
        began = time.monotonic()
        thread.start()
        wait_until(lambda: file.blocked_for > 0.1)
        assert file.blocked_for <= time.monotonic() - began
        left = 1 << 22
        while left:
            left -= len(os.read(read, left))
        thread.join(PATIENCE)
        assert file.blocked_for == 0
        assert file.nbytes == 1 << 22
        os.close(read)
        os.close(write)

    def test_a_slow_reader_is_not_a_stuck_one(self) -> None:
        """Whatever it takes, the time begins anew."""
        read, write = os.pipe()
        file = RecordingFile(f"/dev/fd/{write}")
        thread = threading.Thread(target=file.write, args=(bytes(12 * PART),))
        thread.start()

        def take() -> None:
            wait_until(lambda: file.blocked_for > 0.02 or not thread.is_alive())
            began, left = time.monotonic(), PART
            while left:
                left -= len(os.read(read, left))
            wait_until(lambda: file.blocked_for < time.monotonic() - began)

        for _ in range(12):
            take()
        thread.join(PATIENCE)
        assert file.blocked_for == 0
        os.close(read)
        os.close(write)

    def test_a_file_blocks_nobody(self, tmp_path: Path) -> None:
        file = RecordingFile(tmp_path / "a")
        file._blocked_since = time.monotonic() - 100
        assert file.blocked_for == 0

    def test_a_reader_that_has_gone_shows_before_and_at_the_next_write(self) -> None:
        read, write = os.pipe()
        file = RecordingFile(f"/dev/fd/{write}")
        file.write(b"x")
        assert not file.is_gone
        os.close(read)
        assert file.is_gone
        with pytest.raises(WriteError) as info:
            file.write(b"x")
        assert isinstance(info.value.__cause__, BrokenPipeError)
        os.close(write)

    def test_a_pipe_that_somebody_made_nonblocking_is_waited_for(self) -> None:
        read, write = os.pipe()
        os.set_blocking(write, False)
        file = RecordingFile(f"/dev/fd/{write}")
        got = bytearray()

        def drain() -> None:
            while len(got) < 3 << 20:
                got.extend(os.read(read, 1 << 16))

        reader = threading.Thread(target=drain)
        reader.start()
        file.write_all([b"a" * (1 << 20), b"", b"b" * (1 << 21)])
        reader.join(PATIENCE)
        assert bytes(got) == b"a" * (1 << 20) + b"b" * (1 << 21)
        os.close(read)
        os.close(write)

    def test_one_that_was_removed_meanwhile_is_no_success(self, tmp_path: Path) -> None:
        file = RecordingFile(tmp_path / "a")
        file.write(b"lost")
        (tmp_path / "a").unlink()
        with pytest.raises(WriteError, match="No such file"):
            file.close()

    def test_one_that_was_renamed_meanwhile_is_complete(self, tmp_path: Path) -> None:
        file = RecordingFile(tmp_path / "a")
        file.write(b"kept")
        (tmp_path / "a").rename(tmp_path / "b")
        file.close()
        assert (tmp_path / "b").read_text() == "kept"


class TestWhole:
    def test_nothing_appears_before_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        path.write_text("old")
        file = WholeRecordingFile(path)
        file.write(b"new")
        assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
        assert path.read_text() == "old"
        file.close()
        assert path.read_text() == "new"

    def test_an_abandoned_one_leaves_what_was_there(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        path.write_text("old")
        file = WholeRecordingFile(path)
        file.write(b"new")
        file.abandon()
        assert path.read_text() == "old"
        assert [entry.name for entry in tmp_path.iterdir()] == ["a"]

    def test_a_pipe_gets_all_at_the_end(self) -> None:
        read, write = os.pipe()
        os.set_blocking(read, False)
        file = WholeRecordingFile(f"/dev/fd/{write}")
        assert file.seekable()
        file.write(b"0123")
        file.seek(0)
        file.write(b"x")
        with pytest.raises(BlockingIOError):
            os.read(read, 10)
        file.close()
        assert os.read(read, 10) == b"x123"
        os.close(read)
        os.close(write)

    def test_a_reader_that_leaves_before_the_end_had_not_enough(self) -> None:
        """Nothing of the format is worth anything alone: unlike a stream this has failed."""
        read, write = os.pipe()
        file = WholeRecordingFile(f"/dev/fd/{write}")
        file.write(bytes(1 << 22))
        os.close(read)
        with pytest.raises(WriteError, match="reader has gone") as info:
            file.close()
        assert not isinstance(info.value.__cause__, BrokenPipeError)
        os.close(write)

    def test_says_for_how_long_a_reader_has_taken_nothing_at_the_end(self) -> None:
        read, write = os.pipe()
        file = WholeRecordingFile(f"/dev/fd/{write}")
        file.write(bytes(1 << 22))
        thread = threading.Thread(target=file.close)
        began = time.monotonic()
        thread.start()
        wait_until(lambda: file.blocked_for > 0.1)
        assert file.blocked_for <= time.monotonic() - began
        left = 1 << 22
        while left:
            left -= len(os.read(read, left))
        thread.join(PATIENCE)
        assert file.blocked_for == 0
        os.close(read)
        os.close(write)

    def test_a_folder_without_place_for_it_is_said_before_anything_is_recorded(self) -> None:
        with pytest.raises(WriteError, match="/proc/a"):
            WholeRecordingFile("/proc/a")


class TestGeneratedNames:
    @BOTH
    def test_the_first_that_nobody_has_is_taken(
        self, tmp_path: Path, kind: type[RecordingFile]
    ) -> None:
        (tmp_path / "a").touch()
        (tmp_path / "b").touch()
        names = [str(tmp_path / name) for name in "abcd"]
        file = kind(names[0], clobber=False, others=names[1:])
        assert file.name == names[2]
        (tmp_path / "c").touch()  # by somebody who was faster
        file.write(b"x")
        file.close()
        assert file.name == names[3]
        assert (tmp_path / "d").read_bytes() == b"x"
        assert (tmp_path / "c").read_bytes() == b""

    @BOTH
    def test_none_left_is_an_error(self, tmp_path: Path, kind: type[RecordingFile]) -> None:
        (tmp_path / "a").touch()
        with pytest.raises(WriteError, match="exists"):
            kind(tmp_path / "a", clobber=False)

    def test_a_name_can_be_taken_for_another_program(self, tmp_path: Path) -> None:
        file = RecordingFile(tmp_path / "a", clobber=False)
        file.reserve()
        assert (tmp_path / "a").exists()
        file.close()
        (tmp_path / "b").write_text("old")
        RecordingFile(tmp_path / "b").reserve()
        assert (tmp_path / "b").read_text() == "old"

    def test_a_name_that_was_taken_for_nothing_is_given_back(self, tmp_path: Path) -> None:
        file = RecordingFile(tmp_path / "a", clobber=False)
        file.reserve()
        assert (tmp_path / "a").exists()
        file.abandon()
        assert not list(tmp_path.iterdir())

    def test_what_is_no_file_stays_though_nothing_is_in_it(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        file = RecordingFile(tmp_path / "fifo", clobber=False)
        file.reserve()
        file.close()
        os.close(reader)
        assert (tmp_path / "fifo").is_fifo()

    def test_a_folder_that_goes_before_another_program_has_written_is_missed(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "folder").mkdir()
        file = RecordingFile(tmp_path / "folder" / "a")
        file.reserve()
        (tmp_path / "folder").rmdir()
        with pytest.raises(WriteError, match="No such file"):
            file.close()
