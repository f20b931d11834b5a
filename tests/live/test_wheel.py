"""The wheel is the whole command: no compiler, one file for every Python from 3.11."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live.command import read
from tests.stage import Output, Sway

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FOLDERS = ("wayshot_cli", "man", "completions")
FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")


def installed_pythons() -> list[str]:
    """The interpreters of this machine that the wheel promises to serve, ours first."""
    found = [sys.executable]
    for minor in range(11, 20):
        path = shutil.which(f"python3.{minor}")
        if path is None or minor == sys.version_info.minor:
            continue
        check = "import ensurepip, venv"
        if subprocess.run([path, "-c", check], capture_output=True, check=False).returncode == 0:
            found.append(path)
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("*.so", "__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, source)
    options = ["-qq", "--no-deps", "-w", str(target), str(source)]
    command = [sys.executable, "-m", "pip", "wheel", *options]
    subprocess.run(command, check=True, timeout=300)
    (path,) = target.glob("*.whl")
    return path


@pytest.fixture
def sway() -> Iterator[Sway]:
    with Sway(Output(64, 48, background="#4080c0")) as session:
        yield session


def test_the_wheel_is_tagged_for_every_python_from_3_11(wheel: Path) -> None:
    assert "-cp311-abi3-linux_" in wheel.name


@pytest.mark.parametrize("python", installed_pythons())
def test_takes_a_shot_where_no_compiler_is_reachable(
    wheel: Path, python: str, sway: Sway, tmp_path: Path
) -> None:
    venv = tmp_path / "venv"
    subprocess.run([python, "-m", "venv", venv], check=True, timeout=100)
    env = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_"))}
    env |= sway.env | {"PATH": str(venv / "bin"), "HOME": str(tmp_path)}
    install = ["pip", "install", "-qq", "--only-binary", ":all:", str(wheel)]
    subprocess.run([venv / "bin" / "python", "-m", *install], env=env, check=True, timeout=300)

    shot = [str(venv / "bin" / "wayshot"), "-o", "HEADLESS-1", str(tmp_path / "shot.png")]
    subprocess.run(shot, env=env, check=True, timeout=100)

    pixels = read(tmp_path / "shot.png")
    assert pixels.shape == (48, 64, 3)
    assert (pixels == (0x40, 0x80, 0xC0)).all()
    assert (venv / "share" / "man" / "man1" / "wayshot.1").exists()
    assert (venv / "share" / "zsh" / "site-functions" / "_wayshot").exists()
