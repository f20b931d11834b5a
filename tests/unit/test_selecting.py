"""The lines of a menu, and what a frozen screen shows."""

import os
import signal
import subprocess
import sys
import time

from hypothesis import given
from hypothesis import strategies as st

from wayshot_cli.cli.children import descendants, ending_children
from wayshot_cli.cli.selecting import _told_apart
from wayshot_cli.freeze import _pixels_of
from wayshot_cli.geometry import Size

FEW = st.sampled_from(["a", "a (2)", "a ", "a\n", "", "\x1b[31m", "a" * 300])


@given(st.lists(st.text() | FEW))
def test_each_line_of_a_menu_is_a_line_and_no_other(labels: list[str]) -> None:
    lines = _told_apart(labels)
    assert len(set(lines)) == len(lines) == len(labels)
    for line in lines:
        assert line.isprintable()
        assert line.strip() == line
        assert len(line) < 300


def test_a_line_says_what_the_label_did() -> None:
    labels = ["foot: sh", "foot: sh", "mpv: \ttab", "foot: sh (2)"]
    assert _told_apart(labels) == ["foot: sh", "foot: sh (2)", "mpv: \\ttab", "foot: sh (2) (2)"]


@given(st.builds(Size, st.integers(320, 8192), st.integers(200, 8192)), st.integers(120, 360))
def test_no_more_pixels_are_shown_than_there_are_and_few_less(native: Size, step: int) -> None:
    scale = step / 120
    logical = Size(*(int(side / scale) for side in native))
    shown = _pixels_of(logical, native)
    for pixels, there in zip(shown, native, strict=True):
        assert there - scale - 1 < pixels <= there


def test_whole_scales_show_every_pixel() -> None:
    for scale in (1, 2, 3):
        native = Size(640 * scale, 480 * scale)
        assert _pixels_of(Size(640, 480), native) == native


def test_what_a_child_has_started_is_found() -> None:
    script = "import subprocess, sys; subprocess.run(['sleep', '60'])"
    child = subprocess.Popen([sys.executable, "-c", script])
    try:
        while len(found := list(descendants(child.pid))) < 1:
            assert child.poll() is None
            time.sleep(0.01)
        (grandchild,) = found
        assert {child.pid, grandchild} <= set(descendants(os.getpid()))
        os.kill(grandchild, 9)
    finally:
        child.kill()
        child.wait()


def test_what_was_there_before_is_not_ended() -> None:
    with subprocess.Popen(["sleep", "60"]) as before:
        end_children = ending_children()
        with subprocess.Popen(["sh", "-c", "sleep 60; true"]) as ours:
            end_children()
            assert ours.wait(20) == -signal.SIGTERM
        assert before.poll() is None
        before.kill()
