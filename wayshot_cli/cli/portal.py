"""``wayshot portal``: what the desktop's portal has allowed."""

import click

from wayshot_cli.cli.options import CONTEXT_SETTINGS
from wayshot_cli.errors import WriteError


@click.group(
    "portal", help="Manage what the portal has allowed.", no_args_is_help=False,
    context_settings=CONTEXT_SETTINGS,
)  # fmt: skip
def command() -> None:
    """Do nothing by itself."""


@command.command(help="Forget its permissions: it asks again.", context_settings=CONTEXT_SETTINGS)
def forget() -> None:
    """Remove the tokens that spare the portal's dialog."""
    from wayshot_cli.backends.portal import tokens  # noqa: PLC0415 - with all of the portal's

    try:
        tokens.forget()
    except OSError as error:
        message = f"cannot remove {tokens.path()!r}: {error.strerror}"
        raise WriteError(message) from error
