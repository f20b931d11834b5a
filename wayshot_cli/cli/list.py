"""``wayshot list``: the outputs of the session."""

import sys

import click

from wayshot_cli.cli.options import CONTEXT_SETTINGS, timeout_option
from wayshot_cli.still import outputs as read
from wayshot_cli.wayland.outputs import Output

_UNLIMITED = 100_000  # columns


@click.command("list", help="List the outputs.", context_settings=CONTEXT_SETTINGS)
@click.option("--json", "as_json", is_flag=True, help="Print everything, for programs.")
@timeout_option()
def command(timeout: float, *, as_json: bool) -> None:
    """Print a table for people or a JSON object for programs."""
    outputs = read(timeout=timeout)
    if as_json:
        import json  # noqa: PLC0415 - the table needs none

        # ASCII output escapes every control character, and survives any locale.
        click.echo(json.dumps({"outputs": [output.as_json() for output in outputs]}, indent=2))
        return
    _print_table(outputs)


def _print_table(outputs: list[Output]) -> None:
    from rich.console import Console  # noqa: PLC0415 - 34 ms
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from wayshot_cli.cli import printable  # noqa: PLC0415

    # On a terminal the description gives way; elsewhere lines are as long as they need be.
    console = Console(width=None if sys.stdout.isatty() else _UNLIMITED, highlight=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("output", "region", "pixels", "scale", "transform", "refresh"):
        table.add_column(heading, no_wrap=True, overflow="ignore")
    table.add_column("description", overflow="fold")
    for output in outputs:
        refresh = f"{output.refresh_mhz / 1000:g} Hz" if output.refresh_mhz > 0 else "unknown"
        cells = (
            output.name,
            str(output.box),
            str(output.mode),
            f"{output.scale:g}",
            output.transform.label,
            refresh,
            output.description or f"{output.make} {output.model}".strip(),
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))  # Text: no markup of theirs
    console.print(table)
