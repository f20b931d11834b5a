"""What the command makes of what the portal does: codes, words, and the desktop's screenshot."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.descriptors import leaving_no_descriptors
from tests.portal.fake import SCREEN_CAST, SCREENSHOT, Behaviour, FakePortal, started
from wayshot_cli.backends.common import Target, Wish
from wayshot_cli.backends.portal import Portal, screenshot
from wayshot_cli.errors import CaptureError
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake import FakeCompositor
    from tests.portal.bus import SessionBus
    from wayshot_cli.frame import Frame

PATIENCE = 60.0

PICTURE = np.random.default_rng(6).integers(0, 256, (60, 144, 3), np.uint8)
PIXELS = 60 * 144


@dataclass(frozen=True)
class Runner:
    """Runs the command in an empty folder, against a portal that behaves so."""

    compositor: FakeCompositor
    bus: SessionBus
    folder: Path

    def __call__(self, behaviour: Behaviour, *words: str) -> subprocess.CompletedProcess[str]:
        with FakePortal(self.bus.address, behaviour):
            return self.alone(*words)

    def alone(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run it without a portal."""
        done = subprocess.run(
            [sys.executable, "-m", "wayshot_cli", *words],
            env=self.compositor.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture
def run(compositor: FakeCompositor, bus: SessionBus, tmp_path: Path) -> Runner:
    """Return a runner of the command."""
    folder = tmp_path / "made"
    folder.mkdir()
    return Runner(compositor, bus, folder)


@pytest.mark.parametrize("words", [["a.png"], ["record", "--frames", "1", "a.y4m"]], ids=" ".join)
@pytest.mark.parametrize(
    ("behaviour", "code", "said"),
    [
        (Behaviour(results={"Start": (1, {})}), 3, "the user cancelled"),
        (Behaviour(results={"Start": (2, {})}), 4, "the portal refused"),
        (Behaviour(results={"Start": (0, {})}), 1, "without any stream"),
        (Behaviour(closes_at="Start"), 6, "closed the session"),
        (Behaviour(mute={"CreateSession"}), 1, "did not answer in time"),
        (Behaviour(properties={}), 4, "no ScreenCast"),
    ],
    ids=["cancelled", "refused", "malformed", "closed", "silent", "absent"],
)
def test_the_codes_are_those_of_the_man_page(
    run: Runner, behaviour: Behaviour, code: int, said: str, words: list[str]
) -> None:
    timeout = "1" if behaviour.mute else "20"
    done = run(behaviour, *words, "-o", "FAKE-1", "--timeout", timeout)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert said in done.stderr
    assert os.listdir(run.folder) == []


def test_what_to_install_is_said_where_there_is_no_portal(run: Runner) -> None:
    done = run.alone("a.png")
    assert done.returncode == 4
    assert "there is no portal on the session bus" in done.stderr
    assert "install xdg-desktop-portal-gnome" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--portal-size", "640"],
        ["--portal-size", "0x5"],
        ["--portal-size", "640x480@"],
        ["--portal-size", "640x480@0"],
        ["--portal-size", "70000x480"],
        ["--portal-source", "screen"],
        ["--portal-source", "window", "--backend", "screencopy"],
        ["--portal-source", "window", "-o", "FAKE-1"],
    ],
    ids=" ".join,
)
def test_nonsense_is_refused(run: Runner, words: list[str]) -> None:
    with FakePortal(run.bus.address) as portal:
        assert run.alone(*words, "a.png").returncode == 2
        assert "Start" not in portal.methods


@pytest.mark.parametrize("target", [["--backend", "portal"], ["--pipewire-node", "42"]])
def test_what_gives_only_changes_cannot_give_all(run: Runner, target: list[str]) -> None:
    done = run(Behaviour(), "record", "--no-damage", *target, "a.y4m")
    assert done.returncode == 4
    assert "--no-damage" in done.stderr


@pytest.mark.parametrize("words", [["a.png"], ["record", "a.y4m"]], ids=" ".join)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_dialog_at_once(
    run: Runner, number: signal.Signals, words: list[str]
) -> None:
    with FakePortal(run.bus.address, Behaviour(silent={"Start"})) as portal:
        process = subprocess.Popen(
            [sys.executable, "-m", "wayshot_cli", *words, "--timeout", str(3 * PATIENCE)],
            env=run.compositor.env,
            cwd=run.folder,
        )
        portal.wait_for(lambda: "Start" in portal.methods)
        process.send_signal(number)
        assert process.wait(PATIENCE) == 128 + number
        portal.wait_until_gone()  # which ends the dialog
    assert os.listdir(run.folder) == []


def taken(bus: SessionBus, behaviour: Behaviour) -> tuple[Frame, list[str]]:
    """Have the library take a screenshot; return it and what there is to tell of it."""
    with (
        FakePortal(bus.address, behaviour),
        Connection() as connection,
        contextlib.closing(Portal(connection, Wish(screenshot=True))) as portal,
    ):
        (desktop,) = portal.read_outputs(Target())
        with portal.open(desktop) as session:
            session.start()
            return session.finish(connection.deadline()), portal.notes


class TestScreenshot:
    @pytest.fixture
    def behaviour(self, tmp_path: Path) -> Behaviour:
        """Let the desktop have no casts, but screenshots, whose files have odd names."""
        behaviour = Behaviour()
        del behaviour.properties[SCREEN_CAST]
        path = tmp_path / "ä b%20.png"
        Image.fromarray(PICTURE).save(path)
        behaviour.uri = f"file://{tmp_path}/%C3%A4%20b%2520.png"
        return behaviour

    @pytest.mark.parametrize("way", ["absent", "refused"])
    def test_it_stands_in_for_a_cast(
        self, run: Runner, tmp_path: Path, behaviour: Behaviour, way: str
    ) -> None:
        if way == "refused":
            behaviour.properties = Behaviour().properties
            behaviour.results["Start"] = 2, {}
        done = run(behaviour, "-v", "a.png")
        assert done.returncode == 0, done.stderr
        assert "no screen cast" in done.stderr
        with Image.open(run.folder / "a.png") as image:
            assert (np.asarray(image) == PICTURE).all()
        assert not (tmp_path / "ä b%20.png").exists()

    def test_it_stands_in_for_streams_that_nobody_can_place(
        self, run: Runner, behaviour: Behaviour
    ) -> None:
        behaviour.properties = Behaviour().properties
        behaviour.results["Start"] = started((42, {}), (43, {}))
        done = run(behaviour, "-v", "a.png")
        assert done.returncode == 0, done.stderr
        with Image.open(run.folder / "a.png") as image:
            assert (np.asarray(image) == PICTURE).all()

    def test_a_cast_that_the_user_refuses_is_no_reason_for_one(
        self, run: Runner, behaviour: Behaviour
    ) -> None:
        behaviour.properties = Behaviour().properties
        behaviour.results["Start"] = 1, {}
        assert run(behaviour, "-v", "a.png").returncode == 3

    @pytest.mark.parametrize(
        "words",
        [["-o", "FAKE-1"], ["-g", "0,0 5x5"], ["-c"], ["--backend", "portal"], ["--buffer", "shm"]],
        ids=" ".join,
    )
    def test_it_is_for_a_still_with_nothing_pinned(
        self, run: Runner, behaviour: Behaviour, words: list[str]
    ) -> None:
        done = run(behaviour, *words, "a.png")
        assert done.returncode == 4
        assert "no ScreenCast" in done.stderr

    @pytest.mark.usefixtures("compositor")
    def test_what_lies_among_the_users_pictures_stays(
        self,
        bus: SessionBus,
        behaviour: Behaviour,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # All that tests write is in a temporary place.
        monkeypatch.setattr(screenshot, "_TEMPORARY", ())
        monkeypatch.setattr(tempfile, "gettempdir", lambda: "/nowhere")
        frame, notes = taken(bus, behaviour)
        assert (frame.to_numpy() == PICTURE).all()
        path = tmp_path / "ä b%20.png"
        assert path.exists()
        assert any(str(path) in note for note in notes)

    @pytest.mark.usefixtures("compositor")
    def test_a_file_that_somebody_else_removes_first_is_no_error(
        self, bus: SessionBus, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read = screenshot._read

        def read_and_remove(path: str) -> Frame:
            frame = read(path)
            os.unlink(path)
            return frame

        monkeypatch.setattr(screenshot, "_read", read_and_remove)
        frame, _ = taken(bus, behaviour)
        assert (frame.to_numpy() == PICTURE).all()

    @pytest.mark.usefixtures("compositor")
    @pytest.mark.parametrize("limit", [PIXELS // 3, PIXELS - 1])
    def test_the_limit_is_not_pillows(
        self, bus: SessionBus, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch, limit: int
    ) -> None:
        """It would warn of what is larger, and refuse what is twice as large."""
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings(action="error"):
            frame, _ = taken(bus, behaviour)
        assert (frame.to_numpy() == PICTURE).all()

    @pytest.mark.usefixtures("compositor")
    @pytest.mark.parametrize("name", ["JPEG", "WEBP", "TIFF", "BMP"])
    def test_it_may_be_of_another_format(
        self, bus: SessionBus, behaviour: Behaviour, tmp_path: Path, name: str
    ) -> None:
        Image.fromarray(PICTURE).save(tmp_path / "picture", name)
        behaviour.uri = (tmp_path / "picture").as_uri()
        frame, _ = taken(bus, behaviour)
        assert frame.size == (144, 60)

    @pytest.mark.usefixtures("compositor")
    def test_a_folder_is_closed_again(self, bus: SessionBus, behaviour: Behaviour) -> None:
        behaviour.uri = "file:///"
        with pytest.raises(CaptureError, match="cannot read"):
            taken(bus, behaviour)
        with (
            leaving_no_descriptors(),
            pytest.raises(CaptureError, match="cannot read"),
        ):
            taken(bus, behaviour)

    @pytest.mark.parametrize(
        ("code", "exit_code"), [(1, 3), (2, 1), (9, 1)], ids=["cancelled", "ended", "unknown"]
    )
    def test_responses_have_their_meanings(
        self, run: Runner, behaviour: Behaviour, code: int, exit_code: int
    ) -> None:
        behaviour.results["Screenshot"] = code, {}
        assert run(behaviour, "-v", "a.png").returncode == exit_code

    @pytest.mark.parametrize(
        "uri",
        ["", "http://example.org/a.png", "file://host/a.png", "file:///dev/zero", "file:///%00",
         "file:///nowhere.png", "file:///", "file://[", "FIFO", "TEXT", "TRUNCATED", "HUGE"],
    )  # fmt: skip
    def test_a_file_that_is_none_fails(
        self, run: Runner, behaviour: Behaviour, tmp_path: Path, uri: str
    ) -> None:
        path = tmp_path / "file"
        if uri == "FIFO":
            os.mkfifo(path)
        elif uri == "TEXT":
            path.write_text("no picture")
        elif uri == "TRUNCATED":
            path.write_bytes((tmp_path / "ä b%20.png").read_bytes()[:2000])
        elif uri == "HUGE":
            head = b"IHDR" + struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
            path.write_bytes(
                b"\x89PNG\r\n\x1a\n\0\0\0\r" + head + struct.pack(">I", zlib.crc32(head))
                + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
            )  # fmt: skip
        behaviour.uri = path.as_uri() if uri.isupper() else uri
        done = run(behaviour, "-v", "a.png")
        assert done.returncode == 1
        assert "screenshot" in done.stderr
        assert os.listdir(run.folder) == []

    def test_there_may_be_none_either(self, run: Runner, behaviour: Behaviour) -> None:
        del behaviour.properties[SCREENSHOT]
        done = run(behaviour, "-v", "a.png")
        assert done.returncode == 4
        assert "no ScreenCast" in done.stderr


def test_doctor_says_that_the_portal_would_be_asked_and_asks_it_for_nothing(run: Runner) -> None:
    with FakePortal(run.bus.address) as portal:
        done = run.alone("doctor")
        assert {"CreateSession", "Start", "Screenshot"}.isdisjoint(portal.methods)
    assert done.returncode == 0, done.stdout
    assert "output, region      by portal into PipeWire's buffers" in done.stdout
    assert "\n  tried " not in done.stdout
    assert "can be taken" in done.stdout


@pytest.mark.parametrize("pin", [["--backend", "portal"], ["--pipewire-node", "7"]], ids=" ".join)
@pytest.mark.parametrize("words", [["a.png"], ["record", "--frames", "1", "a.y4m"]], ids=" ".join)
def test_a_window_is_beyond_the_portal_and_nodes(
    run: Runner, words: list[str], pin: list[str]
) -> None:
    done = run.alone(*words, *pin, "-w", "active")
    assert done.returncode == 4, done.stderr
    assert "it captures outputs, no windows" in done.stderr
