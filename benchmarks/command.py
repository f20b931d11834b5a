"""Whole processes on a headless sway: the wayshot command against grim."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import measure, pictures
from benchmarks.measure import Run, program
from tests.stage import Output, Sway

ROUNDS = 15
SCREENS = {"4K": (3840, 2160), "1080p": (1920, 1080)}
REGION = "100,100 400x300"


def run() -> None:
    """Print the tables, or what is missing for them."""
    missing = [program for program in ("sway", "grim") if shutil.which(program) is None]
    if missing:
        print(f"\nNo whole-process comparison: apt install {' '.join(missing)}")
        return
    with tempfile.TemporaryDirectory() as folder:
        result = str(Path(folder) / "out.png")
        measure.title("Whole process, against grim")
        for name, size in SCREENS.items():
            with Sway(Output(*size)) as sway:
                (output,) = sway.names
                sway.set_background(output, pictures.text_desktop(*size))
                _compare(name, output, sway.env, result)
    _start_up()


def _compare(name: str, output: str, env: Mapping[str, str], result: str) -> None:
    def shot(*command: str) -> Callable[[], Run]:
        return lambda: measure.process([*command, result], env, result)

    grim, ours = measure.in_turns(
        ROUNDS, shot("grim", "-o", output), shot(program("wayshot"), "-o", output)
    )
    measure.row(f"{name} text, -o", grim, ours)
    grim, ours = measure.in_turns(
        ROUNDS, shot("grim", "-g", REGION), shot(program("wayshot"), "-g", REGION)
    )
    measure.row(f"400x300 of {name}", grim, ours)
    bare, ours = measure.in_turns(
        ROUNDS, lambda: _bare(env), shot(program("wayshot"), "-g", REGION)
    )
    _over_bare(f"400x300 of {name}", bare, ours)


def _bare(env: Mapping[str, str]) -> Run:
    return measure.process([program("python"), "-c", "pass"], env)


def _over_bare(name: str, bare: Run, ours: Run) -> None:
    over = (ours.seconds - bare.seconds) * 1e3
    print(f"{name:34}{over:+.1f} ms over the bare interpreter's {bare.seconds * 1e3:.1f} ms")


def _start_up() -> None:
    print()
    bare, version = measure.in_turns(
        ROUNDS,
        lambda: _bare(os.environ),
        lambda: measure.process([program("wayshot"), "--version"], os.environ),
    )
    _over_bare("--version", bare, version)
