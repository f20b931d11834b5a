"""What the tests of dmabuf stand on: the device, the compositor's offers, true pixels."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.guest.inside.stage import RENDER_NODE, GlesLabwc, GlesSway
from tests.live.client import Client
from tests.live.command import shoot
from tests.stage import Output, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = (640, 480)
DRM_IOCTL_VERSION = 0xC0406400
BUFFER, FAILED, LINUX_DMABUF, BUFFER_DONE = 0, 3, 5, 6
"""Events of zwlr_screencopy_frame_v1."""


@pytest.fixture(scope="module")
def sway() -> Iterator[GlesSway]:
    """Run a sway with one output that shows the pattern."""
    with GlesSway(Output(*SIZE, background=pattern(*SIZE))) as sway:
        yield sway


def test_there_is_a_render_node_of_vgem() -> None:
    """One that whoever may open it can ask for its driver's name."""
    assert stat.S_ISCHR(os.stat(RENDER_NODE).st_mode)
    name = bytearray(16)
    address = np.frombuffer(name, np.uint8).ctypes.data
    # struct drm_version: three numbers, then a length and a pointer for each of three texts.
    version = bytearray(struct.pack("=3i4x6Q", 0, 0, 0, len(name), address, 0, 0, 0, 0))
    node = os.open(RENDER_NODE, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(node, DRM_IOCTL_VERSION, version)
    finally:
        os.close(node)
    assert name.rstrip(b"\0") == b"vgem"


def test_sway_is_the_newer_one_and_renders_with_mesa(sway: GlesSway) -> None:
    """A fall-back to pixman, which loads no driver, would have no dmabuf."""
    assert sway.version >= (1, 12)
    maps = f"/proc/{sway.pid}/maps"
    with open(maps) as libraries:
        assert "libgallium" in libraries.read()


def test_labwc_renders_with_mesa(tmp_path: Path) -> None:
    """It starts, shows the pattern, and has what dmabufs need."""
    picture = pattern(*SIZE)
    with GlesLabwc(Output(*SIZE, background=picture)) as labwc:
        assert np.array_equal(shoot(labwc, tmp_path, "-o", "HEADLESS-1"), picture)
        with open(f"/proc/{labwc.pid}/maps") as libraries:
            assert "libgallium" in libraries.read()
        with Client(labwc.socket) as client:
            assert "zwp_linux_dmabuf_v1" in {interface for _, interface, _ in client.globals}


def test_wayshot_gives_the_pattern_and_what_grim_gives(sway: GlesSway, tmp_path: Path) -> None:
    """By way of shared memory, as ever."""
    shot = shoot(sway, tmp_path, "-o", "HEADLESS-1")
    assert np.array_equal(shot, pattern(*SIZE))
    path = tmp_path / "grim.ppm"
    subprocess.run(["grim", "-o", "HEADLESS-1", "-t", "ppm", path], env=sway.env, check=True)
    with Image.open(path) as image:
        assert np.array_equal(shot, np.asarray(image))


def test_the_compositor_takes_dmabufs(sway: GlesSway) -> None:
    """It offers linux-dmabuf, and a screencopy frame tells what to allocate."""
    with Client(sway.socket) as client:
        assert "zwp_linux_dmabuf_v1" in {interface for _, interface, _ in client.globals}
        manager = client.bind("zwlr_screencopy_manager_v1", 3)
        frame = client.create(manager, 0, 0, client.outputs["HEADLESS-1"].object_id)
        offer = client.wait(frame, LINUX_DMABUF, BUFFER_DONE, FAILED)
        assert offer.opcode == LINUX_DMABUF
        fourcc, width, height = offer.words()
    assert (width, height) == SIZE
    assert fourcc.to_bytes(4, "little") in {b"XR24", b"AR24", b"XB24", b"AB24"}
