"""``wayshot record [OPTIONS] [FILE]``: a stream or a file, from the words on the line."""

import contextlib
import gc
import importlib.util
import os
import shlex
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from wayshot_cli import backends, sinks
from wayshot_cli.cli import exit_code_of, say
from wayshot_cli.cli.control import Signals, Stills, show_status, statistics_line
from wayshot_cli.cli.destination import Destination, Wishes
from wayshot_cli.cli.names import generated_names, is_folder, user_folder
from wayshot_cli.cli.options import (
    CONTEXT_SETTINGS,
    STDOUT,
    backend_options,
    complete_file,
    delay_option,
    portal_options,
    positive,
    read_portal,
    read_target,
    refuse_node,
    refuse_terminal,
    select_options,
    target_options,
)
from wayshot_cli.encode import rawvideo, y4m
from wayshot_cli.encode.stream import VIDEO_FORMATS, VideoOptions
from wayshot_cli.encode.yuv import COLORSPACES
from wayshot_cli.errors import InvalidArgumentError, WriteError
from wayshot_cli.geometry import Box, Size
from wayshot_cli.pacing import SECOND, default_rate, exact_rate
from wayshot_cli.pixels import YUV_FORMATS
from wayshot_cli.record import ON_LOST, ON_RESIZE, OutputSource, Recorder, Source, WindowSource
from wayshot_cli.waiting import Waiter
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from wayshot_cli.headless import Stage

FORMATS = ("y4m", "raw", *VIDEO_FORMATS)
_FASTEST = 1000  # frames per second that can be asked for; and seconds per frame
_MOST_EXACT = 1001  # the denominator of NTSC's rates

_EPILOG = """\b
Examples:
  wayshot record -o DP-1 clip.mp4                   until Ctrl-C
  wayshot record -g "$(slurp)" --duration 5 a.gif   5 seconds of a region
  wayshot record -o DP-1 - | ffmpeg -i - clip.mp4   y4m, into any program
  wayshot record -t raw --pixel-format nv12 - | ... raw video; says how to read it
  pkill -USR1 -x wayshot                            pause, and go on
"""


def _frames_per_second(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> Fraction | None:
    """Read 30, 29.97 or 30000/1001."""
    if value is None:
        return None
    try:
        rate = Fraction(value.replace(":", "/"))
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not Fraction(1, _FASTEST) <= rate <= _FASTEST:
        message = f"{value!r} is no number of frames per second from 1/{_FASTEST} to {_FASTEST}"
        raise click.BadParameter(message)
    return exact_rate(rate).limit_denominator(_MOST_EXACT)


def _bits(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """Read bits per second: 5000000, 5000k, 5M."""
    if value is None:
        return None
    factor = {"k": 1_000, "m": 1_000_000}.get(value[-1:].lower(), 1)
    try:
        bits = int(float(value[:-1] if factor > 1 else value) * factor)
    except (ValueError, OverflowError):
        bits = 0
    if bits <= 0:
        message = f"{value!r} is no number of bits per second, as 5M or 800k"
        raise click.BadParameter(message)
    return bits


def _settings(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """Read K=V."""
    pairs = [value.partition("=") for value in values]
    for key, equals, _ in pairs:
        if not (key and equals):
            message = f"{key!r} is not of the form KEY=VALUE"
            raise click.BadParameter(message)
    return tuple((key, value) for key, _, value in pairs)


@click.command(
    help="Record a Wayland screen.\n\nFILE is a path, a folder, or - for stdout (y4m).",
    epilog=_EPILOG,
    context_settings=CONTEXT_SETTINGS,
)
@target_options
@select_options
@click.option(
    "-t", "--format", "format_", type=click.Choice(FORMATS), metavar="FORMAT",
    help=f"{', '.join(FORMATS)}; else by the extension.",
)  # fmt: skip
@click.option(
    "-r", "--fps", "rate", metavar="RATE", callback=_frames_per_second,
    help="Constant rate, as 30 or 30000/1001. y4m and raw: the screen's, at most 60.",
)  # fmt: skip
@click.option("--duration", type=float, metavar="SECONDS", callback=positive, help="End by itself.")
@click.option("--frames", type=click.IntRange(1), metavar="N", help="End after so many frames.")
@delay_option
@click.option(
    "--pixel-format", type=str, metavar="NAME",
    help="Of y4m, raw and video, in ffmpeg's names, as yuv444p.",
)  # fmt: skip
@click.option(
    "--colorspace", type=click.Choice(COLORSPACES), default="auto", metavar="NAME",
    help="Matrix of YUV: auto (by the size), bt709, bt601.",
)  # fmt: skip
@click.option(
    "--color-range", type=click.Choice(["limited", "full"]), metavar="RANGE",
    help="Of YUV: limited (unless given) or full.",
)  # fmt: skip
@click.option(
    "--timestamps", metavar="FILE",
    help="raw: variable rate; the times of the frames go to FILE.",
)  # fmt: skip
@click.option("--codec", metavar="NAME", help="libx264 unless given; as hevc_nvenc, h264_qsv.")
@click.option("--crf", type=float, metavar="N", help="Constant quality; less is better.")
@click.option("--preset", metavar="NAME", help="The codec's, as ultrafast or slow.")
@click.option("--bitrate", metavar="BITS", callback=_bits, help="Bits per second, as 5M.")
@click.option("--gop", type=click.IntRange(1), metavar="N", help="Frames between key frames.")
@click.option(
    "--codec-option", "codec_options", multiple=True, metavar="K=V", callback=_settings,
    help="Any other option of the codec; again for several.",
)  # fmt: skip
@click.option(
    "--encoder", type=click.Choice(["auto", "ffmpeg"]), default="auto", metavar="NAME",
    help="ffmpeg: pipe to the system's ffmpeg.",
)  # fmt: skip
@click.option(
    "--encoder-args", metavar="ARGS", help="What ffmpeg is given for its output, in one word."
)
@click.option("--no-damage", is_flag=True, help="Capture every frame, changed or not.")
@click.option(
    "--on-resize", type=click.Choice(ON_RESIZE), default="scale", metavar="WHAT",
    help=f"When the size changes: {', '.join(ON_RESIZE)}.",
)  # fmt: skip
@click.option(
    "--on-lost", type=click.Choice(ON_LOST), default="stop", metavar="WHAT",
    help="When the target goes away: stop, or wait for it.",
)  # fmt: skip
@click.option("--no-clobber", is_flag=True, help="Never replace an existing file.")
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
@backend_options
@portal_options(hidden=False)
@click.argument("file", required=False, shell_complete=complete_file)
@click.pass_obj
def command(  # noqa: PLR0913, PLR0917 - one for each option, handed over by name
    open_stage: "Callable[[], contextlib.AbstractContextManager[Stage]] | None",
    /,
    outputs: tuple[str, ...],
    region: str | None,
    window: str | None,
    select: str | None,
    selector: list[str] | None,
    menu: list[str] | None,
    format_: str | None,
    rate: Fraction | None,
    duration: float | None,
    frames: int | None,
    delay: float,
    pixel_format: str | None,
    colorspace: str,
    color_range: str | None,
    timestamps: str | None,
    encoder: str,
    encoder_args: str | None,
    on_resize: str,
    on_lost: str,
    backend: str,
    buffer: str,
    device: str | None,
    timeout: float,
    pipewire_node: int | None,
    portal_source: str | None,
    portal_size: tuple[Size, Fraction | None] | None,
    file: str | None,
    *,
    portal_remote_desktop: bool,
    cursor: bool,
    no_damage: bool,
    no_clobber: bool,
    quiet: bool,
    verbose: bool,
    **video: Any,
) -> int:
    """Read top to bottom: check the words, capture the first frame, record, say what came of it.

    ``wayshot headless`` has a stage recorded instead of the session, until its program ends.
    """
    report = (lambda _line: None) if quiet else say
    box = read_target(outputs, region, window, select)
    refuse_node(select, pipewire_node)
    options = VideoOptions(
        **video,
        pixel_format=pixel_format,
        colorspace=colorspace,
        full_range=None if color_range is None else color_range == "full",
    )
    wishes = Wishes(
        _format(file, format_, encoder), rate, timestamps, options,
        _encoder_arguments(encoder, encoder_args, format_), not no_clobber,
    )  # fmt: skip
    _check(wishes, file)
    refuse_terminal(file)
    destination = _destination(file, wishes)
    if on_resize == "segment" and not destination.is_file:
        message = "--on-resize segment needs a file"
        raise click.UsageError(message)

    with contextlib.ExitStack() as stack:
        stage = stack.enter_context(open_stage()) if open_stage else None
        link: Waiter = (
            stage.connection
            if stage
            else stack.enter_context(backends.connect(timeout, pipewire_node))
        )
        chosen, passed_over = backends.choose(
            link, backend, buffer, device, damage=not no_damage,
            windows=window is not None or select == "window",
            pipewire_node=pipewire_node, warn=report,
            portal=read_portal(portal_source, portal_size, remote_desktop=portal_remote_desktop),
        )  # fmt: skip
        stack.callback(chosen.close)
        choice = [
            *(f"not {rung.name}: {rung.reason}" for rung in passed_over),
            f"{link.compositor}: capturing by {chosen.name} into {chosen.memory}",
        ]
        say_new = stack.enter_context(
            _saying_each_once(lambda: [*choice, *chosen.notes] if verbose else [])
        )
        if select is not None:
            outputs, box, window = _select(link, select, selector, menu)
        open_source = _opening(
            link, chosen, outputs, box, window, cursor=cursor, damage=not no_damage
        )
        source = stack.enter_context(_open_after(delay, link, open_source))
        destination.rate = _settle_rate(wishes, source)
        recorder = Recorder(
            source, destination.open, rate=destination.rate,
            duration_ns=None if duration is None else round(duration * SECOND), frames=frames,
            on_resize=on_resize, on_lost=on_lost, stuck_for=destination.stuck_for,
            is_gone=destination.is_gone,
        )  # fmt: skip
        description = destination.describe(recorder.first())
        say_new()
        stills = Stills(destination, report)
        signals = stack.enter_context(Signals(link, recorder, stills))
        if stage:
            stage.when_over(recorder.stop)
        for line in description:
            report(line)
        gc.freeze()
        gc.enable()  # a recording may take hours
        try:
            with show_status(recorder, destination, quiet=quiet):
                recorder.run()
        finally:
            stills.wait()
            if recorder.statistics.written:
                report(statistics_line(recorder.statistics, destination.nbytes))
                _say_name(destination, file)
    if recorder.new_size:
        report(f"the picture's size became {recorder.new_size}: stopped (--on-resize)")
    if signals.first and not recorder.statistics.written:
        return exit_code_of(signals.first)
    if not destination.nbytes and destination.is_gone():
        return 1  # an encoder has taken frames, the reader nothing; who went away knows it
    if not recorder.statistics.written or (recorder.was_abandoned and destination.is_whole):
        message = f"cannot write {destination.path!r}: nobody took it"
        raise WriteError(message)
    return 0


def _select(
    link: Waiter, select: str, selector: list[str] | None, menu: list[str] | None
) -> tuple[tuple[str, ...], Box | None, str | None]:
    """Have the user select outputs, a region or a window."""
    from wayshot_cli.cli.selecting import Programs, select_target  # noqa: PLC0415 - for this alone

    assert isinstance(link, Connection)  # noqa: S101 - refuse_node has seen to it
    output, region, window = select_target(link, select, Programs(selector, menu))
    return (output,) if output else (), region, window


def _opening(  # noqa: PLR0913 - what is captured, and how
    link: Waiter,
    chosen: backends.Backend,
    outputs: tuple[str, ...],
    region: Box | None,
    window: str | None,
    *,
    cursor: bool,
    damage: bool,
) -> Callable[[], Source]:
    """Return what opens a source of the target."""
    if window is None:
        return partial(
            OutputSource, link, chosen, names=list(outputs) or None, region=region, cursor=cursor,
            damage=damage,
        )  # fmt: skip
    assert isinstance(link, Connection)  # noqa: S101 - nobody else has windows
    return partial(WindowSource, link, chosen, window, cursor=cursor)


def _open_after(delay: float, link: Waiter, open_source: Callable[[], Source]) -> Source:
    """Return the target, known to be there before the delay, as it is after it."""
    if delay:
        open_source().close()
        link.sleep(delay)
    return open_source()


def _say_name(destination: Destination, file: str | None) -> None:
    """Print the name of a file that is there and that we chose."""
    if file not in (destination.path, STDOUT) and os.path.lexists(destination.path):
        with sinks.errors_named("stdout"):
            sinks.write_fd(1, [os.fsencode(destination.path) + b"\n"])


@contextlib.contextmanager
def _saying_each_once(lines: Callable[[], list[str]]) -> Iterator[Callable[[], None]]:
    """Say lines that there are, now and at the end, be it an error; return what does so between."""
    said: set[str] = set()

    def say_new() -> None:
        for line in lines():
            if line not in said:
                said.add(line)
                say(line)

    say_new()
    try:
        yield say_new
    finally:
        say_new()


def _format(file: str | None, format_: str | None, encoder: str) -> str:
    """Return the format that is asked for, or that the name says."""
    if format_:
        return format_
    if file == STDOUT:
        return "y4m"
    if file is None or is_folder(file):
        return "mp4" if importlib.util.find_spec("av") or encoder == "ffmpeg" else "y4m"
    extension = os.path.splitext(file)[1].lower()
    if not extension:
        return "y4m"
    if extension[1:] in FORMATS:
        return extension[1:]
    if encoder == "ffmpeg":
        return "mkv"  # or whatever else: ffmpeg goes by the name
    message = f"unknown extension {extension!r}"
    known = " ".join(f".{name}" for name in FORMATS)
    raise InvalidArgumentError(message, hint=f"known are {known}; -t names a format")


def _encoder_arguments(
    encoder: str, arguments: str | None, format_: str | None
) -> list[str] | None:
    """Return ffmpeg's arguments, with the format that is asked for, None where it is not used."""
    if encoder != "ffmpeg":
        if arguments is not None:
            message = "--encoder-args is for --encoder ffmpeg"
            raise click.UsageError(message)
        return None
    named = ["-f", {"mkv": "matroska"}.get(format_, format_)] if format_ else []
    try:
        return [*named, *shlex.split(arguments or "")]
    except ValueError as error:
        message = f"--encoder-args cannot be read: {error}"
        raise click.UsageError(message) from error


def _check(wishes: Wishes, file: str | None) -> None:
    """Refuse what the format does not have, before anything is captured."""
    is_piped = wishes.encoder_arguments is not None
    _check_options(wishes, "--encoder ffmpeg" if is_piped else wishes.format)
    _check_timestamps(wishes, file)
    pixel_format = wishes.video.pixel_format
    says_colours = wishes.video.colorspace != "auto" or wishes.video.full_range is not None
    if wishes.format == "raw" and says_colours and pixel_format not in YUV_FORMATS:
        message = "--colorspace and --color-range are for YUV, as --pixel-format yuv420p"
        raise click.UsageError(message)
    if is_piped and (wishes.format not in VIDEO_FORMATS or sinks.is_descriptor(file)):
        message = "--encoder ffmpeg writes video files; for a pipe take y4m"
        raise click.UsageError(message)
    if not is_piped and wishes.format in VIDEO_FORMATS:
        from wayshot_cli.encode import video  # noqa: PLC0415 - PyAV costs 55 ms

        video.check(wishes.format, wishes.video)
    elif pixel_format is not None:
        (rawvideo if wishes.format == "raw" else y4m).check_pixel_format(pixel_format)
    if is_piped:
        from wayshot_cli.encode import ffmpeg  # noqa: PLC0415 - for this alone

        ffmpeg.check()


def _check_options(wishes: Wishes, where: str) -> None:
    """Refuse PyAV's options where something else writes."""
    if where in VIDEO_FORMATS:
        return
    video = wishes.video
    for option, value in {
        "--codec": video.codec, "--crf": video.crf, "--preset": video.preset,
        "--bitrate": video.bitrate, "--gop": video.gop,
        "--codec-option": video.codec_options or None,
    }.items():  # fmt: skip
        if value is not None:
            message = f"{option} is not for {where}"
            raise click.UsageError(message)


def _check_timestamps(wishes: Wishes, file: str | None) -> None:
    if wishes.timestamps is None:
        return
    if wishes.format != "raw" or wishes.rate:
        message = "--timestamps is for raw, and for a variable rate"
        raise click.UsageError(message)
    if file and os.path.realpath(wishes.timestamps) == os.path.realpath(file):
        message = "--timestamps needs a file of its own"
        raise click.UsageError(message)


def _destination(file: str | None, wishes: Wishes) -> Destination:
    """Return where FILE says; without a name, the first that the date gives and nobody has."""
    if file is not None and not is_folder(file):
        return Destination(file, wishes)
    names = generated_names(file or user_folder("VIDEOS"), f".{wishes.format}")
    return Destination(next(names), wishes._replace(clobber=False), names)


def _settle_rate(wishes: Wishes, source: Source) -> Fraction | None:
    """Return the constant rate, None for a variable one."""
    is_variable = wishes.format in VIDEO_FORMATS and wishes.encoder_arguments is None
    if is_variable or wishes.timestamps is not None:
        return wishes.rate
    return wishes.rate or default_rate(source.refreshes_mhz)
