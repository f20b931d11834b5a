"""Take four pictures and a recording with the wayshot command and say where they are."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from PIL import Image

from demo.desktop import desktop

if TYPE_CHECKING:
    from collections.abc import Mapping

WAYSHOT = Path(sys.executable).with_name("wayshot")
FOLDER = Path("demo-output")


def main() -> None:
    """Use the running session if wayshot can, else bring up a headless one."""
    FOLDER.mkdir(exist_ok=True)
    os.environ["WAYSHOT_CONFIG"] = os.devnull
    reason = _why_not_here()
    if reason is None:
        print("Pictures of this session:")
        _take_pictures(os.environ)
        _record(os.environ)
        if shutil.which("sway") and shutil.which("foot"):
            _take_headless()
        return
    print(f"{reason}\nSo these are pictures of a headless sway with two outputs:")
    if shutil.which("sway") is None or shutil.which("foot") is None:
        sys.exit("sway and foot are needed for that: apt-get install sway foot")
    with desktop() as sway:
        _take_pictures(sway.env)
        _record(sway.env)
    _take_headless()


def _why_not_here() -> str | None:
    """Try a shot of the running session, and return what wayshot says if it fails."""
    probe = [str(WAYSHOT), "-t", "ppm", "/dev/null"]
    result = subprocess.run(probe, check=False, stderr=subprocess.PIPE, text=True)
    return result.stderr.splitlines()[0] if result.returncode else None


def _take_pictures(env: Mapping[str, str]) -> None:
    listing = _wayshot(env, "list", "--json")
    outputs: list[dict[str, Any]] = json.loads(listing)["outputs"]
    stills = {
        "one-output.png": ["-o", outputs[0]["name"]],
        "region.png": ["-g", _region(outputs)],
        "everything.png": [],
    }
    for name, arguments in stills.items():
        _take_still(env, FOLDER / name, *arguments, str(FOLDER / name))


def _take_headless() -> None:
    """Take a program's picture, of which no session knows."""
    path = FOLDER / "headless.png"
    options = ["--size", "800x640", "--save", str(path)]
    terminal = ["foot", "--config=/dev/null", "--font=monospace:size=9", "--hold"]
    help_page = [str(WAYSHOT), "headless", "--help"]
    _take_still(os.environ, path, "headless", *options, "--", *terminal, *help_page)


def _take_still(env: Mapping[str, str], path: Path, *arguments: str) -> None:
    _wayshot(env, *arguments)
    with Image.open(path) as image:
        image.load()
        size = f"{image.width}x{image.height}"
    print(f"  wayshot {shlex.join(arguments)}")
    print(f"      {path.resolve()}: {size}, {path.stat().st_size / 1000:.0f} kB")


def _record(env: Mapping[str, str]) -> None:
    path = FOLDER / "clip.mp4"
    arguments = ["record", "--duration", "2", str(path)]
    print(f"  wayshot {shlex.join(arguments)}")
    _wayshot(env, *arguments)
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        size, frames = f"{stream.width}x{stream.height}", sum(1 for _ in video.decode(stream))
    print(f"      {path.resolve()}: {size}, {frames} frames, {path.stat().st_size / 1000:.0f} kB")


def _region(outputs: list[dict[str, Any]]) -> str:
    """Choose a region in the middle of everything, which crosses outputs where there are two."""
    left = min(output["x"] for output in outputs)
    top = min(output["y"] for output in outputs)
    right = max(output["x"] + output["width"] for output in outputs)
    bottom = max(output["y"] + output["height"] for output in outputs)
    width, height = (right - left) // 2, (bottom - top) // 2
    return f"{left + width * 4 // 5},{top + height * 4 // 5} {width}x{height * 4 // 5}"


def _wayshot(env: Mapping[str, str], *arguments: str) -> str:
    return subprocess.run(
        [WAYSHOT, *arguments], env=env, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


if __name__ == "__main__":
    main()
