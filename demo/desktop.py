"""A desktop worth a picture: two unlike outputs, a landscape behind, terminals in front."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.markdown import Markdown
from rich.syntax import Syntax
from rich.text import Text

from demo.wallpaper import landscape
from tests.stage import Output, StageError, Sway

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parent.parent

LAPTOP = Output(1920, 1200, position=(0, 300), scale=1.5)
PORTRAIT = Output(1280, 720, position=(1280, 0), transform="90")
DESKTOP = (2000, 1280)
"""Logical width and height of both together; the laptop leaves a gap above and below."""

PATIENCE = 10.0
"""Seconds until all terminals have drawn."""


@dataclass(frozen=True, slots=True)
class Window:
    """A terminal: where it floats (logical), how many columns and rows it has, what it shows."""

    app_id: str
    position: tuple[int, int]
    grid: tuple[int, int]
    content: RenderableType


@contextmanager
def desktop() -> Iterator[Sway]:
    """Run the desktop; it is complete when the block begins."""
    windows = _windows()
    rules = "\n".join(_rule(window) for window in windows)
    with Sway(LAPTOP, PORTRAIT, config=rules) as sway:
        for name in sway.names:
            output = sway.output(name)
            x, y = output.position or (0, 0)
            width, height = (round(length / output.scale) for length in output.upright_size)
            box = (x, y, width, height)
            sway.set_background(name, landscape(box, DESKTOP, output.scale))
        for window in windows:
            _open(sway, window)
        _wait_until_still(sway, len(windows))
        yield sway


def _windows() -> list[Window]:
    source = Syntax.from_path(
        str(PROJECT / "wayshot_cli" / "geometry.py"),
        theme="one-dark",
        line_numbers=True,
        background_color="default",
    )
    readme = Markdown((PROJECT / "README.md").read_text(), code_theme="one-dark")
    return [
        Window("source", (40, 360), (100, 34), source),
        Window("colours", (1000, 700), (80, 11), _colours(80)),
        Window("readme", (1360, 110), (80, 34), readme),
    ]


def _rule(window: Window) -> str:
    x, y = window.position
    return f"for_window [app_id={window.app_id}] floating enable, move absolute position {x} {y}"


def _open(sway: Sway, window: Window) -> None:
    """Show the content in foot, rendered here: the session's user may not read the project."""
    columns, rows = window.grid
    console = Console(width=columns, force_terminal=True, color_system="truecolor")
    with console.capture() as capture:
        console.print(window.content)
    hide_cursor = "\033[?25l"
    text = sway.runtime_dir / f"{window.app_id}.ansi"
    text.write_text(hide_cursor + "\n".join(capture.get().splitlines()[:rows]))
    sway.spawn(
        [
            "foot",
            "--config=/dev/null",
            f"--app-id={window.app_id}",
            f"--window-size-chars={columns}x{rows}",
            "--font=DejaVu Sans Mono:size=9",
            "--override=dpi-aware=no",
            "--override=pad=14x12",
            "--override=colors.background=1b1d2b",
            "--override=colors.foreground=d8dbe9",
            "--override=colors.alpha=0.9",
            "sh",
            "-c",
            'cat "$0"; exec sleep infinity',
            str(text),
        ]
    )


def _colours(columns: int) -> RenderableType:
    """Bands of all hues, each darker than the one above, and the sixteen colours of terminals."""
    bands = []
    for value in (1.0, 0.85, 0.7, 0.55, 0.4, 0.25):
        band = Text()
        for column in range(columns):
            band.append(" ", style=f"on {_hue(column / columns, value)}")
        bands.append(band)
    swatches = [Text("     ", style=f"on color({number})") for number in range(16)]
    sentence = Text("\nThe quick brown fox jumps over the lazy dog — ", style="italic")
    sentence.append("bold ", style="bold").append("underlined", style="underline")
    return Group(*bands, Text(), Columns(swatches, padding=(0, 0)), sentence)


def _hue(turn: float, value: float) -> str:
    """Name the colour at a part of the colour circle, as #rrggbb."""
    channels = (np.cos((turn - np.arange(3) / 3) * 2 * np.pi) + 1) / 2 * value * 255
    return "#" + "".join(f"{round(channel):02x}" for channel in channels)


def _wait_until_still(sway: Sway, windows: int) -> None:
    """Wait until that many windows are there and the picture has stopped to change."""
    deadline = time.monotonic() + PATIENCE
    before: list[bytes] = []
    while time.monotonic() < deadline:
        time.sleep(0.2)
        now = [sway.dump(name).tobytes() for name in sway.names]
        if now == before and _window_count(sway.query("get_tree")) == windows:
            return
        before = now
    message = f"{windows} terminals did not come up within {PATIENCE} s"
    raise StageError(message)


def _window_count(node: dict[str, Any]) -> int:
    children = node["nodes"] + node["floating_nodes"]
    return ("pid" in node) + sum(_window_count(child) for child in children)
