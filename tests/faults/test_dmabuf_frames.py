"""Pictures that stay in GPU memory, on a libgbm and a libEGL of our own: what closes what."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import gc
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cffi import FFI

import wayshot_cli
from tests.descriptors import descriptors, leaving_no_descriptors, leaving_no_more
from tests.fake import Config, FakeCompositor, Fault, Feedback, Output, Step, faults
from tests.faults.command import LONG, picture_of
from tests.processes import in_a_fork
from wayshot_cli.backends import choose
from wayshot_cli.buffers import devices, egl, gbm, linear
from wayshot_cli.errors import (
    CaptureError,
    CaptureTimeoutError,
    ClosedError,
    InvalidArgumentError,
    NotFoundError,
    UnsupportedError,
)
from wayshot_cli.still import shot, shot_dmabuf
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.dmabuf import INVALID
from wayshot_cli.wayland.outputs import read_outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wayshot_cli.dmabuf_frame import DmabufFrame

FAKES = Path(__file__).parents[1] / "fake"
NODE = "/dev/null"
"""Stands in for a render node; the fake libgbm does not touch it."""

DISPLAY = 0xD15B1A7
CONFIG = Config(dmabuf_offer=0x34325258, dmabuf_version=4, feedback=Feedback(), export_version=1)
BACKENDS = ("screencopy", "export-dmabuf")


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Compile the fakes; return their paths."""
    folder = tmp_path_factory.mktemp("libraries")
    flags = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    paths = {}
    for name in ("gbm", "egl"):
        paths[name] = str(folder / f"lib{name}.so")
        subprocess.run(["cc", *flags, "-o", paths[name], FAKES / f"{name}.c"], check=True)
    return paths


@pytest.fixture(autouse=True)
def fakes(libraries: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(gbm, "_SONAME", libraries["gbm"])
    monkeypatch.setattr(egl, "_SONAME", libraries["egl"])
    monkeypatch.setattr(devices, "_DRM_MAJOR", os.major(os.stat(NODE).st_rdev))
    monkeypatch.setattr(devices, "candidates", lambda *_: [devices.Candidate(NODE, "a test")])
    caches = (gbm.library, egl.library, egl._function)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


class Counted:
    """What the fake libEGL counts."""

    def __init__(self, path: str) -> None:
        self._library = ctypes.CDLL(path)

    @property
    def images(self) -> int:
        return ctypes.c_int.in_dll(self._library, "fake_images").value

    @property
    def textures(self) -> int:
        return ctypes.c_int.in_dll(self._library, "fake_textures").value

    @property
    def attributes(self) -> dict[int, int]:
        """Those of the last image, without what is behind EGL_NONE."""
        values = list((ctypes.c_int * 64).in_dll(self._library, "fake_attributes"))
        pairs = dict(zip(values[::2], values[1::2], strict=True))
        names = list(pairs)
        return {name: pairs[name] for name in names[: names.index(0x3038)]}


@pytest.fixture
def counted(libraries: dict[str, str]) -> Counted:
    return Counted(libraries["egl"])


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Tell the fake libEGL what to refuse."""
    return lambda words: monkeypatch.setenv("WAYSHOT_FAKE_EGL", words)


@pytest.fixture
def compositor() -> Iterator[FakeCompositor]:
    with FakeCompositor(CONFIG) as compositor:
        yield compositor
        assert compositor.violations == []


@pytest.fixture
def connection(compositor: FakeCompositor) -> Iterator[Connection]:
    with Connection(str(compositor.socket_path), timeout=LONG) as connection:
        yield connection


@pytest.fixture
def frame(connection: Connection) -> Iterator[DmabufFrame]:
    with shot_dmabuf(connection=connection) as frame:
        yield frame


# The frame


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_frame_says_where_its_pixels_are(connection: Connection, backend: str) -> None:
    with shot_dmabuf("FAKE-1", connection=connection, backend=backend) as frame:
        (plane,) = frame.planes
        assert os.fstat(plane.fd).st_size >= plane.stride * frame.size.height
        assert plane.stride >= frame.size.width * 4
        assert (frame.format.drm_name, frame.modifier) == ("XRGB8888", 0)
        assert frame.buffer_object.address != 0
        assert (frame.wl_buffer is None) == frame.is_shared == (backend == "export-dmabuf")
        assert repr(frame) == "<DmabufFrame 64x48 XRGB8888 normal>"
        with frame.map() as mapped:
            assert np.array_equal(mapped.to_numpy(), picture_of(CONFIG))
            assert mapped.time_ns == frame.time_ns > 0


def test_transform_and_scale_are_those_of_the_output() -> None:
    config = replace(CONFIG, outputs=(Output(width=61, height=33, transform=1, y_invert=True),))
    with (
        FakeCompositor(config) as compositor,
        Connection(str(compositor.socket_path), timeout=LONG) as link,
    ):
        expected = shot(connection=link, buffer="shm")
        with shot_dmabuf(connection=link) as frame:
            assert frame.size == (61, 33)
            assert frame.upright_size == (33, 61)
            assert frame.transform == expected.transform
            assert frame.scale == expected.scale
            assert np.array_equal(frame.map().to_numpy(), expected.to_numpy())


def test_a_frame_is_of_one_output(connection: Connection) -> None:
    with pytest.raises(NotFoundError, match="nonsense"):
        shot_dmabuf("nonsense", connection=connection)
    two = replace(CONFIG, outputs=(Output(), Output("FAKE-2", x=64)))
    with (
        FakeCompositor(two) as compositor,
        Connection(str(compositor.socket_path), timeout=LONG) as link,
    ):
        with pytest.raises(InvalidArgumentError, match="2 outputs") as raised:
            shot_dmabuf(connection=link)
        assert raised.value.hint == "name one of FAKE-1, FAKE-2"
        shot_dmabuf("FAKE-2", connection=link).close()


def test_a_closed_frame_says_so(connection: Connection) -> None:
    frame = shot_dmabuf(connection=connection)
    frame.close()
    frame.close()
    assert "closed" in repr(frame)
    assert frame.size == (64, 48)
    uses: tuple[Callable[[], object], ...] = (
        frame.map,
        frame.bind_gl_texture,
        lambda: frame.to_egl_image(DISPLAY),
        lambda: frame.planes,
        lambda: frame.buffer_object,
        lambda: frame.wl_buffer,
    )
    for use in uses:
        with pytest.raises(ClosedError, match="this frame has been closed"):
            use()


@pytest.mark.parametrize("backend", BACKENDS)
def test_frames_and_what_is_made_of_them_leave_no_fd(
    compositor: FakeCompositor, backend: str
) -> None:
    with leaving_no_descriptors():
        before = descriptors()
        for _ in range(3):
            with Connection(str(compositor.socket_path), timeout=LONG) as connection:
                frame = shot_dmabuf(connection=connection, backend=backend)
            assert frame.wl_buffer is None
            mapped, image = frame.map(), frame.to_egl_image(DISPLAY)
            pixels = mapped.to_numpy()
            frame.close()
            mapped.close()
            del frame, mapped
            image.close()
            assert descriptors() > before
            assert np.array_equal(pixels, picture_of(CONFIG))
            del pixels, image


def test_a_wl_buffer_lives_as_long_as_its_frame(connection: Connection) -> None:
    frame = shot_dmabuf(connection=connection)
    proxy = frame.wl_buffer
    assert proxy is not None
    assert proxy.is_alive
    frame.close()
    assert not proxy.is_alive


def test_a_frame_that_is_forgotten_leaves_nothing(connection: Connection) -> None:
    """Neither here nor with the compositor."""
    shot_dmabuf(connection=connection).close()
    with leaving_no_more(descriptors, lambda: len(connection.proxies)):
        for _ in range(3):
            shot_dmabuf(connection=connection)


@pytest.mark.parametrize("held_by", ["f", "f; f.itself = f", "f.map().to_numpy(), i"])
def test_an_interpreter_that_ends_says_nothing(
    compositor: FakeCompositor, libraries: dict[str, str], held_by: str
) -> None:
    """Whatever was not closed, in whatever order it takes things apart."""
    script = f"""
import wayshot_cli
from wayshot_cli.buffers import devices, egl, gbm
from wayshot_cli.wayland.connection import Connection
gbm._SONAME, egl._SONAME = {libraries["gbm"]!r}, {libraries["egl"]!r}
devices._DRM_MAJOR = {os.major(os.stat(NODE).st_rdev)}
devices.candidates = lambda *_: [devices.Candidate({NODE!r}, "a test")]
c = Connection()
f = wayshot_cli.shot_dmabuf(connection=c)
i = f.to_egl_image({DISPLAY})
kept = {held_by}
"""
    command = [sys.executable, "-X", "dev", "-c", script]
    ended = subprocess.run(
        command, env=compositor.env, capture_output=True, text=True, check=True, timeout=20
    )
    assert ended.stderr == ""


def test_a_buffer_is_captured_into_again_when_all_that_shows_it_is_gone(
    connection: Connection,
) -> None:
    chosen, _ = choose(connection, "screencopy", "dmabuf")
    with chosen.open(read_outputs(connection)[0]) as session:

        def address() -> int:
            session.start()
            with session.finish_dmabuf(connection.deadline()) as frame:
                return frame.buffer_object.address

        session.start()
        frame = session.finish_dmabuf(connection.deadline())
        first = frame.buffer_object.address
        assert address() != first
        image, mapped = frame.to_egl_image(DISPLAY), frame.map()
        frame.close()
        assert address() != first
        image.close()
        assert address() != first
        view = mapped.memory
        mapped.close()
        assert address() != first
        del view
        assert address() == first


def test_a_compositor_that_accepts_no_buffer_gets_no_more_than_are_allowed() -> None:
    """However often a capture is begun, and given up."""
    config = replace(CONFIG, faults=(Fault(Step.PARAMS, faults.withhold),))
    with FakeCompositor(config) as compositor, leaving_no_descriptors():
        with Connection(str(compositor.socket_path), timeout=LONG) as link:
            chosen, _ = choose(link, "screencopy", "dmabuf")
            with chosen.open(read_outputs(link)[0]) as session:
                for _ in range(16):
                    session.start()
                    link.roundtrip("testing")
                    session.cancel()
                session.start()
                with pytest.raises(CaptureError, match="has yet to accept 16 dmabufs"):
                    link.roundtrip("testing")
        del chosen, session


def test_a_gpu_that_does_not_finish_is_waited_for_until_the_deadline(
    frame: DmabufFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What gives no fence is polled itself."""
    read_end, write_end = os.pipe()
    try:
        (plane,) = frame.planes
        monkeypatch.setattr(frame.buffer_object, "planes", [plane._replace(fd=read_end)])
        with pytest.raises(
            CaptureTimeoutError, match="did not finish in time while reading a dmabuf"
        ):
            frame.map(monotonic() + 0.05)
        os.write(write_end, b"!")
        assert np.array_equal(frame.map(monotonic() + LONG).to_numpy(), picture_of(CONFIG))
    finally:
        os.close(read_end)
        os.close(write_end)


def test_shared_memory_is_no_dmabuf(connection: Connection) -> None:
    chosen, _ = choose(connection, "screencopy", "shm")
    with chosen.open(read_outputs(connection)[0]) as session:
        session.start()
        with pytest.raises(UnsupportedError, match="into shared memory"):
            session.finish_dmabuf(connection.deadline())


# Its images and textures


def test_an_image_is_asked_for_with_every_fact(frame: DmabufFrame, counted: Counted) -> None:
    (plane,) = frame.planes
    with frame.to_egl_image(DISPLAY) as image:
        assert image.address != 0
        size, code = {0x3057: 64, 0x3056: 48}, {0x3271: frame.format.fourcc, 0x30D2: 1}
        rows = {0x3272: plane.fd, 0x3273: plane.offset, 0x3274: plane.stride}
        assert counted.attributes == size | code | rows | {0x3443: 0, 0x3444: 0}


def test_every_plane_has_its_place_and_the_modifier(
    frame: DmabufFrame, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    bo = frame.buffer_object
    planes = [gbm.Plane(bo.planes[0].fd, 10 * n, 300 + n) for n in range(4)]
    monkeypatch.setattr(bo, "planes", planes)
    monkeypatch.setattr(bo, "modifier", 0x0123456789ABCDEF)
    fds = (0x3272, 0x3275, 0x3278, 0x3440)
    with frame.to_egl_image(DISPLAY):
        attributes = counted.attributes
    for number, fd in enumerate(fds):
        assert tuple(attributes[fd + n] for n in range(3)) == planes[number]
        assert attributes[0x3443 + 2 * number] == 0x89ABCDEF - 2**32
        assert attributes[0x3444 + 2 * number] == 0x01234567


@pytest.mark.parametrize(("modifier", "words"), [(INVALID, ""), (0, "no-modifiers")])
def test_a_modifier_that_says_nothing_is_not_named(  # noqa: PLR0913, PLR0917 - as below
    frame: DmabufFrame,
    counted: Counted,
    tell: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    modifier: int,
    words: str,
) -> None:
    tell(words)
    monkeypatch.setattr(frame.buffer_object, "modifier", modifier)
    with frame.to_egl_image(DISPLAY):
        assert 0x3443 not in counted.attributes


def test_a_forked_process_takes_nothing_along(frame: DmabufFrame, counted: Counted) -> None:
    image = frame.to_egl_image(DISPLAY)
    before = counted.images

    def close() -> None:
        image.close()
        assert counted.images == before

    in_a_fork(close)
    image.close()
    assert counted.images == before - 1


def test_an_image_is_destroyed_once(frame: DmabufFrame, counted: Counted) -> None:
    before = counted.images
    image = frame.to_egl_image(DISPLAY)
    assert counted.images == before + 1
    image.close()
    image.close()
    with image:
        pass
    assert counted.images == before
    uses: tuple[Callable[[], object], ...] = (image.bind_gl_texture, lambda: image.address)
    for use in uses:
        with pytest.raises(ClosedError, match="this image has been closed"):
            use()
    forgotten = frame.to_egl_image(DISPLAY)
    assert counted.images == before + 1
    del forgotten
    gc.collect()
    assert counted.images == before


def pointers() -> list[Any]:
    class Opaque(ctypes.Structure):
        pass

    ffi = FFI()
    return [
        ctypes.c_void_p(DISPLAY),
        ctypes.cast(DISPLAY, ctypes.POINTER(Opaque)),
        ffi.cast("void *", DISPLAY),
        np.uint64(DISPLAY),
    ]


@pytest.mark.parametrize("display", pointers(), ids=lambda pointer: type(pointer).__name__)
def test_a_display_may_be_a_pointer_of_any_binding(frame: DmabufFrame, display: Any) -> None:
    frame.to_egl_image(display).close()


@pytest.mark.parametrize("display", [None, 0, ctypes.c_void_p(), "wayland-0", b"display", 1.5, []])
def test_a_display_that_is_none_is_refused(frame: DmabufFrame, display: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"not a pointer|EGL_NO_DISPLAY"):
        frame.to_egl_image(display)


@pytest.mark.parametrize(
    ("words", "modifier", "kind", "said"),
    [
        ("terminated", 0, InvalidArgumentError, "EGL_NOT_INITIALIZED"),
        ("no-import", 0, UnsupportedError, "no EGL_EXT_image_dma_buf_import$"),
        ("no-modifiers", 2, UnsupportedError, "no EGL_EXT_image_dma_buf_import_modifiers"),
        ("refuse", 0, UnsupportedError, "64x48 XRGB8888, modifier LINEAR: EGL_BAD_MATCH"),
        ("refuse strange", 0, UnsupportedError, "error 0x1234"),
        ("eglCreateImageKHR", 0, UnsupportedError, "libEGL has no eglCreateImageKHR"),
        ("eglDestroyImageKHR", 0, UnsupportedError, "libEGL has no eglDestroyImageKHR"),
    ],
)
def test_what_egl_cannot_is_told(  # noqa: PLR0913, PLR0917 - fixtures and parameters
    frame: DmabufFrame,
    counted: Counted,
    tell: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    modifier: int,
    kind: type[Exception],
    said: str,
) -> None:
    monkeypatch.setattr(frame.buffer_object, "modifier", modifier)
    tell(words)
    with (
        leaving_no_more(descriptors, lambda: counted.images),
        pytest.raises(kind, match=said),
    ):
        frame.to_egl_image(DISPLAY)


def test_a_missing_libegl_is_a_reason(frame: DmabufFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egl, "_SONAME", "libEGL-that-is-not-there.so.1")
    egl.library.cache_clear()
    with pytest.raises(UnsupportedError, match="libEGL cannot be loaded") as raised:
        frame.to_egl_image(DISPLAY)
    assert "libegl1" in str(raised.value.hint)


def test_a_texture_is_the_callers(
    frame: DmabufFrame, counted: Counted, tell: Callable[[str], None]
) -> None:
    before = counted.images, counted.textures
    assert frame.bind_gl_texture() == 7
    assert (counted.images, counted.textures) == (before[0], before[1] + 1)
    tell("stale lost")  # errors of others' are not ours, and may have no end
    egl._function.cache_clear()
    with pytest.raises(UnsupportedError, match="0x0500"):
        frame.bind_gl_texture()
    tell("")
    assert frame.bind_gl_texture() == 7


def test_a_texture_that_gl_refuses_leaves_nothing(
    frame: DmabufFrame, counted: Counted, tell: Callable[[str], None]
) -> None:
    before = counted.images, counted.textures
    tell("no-texture")
    with pytest.raises(UnsupportedError, match="error 0x0502"):
        frame.bind_gl_texture()
    assert (counted.images, counted.textures) == before
    tell("no-context")
    with pytest.raises(InvalidArgumentError, match="no EGL context is current"):
        frame.bind_gl_texture()
    with (
        frame.to_egl_image(DISPLAY) as image,
        pytest.raises(InvalidArgumentError, match="no EGL context is current"),
    ):
        image.bind_gl_texture()
    assert (counted.images, counted.textures) == before


# Reading in place


class Sync:
    """Plays DMA_BUF_IOCTL_SYNC on memfds, which do not know it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *failures: int) -> None:
        self.open = 0
        self.tries = 0
        self._failures = list(failures)
        true_ioctl = fcntl.ioctl

        def ioctl(fd: int, request: int, argument: Any = 0) -> Any:
            return (
                self._sync(argument)
                if request == linear._SYNC
                else true_ioctl(fd, request, argument)
            )

        monkeypatch.setattr(fcntl, "ioctl", ioctl)

    def _sync(self, argument: bytes) -> int:
        self.tries += 1
        if self._failures:
            number = self._failures.pop()
            raise OSError(number, os.strerror(number))
        (flags,) = linear._SYNC_FLAGS.unpack(argument)
        self.open += {1: 1, 5: -1}[flags]
        return 0


def test_linear_memory_is_read_in_place_until_no_view_is_left(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = Sync(monkeypatch)
    monkeypatch.setattr(linear, "_SLOWEST", 1000)
    said: list[str] = []
    with shot_dmabuf(connection=connection, report=said.append) as frame:
        assert sync.tries == 0  # nobody has read
        mapped = frame.map()
        assert sync.open == 1
        pixels = mapped.to_numpy()
        mapped.close()
        again = frame.map()
        assert sync.open == 2
        assert np.array_equal(again.to_numpy(), picture_of(CONFIG))
        with memoryview(again.memory) as view:
            view[:16]
    again.close()
    assert np.array_equal(pixels, picture_of(CONFIG))
    assert sync.open == 1
    del pixels
    assert sync.open == 0
    report = shot(connection=connection, buffer="dmabuf", report=said.append)
    assert np.array_equal(report.to_numpy(), picture_of(CONFIG))
    assert any(
        line.startswith("64x48 XRGB8888 is read in place: a mapping gives 12 KiB in")
        for line in said
    )


def test_memory_that_is_slow_to_read_is_copied_by_the_driver(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = Sync(monkeypatch)
    times = iter([5000, 1000])
    monkeypatch.setattr(linear, "_time", lambda *_: next(times))
    said: list[str] = []
    for _ in range(2):  # measured once
        frame = shot(connection=connection, buffer="dmabuf", report=said.append)
        assert np.array_equal(frame.to_numpy(), picture_of(CONFIG))
        times = iter([5000, 1000])
    assert sync.open == 0
    figures = "12 KiB in 5 us, of ordinary memory in 1 us"
    assert f"64x48 XRGB8888 is read by gbm_bo_map: a mapping gives {figures}" in said


def test_the_choice_is_made_once_for_a_layout(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = Sync(monkeypatch)
    monkeypatch.setattr(linear, "_SLOWEST", 1000)
    chosen, _ = choose(connection, "screencopy", "dmabuf")
    with chosen.open(read_outputs(connection)[0]) as session:
        for _ in range(5):
            session.start()
            session.finish(connection.deadline()).close()
    assert sync.tries == 2 * 6  # one of them to measure
    assert sum("is read" in note for note in chosen.notes) == 1


@pytest.mark.parametrize("number", [errno.EINTR, errno.EAGAIN])
def test_a_sync_that_a_signal_interrupts_is_done_again(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    sync = Sync(monkeypatch, *[number] * 5)
    monkeypatch.setattr(linear, "_SLOWEST", 1000)
    with shot_dmabuf(connection=connection) as frame, frame.map():
        assert sync.tries == 5 + 3
    assert sync.open == 0


@pytest.mark.parametrize("number", [errno.ENOTTY, errno.EINVAL, errno.EINTR])
def test_where_sync_fails_the_driver_copies(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    sync = Sync(monkeypatch, *[number] * 1000)
    said: list[str] = []
    frame = shot(connection=connection, buffer="dmabuf", report=said.append)
    assert np.array_equal(frame.to_numpy(), picture_of(CONFIG))
    assert sync.open == 0
    assert any("is read by gbm_bo_map: " in line for line in said)


def test_memory_that_is_too_short_is_never_mapped() -> None:
    fd = os.memfd_create("short", os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, 4096)
        with leaving_no_descriptors():
            for start, end in ((0, 4097), (-1, 10), (10, 10), (20, 10), (0, 2**62)):
                with pytest.raises(OSError, match="too large"):
                    linear.LinearMapping(fd, start, end)
            assert linear.LinearMapping(fd, 10, 4096).nbytes == 4086
    finally:
        os.close(fd)


@pytest.mark.parametrize("words", ["no-modifiers no-linear", "two-planes"])
def test_what_is_not_linear_is_left_to_the_driver(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setenv("WAYSHOT_FAKE_GBM", words)
    sync = Sync(monkeypatch)
    with shot_dmabuf(connection=connection) as frame:
        assert not frame.buffer_object.can_be_read_in_place
        frame.map().close()
    assert sync.tries == 0


def test_the_face_has_the_frame() -> None:
    assert wayshot_cli.DmabufFrame.__name__ == "DmabufFrame"
    assert wayshot_cli.shot_dmabuf is shot_dmabuf
