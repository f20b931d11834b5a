"""What the backends share."""

from time import CLOCK_MONOTONIC, clock_gettime_ns
from typing import TYPE_CHECKING, NamedTuple

from wayshot_cli.errors import UnsupportedError

if TYPE_CHECKING:
    from wayshot_cli.wayland.connection import Connection
    from wayshot_cli.wayland.interface import Interface
    from wayshot_cli.wayland.proxy import Proxy

_MAX_CLOCK_SKEW_NS = 1_000_000_000


class Wish(NamedTuple):
    """The memory that is wished for: ``--buffer`` and ``--device``.

    ``buffer`` is auto, shm or dmabuf; ``device`` a node of /dev/dri for dmabufs, None for the
    compositor's own.
    """

    buffer: str = "auto"
    device: str | None = None


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
    """Return what ``ready`` says as CLOCK_MONOTONIC nanoseconds."""
    return trusted_time((seconds_high << 32 | seconds_low) * 1_000_000_000 + nanoseconds)


def trusted_time(time_ns: int) -> int:
    """Return the time that a frame comes with, if it is near now on CLOCK_MONOTONIC.

    Some stamp zero or another clock: arrival is then the better truth.
    """
    now = clock_gettime_ns(CLOCK_MONOTONIC)
    return time_ns if abs(now - time_ns) <= _MAX_CLOCK_SKEW_NS else now
