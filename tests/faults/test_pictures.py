"""Compositors that are unusual, slow or vast, and right: the picture must be, too."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.fake import FORMATS, Config, FakeCompositor, Fault, Output, Step, faults
from tests.faults.command import LONG, assert_failed, assert_shot, picture_of, shoot, wayshot
from tests.unit.pngfile import read as read_png

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("y_invert", [False, True])
@pytest.mark.parametrize("transform", range(8))
def test_every_orientation_comes_out_upright(
    transform: int, *, y_invert: bool, version: int, tmp_path: Path
) -> None:
    output = Output(width=61, height=47, transform=transform, y_invert=y_invert, padding=12)
    config = Config(outputs=(output,), screencopy_version=version)
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize("padding", [0, 1, 3, 4, 60, 3840])
def test_any_stride_that_holds_a_row_will_do(padding: int, tmp_path: Path) -> None:
    config = Config(outputs=(Output(padding=padding),))
    assert_shot(shoot(config, tmp_path), picture_of(config))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("padding", [0, 24])
def test_every_format_keeps_its_depth(name: str, padding: int, tmp_path: Path) -> None:
    shm_format = FORMATS[name]
    output = Output(width=67, shm_format=shm_format, padding=padding)
    result = shoot(Config(outputs=(output,)), tmp_path)
    assert result.code == 0, result.stderr
    png = read_png((tmp_path / "shot.png").read_bytes())  # Pillow halves what has 16 bits
    assert png.depth == (16 if max(bits for _, bits in shm_format.channels) > 8 else 8)
    samples = np.frombuffer(png.pixels, f">u{png.depth // 8}").reshape(48, 67, 3)
    assert np.array_equal(samples, shm_format.shown(output.upright(0), png.depth))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 2)])
def test_tiny_outputs(size: tuple[int, int], tmp_path: Path) -> None:
    config = Config(outputs=(Output(width=size[0], height=size[1]),))
    assert_shot(shoot(config, tmp_path), picture_of(config))


def test_holes_between_outputs_are_transparent(tmp_path: Path) -> None:
    config = Config(
        outputs=(
            Output("FAKE-1", x=-100, y=20),
            Output("FAKE-2", 30, 70, transform=5, x=10, y=-40),
            Output("FAKE-3", 20, 20, x=100, y=100),
        )
    )
    assert_shot(shoot(config, tmp_path), picture_of(config))


def test_only_the_outputs_named_are_captured(tmp_path: Path) -> None:
    outputs = tuple(Output(f"FAKE-{n}", x=64 * n) for n in range(3))
    with FakeCompositor(Config(outputs=outputs)) as compositor:
        result = wayshot(compositor, tmp_path, "-o", "FAKE-2", "-o", "FAKE-1", "shot.png")
        assert compositor.count("zwlr_screencopy_manager_v1", "capture_output") == 2
    whole = picture_of(Config(outputs=outputs))
    assert_shot(result, whole[:, 64:])


@pytest.mark.parametrize("transform", range(8))
@pytest.mark.parametrize("scale", [1, 2])
def test_a_region_inside_an_output_is_cut_out_in_pixels(
    scale: int, transform: int, tmp_path: Path
) -> None:
    output = Output(width=120, height=80, transform=transform, scale=scale, x=7, y=-3)
    result = shoot(Config(outputs=(output,)), tmp_path, "-g", "12,2 20x15")
    left, top = 5 * scale, 5 * scale
    expected = output.upright(0)[top : top + 15 * scale, left : left + 20 * scale]
    assert_shot(result, expected)


def test_what_of_a_region_no_output_covers_is_transparent(tmp_path: Path) -> None:
    result = shoot(Config(), tmp_path, "-g", "-10,40 30x20")
    expected = np.zeros((20, 30, 4), np.uint8)
    expected[:8, 10:, :3] = Output().upright(0)[40:48, :20]
    expected[:8, 10:, 3] = 255
    assert_shot(result, expected)


def test_a_region_that_no_output_covers_is_none(tmp_path: Path) -> None:
    assert_failed(shoot(Config(), tmp_path, "-g", "64,0 10x10"), 5, "64,0 10x10")


@pytest.mark.parametrize(
    "words",
    [
        ("-s", "1e308"),
        ("-s", "1e300"),
        ("-s", "2000"),
        ("-s", "2000", "-g", "0,0 40x40"),
        ("-g", "0,0 60000x60000"),
        ("-g", "0,0 70000x1"),
    ],
    ids=" ".join,
)
def test_a_picture_beyond_all_measure_is_refused_before_any_is_taken(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    with FakeCompositor() as compositor:
        result = wayshot(compositor, tmp_path, *words, "shot.png")
        assert not [r for r in compositor.requests if r.name.startswith("capture_output")]
    assert_failed(result, 2, "too large")
    assert len(result.stderr) < 200


def test_each_answer_has_its_own_time(tmp_path: Path) -> None:
    config = Config(latency=0.6)
    result = shoot(config, tmp_path, timeout=2.0)
    assert_shot(result, picture_of(config))
    assert result.elapsed >= 4 * config.latency  # globals, outputs, offer, frame


def test_a_compositor_that_sends_byte_after_byte_is_understood(tmp_path: Path) -> None:
    config = Config(dribble=0.0003)
    assert_shot(shoot(config, tmp_path), picture_of(config))


def test_thousands_of_globals(tmp_path: Path) -> None:
    config = Config(decoys=5000)
    assert_shot(shoot(config, tmp_path), picture_of(config))


def test_a_thousand_outputs(tmp_path: Path) -> None:
    outputs = tuple(Output(f"FAKE-{n}", 8, 8, x=8 * n) for n in range(1000))
    config = Config(outputs=outputs)
    with FakeCompositor(config) as compositor:
        listed = wayshot(compositor, tmp_path, "list", "--timeout", str(LONG), "--json")
        names = [output["name"] for output in json.loads(listed.stdout)["outputs"]]
        assert names == [output.name for output in outputs]
        words = ("--timeout", str(LONG), "-o", "FAKE-999", "shot.png")
        last = wayshot(compositor, tmp_path, *words)
    assert_shot(last, outputs[999].upright(999))


def test_more_requests_than_the_socket_holds_while_the_compositor_is_busy(tmp_path: Path) -> None:
    outputs = tuple(Output(f"FAKE-{n}", 8, 8, x=8 * n) for n in range(6000))
    busy = (
        Fault(Step.SHM_FORMATS, faults.dozing(0.4)),
        Fault(Step.OUTPUT, faults.dozing(0.4), output="FAKE-0"),
    )
    with FakeCompositor(Config(outputs=outputs, faults=busy)) as compositor:
        words = ("--timeout", str(LONG), "-o", "FAKE-5999", "shot.png")
        result = wayshot(compositor, tmp_path, *words)
    assert_shot(result, outputs[5999].upright(5999))


def test_a_picture_of_two_hundred_outputs(tmp_path: Path) -> None:
    outputs = tuple(Output(f"FAKE-{n}", 8, 8, x=8 * n) for n in range(200))
    config = Config(outputs=outputs)
    assert_shot(shoot(config, tmp_path), picture_of(config))


def test_the_list_says_what_the_compositor_says(tmp_path: Path) -> None:
    output = Output(
        "FAKE-1",
        1200,
        800,
        transform=5,
        scale=2,
        x=-7,
        y=9,
        logical=(533, 800),
        refresh=59_940,
        description="so it is",
        make="Maker",
        model="Model",
        physical_size=(300, 200),
    )
    with FakeCompositor(Config(outputs=(output, replace(output, refresh=0)))) as compositor:
        result = wayshot(compositor, tmp_path, "list", "--json")
    assert result.code == 0
    first, second = json.loads(result.stdout)["outputs"]
    assert first.pop("scale") == pytest.approx(1.5)
    assert first == {
        "name": "FAKE-1",
        "description": "so it is",
        "make": "Maker",
        "model": "Model",
        "x": -7,
        "y": 9,
        "width": 533,
        "height": 800,
        "integer_scale": 2,
        "transform": "flipped-90",
        "mode": {"width": 1200, "height": 800, "refresh": 59.94},
        "physical_size_mm": [300, 200],
    }
    assert second["mode"]["refresh"] is None


def test_a_shot_leaves_nothing_behind_in_the_compositor(tmp_path: Path) -> None:
    with FakeCompositor() as compositor:
        assert_shot(wayshot(compositor, tmp_path, "shot.png"), Output().upright(0))
        assert [leak for leak in compositor.leaks if "frame" in leak] == []
        assert compositor.connections == 1
        assert compositor.held_fds == 0
