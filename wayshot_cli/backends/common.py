"""What the backends share."""

from time import CLOCK_MONOTONIC, clock_gettime_ns
from typing import TYPE_CHECKING, NamedTuple

from wayshot_cli.errors import CaptureError, UnsupportedError

if TYPE_CHECKING:
    from wayshot_cli.frame import Frame
    from wayshot_cli.geometry import Box
    from wayshot_cli.wayland.connection import Connection
    from wayshot_cli.wayland.interface import Interface
    from wayshot_cli.wayland.proxy import Proxy

_MAX_CLOCK_SKEW_NS = 1_000_000_000


class Wish(NamedTuple):
    """How it is to be captured: ``--buffer``, ``--device``, ``--no-damage`` and ``--window``.

    ``buffer`` is auto, shm or dmabuf; ``device`` a node of /dev/dri for dmabufs, None for the
    compositor's own. Without ``damage`` each frame is wanted, changed or not. With ``windows``
    they are captured, too. With ``separate_cursor`` each frame has the cursor beside it.
    """

    buffer: str = "auto"
    device: str | None = None
    damage: bool = True
    windows: bool = False
    separate_cursor: bool = False


SHM_PREFERRED = "shared memory: dmabufs, which are offered, too, are slower to read"
"""For people, where ``auto`` has both to choose from."""

ANY = Wish()
"""Whatever serves best."""


def require(connection: "Connection", interface: "Interface") -> "Proxy":
    """Return the one global of an interface. Raises UnsupportedError where there is none."""
    proxy = connection.singleton(interface)
    if proxy is None:
        message = f"{connection.compositor} does not offer {interface.name}"
        raise UnsupportedError(message)
    return proxy


def frame_time(seconds_high: int, seconds_low: int, nanoseconds: int) -> int:
    """Return what ``ready`` says as CLOCK_MONOTONIC nanoseconds.

    Some compositors stamp zero or another clock: arrival is then the better truth.
    """
    now = clock_gettime_ns(CLOCK_MONOTONIC)
    time_ns = (seconds_high << 32 | seconds_low) * 1_000_000_000 + nanoseconds
    return time_ns if abs(now - time_ns) <= _MAX_CLOCK_SKEW_NS else now


def cut(frame: "Frame", part: "Box | None", connection: "Connection", what: str) -> "Frame":
    """Return the part of a frame in pixels, or all of it. Raises CaptureError outside it."""
    if part is None:
        return frame
    if frame.contains(part):
        return frame.crop(part)
    message = f"{connection.compositor} gave a picture of {frame.size} for {what}"
    raise CaptureError(message)
