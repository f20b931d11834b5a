"""The clipboard, pasted by another program."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.live.command import PATIENCE
from tests.live.conftest import on_every_compositor
from tests.live.foreign import Mutter, Weston
from tests.orphans import Orphans, adopted
from wayshot_cli import clipboard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.foreign import Foreign
    from tests.stage import Stage

DATA = random.Random(11).randbytes(2_000_000)

SCRIPT = """
import sys
from wayshot_cli import clipboard
with open(sys.argv[1], "rb") as file:
    data = file.read()
clipboard.copy({"image/png": data, **clipboard.file(sys.argv[1])})
"""


@pytest.fixture
def holders() -> Iterator[Orphans]:
    """The processes that hold the clipboard."""
    with adopted("ws-clipboard") as orphans:
        yield orphans


def run(stage: Stage, *words: str | Path) -> bytes:
    """Run a program in the session, to its end and that of its stdout."""
    done = subprocess.run(
        words,
        env=stage.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
    )
    return done.stdout


@on_every_compositor
class TestOtherPrograms:
    """wl-clipboard's."""

    @pytest.fixture
    def path(self, session: Stage, holders: Orphans, tmp_path: Path) -> Path:
        """A file with DATA, which has been copied."""
        path = tmp_path / "a picture.png"
        path.write_bytes(DATA)
        run(session, sys.executable, "-c", SCRIPT, path)
        assert len(holders.pids) == 1
        return path

    def test_paste_what_was_copied(self, session: Stage, path: Path) -> None:
        listed = run(session, "wl-paste", "--list-types").decode().split()
        assert listed == ["image/png", "text/uri-list", "x-special/gnome-copied-files"]
        assert run(session, "wl-paste", "--type", "image/png") == DATA
        uris = run(session, "wl-paste", "--no-newline", "--type", "text/uri-list")
        assert uris == clipboard.file(path)["text/uri-list"]

    @pytest.mark.usefixtures("path")
    def test_paste_at_the_same_time(self, session: Stage) -> None:
        pasting = [
            subprocess.Popen(
                ["wl-paste", "-t", "image/png"], env=session.env, stdout=subprocess.PIPE
            )
            for _ in range(5)
        ]
        assert [process.communicate(timeout=PATIENCE)[0] for process in pasting] == [DATA] * 5

    @pytest.mark.usefixtures("path")
    def test_replace_it(self, session: Stage, holders: Orphans) -> None:
        with adopted("wl-copy"):
            subprocess.run(
                ["wl-copy", "hello"],
                env=session.env,
                timeout=PATIENCE,
                check=True,
                stderr=subprocess.DEVNULL,
            )
            holders.wait_until(0)
            assert run(session, "wl-paste", "--no-newline") == b"hello"


@pytest.fixture(params=[Mutter, Weston], ids=["mutter", "weston"])
def foreign(request: pytest.FixtureRequest) -> Iterator[Foreign]:
    """A compositor whose clipboard is for windows alone."""
    with request.param() as session:
        yield session


def refused(session: Foreign, path: Path, **env: str) -> str:
    """Return the last line of the error that is met in copying a file."""
    (path / "a.png").write_bytes(DATA)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, path / "a.png"],
        env={**session.env, **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode
    return done.stderr.splitlines()[-1]


def test_elsewhere_wl_copy_is_asked_and_what_it_says_is_told(
    foreign: Foreign, tmp_path: Path
) -> None:
    """It fails, for there is no keyboard whose focus it could have."""
    assert "wl-copy failed while setting the clipboard: " in refused(foreign, tmp_path)


def test_elsewhere_and_without_wl_copy_there_is_no_way(foreign: Foreign, tmp_path: Path) -> None:
    said = refused(foreign, tmp_path, PATH=str(tmp_path))
    assert "offers neither ext-data-control nor wlr-data-control" in said
    assert "wl-copy cannot be run" in said
