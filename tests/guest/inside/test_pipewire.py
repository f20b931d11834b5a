"""dmabufs through PipeWire: made by udmabuf, agreed on in two steps, read, and lent."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pytest
from PIL import Image

import wayshot_cli
from tests.fake import pipewire as fake
from tests.fake.pipewire import BGRX, PipeWire, Producer, picture, sending
from wayshot_cli import errors
from wayshot_cli.backends.common import Wish
from wayshot_cli.backends.pipewire.session import Session
from wayshot_cli.backends.pipewire.stream import MOST_LENT, open_stream
from wayshot_cli.geometry import Box
from wayshot_cli.waiting import Waiter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.client import Picture
    from wayshot_cli.frame import Frame

# Rows of 256 bytes, as drivers want them.
WIDTH, HEIGHT = 64, 48
EXAMPLE = Path(__file__).parents[3] / "examples" / "hand_over.py"
TILED = 0x0100_0000_0000_0002
SLOW = 30.0  # seconds: nothing is fast here


@pytest.fixture(scope="module")
def pipewire() -> Iterator[PipeWire]:
    fake.PATIENCE = 60.0  # of this machine's slowness; see stage.py
    with PipeWire() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.env.items():
            patch.setenv(name, value)
        yield running


@pytest.fixture
def producer(pipewire: PipeWire) -> Iterator[Producer]:
    with pipewire.producer("udmabuf") as running:
        yield running


class Consumer:
    """A session that takes dmabufs."""

    def __init__(self, producer: Producer, buffer: str = "dmabuf") -> None:
        self.waiter = Waiter(SLOW)
        self.stream = open_stream(self.waiter, Wish(buffer), producer.node)
        self.session = Session(self.stream, self.waiter, Box(0, 0, 1, 1))

    def __enter__(self) -> Self:
        self.waiter.wait(lambda: self.stream.is_streaming, "starting")
        self.waiter.sleep(0.5)  # until the daemon has both in one cycle
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()
        self.waiter.close()

    def capture(self) -> Frame:
        self.session.start(damage=True)
        return self.session.finish(self.waiter.deadline())


def rows(frame: Frame) -> Picture:
    row = frame.size.width * frame.format.bytes_per_pixel
    shape, strides = (frame.size.height, row), (frame.stride, 1)
    return np.ndarray(shape, np.uint8, frame.memory, frame.offset, strides).copy()


@pytest.mark.parametrize("modifiers", [(0,), (TILED, 0), (0, TILED)])
def test_a_linear_dmabuf_is_read(producer: Producer, modifiers: tuple[int, ...]) -> None:
    producer.offer(BGRX, WIDTH, HEIGHT, *modifiers)
    with Consumer(producer) as consumer:
        producer.send(seed=3, size=9)  # which means nothing here
        assert np.array_equal(rows(consumer.capture()), picture(WIDTH, HEIGHT, 3))
        assert consumer.stream.agreed
        assert consumer.stream.agreed.modifier == 0


def test_one_without_a_modifier_is_mapped(producer: Producer) -> None:
    producer.offer(BGRX, WIDTH, HEIGHT)
    with Consumer(producer, "auto") as consumer:
        producer.send(seed=4, fill_stride=512)
        assert np.array_equal(rows(consumer.capture()), picture(WIDTH, HEIGHT, 4))


@pytest.mark.parametrize("buffer", ["auto", "dmabuf"])
def test_one_that_is_shorter_than_it_says_is_passed_over(producer: Producer, buffer: str) -> None:
    modifiers = [0] if buffer == "dmabuf" else []
    producer.offer(BGRX, WIDTH, HEIGHT, *modifiers)
    with Consumer(producer, buffer) as consumer:
        producer.send(offset=2**20)
        producer.send(seed=5, offset=0)
        while not consumer.session.is_done:
            consumer.waiter.sleep(0.1)
        frame = consumer.capture()
        if not np.array_equal(rows(frame), picture(WIDTH, HEIGHT, 5)):
            frame = consumer.capture()
        assert np.array_equal(rows(frame), picture(WIDTH, HEIGHT, 5))


def test_a_dmabuf_is_lent_and_goes_back(producer: Producer) -> None:
    producer.offer(BGRX, WIDTH, HEIGHT, 0)
    with Consumer(producer) as consumer:
        held = []
        for seed in range(MOST_LENT):
            producer.send(seed=seed)
            consumer.session.start(damage=True)
            held.append(consumer.session.finish_dmabuf(consumer.waiter.deadline()))
        producer.send(seed=99)
        consumer.session.start(damage=True)
        with pytest.raises(errors.CaptureError, match="4 dmabufs are held"):
            consumer.session.finish_dmabuf(consumer.waiter.deadline())
        for seed, frame in enumerate(held):
            assert (frame.modifier, len(frame.planes)) == (0, 1)
            with frame.map() as mapped:
                assert np.array_equal(rows(mapped), picture(WIDTH, HEIGHT, seed))
            frame.close()
        held.clear()
        del frame, mapped
        gc.collect()
        assert np.array_equal(rows(consumer.capture()), picture(WIDTH, HEIGHT, 99))
        for seed in range(20):  # more than there are buffers
            producer.send(seed=seed)
            assert np.array_equal(rows(consumer.capture()), picture(WIDTH, HEIGHT, seed))


def test_the_library_hands_a_dmabuf_over(producer: Producer) -> None:
    producer.offer(BGRX, WIDTH, HEIGHT, 0)
    with (
        sending(producer, 6),
        wayshot_cli.shot_dmabuf(pipewire_node=producer.node, timeout=SLOW) as frame,
    ):
        fds = [os.dup(plane.fd) for plane in frame.planes]
        assert frame.format.drm_name == "XRGB8888"
        assert [plane.stride for plane in frame.planes] == [WIDTH * 4]
    for fd in fds:  # a duplicate has its own life
        assert os.lseek(fd, 0, os.SEEK_END) >= WIDTH * HEIGHT * 4
        os.close(fd)


def test_the_example_hands_a_dmabuf_over(
    pipewire: PipeWire, producer: Producer, tmp_path: Path
) -> None:
    producer.offer(BGRX, WIDTH, HEIGHT, 0)
    path = tmp_path / "handed.png"
    with sending(producer, 8):
        subprocess.run(
            [sys.executable, str(EXAMPLE), str(producer.node), str(path)],
            env=pipewire.env, check=True,
        )  # fmt: skip
    with Image.open(path) as image:
        shown = np.asarray(image)
    sent = picture(WIDTH, HEIGHT, 8).reshape(HEIGHT, WIDTH, 4)[..., 2::-1]
    assert np.array_equal(shown, sent)


def test_the_command_reads_dmabufs(pipewire: PipeWire, producer: Producer, tmp_path: Path) -> None:
    producer.offer(BGRX, WIDTH, HEIGHT, TILED, 0)
    with sending(producer, 7):
        done = subprocess.run(
            [sys.executable, "-m", "wayshot_cli", "-v", "--timeout", str(SLOW), "--buffer",
             "dmabuf", "--pipewire-node", str(producer.node), str(tmp_path / "a.png")],
            env=pipewire.env, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "64x48 BGRx, modifier 0x0" in done.stderr
    with Image.open(tmp_path / "a.png") as image:
        shown = np.asarray(image)
    sent = picture(WIDTH, HEIGHT, 7).reshape(HEIGHT, WIDTH, 4)[..., 2::-1]
    assert np.array_equal(shown, sent)
