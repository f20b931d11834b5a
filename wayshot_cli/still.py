"""One still: the way from a target to a picture, for the library and the command alike."""

import contextlib
import math
from collections.abc import Callable, Sequence

from wayshot_cli import backends, layout
from wayshot_cli.errors import InvalidArgumentError
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Box, parse_region
from wayshot_cli.wayland.connection import DEFAULT_TIMEOUT, Connection
from wayshot_cli.wayland.outputs import Output, read_outputs


def shot(  # noqa: PLR0913 - the options of the command, all but the first optional
    output: str | Sequence[str] | None = None,
    *,
    region: str | Box | tuple[int, int, int, int] | None = None,
    cursor: bool = False,
    scale: float | None = None,
    backend: str = "auto",
    timeout: float = DEFAULT_TIMEOUT,
    connection: Connection | None = None,
    report: Callable[[str], None] | None = None,
) -> Frame:
    """Take a picture of an output, of several, of a region, or (by default) of everything.

    ``output`` is a name or several; ``region`` is ``X,Y WxH`` or a box in logical
    coordinates; they exclude each other. ``scale`` asks for that many pixels per logical unit
    instead of the native ones. ``timeout`` in seconds bounds each answer of the compositor.
    An open ``connection`` can be handed in and stays open; without it one is made.
    ``report`` is called with a line for each step, for people.

    The frame outlives the connection. Raises the errors of ``wayshot_cli.errors``:
    NotFoundError, UnsupportedError, CaptureError, TargetLostError, InvalidArgumentError.
    """
    if output and region is not None:
        message = "an output and a region exclude each other"
        raise InvalidArgumentError(message)
    if scale is not None and not 0 < scale < math.inf:
        message = f"{scale} is not a scale"
        raise InvalidArgumentError(message)
    names = [output] if isinstance(output, str) else list(output or ())
    box = parse_region(region) if isinstance(region, str) else region and Box(*region)
    if box and min(box.size) <= 0:
        message = f"the region has no area: {box}"
        raise InvalidArgumentError(message)
    report = report or (lambda _line: None)
    with _connected(connection, timeout) as link:
        chosen, passed_over = backends.choose(link, backend)
        for rung in passed_over:
            report(f"not {rung.name}: {rung.reason}")
        report(f"{link.compositor}: capturing by {chosen.name} into shared memory")
        known = read_outputs(link)
        plan = layout.plan(known, names=names, region=box)
        sessions = [
            # A rescaled region needs the pixels around it, too.
            chosen.open(o, region=None if scale else plan.request_region(o), cursor=cursor)
            for o in plan.outputs
        ]
        for session in sessions:  # all at once, so that they show the same moment
            session.start()
        deadline = link.deadline()
        pieces = [layout.Piece(session.box, session.finish(deadline)) for session in sessions]
        for session in sessions:
            session.close()
        for known_output in known:
            known_output.proxy.destroy()
    for piece in pieces:
        report(f"{piece.box} captured as {piece.frame!r}, stride {piece.frame.stride}")
    return layout.render(plan.box, pieces, scale)


def outputs(
    *, timeout: float = DEFAULT_TIMEOUT, connection: Connection | None = None
) -> list[Output]:
    """Return the outputs of the session, in the compositor's order.

    Raises UnsupportedError when there is no compositor, CaptureError when it misbehaves.
    """
    with _connected(connection, timeout) as link:
        return read_outputs(link)


def _connected(
    connection: Connection | None, timeout: float
) -> contextlib.AbstractContextManager[Connection]:
    """Lend the caller's connection, or make one that ends with the block."""
    return contextlib.nullcontext(connection) if connection else Connection(timeout=timeout)
