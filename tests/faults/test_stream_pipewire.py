"""Streams of the library out of PipeWire, without a compositor."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

import wayshot_cli as wayshot
from tests.fake.pipewire import BGRX, PipeWire, Producer, picture, sending
from wayshot_cli.errors import ConcurrentUseError, FramesHeldError, TargetLostError

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH, HEIGHT = 64, 48
PATIENCE = 10.0
IDLE = 0.3


def shown(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return what a stream shows of the producer's picture of that seed."""
    return picture(WIDTH, HEIGHT, seed).reshape(HEIGHT, WIDTH, 4)[..., 2::-1]


@pytest.fixture
def own_producer(pipewire: PipeWire) -> Iterator[Producer]:
    """A producer that the test may end."""
    with pipewire.producer() as running:
        running.offer(BGRX, WIDTH, HEIGHT)
        yield running


def begin(stream: wayshot.FrameStream, producer: Producer, seed: int) -> wayshot.Frame:
    """Return the first of some pictures that are all the same."""
    with sending(producer, seed):
        return next(stream)


def read(stream: wayshot.FrameStream, seed: int) -> wayshot.Frame:
    """Return the first frame that shows the picture of a seed."""
    while True:
        frame = stream.read(PATIENCE)
        assert frame
        if np.array_equal(frame.to_numpy(), shown(seed)):
            return frame


def test_each_picture_comes_once_and_at_a_rate_again(producer: Producer) -> None:
    with wayshot.stream(pipewire_node=producer.node) as stream:
        assert np.array_equal(begin(stream, producer, 1).to_numpy(), shown(1))
        for seed in (2, 3):
            producer.send(seed=seed)
            read(stream, seed)
            assert stream.read(IDLE) is None
    with wayshot.stream(pipewire_node=producer.node, fps=20) as stream:
        begin(stream, producer, 4)
        began = time.monotonic()
        assert all(np.array_equal(next(stream).to_numpy(), shown(4)) for _ in range(5))
        assert time.monotonic() - began >= 4 / 20


def test_frames_may_be_kept_to_a_limit(producer: Producer) -> None:
    kept = []
    with wayshot.stream(pipewire_node=producer.node) as stream:
        begin(stream, producer, 200)
        with pytest.raises(FramesHeldError):  # noqa: PT012
            for seed in range(20):
                producer.send(seed=seed)
                kept.append(read(stream, seed))
        assert len(kept) >= 12
        for seed, frame in enumerate(kept):
            assert np.array_equal(frame.to_numpy(), shown(seed))
        del kept[:5], frame
        with sending(producer, 99):  # at first there is what was shown last
            read(stream, 99)


def test_a_producer_that_ends_is_the_end(own_producer: Producer) -> None:
    with wayshot.stream(pipewire_node=own_producer.node) as stream:
        frame = begin(stream, own_producer, 7)
        own_producer.process.kill()
        with pytest.raises(TargetLostError):
            list(stream)
        assert np.array_equal(frame.to_numpy(), shown(7))


def test_another_thread_may_stop_it_and_not_read_it(producer: Producer) -> None:
    with wayshot.stream(pipewire_node=producer.node) as stream:
        begin(stream, producer, 1)
        started = threading.Event()

        def read_all() -> None:
            started.set()
            list(stream)

        reader = threading.Thread(target=read_all)
        reader.start()
        assert started.wait(PATIENCE)
        time.sleep(IDLE)
        with pytest.raises(ConcurrentUseError):
            next(stream)
        stream.stop()
        reader.join(PATIENCE)
        assert stream.is_closed
