"""``wayshot [OPTIONS] [FILE]``: one still, from the words on the line to a file."""

import os
import re
import stat
import sys
import time
from collections.abc import Iterator

import click

from wayshot_cli import __version__, backends, encode, sinks
from wayshot_cli.cli import say as report
from wayshot_cli.cli.options import (
    CONTEXT_SETTINGS,
    complete_file,
    complete_output,
    positive,
    seconds,
    timeout_option,
    within,
)
from wayshot_cli.geometry import Box, parse_region
from wayshot_cli.still import shot as take_shot

STDOUT = "-"
_LONGEST_LINE = 4096  # of a region on stdin

_EPILOG = """\b
Examples:
  wayshot                                 everything, to a file in Pictures
  wayshot -o DP-1 out.png                 one output
  wayshot -g "$(slurp)" out.png           a region that you select
  wayshot -o DP-1 - | wl-copy             one output, to the clipboard
  wayshot -d 3 -c -t jpeg -q 80 out.jpg   in 3 seconds, with the cursor
"""


@click.command(
    help="Take a picture of a Wayland screen.\n\nFILE is a path, a folder, or - for stdout.",
    epilog=_EPILOG,
    context_settings=CONTEXT_SETTINGS,
)
@click.option(
    "-o", "--output", "outputs", multiple=True, metavar="NAME", shell_complete=complete_output,
    help="Only this output; again for several.",
)  # fmt: skip
@click.option(
    "-g", "--region", "--geometry", "region", metavar="REGION",
    help="Only 'X,Y WxH' or WxH+X+Y; - for stdin.",
)  # fmt: skip
@click.option("-c", "--cursor", is_flag=True, help="Paint the cursor.")
@click.option(
    "-t", "--format", "format_", type=click.Choice(encode.FORMATS), metavar="FORMAT",
    help=f"{', '.join(encode.FORMATS)}; else by the extension.",
)  # fmt: skip
@click.option(
    "-l", "--level", type=int, metavar="0-9", callback=within(0, 9),
    help="Compression of PNG, 2 unless given.",
)  # fmt: skip
@click.option(
    "-q", "--quality", type=int, metavar="1-100", callback=within(1, 100),
    help="Quality of JPEG, WebP and AVIF.",
)  # fmt: skip
@click.option(
    "-s", "--scale", type=float, metavar="S", callback=positive,
    help="Pixels per logical unit, instead of native.",
)  # fmt: skip
@click.option(
    "-d", "--delay", type=float, metavar="SECONDS", default=0.0, callback=seconds,
    help="Wait first.",
)  # fmt: skip
@click.option("--metadata", is_flag=True, help="Note time, software and resolution in a PNG.")
@click.option("--no-clobber", is_flag=True, help="Never replace an existing file.")
@click.option(
    "--backend", type=click.Choice(["auto", *backends.BACKENDS]), default="auto",
    metavar="NAME", help=f"auto, {', '.join(backends.BACKENDS)}.",
)  # fmt: skip
@click.option(
    "--buffer", type=click.Choice(["auto", *backends.BUFFERS]), default="auto",
    metavar="KIND", help=f"auto, {', '.join(backends.BUFFERS)}.",
)  # fmt: skip
@timeout_option()
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr what is done.")
@click.version_option(__version__, message="wayshot %(version)s")
@click.argument("file", required=False, shell_complete=complete_file)
def shot(  # noqa: PLR0913, PLR0917 - one for each option, handed over by name
    outputs: tuple[str, ...],
    region: str | None,
    format_: str | None,
    level: int | None,
    quality: int | None,
    scale: float | None,
    delay: float,
    backend: str,
    buffer: str,  # noqa: ARG001 - shm is the only kind so far, and click has checked the name
    timeout: float,
    file: str | None,
    *,
    cursor: bool,
    metadata: bool,
    no_clobber: bool,
    verbose: bool,
) -> None:
    """Read top to bottom: check the words, capture, encode, write."""
    if outputs and region is not None:
        message = "--output and --region exclude each other"
        raise click.UsageError(message)
    box = _read_region(region)
    format_, options = _encoding(file, format_, level, quality, metadata=metadata)
    if file == "":
        message = "FILE is empty"
        raise click.UsageError(message)
    if file is not None and sinks.is_terminal(file):
        message = f"{'stdout' if file == STDOUT else file} is a terminal: name a file"
        raise click.UsageError(message)

    frame = take_shot(
        outputs or None, region=box, cursor=cursor, scale=scale, delay=delay,
        backend=backend, timeout=timeout, report=report if verbose else None,
        meanwhile=lambda: encode.load(format_),
    )  # fmt: skip
    if verbose and format_ == "raw":
        report(f"raw: {frame.width}x{frame.height} {encode.load(format_).raw_format(frame)}")
    chunks = encode.encode(frame, format_, options)

    if file == STDOUT:
        with sinks.errors_named("stdout"):
            sinks.write_fd(1, chunks)
        return
    if file is not None and not _is_folder(file):
        sinks.write_file(file, chunks, clobber=not no_clobber)
        return
    path = sinks.write_new(_generated_names(file or _pictures_folder(), format_), chunks)
    with sinks.errors_named("stdout"):
        sinks.write_fd(1, [os.fsencode(path) + b"\n"])


def _read_region(region: str | None) -> Box | None:
    if region is None:
        return None
    if region == STDOUT:  # of slurp, that is: our stdin
        line = sys.stdin.buffer.readline(_LONGEST_LINE) if sys.stdin else b""
        region = line.decode(errors="replace")
    return parse_region(region)


def _encoding(
    file: str | None, format_: str | None, level: int | None, quality: int | None, *, metadata: bool
) -> tuple[str, encode.Options]:
    """Settle the format, and refuse what it does not have."""
    if format_ is None:
        is_named = file is not None and file != STDOUT and not _is_folder(file)
        format_ = encode.format_of(file) if is_named and file else "png"
    if format_ != "png" and (level is not None or metadata):
        message = f"--level and --metadata are for png, not {format_}"
        raise click.UsageError(message)
    if quality is not None and format_ not in encode.LOSSY:
        message = f"--quality is for {', '.join(encode.LOSSY)}, not {format_}"
        raise click.UsageError(message)
    defaults = encode.DEFAULTS
    level = defaults.level if level is None else level
    return format_, encode.Options(level, quality, metadata)


def _is_folder(file: str) -> bool:
    if file.endswith("/"):
        return True
    try:
        return stat.S_ISDIR(os.stat(file).st_mode)
    except OSError:
        return False


def _generated_names(folder: str, format_: str) -> Iterator[str]:
    """Yield names by the date, then the same numbered from 2."""
    stem = os.path.join(folder, time.strftime("wayshot-%Y%m%d-%H%M%S"))
    extension = next(ext for ext, name in encode.EXTENSIONS.items() if name == format_)
    yield stem + extension
    for number in range(2, 10_000):
        yield f"{stem}-{number}{extension}"


def _pictures_folder() -> str:
    """Return the XDG pictures folder, or the current one where there is none.

    user-dirs.dirs(5) is a shell fragment; it is parsed and never sourced.
    """
    home = os.environ.get("HOME", "")
    config = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    try:
        with open(f"{config}/user-dirs.dirs", encoding="utf-8", errors="surrogateescape") as file:
            settings = file.read()
    except OSError:
        return "."
    pattern = r'^\s*XDG_PICTURES_DIR="((?:[^"\\\n]|\\.)*)"'
    for quoted in reversed(re.findall(pattern, settings, re.MULTILINE)):  # the last one stands
        folder = re.sub(r"^\$HOME(?=/|$)", lambda _: home, quoted)
        folder = re.sub(r"\\(.)", r"\1", folder)
        if folder.startswith("/") and os.path.isdir(folder):
            return folder
    return "."
