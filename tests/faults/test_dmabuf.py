"""dmabufs and exports that go wrong, on a libgbm of our own: an error or a picture comes of it."""

from __future__ import annotations

import contextlib
import os
import select
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from tests.descriptors import leaving_no_descriptors
from tests.fake import Config, FakeCompositor, Fault, Feedback, Output, ShmOffer, Step, faults
from tests.faults.command import (
    LONG,
    TIMEOUT,
    Result,
    assert_failed,
    assert_shot,
    assert_told_at_once,
    assert_waited,
    picture_of,
    wayshot,
)
from wayshot_cli.backends import choose
from wayshot_cli.buffers import devices, gbm
from wayshot_cli.errors import WayshotError
from wayshot_cli.sources import OutputSource
from wayshot_cli.still import shot
from wayshot_cli.wayland.connection import Connection

XR24 = 0x34325258
SOURCE = Path(__file__).parents[1] / "fake" / "gbm.c"
SHORT = 0.3
"""A time-out for what is asked again until then."""

NODE = "/dev/null"
"""Stands in for a render node; the fake libgbm does not touch it."""

NODE_IS_DRM = (
    "import os; from wayshot_cli.buffers import devices; "
    f"devices._DRM_MAJOR = os.major(os.stat({NODE!r}).st_rdev); "
    "import atexit, gc; atexit.register(gc.collect)"
)
"""For sitecustomize, which every Python runs first: DRM has the number of that node.

What waits for the collector goes before the end, when nothing is freed any more.
"""

CONFIG = Config(dmabuf_offer=XR24, dmabuf_version=4, feedback=Feedback(), export_version=1)
EXPORT = ("--backend", "export-dmabuf")
IMAGE_COPY = ("--backend", "image-copy")
BY_IMAGE_COPY = replace(CONFIG, image_copy_version=1)
SIZE = ("buffer_size", 64, 48)
TEMPORARY, PERMANENT, RESIZING = range(3)


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the fake libgbm into a folder of its own."""
    folder = tmp_path_factory.mktemp("libraries")
    target = folder / "libgbm.so.1"
    flags = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *flags, "-o", target, SOURCE], check=True)
    (folder / "sitecustomize.py").write_text(NODE_IS_DRM)
    return folder


@pytest.fixture
def no_library(tmp_path: Path) -> Path:
    """Return a folder with which there is no libgbm, whatever the machine has."""
    folder = tmp_path / "no-library"
    folder.mkdir()
    absent = "from wayshot_cli.buffers import gbm; gbm._SONAME = 'libgbm-absent.so.1'"
    (folder / "sitecustomize.py").write_text(f"{NODE_IS_DRM}; {absent}")
    return folder


class Shooter:
    """Takes pictures with the fake libgbm, and looks what is left of it."""

    def __init__(self, libraries: Path, folder: Path) -> None:
        self.libraries = libraries
        self.folder = folder / "shots"
        self.folder.mkdir()
        self.log = folder / "log"

    def __call__(
        self,
        config: Config,
        *arguments: str,
        gbm: str = "",
        device: str | None = NODE,
        timeout: float = LONG,
    ) -> Result:
        """Take shot.png; ``gbm`` says what libgbm refuses."""
        wishes = [*arguments, *([] if device is None else ["--device", device])]
        words = ["--timeout", str(timeout), "-t", "png", *wishes, "shot.png"]
        return self.run(config, *words, gbm=gbm)

    def run(self, config: Config, *words: str, gbm: str = "") -> Result:
        """Run wayshot with any words."""
        with FakeCompositor(config) as compositor:
            compositor.env |= {
                "LD_LIBRARY_PATH": str(self.libraries),
                "PYTHONPATH": os.pathsep.join([str(self.libraries), *sys.path]),
                "WAYSHOT_FAKE_GBM": gbm,
                "WAYSHOT_FAKE_GBM_LOG": str(self.log),
                "WAYSHOT_CLEAN_EXIT": "1",
            }
            result = wayshot(compositor, self.folder, *words)
            if result.code == 0:
                assert compositor.leaks == []
        if self.log.exists():  # devices, buffer objects, mappings
            assert self.log.read_text() == "0 0 0\n"
        return result


@pytest.fixture
def shoot(libraries: Path, tmp_path: Path) -> Shooter:
    return Shooter(libraries, tmp_path)


def failing_first(count: int) -> faults.Action:
    """Fail so many times, then answer."""
    left = [count]

    def action(moment: faults.Moment) -> bool:
        left[0] -= 1
        return True if left[0] < 0 else faults.failed(moment)

    return action


def cancelling(reason: int, count: int = sys.maxsize) -> Config:
    """Cancel so many exports."""
    left = [count]

    def action(moment: faults.Moment) -> bool:
        left[0] -= 1
        if left[0] < 0:
            return True
        moment.client.send(moment.resource.event("cancel", reason))
        return False

    return replace(CONFIG, faults=(Fault(Step.EXPORT, action),))


@pytest.mark.parametrize("transform", range(8))
@pytest.mark.parametrize(
    "way",
    [("--backend", "screencopy"), EXPORT, IMAGE_COPY],
    ids=["screencopy", "export", "image-copy"],
)
def test_every_pixel_comes_through(shoot: Shooter, way: tuple[str, ...], transform: int) -> None:
    # Only wlr-screencopy and wlr-export-dmabuf can say that a picture is upside down.
    for y_invert in (False,) if way == IMAGE_COPY else (False, True):
        output = Output(width=61, height=33, transform=transform, y_invert=y_invert)
        config = replace(BY_IMAGE_COPY, outputs=(output,))
        assert_shot(shoot(config, *way), picture_of(config))
        assert shoot.log.exists()


def test_no_way_leaves_an_fd(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do those that end in an error."""
    monkeypatch.setattr(gbm, "_SONAME", str(libraries / "libgbm.so.1"))
    monkeypatch.setattr(devices, "_DRM_MAJOR", os.major(os.stat(NODE).st_rdev))
    gbm.library.cache_clear()

    def take(config: Config, backend: str, words: str = "") -> None:
        monkeypatch.setenv("WAYSHOT_FAKE_GBM", words)
        with FakeCompositor(config) as compositor, leaving_no_descriptors():
            for _ in range(3):
                with (
                    contextlib.suppress(WayshotError),
                    Connection(str(compositor.socket_path), timeout=SHORT) as connection,
                ):
                    shot(connection=connection, backend=backend, device=NODE)

    try:
        for backend in ("screencopy", "export-dmabuf", "image-copy"):
            for words in ("", "two-planes", "no-modifiers", "no-map", "no-import", "no-device"):
                take(BY_IMAGE_COPY, backend, words)
        take(cancelling(PERMANENT), "export-dmabuf")
        for words in ("no-fd two-planes", "no-modifiers no-linear no-plain"):
            take(CONFIG, "screencopy", words)
        for step in (Step.PARAMS, Step.FLAGS, Step.EXPORTED):
            take(replace(CONFIG, faults=(Fault(step, faults.failed),)), "screencopy")
        for step in (Step.PARAMS, Step.CONSTRAINTS, Step.CAPTURE, Step.READY):
            take(replace(BY_IMAGE_COPY, faults=(Fault(step, faults.failed),)), "image-copy")
        take(replace(CONFIG, faults=(Fault(Step.EXPORTED, faults.hang_up),)), "export-dmabuf")
        take(replace(CONFIG, feedback=Feedback(size=17)), "export-dmabuf")
    finally:
        gbm.library.cache_clear()


def test_several_outputs_are_captured_at_once(shoot: Shooter) -> None:
    config = replace(CONFIG, outputs=(Output(), Output("FAKE-2", x=64)))
    assert_shot(shoot(config), picture_of(config))
    assert_shot(shoot(config, *EXPORT), picture_of(config))


@pytest.mark.parametrize("version", [1, 3, 4, 5])
def test_every_version_of_linux_dmabuf_will_do(shoot: Shooter, version: int) -> None:
    config = replace(CONFIG, dmabuf_version=version)
    assert_shot(shoot(config), picture_of(config))


@pytest.mark.parametrize(
    ("refused", "taken"),
    [
        ("", "by the modifiers offered: dmabuf of 64x48 XRGB8888, modifier LINEAR"),
        ("no-modifiers", "by the flag for linear ones: dmabuf of 64x48 XRGB8888, modifier LINEAR"),
        (
            "no-modifiers no-linear",
            "as the driver likes: dmabuf of 64x48 XRGB8888, modifier INVALID",
        ),
    ],
)
def test_what_gbm_refuses_is_passed_over(shoot: Shooter, refused: str, taken: str) -> None:
    result = shoot(CONFIG, "-v", gbm=refused)
    assert taken in result.stderr
    assert result.stderr.count("GBM refuses") == len(refused.split())
    assert_shot(result, picture_of(CONFIG))


@pytest.mark.parametrize(
    ("count", "taken"), [(1, "by the flag for linear ones"), (2, "as the driver likes")]
)
def test_what_the_compositor_refuses_is_passed_over(shoot: Shooter, count: int, taken: str) -> None:
    config = replace(CONFIG, faults=(Fault(Step.PARAMS, failing_first(count)),))
    result = shoot(config, "-v")
    assert taken in result.stderr
    assert_shot(result, picture_of(config))


ONLY_LINEAR = Feedback(indices=struct.pack("=H", 0))
ONLY_INVALID = Feedback(indices=struct.pack("=H", 1))
ELSEWHERE = struct.pack("=Q", os.makedev(226, 77))


@pytest.mark.parametrize(
    ("refused", "taken"),
    [("", "by the flag"), ("no-linear", "as the driver likes")],
)
def test_a_compositor_without_modifiers_is_told_none(
    shoot: Shooter, refused: str, taken: str
) -> None:
    """One that it has not announced would end the connection."""
    config = replace(CONFIG, feedback=ONLY_INVALID)
    result = shoot(config, "-v", gbm=refused)
    (allocated,) = [line for line in result.stderr.splitlines() if "allocated" in line]
    assert taken in allocated
    assert allocated.endswith(", announced as INVALID") == (not refused)
    assert_shot(result, picture_of(config))


def test_rows_one_after_the_other_are_linear_to_whoever_wants_a_name(shoot: Shooter) -> None:
    config = replace(CONFIG, feedback=ONLY_LINEAR)
    result = shoot(config, "-v", gbm="no-modifiers nameless")
    assert "announced as LINEAR" in result.stderr
    assert_shot(result, picture_of(config))


def test_a_modifier_that_was_not_announced_is_passed_over(shoot: Shooter) -> None:
    config = replace(CONFIG, feedback=ONLY_LINEAR)
    result = shoot(config, gbm="no-modifiers no-linear")
    assert_failed(result, 4, "as the driver likes", "refuses modifier INVALID")


def test_on_another_device_than_the_compositors_rows_lie_one_after_the_other(
    shoot: Shooter,
) -> None:
    feedback = replace(ONLY_INVALID, main_device=ELSEWHERE, target_device=ELSEWHERE)
    config = replace(CONFIG, feedback=feedback)
    assert_failed(
        shoot(config, gbm="no-linear"), 4, "as the driver likes", "refuses modifier INVALID"
    )
    assert_shot(shoot(config), picture_of(config))


@pytest.mark.parametrize("refused", ["no-modifiers no-linear no-plain", "no-fd two-planes"])
def test_a_driver_that_allocates_nothing_is_told(shoot: Shooter, refused: str) -> None:
    result = shoot(CONFIG, gbm=refused)
    assert_failed(result, 4, NODE, "by the modifiers", "by the flag", "as the driver likes")


def test_a_driver_that_gives_no_reason_has_none_made_up(shoot: Shooter) -> None:
    """Mesa sets errno on some of its ways alone; what was there before is of something else."""
    result = shoot(CONFIG, gbm="no-modifiers no-linear no-plain no-reason")
    assert_failed(result, 4, "as the driver likes: GBM refuses: no reason is given")
    result = shoot(CONFIG, *EXPORT, gbm="no-import no-reason")
    assert_failed(result, 4, "no reason is given")


def test_a_compositor_that_takes_no_buffer_is_told(shoot: Shooter) -> None:
    config = replace(CONFIG, faults=(Fault(Step.PARAMS, faults.failed),))
    result = shoot(config)
    assert_failed(result, 4, "refuses modifier LINEAR", "refuses modifier INVALID")
    assert_told_at_once(result)


@pytest.mark.parametrize("step", [Step.PARAMS, Step.FEEDBACK])
def test_silence_ends_at_the_timeout(shoot: Shooter, step: Step) -> None:
    config = replace(CONFIG, faults=(Fault(step, faults.withhold),))
    result = shoot(config, timeout=TIMEOUT)
    assert_failed(result, 1, "did not answer in time")
    assert_waited(result)


@pytest.mark.parametrize(
    ("action", "how"),
    [(faults.protocol_error, "reported error 77 on"), (faults.hang_up, "closed the connection")],
)
@pytest.mark.parametrize(
    ("way", "step", "doing"),
    [
        ((), Step.FEEDBACK, "asking which dmabufs it takes"),
        ((), Step.PLANE, "capturing output 'FAKE-1' by wlr-screencopy into dmabufs"),
        ((), Step.PARAMS, "capturing output 'FAKE-1' by wlr-screencopy into dmabufs"),
        ((), Step.FLAGS, "capturing output 'FAKE-1' by wlr-screencopy into dmabufs"),
        ((), Step.READY, "capturing output 'FAKE-1' by wlr-screencopy into dmabufs"),
        (EXPORT, Step.FEEDBACK, "asking which dmabufs it takes"),
        (EXPORT, Step.EXPORT, "capturing output 'FAKE-1' by wlr-export-dmabuf"),
        (EXPORT, Step.EXPORTED, "capturing output 'FAKE-1' by wlr-export-dmabuf"),
    ],
)
def test_a_connection_that_ends_is_told_at_once(  # noqa: PLR0913, PLR0917 - parameters
    shoot: Shooter, way: tuple[str, ...], step: Step, doing: str, action: faults.Action, how: str
) -> None:
    result = shoot(replace(CONFIG, faults=(Fault(step, action),)), *way)
    assert_failed(result, 1, how, f"while {doing}")
    assert_told_at_once(result)


@pytest.mark.parametrize("way", [(), EXPORT], ids=["screencopy", "export"])
def test_a_missing_libgbm_is_told(no_library: Path, tmp_path: Path, way: tuple[str, ...]) -> None:
    result = Shooter(no_library, tmp_path)(CONFIG, *way)
    assert_failed(result, 4, "libgbm cannot be loaded")
    assert "install libgbm" in result.stderr


@pytest.mark.parametrize("step", [Step.FEEDBACK, Step.PLANE, Step.PARAMS])
def test_auto_never_meets_what_is_wrong_with_dmabufs(shoot: Shooter, step: Step) -> None:
    config = replace(CONFIG, faults=(Fault(step, faults.protocol_error),))
    result = shoot(config, "-v", device=None, gbm="no-device")
    assert_shot(result, picture_of(config))
    assert "shared memory: dmabufs, which are offered, too, are slower to read" in result.stderr
    assert not shoot.log.exists()


def test_auto_needs_no_libgbm(no_library: Path, tmp_path: Path) -> None:
    assert_shot(Shooter(no_library, tmp_path)(CONFIG, device=None), picture_of(CONFIG))


@pytest.mark.parametrize("refused", ["no-map", "short-stride"])
def test_what_cannot_be_read_is_an_error(shoot: Shooter, refused: str) -> None:
    assert_failed(shoot(CONFIG, gbm=refused), 1, NODE, "mapped")
    assert_failed(shoot(CONFIG, *EXPORT, gbm=refused), 1, NODE, "mapped")


def test_a_driver_that_cannot_import_is_told(shoot: Shooter) -> None:
    assert_failed(shoot(CONFIG, *EXPORT, gbm="no-import"), 4, NODE, "modifier LINEAR")


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ("/nonexistent", "No such file"),
        ("/dev", "not a DRM device"),
        (__file__, "not a DRM device"),
        ("/dev/tty", "not a DRM device"),
    ],
)
@pytest.mark.parametrize("way", [(), EXPORT], ids=["screencopy", "export"])
def test_a_device_that_is_none_is_refused(
    shoot: Shooter, device: str, reason: str, way: tuple[str, ...]
) -> None:
    result = shoot(CONFIG, *way, device=device)
    assert_failed(result, 4, device, reason)
    assert "leave --backend, --buffer and --device away" in result.stderr


@pytest.mark.parametrize("way", [(), EXPORT, IMAGE_COPY], ids=["screencopy", "export", "ext"])
def test_what_is_no_device_is_not_opened(
    shoot: Shooter, way: tuple[str, ...], tmp_path: Path
) -> None:
    """Whoever reads from the pipe sees no writer come and go."""
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    events = select.poll()
    events.register(reader, select.POLLHUP)
    result = shoot(BY_IMAGE_COPY, *way, device=path)
    assert_failed(result, 4, path, "not a DRM device")
    assert events.poll(0) == []
    os.close(reader)


@pytest.mark.parametrize("buffer", ["auto", "dmabuf"])
def test_a_device_without_a_name_is_no_device(shoot: Shooter, buffer: str) -> None:
    assert_failed(shoot(CONFIG, "--buffer", buffer, device=""), 2, "device", "empty")


def test_a_capture_that_fails_is_told_with_its_device(shoot: Shooter) -> None:
    """Of the device and the buffers, which are what may be wrong."""
    config = replace(CONFIG, faults=(Fault(Step.FLAGS, faults.withhold),))
    words = ("-v", "--timeout", str(TIMEOUT), "--device", NODE)
    for command in (("shot.png",), ("record", "a.y4m")):
        result = shoot.run(config, *command[:-1], *words, command[-1])
        assert result.code == 1
        assert result.stderr.count("driver unknown, served by GBM's 'fake'") == 1
        assert result.stderr.count("offers modifiers for") == 1


def test_a_device_and_shared_memory_contradict_each_other(shoot: Shooter) -> None:
    assert_failed(shoot(CONFIG, "--buffer", "shm"), 2, NODE)


def test_exports_know_no_shared_memory(shoot: Shooter) -> None:
    result = shoot(CONFIG, *EXPORT, "--buffer", "shm", device=None)
    assert_failed(result, 4, "shared memory")
    assert "take --backend screencopy" in result.stderr


@pytest.mark.parametrize(
    ("missing", "interface"),
    [
        (replace(CONFIG, dmabuf_version=0), "zwp_linux_dmabuf_v1"),
        (replace(CONFIG, screencopy_version=2), "zwlr_screencopy_manager_v1"),
        (replace(CONFIG, screencopy_version=0), "zwlr_screencopy_manager_v1"),
    ],
)
def test_what_is_pinned_and_missing_is_named(
    shoot: Shooter, missing: Config, interface: str
) -> None:
    assert_failed(shoot(missing), 4, interface)


def test_a_missing_export_manager_is_named(shoot: Shooter) -> None:
    missing = replace(CONFIG, export_version=0)
    assert_failed(shoot(missing, *EXPORT), 4, "zwlr_export_dmabuf_manager_v1")


def test_no_dmabuf_on_offer_is_told(shoot: Shooter) -> None:
    assert_failed(shoot(replace(CONFIG, dmabuf_offer=None)), 4, "dmabufs", "offered: none")


def test_a_format_that_nobody_reads_is_told(shoot: Shooter) -> None:
    assert_failed(shoot(replace(CONFIG, dmabuf_offer=0x3231564E)), 4, "0x3231564e")


@pytest.mark.parametrize(
    "feedback",
    [
        Feedback(size=0),
        Feedback(size=17),
        Feedback(size=1 << 20),
        Feedback(size=1 << 31),
        Feedback(indices=struct.pack("=H", 2)),
        Feedback(indices=b"\0"),
        Feedback(main_device=b"\0" * 4),
        Feedback(target_device=b"\0" * 9),
    ],
)
def test_a_broken_feedback_is_told(shoot: Shooter, feedback: Feedback) -> None:
    result = shoot(replace(CONFIG, feedback=feedback))
    assert_failed(result, 1)
    assert_told_at_once(result)


def test_a_driver_that_libgbm_lacks_is_told(shoot: Shooter) -> None:
    assert_failed(shoot(CONFIG, gbm="no-device"), 4, NODE, "no driver")


def test_auto_turns_to_dmabufs_where_nothing_else_can_be_read(shoot: Shooter) -> None:
    outputs = (Output(offers=(ShmOffer(0x3231564E, 64, 48, 64),)),)
    config = replace(CONFIG, outputs=outputs)
    result = shoot(config, device=None)
    assert_failed(result, 4, "shared memory", "0x3231564e", "dmabufs cannot be had", "/dev/dri")


@pytest.mark.parametrize("way", [("--buffer", "dmabuf"), EXPORT], ids=["screencopy", "export"])
@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, dmabuf_version=0)])
def test_where_there_is_no_dmabuf_the_hint_is_shared_memory(
    shoot: Shooter, config: Config, way: tuple[str, ...]
) -> None:
    result = shoot(config, *way, device=None)
    assert_failed(result, 4)
    assert "--buffer" in result.stderr
    assert "GNOME" not in result.stderr


def test_codes_of_shared_memory_are_not_said_to_be_of_dmabufs(shoot: Shooter) -> None:
    outputs = (Output(offers=(ShmOffer(0x3231564E, 64, 48, 64),)),)
    result = shoot(replace(CONFIG, outputs=outputs, dmabuf_offer=None))
    assert_failed(result, 4, "of dmabufs", "offered: none")


@pytest.mark.parametrize("count", [1, 2])
def test_auto_gets_its_picture_from_the_dmabuf(
    libraries: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(gbm, "_SONAME", str(libraries / "libgbm.so.1"))
    monkeypatch.setattr(devices, "_DRM_MAJOR", os.major(os.stat(NODE).st_rdev))
    monkeypatch.setattr(devices, "candidates", lambda *_: [devices.Candidate(NODE, "a test")])
    gbm.library.cache_clear()
    offers = (ShmOffer(0x3231564E, 64, 48, 64),)
    outputs = (Output(offers=offers, transform=1), Output("FAKE-2", offers=offers, x=48))
    config = replace(CONFIG, outputs=outputs[:count])
    said: list[str] = []
    try:
        with (
            FakeCompositor(config) as compositor,
            Connection(str(compositor.socket_path), timeout=LONG) as connection,
        ):
            frame = shot(connection=connection, report=said.append)
            assert compositor.violations == []
    finally:
        gbm.library.cache_clear()
    assert np.array_equal(frame.to_numpy(), picture_of(config))
    assert said.count(f"{NODE}: a test, driver unknown, served by GBM's 'fake'") == 1
    assert (
        "dmabufs: no pixel format of shared memory that wayshot can read (offered: 0x3231564e)"
        in said
    )


@pytest.mark.parametrize(
    ("backend", "buffer"),
    [("screencopy", "shm"), ("screencopy", "dmabuf"), ("export-dmabuf", "dmabuf")],
)
def test_a_compositor_that_answers_at_once_is_not_asked_without_end(
    libraries: Path, monkeypatch: pytest.MonkeyPatch, backend: str, buffer: str
) -> None:
    """Where damage is not waited for, twice per frame of the screen at most."""
    monkeypatch.setattr(gbm, "_SONAME", str(libraries / "libgbm.so.1"))
    monkeypatch.setattr(devices, "_DRM_MAJOR", os.major(os.stat(NODE).st_rdev))
    gbm.library.cache_clear()
    config = replace(CONFIG, outputs=(Output(refresh=20_000),))
    try:
        with (
            FakeCompositor(config) as compositor,
            Connection(str(compositor.socket_path), timeout=LONG) as connection,
        ):
            device = NODE if buffer == "dmabuf" else None
            chosen, _ = choose(connection, backend, buffer, device)
            with OutputSource(connection, chosen, damage=False) as source:
                begun = monotonic()
                for _ in range(1 + 20):
                    assert source.capture()
                elapsed = monotonic() - begun
    finally:
        gbm.library.cache_clear()
    assert elapsed >= 20 / (2 * 20)


# ext-image-copy-capture: device and modifiers are the session's.


def of_session(*events: tuple[object, ...]) -> Config:
    """Return a compositor whose sessions ask for just these buffers."""
    return replace(BY_IMAGE_COPY, outputs=(Output(constraints=(SIZE, *events)),))  # type: ignore[arg-type] # for lies


LINEAR = ("dmabuf_format", XR24, struct.pack("=Q", 0))


def test_a_session_says_which_device_and_modifiers(shoot: Shooter) -> None:
    """Nobody asks linux-dmabuf for them, which knows nothing of the session."""
    result = shoot(replace(BY_IMAGE_COPY, faults=(Fault(Step.FEEDBACK, faults.hang_up),)), "-v")
    assert_shot(result, picture_of(BY_IMAGE_COPY))
    assert "by image-copy into dmabufs" in result.stderr
    (allocated,) = [line for line in result.stderr.splitlines() if "allocated" in line]
    assert "by the modifiers" in allocated
    assert "modifier LINEAR" in allocated


@pytest.mark.parametrize(
    "modifiers", [b"", struct.pack("=Q", 0x00FF_FFFF_FFFF_FFFF)], ids=["none", "INVALID"]
)
def test_a_session_that_knows_no_modifier_gets_a_linear_one(
    shoot: Shooter, modifiers: bytes
) -> None:
    result = shoot(of_session(("dmabuf_format", XR24, modifiers)), *IMAGE_COPY, "-v")
    (allocated,) = [line for line in result.stderr.splitlines() if "allocated" in line]
    assert "by the flag" in allocated
    assert "modifier LINEAR" in allocated
    assert_shot(result, picture_of(BY_IMAGE_COPY))


@pytest.mark.parametrize(
    "events",
    [
        (("dmabuf_format", XR24, b"1234567"),),
        (("dmabuf_device", b""), LINEAR),
        (("dmabuf_device", b"12345"), LINEAR),
    ],
)
def test_broken_constraints_of_dmabufs_are_told(
    shoot: Shooter, events: tuple[tuple[object, ...], ...]
) -> None:
    result = shoot(of_session(*events), *IMAGE_COPY)
    assert_failed(result, 1, "bytes")
    assert_told_at_once(result)


def test_they_do_not_matter_to_shared_memory(shoot: Shooter) -> None:
    config = of_session(("shm_format", 1), ("dmabuf_device", b""), ("dmabuf_format", 0, b"1"))
    assert_shot(shoot(config, "--buffer", "shm", device=None), picture_of(config))


@pytest.mark.parametrize("offered", [(), (("dmabuf_format", 0x3231564E, b""),)])
def test_no_dmabuf_of_a_session_that_can_be_read_is_told(
    shoot: Shooter, offered: tuple[tuple[object, ...], ...]
) -> None:
    result = shoot(of_session(("shm_format", 1), *offered))
    assert_failed(result, 4, "no pixel format of dmabufs")


@pytest.mark.parametrize("count", [1, 2])
def test_what_the_compositor_refuses_is_passed_over_in_a_session(
    shoot: Shooter, count: int
) -> None:
    either = struct.pack("=2Q", 0, 0x00FF_FFFF_FFFF_FFFF)
    config = of_session(("dmabuf_format", XR24, either))
    config = replace(config, faults=(Fault(Step.PARAMS, failing_first(count)),))
    assert_shot(shoot(config), picture_of(config))


@pytest.mark.parametrize("reason", [0, 1])
def test_a_dmabuf_that_fails_once_is_tried_again(shoot: Shooter, reason: int) -> None:
    config = replace(BY_IMAGE_COPY, faults=(Fault(Step.CAPTURE, faults.failing(reason, 1)),))
    assert_shot(shoot(config), picture_of(config))


def test_silence_about_a_buffer_of_a_session_ends_at_the_timeout(shoot: Shooter) -> None:
    config = replace(BY_IMAGE_COPY, faults=(Fault(Step.PARAMS, faults.withhold),))
    result = shoot(config, timeout=TIMEOUT)
    assert_failed(result, 1, "did not answer in time")
    assert_waited(result)


def test_a_driver_that_libgbm_lacks_is_told_of_a_session(shoot: Shooter) -> None:
    assert_failed(shoot(BY_IMAGE_COPY, gbm="no-device"), 4, NODE, "no driver")


def test_without_linux_dmabuf_a_session_can_have_no_dmabufs(shoot: Shooter) -> None:
    missing = replace(BY_IMAGE_COPY, dmabuf_version=0)
    assert_failed(shoot(missing, *IMAGE_COPY), 4, "zwp_linux_dmabuf_v1")


# Exports.


@pytest.mark.parametrize("reason", [TEMPORARY, RESIZING])
def test_an_export_cancelled_for_a_moment_is_tried_again(shoot: Shooter, reason: int) -> None:
    config = cancelling(reason, 3)
    assert_shot(shoot(config, *EXPORT), picture_of(config))


def test_an_export_cancelled_again_and_again_ends_at_the_timeout(shoot: Shooter) -> None:
    result = shoot(cancelling(TEMPORARY), *EXPORT, timeout=TIMEOUT)
    assert_failed(result, 1, "only cancelled exports of output 'FAKE-1'")
    assert_waited(result)


def test_an_export_cancelled_for_good_is_told_at_once(shoot: Shooter) -> None:
    result = shoot(cancelling(PERMANENT), *EXPORT)
    assert_failed(result, 1, "FAKE-1", "for good")
    assert_told_at_once(result)


@pytest.mark.parametrize("step", [Step.EXPORT, Step.EXPORTED])
def test_an_export_that_never_comes_ends_at_the_timeout(shoot: Shooter, step: Step) -> None:
    config = replace(CONFIG, faults=(Fault(step, faults.withhold),))
    result = shoot(config, *EXPORT, timeout=TIMEOUT)
    assert_failed(result, 1, "FAKE-1")
    assert_waited(result)


def test_an_output_that_goes_while_it_is_exported_is_told(shoot: Shooter) -> None:
    action = faults.doing(lambda compositor: compositor.remove_output("FAKE-1"))
    config = replace(
        CONFIG,
        faults=(Fault(Step.EXPORT, action), Fault(Step.EXPORTED, faults.withhold)),
    )
    result = shoot(config, *EXPORT)
    assert_failed(result, 6, "FAKE-1")
    assert_told_at_once(result)


FRAME = ("frame", 64, 48, 0, 0, 0, 0, XR24, 0, 0, 1)


@pytest.mark.parametrize(
    "said",
    [
        (),
        (FRAME,),
        (FRAME, ("ready", 0, 0, 0)),
        (("frame", 0, 48, *FRAME[3:]), ("ready", 0, 0, 0)),
        (("frame", 64, 1 << 31, *FRAME[3:]), ("ready", 0, 0, 0)),
        ((*FRAME[:-1], 0), ("ready", 0, 0, 0)),
        ((*FRAME[:-1], 5), ("ready", 0, 0, 0)),
        (("ready", 0, 0, 0),),
    ],
)
def test_an_impossible_export_is_an_error(
    shoot: Shooter, said: tuple[tuple[str, *tuple[int, ...]], ...]
) -> None:
    def action(moment: faults.Moment) -> bool:
        for event in said:
            moment.client.send(moment.resource.event(*event))
        return False

    config = replace(CONFIG, faults=(Fault(Step.EXPORT, action),))
    assert_failed(shoot(config, *EXPORT, timeout=TIMEOUT), 1)


@pytest.mark.parametrize(
    ("offset", "stride", "plane"),
    [(1, 256, 0), (0, 257, 0), (0, 255, 0), (0, 256, 1), (0, 256, 7), (1 << 31, 256, 0)],
)
def test_an_export_that_its_memory_does_not_hold_is_an_error(
    shoot: Shooter, offset: int, stride: int, plane: int
) -> None:
    def action(moment: faults.Moment) -> bool:
        frame = moment.resource
        moment.client.send(
            frame.event(*FRAME) + frame.event("object", 0, None, 64 * 48 * 4, offset, stride, plane)
        )
        frame.proceed(Step.EXPORT)
        return False

    result = shoot(replace(CONFIG, faults=(Fault(Step.EXPORT, action),)), *EXPORT)
    assert_failed(result, 1, "exported")
    assert_told_at_once(result)


@pytest.mark.parametrize(("offset", "stride"), [(1 << 31, 256), (0, (1 << 32) - 1)])
def test_an_export_of_tiles_beyond_the_numbers_of_gbm_is_an_error(
    shoot: Shooter, offset: int, stride: int
) -> None:
    """Where tiles end is the driver's to know; but it counts in ints."""
    tiled = (*FRAME[:8], 0x01000000, 2, 1)

    def action(moment: faults.Moment) -> bool:
        frame = moment.resource
        moment.client.send(
            frame.event(*tiled) + frame.event("object", 0, None, 64 * 48 * 4, offset, stride, 0)
        )
        frame.proceed(Step.EXPORT)
        return False

    result = shoot(replace(CONFIG, faults=(Fault(Step.EXPORT, action),)), *EXPORT)
    assert_failed(result, 1, "exported an impossible dmabuf")
    assert_told_at_once(result)
