"""``wayshot headless [OPTIONS] -- COMMAND...``: a picture of a program, with no desktop."""

import contextlib
import sys
from collections.abc import Callable, Iterator

import click

from wayshot_cli.cli import before_leaving, printable, say
from wayshot_cli.cli.names import format_name, read_template
from wayshot_cli.cli.options import (
    CONTEXT_SETTINGS,
    Word,
    mkdir_option,
    positive,
    profile_option,
    refuse,
    refuse_terminal,
    seconds,
    timeout_option,
)
from wayshot_cli.cli.shot import Writing, encoding, write
from wayshot_cli.errors import WayshotError
from wayshot_cli.geometry import Size
from wayshot_cli.headless import COMPOSITORS, DEFAULT_SIZE, DEFAULT_TIMEOUT, Stage, read_size
from wayshot_cli.still import shot

_NAMES = tuple(compositor.name for compositor in COMPOSITORS)

_EPILOG = """\b
Examples:
  wayshot headless --save app.png -- gnome-calculator
  wayshot headless -d 2 --size 640x480 --save top.png -- foot -e htop
  wayshot headless --record clip.mp4 --duration 5 -- ./mygame
  wayshot headless --save - -- foot | compare - expected.png diff.png
"""


class _AfterDashes(click.Command):
    """Takes a command of somebody else's, whose options are not ours: all that is after ``--``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insist on the dashes, without which click would take the command as well."""
        words = list(args)  # click takes args apart
        rest = super().parse_args(ctx, args)
        command = ctx.params.get("command") or ()
        if command and words[-len(command) - 1 : -len(command)] != ["--"]:
            message = f"the command to run stands after --: -- {' '.join(command)}"
            raise click.UsageError(message, ctx)
        return rest


@click.command(
    "headless",
    cls=_AfterDashes,
    help="Take a picture of a program, run on a screen of its own that nobody sees: when it has "
    "shown something and come to rest, or after -d.\n\nAll after -- is the command to run.",
    short_help="Take a picture of a program, with no desktop.",
    epilog=_EPILOG,
    context_settings={**CONTEXT_SETTINGS, "allow_interspersed_args": False},
)
@click.option(
    "--size", metavar="WxH", default=str(DEFAULT_SIZE),
    callback=lambda _ctx, _param, value: read_size(value),
    help=f"Of the screen, in pixels; {DEFAULT_SIZE} unless given.",
)  # fmt: skip
@click.option(
    "--scale", type=float, metavar="S", default=1.0, callback=positive,
    help="Of the screen: pixels per logical unit.",
)  # fmt: skip
@click.option(
    "--compositor", type=click.Choice(["auto", *_NAMES]), default="auto", metavar="NAME",
    help=f"auto, {', '.join(_NAMES)}.",
)  # fmt: skip
@click.option(
    "-d", "--delay", type=float, metavar="SECONDS",
    callback=lambda ctx, param, value: None if value is None else seconds(ctx, param, value),
    help="Wait so long after it has shown something.",
)  # fmt: skip
@click.option(
    "--save", type=Word("files"), metavar="FILE",
    help="Where the picture goes, as FILE of wayshot.",
)  # fmt: skip
@click.option(
    "--record", type=Word("files"), metavar="FILE",
    help="Record instead, until the program ends.",
)  # fmt: skip
@click.option(
    "--duration", type=float, metavar="SECONDS", callback=positive, help="End the recording."
)
@mkdir_option
@timeout_option(DEFAULT_TIMEOUT, "the program to show something")
@click.option(
    "-v", "--verbose", is_flag=True, help="Show what the program and the compositor print."
)
@profile_option
@click.argument("command", nargs=-1, required=True, type=Word("commands"), metavar="-- COMMAND...")
def command(  # noqa: PLR0913, PLR0917 - one for each option
    size: Size,
    scale: float,
    compositor: str,
    delay: float | None,
    save: str | None,
    record: str | None,
    duration: float | None,
    timeout: float,
    command: tuple[str, ...],
    *,
    mkdir: bool,
    verbose: bool,
) -> int:
    """Check the words, run the program, and take its picture as other commands do."""
    if record is None:
        refuse("--duration is for --record", "duration")
    if record is not None and save is not None:
        message = "--save and --record exclude each other"
        raise click.UsageError(message)

    @contextlib.contextmanager
    def open_stage() -> Iterator[Stage]:
        stage = Stage(
            size=size, scale=scale, compositor=compositor, timeout=timeout, verbose=verbose
        )
        before_leaving.append(stage.end)
        try:
            with stage:
                stage.run(command)
                if delay is None and record is None:
                    stage.wait_until_at_rest()
                else:
                    stage.wait_until_shown()
                    stage.sleep(delay or 0)
                yield stage
        except WayshotError as error:
            _show_log(error)
            raise

    if record is None:
        return _take_still(open_stage, save, mkdir=mkdir, verbose=verbose)
    from wayshot_cli.cli import record as recording  # noqa: PLC0415 - a still needs none of it

    words = [] if duration is None else ["--duration", str(duration)]
    words += [*(["--mkdir"] if mkdir else []), *(["--verbose"] if verbose else [])]
    # A map of defaults, though empty: what is configured for the session is not for a stage.
    with recording.command.make_context(
        "wayshot headless", [*words, "--", record], obj=open_stage, default_map={}
    ) as ctx:
        return int(recording.command.invoke(ctx))


def _take_still(
    open_stage: Callable[[], contextlib.AbstractContextManager[Stage]],
    file: str | None,
    *,
    mkdir: bool,
    verbose: bool,
) -> int:
    template = read_template(file)
    format_, options = encoding(format_name(file, template))
    refuse_terminal(file)
    with open_stage() as stage:
        frame = shot(
            connection=stage.connection, report=say if verbose else None,
            note=template.note if template else None,
        )  # fmt: skip
    write(frame, Writing(template or file, format_, options, mkdir=mkdir))
    return 0


def _show_log(error: WayshotError) -> None:
    for line in getattr(error, "__notes__", []):
        if sys.stderr:
            with contextlib.suppress(OSError):
                print(printable(line), file=sys.stderr)
