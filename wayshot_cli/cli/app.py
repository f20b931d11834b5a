"""The command: ``wayshot [OPTIONS] [FILE]``, and the subcommands beside it."""

from importlib import import_module
from typing import Any

import click

from wayshot_cli.cli.shot import shot

# Loaded only when they are called for: a plain shot needs none of them.
_SUBCOMMANDS = {
    "color": "wayshot_cli.cli.color",
    "completions": "wayshot_cli.cli.completions",
    "config": "wayshot_cli.cli.config",
    "doctor": "wayshot_cli.cli.doctor",
    "headless": "wayshot_cli.cli.headless",
    "list": "wayshot_cli.cli.list",
    "portal": "wayshot_cli.cli.portal",
    "record": "wayshot_cli.cli.record",
}


class App(click.Group):
    """A still, unless the first word is a subcommand.

    Any other word, and the same word after an option, after ``--`` or with a slash in it,
    is FILE: so that ``wayshot ./list`` and ``wayshot -c list`` write a file.
    """

    # A group's words end at the first that is no option, and may be too many; a still's not.
    allow_extra_args = False
    allow_interspersed_args = True

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Name the subcommands, for the help page."""
        return sorted(_SUBCOMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand."""
        module = _SUBCOMMANDS.get(cmd_name)
        return import_module(module).command if module else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Leave the line alone when a subcommand begins it; else it is a still's."""
        if args and args[0] in _SUBCOMMANDS:
            ctx.invoked_subcommand = args[0]
            ctx.args = args
            return ctx.args
        return click.Command.parse_args(self, ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand, or take the still."""
        if ctx.invoked_subcommand is None:
            return click.Command.invoke(self, ctx)
        command = self.get_command(ctx, ctx.invoked_subcommand)
        assert command is not None  # noqa: S101 - parse_args has looked
        # No parent: its FILE would appear in the subcommand's usage line.
        name = f"{ctx.info_name} {ctx.invoked_subcommand}"
        with command.make_context(name, ctx.args[1:]) as sub_context:
            return command.invoke(sub_context)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write their names alone, so that the page fits a screen."""
        with formatter.section("Commands (wayshot COMMAND --help)"):
            formatter.write_text(", ".join(self.list_commands(ctx)))

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Write the usage line without the ``COMMAND`` that every group promises."""
        return click.Command.collect_usage_pieces(self, ctx)


app = App(
    name="wayshot",
    callback=shot.callback,
    params=shot.params,
    help=shot.help,
    epilog=shot.epilog,
    context_settings=shot.context_settings,
    no_args_is_help=False,
)
