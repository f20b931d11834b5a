"""Make the README's pictures with the command itself: python -m demo.pictures."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from demo.desktop import PROJECT

FOLDER = PROJECT / "pictures"
_BIN = Path(sys.executable).parent

_TERMINAL = (
    "foot",
    "--config=/dev/null",
    "--font=DejaVu Sans Mono:size=10",
    "--override=dpi-aware=no",
    "--override=pad=16x14",
    "--override=colors.background=1b1d2b",
    "--override=colors.foreground=d8dbe9",
)

_COMMANDS = (
    "wayshot list",
    "wayshot -o HEADLESS-1 screen.png && file screen.png",
    "wayshot --mkdir 'shots/%Y-{output}-{width}x{height}.webp'",
    "wayshot color 200,60 --format oklch",
    "wayshot record --duration 1 clip.mp4",
)


def main() -> None:
    """Film a terminal in which wayshot is used, and take a picture of its help."""
    FOLDER.mkdir(exist_ok=True)
    typing = [sys.executable, str(PROJECT / "demo" / "prompt.py"), *_COMMANDS]
    _run("terminal.gif", "880x400", ["--duration", "13", "--record"], typing)
    asking = ["sh", "-c", "wayshot --help; exec sleep infinity"]
    _run("help.png", "680x740", ["-d", "2", "--save"], asking)


def _run(name: str, size: str, options: list[str], program: list[str]) -> None:
    path = str(FOLDER / name)
    env = {**os.environ, "PATH": f"{_BIN}:{os.environ['PATH']}", "WAYSHOT_CONFIG": os.devnull}
    with tempfile.TemporaryDirectory() as folder:
        words = ["headless", "--size", size, *options, path, "--", *_TERMINAL, *program]
        subprocess.run([str(_BIN / "wayshot"), *words], env=env, cwd=folder, check=True)
    print(f"{path}: {os.stat(path).st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
