"""``wayshot completions SHELL``: the script that the shell's completion loads."""

import click


@click.command("completions", help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "fish", "zsh"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print click's own script for that shell; it asks wayshot for the words."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - only here

    maker = get_completion_class(shell)
    assert maker is not None  # noqa: S101 - click ships all three
    app = ctx.find_root().command
    click.echo(maker(app, {}, "wayshot", "_WAYSHOT_COMPLETE").source())
