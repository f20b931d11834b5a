"""One still: the way from a target to a picture, for the library and the command alike."""

import contextlib
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from wayshot_cli import backends, layout
from wayshot_cli.backends.common import PortalWish, Target
from wayshot_cli.errors import InvalidArgumentError
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Box, parse_region
from wayshot_cli.waiting import DEFAULT_TIMEOUT, Waiter
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.outputs import Output, read_outputs, settle_names

if TYPE_CHECKING:
    from wayshot_cli.dmabuf_frame import DmabufFrame
    from wayshot_cli.wayland.toplevels import Window


def shot(  # noqa: PLR0913 - the options of the command, all but the first optional
    output: str | Sequence[str] | None = None,
    *,
    region: str | Box | tuple[int, int, int, int] | None = None,
    window: str | None = None,
    cursor: bool | Literal["separate"] = False,
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
    note: Callable[["Subject"], object] | None = None,
) -> Frame:
    """Take a picture of an output, of several, of a region, a window, or (by default) everything.

    ``output`` is a name or several, ``focused`` is the one with the active window; ``region`` is
    ``X,Y WxH`` or a box in logical coordinates; ``window`` is an identifier (see
    ``windows()``), ``app_id:NAME`` or ``title:TEXT`` where one window alone has it, or ``active``.
    They exclude each other. A window's frame is its own pixels, whatever covers it, alpha
    included. ``scale`` asks for that many pixels per logical unit instead of the native ones; a
    window, whose place on the screen nobody tells, has none. ``delay`` waits that many seconds,
    once all is known to be there.
    ``cursor`` paints the cursor; "separate" captures it apart, as ``Frame.cursor``, which is None
    when it does not lie over the picture, or when there is no pointer.
    ``backend`` and ``buffer`` pin how it is captured and into what (shm, dmabuf), ``device`` the
    node of /dev/dri whose memory dmabufs are. ``portal`` says what the desktop's portal is asked
    for, and pins it. ``pipewire_node`` names a node of PipeWire's to take the picture from, for
    which no compositor is needed.
    ``timeout`` in seconds bounds each answer of the compositor.
    An open ``connection`` can be handed in and stays open, with the time-out that it has.
    ``report`` is called with a line for each step, for people, ``warn`` with what they must
    know of the picture; ``meanwhile`` once, while the compositor copies; ``note`` just before
    that with what is captured.

    The frame outlives the connection. Raises the errors of ``wayshot_cli.errors``:
    NotFoundError, UnsupportedError, CaptureError, TargetLostError, InvalidArgumentError,
    CancelledError when the user says no in a dialog, and ClosedError and ConcurrentUseError for
    a connection that cannot be used.
    """
    names, box = read_target(output, region, window)
    _check_scale(scale, window)
    if cursor not in {False, True, "separate"}:
        message = f"{cursor!r} is no way to show the cursor"
        raise InvalidArgumentError(message, hint='it takes True, False or "separate"')
    report = report or (lambda _line: None)
    with contextlib.ExitStack() as stack:
        link = connection or stack.enter_context(backends.connect(timeout, pipewire_node))
        stack.enter_context(link.in_use())
        is_free = (names, box, window, cursor, buffer, device) == (
            None, None, None, False, "auto", None,
        )  # fmt: skip
        chosen = choose(
            link, report, backend, buffer, device, windows=window is not None,
            separate_cursor=cursor == "separate", pipewire_node=pipewire_node, portal=portal,
            screenshot=is_free and backend == "auto" and portal is None, warn=warn or report,
        )  # fmt: skip
        stack.callback(chosen.close)
        stack.enter_context(noted(chosen, report))
        find = partial(_find, chosen, Target(names, box, scale, cursor is True), window)
        subject = find()
        if delay:
            link.sleep(delay)
            subject = find()
        if note:
            note(subject)
        pieces = capture(link, subject.open_sessions, stack, meanwhile)
    report_pieces(pieces, report)
    return layout.render(subject.box or pieces[0].box, pieces, scale)


def capture(
    link: Waiter,
    open_sessions: Sequence[Callable[[], backends.Session]],
    stack: contextlib.ExitStack,
    meanwhile: Callable[[], object] | None = None,
) -> list[layout.Piece]:
    """Capture one moment by sessions, which are left to the stack to close."""
    sessions: list[backends.Session] = []
    for open_session in open_sessions:
        sessions.append(open_session())
        stack.callback(sessions[-1].close)
    for session in sessions:  # all at once, so that they show the same moment
        session.start()
    if meanwhile:
        # After this the buffers are with the compositor, and we have nothing to do.
        link.settle(sessions[0].doing)
        meanwhile()
    deadline = link.deadline()
    frames = [session.finish(deadline) for session in sessions]
    return [layout.Piece(it.box, frame) for it, frame in zip(sessions, frames, strict=True)]


def report_pieces(pieces: Sequence[layout.Piece], report: Callable[[str], object]) -> None:
    """Report what was captured, a line for each."""
    for piece in pieces:
        report(f"{piece.box} captured as {piece.frame!r}, stride {piece.frame.stride}")


class Subject(NamedTuple):
    """What is captured by these sessions: ``box`` of the logical space, None for a window.

    ``outputs`` are the names of those that are captured, or show the window.
    """

    connection: Waiter
    box: Box | None
    open_sessions: list[Callable[[], backends.Session]]
    outputs: tuple[str, ...]
    window: "Window | None" = None


def _find(backend: backends.Backend, target: Target, window: str | None) -> Subject:
    link = backend.connection
    if window is not None:
        from wayshot_cli.wayland.toplevels import find_window  # noqa: PLC0415 - for this alone

        assert isinstance(link, Connection)  # noqa: S101 - no other backend captures windows
        found, toplevel = find_window(link, window)
        open_window = partial(backends.open_window, backend, found, toplevel, cursor=target.cursor)
        return Subject(link, None, [open_window], found.outputs, found)
    target = target._replace(names=settle_names(link, target.names))
    plan = target.plan(backend.read_outputs(target))
    # A rescaled region needs the pixels around it, too.
    regions = (None if target.scale else plan.request_region(output) for output in plan.outputs)
    return Subject(
        link,
        plan.box,
        [
            partial(backend.open, output, region=region, cursor=target.cursor)
            for output, region in zip(plan.outputs, regions, strict=True)
        ],
        tuple(output.name for output in plan.outputs),
    )


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
        chosen = choose(
            link, report, backend, "dmabuf", device, pipewire_node=pipewire_node, warn=report
        )
        stack.callback(chosen.close)
        target = Target(settle_names(link, _names(output)), cursor=cursor)
        found = target.plan(chosen.read_outputs(target)).outputs
        if len(found) > 1:
            message = f"there are {len(found)} outputs, and a dmabuf shows one"
            raise InvalidArgumentError(
                message, hint=f"name one of {', '.join(one.name for one in found)}"
            )
        session = chosen.open(found[0], cursor=cursor)
        stack.callback(session.close)
        with noted(chosen, report):
            session.start()
            frame = session.finish_dmabuf(link.deadline())
        if connection:
            frame.close_with(stack.pop_all().close)
    report(f"captured as {frame!r}")
    return frame


def outputs(
    *, timeout: float = DEFAULT_TIMEOUT, connection: Connection | None = None
) -> list[Output]:
    """Return the outputs of the session, in the compositor's order.

    An open ``connection`` can be handed in, as to ``shot``. Raises UnsupportedError when there is
    no compositor, CaptureError when it misbehaves, ClosedError for a connection that was closed.
    """
    if connection:
        return read_outputs(connection)
    with Connection(timeout=timeout) as own:
        return read_outputs(own)


def windows(
    *, timeout: float = DEFAULT_TIMEOUT, connection: Connection | None = None
) -> "list[Window]":
    """Return the windows of the session, in the compositor's order; as ``outputs`` otherwise.

    There are none where the compositor has no protocol for them.
    """
    from wayshot_cli.wayland.toplevels import read_windows  # noqa: PLC0415 - for this alone

    if connection:
        return read_windows(connection)
    with Connection(timeout=timeout) as own:
        return read_windows(own)


def read_target(
    output: str | Sequence[str] | None,
    region: str | Box | tuple[int, int, int, int] | None,
    window: str | None,
) -> tuple[list[str] | None, Box | None]:
    """Return the names and the box that are meant. Raises InvalidArgumentError for nonsense."""
    names, box = _names(output), _box(region)
    if sum(target is not None for target in (names, box, window)) > 1:
        message = "an output, a region and a window exclude each other"
        raise InvalidArgumentError(message)
    return names, box


def _check_scale(scale: float | None, window: str | None) -> None:
    if scale is not None and window is not None:
        message = "a window has no logical units to scale by"
        raise InvalidArgumentError(message)
    if scale is not None and not 0 < scale < math.inf:
        message = f"{scale} is not a scale"
        raise InvalidArgumentError(message)


def choose(
    link: Waiter,
    report: Callable[[str], object],
    backend: str,
    buffer: str,
    device: str | None,
    **wishes: Any,
) -> backends.Backend:
    """Return the backend that ``backends.choose`` chooses, and report why that one."""
    chosen, passed_over = backends.choose(link, backend, buffer, device, **wishes)
    for rung in passed_over:
        report(f"not {rung.name}: {rung.reason}")
    report(f"{link.compositor}: capturing by {chosen.name} into {chosen.memory}")
    return chosen


@contextlib.contextmanager
def noted(backend: backends.Backend, report: Callable[[str], object]) -> Iterator[None]:
    """Report what there is to tell of devices at the end, be it an error."""
    try:
        yield
    finally:
        for note in backend.notes:
            report(note)


def _names(output: str | Sequence[str] | None) -> list[str] | None:
    if output is None or isinstance(output, str):
        return None if output is None else [output]
    if not output:  # a list that came out empty does not mean everything
        message = "no output is named"
        raise InvalidArgumentError(message)
    if not all(isinstance(name, str) for name in output):
        message = f"not a name of an output, nor several: {output!r}"
        raise InvalidArgumentError(message, hint="an Output has its name in .name")
    return list(output)


def _box(region: str | Box | tuple[int, int, int, int] | None) -> Box | None:
    if region is None or isinstance(region, str):
        return None if region is None else parse_region(region)
    try:
        box = Box(*map(operator.index, region))  # NumPy's integers are no int
    except TypeError as error:
        message = f"not a region: {region!r}"
        raise InvalidArgumentError(message) from error
    if min(box.size) <= 0:
        message = f"the region has no area: {box}"
        raise InvalidArgumentError(message)
    return box
