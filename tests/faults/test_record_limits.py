"""Recordings at their limits: refused regions, readers of whole files, names, too many stills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from tests import y4m
from tests.fake import Config, FakeCompositor, Fault, Film, Output, Step, faults
from tests.faults.command import assert_failed
from tests.faults.recording import (
    FRAME,
    SOON,
    STATIC,
    moving,
    once,
    record,
    recording,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("refusals", ["once", "always"])
def test_a_region_stays_one_after_the_compositor_refused_it(tmp_path: Path, refusals: str) -> None:
    """Some compositors serve no region: then what was asked for is cut out of each frame."""
    film = Film(Fraction(30), box=(8, 8, 32, 32))
    refused = (
        once(Step.READY, faults.failed, skip=3)
        if refusals == "once"
        else Fault(Step.READY, _failing_regions)
    )
    config = Config((Output(film=film, refresh=30_000),), faults=(refused,))
    words = ("-g", "8,8 32x32", "--on-resize", "segment", "a.y4m")
    with recording(config, tmp_path, *words) as running:
        running.compositor.wait_for(FRAME, "copy_with_damage", 20)
        result = running.told(signal.SIGINT)
    assert (result.code, result.words) == (0, "")
    assert result.files == ["a.y4m"]
    assert result.stream()[0].size == (32, 32)
    counters = result.counters()
    assert counters == sorted(counters)
    assert len(set(counters)) > 5


def _failing_regions(moment: faults.Moment) -> bool:
    frame = moment.resource
    return faults.failed(moment) if getattr(frame, "region", None) else True


class TestWholeFormats:
    """gif, apng and webp are worth nothing before their end."""

    def test_a_reader_that_takes_nothing_does_not_hold_the_end_up(self, tmp_path: Path) -> None:
        read, write = os.pipe()
        arguments = ("-t", "apng", "-")
        with recording(
            moving(width=1280, height=960), tmp_path, *arguments, stdout=write
        ) as running:
            os.close(write)
            # No two pictures go into a pipe, be it ever so wide.
            running.compositor.wait_for(FRAME, "copy_with_damage", 10)
            result = running.told(signal.SIGINT)
        os.close(read)
        assert result.code == 1
        assert "nobody took it" in result.stderr

    def test_a_reader_that_leaves_before_the_end_has_nothing(self, tmp_path: Path) -> None:
        command = f"{sys.executable} -m wayshot_cli record --duration 0.5 -t gif - | true"
        with FakeCompositor(moving()) as compositor:
            done = subprocess.run(
                ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
                env=compositor.env,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=SOON * 5,
                check=False,
            )
        assert done.returncode == 1
        assert "reader has gone" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_generated_name_is_said_although_the_output_goes_away(tmp_path: Path) -> None:
    with (
        FakeCompositor(moving()) as compositor,
        recording(compositor, tmp_path, "-t", "y4m", "-o", "FAKE-1", ".") as running,
    ):
        running.wait_until(lambda: any(tmp_path.iterdir()))
        compositor.remove_output("FAKE-1")
        result = running.result()
    assert result.code == 6
    (name,) = result.files
    assert result.stdout.decode() == f"./{name}\n"
    with (tmp_path / name).open("rb") as file:
        assert list(y4m.Stream(file))


@pytest.mark.parametrize("rate", ["0.0004", "1/1001", "1001", "1e9", "-1/-0"])
def test_rates_beyond_measure_are_refused(tmp_path: Path, rate: str) -> None:
    assert_failed(record(STATIC, tmp_path, "--fps", rate, "a.y4m"), 2, rate)


def test_a_rate_with_many_digits_is_one_that_players_can_read(tmp_path: Path) -> None:
    result = record(STATIC, tmp_path, "--fps", "23.123456789012", "--frames", "3", "a.y4m")
    rate = result.stream()[0].rate
    assert rate.denominator <= 1001
    assert abs(rate - Fraction("23.123456789012")) < Fraction(1, 1000)
