"""What the backends share."""

from collections.abc import Callable
from time import CLOCK_MONOTONIC, clock_gettime_ns
from typing import TYPE_CHECKING, NamedTuple

from wayshot_cli.errors import CaptureError, UnsupportedError
from wayshot_cli.layout import Plan, plan
from wayshot_cli.wayland.outputs import Output, are_current, read_outputs

if TYPE_CHECKING:
    from fractions import Fraction

    from wayshot_cli.frame import Frame
    from wayshot_cli.geometry import Box, Size
    from wayshot_cli.wayland.connection import Connection
    from wayshot_cli.wayland.interface import Interface
    from wayshot_cli.wayland.proxy import Proxy

_MAX_CLOCK_SKEW_NS = 1_000_000_000


PORTAL_SOURCES = ("monitor", "window", "virtual")
"""What the portal can be asked to cast; the first is the one that it is asked for by default."""


class PortalWish(NamedTuple):
    """What the portal is asked for: ``--portal-source``, ``-size`` and ``-remote-desktop``.

    ``source`` is one of PORTAL_SOURCES; ``size`` in pixels and ``rate`` in frames per second
    are a preference, which sizes a virtual monitor.
    """

    source: str = PORTAL_SOURCES[0]
    size: "Size | None" = None
    rate: "Fraction | None" = None
    remote_desktop: bool = False


def nobody(_line: str) -> None:
    """Tell nobody."""


class Wish(NamedTuple):
    """How it is to be captured: ``--buffer``, ``--device``, ``--no-damage``, ``--window``, portal.

    ``buffer`` is auto, shm or dmabuf; ``device`` a node of /dev/dri for dmabufs, None for the
    compositor's own. Without ``damage`` each frame is wanted, changed or not. With ``windows``
    they are captured, too. With ``separate_cursor`` each frame has the cursor beside it. ``portal``
    is what a portal is asked for; ``screenshot`` says that the desktop's own picture of everything
    will do; ``warn`` is told what people must know of what they get.
    """

    buffer: str = "auto"
    device: str | None = None
    damage: bool = True
    windows: bool = False
    separate_cursor: bool = False
    portal: PortalWish = PortalWish()
    screenshot: bool = False
    warn: Callable[[str], object] = nobody


SHM_PREFERRED = "shared memory: dmabufs, which are offered, too, are slower to read"
"""For people, where ``auto`` has both to choose from."""

ANY = Wish()
"""Whatever serves best."""


class Target(NamedTuple):
    """What is to be captured: named outputs, a logical region, or (neither) everything."""

    names: list[str] | None = None
    region: "Box | None" = None
    scale: float | None = None
    cursor: bool = False

    def plan(self, outputs: list[Output]) -> Plan:
        """Say who of the outputs is captured. Raises what ``layout.plan`` raises."""
        return plan(outputs, names=self.names, region=self.region, scale=self.scale)


class OutputBackend:
    """A backend that captures the compositor's outputs, without asking the user."""

    connection: "Connection"
    is_over = False  # whether nothing can be captured any more: outputs may come back

    def read_outputs(self, target: Target) -> list[Output]:  # noqa: ARG002 - all of them
        """Return the outputs that can be captured. Raises what ``wayland.outputs`` raises."""
        return read_outputs(self.connection)

    def are_current(self, outputs: list[Output]) -> bool:
        """Whether the outputs are still as ``read_outputs`` returned them."""
        return are_current(outputs, self.connection)

    def close(self) -> None:
        """Do nothing: what is left ends with the connection."""


def require(connection: "Connection", interface: "Interface") -> "Proxy":
    """Return the one global of an interface. Raises UnsupportedError where there is none."""
    proxy = connection.singleton(interface)
    if proxy is None:
        message = f"{connection.compositor} does not offer {interface.name}"
        raise UnsupportedError(message)
    return proxy


def frame_time(seconds_high: int, seconds_low: int, nanoseconds: int) -> int:
    """Return what ``ready`` says as CLOCK_MONOTONIC nanoseconds."""
    return trusted_time((seconds_high << 32 | seconds_low) * 1_000_000_000 + nanoseconds)


def trusted_time(time_ns: int) -> int:
    """Return the time that a frame comes with, if it is near now on CLOCK_MONOTONIC.

    Some stamp zero or another clock: arrival is then the better truth.
    """
    now = clock_gettime_ns(CLOCK_MONOTONIC)
    return time_ns if abs(now - time_ns) <= _MAX_CLOCK_SKEW_NS else now


def cut(frame: "Frame", part: "Box | None", connection: "Connection", what: str) -> "Frame":
    """Return the part of a frame in pixels, or all of it. Raises CaptureError outside it."""
    if part is None:
        return frame
    if frame.contains(part):
        return frame.crop(part)
    message = f"{connection.compositor} gave a picture of {frame.size} for {what}"
    raise CaptureError(message)
