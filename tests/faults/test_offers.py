"""What a frame offers: sizes, strides and formats that cannot be, and events out of turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fake import FORMATS, Config, FakeCompositor, Fault, Output, ShmOffer, Step, faults
from tests.faults.command import assert_failed, assert_shot, picture_of, shoot, wayshot

if TYPE_CHECKING:
    from pathlib import Path

XRGB = FORMATS["XRGB8888"].code
TRUE = ShmOffer(XRGB, 64, 48, 256)
XR24 = 0x34325258  # as fourcc, which is not wl_shm's code for it
UNKNOWN = 0x20203F3F


def offering(*offers: ShmOffer, version: int = 3, dmabuf: int | None = None) -> Config:
    """Return a compositor whose frames offer just that."""
    outputs = (Output(offers=offers),)
    return Config(outputs=outputs, screencopy_version=version, dmabuf_offer=dmabuf)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    "offer",
    [
        ShmOffer(XRGB, 0, 0, 0),
        ShmOffer(XRGB, 0, 48, 256),
        ShmOffer(XRGB, 64, 0, 256),
        ShmOffer(XRGB, 2**31 - 1, 48, 256),
        ShmOffer(XRGB, 2**31 - 1, 2**31 - 1, 2**31 - 1),
        ShmOffer(XRGB, 65535, 65535, 65535 * 4),
        ShmOffer(XRGB, -1, -1, -4),
        ShmOffer(XRGB, -64, 48, 256),
        ShmOffer(XRGB, 64, -48, 256),
        ShmOffer(XRGB, 2**30, 2, 0),  # 2**30 * 4 is 0 in 32 bits
        ShmOffer(XRGB, 2**30 + 64, 48, 256),
        ShmOffer(XRGB, 64, 2**24, 256),  # 2**32 bytes
        ShmOffer(XRGB, 64, 48, 0),
        ShmOffer(XRGB, 64, 48, 64),
        ShmOffer(XRGB, 64, 48, 255),
        ShmOffer(XRGB, 64, 48, 2**31 - 1),
        ShmOffer(XRGB, 64, 48, 2**32 - 1),
    ],
    ids=lambda offer: f"{offer.width}x{offer.height}-{offer.stride}",
)
def test_an_impossible_buffer_is_refused(offer: ShmOffer, version: int, tmp_path: Path) -> None:
    with FakeCompositor(offering(offer, version=version)) as compositor:
        result = wayshot(compositor, tmp_path, "shot.png")
        assert_failed(result, 1, "buffer")
        assert compositor.count("wl_shm", "create_pool") == 0


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("code", [UNKNOWN, XR24, 0xFFFFFFFF])
def test_an_unknown_format_cannot_be_done(code: int, version: int, tmp_path: Path) -> None:
    config = offering(ShmOffer(code, 64, 48, 256), version=version)
    assert_failed(shoot(config, tmp_path), 4, "format")


@pytest.mark.parametrize("dmabuf", [None, XR24])
def test_no_shared_memory_cannot_be_done(dmabuf: int | None, tmp_path: Path) -> None:
    assert_failed(shoot(offering(dmabuf=dmabuf), tmp_path), 4)


@pytest.mark.parametrize(
    "offers",
    [
        (ShmOffer(UNKNOWN, 64, 48, 256), TRUE),
        (TRUE, ShmOffer(UNKNOWN, 64, 48, 256)),
        (TRUE, TRUE),
        (TRUE, ShmOffer(XRGB, 0, 0, 0)),
    ],
    ids=["unknown first", "unknown last", "twice", "impossible last"],
)
def test_of_several_buffers_one_that_can_be_read_is_taken(
    offers: tuple[ShmOffer, ...], tmp_path: Path
) -> None:
    config = offering(*offers)
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize("version", [1, 2])
def test_a_second_buffer_event_in_old_versions_is_not_copied_to(
    version: int, tmp_path: Path
) -> None:
    config = offering(TRUE, TRUE, version=version)
    with FakeCompositor(config) as compositor:
        result = wayshot(compositor, tmp_path, "shot.png")
        assert compositor.count("zwlr_screencopy_frame_v1", "copy") == 1
    assert_shot(result, picture_of(config))


def test_a_dmabuf_offer_beside_shared_memory_is_harmless(tmp_path: Path) -> None:
    config = Config(dmabuf_offer=XR24, dmabuf_version=4)
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize("step", [Step.BUFFER, Step.BUFFER_DONE])
def test_ready_before_a_copy_is_no_picture(step: Step, tmp_path: Path) -> None:
    config = Config(faults=(Fault(step, faults.saying_first("ready", 0, 0, 0)),))
    assert_failed(shoot(config, tmp_path), 1, "ready")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_ready_without_flags_is_a_picture(version: int, tmp_path: Path) -> None:
    config = Config(screencopy_version=version, faults=(Fault(Step.FLAGS, faults.leave_out),))
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize(
    "event",
    [
        ("ready", 0, 0, 0),
        ("failed",),
        ("flags", 1),
        ("buffer", XRGB, 640, 480, 2560),
        ("buffer_done",),
        ("damage", 0, 0, 64, 48),
    ],
    ids=lambda event: event[0],
)
def test_events_after_ready_change_nothing(event: tuple[str, *tuple[int]], tmp_path: Path) -> None:
    late = Fault(Step.READY, lambda moment: saying_after(moment, *event))
    config = Config(faults=(late,))
    assert_shot(shoot(config, tmp_path), picture_of(config))


def saying_after(moment: faults.Moment, event: str, *arguments: int) -> bool:
    """Send the answer and another event in one piece, so that the client reads them together."""
    moment.client.send(moment.owed + moment.resource.event(event, *arguments))
    moment.resource.proceed(moment.step)
    return False


@pytest.mark.parametrize("flags", [0, 2, 0xFFFFFFFE])
def test_flags_that_nobody_knows_are_ignored(flags: int, tmp_path: Path) -> None:
    config = Config(faults=(Fault(Step.FLAGS, faults.saying_instead("flags", flags)),))
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize(
    "time",
    [
        (0, 0, 0),
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0, 1, 1_000_000_000),
        (0x80000000, 0, 0),
        (0, 0, 0xFFFFFFFF),
    ],
)
def test_any_time_will_do(time: tuple[int, int, int], tmp_path: Path) -> None:
    config = Config(faults=(Fault(Step.READY, faults.saying_instead("ready", *time)),))
    assert_shot(shoot(config, tmp_path), picture_of(config))
