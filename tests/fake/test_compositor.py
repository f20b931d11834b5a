"""The fake compositor against a client written for it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.fake import FORMATS, Config, FakeCompositor, Fault, Mode, Output, ShmOffer, Step, faults
from tests.fake.pixels import BY_CODE, pattern, picture
from tests.fake.raw import HungUpError, RawClient
from tests.fake.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fake.pixels import Picture

# Where the pixel (x, y) of an upright picture of width w and height h lies in the buffer, as
# (column, row): the definition of wl_output.transform written out, apart from to_buffer().
PLACES: tuple[Callable[[int, int, int, int], tuple[int, int]], ...] = (
    lambda x, y, _w, _h: (x, y),
    lambda x, y, w, _h: (y, w - 1 - x),
    lambda x, y, w, h: (w - 1 - x, h - 1 - y),
    lambda x, y, _w, h: (h - 1 - y, x),
    lambda x, y, w, _h: (w - 1 - x, y),
    lambda x, y, _w, _h: (y, x),
    lambda x, y, _w, h: (x, h - 1 - y),
    lambda x, y, w, h: (h - 1 - y, w - 1 - x),
)


class Capture:
    """One frame taken by the book."""

    def __init__(self, client: RawClient, output: int = 0, region: tuple[int, ...] = ()) -> None:
        """Ask, copy and wait for the end."""
        self.shm = client.bind("wl_shm")
        manager = client.bind("zwlr_screencopy_manager_v1")
        wl_output = client.bind("wl_output", output)
        request = "capture_output_region" if region else "capture_output"
        self.frame = client.new(request, manager, "zwlr_screencopy_frame_v1", 0, wl_output, *region)
        client.roundtrip()
        self.said = client.said(self.frame)
        if self.said[0][0] == "failed":
            self.end = "failed"
            return
        self.offer = ShmOffer(*self.said[0][1:])  # type: ignore[arg-type]
        self.pool, self.buffer, fd = client.buffer(self.shm, self.offer)
        client.request(self.frame, "copy", self.buffer)
        self.end = client.wait_for(self.frame, "ready", "failed").name
        self.said = client.said(self.frame)
        self.memory = os.pread(fd, self.offer.stride * self.offer.height, 0)
        os.close(fd)
        for made in (self.frame, self.buffer, self.pool):
            client.request(made, "destroy")
        client.roundtrip()


def shot(config: Config, region: tuple[int, ...] = ()) -> Capture:
    """Capture the first output; the compositor must have nothing to complain of."""
    with FakeCompositor(config) as compositor:
        with RawClient(compositor.socket_path) as client:
            capture = Capture(client, region=region)
        compositor.wait_until_gone()
        assert compositor.violations == []
        assert compositor.leaks == []
    return capture


def xrgb_pixels(capture: Capture) -> Picture:
    """Return the pixels of an XRGB8888 buffer as they lie there."""
    offer = capture.offer
    rows = np.frombuffer(capture.memory, np.uint8).reshape(offer.height, offer.stride)
    return rows[:, : offer.width * 4].reshape(offer.height, offer.width, 4)[:, :, 2::-1]


@pytest.mark.parametrize("transform", range(8))
def test_each_pixel_lies_where_the_transform_puts_it(transform: int) -> None:
    output = Output(width=7, height=5, transform=transform, padding=12)
    pixels = xrgb_pixels(shot(Config(outputs=(output,))))
    width, height = output.upright_size
    assert pixels.shape == (5, 7, 3)
    for y in range(height):
        for x in range(width):
            column, row = PLACES[transform](x, y, width, height)
            assert tuple(pixels[row, column]) == pattern(0, x, y)


@pytest.mark.parametrize("transform", range(8))
def test_a_region_is_logical_and_clipped(transform: int) -> None:
    output = Output(width=40, height=30, transform=transform, scale=2)
    capture = shot(Config(outputs=(output,)), (-3, 5, 10, 100))
    pixels = xrgb_pixels(capture)
    _, upright_height = output.upright_size
    width, height = 14, upright_height - 10
    assert sorted(pixels.shape[:2]) == sorted((width, height))
    for y in range(height):
        for x in range(width):
            column, row = PLACES[transform](x, y, width, height)
            assert tuple(pixels[row, column]) == pattern(0, x, y + 10)


def test_y_invert_turns_the_rows_around_and_says_so() -> None:
    capture = shot(Config(outputs=(Output(y_invert=True),)))
    assert ("flags", 1) in capture.said
    assert np.array_equal(xrgb_pixels(capture)[::-1], picture(0, 64, 48))


def test_the_picture_is_the_pattern() -> None:
    whole = picture(2, 600, 300)
    for x, y in ((0, 0), (1, 0), (0, 1), (255, 255), (256, 256), (599, 299)):
        assert tuple(whole[y, x]) == pattern(2, x, y)


# One pixel, r, g, b = 0xFF, 0x80, 0x00 and filler 0x00, worked out by hand from drm_fourcc.h.
@pytest.mark.parametrize(
    ("name", "memory"),
    [
        ("XRGB8888", "00 80 ff 00"),
        ("ARGB8888", "00 80 ff 00"),
        ("XBGR8888", "ff 80 00 00"),
        ("ABGR8888", "ff 80 00 00"),
        ("RGBX8888", "00 00 80 ff"),
        ("RGBA8888", "00 00 80 ff"),
        ("BGRX8888", "00 ff 80 00"),
        ("BGRA8888", "00 ff 80 00"),
        ("RGB888", "00 80 ff"),
        ("BGR888", "ff 80 00"),
        ("RGB565", "00 fc"),
        ("BGR565", "1f 04"),
        ("XRGB2101010", "00 08 f8 3f"),
        ("XBGR2101010", "ff 0b 08 00"),
        ("ARGB2101010", "00 08 f8 3f"),
        ("ABGR2101010", "ff 0b 08 00"),
        ("RGBX1010102", "00 20 e0 ff"),
        ("RGBA1010102", "00 20 e0 ff"),
        ("BGRX1010102", "fc 2f 20 00"),
        ("BGRA1010102", "fc 2f 20 00"),
        ("XRGB16161616", "00 00 80 80 ff ff 00 00"),
        ("ARGB16161616", "00 00 80 80 ff ff 00 00"),
        ("XBGR16161616", "ff ff 80 80 00 00 00 00"),
        ("ABGR16161616", "ff ff 80 80 00 00 00 00"),
        ("XRGB16161616F", "00 00 04 38 00 3c 00 00"),
        ("ARGB16161616F", "00 00 04 38 00 3c 00 00"),
        ("XBGR16161616F", "00 3c 04 38 00 00 00 00"),
        ("ABGR16161616F", "00 3c 04 38 00 00 00 00"),
    ],
)
def test_formats_lie_in_memory_as_drm_defines_them(name: str, memory: str) -> None:
    shm_format = FORMATS[name]
    pixel = np.array([[[0xFF, 0x80, 0x00]]], np.uint8)
    assert shm_format.pack(pixel, shm_format.bytes_per_pixel, filler=0).hex(" ") == memory


def test_every_format_is_told_above() -> None:
    assert len(FORMATS) == len(BY_CODE) == 28


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_arrives_with_its_code_and_stride(name: str) -> None:
    output = Output(shm_format=FORMATS[name], padding=20)
    capture = shot(Config(outputs=(output,)))
    assert capture.offer.format == FORMATS[name].code
    assert capture.offer.stride == 64 * FORMATS[name].bytes_per_pixel + 20
    assert capture.memory == output.memory(0)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_frame_says_what_its_version_has(version: int) -> None:
    capture = shot(Config(screencopy_version=version))
    done = ["buffer_done"] if version == 3 else []
    assert [name for name, *_ in capture.said] == ["buffer", *done, "flags", "ready"]


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_an_output_says_what_its_version_has(version: int) -> None:
    output = Output("DP-9", 200, 100, transform=1, scale=2, x=-5, y=7, refresh=59_940)
    config = Config(outputs=(output,), wl_output_version=version)
    with FakeCompositor(config) as compositor, RawClient(compositor.socket_path) as client:
        wl_output = client.bind("wl_output")
        client.roundtrip()
        said = client.said(wl_output)
    everything = [
        (1, ("geometry", -5, 7, 320, 240, 0, "Fake", "One", 1)),
        (1, ("mode", 3, 200, 100, 59_940)),
        (2, ("scale", 2)),
        (4, ("name", "DP-9")),
        (4, ("description", "a fake output")),
        (2, ("done",)),
    ]
    assert said == [event for since, event in everything if since <= version]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_xdg_output_says_what_its_version_has(version: int) -> None:
    config = Config((Output("DP-9", 200, 100, transform=1, scale=2),), xdg_output_version=version)
    with FakeCompositor(config) as compositor, RawClient(compositor.socket_path) as client:
        manager = client.bind("zxdg_output_manager_v1")
        wl_output = client.bind("wl_output")
        xdg_output = client.new("get_xdg_output", manager, "zxdg_output_v1", wl_output)
        client.roundtrip()
        said = client.said(xdg_output)
        closings = client.said(wl_output).count(("done",))
    names = [("name", "DP-9"), ("description", "a fake output")] if version >= 2 else []
    done = [("done",)] if version < 3 else []
    assert said == [("logical_position", 0, 0), ("logical_size", 50, 100), *names, *done]
    assert closings == (1 if version < 3 else 2)


def test_hidden_globals_are_not_announced() -> None:
    config = Config(outputs=(), xdg_output_version=0, screencopy_version=0, wl_shm_version=0)
    with FakeCompositor(config) as compositor, RawClient(compositor.socket_path) as client:
        assert client.said(client.registry) == []


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"stride": 260}, "is none of"),
        ({"width": 63}, "is none of"),
        ({"height": 47}, "is none of"),
        ({"format": 0}, "is none of"),
        ({"stride": 252}, "64x48 of stride 252"),
        ({"format": 0x36314752}, "was not offered"),
    ],
)
def test_a_wrong_buffer_is_a_protocol_error(wrong: dict[str, int], complaint: str) -> None:
    offer = {"format": 1, "width": 64, "height": 48, "stride": 256}
    with FakeCompositor() as compositor, RawClient(compositor.socket_path) as client:
        manager = client.bind("zwlr_screencopy_manager_v1")
        shm = client.bind("wl_shm")
        frame = client.new(
            "capture_output", manager, "zwlr_screencopy_frame_v1", 0, client.bind("wl_output")
        )
        _, buffer, fd = client.buffer(shm, ShmOffer(**offer | wrong))
        os.close(fd)
        client.request(frame, "copy", buffer)
        with pytest.raises(HungUpError):
            client.wait_for(frame, "ready")
        assert client.events[-1].name == "error"
        (violation,) = compositor.violations
        assert complaint in violation


def test_a_second_copy_is_a_protocol_error() -> None:
    config = Config(faults=(Fault(Step.READY, faults.withhold),))
    with FakeCompositor(config) as compositor, RawClient(compositor.socket_path) as client:
        manager = client.bind("zwlr_screencopy_manager_v1")
        frame = client.new(
            "capture_output", manager, "zwlr_screencopy_frame_v1", 0, client.bind("wl_output")
        )
        _, buffer, fd = client.buffer(client.bind("wl_shm"), ShmOffer(1, 64, 48, 256))
        os.close(fd)
        client.request(frame, "copy", buffer)
        client.request(frame, "copy", buffer)
        with pytest.raises(HungUpError):
            client.wait_for(frame, "ready")
        assert client.events[-1].arguments[:2] == (frame, 0)
        assert "a second copy" in compositor.violations[0]


def test_a_request_to_a_dead_object_is_a_protocol_error() -> None:
    with FakeCompositor() as compositor, RawClient(compositor.socket_path) as client:
        manager = client.bind("zwlr_screencopy_manager_v1")
        client.request(manager, "destroy")
        client.request(manager, "destroy")
        with pytest.raises(HungUpError):
            client.roundtrip()
        assert f"the object {manager}, which does not exist" in compositor.violations[0]


def test_a_pool_larger_than_its_file_is_a_protocol_error() -> None:
    fd = os.memfd_create("small")
    os.ftruncate(fd, 100)
    with FakeCompositor() as compositor, RawClient(compositor.socket_path) as client:
        client.new("create_pool", client.bind("wl_shm"), "wl_shm_pool", None, 101, fd=fd)
        with pytest.raises(HungUpError):
            client.roundtrip()
        assert "a pool of 101 bytes over 100 bytes" in compositor.violations[0]
    os.close(fd)


def test_a_request_without_its_fd_is_a_violation() -> None:
    with FakeCompositor() as compositor, RawClient(compositor.socket_path) as client:
        client.new("create_pool", client.bind("wl_shm"), "wl_shm_pool", None, 100)
        with pytest.raises(HungUpError):
            client.roundtrip()
        assert "without its file descriptor" in compositor.violations[0]


def test_what_a_client_leaves_behind_is_written_down_and_its_fds_are_closed() -> None:
    with FakeCompositor() as compositor:
        with RawClient(compositor.socket_path) as client:
            manager = client.bind("zwlr_screencopy_manager_v1")
            wl_output = client.bind("wl_output")
            client.new("capture_output", manager, "zwlr_screencopy_frame_v1", 0, wl_output)
            _, _, fd = client.buffer(client.bind("wl_shm"), ShmOffer(1, 64, 48, 256))
            os.close(fd)
            client.roundtrip()
            assert (compositor.connected, compositor.held_fds) == (1, 1)
        compositor.wait_until_gone()
        assert compositor.held_fds == 0
        kinds = sorted(leak.split()[2].partition("@")[0] for leak in compositor.leaks)
        assert kinds == ["wl_buffer", "wl_shm_pool", "zwlr_screencopy_frame_v1"]


def test_outputs_come_and_go() -> None:
    with FakeCompositor() as compositor, RawClient(compositor.socket_path) as client:
        manager = client.bind("zwlr_screencopy_manager_v1")
        wl_output = client.bind("wl_output")
        frame = client.new("capture_output", manager, "zwlr_screencopy_frame_v1", 0, wl_output)
        client.roundtrip()
        compositor.add_output(Output("FAKE-2", 10, 10))
        compositor.remove_output("FAKE-1")
        client.roundtrip()
        assert [event[:3] for event in client.said(client.registry)[-3:]] == [
            ("global", 4, "wl_output"),
            ("global", 5, "wl_output"),
            ("global_remove", 4),
        ]
        assert client.said(frame)[-1] == ("failed",)
        late = client.new("capture_output", manager, "zwlr_screencopy_frame_v1", 0, wl_output)
        client.roundtrip()
        assert client.said(late) == [("failed",)]
        capture = Capture(client, output=1)
        assert tuple(xrgb_pixels(capture)[3, 4]) == pattern(1, 4, 3)


def test_another_mode_ends_the_frames_under_way_and_is_told() -> None:
    with FakeCompositor() as compositor, RawClient(compositor.socket_path) as client:
        manager = client.bind("zwlr_screencopy_manager_v1")
        wl_output = client.bind("wl_output")
        frame = client.new("capture_output", manager, "zwlr_screencopy_frame_v1", 0, wl_output)
        client.roundtrip()
        compositor.change_output("FAKE-1", width=12)
        client.roundtrip()
        assert client.said(frame)[-1] == ("failed",)
        modes = [event[2] for event in client.said(wl_output) if event[0] == "mode"]
        assert modes == [64, 12]
        again = client.new("capture_output", manager, "zwlr_screencopy_frame_v1", 0, wl_output)
        client.roundtrip()
        assert client.said(again)[0] == ("buffer", 1, 12, 48, 48)


def test_an_idle_screen_answers_when_it_is_damaged() -> None:
    with (
        FakeCompositor(Config(idle=True)) as compositor,
        RawClient(compositor.socket_path) as client,
    ):
        manager = client.bind("zwlr_screencopy_manager_v1")
        wl_output = client.bind("wl_output")
        _, buffer, fd = client.buffer(client.bind("wl_shm"), ShmOffer(1, 64, 48, 256))
        os.close(fd)
        frames = []
        for _ in range(2):
            frame = client.new("capture_output", manager, "zwlr_screencopy_frame_v1", 0, wl_output)
            client.request(frame, "copy_with_damage", buffer)
            client.roundtrip()
            frames.append(frame)
        assert client.said(frames[0])[-1][0] == "ready"
        assert client.said(frames[1])[-1][0] == "buffer_done"
        compositor.damage("FAKE-1")
        client.wait_for(frames[1], "ready")
        assert ("damage", 0, 0, 64, 48) in client.said(frames[1])


def test_lies_are_told_as_given() -> None:
    offers = (ShmOffer(77, 0, 2**32 - 1, 5), ShmOffer(1, 64, 48, 256))
    output = Output(
        b"\xff\x1b[2J", modes=(Mode(0, -1),), scale=-3, logical=(0, -9), offers=offers, transform=99
    )
    with (
        FakeCompositor(Config(outputs=(output,))) as compositor,
        RawClient(compositor.socket_path) as client,
    ):
        manager = client.bind("zwlr_screencopy_manager_v1")
        wl_output = client.bind("wl_output")
        frame = client.new("capture_output", manager, "zwlr_screencopy_frame_v1", 0, wl_output)
        client.roundtrip()
        said = client.said(wl_output)
        assert said[0][-1] == 99
        assert said[1:3] == [("mode", 3, 0, -1, 60_000), ("scale", -3)]
        assert said[3] == ("name", b"\xff\x1b[2J".decode(errors="surrogateescape"))
        assert client.said(frame)[:2] == [
            ("buffer", 77, 0, 2**32 - 1, 5),
            ("buffer", 1, 64, 48, 256),
        ]


ENDINGS = [faults.hang_up, faults.hang_up_midway, faults.protocol_error]
FRAME_STEPS = [Step.BUFFER, Step.BUFFER_DONE, Step.FLAGS, Step.READY]
STEPS = [Step.ACCEPT, Step.GLOBALS, Step.SYNC, Step.SHM_FORMATS, Step.OUTPUT, Step.OUTPUT_DONE]


@pytest.mark.parametrize("action", ENDINGS)
@pytest.mark.parametrize("step", STEPS + FRAME_STEPS)
def test_the_connection_ends_at_each_step(step: Step, action: faults.Action) -> None:
    config = Config(faults=(Fault(step, action),))
    with (
        FakeCompositor(config) as compositor,
        pytest.raises(HungUpError),
        RawClient(compositor.socket_path) as client,
    ):
        Capture(client)
    assert compositor.violations == []


@pytest.mark.parametrize("step", [*FRAME_STEPS, Step.OFFERED])
def test_a_frame_fails_at_each_step(step: Step) -> None:
    assert shot_end(Config(faults=(Fault(step, faults.failed),))) == "failed"


def shot_end(config: Config) -> str:
    """Return how a frame ends that is copied if there is something to copy to."""
    with FakeCompositor(config) as compositor, RawClient(compositor.socket_path) as client:
        return Capture(client).end


@pytest.mark.parametrize("action", [faults.flood, faults.trickle])
@pytest.mark.parametrize("step", [Step.GLOBALS, Step.OUTPUT, Step.BUFFER, Step.READY])
def test_talk_without_end_takes_the_place_of_the_answer(step: Step, action: faults.Action) -> None:
    config = Config(faults=(Fault(step, action),))
    with (
        FakeCompositor(config) as compositor,
        RawClient(compositor.socket_path, learn=step is not Step.GLOBALS) as client,
    ):
        if step is not Step.GLOBALS:
            manager = client.bind("zwlr_screencopy_manager_v1")
            wl_output = client.bind("wl_output")
            frame = client.new("capture_output", manager, "zwlr_screencopy_frame_v1", 0, wl_output)
            _, buffer, fd = client.buffer(client.bind("wl_shm"), ShmOffer(1, 64, 48, 256))
            os.close(fd)
            if step is Step.READY:
                client.request(frame, "copy", buffer)
            client.wait_for(client.new("sync", 1, "wl_callback"), "done")
        talk = 30
        said = len(client.events)
        while len(client.events) < said + talk:
            client.read()
        assert len(set(client.events[-talk // 2 :])) == 1


def test_a_slow_compositor_is_slow() -> None:
    with FakeCompositor(Config(latency=0.1)) as compositor:
        started = time.monotonic()
        with RawClient(compositor.socket_path) as client:
            assert Capture(client).end == "ready"
        assert time.monotonic() - started >= 0.4


def test_a_dribbling_compositor_says_everything() -> None:
    assert shot(Config(dribble=0.0002)).end == "ready"


def test_a_deaf_compositor_leaves_connections_waiting() -> None:
    with FakeCompositor(Config(accept=False)) as compositor:
        with pytest.raises(TimeoutError), RawClient(compositor.socket_path, patience=0.1):
            pass
        assert compositor.connections == 0


def test_a_dmabuf_feedback_lacks_its_fd() -> None:
    config = Config(dmabuf_version=4)
    with FakeCompositor(config) as compositor, RawClient(compositor.socket_path) as client:
        dmabuf = client.bind("zwp_linux_dmabuf_v1")
        client.new("get_default_feedback", dmabuf, "zwp_linux_dmabuf_feedback_v1")
        with pytest.raises(WireError, match="without its file descriptor"):
            client.roundtrip()


def test_a_fault_begins_when_it_is_told_to() -> None:
    config = Config(faults=(Fault(Step.FLAGS, faults.failed, skip=2),))
    with FakeCompositor(config) as compositor, RawClient(compositor.socket_path) as client:
        assert [Capture(client).end for _ in range(4)] == ["ready", "ready", "failed", "failed"]


def test_a_fault_concerns_the_output_it_names() -> None:
    config = Config(
        (Output("FAKE-1"), Output("FAKE-2")),
        faults=(Fault(Step.FLAGS, faults.failed, output="FAKE-2"),),
    )
    with FakeCompositor(config) as compositor, RawClient(compositor.socket_path) as client:
        assert [Capture(client, output=n).end for n in range(2)] == ["ready", "failed"]


def test_what_goes_wrong_in_the_server_is_raised_at_the_end() -> None:
    def stumble(_: faults.Moment) -> bool:
        message = "not the client's fault"
        raise LookupError(message)

    with (
        pytest.raises(LookupError, match="not the client's fault"),
        FakeCompositor(Config(faults=(Fault(Step.SYNC, stumble),))) as compositor,
        pytest.raises(HungUpError),
    ):
        RawClient(compositor.socket_path)


def test_requests_can_be_awaited() -> None:
    with FakeCompositor() as compositor, RawClient(compositor.socket_path) as client:
        assert compositor.count("wl_registry", "bind") == 0
        client.bind("wl_shm")
        compositor.wait_for("wl_registry", "bind")
        assert compositor.requests[-1].arguments[1:3] == ("wl_shm", 1)
        with pytest.raises(TimeoutError):
            compositor.wait_for("wl_registry", "bind", count=2, timeout=0.05)
