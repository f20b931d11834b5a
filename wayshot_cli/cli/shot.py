"""``wayshot [OPTIONS] [FILE]``: one still, from the words on the line to a file."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from wayshot_cli import __version__, encode, sinks
from wayshot_cli.cli import say as report
from wayshot_cli.cli.names import (
    STDOUT,
    format_name,
    generated_names,
    hinting_at_mkdir,
    is_folder,
    read_template,
    say_path,
    user_folder,
)
from wayshot_cli.cli.options import (
    CONTEXT_SETTINGS,
    Word,
    after_options,
    backend_options,
    delay_option,
    option,
    portal_options,
    positive,
    profile_option,
    read_delivery,
    read_portal,
    read_target,
    refuse,
    refuse_node,
    refuse_programs,
    refuse_terminal,
    select_options,
    target_options,
    telling_option,
    within,
    writing_options,
)
from wayshot_cli.still import shot as take_shot

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from wayshot_cli.cli.templates import Template
    from wayshot_cli.frame import Frame
    from wayshot_cli.geometry import Size

_EPILOG = """\b
Examples:
  wayshot                                 everything, to a file in Pictures
  wayshot -o DP-1 out.png                 one output
  wayshot --select out.png                a region that you select
  wayshot --select --clipboard            the same, to the clipboard
  wayshot -d 3 -c -t jpeg -q 80 out.jpg   in 3 seconds, with the cursor
  wayshot record -o DP-1 clip.mp4         a recording, until Ctrl-C

man wayshot describes all of it, rare options and exit codes included.
"""


class _Format(click.Choice):  # type: ignore[type-arg] # which it takes since 8.2
    """A format's name, or an extension's."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(encode.EXTENSIONS.get(f".{value}", value), param, ctx)


@click.command(
    help="Take a picture of a Wayland screen. FILE is a path, a folder or - (stdout).",
    epilog=_EPILOG,
    context_settings=CONTEXT_SETTINGS,
)
@target_options
@select_options
@option("--freeze", is_flag=True, help="Show the screen still while selecting.")
@option(
    "-t", "--format", "format_", type=_Format(encode.FORMATS), metavar="FORMAT",
    help=f"{', '.join(encode.FORMATS)}.",
)  # fmt: skip
@option(
    "-l", "--level", type=int, metavar="0-9", callback=within(0, 9),
    help="Compression of PNG, 2 unless given.",
)  # fmt: skip
@option(
    "-q", "--quality", type=int, metavar="1-100", callback=within(1, 100),
    help="Quality of JPEG, WebP and AVIF.",
)  # fmt: skip
@option(
    "-s", "--scale", type=float, metavar="S", callback=positive,
    help="Pixels per logical unit, instead of native.",
)  # fmt: skip
@delay_option
@after_options
@option(
    "--metadata", is_flag=True, hidden=True, help="Note time, software and resolution in a PNG."
)
@writing_options
@backend_options(hide_rare=True)
@portal_options(hidden=True)
@profile_option
@telling_option(
    "--version", text=lambda _ctx: f"wayshot {__version__}", help="Show the version and exit."
)
@telling_option(
    *CONTEXT_SETTINGS["help_option_names"],
    text=click.Context.get_help, help="Show this message and exit.",
)  # fmt: skip
@click.argument("file", required=False, type=Word("files"))
def shot(  # noqa: PLR0913, PLR0917 - one for each option, handed over by name
    outputs: tuple[str, ...],
    region: str | None,
    window: str | None,
    select: str | None,
    selector: list[str] | None,
    menu: list[str] | None,
    format_: str | None,
    level: int | None,
    quality: int | None,
    scale: float | None,
    delay: float,
    backend: str,
    buffer: str,
    device: str | None,
    timeout: float,
    pipewire_node: int | None,
    portal_source: str | None,
    portal_size: "tuple[Size, Fraction | None] | None",
    file: str | None,
    *,
    portal_remote_desktop: bool,
    cursor: bool,
    freeze: bool,
    metadata: bool,
    mkdir: bool,
    no_clobber: bool,
    verbose: bool,
    **after: Any,
) -> None:
    """Read top to bottom: check the words, capture, encode, write, and what is to come after."""
    box = read_target(outputs, region, window, select)
    refuse_node(select, pipewire_node)
    if freeze and select not in {"region", "output"}:
        reason = ": a window's pixels are not what the screen shows" if select else ""
        refuse(f"--freeze is for --select region and output{reason}", "freeze")
        freeze = False
    refuse_programs(select, menu, is_frozen=freeze)
    if (window is not None or select == "window") and scale is not None:
        message = "--scale is not for windows"
        raise click.UsageError(message)
    template = read_template(file)
    format_, options = encoding(
        format_name(file, template), format_, level, quality, metadata=metadata
    )
    refuse_terminal(file)
    writing = Writing(template or file, format_, options, not no_clobber, mkdir)
    delivery = read_delivery(file, timeout, format_=format_, **after)

    how: dict[str, Any] = {
        "cursor": cursor, "scale": scale, "delay": delay,
        "backend": backend, "buffer": buffer, "device": device, "timeout": timeout,
        "portal": read_portal(portal_source, portal_size, remote_desktop=portal_remote_desktop),
        "report": report if verbose else None, "warn": report,
        "meanwhile": lambda: encode.load(format_), "note": template.note if template else None,
    }  # fmt: skip
    with delivery.telling_errors() if delivery else nullcontext():
        if select is None:
            frame = take_shot(
                outputs or None, region=box, window=window, pipewire_node=pipewire_node, **how
            )
        else:
            from wayshot_cli.cli.selecting import Programs, selected_shot  # noqa: PLC0415 - for this

            frame = selected_shot(select, Programs(selector, menu), is_frozen=freeze, **how)
        if verbose and format_ == "raw":
            report(f"raw: {frame.width}x{frame.height} {encode.load(format_).raw_format(frame)}")
        if delivery:
            delivery.deliver(frame, writing)
        else:
            write(frame, writing)


class Writing(NamedTuple):
    """How a picture is to be written; ``file`` is FILE."""

    file: "str | Template | None"
    format: str
    options: encode.Options
    clobber: bool = True
    mkdir: bool = False


def write(
    frame: "Frame",
    writing: Writing,
    png: bytes | None = None,
    say_name: "Callable[[str], object]" = say_path,
) -> str | None:
    """Write a picture and return its path, None for stdout; say a name that is chosen here.

    ``png`` is the picture where it has been encoded before.
    """
    file, format_, options, clobber, mkdir = writing
    chunks = encode.encode(frame, format_, options) if png is None else [png]
    if file == STDOUT:
        with sinks.errors_named("stdout"):
            sinks.write_fd(1, chunks)
        return None
    with hinting_at_mkdir(mkdir):
        if isinstance(file, str) and not is_folder(file):
            sinks.write_file(file, chunks, clobber=clobber, mkdir=mkdir)
            return file
        extension = _extension(format_)
        if file is None or isinstance(file, str):
            names = generated_names(file or user_folder("PICTURES"), extension)
        else:
            names = file.names(extension, frame.upright_size)
        path = sinks.write_new(names, chunks, mkdir=mkdir)
    say_name(path)
    return path


def encoding(
    name: str | None,
    format_: str | None = None,
    level: int | None = None,
    quality: int | None = None,
    *,
    metadata: bool = False,
) -> tuple[str, encode.Options]:
    """Settle the format, by the extension of a name if need be; refuse what it does not have."""
    if format_ is None:
        format_ = encode.format_of(name) if name else "png"
    if format_ != "png":
        refuse(f"--level and --metadata are for png, not {format_}", "level", "metadata")
        level, metadata = None, False
    if format_ not in encode.LOSSY:
        refuse(f"--quality is for {', '.join(encode.LOSSY)}, not {format_}", "quality")
        quality = None
    defaults = encode.DEFAULTS
    level = defaults.level if level is None else level
    return format_, encode.Options(level, quality, metadata)


def _extension(format_: str) -> str:
    return next(ext for ext, name in encode.EXTENSIONS.items() if name == format_)
