"""dmabufs on a render node: the same pixels as through shared memory, and nothing left over."""

from __future__ import annotations

import gc
import os
import subprocess
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.guest.inside.stage import RENDER_NODE, GlesSway
from tests.live.command import error, shoot, wayshot
from tests.stage import TRANSFORMS, Output, pattern
from wayshot_cli.backends import choose
from wayshot_cli.errors import CaptureError, UnsupportedError
from wayshot_cli.record import OutputSource
from wayshot_cli.still import shot
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.outputs import read_outputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.client import Picture
    from wayshot_cli.frame import Frame

NAME = "HEADLESS-1"
SIZES = ((640, 480), (1920, 1080), (3840, 2160))
WAYS = {
    "image-copy": ("--backend", "image-copy", "--buffer", "dmabuf"),
    "screencopy": ("--backend", "screencopy", "--buffer", "dmabuf"),
    "export": ("--backend", "export-dmabuf"),
}
BACKENDS = ("image-copy", "screencopy", "export-dmabuf")
every_backend = pytest.mark.parametrize("backend", BACKENDS)
both_copies = pytest.mark.parametrize("backend", BACKENDS[:2])
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@pytest.fixture(scope="module")
def sway() -> Iterator[GlesSway]:
    """Run a sway with one output."""
    with GlesSway(Output(640, 480)) as sway:
        yield sway


@pytest.fixture
def connection(sway: GlesSway) -> Iterator[Connection]:
    """Connect to it."""
    with Connection(str(sway.socket), timeout=20) as connection:
        yield connection


def show(sway: GlesSway, size: tuple[int, int], transform: str = "normal") -> Picture:
    """Let the output show the pattern, and return what is seen."""
    width, height = size
    sway.set_output(NAME, width=width, height=height, transform=transform, background=None)
    picture = pattern(*sway.output(NAME).upright_size)
    sway.set_background(NAME, picture)
    return picture


def grim(sway: GlesSway, folder: Path, *arguments: str) -> Picture:
    """Take a picture by grim."""
    path = folder / "grim.ppm"
    subprocess.run(["grim", *arguments, "-t", "ppm", path], env=sway.env, check=True)
    with Image.open(path) as image:
        return np.asarray(image)


def finished(
    sway: GlesSway, folder: Path, expected: Picture, way: tuple[str, ...], *arguments: str
) -> Picture:
    """Take a shot, and again for a while if it is not the expected one yet.

    Here Mesa draws by software, and puts no fences into dmabufs: the compositor says ``ready``
    while threads of its own still draw, and nobody can tell when they are done.
    """
    deadline = monotonic() + 10
    while True:
        picture = shoot(sway, folder, *way, *arguments)
        if np.array_equal(picture, expected) or monotonic() > deadline:
            return picture


def settled(connection: Connection, expected: Picture, backend: str) -> Picture:
    """Do the same without the command; a frame is in the memory that is still drawn into."""
    deadline = monotonic() + 10
    while True:
        frame = shot(connection=connection, backend=backend, buffer="dmabuf")
        for _ in range(5):
            picture = frame.to_numpy().astype(np.uint8, copy=False)
            if np.array_equal(picture, expected) or monotonic() > deadline:
                return picture
            sleep(0.2)


def held() -> tuple[int, int]:
    """Count the open fds and what is mapped of devices and dmabufs."""
    gc.collect()
    maps = Path("/proc/self/maps").read_text().splitlines()
    mapped = sum("/dev/dri" in line or "dmabuf" in line for line in maps)
    return len(os.listdir("/proc/self/fd")), mapped


@every_backend
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_pixels_are_those_of_shared_memory_and_of_grim(
    sway: GlesSway, connection: Connection, tmp_path: Path, size: tuple[int, int], backend: str
) -> None:
    """To the last of them, and those that were painted."""
    expected = show(sway, size)
    picture = settled(connection, expected, backend)
    assert np.array_equal(picture, expected)
    if backend != "export-dmabuf":
        shared = shoot(sway, tmp_path, "--backend", backend, "--buffer", "shm")
        assert np.array_equal(expected, shared)
    assert np.array_equal(expected, grim(sway, tmp_path))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_every_transform_comes_upright(
    sway: GlesSway, connection: Connection, transform: str
) -> None:
    """The stride of a narrow buffer may be wider than its rows, too."""
    expected = show(sway, (203, 117), transform)
    for backend in BACKENDS:
        assert np.array_equal(settled(connection, expected, backend), expected)


@every_way
@pytest.mark.parametrize("transform", ["normal", "90"])
def test_a_region_is_its_part_of_the_picture(
    sway: GlesSway, tmp_path: Path, transform: str, way: tuple[str, ...]
) -> None:
    """Asked for alone, or cut out."""
    expected = show(sway, (640, 480), transform)
    expected = expected[57:258, 31:144]
    picture = finished(sway, tmp_path, expected, way, "-g", "31,57 113x201")
    assert np.array_equal(picture, expected)
    assert np.array_equal(picture, grim(sway, tmp_path, "-g", "31,57 113x201"))


@every_way
def test_the_cursor_is_the_one_of_shared_memory(
    sway: GlesSway, tmp_path: Path, way: tuple[str, ...]
) -> None:
    """Where the compositor paints one at all."""
    show(sway, (640, 480))
    sway.msg("seat * cursor set 100 100")
    expected = shoot(sway, tmp_path, "-c", "--buffer", "shm")
    assert np.array_equal(finished(sway, tmp_path, expected, way, "-c"), expected)


@every_way
def test_verbose_says_what_was_chosen_and_why(
    sway: GlesSway, tmp_path: Path, way: tuple[str, ...]
) -> None:
    """The node, and of a buffer of our own the modifier."""
    show(sway, (640, 480))
    said = wayshot(sway, "-v", *way, tmp_path / "a.png").stderr.decode()
    assert f"{RENDER_NODE}: the compositor's main device" in said
    assert "dmabufs" in said
    assert ("modifier LINEAR" in said) == ("export-dmabuf" not in way)


@every_backend
def test_captures_leave_no_fd_and_no_buffer(
    sway: GlesSway, connection: Connection, backend: str
) -> None:
    """Two hundred of them; the first may open what stays."""
    show(sway, (64, 48))

    def take(count: int) -> None:
        chosen, _ = choose(connection, backend, "dmabuf")
        output = read_outputs(connection)[0]
        for number in range(count):
            if number % 10 == 0:
                session = chosen.open(output)
            session.start()
            frame = session.finish(connection.deadline())
            assert (frame.width, frame.height) == (64, 48)
            frame.close()
            if number % 10 == 9:
                session.close()

    take(10)
    before = held()
    for _ in range(10):
        take(20)
    assert held() == before
    assert before[1] == 0


def test_frames_outlive_their_connection(sway: GlesSway) -> None:
    """Their memory stays until the last view goes, and then goes."""
    expected = show(sway, (203, 117))
    before = held()
    with Connection(str(sway.socket), timeout=20) as connection:
        frames = [shot(connection=connection, buffer="dmabuf") for _ in range(5)]
    arrays = [frame.to_numpy() for frame in frames]
    for frame in frames:
        frame.close()
    del frame, frames
    gc.collect()
    sleep(0.5)  # see finished()
    assert all(np.array_equal(array, expected) for array in arrays)
    assert held()[1] >= len(arrays)
    arrays.clear()
    assert held() == before


@both_copies
def test_a_session_uses_its_buffers_again(
    sway: GlesSway, connection: Connection, backend: str
) -> None:
    """One is enough for who looks at one frame at a time; too many held ones are an error."""
    show(sway, (64, 48))
    chosen, _ = choose(connection, backend, "dmabuf")
    with chosen.open(read_outputs(connection)[0]) as session:
        for _ in range(20):
            session.start()
            session.finish(connection.deadline()).close()
        created = sum("dmabuf of" in note for note in chosen.notes)
        assert created == 1

        def take() -> Frame:
            session.start()
            return session.finish(connection.deadline())

        kept = [take() for _ in range(16)]
        with pytest.raises(CaptureError, match="16 frames are held"):
            take()
        assert len(kept) == 16


@every_backend
def test_a_recording_follows_a_change_of_size(
    sway: GlesSway, connection: Connection, backend: str
) -> None:
    """Buffers of the old size go."""
    sizes = ((64, 48), (203, 117), (320, 240))
    show(sway, sizes[0])
    chosen, _ = choose(connection, backend, "dmabuf")
    with OutputSource(connection, chosen) as source:
        for size in sizes:
            expected = show(sway, size)
            deadline = monotonic() + 10
            picture = source.capture(until=deadline)
            while picture and not np.array_equal(picture.render().to_numpy(), expected):
                assert monotonic() < deadline, f"{size} was never seen"
                picture = source.capture(until=monotonic() + 0.5) or picture
            assert picture


@both_copies
def test_a_screen_that_stands_still_is_waited_for(
    sway: GlesSway, connection: Connection, backend: str
) -> None:
    """Damage is told with dmabufs as with shared memory."""
    show(sway, (64, 48))
    chosen, _ = choose(connection, backend, "dmabuf")
    with OutputSource(connection, chosen) as source:
        assert source.capture()
        for _ in range(20):  # what is still on its way
            if source.capture(until=monotonic() + 1) is None:
                break
        else:
            pytest.fail("the screen did not come to rest")
        expected = pattern(64, 48)[::-1]
        sway.set_background(NAME, expected)
        picture = source.capture(until=connection.deadline())
        deadline = monotonic() + 10
        while picture and not np.array_equal(picture.render().to_numpy(), expected):
            assert monotonic() < deadline
            picture = source.capture(until=monotonic() + 0.5) or picture
        assert picture


def test_record_writes_the_frames(sway: GlesSway, tmp_path: Path) -> None:
    """The command, from dmabufs to a file."""
    show(sway, (64, 48))
    path = tmp_path / "a.y4m"
    result = wayshot(
        sway, "record", "--buffer", "dmabuf", "--no-damage", "--frames", "5", "-r", "10",
        "--pixel-format", "yuv444p", path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert path.read_bytes().count(b"FRAME\n") == 5


@pytest.mark.parametrize(
    ("device", "reason"),
    [("/dev/null", "not a DRM device"), ("/nonexistent", "No such file"), ("/dev", "directory")],
)
@every_way
def test_a_device_that_is_none_is_refused(
    sway: GlesSway, tmp_path: Path, device: str, reason: str, way: tuple[str, ...]
) -> None:
    """With the documented code, and its name; nothing else is taken instead."""
    result = wayshot(sway, *way, "--device", device, tmp_path / "a.png")
    assert result.returncode == 4
    assert device in error(result)
    assert reason in error(result)


def test_a_node_without_permission_is_passed_over_with_the_reason(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may do everything is told so by nobody: the test plays the kernel."""
    true_open = os.open

    def refuse(path: str, *arguments: int) -> int:
        if path == RENDER_NODE:
            raise PermissionError(13, "Permission denied")
        return true_open(path, *arguments)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UnsupportedError, match=f"{RENDER_NODE}: Permission denied"):
        shot(connection=connection, buffer="dmabuf")
    assert shot(connection=connection).width


def test_without_render_nodes_shared_memory_serves(sway: GlesSway, tmp_path: Path) -> None:
    """Nobody asks for the node that is not needed."""
    expected = show(sway, (64, 48))
    os.rename(RENDER_NODE, RENDER_NODE + "-away")
    try:
        assert np.array_equal(shoot(sway, tmp_path), expected)
        result = wayshot(sway, "--buffer", "dmabuf", tmp_path / "a.png")
        assert result.returncode == 4
        assert f"{RENDER_NODE}: No such file" in error(result)
    finally:
        os.rename(RENDER_NODE + "-away", RENDER_NODE)
