"""Casts to the end: a portal as it should be, and PipeWire with producers of the tests' own."""

from __future__ import annotations

import functools
import gc
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import wayshot_cli
from tests import y4m
from tests.descriptors import descriptors, leaving_no_more, threads
from tests.fake.pipewire import BGRX, PipeWire, Producer, picture
from tests.portal.fake import Behaviour, FakePortal, Variant, started, stream
from tests.statistics import read_statistics
from wayshot_cli.backends.common import PortalWish
from wayshot_cli.errors import TargetLostError, WayshotError
from wayshot_cli.still import shot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from tests.fake import FakeCompositor
    from tests.portal.bus import SessionBus

PATIENCE = 20.0
SIZES = (64, 48), (80, 60)
PORTAL = PortalWish()


@pytest.fixture(scope="module")
def pipewire() -> Iterator[PipeWire]:
    """Run PipeWire for as long as the module's tests last."""
    with PipeWire() as running:
        yield running


@contextmanager
def showing(producer: Producer, size: tuple[int, int], seed: int = 0) -> Iterator[None]:
    """Have a producer send its picture again and again."""
    stopping = threading.Event()

    def send() -> None:
        while not stopping.wait(0.02):
            producer.tell("send", seed=seed)

    producer.offer(BGRX, *size)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        stopping.set()
        sender.join()


@pytest.fixture
def producers(pipewire: PipeWire) -> Iterator[list[Producer]]:
    """Run one for each output of the compositor; they show seeds 1 and 2."""
    with (
        pipewire.producer() as first,
        pipewire.producer() as second,
        showing(first, SIZES[0], 1),
        showing(second, SIZES[1], 2),
    ):
        yield [first, second]


def granting(pipewire: PipeWire, *streams: tuple[int, dict[str, Variant]]) -> Behaviour:
    """Return the behaviour of a portal that casts these."""
    remote = str(pipewire.runtime_dir / "pipewire-0")
    return Behaviour(results={"Start": started(*streams)}, remote=remote)


def both(pipewire: PipeWire, producers: list[Producer]) -> Behaviour:
    """Return the behaviour of a portal that casts both outputs."""
    first, second = producers
    place: dict[str, Variant] = {"position": ("(ii)", (64, 0)), "size": ("(ii)", SIZES[1])}
    return granting(pipewire, stream(first.node), (second.node, place))


def rgb(size: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """Return what a producer shows, in colours."""
    width, height = size
    pixels: NDArray[np.uint8] = picture(width, height, seed).reshape(height, width, 4)
    return pixels[..., 2::-1]


@pytest.mark.usefixtures("compositor")
class TestStills:
    def test_an_output_is_the_stream_that_shows_it(
        self, bus: SessionBus, pipewire: PipeWire, producers: list[Producer]
    ) -> None:
        with FakePortal(bus.address, both(pipewire, producers)) as portal:
            frame = shot("FAKE-2", portal=PORTAL)
            assert np.array_equal(frame.to_numpy(), rgb(SIZES[1], 2))
            portal.wait_until_gone()
            assert len(portal.closed) == 1

    def test_everything_is_put_together(
        self, bus: SessionBus, pipewire: PipeWire, producers: list[Producer]
    ) -> None:
        with FakePortal(bus.address, both(pipewire, producers)):
            pixels = shot(portal=PORTAL).to_numpy()
        assert pixels.shape == (60, 144, 4)
        assert np.array_equal(pixels[:48, :64, :3], rgb(SIZES[0], 1))
        assert np.array_equal(pixels[:, 64:, :3], rgb(SIZES[1], 2))
        assert not pixels[48:, :64, 3].any()

    def test_a_region_is_cut_out(
        self, bus: SessionBus, pipewire: PipeWire, producers: list[Producer]
    ) -> None:
        with FakePortal(bus.address, both(pipewire, producers)):
            pixels = shot(region=(70, 5, 20, 10), portal=PORTAL).to_numpy()
        assert np.array_equal(pixels[..., :3], rgb(SIZES[1], 2)[5:15, 6:26])

    def test_a_stream_of_which_nothing_is_known_is_the_picture(
        self, bus: SessionBus, pipewire: PipeWire, producers: list[Producer]
    ) -> None:
        behaviour = granting(pipewire, (producers[1].node, {}))
        with FakePortal(bus.address, behaviour):
            for source in ("window", "virtual"):
                frame = shot(portal=PortalWish(source))
                assert np.array_equal(frame.to_numpy(), rgb(SIZES[1], 2))

    def test_a_node_that_there_is_not_ends_in_time(
        self, bus: SessionBus, pipewire: PipeWire
    ) -> None:
        with (
            FakePortal(bus.address, granting(pipewire, stream(4242))),
            pytest.raises(WayshotError),
        ):
            shot("FAKE-1", portal=PORTAL, timeout=1.0)

    def test_many_leave_nothing_behind(
        self, bus: SessionBus, pipewire: PipeWire, producers: list[Producer]
    ) -> None:
        def mapped() -> int:
            gc.collect()
            return Path("/proc/self/maps").read_text().count("\n")

        with FakePortal(bus.address, both(pipewire, producers)):
            shot(portal=PORTAL)
            before = mapped()
            with leaving_no_more(descriptors, threads):
                for _ in range(50):  # of two streams each
                    shot(portal=PORTAL)
            assert mapped() <= before + 4  # the allocator's own


class Recording:
    """``wayshot record`` of FAKE-1 through the portal."""

    def __init__(self, compositor: FakeCompositor, path: Path, *words: str) -> None:
        self.path = path
        command = [sys.executable, "-m", "wayshot_cli", "record", "--backend", "portal"]
        self.process = subprocess.Popen(
            [*command, "-o", "FAKE-1", *words, str(path)],
            env=compositor.env,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_it_runs(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not (self.path.exists() and self.path.stat().st_size):
            assert time.monotonic() < deadline
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.01)

    def end(self, code: int) -> str:
        """Wait for its end, and return what it said."""
        _, said = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == code, said
        assert "Traceback" not in said
        return said

    def frames(self) -> int:
        """Count the frames of the file, which must be whole."""
        with self.path.open("rb") as file:
            return len(list(y4m.Stream(file)))


@pytest.fixture
def record(compositor: FakeCompositor, tmp_path: Path) -> Callable[..., Recording]:
    """Return what starts a recording with these words."""
    return functools.partial(Recording, compositor, tmp_path / "a.y4m")


class TestRecordings:
    def test_a_silent_screen_goes_on(
        self, record: Callable[..., Recording], bus: SessionBus, pipewire: PipeWire
    ) -> None:
        with (
            pipewire.producer() as producer,
            FakePortal(bus.address, granting(pipewire)) as portal,
        ):
            with showing(producer, SIZES[0]):
                portal.behaviour.results["Start"] = started(stream(producer.node))
                recording = record("--duration", "2")
                recording.wait_until_it_runs()
            said = recording.end(0)
        statistics = read_statistics(said)
        assert statistics.seconds == 2
        assert statistics.written + statistics.dropped == 120  # a machine may stand still
        assert recording.frames() == statistics.written

    @pytest.mark.parametrize("on_lost", ["stop", "wait"])
    @pytest.mark.parametrize("way", ["closed", "portal gone", "node gone"])
    def test_a_cast_that_ends_ends_it(
        self,
        record: Callable[..., Recording],
        bus: SessionBus,
        pipewire: PipeWire,
        way: str,
        on_lost: str,
    ) -> None:
        with (
            pipewire.producer() as producer,
            FakePortal(bus.address, granting(pipewire)) as portal,
        ):
            with showing(producer, SIZES[0]):
                portal.behaviour.results["Start"] = started(stream(producer.node))
                recording = record("--on-lost", on_lost)
                recording.wait_until_it_runs()
            if way == "closed":
                portal.close_session()
            elif way == "node gone":
                producer.process.kill()
            else:
                portal.leave()
            recording.end(6)
        assert recording.frames() > 0

    def test_a_signal_ends_it_and_the_cast(
        self, record: Callable[..., Recording], bus: SessionBus, pipewire: PipeWire
    ) -> None:
        with (
            pipewire.producer() as producer,
            showing(producer, SIZES[0]),
            FakePortal(bus.address, granting(pipewire, stream(producer.node))) as portal,
        ):
            recording = record()
            recording.wait_until_it_runs()
            recording.process.send_signal(signal.SIGINT)
            recording.end(0)
            portal.wait_for(lambda: len(portal.closed) == 1)


@pytest.mark.usefixtures("compositor")
class TestStreamsOfTheLibrary:
    def test_breaking_out_of_the_loop_ends_the_cast(
        self, bus: SessionBus, pipewire: PipeWire, producers: list[Producer]
    ) -> None:
        with FakePortal(bus.address, both(pipewire, producers)) as portal:
            for frame in wayshot_cli.stream(portal=PORTAL, fps=20):
                assert np.array_equal(frame.to_numpy()[:48, :64, :3], rgb(SIZES[0], 1))
                assert np.array_equal(frame.to_numpy()[:, 64:, :3], rgb(SIZES[1], 2))
                assert portal.closed == []
                break
            portal.wait_for(lambda: len(portal.closed) == 1)

    def test_a_cast_that_ends_is_the_end(
        self, bus: SessionBus, pipewire: PipeWire, producers: list[Producer]
    ) -> None:
        with (
            FakePortal(bus.address, both(pipewire, producers)) as portal,
            wayshot_cli.stream("FAKE-2", portal=PORTAL) as frames,
        ):
            frame = next(frames)
            portal.close_session()
            with pytest.raises(TargetLostError):
                list(frames)
            assert np.array_equal(frame.to_numpy(), rgb(SIZES[1], 2))


def test_the_command_takes_what_the_portal_casts(
    compositor: FakeCompositor,
    bus: SessionBus,
    pipewire: PipeWire,
    producers: list[Producer],
    tmp_path: Path,
) -> None:
    with FakePortal(bus.address, both(pipewire, producers)):
        done = subprocess.run(
            [sys.executable, "-m", "wayshot_cli", "-o", "FAKE-1", str(tmp_path / "a.png")],
            env=compositor.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(np.asarray(image), rgb(SIZES[0], 1))
