"""``wayshot record [OPTIONS] [FILE]``: a stream or a file, from the words on the line."""

import contextlib
import gc
import importlib.util
import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from wayshot_cli import backends, sinks
from wayshot_cli.cli import before_leaving, exit_code_of, say
from wayshot_cli.cli.control import Signals, Stills, show_status, statistics_line
from wayshot_cli.cli.destination import Destination, Wishes
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
    after_recording_options,
    backend_options,
    delay_option,
    is_default,
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
    writing_options,
)
from wayshot_cli.encode import rawvideo, y4m
from wayshot_cli.encode.stream import ANIMATIONS, VIDEO_FORMATS, VideoOptions
from wayshot_cli.encode.yuv import COLORSPACES
from wayshot_cli.errors import InvalidArgumentError, WayshotError, WriteError
from wayshot_cli.geometry import Box, Size
from wayshot_cli.pacing import SECOND, default_rate, read_rate
from wayshot_cli.planes import YUV_FORMATS
from wayshot_cli.record import ON_LOST, ON_RESIZE, Recorder
from wayshot_cli.sources import OutputSource, Source, WindowSource
from wayshot_cli.waiting import Waiter
from wayshot_cli.wayland.connection import Connection

if TYPE_CHECKING:
    from wayshot_cli.cli.deliver import Delivery
    from wayshot_cli.cli.templates import Template
    from wayshot_cli.headless import Stage

FORMATS = ("y4m", "raw", *VIDEO_FORMATS)
_FIELDS = ("output", "app_id", "title", "counter")  # of FILE: nothing has a size before it

# Fields of VideoOptions: those that PyAV alone can be told, and those that options call otherwise.
_CODECS_OPTIONS = ("codec", "crf", "preset", "bitrate", "gop", "codec_options")
_WORDS = {"full_range": "color_range"}

_EPILOG = """\b
Examples:
  wayshot record -o DP-1 clip.mp4                   until Ctrl-C
  wayshot record -g "$(slurp)" --duration 5 a.gif   5 seconds of a region
  wayshot record -o DP-1 - | ffmpeg -i - clip.mp4   y4m, into any program
  wayshot record -t raw --pixel-format nv12 - |...  raw; says how to read it
  pkill -USR1 -x wayshot                            pause, and go on
"""


def _frames_per_second(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> Fraction | None:
    """Read 30, 29.97 or 30000/1001."""
    if value is None:
        return None
    try:
        return read_rate(value.replace(":", "/"))
    except InvalidArgumentError as error:
        raise click.BadParameter(str(error)) from error


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
    "record",
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
    "--pixel-format", type=Word(rawvideo.PIXEL_FORMATS), metavar="NAME",
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
    "--timestamps", type=Word("files"), metavar="FILE",
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
@after_recording_options
@writing_options
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
@backend_options(hide_rare=False)
@portal_options(hidden=False)
@profile_option
@click.argument("file", required=False, type=Word("files"))
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
    exec_: list[str] | None,
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
    mkdir: bool,
    no_damage: bool,
    no_clobber: bool,
    notify: bool,
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
    refuse_programs(select, menu)
    options = VideoOptions(
        **video,
        pixel_format=pixel_format,
        colorspace=colorspace,
        full_range=None if color_range is None else color_range == "full",
    )
    template = read_template(file, _FIELDS)

    def read_wishes(format_: str | None) -> Wishes:
        kind = _format(file, template, format_, encoder)
        arguments = _encoder_arguments(_encoder(encoder, kind, file), encoder_args, format_)
        wishes = Wishes(kind, rate, timestamps, options, arguments, not no_clobber, mkdir)
        return _checked(wishes, file, report)

    delivery = read_delivery(file, timeout, exec_=exec_, notify=notify)
    with _telling_errors(delivery):
        wishes = _with_format(format_, read_wishes)
        refuse_terminal(file)
        # Said now if something is wrong with it; a name made of what is captured comes later.
        early = None if template else _destination(file, wishes)
    on_resize = _way_to_resize(on_resize, early)

    with contextlib.ExitStack() as stack:
        stack.enter_context(_telling_errors(delivery))
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
        if template:
            template.note(source)
        destination = early or _destination(template, wishes)
        destination.rate = _settle_rate(wishes, source)
        recorder = Recorder(
            source, destination.open, rate=destination.rate,
            duration_ns=None if duration is None else round(duration * SECOND), frames=frames,
            on_resize=on_resize, on_lost=on_lost, stuck_for=destination.stuck_for,
            is_gone=destination.is_gone, start_up=destination.start_up,
        )  # fmt: skip
        description = destination.describe(recorder.first())
        say_new()
        stills = Stills(destination, report)
        signals = stack.enter_context(Signals(link, recorder, stills))
        before_leaving.append(destination.leave)
        if stage:
            stage.when_over(recorder.stop)
        for line in description:
            report(line)
        unsaid = _run(recorder, destination, stills, file, report, quiet=quiet)
    if recorder.new_size:
        report(f"the picture's size became {recorder.new_size}: stopped (--on-resize)")
    if signals.first and not recorder.statistics.written:
        return exit_code_of(signals.first)
    if not destination.nbytes and destination.is_gone():
        return 1  # an encoder has taken frames, the reader nothing; who went away knows it
    with _telling_errors(delivery):
        _check_taken(recorder, destination)
        _hand_on(delivery, destination, unsaid)
    return 0


def _run(  # noqa: PLR0913 - all that takes part
    recorder: Recorder,
    destination: Destination,
    stills: Stills,
    file: str | None,
    report: Callable[[str], object],
    *,
    quiet: bool,
) -> WriteError | None:
    """Record to the end, say what there is then, and return what its name could not be printed for.

    Raises what ``Recorder.run`` does.
    """
    unsaid = None
    gc.freeze()
    gc.enable()  # a recording may take hours
    try:
        with show_status(recorder, destination, quiet=quiet):
            recorder.run()
    finally:
        if recorder.was_abandoned:
            destination.leave()
        stills.wait()
        if recorder.statistics.written:
            report(statistics_line(recorder.statistics, destination.nbytes))
            unsaid = _say_names(destination, file)
    return unsaid


def _telling_errors(delivery: "Delivery | None") -> contextlib.AbstractContextManager[None]:
    return delivery.telling_errors() if delivery else contextlib.nullcontext()


def _hand_on(
    delivery: "Delivery | None", destination: Destination, unsaid: WriteError | None
) -> None:
    """Do what is to come after a recording; raise then what its name could not be printed for."""
    if delivery:
        delivery.deliver_recording(destination.paths if destination.is_file else [])
    if unsaid:
        raise unsaid


def _check_taken(recorder: Recorder, destination: Destination) -> None:
    """Tell of a recording that is worth nothing."""
    if not recorder.statistics.written or (recorder.was_abandoned and destination.is_whole):
        why = "ffmpeg does not read" if destination.is_piped else "nobody took it"
        message = f"cannot write {destination.path!r}: {why}"
        raise WriteError(message)


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


def _say_names(destination: Destination, file: str | None) -> WriteError | None:
    """Print the names of files that are there and that we chose; return what keeps it from that."""
    if file in (destination.path, STDOUT):
        return None
    try:
        for path in filter(os.path.lexists, destination.paths):
            say_path(path)
    except WriteError as error:  # the recording is there, and what is to come after comes
        return error
    return None


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


def _format(
    file: str | None, template: "Template | None", format_: str | None, encoder: str
) -> str:
    """Return the format that is asked for, or that the name says."""
    if format_:
        return format_
    if file == STDOUT:
        return "y4m"
    name = format_name(file, template)
    if name is None:
        return "mp4" if importlib.util.find_spec("av") or encoder == "ffmpeg" else "y4m"
    extension = os.path.splitext(name)[1].lower()
    if not extension:
        return "y4m"
    if extension[1:] in FORMATS:
        return extension[1:]
    if encoder == "ffmpeg":
        return "mkv"  # or whatever else: ffmpeg goes by the name
    message = f"unknown extension {extension!r}"
    known = " ".join(f".{name}" for name in FORMATS)
    raise InvalidArgumentError(message, hint=f"known are {known}; -t names a format")


def _with_format(format_: str | None, read_wishes: Callable[[str | None], Wishes]) -> Wishes:
    """Read the wishes for a format, which gives way to them if it merely is configured."""
    try:
        return read_wishes(format_)
    except (click.UsageError, InvalidArgumentError):
        if format_ and is_default("format_"):
            with contextlib.suppress(click.UsageError, WayshotError):
                return read_wishes(None)
        raise


def _encoder(encoder: str, format_: str, file: str | None) -> str:
    """Refuse the system's ffmpeg where it cannot write."""
    if encoder == "ffmpeg" and (format_ not in VIDEO_FORMATS or sinks.is_descriptor(file)):
        refuse("--encoder ffmpeg writes video files; for a pipe take y4m", "encoder")
        return "auto"
    return encoder


def _encoder_arguments(
    encoder: str, arguments: str | None, format_: str | None
) -> list[str] | None:
    """Return ffmpeg's arguments, with the format that is asked for, None where it is not used."""
    if encoder != "ffmpeg":
        refuse("--encoder-args is for --encoder ffmpeg", "encoder_args")
        return None
    named = ["-f", {"mkv": "matroska"}.get(format_, format_)] if format_ else []
    try:
        return [*named, *shlex.split(arguments or "")]
    except ValueError as error:
        message = f"--encoder-args cannot be read: {error}"
        raise click.UsageError(message) from error


def _checked(wishes: Wishes, file: str | None, report: Callable[[str], object]) -> Wishes:
    """Refuse what the format does not have, before anything is captured.

    Returns the wishes without what merely is configured and does not apply.
    """
    is_piped = wishes.encoder_arguments is not None
    wishes = _with_timestamps(wishes, file)
    video, format_ = wishes.video, wishes.format
    where = "--encoder ffmpeg" if is_piped else format_
    if where not in VIDEO_FORMATS:
        for name in _CODECS_OPTIONS:
            refuse(f"--{name.rstrip('s').replace('_', '-')} is not for {where}", name)
        video = _without(video, _CODECS_OPTIONS)
    if format_ == "raw" and video.pixel_format not in YUV_FORMATS:
        message = "--colorspace and --color-range are for YUV, as --pixel-format yuv420p"
        refuse(message, "colorspace", "color_range")
        video = _without(video, ("colorspace", "full_range"))
    if is_piped:
        from wayshot_cli.encode import ffmpeg  # noqa: PLC0415 - for this alone

        ffmpeg.check()
    return wishes._replace(video=_fitting(video, where, report))


def _fitting(video: VideoOptions, where: str, report: Callable[[str], object]) -> VideoOptions:
    """Return the options that fit the format: all of them, or those of the line alone."""
    typed = _without(video, [name for name in video._fields if is_default(_WORDS.get(name, name))])
    if where in ANIMATIONS:  # which have none
        video = typed
    try:
        _check_video(video, where)
    except InvalidArgumentError as error:
        if video == typed:
            raise
        _check_video(typed, where)
        report(f"what is configured of the codec does not apply: {error}")
        return typed
    return video


def _check_video(video: VideoOptions, where: str) -> None:
    if where in VIDEO_FORMATS:
        from wayshot_cli.encode.video import check  # noqa: PLC0415 - PyAV costs 55 ms

        check(where, video)
    elif video.pixel_format is not None:  # ffmpeg is given y4m
        (rawvideo if where == "raw" else y4m).check_pixel_format(video.pixel_format)


def _without(video: VideoOptions, fields: Iterable[str]) -> VideoOptions:
    return video._replace(**{name: VideoOptions._field_defaults[name] for name in fields})


def _with_timestamps(wishes: Wishes, file: str | None) -> Wishes:
    """Refuse a file of time stamps where there can be none."""
    if wishes.timestamps is None:
        return wishes
    if wishes.format != "raw" or wishes.rate:
        refuse("--timestamps is for raw, and for a variable rate", "timestamps")
        return wishes._replace(timestamps=None)
    if file and os.path.realpath(wishes.timestamps) == os.path.realpath(file):
        message = "--timestamps needs a file of its own"
        raise click.UsageError(message)
    return wishes


def _way_to_resize(on_resize: str, destination: Destination | None) -> str:
    """Refuse segments of what is no file."""
    if on_resize == "segment" and destination and not destination.is_file:
        refuse("--on-resize segment needs a file", "on_resize")
        return "scale"
    return on_resize


def _destination(file: "str | Template | None", wishes: Wishes) -> Destination:
    """Return where FILE says; of names that are made up the first that nobody has."""
    with hinting_at_mkdir(wishes.mkdir):
        if isinstance(file, str) and not is_folder(file):
            return Destination(file, wishes)
        extension = f".{wishes.format}"
        if file is None or isinstance(file, str):
            names = generated_names(file or user_folder("VIDEOS"), extension)
        else:
            names = file.names(extension)
        return Destination(next(names), wishes._replace(clobber=False), names)


def _settle_rate(wishes: Wishes, source: Source) -> Fraction | None:
    """Return the constant rate, None for a variable one."""
    is_variable = wishes.format in VIDEO_FORMATS and wishes.encoder_arguments is None
    if is_variable or wishes.timestamps is not None:
        return wishes.rate
    return wishes.rate or default_rate(source.refreshes_mhz)
