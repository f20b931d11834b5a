"""Where pictures go: whole or not at all, and nothing else is touched."""

from __future__ import annotations

import os
import re
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.live.command import PATIENCE, error, read, wayshot
from tests.stage import pattern

if TYPE_CHECKING:
    from tests.stage import Sway

FAILED = 1
PICTURE = pattern(203, 117)


def holds_the_picture(path: Path) -> bool:
    """Whether a file is a whole picture of the output."""
    return np.array_equal(read(path), PICTURE)


def test_an_old_file_is_replaced_and_keeps_its_mode(one_output: Sway, tmp_path: Path) -> None:
    """By a rename: who has the old one open keeps it."""
    path = tmp_path / "a.png"
    path.write_text("old")
    path.chmod(0o640)
    with path.open() as old:
        assert wayshot(one_output, path).returncode == 0
        assert old.read() == "old"
    assert holds_the_picture(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_mode_that_umask_leaves(one_output: Sway, tmp_path: Path) -> None:
    """As any program's files."""
    before = os.umask(0o027)
    try:
        assert wayshot(one_output, tmp_path / "a.png").returncode == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640


def test_no_clobber_leaves_an_existing_file(one_output: Sway, tmp_path: Path) -> None:
    """1 with its name; without a file of that name it writes."""
    path = tmp_path / "a.png"
    assert wayshot(one_output, "--no-clobber", path).returncode == 0
    path.write_text("precious")
    result = wayshot(one_output, "--no-clobber", path)
    assert result.returncode == FAILED
    assert "a.png" in error(result)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("target", ["new.png", "old.png"])
def test_a_symlink_is_followed(one_output: Sway, tmp_path: Path, target: str) -> None:
    """The link stays a link; the picture is where it points, existing or not."""
    (tmp_path / "old.png").write_text("old")
    link = tmp_path / "link.png"
    link.symlink_to(target)
    assert wayshot(one_output, link).returncode == 0
    assert link.is_symlink()
    assert holds_the_picture(tmp_path / target)


def test_a_fifo_is_written_in_place(one_output: Sway, tmp_path: Path) -> None:
    """Its reader gets the picture; it stays a FIFO."""
    fifo = tmp_path / "fifo.png"
    os.mkfifo(fifo)
    copy = tmp_path / "copy.png"
    reader = threading.Thread(target=lambda: copy.write_bytes(fifo.read_bytes()), daemon=True)
    reader.start()
    assert wayshot(one_output, fifo).returncode == 0
    reader.join(PATIENCE)
    assert holds_the_picture(copy)
    assert fifo.is_fifo()


@pytest.mark.parametrize(("minor", "code"), [(3, 0), (7, FAILED)], ids=["null", "full"])
def test_a_device_stays_a_device(one_output: Sway, tmp_path: Path, minor: int, code: int) -> None:
    """/dev/null takes a picture, /dev/full fails; neither is replaced by a file."""
    device = _device(tmp_path, minor)
    before = device.stat()
    result = wayshot(one_output, "-t", "png", device)
    assert result.returncode == code, result.stderr
    assert bool(error(result)) == bool(code)
    assert device.is_char_device()
    assert device.stat().st_ino == before.st_ino


def test_dev_stdout_is_stdout(one_output: Sway) -> None:
    """A pipe by its name in /dev."""
    result = wayshot(one_output, "-t", "ppm", "/dev/stdout")
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.endswith(PICTURE.tobytes())


def test_a_folder_as_file_gets_a_name_of_ours(one_output: Sway, tmp_path: Path) -> None:
    """A folder stays a folder; the name of the picture is printed."""
    result = wayshot(one_output, tmp_path)
    assert (result.returncode, result.stderr) == (0, b"")
    path = Path(result.stdout.decode().rstrip("\n"))
    assert path.parent == tmp_path
    assert holds_the_picture(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", ["missing/a.png", "file/a.png", "/proc/a.png"])
def test_a_folder_that_takes_no_file(one_output: Sway, tmp_path: Path, path: str) -> None:
    """1 with the name, and nothing is left anywhere."""
    (tmp_path / "file").touch()
    result = wayshot(one_output, tmp_path / path)
    assert result.returncode == FAILED
    assert "a.png" in error(result)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_without_file_the_pictures_folder_is_used(one_output: Sway, tmp_path: Path) -> None:
    """user-dirs.dirs says where; the name has the time, and -2, -3 where it is taken."""
    pictures = tmp_path / "My Pictures"
    pictures.mkdir()
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config" / "user-dirs.dirs").write_text(
        '# made by xdg-user-dirs\nXDG_DOWNLOAD_DIR="$HOME/in"\n'
        'XDG_PICTURES_DIR="$HOME/My Pictures"\n'
    )
    said = []
    for _ in range(8):
        result = wayshot(one_output, env={"HOME": str(tmp_path)}, cwd=tmp_path)
        assert (result.returncode, result.stderr) == (0, b"")
        said.append(Path(result.stdout.decode().rstrip("\n")))
    assert len(set(said)) == len(said)
    assert sorted(said) == sorted(pictures.iterdir())
    for path in said:
        assert re.fullmatch(r"wayshot-\d{8}-\d{6}(-[2-9])?\.png", path.name)
        assert holds_the_picture(path)


def test_taken_names_are_counted_on(one_output: Sway, tmp_path: Path) -> None:
    """With names for the next minute taken, the picture gets -2; with those too, -3."""
    import time

    for suffix in ("-2", "-3"):
        now = time.time()
        for second in range(60):
            stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now + second))
            (tmp_path / f"wayshot-{stamp}{'' if suffix == '-2' else '-2'}.png").touch()
        result = wayshot(one_output, cwd=tmp_path, env={"HOME": "/nonexistent"})
        assert result.returncode == 0
        assert result.stdout.decode().rstrip("\n").endswith(f"{suffix}.png")


def _device(folder: Path, minor: int) -> Path:
    """Return a memory device: a node of our own where we may make one.

    As root, a tool that replaced the system's node would do harm.
    """
    path = folder / "device.png"
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
    except PermissionError:
        return Path({3: "/dev/null", 7: "/dev/full"}[minor])
    return path
