"""One still: the way from a target to a picture, for the library and the command alike."""

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from wayshot_cli import backends, layout
from wayshot_cli.backends.common import PortalWish, Target
from wayshot_cli.errors import InvalidArgumentError
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Box, parse_region
from wayshot_cli.waiting import DEFAULT_TIMEOUT, Waiter
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.outputs import Output, read_outputs

if TYPE_CHECKING:
    from wayshot_cli.dmabuf_frame import DmabufFrame


def shot(  # noqa: PLR0913 - the options of the command, all but the first optional
    output: str | Sequence[str] | None = None,
    *,
    region: str | Box | tuple[int, int, int, int] | None = None,
    cursor: bool = False,
    scale: float | None = None,
    delay: float = 0.0,
    backend: str = "auto",
    buffer: str = "auto",
    device: str | None = None,
    portal: PortalWish | None = None,
    pipewire_node: int | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    connection: Connection | None = None,
    report: Callable[[str], object] | None = None,
    warn: Callable[[str], object] | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> Frame:
    """Take a picture of an output, of several, of a region, or (by default) of everything.

    ``output`` is a name or several; ``region`` is ``X,Y WxH`` or a box in logical
    coordinates; they exclude each other. ``scale`` asks for that many pixels per logical unit
    instead of the native ones. ``delay`` waits that many seconds, once all is known to be there.
    ``backend`` and ``buffer`` pin how it is captured and into what (shm, dmabuf), ``device`` the
    node of /dev/dri whose memory dmabufs are. ``portal`` says what the desktop's portal is asked
    for, and pins it. ``pipewire_node`` names a node of PipeWire's to take the picture from, for
    which no compositor is needed.
    ``timeout`` in seconds bounds each answer of the compositor.
    An open ``connection`` can be handed in and stays open, with the time-out that it has.
    ``report`` is called with a line for each step, for people, ``warn`` with what they must
    know of the picture; ``meanwhile`` once, while the compositor copies.

    The frame outlives the connection. Raises the errors of ``wayshot_cli.errors``:
    NotFoundError, UnsupportedError, CaptureError, TargetLostError, InvalidArgumentError, and
    CancelledError when the user says no in a dialog.
    """
    names = _names(output)
    box = _box(region)
    if names is not None and box is not None:
        message = "an output and a region exclude each other"
        raise InvalidArgumentError(message)
    if scale is not None and not 0 < scale < math.inf:
        message = f"{scale} is not a scale"
        raise InvalidArgumentError(message)
    report = report or (lambda _line: None)
    with contextlib.ExitStack() as stack:
        link = connection or stack.enter_context(backends.connect(timeout, pipewire_node))
        is_free = (names, box, cursor) == (None, None, False) and (buffer, device) == ("auto", None)
        chosen = _choose(
            link, report, backend, buffer, device,
            pipewire_node=pipewire_node, portal=portal, warn=warn or report,
            screenshot=is_free and backend == "auto" and portal is None,
        )  # fmt: skip
        stack.callback(chosen.close)
        target = Target(names, box, scale, cursor)
        plan = target.plan(chosen.read_outputs(target))
        if delay:
            link.sleep(delay)
            plan = target.plan(chosen.read_outputs(target))
        sessions: list[backends.Session] = []
        for o in plan.outputs:
            # A rescaled region needs the pixels around it, too.
            region_of_it = None if scale else plan.request_region(o)
            sessions.append(chosen.open(o, region=region_of_it, cursor=cursor))
            stack.callback(sessions[-1].close)
        for session in sessions:  # all at once, so that they show the same moment
            session.start()
        if meanwhile:
            # After this the buffers are with the compositor, and we have nothing to do.
            link.settle(sessions[0].doing)
            meanwhile()
        deadline = link.deadline()
        pieces = [layout.Piece(session.box, session.finish(deadline)) for session in sessions]
    for note in chosen.notes:
        report(note)
    for piece in pieces:
        report(f"{piece.box} captured as {piece.frame!r}, stride {piece.frame.stride}")
    return layout.render(plan.box, pieces, scale)


def shot_dmabuf(  # noqa: PLR0913 - as for shot
    output: str | None = None,
    *,
    cursor: bool = False,
    backend: str = "auto",
    device: str | None = None,
    pipewire_node: int | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    connection: Connection | None = None,
    report: Callable[[str], object] | None = None,
) -> "DmabufFrame":
    """Take a picture of one output, and leave it in GPU memory.

    ``output`` is a name; without one there has to be a single output. The rest is as for ``shot``,
    ``backend`` too; with "export-dmabuf" the buffer is the compositor's own, which is shared.

    The frame outlives the connection, but for its ``wl_buffer``: that lives as long as the frame
    on a connection that was handed in. Raises the errors of ``shot``; InvalidArgumentError, too,
    when there are several outputs and none is named.
    """
    report = report or (lambda _line: None)
    with contextlib.ExitStack() as stack:
        link = connection or stack.enter_context(backends.connect(timeout, pipewire_node))
        chosen = _choose(
            link, report, backend, "dmabuf", device, pipewire_node=pipewire_node, warn=report
        )
        stack.callback(chosen.close)
        target = Target(_names(output), cursor=cursor)
        found = target.plan(chosen.read_outputs(target)).outputs
        if len(found) > 1:
            message = f"there are {len(found)} outputs, and a dmabuf shows one"
            raise InvalidArgumentError(
                message, hint=f"name one of {', '.join(one.name for one in found)}"
            )
        session = chosen.open(found[0], cursor=cursor)
        stack.callback(session.close)
        session.start()
        frame = session.finish_dmabuf(link.deadline())
        if connection:
            frame.close_with(stack.pop_all().close)
    for note in chosen.notes:
        report(note)
    report(f"captured as {frame!r}")
    return frame


def outputs(
    *, timeout: float = DEFAULT_TIMEOUT, connection: Connection | None = None
) -> list[Output]:
    """Return the outputs of the session, in the compositor's order.

    An open ``connection`` can be handed in, as to ``shot``. Raises UnsupportedError when there is
    no compositor, CaptureError when it misbehaves.
    """
    if connection:
        return read_outputs(connection)
    with Connection(timeout=timeout) as own:
        return read_outputs(own)


def _choose(
    link: Waiter,
    report: Callable[[str], object],
    backend: str,
    buffer: str,
    device: str | None,
    **wishes: Any,
) -> backends.Backend:
    chosen, passed_over = backends.choose(link, backend, buffer, device, **wishes)
    for rung in passed_over:
        report(f"not {rung.name}: {rung.reason}")
    report(f"{link.compositor}: capturing by {chosen.name} into {chosen.memory}")
    return chosen


def _names(output: str | Sequence[str] | None) -> list[str] | None:
    if output is None or isinstance(output, str):
        return None if output is None else [output]
    if not output:  # a list that came out empty does not mean everything
        message = "no output is named"
        raise InvalidArgumentError(message)
    return list(output)


def _box(region: str | Box | tuple[int, int, int, int] | None) -> Box | None:
    if region is None or isinstance(region, str):
        return None if region is None else parse_region(region)
    if len(region) != 4 or not all(isinstance(number, int) for number in region):  # noqa: PLR2004 - x, y, width, height
        message = f"not a region: {region!r}"
        raise InvalidArgumentError(message)
    box = Box(*region)
    if min(box.size) <= 0:
        message = f"the region has no area: {box}"
        raise InvalidArgumentError(message)
    return box
