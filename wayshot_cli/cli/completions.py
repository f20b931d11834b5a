"""``wayshot completions SHELL``: the script that the shell's completion loads."""

import click

from wayshot_cli.cli.options import CONTEXT_SETTINGS


@click.command(
    "completions",
    help="Print the completion script of a shell.",
    context_settings=CONTEXT_SETTINGS,
)
@click.argument("shell", type=click.Choice(["bash", "fish", "zsh"]), metavar="SHELL")
def command(shell: str) -> None:
    """Print click's own script for that shell; it asks wayshot for the words."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - only here

    from wayshot_cli.cli.app import app  # noqa: PLC0415 - which loads this module

    maker = get_completion_class(shell)
    assert maker is not None  # noqa: S101 - click ships all three
    click.echo(maker(app, {}, "wayshot", "_WAYSHOT_COMPLETE").source())
