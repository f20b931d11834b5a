"""``wayshot color [X,Y]``: the colour of a pixel."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import click

from wayshot_cli import backends, kernels, layout
from wayshot_cli.cli import say
from wayshot_cli.cli.options import (
    CONTEXT_SETTINGS,
    backend_options,
    profile_option,
    refuse,
    require_command,
    selector_option,
)
from wayshot_cli.color import FORMATS, Color
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Box, parse_point, pixel_at
from wayshot_cli.still import shot
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.outputs import Output, read_outputs

_EPILOG = """\b
Examples:
  wayshot color                     the pixel that you point at, as #rrggbb
  wayshot color -f oklch 100,200    the one at a point
  wayshot color --clipboard         copied, too
"""


class _Sample(NamedTuple):
    """A colour, and where it was: the pixel of an output, upright, that covers a logical point."""

    color: Color
    point: tuple[float, float] | None = None
    output: str | None = None
    pixel: tuple[int, int] | None = None


def _point(
    ctx: click.Context, _param: click.Parameter, value: str | None
) -> tuple[float, float] | None:
    # X may be negative, so that whatever looks like an option and is none comes here.
    if value is not None and value.startswith("-") and not value[1:2].isdecimal():
        raise click.NoSuchOption(value, ctx=ctx)
    return None if value is None else parse_point(value)


@click.command(
    "color",
    help="Print the colour of a pixel: at X,Y in logical coordinates, or where you point.",
    short_help="Print the colour of a pixel.",
    epilog=_EPILOG,
    context_settings={**CONTEXT_SETTINGS, "ignore_unknown_options": True},
)
@click.option(
    "-f", "--format", "format_", type=click.Choice(tuple(FORMATS)), metavar="FORMAT",
    help=f"{', '.join(FORMATS)}.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print everything, for programs.")
@click.option("--clipboard", is_flag=True, help="Copy what is printed, too.")
@click.option("--freeze", is_flag=True, help="Show the screen still while pointing.")
@selector_option
@backend_options(hide_rare=False)
@profile_option
@click.argument("point", metavar="[X,Y]", required=False, callback=_point)
def command(  # noqa: PLR0913, PLR0917 - one for each option
    format_: str | None,
    selector: list[str] | None,
    backend: str,
    buffer: str,
    device: str | None,
    timeout: float,
    point: tuple[float, float] | None,
    *,
    as_json: bool,
    clipboard: bool,
    freeze: bool,
    verbose: bool,
) -> None:
    """Check the words, take the pixel, print its colour, and copy that."""
    if as_json and format_:
        refuse("--json prints all formats: leave --format out", "format_")
    if point:
        refuse("--freeze and --selector are for pointing: leave X,Y out", "freeze", "selector")
        freeze = False
    else:
        require_command("selector")
    ask = partial(_ask, selector=selector)
    how: dict[str, Any] = {"backend": backend, "buffer": buffer, "device": device}
    report = say if verbose else None
    with Connection(timeout=timeout) as link:
        capture = partial(shot, connection=link, report=report, **how)
        if point:
            sample = _take(point, read_outputs(link), capture)
        elif freeze:
            sample = _take_frozen(link, ask, report=report, **how)
        elif _is_by_portal(link, **how) and selector is None:
            sample = _pick(link)
        else:
            sample = _take(ask(link), read_outputs(link), capture)
    words = _as_json(sample) if as_json else FORMATS[format_ or "hex"](sample.color)
    click.echo(words)
    if clipboard:
        from wayshot_cli.clipboard import copy, text  # noqa: PLC0415 - only copying needs it

        copy(text(words), timeout=timeout)


def _ask(link: Connection, selector: list[str] | None) -> tuple[float, float]:
    """Let the user point."""
    from wayshot_cli.cli.selecting import Programs, select_point  # noqa: PLC0415 - for this alone

    return select_point(link, Programs(selector))


def _is_by_portal(link: Connection, backend: str, buffer: str, device: str | None) -> bool:
    """Whether it is the portal that captures. Raises UnsupportedError when nobody does."""
    chosen, _ = backends.choose(link, backend, buffer, device, screenshot=True)
    chosen.close()
    return chosen.name == "portal"


def _pick(link: Connection) -> _Sample:
    """Let the user point in the portal's own way, which asks for no cast."""
    from wayshot_cli.backends.portal.picker import pick_color  # noqa: PLC0415 - for this alone

    return _Sample(Color(*pick_color(link)))


def _take_frozen(
    link: Connection, ask: Callable[[Connection], tuple[float, float]], **how: Any
) -> _Sample:
    """Let the user point at what is captured before."""
    from wayshot_cli.freeze import freeze  # noqa: PLC0415 - for this alone

    with freeze(link, **how) as frozen:
        point = ask(link)
    return _take(point, frozen.outputs, frozen.cut)


def _take(
    point: tuple[float, float], outputs: list[Output], capture: Callable[..., Frame]
) -> _Sample:
    """Read the pixel that covers the point.

    All of its output is captured: only so it is certain which pixel is which. Raises NotFoundError
    where there is no output.
    """
    x, y = point
    unit = Box(math.floor(x), math.floor(y), 1, 1)
    output = layout.plan(outputs, region=unit).outputs[-1]  # what lies uppermost
    with capture(output=output.name) as frame:
        pixel = pixel_at(x, y, output.box, frame.upright_size)
        return _Sample(_read(frame, pixel), point, output.name, pixel)


def _read(frame: Frame, pixel: tuple[int, int]) -> Color:
    depth = 16 if frame.format.is_deep else 8
    channels = kernels.pack(frame.crop(Box(*pixel, 1, 1)), kernels.Target(depth, 3))
    red, green, blue = channels.cast("H" if frame.format.is_deep else "B")
    full = (1 << depth) - 1
    return Color(red / full, green / full, blue / full)


def _as_json(sample: _Sample) -> str:
    import json  # noqa: PLC0415 - people get a word

    color, point, output, pixel = sample
    return json.dumps(
        {
            "point": point and dict(zip("xy", point, strict=True)),
            "output": output,
            "pixel": pixel and dict(zip("xy", pixel, strict=True)),
            **{name: write(color) for name, write in FORMATS.items()},
            "channels": color._asdict(),
        },
        indent=2,
    )
