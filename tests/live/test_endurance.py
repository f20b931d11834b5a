"""Many shots in a row, and the library beside other users of libwayland."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.live.command import PATIENCE
from tests.stage import pattern

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stage import Sway

STRICT = ("-X", "dev", "-W", "error")


@pytest.mark.parametrize(
    ("options", "env", "count"),
    [
        ((), {}, 200),
        ((), {"WAYSHOT_CLEAN_EXIT": "1"}, 60),
        (STRICT, {"WAYSHOT_CLEAN_EXIT": "1"}, 40),
    ],
    ids=["plain", "clean-exit", "strict"],
)
def test_shot_after_shot(
    one_output: Sway, tmp_path: Path, options: list[str], env: dict[str, str], count: int
) -> None:
    """No crash at exit, no warning, no file left anywhere, the same bytes each time."""
    path = tmp_path / "a.png"
    command = [sys.executable, *options, "-m", "wayshot_cli", str(path)]
    environment = {**one_output.env, "TMPDIR": str(tmp_path), **env}
    before = sorted(one_output.runtime_dir.iterdir())
    pictures = set()
    for _ in range(count):
        result = subprocess.run(
            command, env=environment, capture_output=True, timeout=PATIENCE, check=False
        )
        assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
        pictures.add(path.read_bytes())
    assert len(pictures) == 1
    assert list(tmp_path.iterdir()) == [path]
    assert sorted(one_output.runtime_dir.iterdir()) == before


LEAKS = """
import gc, os
from pathlib import Path
import wayshot_cli

def held():
    gc.collect()
    maps = Path("/proc/self/maps").read_text().splitlines()
    return len(os.listdir("/proc/self/fd")), sum("memfd:" in line for line in maps), len(maps)

for _ in range(20):
    wayshot_cli.shot(output="HEADLESS-1").close()
before = held()
for number in range(300):
    with wayshot_cli.shot(output="HEADLESS-1") as frame:
        assert (frame.width, frame.height) == (203, 117)
    del frame
after = held()
assert after[:2] == before[:2] and before[1] == 0, (before, after)
# malloc may have taken a few more arenas, but not one mapping a shot.
assert after[2] < before[2] + 30, (before, after)
"""

FRAME_OUTLIVES = """
import gc
import numpy
import wayshot_cli

frames = [wayshot_cli.shot(region="0,0 100x50") for _ in range(20)]
gc.collect()
expected = numpy.load("expected.npy")[:50, :100]
arrays = [frame.to_numpy() for frame in frames]
for frame in frames:
    frame.close()
del frames, frame
gc.collect()
for array in arrays:
    assert numpy.array_equal(array, expected)
"""

PYWAYLAND_BEFORE = """
import pywayland.client
import numpy
import wayshot_cli

display = pywayland.client.Display()
display.connect()
registry = display.get_registry()
globals_ = []
registry.dispatcher["global"] = lambda proxy, name, interface, version: globals_.append(interface)
display.roundtrip()
frame = wayshot_cli.shot(output="HEADLESS-1")
display.roundtrip()
assert "wl_shm" in globals_
display.disconnect()
assert numpy.array_equal(frame.to_numpy(), numpy.load("expected.npy"))
"""

PYWAYLAND_AFTER = """
import numpy
import wayshot_cli

expected = numpy.load("expected.npy")
assert numpy.array_equal(wayshot_cli.shot(output="HEADLESS-1").to_numpy(), expected)
import pywayland.client
assert numpy.array_equal(wayshot_cli.shot(output="HEADLESS-1").to_numpy(), expected)
display = pywayland.client.Display()
display.connect()
registry = display.get_registry()
globals_ = []
registry.dispatcher["global"] = lambda proxy, name, interface, version: globals_.append(interface)
display.roundtrip()
assert "wl_shm" in globals_
display.disconnect()
assert numpy.array_equal(wayshot_cli.shot(output="HEADLESS-1").to_numpy(), expected)
"""


@pytest.mark.parametrize(
    "program",
    [LEAKS, FRAME_OUTLIVES, PYWAYLAND_BEFORE, PYWAYLAND_AFTER],
    ids=["leaks", "frame-outlives", "pywayland-before", "pywayland-after"],
)
def test_the_library_in_a_long_life(one_output: Sway, tmp_path: Path, program: str) -> None:
    """300 shots leave no descriptor and no mapping; pywayland.client may come first or last."""
    import numpy as np

    np.save(tmp_path / "expected.npy", pattern(203, 117))
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program],
        env=one_output.env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
