"""Pictures in GPU memory as images of EGL and textures of GL: the shot's pixels, nothing left."""

from __future__ import annotations

import ctypes
import gc
import os
import runpy
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.guest.inside.stage import PATIENCE, GlesSway
from tests.live.command import read, shoot, wayshot
from tests.stage import TRANSFORMS, Output, pattern
from wayshot_cli.backends import choose
from wayshot_cli.errors import ClosedError, InvalidArgumentError
from wayshot_cli.still import shot_dmabuf
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.outputs import read_outputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.client import Picture
    from wayshot_cli.buffers.gbm import BufferObject
    from wayshot_cli.dmabuf_frame import DmabufFrame

NAME = "HEADLESS-1"
EXAMPLES = Path(__file__).parents[3] / "examples"
EXAMPLE = EXAMPLES / "dmabuf_egl.py"
BACKENDS = ("screencopy", "export-dmabuf")


@pytest.fixture(scope="module")
def sway() -> Iterator[GlesSway]:
    """Run a sway with one output."""
    with GlesSway(Output(203, 117)) as sway:
        yield sway


@pytest.fixture
def connection(sway: GlesSway) -> Iterator[Connection]:
    """Connect to it."""
    with Connection(str(sway.socket), timeout=20) as connection:
        yield connection


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    """Return the example's functions; not on import, for the host need not have libEGL."""
    return runpy.run_path(str(EXAMPLE))


def show(sway: GlesSway, size: tuple[int, int] = (203, 117), transform: str = "normal") -> Picture:
    """Let the output show the pattern, and return what is seen."""
    width, height = size
    sway.set_output(NAME, width=width, height=height, transform=transform, background=None)
    picture = pattern(*sway.output(NAME).upright_size)
    sway.set_background(NAME, picture)
    return picture


def pixels(frame: DmabufFrame) -> Picture:
    """Read them."""
    with frame.map() as mapped:
        return mapped.to_numpy().astype(np.uint8, copy=True)


def settled(connection: Connection, expected: Picture, backend: str = "screencopy") -> DmabufFrame:
    """Take a picture, again and again until it is the expected one."""
    deadline = monotonic() + PATIENCE
    while True:
        frame = shot_dmabuf(NAME, connection=connection, backend=backend)
        for _ in range(5):
            if np.array_equal(pixels(frame), expected):
                return frame
            assert monotonic() < deadline, "the picture was never seen"
            sleep(0.2)
        frame.close()


def drawn(example: dict[str, Any], frame: DmabufFrame) -> Picture:
    """Read them as GL sees the bound texture."""
    width, height = frame.upright_size
    rows = np.frombuffer(example["draw"](frame), np.uint8)
    return rows.reshape(height, width, 4)[:, :, :3]


def held() -> tuple[int, int]:
    """Count the open fds and what is mapped of devices and dmabufs."""
    gc.collect()
    maps = Path("/proc/self/maps").read_text().splitlines()
    mapped = sum("/dev/dri" in line or "dmabuf" in line for line in maps)
    return len(os.listdir("/proc/self/fd")), mapped


CASES = [((640, 480), "normal"), ((1920, 1080), "normal"), ((1920, 1080), "90")]


def test_the_other_example_hands_the_shot_over(sway: GlesSway, tmp_path: Path) -> None:
    """Another process shows what it got; a failure of either side is the example's."""
    expected = show(sway, (203, 117), "90")
    path = tmp_path / "handed.png"
    command = [sys.executable, str(EXAMPLES / "hand_over.py")]
    done = subprocess.run([*command, NAME, path], env=sway.env, timeout=PATIENCE, check=False)
    assert done.returncode == 0
    assert np.array_equal(read(path), expected)
    path.unlink()
    for arguments in ("NONE-1", path), (NAME, tmp_path / "no" / "folder.png"):
        done = subprocess.run(
            [*command, *arguments], env=sway.env, timeout=PATIENCE, check=False, capture_output=True
        )
        assert done.returncode == 1
        assert b"Traceback" not in done.stderr
    assert not path.exists()


@pytest.mark.parametrize(("size", "transform"), CASES)
def test_the_example_draws_the_shot(
    sway: GlesSway, tmp_path: Path, size: tuple[int, int], transform: str
) -> None:
    """From the screen through GL into a file."""
    expected = show(sway, size, transform)
    path = tmp_path / "drawn.png"
    deadline = monotonic() + PATIENCE
    while True:
        command = [sys.executable, str(EXAMPLE), NAME, str(path)]
        subprocess.run(command, env=sway.env, timeout=PATIENCE, check=True)
        if np.array_equal(read(path), expected):
            break
        assert monotonic() < deadline, "the picture was never drawn"
    assert np.array_equal(shoot(sway, tmp_path, "--buffer", "shm"), expected)


def test_the_example_says_what_goes_wrong(sway: GlesSway, tmp_path: Path) -> None:
    """In a line or two, and writes nothing."""
    command = [sys.executable, str(EXAMPLE), "nonsense", str(tmp_path / "drawn.png")]
    ended = subprocess.run(
        command, env=sway.env, timeout=PATIENCE, check=False, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert ended.stderr == f"no output named 'nonsense'\nknown outputs: {NAME}\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_every_transform_can_be_undone_by_its_matrix(
    sway: GlesSway,
    connection: Connection,
    example: dict[str, Any],
    transform: str,
    backend: str,
) -> None:
    """To the last pixel, of a buffer whose stride may be wider than its rows."""
    expected = show(sway, transform=transform)
    with settled(connection, expected, backend) as frame:
        assert frame.is_shared == (backend == "export-dmabuf")
        device = frame.buffer_object.device.address
        with example["gl_context"](device) as display:
            with frame.to_egl_image(display) as image:
                image.bind_gl_texture()
            assert np.array_equal(drawn(example, frame), expected)


def test_a_texture_is_bound_in_the_current_context(
    sway: GlesSway, connection: Connection, example: dict[str, Any]
) -> None:
    """Without one there is none."""
    expected = show(sway)
    with settled(connection, expected) as frame:
        with pytest.raises(InvalidArgumentError, match="no EGL context is current"):
            frame.bind_gl_texture()
        device = frame.buffer_object.device.address
        with example["gl_context"](device) as display:
            assert frame.bind_gl_texture() > 0
            assert np.array_equal(drawn(example, frame), expected)
            with frame.to_egl_image(display) as image:
                example["egl"].eglMakeCurrent(display, None, None, None)
                with pytest.raises(InvalidArgumentError, match="no EGL context is current"):
                    image.bind_gl_texture()


def test_images_come_and_go_without_a_trace(
    sway: GlesSway, connection: Connection, example: dict[str, Any]
) -> None:
    """Fifty of them, closed or forgotten."""
    expected = show(sway)
    with (
        settled(connection, expected) as frame,
        example["gl_context"](frame.buffer_object.device.address) as display,
    ):

        def make(count: int) -> None:
            for number in range(count):
                image = frame.to_egl_image(display)
                texture = ctypes.c_uint(image.bind_gl_texture())
                example["gl"].glDeleteTextures(1, ctypes.byref(texture))
                if number % 2:
                    image.close()
                    image.close()

        make(5)
        before = held()
        make(50)
        assert held() == before


def test_a_forked_process_takes_nothing_along(
    sway: GlesSway, connection: Connection, example: dict[str, Any]
) -> None:
    """Its device is the same open file, which knows a buffer by one name."""
    expected = show(sway)
    with settled(connection, expected) as frame:
        bo = frame.buffer_object
        with example["gl_context"](bo.device.address) as display:
            image = frame.to_egl_image(display)
            child = os.fork()
            if not child:
                image.close()
                frame.close()
                del frame, bo
                gc.collect()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            assert bo.map(None)[0].nbytes  # by the kernel's name of the buffer
            image.bind_gl_texture()
            assert np.array_equal(drawn(example, frame), expected)
            image.close()


def test_an_example_that_fails_leaves_no_context(
    sway: GlesSway, connection: Connection, example: dict[str, Any]
) -> None:
    """Nor does whatever else ends in the middle of it."""
    expected = show(sway)
    with settled(connection, expected) as frame:
        device = frame.buffer_object.device.address
        with pytest.raises(ZeroDivisionError), example["gl_context"](device):
            _ = 1 // 0
        with pytest.raises(InvalidArgumentError, match="no EGL context is current"):
            frame.bind_gl_texture()


def test_an_image_keeps_its_picture(
    sway: GlesSway, connection: Connection, example: dict[str, Any]
) -> None:
    """When its frame is closed; not until it is gone itself the buffer is captured into again."""
    expected = show(sway)
    chosen, _ = choose(connection, "screencopy", "dmabuf")
    with chosen.open(read_outputs(connection)[0]) as session:

        def take() -> DmabufFrame:
            session.start()
            return session.finish_dmabuf(connection.deadline())

        def object_of(frame: DmabufFrame) -> BufferObject:
            with frame:
                return frame.buffer_object

        frame = take()
        while not np.array_equal(pixels(frame), expected):
            sleep(0.1)
        first = frame.buffer_object
        with example["gl_context"](first.device.address) as display:
            with frame.to_egl_image(display) as image:
                frame.close()
                assert object_of(take()) is not first
                image.bind_gl_texture()
                # Its size and transform are all that the example asks for.
                assert np.array_equal(drawn(example, frame), expected)
            assert object_of(take()) is first


def test_frames_outlive_their_connection(sway: GlesSway, example: dict[str, Any]) -> None:
    """All of one does but the wl_buffer; in the end nothing is left."""
    expected = show(sway)
    before = held()
    with Connection(str(sway.socket), timeout=20) as connection:
        frame = settled(connection, expected)
        assert frame.wl_buffer is not None
        assert frame.wl_buffer.is_alive
        exported = settled(connection, expected, "export-dmabuf")
        assert exported.wl_buffer is None
    assert frame.wl_buffer is None
    for one in (frame, exported):
        assert np.array_equal(pixels(one), expected)
        with example["gl_context"](one.buffer_object.device.address):
            one.bind_gl_texture()
            assert np.array_equal(drawn(example, one), expected)
        one.close()
        one.close()
    with pytest.raises(ClosedError):
        frame.map()
    del one, frame, exported
    assert held()[1] == before[1]


def test_a_wl_buffer_ends_with_its_frame(sway: GlesSway, connection: Connection) -> None:
    """On a connection that stays; the first may bind what stays as well."""
    show(sway)
    count = []
    for _ in range(3):
        with shot_dmabuf(connection=connection) as frame:
            assert frame.wl_buffer is not None
        count.append(len(connection.proxies))
    assert count[1:] == count[:-1]


def test_a_display_that_is_none_is_refused(
    sway: GlesSway, connection: Connection, example: dict[str, Any]
) -> None:
    """By what EGL says of it."""
    expected = show(sway)
    with settled(connection, expected) as frame:
        with example["gl_context"](frame.buffer_object.device.address) as display:
            image = frame.to_egl_image(display)
        with pytest.raises(InvalidArgumentError, match="EGL_NOT_INITIALIZED"):
            frame.to_egl_image(display)
        image.close()  # after its display, which took it along


@pytest.mark.parametrize("in_place", [True, False])
def test_both_ways_of_reading_give_the_same(
    sway: GlesSway,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    in_place: bool,  # noqa: FBT001 - a parameter
) -> None:
    """The kept mapping, and GBM's."""
    from wayshot_cli.buffers import linear

    monkeypatch.setattr(linear, "_SLOWEST", 1000 if in_place else 0)
    expected = show(sway, transform="90")
    notes: list[str] = []
    frame = shot_dmabuf(NAME, connection=connection, report=notes.append)
    deadline = monotonic() + PATIENCE
    while not np.array_equal(pixels(frame), expected):
        assert monotonic() < deadline
        frame.close()
        frame = shot_dmabuf(NAME, connection=connection)
    assert frame.buffer_object.can_be_read_in_place
    assert (frame.buffer_object._linear is not None) == in_place
    frame.close()


def test_verbose_says_how_it_is_read(sway: GlesSway, tmp_path: Path) -> None:
    """With the figures that decided."""
    show(sway)
    said = wayshot(sway, "-v", "--buffer", "dmabuf", tmp_path / "a.png").stderr.decode()
    assert "203x117 XRGB8888 is read " in said
    assert "of ordinary memory in" in said
