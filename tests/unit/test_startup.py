"""What a plain shot loads, and what it must not: it starts in a tenth of a second or it annoys."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake import Config, FakeCompositor, Output

# Each of these costs milliseconds that a shot would pay for nothing.
HEAVY = {
    "PIL",
    "asyncio",
    "av",
    "ctypes",
    "email",
    "http",
    "importlib.metadata",
    "jeepney",
    "json",
    "logging",
    "multiprocessing",
    "numpy",
    "pathlib",
    "pywayland.client",
    "pywayland.protocol",
    "pywayland.protocol_core",
    "pywayland.scanner",
    "pywayland.server",
    "rich",
    "socket",
    "ssl",
    "subprocess",
    "unittest",
    "urllib",
    "wayshot_cli.cli.completions",
    "wayshot_cli.cli.list",
    "wayshot_cli.encode.image",
    "wayshot_cli.encode.plain",
    "xml",
}

# The command as it is installed, telling at its end what it has loaded. Nothing imported for
# the telling is counted.
SCRIPT = """
import atexit, os, sys
def tell():
    names = sorted(sys.modules)
    os.write(int(os.environ["TELL"]), "\\n".join(names).encode())
atexit.register(tell)
before = set(sys.modules)
from wayshot_cli.__main__ import main
main()
"""


def loaded_by(config: Config, folder: Path, *words: str) -> set[str]:
    """Run a shot without site-packages' .pth files' doing, and return the modules it loaded."""
    read_end, write_end = os.pipe()
    with FakeCompositor(config) as compositor, open(read_end, encoding="ascii") as names:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *words],
            env=compositor.env | {"TELL": str(write_end), "WAYSHOT_CLEAN_EXIT": "1"},
            cwd=folder,
            pass_fds=[write_end],
            capture_output=True,
            timeout=20,
            check=False,
        )
        os.close(write_end)
        assert (done.returncode, done.stderr) == (0, b"")
        loaded = set(names.read().split())
    return loaded - loaded_by_python_itself()


def loaded_by_python_itself() -> set[str]:
    """What site and the editable install load before the first statement."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (Config(), ["shot.png"]),
        (Config(), ["-g", "1,2 30x10", "-c", "shot.png"]),
        (Config(outputs=(Output("FAKE-1"), Output("FAKE-2", x=64, y=9))), ["shot.png"]),
    ],
    ids=["output", "region", "two outputs"],
)
def test_a_plain_shot_loads_nothing_heavy(config: Config, words: list[str], tmp_path: Path) -> None:
    loaded = loaded_by(config, tmp_path, *words)
    assert {"wayshot_cli.encode.png", "click", "pywayland._ffi"} <= loaded
    assert {name for name in loaded if name in HEAVY or name.partition(".")[0] in HEAVY} == set()


def test_importing_the_package_loads_nothing_of_it() -> None:
    script = """
import sys
before = set(sys.modules)
import wayshot_cli
print(*sorted(set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert [name for name in done.stdout.split() if name.startswith("wayshot_cli")] == [
        "wayshot_cli"
    ]
    assert len(done.stdout.split()) < 10  # typing, at most
