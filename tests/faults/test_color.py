"""The colour of a pixel: on unusual screens, for unusual words, and copied in vain."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.fake import FORMATS, Config, FakeCompositor, Fault, Output, Step, faults
from tests.faults.command import LIMIT, LONG, TIMEOUT, assert_failed, assert_waited, wayshot
from tests.orphans import Orphans, adopted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.command import Result

CONFIG = Config(seat_version=5, ext_data_control_version=1)


@pytest.fixture
def holders() -> Iterator[Orphans]:
    """The processes that hold the clipboard."""
    with adopted("ws-clipboard") as orphans:
        yield orphans


def run(config: Config, folder: Path, *words: str, timeout: float = LONG) -> Result:
    with FakeCompositor(config) as compositor:
        result = wayshot(compositor, folder, "color", "--timeout", str(timeout), *words)
        assert compositor.leaks == []
    return result


def facts(config: Config, folder: Path, *words: str) -> dict[str, Any]:
    result = run(config, folder, "--json", *words)
    assert (result.code, result.stderr) == (0, "")
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def hex_of(pixel: Any) -> str:
    return "#" + bytes(pixel).hex()


@pytest.mark.parametrize("image_copy", [0, 1])
@pytest.mark.parametrize("transform", range(8))
def test_every_orientation_has_the_pixel_at_its_place(
    transform: int, image_copy: int, tmp_path: Path
) -> None:
    output = Output(width=61, height=47, x=-10, y=5, transform=transform, padding=12)
    config = Config(outputs=(output,), image_copy_version=image_copy)
    found = facts(config, tmp_path, "-3,25")
    assert found["hex"] == hex_of(output.upright(0)[20, 7])
    assert found["point"] == {"x": -3, "y": 25}
    assert found["pixel"] == {"x": 7, "y": 20}
    assert found["output"] == "FAKE-1"


def test_decimals_reach_the_pixels_in_between(tmp_path: Path) -> None:
    output = Output(scale=2)
    config = Config(outputs=(output,))
    for x, y, column, row in (("4", "6", 8, 12), ("4.5", "6", 9, 12), ("31.9", "23.5", 63, 47)):
        result = run(config, tmp_path, f"{x},{y}")
        assert result.stdout.decode() == hex_of(output.upright(0)[row, column]) + "\n"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_of_the_screen_is_read_to_its_depth(name: str, tmp_path: Path) -> None:
    shm_format = FORMATS[name]
    output = Output(shm_format=shm_format)
    found = facts(Config(outputs=(output,)), tmp_path, "5,7")
    is_deep = max(bits for _, bits in shm_format.channels) > 8
    shown = shm_format.shown(output.upright(0), 16 if is_deep else 8)[7, 5]
    channels = np.array([found["channels"][it] for it in ("red", "green", "blue")])
    assert channels * (65535 if is_deep else 255) == pytest.approx(shown, abs=1e-6)
    assert found["hex"] == hex_of(np.floor(channels * 255 + 0.5).astype(np.uint8))


def test_each_output_has_its_own_pixels_and_the_last_one_lies_uppermost(tmp_path: Path) -> None:
    outputs = Output("FAKE-1"), Output("FAKE-2", x=64), Output("FAKE-3", x=60, width=8)
    config = Config(outputs=outputs)
    for point, name, pixel in (
        ("59,3", "FAKE-1", (3, 59)),
        ("68,3", "FAKE-2", (3, 4)),
        ("63,3", "FAKE-3", (3, 3)),
        ("64,3", "FAKE-3", (3, 4)),
    ):
        found = facts(config, tmp_path, point)
        index = int(name[-1]) - 1
        assert (found["output"], found["hex"]) == (
            name,
            hex_of(outputs[index].upright(index)[pixel]),
        )


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        ([], "#db2100"),
        (["-f", "hex"], "#db2100"),
        (["-f", "rgb"], "rgb(219 33 0)"),
        (["--format", "hsl"], "hsl(9.04 100% 42.94%)"),
        (["-f", "oklch"], "oklch(57.05% 0.21974 31.41)"),
    ],
)
def test_it_is_written_as_wished(words: list[str], printed: str, tmp_path: Path) -> None:
    result = run(Config(), tmp_path, "3,7", *words)
    assert (result.stdout.decode(), result.code) == (printed + "\n", 0)


@pytest.mark.parametrize("point", ["64,0", "0,48", "-1,0", "-0.1,0", "9999,9999", "64,0 1x1"])
def test_a_point_outside_all_outputs_is_not_found(point: str, tmp_path: Path) -> None:
    result = run(Config(), tmp_path, point)
    assert_failed(result, 5, "no output lies under")
    assert "FAKE-1 at 0,0 64x48" in result.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nonsense"], "not a point: 'nonsense'"),
        (["1,2", "3,4"], "unexpected extra argument"),
        (["--nonsense"], "--nonsense"),
        (["-x", "1,2"], "-x"),
        (["-f", "cmyk", "1,2"], "'cmyk'"),
        (["--json", "-f", "hex", "1,2"], "--json"),
        (["--freeze", "1,2"], "--freeze"),
        (["--selector", "slurp", "1,2"], "--selector"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], complaint: str, tmp_path: Path) -> None:
    result = run(Config(), tmp_path, *words)
    assert_failed(result, 2, complaint)


def test_an_empty_point_is_a_selection_that_was_cancelled(tmp_path: Path) -> None:
    assert_failed(run(Config(), tmp_path, ""), 3, "cancelled")


def test_silence_ends_at_the_timeout(tmp_path: Path) -> None:
    silent = Config(faults=(Fault(Step.READY, faults.fall_silent),))
    result = run(silent, tmp_path, "1,2", timeout=TIMEOUT)
    assert_failed(result, 1, "did not answer in time")
    assert_waited(result)


class TestClipboard:
    """What is printed is copied, too."""

    @pytest.mark.parametrize("words", [[], ["-f", "oklch"], ["--json"]])
    def test_under_all_names_of_text(
        self, words: list[str], holders: Orphans, tmp_path: Path
    ) -> None:
        with FakeCompositor(CONFIG) as compositor:
            result = subprocess.run(
                [sys.executable, "-m", "wayshot_cli", "color", "3,7", "--clipboard", *words],
                env=compositor.env,
                cwd=tmp_path,
                capture_output=True,
                timeout=LIMIT,
                check=True,
            )
            assert result.stderr == b""
            types = compositor.clipboard.mime_types
            assert types[0] == "text/plain;charset=utf-8"
            for mime_type in types:
                with open(compositor.paste(mime_type), "rb") as pasted:
                    assert pasted.read() + b"\n" == result.stdout
            compositor.replace_clipboard()
            holders.wait_until(0)

    def test_without_a_way_the_colour_is_printed_and_the_error_told(
        self, holders: Orphans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        result = run(Config(), tmp_path, "3,7", "--clipboard")
        assert result.code == 4
        assert "neither ext-data-control nor wlr-data-control" in result.complaint
        assert "install wl-clipboard" in result.stderr
        assert result.stdout.startswith(b"#")
        holders.wait_until(0)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_while_it_is_copied_leaves_no_process(
        self, number: signal.Signals, holders: Orphans, tmp_path: Path
    ) -> None:
        silent = Fault(Step.SELECTION, faults.fall_silent)
        config = Config(seat_version=5, ext_data_control_version=1, faults=(silent,))
        with FakeCompositor(config) as compositor:
            command = subprocess.Popen(
                [sys.executable, "-m", "wayshot_cli", "color", "3,7", "--clipboard"],
                env=compositor.env,
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            compositor.wait_for("ext_data_control_device_v1", "set_selection")
            os.kill(command.pid, number)
            assert command.communicate(timeout=LIMIT)[1] == b""
            expected = signal.SIGTERM if number == signal.SIGHUP else number
            assert command.returncode == 128 + expected
            holders.wait_until(0)
            compositor.wait_until_gone()
