"""Options that more than one command has, and the checks of their values."""

import functools
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from wayshot_cli import backends, sinks
from wayshot_cli.backends.common import PORTAL_SOURCES, PortalWish
from wayshot_cli.cli.names import NO_PROFILE, STDOUT, is_configured
from wayshot_cli.geometry import Box, Size, parse_region, parse_size
from wayshot_cli.waiting import DEFAULT_TIMEOUT, LONGEST_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

    from wayshot_cli.cli.deliver import Delivery

_LONGEST_LINE = 4096  # of a region on stdin
_ANY_NODE = 0xFFFFFFFF  # PW_ID_ANY
_FASTEST = 1000  # frames per second

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}
"""Of every command."""


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
    if not 0 <= value <= LONGEST_TIMEOUT:
        message = f"{value} is not a number of seconds from 0 to {LONGEST_TIMEOUT:.0f}"
        raise click.BadParameter(message)
    return value


def _region(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Read a configured region, to refuse nonsense where it stands; of the line, later."""
    is_typed = ctx.get_parameter_source(param.name or "") is click.core.ParameterSource.COMMANDLINE
    if value is not None and value != STDOUT and not is_typed:
        parse_region(value)
    return value


class Option(click.Option):
    """An option whose help stays as it is: click would load inspect to trim it."""

    def __init__(self, *args: Any, help: str | None = None, **kwargs: Any) -> None:  # noqa: A002 - as in click
        super().__init__(*args, **kwargs)
        self.help = help


option = functools.partial(click.option, cls=Option)


def telling_option(*names: str, text: Callable[[click.Context], str], help: str) -> Decorator:  # noqa: A002 - as in click
    """Make an option that prints a text, and that is all.

    click's own for version and help have their help translated as they are made: a millisecond,
    most of it for importing locale.
    """

    def tell(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's
        if value and not ctx.resilient_parsing:
            click.echo(text(ctx), color=ctx.color)
            ctx.exit()

    return option(*names, is_flag=True, expose_value=False, is_eager=True, callback=tell, help=help)


def timeout_option(
    default: float = DEFAULT_TIMEOUT, wait: str = "an answer", *, hidden: bool = False
) -> Decorator:
    """``--timeout``: how long something that is owed may take; ``wait`` names it in the help."""
    return option(
        "--timeout",
        type=float,
        metavar="SECONDS",
        default=default,
        callback=lambda ctx, param, value: seconds(ctx, param, positive(ctx, param, value) or 0),
        hidden=hidden,
        help=f"Longest wait for {wait}, {default:g} unless given.",
    )


class Word(click.types.StringParamType):
    """A string, of which completion knows what it may be.

    ``of`` names what the shell finds by itself (files, commands) or asks the session for (outputs,
    windows, as ``cli.words`` has them); or it has some of the words, of which there are more.
    """

    def __init__(self, of: str | tuple[str, ...]) -> None:
        self.of = of


class ProfileOption(Option):
    """``--profile``, with which comes the config: it lies below what the line says.

    It is eager, so that the other options find their defaults, and what has it can be configured.
    """

    def handle_parse_result(
        self, ctx: click.Context, opts: "Mapping[str, Any]", args: list[str]
    ) -> tuple[Any, list[str]]:
        """Take the option from the line, and put what is configured into ``ctx.default_map``.

        A context that has such a map already is not asked for by a user. ``opts`` is the line.
        """
        result = super().handle_parse_result(ctx, opts, args)
        profile = opts.get(self.name) if self.name else None
        if ctx.default_map is not None or ctx.resilient_parsing or profile == NO_PROFILE:
            return result
        if profile is not None or is_configured():
            from wayshot_cli.cli.configured import defaults  # noqa: PLC0415 - most have no config

            ctx.default_map = defaults(ctx, profile, opts)
        return result


profile_option = option(
    "--profile", cls=ProfileOption, is_eager=True, expose_value=False, metavar="NAME",
    type=Word("profiles"), help="A profile of the configuration, or none.",
)  # fmt: skip
"""``--profile``, and what is configured as defaults of the other options."""


def is_default(name: str) -> bool:
    """Whether the line does not have an option: its value is built in or configured."""
    source = click.get_current_context().get_parameter_source(name)
    return source is not click.core.ParameterSource.COMMANDLINE


def refuse(message: str, *names: str) -> None:
    """Raise UsageError if the line has one of these options.

    What merely is configured does not apply, then, and gives way: it is a default, not a wish.
    """
    if not all(map(is_default, names)):
        raise click.UsageError(message)


def _together(*decorators: Decorator) -> Decorator:
    """Make one decorator of several, the first of which comes first in the help."""
    return lambda command: functools.reduce(lambda c, add: add(c), reversed(decorators), command)


class _Region(Option):
    """``--region``, which answers to slurp's and grim's word for it, too; the help need not."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Leave the other name to the man page."""
        record = super().get_help_record(ctx)
        return record and (record[0].replace(", --geometry", ""), record[1])


target_options = _together(
    option(
        "-o", "--output", "outputs", multiple=True, metavar="NAME", type=Word("outputs"),
        help="This output, or focused; again for several.",
    ),
    option(
        "-g", "--region", "--geometry", "region", cls=_Region, metavar="REGION",
        callback=_region,
        help="This 'X,Y WxH' or WxH+X+Y; - for stdin.",
    ),
    option(
        "-w", "--window", metavar="ID", type=Word("windows"),
        help="This ID, app_id:NAME, title:TEXT or active.",
    ),
    option("-c", "--cursor", is_flag=True, help="Paint the cursor."),
)  # fmt: skip
"""``--output``, ``--region``, ``--window`` and ``--cursor``: what is captured."""

delay_option = option(
    "-d", "--delay", type=float, metavar="SECONDS", default=0.0, callback=seconds,
    help="Wait first.",
)  # fmt: skip

SELECTABLE = ("region", "output", "window")
"""What ``--select`` takes; the first is what it means alone."""


class _Select(Option):
    """An option whose value can be left away: only one of SELECTABLE behind it is its value.

    click would take FILE for it.
    """

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Give the parser the value that is left away."""
        super().add_to_parser(parser, ctx)
        match_long_option = parser._match_long_opt  # noqa: SLF001 - click has no other way

        def match(option: str, value: str | None, state: Any) -> None:
            if not option.startswith("--"):
                # A short one is looked for next; click would first look for others like it: 1 ms.
                raise click.NoSuchOption(option, message=option)
            is_alone = value is None and set(SELECTABLE).isdisjoint(state.rargs[:1])
            if option in self.opts and is_alone:
                value = SELECTABLE[0]
            match_long_option(option, value, state)

        parser._match_long_opt = match  # noqa: SLF001


def _command(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    """Split a command into words, as a shell does, which is not asked.

    One of the environment that is none matters to ``require_command`` alone.
    """
    if value is None:
        return None
    import shlex  # noqa: PLC0415 - for this alone

    try:
        words = shlex.split(value)
    except ValueError as error:
        message = f"{value!r} cannot be read: {error}"
    else:
        if words and words[0] and "\0" not in value:
            return words
        message = f"{value!r} is no command"
    if ctx.get_parameter_source(param.name or "") is not click.core.ParameterSource.ENVIRONMENT:
        raise click.BadParameter(message)
    ctx.meta[_unreadable(param.name)] = f"{param.envvar}: {message}"
    return None


def require_command(name: str) -> None:
    """Raise UsageError if what would be run now is the environment's, and cannot be read."""
    if message := click.get_current_context().meta.get(_unreadable(name)):
        raise click.UsageError(message)


def _unreadable(name: str | None) -> str:
    return f"{__name__}.{name}"


selector_option = option(
    "--selector", metavar="CMD", envvar="WAYSHOT_SELECTOR", callback=_command, hidden=True,
    help="What asks for a region, instead of slurp.",
)  # fmt: skip
"""``--selector``: the command that asks the user for a region or a point."""

select_options = _together(
    option(
        "--select", cls=_Select, type=click.Choice(SELECTABLE), metavar="[WHAT]",
        help="Select a region, an output or a window.",
    ),
    selector_option,
    option(
        "--menu", metavar="CMD", envvar="WAYSHOT_MENU", callback=_command, hidden=True,
        help="What asks for a window, from lines.",
    ),
)  # fmt: skip
"""``--select``, ``--selector`` and ``--menu``: the user says what is captured."""

mkdir_option = option("--mkdir", is_flag=True, help="Make the folders that are missing.")

writing_options = _together(
    mkdir_option,
    option("--no-clobber", is_flag=True, help="Never replace an existing file."),
)
"""How FILE is written."""

_exec_option = option(
    "--exec", "exec_", metavar="CMD", callback=_command, help="Run this with the file as {}."
)
_notify_option = option("--notify", is_flag=True, help="Notify of it, and of errors.")

after_options = _together(
    option("--edit", is_flag=True, help="Edit it in satty or swappy."),
    option(
        "--editor", metavar="CMD", envvar="WAYSHOT_EDITOR", callback=_command, hidden=True,
        help="The editor instead, with the file as {}.",
    ),
    option("--clipboard", is_flag=True, help="Copy it; to a FILE only if one is named."),
    _exec_option,
    _notify_option,
)  # fmt: skip
"""What happens to a picture, in this order."""

after_recording_options = _together(_exec_option, _notify_option)
"""And to a recording."""


def read_delivery(file: str | None, timeout: float, **wishes: Any) -> "Delivery | None":
    """Return what happens to a picture when it is there, None where nothing does."""
    if not wishes.get("edit"):
        refuse("--editor is for --edit", "editor")
    if not any(wish for option, wish in wishes.items() if option not in {"editor", "format_"}):
        return None
    from wayshot_cli.cli.deliver import Delivery  # noqa: PLC0415 - for these options alone

    return Delivery(file, timeout, **wishes)


def backend_options(*, hide_rare: bool) -> Decorator:
    """How it is captured, and what is said of it.

    The help of a still is to fit a screen: what few need is hidden there, and left to the man page.
    """
    return _together(
        option(
            "--backend", type=click.Choice(["auto", *backends.BACKENDS]), default="auto",
            metavar="NAME", help="auto, portal or a protocol (man wayshot).",
        ),
        option(
            "--buffer", type=click.Choice(["auto", *backends.BUFFERS]), default="auto",
            metavar="KIND", help=f"auto, {', '.join(backends.BUFFERS)}.", hidden=hide_rare,
        ),
        option(
            "--device", type=Word("files"), metavar="NODE", hidden=hide_rare,
            help="Device for dmabufs, as /dev/dri/renderD128.",
        ),
        timeout_option(hidden=hide_rare),
        option("-v", "--verbose", is_flag=True, help="Say on stderr what is done."),
    )  # fmt: skip


def _size_and_rate(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> "tuple[Size, Fraction | None] | None":
    """Read WxH or WxH@FPS."""
    if value is None:
        return None
    words, at, rate = value.partition("@")
    size = parse_size(words)
    is_rate = not at or (rate.isdecimal() and 0 < int(rate) <= _FASTEST)
    if size is None or not is_rate:
        message = f"{value!r} is not of the form WxH or WxH@FPS"
        raise click.BadParameter(message)
    from fractions import Fraction  # noqa: PLC0415 - 5 ms

    return size, Fraction(rate) if at else None


def portal_options(*, hidden: bool) -> Decorator:
    """``--portal-source``, ``-size`` and ``-remote-desktop``: what the portal is asked for.

    And ``--pipewire-node``, which needs none. Hidden as above.
    """
    return _together(
        option(
            "--portal-source", type=click.Choice(PORTAL_SOURCES), metavar="KIND", hidden=hidden,
            help=f"By the portal: {', '.join(PORTAL_SOURCES)}.",
        ),
        option(
            "--portal-size", metavar="WxH[@FPS]", callback=_size_and_rate, hidden=hidden,
            help="What a virtual monitor is to have.",
        ),
        option(
            "--portal-remote-desktop", is_flag=True, hidden=hidden,
            help="Cast as part of a remote desktop.",
        ),
        option(
            "--pipewire-node", type=click.IntRange(0, _ANY_NODE - 1), metavar="ID", hidden=hidden,
            help="A node of PipeWire's, without a portal.",
        ),
    )  # fmt: skip


def read_portal(
    source: str | None,
    size: "tuple[Size, Fraction | None] | None",
    *,
    remote_desktop: bool,
) -> PortalWish | None:
    """Return what the portal is asked for, None where none of its options is given."""
    if source is None and size is None and not remote_desktop:
        return None
    pixels, rate = size or (None, None)
    return PortalWish(source or PORTAL_SOURCES[0], pixels, rate, remote_desktop)


def read_target(
    outputs: tuple[str, ...], region: str | None, window: str | None, select: str | None = None
) -> Box | None:
    """Return the region, if one is asked for; ``-`` reads it from stdin. Refuses several kinds."""
    if bool(outputs) + sum(target is not None for target in (region, window, select)) > 1:
        message = "--output, --region, --window and --select exclude each other"
        raise click.UsageError(message)
    if region is None:
        return None
    if region == STDOUT:  # of slurp, that is: our stdin
        line = sys.stdin.buffer.readline(_LONGEST_LINE) if sys.stdin else b""
        region = line.decode(errors="replace")
    return parse_region(region)


def refuse_node(select: str | None, pipewire_node: int | None) -> None:
    """Refuse to have something selected on what is no screen."""
    if select is not None and pipewire_node is not None:
        message = "--select is not for --pipewire-node"
        raise click.UsageError(message)


def refuse_programs(select: str | None, menu: list[str] | None, *, is_frozen: bool = False) -> None:
    """Refuse commands that nobody would run, or could."""
    if select == "region" or (select == "output" and (is_frozen or not menu)):
        require_command("selector")
    elif select != "output":
        refuse("--selector is for --select region and output", "selector")
    if is_frozen:
        refuse("a --menu would lie below what --freeze shows", "menu")
    elif select in {"output", "window"}:
        require_command("menu")
    else:
        refuse("--menu is for --select output and window", "menu")


def refuse_terminal(file: str | None) -> None:
    """Refuse a FILE that is no name, or that would write bytes onto a terminal."""
    if file == "":
        message = "FILE is empty"
        raise click.UsageError(message)
    if file is not None and sinks.is_terminal(file):
        message = f"{'stdout' if file == STDOUT else file} is a terminal: name a file"
        raise click.UsageError(message)
