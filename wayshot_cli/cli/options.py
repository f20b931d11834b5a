"""Options that more than one command has, and the checks of their values."""

import math
from collections.abc import Callable
from typing import Any

import click

from wayshot_cli.wayland.connection import DEFAULT_TIMEOUT

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}
"""Of every command."""

_LONGEST_WAIT = 1_000_000.0  # seconds; poll counts milliseconds in an int


def positive(_ctx: click.Context, _param: click.Parameter, value: float | None) -> float | None:
    """Accept finite numbers above zero (FloatRange lets nan and infinity through)."""
    if value is not None and not (math.isfinite(value) and value > 0):
        message = f"{value} is not a number above 0"
        raise click.BadParameter(message)
    return value


def within(low: int, high: int) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Accept whole numbers in a range (IntRange does so, but repeats the range in the help)."""

    def check(_ctx: click.Context, _param: click.Parameter, value: int | None) -> int | None:
        if value is not None and not low <= value <= high:
            message = f"{value} is not from {low} to {high}"
            raise click.BadParameter(message)
        return value

    return check


def seconds(_ctx: click.Context, _param: click.Parameter, value: float) -> float:
    """Accept a time that can be waited for."""
    if not 0 <= value <= _LONGEST_WAIT:
        message = f"{value} is not a number of seconds from 0 to {_LONGEST_WAIT:.0f}"
        raise click.BadParameter(message)
    return value


def timeout_option() -> Decorator:
    """``--timeout``: how long the compositor may take for an answer that it owes."""
    return click.option(
        "--timeout",
        type=float,
        metavar="SECONDS",
        default=DEFAULT_TIMEOUT,
        callback=lambda ctx, param, value: seconds(ctx, param, positive(ctx, param, value) or 0),
        help=f"Give up on a silent compositor; {DEFAULT_TIMEOUT:g} unless given.",
    )


def complete_output(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete an output's name from the running session; nothing where there is none."""
    from wayshot_cli.errors import WayshotError  # noqa: PLC0415 - only the shell asks this
    from wayshot_cli.still import outputs  # noqa: PLC0415

    try:
        return [o.name for o in outputs(timeout=1.0) if o.name.startswith(incomplete)]
    except WayshotError:
        return []
