"""A frozen screen: all outputs captured at one moment, and shown so while the user selects."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

from wayshot_cli import kernels, layout, pixels
from wayshot_cli.backends.common import PortalWish, Target, require
from wayshot_cli.buffers.shm import ShmLayout, ShmPool
from wayshot_cli.errors import CaptureError, UnsupportedError
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Box, Size, Transform, round_half_up, true_scale
from wayshot_cli.still import capture, choose, noted, report_pieces
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.outputs import Output
from wayshot_cli.wayland.protocols.core import WL_COMPOSITOR, WL_SHM
from wayshot_cli.wayland.protocols.ext_foreign_toplevel_list import EXT_FOREIGN_TOPLEVEL_LIST_V1
from wayshot_cli.wayland.protocols.viewporter import WP_VIEWPORTER
from wayshot_cli.wayland.protocols.wlr_layer_shell import ZWLR_LAYER_SHELL_V1
from wayshot_cli.wayland.proxy import Proxy

NAMESPACE = "wayshot"
"""What compositors' rules for layer surfaces know ours by."""

_TOP, _OVERLAY = 2, 3  # zwlr_layer_shell_v1.layer: below and above windows in fullscreen
_ALL_EDGES = 1 | 2 | 4 | 8  # zwlr_layer_surface_v1.anchor
_WHOLE_OUTPUT = -1  # an exclusive zone: under panels as well


class Frozen:
    """What all outputs have shown at one moment, to cut pictures out of, again and again."""

    def __init__(self, outputs: list[Output], pieces: list[layout.Piece]) -> None:
        """Take the outputs and, in the same order, what they showed."""
        self.outputs = outputs
        self._pieces = pieces

    def cut(
        self, region: Box | None = None, *, output: str | None = None, scale: float | None = None
    ) -> Frame:
        """Return what ``still.shot`` had given at that moment; without a target, everything.

        Raises what it raises for a target that is not there.
        """
        names = None if output is None else [output]
        plan = layout.plan(self.outputs, names=names, region=region, scale=scale)
        pairs = zip(self.outputs, self._pieces, strict=True)
        pieces = [piece for output, piece in pairs if output in plan.outputs]
        return layout.render(plan.box, pieces, scale)


@contextlib.contextmanager
def freeze(  # noqa: PLR0913 - as for still.shot
    link: Connection,
    *,
    cursor: bool = False,
    backend: str = "auto",
    buffer: str = "auto",
    device: str | None = None,
    portal: PortalWish | None = None,
    report: Callable[[str], object] | None = None,
    warn: Callable[[str], object] | None = None,
) -> Iterator[Frozen]:
    """Capture all outputs, and show each as it was, over all else, as long as the block lasts.

    It begins once the compositor has shown them. Whoever waits on the connection meanwhile
    keeps them there; an output that changes is left to itself. Surfaces that come later to
    the overlay layer, as a selector's, lie above. The options are those of ``still.shot``.

    Raises what that does; UnsupportedError where the compositor has no layer shell.
    """
    report = report or (lambda _line: None)
    screen = _Screen(link)
    with contextlib.ExitStack() as stack:
        chosen = choose(link, report, backend, buffer, device, portal=portal, warn=warn or report)
        stack.callback(chosen.close)
        stack.enter_context(noted(chosen, report))
        target = Target(cursor=cursor)
        outputs = target.plan(chosen.read_outputs(target)).outputs
        opening = [partial(chosen.open, output, cursor=cursor) for output in outputs]
        pieces = capture(link, opening, stack)
        report_pieces(pieces, report)
        stills: list[_Still] = []
        for output, piece in zip(outputs, pieces, strict=True):
            stills.append(_Still(screen, output, piece.frame))
            stack.callback(stills[-1].close)
        link.wait(lambda: all(it.is_done for it in stills), "showing what was captured")
        yield Frozen(outputs, pieces)
    link.flush("taking the pictures off the screen")


class _Screen:
    """The globals that it takes to show something on an output."""

    def __init__(self, link: Connection) -> None:
        self.link = link
        try:
            self.layer_shell = require(link, ZWLR_LAYER_SHELL_V1)
            self.viewporter = require(link, WP_VIEWPORTER)
            self.compositor = require(link, WL_COMPOSITOR)
            self.shm = require(link, WL_SHM)
        except UnsupportedError as error:
            message = f"the screen cannot be frozen: {error}"
            hint = "without --freeze, what is selected is captured afterwards"
            raise UnsupportedError(message, hint=hint) from error
        # sway before 1.10, which lists no toplevels, has the newest of a layer lie below the
        # others: selectors, which are in the overlay layer, could not be seen.
        is_older_sway = link.compositor_process == "sway" and not link.find(
            EXT_FOREIGN_TOPLEVEL_LIST_V1
        )
        self.layer = _TOP if is_older_sway else _OVERLAY


class _Still:
    """A surface over all of an output that shows its picture.

    It takes the pointer's events, which would else go to what is below, and close its menus; the
    keyboard's it leaves alone.
    """

    def __init__(self, screen: _Screen, output: Output, frame: Frame) -> None:
        """Ask the compositor for a place; the picture goes there when it has one."""
        self._link = screen.link
        self._output = output
        self._frame = frame
        self._pool = ShmPool(screen.shm)  # for a copy, where the capture itself cannot be shown
        self._size: Size | None = None
        self._callback: Proxy | None = None
        self.is_done = False  # shown, or not to be shown any more
        self._surface = screen.compositor.create("create_surface")
        self._viewport = screen.viewporter.create("get_viewport", self._surface)
        self._layer_surface = screen.layer_shell.create(
            "get_layer_surface",
            self._surface,
            self._link.outputs[output.offer.name].proxy,
            screen.layer,
            NAMESPACE,
            configure=self._on_configure,
            closed=self.close,
        )
        self._layer_surface.send("set_anchor", _ALL_EDGES)
        self._layer_surface.send("set_exclusive_zone", _WHOLE_OUTPUT)
        self._surface.send("commit")

    def close(self) -> None:
        """Take it off the screen. Harmless twice."""
        self.is_done = True
        if self._callback:
            self._callback.forget()
        for proxy in (self._layer_surface, self._viewport, self._surface):
            proxy.destroy()
        self._pool.close()

    def _on_configure(self, serial: int, width: int, height: int) -> None:
        self._layer_surface.send("ack_configure", serial)
        size = Size(width, height)
        if self._size is None:
            self._show(size)
        elif size != self._size:
            self.close()  # it is another screen now
        else:
            self._surface.send("commit")

    def _show(self, size: Size) -> None:
        expected = self._output.box.size
        if any(abs(a - b) > 1 for a, b in zip(size, expected, strict=True)) or not size.is_possible:
            message = (
                f"{self._link.compositor} has {size} of {expected} on {self._output.name!r} "
                "for a picture over all of it"
            )
            raise CaptureError(message)
        self._size = size
        buffer, transform = self._prepare(_pixels_of(size, self._frame.upright_size))
        self._viewport.send("set_destination", *size)
        self._surface.send("set_buffer_transform", transform)
        self._surface.send("attach", buffer, 0, 0)
        self._surface.send("damage", 0, 0, *size)
        self._callback = self._surface.create("frame", done=self._on_shown)
        self._surface.send("commit")

    def _prepare(self, shown: Size) -> tuple[Proxy, Transform]:
        """Return a buffer with the pixels that are shown, from the upper left, how it is turned.

        It is the capture's own, if that can be. An output's alpha means nothing, but would be taken
        for something; and wlroots (0.15) does not find parts of buffers that are turned. A copy
        has alpha: the pixels that the compositor leaves free at an edge would else be black.
        """
        frame = self._frame
        own = frame.wl_buffer
        if own and own.is_alive and not frame.format.has_alpha and shown == frame.upright_size:
            return own, frame.transform
        stride = shown.width * pixels.ARGB8888.bytes_per_pixel
        buffer, memory = self._pool.acquire(ShmLayout(pixels.ARGB8888, shown, stride))
        source = kernels.exchanged(frame)  # ARGB8888 has blue first in memory
        source.alpha = Alpha.IGNORED
        kernels.blit(source.crop(Box(0, 0, *shown)), kernels.Target(8, 4), memory, 0, stride)
        return buffer, Transform.NORMAL

    def _on_shown(self, _milliseconds: int) -> None:
        self.is_done = True


def _pixels_of(size: Size, native: Size) -> Size:
    """Return how many pixels a compositor makes of logical units, at most those that there are.

    Logical sizes are cut off: 640x480 at 1.5 has 426x320 units, and 639x480 pixels of those. A
    picture of more would be resampled.
    """
    scale = true_scale(native, size)
    return Size(*(min(round_half_up(a * scale), b) for a, b in zip(size, native, strict=True)))
