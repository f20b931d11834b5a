"""What a plain shot loads, and what it must not: a command of a moment cannot wait."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import wayshot_cli
from tests.fake import Config, FakeCompositor, Output

# Each of these costs milliseconds that a shot would pay for nothing.
HEAVY = {
    "PIL",
    "ast",
    "asyncio",
    "av",
    "concurrent.futures",
    "ctypes",
    "dataclasses",
    "difflib",
    "dis",
    "email",
    "http",
    "importlib.metadata",
    "jeepney",
    "json",
    "locale",
    "logging",
    "multiprocessing",
    "numpy",
    "pathlib",
    "pywayland.client",
    "pywayland.protocol",
    "pywayland.protocol_core",
    "pywayland.scanner",
    "pywayland.server",
    "random",
    "rich",
    "selectors",
    "shlex",
    "shutil",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "tomllib",
    "typing_extensions",
    "tokenize",
    "unittest",
    "urllib",
    "wayshot_cli.backends.export_dmabuf",
    "wayshot_cli.backends.image_copy_cursor",
    "wayshot_cli.backends.pipewire",
    "wayshot_cli.backends.portal",
    "wayshot_cli.background",
    "wayshot_cli.buffers.devices",
    "wayshot_cli.buffers.egl",
    "wayshot_cli.buffers.gbm",
    "wayshot_cli.buffers.linear",
    "wayshot_cli.cli.color",
    "wayshot_cli.cli.completions",
    "wayshot_cli.cli.config",
    "wayshot_cli.cli.configured",
    "wayshot_cli.cli.deliver",
    "wayshot_cli.cli.doctor",
    "wayshot_cli.cli.headless",
    "wayshot_cli.cli.list",
    "wayshot_cli.cli.selecting",
    "wayshot_cli.cli.templates",
    "wayshot_cli.cli.words",
    "wayshot_cli.clipboard",
    "wayshot_cli.color",
    "wayshot_cli.config",
    "wayshot_cli.dbus",
    "wayshot_cli.dmabuf_frame",
    "wayshot_cli.doctor",
    "wayshot_cli.encode.image",
    "wayshot_cli.encode.plain",
    "wayshot_cli.freeze",
    "wayshot_cli.headless",
    "wayshot_cli.keeper",
    "wayshot_cli.notifications",
    "wayshot_cli.pacing",
    "wayshot_cli.planes",
    "wayshot_cli.record",
    "wayshot_cli.sources",
    "wayshot_cli.streaming",
    "wayshot_cli.wayland.dmabuf",
    "wayshot_cli.wayland.toplevels",
    "xml",
}

# The command, telling at its end what it has loaded.
SCRIPT = """
import os, sys
tell = int(sys.argv.pop(1))
import atexit
atexit.register(lambda: os.write(tell, " ".join(sys.modules).encode()))
from wayshot_cli.__main__ import main
main()
"""


def loaded_by(config: Config, folder: Path, *words: str) -> set[str]:
    """Take a shot and return the modules it loaded.

    Without the site module (-S), whose .pth files load some of their own.
    """
    packages = Path(wayshot_cli.__file__).parent.parent
    settings = {
        "PYTHONPATH": os.pathsep.join([str(packages), *sys.path]),
        "WAYSHOT_CLEAN_EXIT": "1",
    }
    read_end, write_end = os.pipe()
    with FakeCompositor(config) as compositor, open(read_end, encoding="ascii") as names:
        done = subprocess.run(
            [sys.executable, "-S", "-c", SCRIPT, str(write_end), *words],
            env=compositor.env | settings,
            cwd=folder,
            pass_fds=[write_end],
            capture_output=True,
            timeout=20,
            check=False,
        )
        os.close(write_end)
        assert (done.returncode, done.stderr) == (0, b"")
        return set(names.read().split())


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (Config(), ["shot.png"]),
        (Config(), ["-g", "1,2 30x10", "-c", "shot.png"]),
        (Config(outputs=(Output("FAKE-1"), Output("FAKE-2", x=64, y=9))), ["shot.png"]),
        (Config(dmabuf_offer=0x34325258, dmabuf_version=4), ["shot.png"]),
        (Config(image_copy_version=1, dmabuf_version=4), ["shot.png"]),
    ],
    ids=["output", "region", "two outputs", "dmabufs on offer", "image-copy"],
)
def test_a_plain_shot_loads_nothing_heavy(config: Config, words: list[str], tmp_path: Path) -> None:
    loaded = loaded_by(config, tmp_path, *words)
    assert {"wayshot_cli.encode.png", "click", "pywayland._ffi"} <= loaded
    assert {name for name in loaded if name in HEAVY or name.partition(".")[0] in HEAVY} == set()


def test_without_a_config_nothing_of_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WAYSHOT_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    without = loaded_by(Config(), tmp_path, "shot.png")
    assert without & HEAVY == set()
    (tmp_path / "wayshot").mkdir()
    (tmp_path / "wayshot" / "config.toml").write_text("cursor = true\n[record]\nfps = 30\n")
    configured = loaded_by(Config(), tmp_path, "shot.png")
    assert configured & HEAVY == {"tomllib", "wayshot_cli.cli.configured", "wayshot_cli.config"}


@pytest.mark.parametrize(
    ("config", "backend"),
    [(Config(image_copy_version=1), "image_copy"), (Config(), "screencopy")],
    ids=["image-copy", "screencopy"],
)
def test_only_the_backend_that_is_taken_is_loaded(
    config: Config, backend: str, tmp_path: Path
) -> None:
    loaded = loaded_by(config, tmp_path, "shot.png")
    backends = {name for name in loaded if name.startswith("wayshot_cli.backends.")}
    assert backends == {"wayshot_cli.backends.common", f"wayshot_cli.backends.{backend}"}


def test_importing_the_package_loads_none_of_its_modules() -> None:
    script = "import sys, wayshot_cli; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    own = {name for name in done.stdout.split() if name.startswith("wayshot_cli")}
    assert own == {"wayshot_cli"}
