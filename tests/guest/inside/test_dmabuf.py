"""dmabufs on a render node: the same pixels as through shared memory, and nothing left over."""

from __future__ import annotations

import gc
import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.fake.counter import paint_counter, read_counter
from tests.fake.pixels import picture as film_picture
from tests.guest.inside.stage import PATIENCE, RENDER_NODE, GlesLabwc, GlesSway
from tests.live.client import Client
from tests.live.command import WAYSHOT, error, shoot, wayshot
from tests.live.film import LiveFilm
from tests.live.recording import read_raw, recording
from tests.stage import NOBODY, TRANSFORMS, Output, Stage, pattern
from wayshot_cli.backends import choose
from wayshot_cli.buffers import gbm, linear
from wayshot_cli.buffers._gbm import ffi
from wayshot_cli.errors import CaptureError
from wayshot_cli.sources import OutputSource
from wayshot_cli.still import shot
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.outputs import read_outputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.client import Picture
    from wayshot_cli.frame import Frame

NAME = "HEADLESS-1"
SWAPCHAIN = 4
"""Buffers that wlroots draws into in turns, at most."""

SIZES = ((640, 480), (1920, 1080), (3840, 2160))
BACKENDS = ("image-copy", "screencopy", "export-dmabuf")
WAYS = {
    "image-copy": ("--backend", "image-copy", "--buffer", "dmabuf"),
    "screencopy": ("--backend", "screencopy", "--buffer", "dmabuf"),
    "export": ("--backend", "export-dmabuf"),
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
every_backend = pytest.mark.parametrize("backend", BACKENDS)
both_copies = pytest.mark.parametrize("backend", BACKENDS[:2])
on_both = pytest.mark.parametrize(
    "stage", [GlesSway, GlesLabwc], ids=["sway", "labwc"], indirect=True
)


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Run a compositor with one output: sway, unless a mark asks for both."""
    with getattr(request, "param", GlesSway)(Output(640, 480)) as stage:
        yield stage


@pytest.fixture
def connection(stage: Stage) -> Iterator[Connection]:
    """Connect to it."""
    with Connection(str(stage.socket), timeout=20) as connection:
        yield connection


def show(stage: Stage, size: tuple[int, int], transform: str = "normal") -> Picture:
    """Let the output show the pattern, and return what is seen."""
    width, height = size
    stage.set_output(NAME, width=width, height=height, transform=transform, background=None)
    picture = pattern(*stage.output(NAME).upright_size)
    stage.set_background(NAME, picture)
    return picture


def grim(stage: Stage, folder: Path, *arguments: str) -> Picture:
    """Take a picture by grim."""
    path = folder / "grim.ppm"
    subprocess.run(["grim", *arguments, "-t", "ppm", path], env=stage.env, check=True)
    with Image.open(path) as image:
        return np.asarray(image)


def held() -> tuple[int, int]:
    """Count the open fds and what is mapped of devices and dmabufs."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), len(mappings())


def mappings() -> list[range]:
    """Return the addresses at which devices and dmabufs are mapped."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    ends = [line.split()[0].split("-") for line in lines if re.search("/dev/dri|dmabuf", line)]
    return [range(int(start, 16), int(end, 16)) for start, end in ends]


def dmabufs() -> int:
    """Count the dmabufs of the whole guest, the compositor's included."""
    (count,) = re.findall(
        r"Total (\d+) objects", Path("/sys/kernel/debug/dma_buf/bufinfo").read_text()
    )
    return int(count)


class CountedLibrary:
    """libgbm, which counts its buffer objects: those there are, and all there have been."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.objects: set[int] = set()
        self.made = 0

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._library, name)
        if name == "gbm_bo_destroy":
            return lambda pointer: function(self._gone(pointer))
        if name in {"gbm_bo_create", "gbm_bo_create_with_modifiers2", "gbm_bo_import"}:
            return lambda *arguments: self._made(function(*arguments))
        return function

    def _made(self, pointer: Any) -> Any:
        if pointer != ffi.NULL:
            self.objects.add(_number(pointer))
            self.made += 1
        return pointer

    def _gone(self, pointer: Any) -> Any:
        self.objects.remove(_number(pointer))
        return pointer


def _number(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> CountedLibrary:
    """Count what devices make that are opened from now on."""
    library = CountedLibrary(gbm.library())
    monkeypatch.setattr(gbm, "library", lambda: library)
    return library


@on_both
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_pixels_are_those_of_shared_memory_and_of_grim(
    stage: Stage, connection: Connection, tmp_path: Path, size: tuple[int, int]
) -> None:
    """To the last of them, and those that were painted."""
    expected = show(stage, size)
    for backend, buffer in (
        ("image-copy", "shm"),
        ("screencopy", "shm"),
        *((backend, "dmabuf") for backend in BACKENDS),
    ):
        with shot(connection=connection, backend=backend, buffer=buffer) as frame:
            assert np.array_equal(frame.to_numpy(), expected), (backend, buffer)
    assert np.array_equal(grim(stage, tmp_path), expected)


@on_both
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_every_transform_comes_upright(
    stage: Stage, connection: Connection, transform: str
) -> None:
    """The stride of a narrow buffer may be wider than its rows, too."""
    expected = show(stage, (203, 117), transform)
    for backend in BACKENDS:
        with shot(connection=connection, backend=backend, buffer="dmabuf") as frame:
            assert np.array_equal(frame.to_numpy(), expected), backend


@every_way
@pytest.mark.parametrize("transform", ["normal", "90"])
def test_a_region_is_its_part_of_the_picture(
    stage: Stage, tmp_path: Path, transform: str, way: tuple[str, ...]
) -> None:
    """Asked for alone, or cut out."""
    expected = show(stage, (640, 480), transform)
    region = "-g", "31,57 113x201"
    picture = shoot(stage, tmp_path, *way, *region)
    assert np.array_equal(picture, expected[57:258, 31:144])
    assert np.array_equal(picture, grim(stage, tmp_path, *region))


@on_both
def test_the_cursor_is_painted_where_it_is_if_asked_for(stage: Stage, tmp_path: Path) -> None:
    """The same one in every way. Another mode first: what has painted one goes on until then."""
    x, y = 100, 60
    pictures = []
    with Client(stage.socket) as client:
        for way in (("--buffer", "shm"), *WAYS.values()):
            show(stage, (64, 48))
            expected = show(stage, (320, 240))
            client.point(x, y, 320, 240)
            assert np.array_equal(shoot(stage, tmp_path, *way), expected), way
            picture = shoot(stage, tmp_path, *way, "-c")
            rows, columns = np.nonzero((picture != expected).any(axis=2))
            assert {*rows} <= {*range(y - 16, y + 33)}, way
            assert {*columns} <= {*range(x - 16, x + 33)}, way
            assert len(rows) > 50
            pictures.append(picture)
    for picture in pictures[1:]:
        assert np.array_equal(picture, pictures[0])


def said(stage: Stage, *arguments: str | Path) -> list[str]:
    """Return what the command says when it is to say all."""
    result = wayshot(stage, *arguments, "-v")
    assert result.returncode == 0, result.stderr
    return [line.removeprefix("wayshot: ") for line in result.stderr.decode().splitlines()]


def test_verbose_says_what_was_chosen_and_why(stage: Stage, tmp_path: Path) -> None:
    """The node and its driver, what the compositor offers, what is taken, and how it is read."""
    show(stage, (320, 240))
    node = f"{RENDER_NODE}: the compositor's main device, driver vgem, served by GBM's 'drm'"
    dmabuf = "dmabuf of 320x240 XRGB8888, modifier LINEAR, 1 plane, stride 1280"
    path = tmp_path / "a.png"

    lines = said(stage, *WAYS["screencopy"], path)
    assert lines[0] == "sway: capturing by screencopy into dmabufs"
    assert lines[1] == node
    assert re.fullmatch("sway offers modifiers for XRGB8888: .*LINEAR.*", lines[2])
    assert lines[3] == f"allocated by the modifiers offered: {dmabuf}"
    assert lines[4].startswith("320x240 XRGB8888 is read ")

    lines = said(stage, *WAYS["export"], path)
    assert lines[0] == "sway: capturing by export-dmabuf into the compositor's dmabufs"
    assert lines[1] == node
    assert lines[2] == f"exported {dmabuf}"

    lines = said(stage, path)
    assert lines[0] == "sway: capturing by image-copy into shared memory"
    assert lines[1] == "shared memory: dmabufs, which are offered, too, are slower to read"
    lines = said(stage, "--buffer", "shm", path)
    assert not any("dmabuf" in line for line in lines)

    lines = said(stage, "record", "--frames", "1", *WAYS["screencopy"], tmp_path / "a.y4m")
    assert lines[1] == node


@every_backend
def test_captures_leave_no_fd_and_no_buffer(
    stage: Stage, connection: Connection, counted: CountedLibrary, backend: str
) -> None:
    """Two hundred: neither GBM nor the kernel has one more; the first may open what stays."""
    show(stage, (64, 48))

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
    in_the_kernel = dmabufs()
    counted.made = 0
    for _ in range(10):
        take(20)
    assert held() == before
    assert before[1] == 0
    assert not counted.objects
    assert 20 <= counted.made <= (20 * SWAPCHAIN if backend == "export-dmabuf" else 20)
    deadline = monotonic() + PATIENCE
    while dmabufs() > in_the_kernel:  # the compositor lets go in its own time
        assert monotonic() < deadline, f"{dmabufs()} after {in_the_kernel}"
        sleep(0.1)


def test_frames_outlive_their_connection(stage: Stage) -> None:
    """Their memory stays until the last view goes, and then goes."""
    expected = show(stage, (203, 117))
    before = held()
    with Connection(str(stage.socket), timeout=20) as connection:
        frames = [shot(connection=connection, buffer="dmabuf") for _ in range(5)]
    arrays = [frame.to_numpy() for frame in frames]
    for frame in frames:
        frame.close()
    del frame, frames
    gc.collect()
    assert all(np.array_equal(array, expected) for array in arrays)
    assert held()[1] >= len(arrays)
    arrays.clear()
    assert held() == before


@both_copies
def test_a_session_uses_its_buffers_again(
    stage: Stage, connection: Connection, backend: str
) -> None:
    """One is enough for who looks at one frame at a time; too many held ones are an error."""
    show(stage, (64, 48))
    chosen, _ = choose(connection, backend, "dmabuf")
    with chosen.open(read_outputs(connection)[0]) as session:
        for _ in range(20):
            session.start()
            session.finish(connection.deadline()).close()
        created = sum("allocated" in note for note in chosen.notes)
        assert created == 1

        def take() -> Frame:
            session.start()
            return session.finish(connection.deadline())

        kept = [take() for _ in range(16)]
        with pytest.raises(CaptureError, match="16 frames are held"):
            take()
        assert len(kept) == 16


@pytest.mark.parametrize("in_place", [True, False])
def test_a_frame_lies_where_it_was_written(
    stage: Stage,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    in_place: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Nothing is copied on the way to who reads it, whoever has mapped it."""
    monkeypatch.setattr(linear, "_SLOWEST", 1000 if in_place else 0)
    show(stage, (203, 117))
    with shot(connection=connection, buffer="dmabuf") as frame:
        pixels = np.frombuffer(frame.memory, np.uint8)
        assert any(
            pixels.ctypes.data in mapping and pixels.ctypes.data + pixels.nbytes - 1 in mapping
            for mapping in mappings()
        )
        del pixels


@on_both
@every_backend
def test_each_frame_of_a_recording_was_shown(
    stage: Stage, connection: Connection, counted: CountedLibrary, backend: str
) -> None:
    """Whole, one after the other, in few buffers."""
    size = (320, 240)
    show(stage, size)
    most = 0
    numbers: list[int] = []
    chosen, _ = choose(connection, backend, "dmabuf")
    with LiveFilm(stage, NAME), OutputSource(connection, chosen) as source:
        deadline = monotonic() + PATIENCE
        while len({*numbers}) <= 100:
            assert monotonic() < deadline
            taken = source.capture()
            assert taken
            picture = taken.render().to_numpy()
            number = read_counter(picture)
            expected = film_picture(0, *size)
            paint_counter(expected, number)
            assert np.array_equal(picture, expected)
            numbers.append(number)
            most = max(most, len(counted.objects))
            del taken, picture
    assert numbers == sorted(numbers)
    assert most <= (2 if backend == "screencopy" else SWAPCHAIN)
    assert counted.made == most


@every_way
def test_record_ends_by_ctrl_c(stage: Stage, tmp_path: Path, way: tuple[str, ...]) -> None:
    """The command, of moving pictures; its file is whole, and each frame of it was shown."""
    size = (64, 48)
    show(stage, size)
    path = tmp_path / "raw"
    raw = ("-t", "raw", "--pixel-format", "rgb24", "-r", "30")
    with LiveFilm(stage, NAME), recording(stage, *way, *raw, path) as running:
        running.wait_for(path, 90 * 64 * 48 * 3)
        result = running.end(signal.SIGINT)
    assert result.status == 0
    numbers = []
    for picture in read_raw(path, *size, 3):
        numbers.append(read_counter(picture))
        expected = film_picture(0, *size)
        paint_counter(expected, numbers[-1])
        assert np.array_equal(picture, expected)
    assert numbers == sorted(numbers)
    assert len({*numbers}) > 10
    assert result.statistics.written == len(numbers)


@every_backend
def test_a_recording_follows_a_change_of_size(
    stage: Stage, connection: Connection, backend: str
) -> None:
    """Buffers of the old size go."""
    sizes = ((64, 48), (203, 117), (320, 240))
    show(stage, sizes[0])
    chosen, _ = choose(connection, backend, "dmabuf")
    with OutputSource(connection, chosen) as source:
        for size in sizes:
            expected = show(stage, size)
            deadline = monotonic() + PATIENCE
            picture = source.capture(until=deadline)
            while picture and not np.array_equal(picture.render().to_numpy(), expected):
                assert monotonic() < deadline, f"{size} was never seen"
                picture = source.capture(until=monotonic() + 0.5) or picture
            assert picture


@both_copies
def test_a_screen_that_stands_still_is_waited_for(
    stage: Stage, connection: Connection, backend: str
) -> None:
    """Damage is told with dmabufs as with shared memory."""
    show(stage, (64, 48))
    chosen, _ = choose(connection, backend, "dmabuf")
    with OutputSource(connection, chosen) as source:
        assert source.capture()
        for _ in range(20):  # what is still on its way
            if source.capture(until=monotonic() + 1) is None:
                break
        else:
            pytest.fail("the screen did not come to rest")
        expected = pattern(64, 48)[::-1]
        stage.set_background(NAME, expected)
        picture = source.capture(until=connection.deadline())
        deadline = monotonic() + PATIENCE
        while picture and not np.array_equal(picture.render().to_numpy(), expected):
            assert monotonic() < deadline
            picture = source.capture(until=monotonic() + 0.5) or picture
        assert picture


def test_an_export_waits_for_the_screen(stage: Stage, connection: Connection) -> None:
    """It knows no damage, so that each frame is read; but no frame twice."""
    show(stage, (64, 48))
    seconds = 2
    chosen, _ = choose(connection, "export-dmabuf")
    with OutputSource(connection, chosen) as source:
        (refresh,) = source.refreshes_mhz
        assert source.capture()
        times = []
        end = monotonic() + seconds
        while picture := source.capture(until=end):
            times.append(picture.time_ns)
    assert len(times) <= seconds * (refresh or 60_000) / 1000 * 1.1 + 2
    assert len({*times}) == len(times)


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ("/dev/null", "not a DRM device"),
        ("/nonexistent", "No such file"),
        ("/dev", "not a DRM device"),
    ],
)
@every_way
def test_a_device_that_is_none_is_refused(
    stage: Stage, tmp_path: Path, device: str, reason: str, way: tuple[str, ...]
) -> None:
    """With the documented code, and its name; nothing else is taken instead."""
    result = wayshot(stage, *way, "--device", device, tmp_path / "a.png")
    assert result.returncode == 4
    assert device in error(result)
    assert reason in error(result)


@pytest.fixture
def closed_node() -> Iterator[None]:
    """Let the render node be somebody else's."""
    before = os.stat(RENDER_NODE)
    os.chown(RENDER_NODE, NOBODY, NOBODY)
    os.chmod(RENDER_NODE, 0o600)
    yield
    os.chmod(RENDER_NODE, before.st_mode & 0o777)
    os.chown(RENDER_NODE, before.st_uid, before.st_gid)


@pytest.mark.usefixtures("closed_node")
def test_a_node_without_permission_is_passed_over_with_the_reason(
    stage: Stage, tmp_path: Path
) -> None:
    """The tests are root, who may open everything: here without that right."""
    as_others = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    path = tmp_path / "a.png"

    def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(stage.socket))
            return subprocess.run(
                [*as_others, *WAYSHOT, *arguments, path],
                env={**stage.env, "WAYLAND_SOCKET": str(link.fileno())},
                pass_fds=[link.fileno()],
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )

    for way in WAYS.values():
        result = run(*way)
        assert result.returncode == 4
        assert f"{RENDER_NODE}: Permission denied" in result.stderr.decode()
        assert b"leave --backend, --buffer and --device away" in result.stderr
    assert run().returncode == 0
    assert path.exists()


def test_without_render_nodes_shared_memory_serves(stage: Stage, tmp_path: Path) -> None:
    """Nobody asks for the node that is not needed."""
    expected = show(stage, (64, 48))
    os.rename(RENDER_NODE, RENDER_NODE + "-away")
    try:
        assert np.array_equal(shoot(stage, tmp_path), expected)
        result = wayshot(stage, "--buffer", "dmabuf", tmp_path / "a.png")
        assert result.returncode == 4
        assert f"{RENDER_NODE}: No such file" in error(result)
    finally:
        os.rename(RENDER_NODE + "-away", RENDER_NODE)
