"""Shared memory for the compositor: sealed, lent out, and used again only when nobody looks."""

import fcntl
import gc
import os
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.descriptors import leaving_no_descriptors, links
from tests.unit.peer import Peer
from wayshot_cli.buffers.shm import ShmLayout, ShmPool
from wayshot_cli.errors import CaptureError
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Size
from wayshot_cli.pixels import ARGB8888, BGR888, XRGB8888
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.protocols.core import WL_SHM
from wayshot_cli.wayland.proxy import Proxy

LIMIT = 3
CREATE_BUFFER_BYTES = 24  # six words: new id, offset, width, height, stride, format
SMALL = ShmLayout(XRGB8888, Size(4, 3), 20)  # four bytes of padding


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    with Peer(("wl_shm", 1)) as peer:
        monkeypatch.setenv("WAYLAND_SOCKET", str(peer.take_client_fd()))
        yield peer


@pytest.fixture
def shm(peer: Peer) -> Iterator[Proxy]:  # noqa: ARG001 - at the other end
    with Connection(timeout=5) as connection:
        offer = connection.find(WL_SHM)
        assert offer
        yield connection.bind(offer, WL_SHM)


@pytest.fixture
def pool(shm: Proxy) -> ShmPool:
    return ShmPool(shm, limit=LIMIT)


def test_the_compositor_is_told_the_layout_to_the_byte(peer: Peer, pool: ShmPool) -> None:
    for layout, code in ((SMALL, 1), (SMALL._replace(format=ARGB8888), 0)):
        buffer, memory = pool.acquire(layout)
        buffer.connection.roundtrip("announcing")
        assert memory.nbytes == 60
        create_pool, create_buffer, destroy = peer.requests[-3:]
        assert create_pool[:2] == (peer.bound["wl_shm"], 0)
        assert int.from_bytes(create_pool[2][4:8], "little") == 60
        words = [int.from_bytes(create_buffer[2][n : n + 4], "little") for n in range(4, 24, 4)]
        assert words == [0, 4, 3, 20, code]
        assert destroy[:2] == (create_buffer[0], 1)


def test_what_the_compositor_writes_is_seen_and_it_cannot_resize_the_file(
    peer: Peer, pool: ShmPool
) -> None:
    buffer, memory = pool.acquire(SMALL)
    buffer.connection.roundtrip("announcing")
    (fd,) = peer.fds
    os.pwrite(fd, b"pixels", 54)
    assert bytes(memory[54:]) == b"pixels"
    for size in (59, 61):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
    with pytest.raises(PermissionError):  # nor can seals be added that would stop its writing
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)


@pytest.mark.parametrize(
    "look",
    [
        lambda memory: memory[4:8],
        lambda memory: memory.cast("I"),
        lambda memory: memory.cast("B", (3, 20))[1:],
        lambda memory: memory.toreadonly(),
        lambda memory: np.frombuffer(memory, np.uint8)[::2].reshape(5, 6),
        lambda memory: Frame(memory, XRGB8888, Size(4, 3), 20),
        lambda memory: Frame(memory, XRGB8888, Size(4, 3), 20).to_numpy()[1:, ::-1],
    ],
    ids=["slice", "cast", "shaped", "read-only", "numpy", "frame", "picture"],
)
def test_a_buffer_is_used_again_once_no_view_of_it_is_left(
    pool: ShmPool, look: Callable[[memoryview], object]
) -> None:
    first, memory = pool.acquire(SMALL)
    view = look(memory)
    del memory
    gc.collect()
    second, _memory = pool.acquire(SMALL)
    assert second is not first
    del view
    gc.collect()
    third, _memory = pool.acquire(SMALL)
    assert third is first


def test_a_consumer_that_holds_on_to_frames_runs_into_the_limit(pool: ShmPool) -> None:
    held = [pool.acquire(SMALL) for _ in range(LIMIT)]
    with pytest.raises(CaptureError, match=f"{LIMIT} frames are held"):
        pool.acquire(SMALL)
    del held[0]
    pool.acquire(SMALL)


def test_a_resize_frees_what_nobody_holds_and_leaves_what_somebody_does(
    peer: Peer, pool: ShmPool
) -> None:
    kept, memory = pool.acquire(SMALL)
    pool.acquire(SMALL)  # given back at once
    larger = ShmLayout(XRGB8888, Size(8, 3), 32)
    held = [pool.acquire(larger) for _ in range(LIMIT - 1)]
    with pytest.raises(CaptureError, match="frames are held"):
        pool.acquire(larger)
    kept.connection.roundtrip("announcing")
    made = [body[:4] for _, _, body in peer.requests if len(body) == CREATE_BUFFER_BYTES]
    buffers = [int.from_bytes(new_id, "little") for new_id in made]
    destroyed = [number for number, _, body in peer.requests if number in buffers and not body]
    assert destroyed == [buffers[1]]
    assert memory.nbytes == 60
    assert [view.nbytes for _, view in held] == [96, 96]


def test_a_closed_pool_gives_its_buffers_back_and_leaves_what_somebody_looks_at(
    peer: Peer, pool: ShmPool
) -> None:
    buffer, memory = pool.acquire(SMALL)
    pool.close()
    buffer.connection.roundtrip("closing")
    create_buffer, _, destroy_buffer = peer.requests[-3:]
    assert destroy_buffer == (int.from_bytes(create_buffer[2][:4], "little"), 0, b"")
    memory[0] = 7
    assert os.pread(peer.fds[0], 1, 0) == b"\x07"


def test_memory_outlives_pool_and_connection(peer: Peer, shm: Proxy) -> None:
    _buffer, memory = ShmPool(shm).acquire(SMALL)
    shm.connection.roundtrip("announcing")
    shm.connection.close()
    gc.collect()
    os.pwrite(peer.fds[0], b"pixels", 0)
    assert bytes(memory[:6]) == b"pixels"
    memory[0] = 7
    assert os.pread(peer.fds[0], 1, 0) == b"\x07"


def memfds() -> int:
    return sum("memfd:wayshot" in link for link in links())


def test_no_descriptor_is_left_once_pool_and_views_are_gone(peer: Peer, shm: Proxy) -> None:
    pool = ShmPool(shm)
    held = [pool.acquire(SMALL) for _ in range(LIMIT)]
    shm.connection.roundtrip("announcing")
    del pool
    gc.collect()
    assert memfds() > len(peer.fds)  # the peer's are in this process, too
    del held
    gc.collect()
    assert memfds() == len(peer.fds) == LIMIT


@pytest.mark.parametrize(
    "layout",
    [
        ShmLayout(XRGB8888, Size(0, 3), 20),
        ShmLayout(XRGB8888, Size(4, 0), 20),
        ShmLayout(XRGB8888, Size(4, 3), 15),
        ShmLayout(BGR888, Size(4, 3), 11),
        ShmLayout(XRGB8888, Size(4, 3), 0),
        ShmLayout(XRGB8888, Size(2**32 - 1, 1), 20),
        ShmLayout(XRGB8888, Size(4, 2**32 - 1), 2**32 - 1),
        ShmLayout(XRGB8888, Size(4, 2), 2**30),
    ],
    ids=str,
)
def test_a_layout_that_cannot_be_is_refused(pool: ShmPool, layout: ShmLayout) -> None:
    with pytest.raises(CaptureError, match="impossible buffer"):
        pool.acquire(layout)


def test_memory_that_cannot_be_had_is_an_error(
    pool: ShmPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_fd: int, _offset: int, _length: int) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with leaving_no_descriptors(), pytest.raises(CaptureError, match="cannot allocate 60 bytes"):
        pool.acquire(SMALL)
