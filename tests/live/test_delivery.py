"""Names, the clipboard, programs and notifications, on real compositors."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.live.command import PATIENCE, read, wayshot
from tests.live.conftest import on_both_sways
from tests.live.window import Window
from tests.orphans import Orphans, adopted
from tests.portal.bus import SessionBus
from tests.portal.notifications import FakeService
from tests.stage import pattern
from wayshot_cli import clipboard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.client import Picture
    from tests.stage import Stage

pytestmark = on_both_sways
PICTURE = pattern(203, 117)
NEGATE = """
import sys
from PIL import Image, ImageOps
with Image.open(sys.argv[1]) as image:
    ImageOps.invert(image).save(sys.argv[1])
"""
EDITOR = shlex.join([sys.executable, "-c", NEGATE])


@pytest.fixture
def holders() -> Iterator[Orphans]:
    """The processes that hold the clipboard."""
    with adopted("ws-clipboard") as orphans:
        yield orphans


def pasted(stage: Stage, mime_type: str, path: Path) -> Path:
    """Paste into a file."""
    with path.open("wb") as file:
        subprocess.run(
            ["wl-paste", "--no-newline", "--type", mime_type],
            env=stage.env, stdout=file, timeout=PATIENCE, check=True,
        )  # fmt: skip
    return path


def opaque(width: int, height: int) -> Picture:
    """Paint the pattern, opaque."""
    return np.dstack((pattern(width, height), np.full((height, width), 255, np.uint8)))


def test_a_name_says_output_and_active_window(one_output: Stage, tmp_path: Path) -> None:
    picture = opaque(80, 60)
    with Window(one_output.socket, "org.example.app", "../a title/of it", picture):
        words = "--mkdir", tmp_path / "{app_id}/{output} {title} {width}x{height}.png"
        result = wayshot(one_output, *words)
    path = tmp_path / "org.example.app/HEADLESS-1 a title_of it 203x117.png"
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.decode() == f"{path}\n"
    assert path.exists()


def test_without_windows_there_is_no_active_one(one_output: Stage, tmp_path: Path) -> None:
    assert wayshot(one_output, tmp_path / "{title}.png").returncode == 0
    assert np.array_equal(read(tmp_path / "untitled.png"), PICTURE)


def test_the_clipboard_has_the_picture_alone(
    one_output: Stage, tmp_path: Path, holders: Orphans
) -> None:
    result = wayshot(one_output, "--clipboard", cwd=tmp_path, env={"HOME": str(tmp_path)})
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert list(tmp_path.iterdir()) == []
    listed = subprocess.run(
        ["wl-paste", "--list-types"], env=one_output.env, capture_output=True, check=True
    )
    assert listed.stdout.split() == [b"image/png"]
    assert np.array_equal(read(pasted(one_output, "image/png", tmp_path / "p.png")), PICTURE)
    assert len(holders.pids) == 1


@pytest.mark.usefixtures("holders")
@pytest.mark.parametrize("name", ["a b.png", "a.jpg", "{output}.png"])
def test_the_clipboard_has_file_and_picture(one_output: Stage, tmp_path: Path, name: str) -> None:
    assert wayshot(one_output, "--clipboard", tmp_path / name).returncode == 0
    (path,) = tmp_path.iterdir()
    shown = pasted(one_output, "image/png", tmp_path / "pasted.png")
    assert np.array_equal(read(shown), PICTURE)
    if path.suffix == ".png":
        assert shown.read_bytes() == path.read_bytes()
    uris = pasted(one_output, "text/uri-list", tmp_path / "uris").read_bytes()
    assert uris == clipboard.file(path)["text/uri-list"]


@pytest.mark.usefixtures("holders")
def test_the_clipboard_has_what_stdout_has(one_output: Stage, tmp_path: Path) -> None:
    result = wayshot(one_output, "--clipboard", "-")
    shown = pasted(one_output, "image/png", tmp_path / "pasted.png")
    assert shown.read_bytes() == result.stdout


@pytest.mark.usefixtures("holders")
@pytest.mark.parametrize("file", ["a.png", "-", None])
def test_all_of_it_sees_the_edited_picture(
    one_output: Stage, tmp_path: Path, file: str | None
) -> None:
    words = ["--edit", "--editor", EDITOR, "--clipboard", *([file] if file else [])]
    words += ["--exec", f"cp {{}} {tmp_path}/b.png"] if file == "a.png" else []
    with SessionBus() as bus, FakeService(bus.address) as service:
        env = {"DBUS_SESSION_BUS_ADDRESS": bus.address}
        result = wayshot(one_output, "--notify", *words, cwd=tmp_path, env=env)
        assert (result.returncode, result.stderr) == (0, b"")
        (it,) = service.notified
    negative = 255 - PICTURE
    assert np.array_equal(read(pasted(one_output, "image/png", tmp_path / "pasted.png")), negative)
    *_, data = it.hints["image-data"][1]
    assert np.array_equal(np.frombuffer(data, np.uint8).reshape(negative.shape), negative)
    if file == "a.png":
        assert np.array_equal(read(tmp_path / "a.png"), negative)
        assert np.array_equal(read(tmp_path / "b.png"), negative)
    if file == "-":
        (tmp_path / "c.png").write_bytes(result.stdout)
        assert np.array_equal(read(tmp_path / "c.png"), negative)
