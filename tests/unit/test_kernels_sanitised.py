"""The kernels' tests once more, with AddressSanitizer and UndefinedBehaviorSanitizer watching."""

import os
import subprocess
import sys
from pathlib import Path

from tests.unit.conftest import compile_kernels

FLAGS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def runtime() -> str:
    """The library that must be loaded before all others: the one of cffi's compiler."""
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-print-file-name=libasan.so"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def run_watched(arguments: list[str], kernels: Path) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {
        "LD_PRELOAD": runtime(),
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",  # so that the end of every buffer is a guarded one
        "WAYSHOT_TEST_KERNELS": str(kernels),
    }
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_nothing_is_touched_outside_its_memory(tmp_path: Path) -> None:
    kernels = compile_kernels(tmp_path, FLAGS)
    here = Path(__file__).parent
    names = ("test_kernels.py", "test_kernels_png.py", "test_kernels_yuv.py")
    tests = [str(here / name) for name in names]
    chosen = "installed and not every_word and not every_colour"
    options = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", chosen]
    result = run_watched([*options, *tests], kernels)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout


def test_the_watch_is_on(tmp_path: Path) -> None:
    """Without this, the test above could pass because nobody looked."""
    kernels = compile_kernels(tmp_path, FLAGS)
    script = (
        "import os; from pathlib import Path\n"
        "from tests.unit.conftest import load_kernels\n"
        "m = load_kernels(Path(os.environ['WAYSHOT_TEST_KERNELS']))\n"
        "memory, out = m.ffi.new('uint8_t[]', 4000), m.ffi.new('uint8_t[]', 8000)\n"
        "image = {'origin': memory, 'step_x': 4, 'width': 1001, 'height': 1, 'bytes': 4}\n"
        "m.lib.ws_copy(m.ffi.new('struct ws_image *', image), 0, 1, out)\n"
    )
    result = run_watched(["-c", script], kernels)
    assert "heap-buffer-overflow" in result.stderr
