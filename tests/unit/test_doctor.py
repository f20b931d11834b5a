"""The doctor's verdicts, from facts alone, and how they are put into words."""

from __future__ import annotations

import grp
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from PIL import features

from wayshot_cli import doctor
from wayshot_cli.backends import PassedOver
from wayshot_cli.buffers import gbm
from wayshot_cli.cli.doctor import columns
from wayshot_cli.doctor import (
    KINDS,
    TARGETS,
    Choice,
    Compositor,
    Encoders,
    Format,
    Gpu,
    Node,
    PipeWire,
    Portal,
    Problem,
    Protocol,
    Report,
    Rung,
    Session,
    Software,
    Taken,
    Trial,
)
from wayshot_cli.errors import UnsupportedError
from wayshot_cli.geometry import Size

if TYPE_CHECKING:
    from pathlib import Path

BY_SHM = Taken("screencopy", "shared memory", waits_for_damage=True, passed_over=())
NO_DMABUF = Problem("sway does not offer zwp_linux_dmabuf_v1")


def choices(buffer: str, taken: Taken | None, problem: Problem | None) -> tuple[Choice, ...]:
    return tuple(
        Choice(target, kind, buffer, taken, problem) for target in TARGETS for kind in KINDS
    )


SOUND = Report(
    software=Software("0.1.0", "3.11.2", "Linux 6.1", None, {"click": "8.1", "av": None}),
    session=Session({"WAYLAND_DISPLAY": "wayland-1", "XDG_CURRENT_DESKTOP": None}, "/run/w"),
    compositor=Compositor("sway", 7),
    problem=None,
    globals={"wl_shm": 1, "wl_seat": 7},
    protocols=(Protocol("wl_shm", 1, 1), Protocol("zwp_linux_dmabuf_v1", 4, None)),
    outputs=(),
    gpu=Gpu(None, (), None, NO_DMABUF),
    rungs=(Rung("screencopy", "shm", None), Rung("screencopy", "dmabuf", NO_DMABUF)),
    choices=(*choices("auto", BY_SHM, None), *choices("dmabuf", None, NO_DMABUF)),
    trials=(Trial("DP-1", "auto", Size(640, 480), None),),
    portal=Portal("unix:path=/bus", 5, ("monitor", "window"), ("embedded",), None),
    pipewire=PipeWire("1.4.0", None, "/run/pipewire-0", None),
    encoders=Encoders((Format("png", None),), (Format("y4m", None),), {}, "7.1", None),
)
DARK = Trial("DP-2", "auto", None, Problem("DP-2 is dark", "switch it on"))


def rows(report: Report, section: str) -> list[tuple[str, str]]:
    return columns(report)[section]


def test_one_still_is_enough() -> None:
    assert SOUND.can_shoot
    assert SOUND.why_not is None
    report = SOUND._replace(trials=(DARK, *SOUND.trials), problem=Problem("it hung up then"))
    assert report.can_shoot
    assert report.why_not is None


def test_a_still_by_dmabuf_alone_is_none_that_a_plain_shot_takes() -> None:
    by_dmabuf = SOUND.trials[0]._replace(buffer="dmabuf")
    report = SOUND._replace(trials=(DARK, by_dmabuf))
    assert not report.can_shoot
    assert report.why_not == DARK.problem


def test_the_first_thing_that_fails_is_the_reason() -> None:
    gone = Problem("no compositor", "start one")
    nobody = SOUND._replace(choices=(), trials=(), rungs=(), problem=gone)
    assert nobody.why_not == gone
    lacking = Problem("no protocol", "another compositor")
    refused = SOUND._replace(choices=choices("auto", None, lacking), trials=(), problem=gone)
    assert refused.why_not == lacking
    assert SOUND._replace(trials=(DARK,), problem=gone).why_not == DARK.problem


def test_windows_that_cannot_be_captured_are_no_reason() -> None:
    lacking = Problem("no windows here")
    windows = [
        choice._replace(taken=None, problem=lacking)
        for choice in SOUND.choices
        if choice.target == "window"
    ]
    others = [choice for choice in SOUND.choices if choice.target != "window"]
    report = SOUND._replace(choices=(*others, *windows), trials=(DARK,))
    assert report.why_not == DARK.problem


def test_a_session_without_outputs_says_so() -> None:
    report = SOUND._replace(trials=())
    assert not report.can_shoot
    assert report.why_not
    assert "no outputs" in report.why_not.message


def test_advice_starts_with_what_keeps_stills_away_and_comes_once() -> None:
    lacking = Format("mp4", Problem("no PyAV", "install PyAV"))
    encoders = SOUND.encoders._replace(
        recordings=(lacking, lacking._replace(name="mkv")),
        ffmpeg=None,
        ffmpeg_problem=Problem("no ffmpeg", "install ffmpeg"),
    )
    assert SOUND._replace(encoders=encoders).advice == ["install PyAV", "install ffmpeg"]
    report = SOUND._replace(encoders=encoders, trials=(DARK,))
    assert report.advice == ["switch it on", "install PyAV", "install ffmpeg"]


def test_without_pyav_and_avif_the_rest_is_told_with_advice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    encoders = doctor._encoders(10)
    assert [format_.name for format_ in encoders.stills if format_.problem] == ["avif"]
    written = [format_.name for format_ in encoders.recordings if not format_.problem]
    assert written == ["y4m", "raw"]
    assert encoders.codecs == {}
    report = SOUND._replace(encoders=encoders)
    assert any("wayshot-cli[video]" in hint for hint in report.advice)
    assert ("recordings", "y4m raw") in rows(report, "Files")
    assert ("stills", "not avif: Pillow was built without avif") in rows(report, "Files")


def test_advice_on_libgbm_is_for_machines_with_a_gpu() -> None:
    without = SOUND.gpu._replace(libgbm=Problem("no libgbm", "install libgbm1"))
    assert SOUND._replace(gpu=without).advice == []
    node = Node("/dev/dri/renderD128", "i915", None, is_main_device=False, problem=without.libgbm)
    assert SOUND._replace(gpu=without._replace(nodes=(node,))).advice == ["install libgbm1"]


def test_json_has_the_verdicts_and_all_facts_by_name() -> None:
    facts: dict[str, Any] = json.loads(json.dumps(SOUND.as_json()))
    assert set(facts) == {"can_shoot", "why_not", "advice", *Report._fields}
    assert facts["choices"][0]["taken"] == {
        "backend": "screencopy",
        "memory": "shared memory",
        "waits_for_damage": True,
        "passed_over": [],
    }
    assert facts["gpu"]["problem"] == {"message": NO_DMABUF.message, "hint": None}
    assert facts["protocols"][1] == {
        "interface": "zwp_linux_dmabuf_v1",
        "usable": 4,
        "offered": None,
    }
    passed_over = BY_SHM._replace(passed_over=(PassedOver("image-copy", "not offered"),))
    report = SOUND._replace(choices=choices("auto", passed_over, None))
    assert report.as_json()["choices"][0]["taken"]["passed_over"] == [
        {"name": "image-copy", "reason": "not offered"}
    ]


def test_ways_are_told_by_memory() -> None:
    assert rows(SOUND, "Backends") == [
        ("screencopy", "into shared memory"),
        ("screencopy", f"not into dmabufs: {NO_DMABUF.message}"),
    ]
    assert rows(SOUND, "Stills and recordings") == [
        ("output, region, window", "by screencopy into shared memory"),
        ("output, region, window", f"--buffer dmabuf: not at all: {NO_DMABUF.message}"),
        ("tried DP-1", "gave a picture of 640x480"),
    ]
    rungs = (Rung("x", "shm", NO_DMABUF), Rung("x", "dmabuf", NO_DMABUF))
    assert rows(SOUND._replace(rungs=rungs), "Backends") == [
        ("x", f"unusable: {NO_DMABUF.message}")
    ]


def test_targets_that_are_captured_alike_share_a_row() -> None:
    problem = Problem("no windows here")
    report = SOUND._replace(
        choices=tuple(
            choice._replace(taken=None, problem=problem) if choice.target == "window" else choice
            for choice in choices("auto", BY_SHM, None)
        ),
        trials=(),
    )
    assert rows(report, "Stills and recordings") == [
        ("output, region", "by screencopy into shared memory"),
        ("window", "not at all: no windows here"),
    ]


def test_what_was_not_asked_is_not_told() -> None:
    nobody = SOUND._replace(compositor=None, rungs=(), choices=(), trials=())
    assert rows(nobody, "Protocols") == []
    assert rows(nobody, "Backends") == []
    assert rows(nobody, "Stills and recordings") == []


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (
            Node("/dev/dri/renderD128", "i915", "drm", is_main_device=True, problem=None),
            "i915, the compositor's main device, served by GBM's 'drm'",
        ),
        (
            Node(
                "/dev/dri/renderD128",
                None,
                None,
                is_main_device=False,
                problem=Problem("/dev/dri/renderD128: Permission denied"),
            ),
            "driver unknown, Permission denied",
        ),
    ],
)
def test_nodes_are_told_with_what_is_known(node: Node, words: str) -> None:
    report = SOUND._replace(gpu=Gpu(None, (node,), "226:128", None))
    assert (node.path, words) in rows(report, "GPU memory")


def test_a_node_that_may_not_be_opened_is_told_with_its_group(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "renderD128"
    path.touch()

    def refuse(path: str) -> None:
        message = f"{path}: Permission denied"
        raise UnsupportedError(message) from PermissionError()

    monkeypatch.setattr(gbm, "Device", refuse)
    node = doctor._node(str(path), is_main=True)
    group = grp.getgrgid(path.stat().st_gid).gr_name
    assert node.problem == Problem(
        f"{path}: Permission denied", f"{path} is open to the group {group!r}"
    )


def test_a_main_device_that_is_not_here_is_told() -> None:
    report = SOUND._replace(gpu=Gpu(None, (), "226:1", None))
    assert ("main device", "226:1 of the compositor is not among them") in rows(
        report, "GPU memory"
    )
