"""Recordings of one process after the other, by the library: nothing may be left of them."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from tests.descriptors import descriptors, leaving_no_more, memory, threads
from tests.fake import Config, FakeCompositor, Fault, Film, Output, Step, faults
from wayshot_cli.backends.screencopy import Screencopy
from wayshot_cli.encode.stream import VideoOptions
from wayshot_cli.encode.video import Video
from wayshot_cli.encode.y4m import Y4m
from wayshot_cli.errors import CaptureError, TargetLostError
from wayshot_cli.pacing import SECOND
from wayshot_cli.record import Recorder
from wayshot_cli.sinks import RecordingFile
from wayshot_cli.sources import OutputSource
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wayshot_cli.encode.stream import Stream
    from wayshot_cli.frame import Frame

SIXTY = Fraction(60)
MOVING = Output(film=Film(SIXTY))
TIMES = 20


@pytest.fixture
def record_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that makes a short recording, as y4m or as mkv."""

    def record_one(compositor: FakeCompositor, kind: str, duration_ns: int = SECOND) -> None:
        for name, value in compositor.environ.items():
            monkeypatch.setenv(name, value)
        file = RecordingFile(tmp_path / f"a.{kind}")

        def open_stream(frame: Frame, _number: int) -> Stream:
            if kind == "y4m":
                return Y4m(file.write_all, frame, SIXTY)
            return Video(file, kind, frame, None, VideoOptions())

        try:
            with Connection(timeout=1.0) as link, OutputSource(link, Screencopy(link)) as source:
                recorder = Recorder(
                    source,
                    open_stream,
                    rate=SIXTY if kind == "y4m" else None,
                    duration_ns=duration_ns,
                )
                recorder.first()
                recorder.run()
        finally:
            file.close()

    return record_one


def check_repeated(config: Config, call: Callable[[FakeCompositor], None]) -> None:
    """Check that doing something again and again leaves nothing behind."""
    with FakeCompositor(config) as compositor:
        call(compositor)  # which loads modules
        compositor.wait_until_gone()
        with leaving_no_more(descriptors, memory, threads):
            for _ in range(TIMES):
                call(compositor)
        compositor.wait_until_gone()
        assert compositor.violations == []
        assert compositor.leaks == []


@pytest.mark.parametrize("kind", ["y4m", "mkv"])
def test_recordings_leave_nothing_behind(kind: str, record_one: Callable[..., None]) -> None:
    check_repeated(Config((MOVING,)), lambda compositor: record_one(compositor, kind, SECOND // 16))


def at_third_frame(action: faults.Action) -> Fault:
    """Return a fault that happens to each client at its third frame."""
    served: Counter[int] = Counter()

    def act(moment: faults.Moment) -> bool:
        served[moment.client.number] += 1
        return served[moment.client.number] != 3 or action(moment)

    return Fault(Step.FLAGS, act)


@pytest.mark.parametrize("kind", ["y4m", "mkv"])
def test_recordings_that_fail_leave_nothing_behind(
    kind: str, record_one: Callable[..., None]
) -> None:
    def fail(compositor: FakeCompositor) -> None:
        with pytest.raises(CaptureError, match="closed the connection"):
            record_one(compositor, kind)

    check_repeated(Config((MOVING,), faults=(at_third_frame(faults.hang_up),)), fail)


def test_recordings_of_what_goes_away_leave_nothing_behind(
    record_one: Callable[..., None],
) -> None:
    def lose(compositor: FakeCompositor) -> None:
        with pytest.raises(TargetLostError):
            record_one(compositor, "y4m")
        compositor.add_output(MOVING)

    unplug = faults.doing(lambda compositor: compositor.remove_output("FAKE-1"))
    check_repeated(Config((MOVING,), faults=(at_third_frame(unplug),)), lose)
