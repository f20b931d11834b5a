"""What --notify shows, and what its buttons do, with a service of our own; and without one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest
from jeepney.bus_messages import message_bus
from PIL import Image

from tests.fake import Config, FakeCompositor, Output
from tests.faults.windows import ONE, desktop
from tests.portal.bus import connected
from tests.portal.notifications import FILES, NAME, FakeService

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.portal.bus import SessionBus
    from tests.portal.notifications import Notified

LIMIT = 60.0  # seconds for a command
SHORT = 3.0  # seconds for an answer that never comes
CONFIG = Config(outputs=(Output("FAKE-1", 640, 320),))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of the command; beside it lies an xdg-open that writes down its words."""
    programs = tmp_path / "bin"
    programs.mkdir()
    opener = programs / "xdg-open"
    opener.write_text(f'#!/bin/sh\necho "$XDG_ACTIVATION_TOKEN $1" >> {tmp_path}/opened\n')
    opener.chmod(0o755)
    folder = tmp_path / "a folder"
    folder.mkdir()
    return folder


def run(
    bus: str, folder: Path, *words: str, config: Config = CONFIG, timeout: float = 20.0
) -> tuple[int, bytes, str]:
    """Run the command to its end; return its exit code, and what it said on stdout and stderr."""
    with FakeCompositor(config) as compositor:
        done = subprocess.run(
            [sys.executable, "-m", "wayshot_cli", *words, "--timeout", str(timeout)],
            env={
                **compositor.env,
                "DBUS_SESSION_BUS_ADDRESS": bus,
                "PATH": f"{folder.parent}/bin:{os.environ['PATH']}",
            },
            cwd=folder,
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )
    stderr = done.stderr.decode()
    assert "Traceback" not in stderr
    return done.returncode, done.stdout, stderr


@contextmanager
def notified(
    bus: SessionBus, folder: Path, *words: str, **settings: tuple[str, ...]
) -> Iterator[tuple[FakeService, Notified]]:
    """Take a shot that succeeds and is told of; the service lives for the block."""
    with FakeService(bus.address, **settings) as service:
        code, _, said = run(bus.address, folder, "--notify", *words)
        assert (code, said) == (0, "")
        (one,) = service.notified
        yield service, one


def opened(folder: Path) -> str:
    """Wait for what xdg-open is asked for, and return it."""
    path = folder.parent / "opened"
    wait_for_file(path)
    return path.read_text()


def wait_for_file(path: Path) -> None:
    """Wait until there is something in a file."""
    deadline = time.monotonic() + LIMIT
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_notification_names_the_file_and_shows_it(bus: SessionBus, folder: Path) -> None:
    with notified(bus, folder, "a.png") as (service, it):
        assert (it.app, it.summary) == ("wayshot", "Screenshot saved")
        assert it.body == "a.png\n640\N{MULTIPLICATION SIGN}320"
        assert it.actions[::2] == ["default", "open", "folder"]
        signature, (width, height, stride, has_alpha, bits, channels, data) = it.hints["image-data"]
        assert signature == "(iiibiiay)"
        assert (width, height, stride, has_alpha, bits, channels) == (256, 128, 768, 0, 8, 3)
        shown = np.frombuffer(data, np.uint8).reshape(height, width, 3)
        with Image.open(folder / "a.png") as image:
            expected = np.asarray(image.resize((256, 128), Image.Resampling.BICUBIC))
        assert np.abs(shown.astype(int) - expected).mean() < 8
        service.close(it)
        service.wait_until_gone(it)
    assert not (folder.parent / "opened").exists()


def test_a_body_is_escaped_where_it_is_markup(bus: SessionBus, folder: Path) -> None:
    name = "<b>&amp;.png"
    with notified(bus, folder, name) as (service, it):
        assert it.body.startswith("&lt;b&gt;&amp;amp;.png\n")
        service.close(it)
    with notified(bus, folder, name, capabilities=("body", "actions")) as (service, it):
        assert it.body.startswith(f"{name}\n")
        service.close(it)


def test_a_service_without_buttons_is_left_alone(bus: SessionBus, folder: Path) -> None:
    with notified(bus, folder, "a.png", capabilities=("body",)) as (service, it):
        assert it.actions == []
        service.wait_until_gone(it)


@pytest.mark.parametrize("key", ["default", "open"])
def test_a_click_opens_the_file(bus: SessionBus, folder: Path, key: str) -> None:
    with notified(bus, folder, "a.png") as (service, it):
        service.press(it, key, token="token-1")
        assert opened(folder) == f"token-1 {folder}/a.png\n"
        service.wait_until_gone(it)
        assert service.closed == [(it.number,)]


def test_what_opens_it_has_no_descriptors_and_no_ignored_signals_of_ours(
    bus: SessionBus, folder: Path
) -> None:
    script = (
        "#!/bin/sh\n"
        "{ ls /proc/self/fd | tr '\\n' ' '; grep SigIgn /proc/self/status; } >../seen\n"
        "mv ../seen ../opened\n"
    ).replace("..", str(folder.parent))
    (folder.parent / "bin" / "xdg-open").write_text(script)
    with notified(bus, folder, "a.png") as (service, it):
        service.press(it, "open")
        *fds, _, ignored = opened(folder).split()
    assert fds == ["0", "1", "2", "3"]  # the last is the listing's own
    numbers = {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGUSR1, signal.SIGUSR2}
    assert not int(ignored, 16) & sum(1 << number - 1 for number in numbers)


def test_a_button_shows_the_file_in_its_folder(bus: SessionBus, folder: Path) -> None:
    with notified(bus, folder, "100%%.png") as (service, it):
        service.press(it, "folder", token="token-2")
        service.wait_until_gone(it)
        uri = f"file://{folder}/100%25.png".replace(" ", "%20")
        assert service.shown == [([uri], "token-2")]
    assert not (folder.parent / "opened").exists()


def test_without_a_file_manager_the_folder_is_opened(bus: SessionBus, folder: Path) -> None:
    with notified(bus, folder, "a.png", names=(NAME,)) as (service, it):
        service.press(it, "folder")
        assert opened(folder) == f" {folder}\n"
        service.wait_until_gone(it)


def test_a_file_manager_that_fails_does_not_matter(bus: SessionBus, folder: Path) -> None:
    with notified(bus, folder, "a.png", failing=("ShowItems",)) as (service, it):
        service.press(it, "folder")
        assert opened(folder) == f" {folder}\n"


def test_what_is_said_of_others_is_passed_over(bus: SessionBus, folder: Path) -> None:
    with notified(bus, folder, "a.png") as (service, it):
        service.broadcast("ActionInvoked", "us", (it.number + 1, "open"))
        service.broadcast("NotificationClosed", "uu", (it.number + 1, 1))
        service.broadcast("NotificationClosed", "s", ("nonsense",))
        service.broadcast("ActionInvoked", "us", (it.number, "default"))
        assert opened(folder) == f" {folder}/a.png\n"
        service.wait_until_gone(it)


def test_a_service_that_ends_ends_the_waiting(bus: SessionBus, folder: Path) -> None:
    with notified(bus, folder, "a.png") as (service, it):
        service.end()
        with FakeService(bus.address, names=(FILES,)) as watcher:
            if it.client in names_on(bus):
                watcher.wait_until_gone(it)


def names_on(bus: SessionBus) -> list[str]:
    with connected(bus.address) as connection:
        names: list[str] = connection.send_and_get_reply(message_bus.ListNames()).body[0]
    return names


def test_a_picture_on_the_clipboard_or_stdout_has_no_buttons(bus: SessionBus, folder: Path) -> None:
    with notified(bus, folder, "-") as (service, it):
        assert it.summary == "Screenshot done"
        assert it.actions == []
        assert "image-data" in it.hints
        service.wait_until_gone(it)


def test_an_edited_picture_is_shown_as_it_has_become(bus: SessionBus, folder: Path) -> None:
    Image.new("RGBA", (20, 10), (1, 2, 3, 4)).save(folder / "edited.png")
    editor = f"cp '{folder}/edited.png'"
    with notified(bus, folder, "--edit", "--editor", editor, "a.png") as (service, it):
        assert it.body == "a.png\n20\N{MULTIPLICATION SIGN}10"
        assert it.hints["image-data"][1] == (20, 10, 80, 1, 8, 4, bytes((1, 2, 3, 4)) * 200)
        service.close(it)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"names": ()}, "no notification"),
        ({"mute": ("GetCapabilities",)}, "did not answer in time"),
        ({"mute": ("Notify",)}, "did not answer in time"),
        ({"failing": ("Notify",)}, "so it says"),
    ],
    ids=["no service", "silent", "silent later", "failing"],
)
def test_no_notification_is_a_warning(
    bus: SessionBus, folder: Path, settings: dict[str, tuple[str, ...]], words: str
) -> None:
    with FakeService(bus.address, **settings):
        code, _, said = run(bus.address, folder, "--notify", "a.png", timeout=SHORT)
    assert code == 0
    assert said.startswith("wayshot: no notification: ")
    assert words in said
    assert (folder / "a.png").exists()


@pytest.mark.parametrize("address", ["unix:path=/nonexistent/bus", "nonsense", ""])
def test_no_bus_is_a_warning(folder: Path, address: str) -> None:
    code, _, said = run(address, folder, "--notify", "a.png")
    assert code == 0
    assert said.startswith("wayshot: no notification: ")
    assert (folder / "a.png").exists()


def test_an_error_is_notified_of(bus: SessionBus, folder: Path) -> None:
    with FakeService(bus.address) as service:
        code, _, said = run(bus.address, folder, "--notify", "-o", "<none>", "a.png")
        (it,) = service.notified
    assert code == 5
    assert said.count("wayshot: ") == 1
    assert it.summary == "wayshot failed"
    assert it.body == "no output named '&lt;none&gt;'\nknown outputs: FAKE-1"
    assert it.actions == []


MISUSE = [
    ("", ["-l", "99", "a.png"], "99 is not from 0 to 9"),
    ("", ["-l", "3", "a.jpg"], "--level"),
    ("", ["-g", "nonsense", "a.png"], "not a region: 'nonsense'"),
    ("", ["record", "--fps", "fast", "a.mp4"], "'fast'"),
    ("curser = true", ["a.png"], "config.toml:1: unknown key 'curser'"),
    ("", ["--profile", "p", "a.png"], "no profile 'p'"),
    ("", ["--portal-source", "window", "--backend", "screencopy", "a.png"], "screencopy"),
]


@pytest.mark.parametrize(("config", "words", "complaint"), MISUSE, ids=str)
def test_misuse_is_notified_of_once(  # noqa: PLR0913, PLR0917 - a row of the table
    bus: SessionBus,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: str,
    words: list[str],
    complaint: str,
) -> None:
    path = folder.parent / "config.toml"
    path.write_text(config)
    monkeypatch.setenv("WAYSHOT_CONFIG", str(path))
    with FakeService(bus.address) as service:
        *command, file = words
        code, _, said = run(bus.address, folder, *command, "--notify", file)
        (it,) = service.notified
    assert code == 2
    assert said.count("wayshot: ") == 1
    assert it.summary == "wayshot failed"
    assert complaint in it.body
    assert os.listdir(folder) == []


@pytest.mark.parametrize("is_configured", [True, False])
def test_misuse_is_notified_of_by_nobody_else(
    bus: SessionBus, folder: Path, monkeypatch: pytest.MonkeyPatch, *, is_configured: bool
) -> None:
    path = folder.parent / "config.toml"
    path.write_text(f"notify = {str(is_configured).lower()}\n")
    monkeypatch.setenv("WAYSHOT_CONFIG", str(path))
    with FakeService(bus.address) as service:
        words = "--portal-source", "window", "--backend", "screencopy"
        assert run(bus.address, folder, *words, "a.png")[0] == 2
        assert len(service.notified) == is_configured
        assert run(bus.address, folder, "--level=99", "--", "--notify")[0] == 2
        assert len(service.notified) == is_configured


def test_what_was_cancelled_is_not_notified_of(bus: SessionBus, folder: Path) -> None:
    with FakeService(bus.address) as service:
        words = "--notify", "-w", "", "a.png"
        code, _, _ = run(bus.address, folder, *words, config=desktop(ONE))
        assert code == 3
        assert service.notified == []


def test_a_program_that_is_missing_is_notified_of(bus: SessionBus, folder: Path) -> None:
    with FakeService(bus.address) as service:
        code, _, _ = run(bus.address, folder, "--notify", "--exec", "nosuch {}", "a.png")
        (it,) = service.notified
    assert code == 4
    assert "nosuch" in it.body
    assert not (folder / "a.png").exists()


def test_a_recording_is_notified_of_too(bus: SessionBus, folder: Path) -> None:
    words = "record", "--quiet", "--frames", "1", "--notify", "a.y4m"
    with FakeService(bus.address) as service:
        code, _, said = run(bus.address, folder, *words)
        assert (code, said) == (0, "")
        (it,) = service.notified
        assert (it.summary, it.body, it.icon) == ("Recording saved", "a.y4m", "camera-video")
        service.press(it, "default")
        assert opened(folder) == f" {folder}/a.y4m\n"


def test_a_recording_in_several_files_is_notified_of_once(bus: SessionBus, folder: Path) -> None:
    words = "record", "--quiet", "--on-resize", "segment", "--notify", "a.y4m"
    with FakeService(bus.address) as service, FakeCompositor(Config(idle=True)) as compositor:
        env = compositor.env | {"DBUS_SESSION_BUS_ADDRESS": bus.address}
        with subprocess.Popen(
            [sys.executable, "-m", "wayshot_cli", *words], env=env, cwd=folder
        ) as recording:
            wait_for_file(folder / "a.y4m")
            compositor.change_output("FAKE-1", width=32, height=24)
            wait_for_file(folder / "a-2.y4m")
            recording.send_signal(signal.SIGINT)
            assert recording.wait(LIMIT) == 0
        (it,) = service.notified
        assert (it.summary, it.body) == ("Recording saved", "a.y4m\nthe first of 2 files")
        service.press(it, "folder")
        service.wait_for(lambda: bool(service.shown))
    assert service.shown == [([(folder / "a.y4m").as_uri()], "")]


def test_the_error_of_a_recording_is_notified_of(bus: SessionBus, folder: Path) -> None:
    with FakeService(bus.address) as service:
        code, _, _ = run(bus.address, folder, "record", "--notify", "-o", "none", "a.y4m")
        (it,) = service.notified
    assert code == 5
    assert "none" in it.body


def test_a_recording_that_has_no_place_is_notified_of(bus: SessionBus, folder: Path) -> None:
    with FakeService(bus.address) as service:
        code, _, _ = run(bus.address, folder, "record", "--notify", "missing/a.y4m")
        (it,) = service.notified
    assert code == 1
    assert "missing" in it.body
