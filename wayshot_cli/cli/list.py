"""``wayshot list``: the outputs and windows of the session."""

import sys

import click

from wayshot_cli.cli import printable
from wayshot_cli.cli.options import CONTEXT_SETTINGS, profile_option, timeout_option
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.outputs import Output, read_outputs
from wayshot_cli.wayland.toplevels import Window, read_windows

_UNLIMITED = 100_000  # columns


@click.command("list", help="List outputs and windows.", context_settings=CONTEXT_SETTINGS)
@click.option("--json", "as_json", is_flag=True, help="Print everything, for programs.")
@timeout_option()
@profile_option
def command(timeout: float, *, as_json: bool) -> None:
    """Print a table for people or a JSON object for programs."""
    outputs, windows = read(timeout)
    if as_json:
        import json  # noqa: PLC0415 - the table needs none

        # ASCII output escapes every control character, and survives any locale.
        found: dict[str, list[Output] | list[Window]] = {"outputs": outputs, "windows": windows}
        click.echo(
            json.dumps({kind: [it.as_json() for it in found[kind]] for kind in found}, indent=2)
        )
        return
    _print_tables(outputs, windows)


def read(timeout: float) -> tuple[list[Output], list[Window]]:
    """Ask the compositor."""
    with Connection(timeout=timeout) as connection:
        return read_outputs(connection), read_windows(connection)


def _print_tables(outputs: list[Output], windows: list[Window]) -> None:
    from rich.console import Console  # noqa: PLC0415 - 34 ms
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    # On a terminal the last column gives way; elsewhere lines are as long as they need be.
    console = Console(width=None if sys.stdout.isatty() else _UNLIMITED, highlight=False)

    def show(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        table = Table(box=None, pad_edge=False)
        for heading in headings[:-1]:
            table.add_column(heading, no_wrap=True, overflow="ignore")
        table.add_column(headings[-1], overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))  # Text: no markup of theirs
        console.print(table)

    headings = "output", "region", "pixels", "scale", "transform", "refresh", "description"
    show(headings, [_cells(output) for output in outputs])
    if windows:
        console.print()
        show(
            ("window", "app_id", "states", "title"),
            [
                (window.identifier or "-", window.app_id, " ".join(window.states), window.title)
                for window in windows
            ],
        )


def _cells(output: Output) -> tuple[str, ...]:
    return (
        output.name,
        str(output.box),
        str(output.mode),
        f"{output.scale:g}",
        output.transform.label,
        f"{output.refresh_mhz / 1000:g} Hz" if output.refresh_mhz > 0 else "unknown",
        output.problem or output.description or f"{output.make} {output.model}".strip(),
    )
