"""What the compositor says of dmabufs: the device that it draws with, formats and modifiers."""

import mmap
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from wayshot_cli.errors import CaptureError, UnsupportedError
from wayshot_cli.wayland.protocols.linux_dmabuf import ZWP_LINUX_DMABUF_V1

if TYPE_CHECKING:
    from wayshot_cli.wayland.connection import Connection
    from wayshot_cli.wayland.proxy import Handler, Proxy

LINEAR = 0
"""The modifier of rows one after the other (drm_fourcc.h)."""
INVALID = 0x00FF_FFFF_FFFF_FFFF
"""The modifier that says nothing: the driver knows (drm_fourcc.h)."""

_FEEDBACK_SINCE = 4
_ENTRY = struct.Struct("=I4xQ")  # fourcc, modifier
_LARGEST_TABLE = _ENTRY.size << 16  # indices have 16 bits
_MODIFIER = _DEV_T = struct.Struct("=Q")
_SYS = "/sys/dev/char"
_DOING = "asking which dmabufs it takes"


class Offer(NamedTuple):
    """What zwp_linux_dmabuf_v1 says of itself.

    ``device`` is the dev_t of the main device, None where none is named (before version 4);
    ``modifiers`` has those of each fourcc, in the compositor's order.
    """

    device: int | None
    modifiers: dict[int, list[int]]


def read_offer(connection: "Connection") -> Offer:
    """Ask the compositor which dmabufs it takes, and on which device.

    Raises UnsupportedError without zwp_linux_dmabuf_v1, CaptureError when what it says is broken.
    """
    dmabuf = bind(connection)
    try:
        if dmabuf.version < _FEEDBACK_SINCE:
            return _read_events(connection, dmabuf)
        feedback = Feedback()
        proxy = dmabuf.create("get_default_feedback", **feedback.handlers)
        try:
            connection.wait(lambda: feedback.is_done, _DOING)
        finally:
            proxy.destroy()
    finally:
        dmabuf.destroy()
    return Offer(feedback.main_device, feedback.modifiers)


def bind(connection: "Connection") -> "Proxy":
    """Return a zwp_linux_dmabuf_v1 of one's own. Raises UnsupportedError where there is none."""
    offer = connection.find(ZWP_LINUX_DMABUF_V1)
    if offer is None:
        message = f"{connection.compositor} does not offer {ZWP_LINUX_DMABUF_V1.name}"
        raise UnsupportedError(message)
    return connection.bind(offer, ZWP_LINUX_DMABUF_V1)


def _read_events(connection: "Connection", dmabuf: "Proxy") -> Offer:
    """Read what is announced to whoever binds an old version."""
    modifiers: dict[int, list[int]] = {}

    def on_modifier(code: int, high: int, low: int) -> None:
        modifiers.setdefault(code, []).append(high << 32 | low)

    dmabuf.on(format=lambda code: modifiers.setdefault(code, []), modifier=on_modifier)
    connection.roundtrip(_DOING)
    return Offer(None, modifiers)


class Feedback:
    """The events of one zwp_linux_dmabuf_feedback_v1, up to ``done``."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.is_done = False
        self.main_device: int | None = None
        self.modifiers: dict[int, list[int]] = {}
        self._table: list[tuple[int, int]] = []
        self._target: int | None = None
        self._indices = b""

    @property
    def handlers(self) -> "dict[str, Handler]":
        """The methods by event name."""
        return {
            "done": self._on_done,
            "format_table": self._on_format_table,
            "main_device": self._on_main_device,
            "tranche_target_device": self._on_target_device,
            "tranche_formats": self._on_formats,
            "tranche_done": self._on_tranche_done,
        }

    def _on_done(self) -> None:
        self.is_done = True

    def _on_format_table(self, fd: int, size: int) -> None:
        try:
            self._table = read_table(fd, size)
        finally:
            os.close(fd)

    def _on_main_device(self, device: bytes) -> None:
        self.main_device = read_device(device)

    def _on_target_device(self, device: bytes) -> None:
        self._target = read_device(device)

    def _on_formats(self, indices: bytes) -> None:
        self._indices = indices

    def _on_tranche_done(self) -> None:
        # Other tranches are of devices that scan out, not of the one that draws.
        if self._target is not None and _same_device(self._target, self.main_device):
            for code, modifier in pick(self._table, self._indices):
                self.modifiers.setdefault(code, []).append(modifier)
        self._target, self._indices = None, b""


def read_table(fd: int, size: int) -> list[tuple[int, int]]:
    """Return the fourcc and modifier of each entry. Raises CaptureError when it has another size.

    The mapping is private and read-only, as the protocol asks, and gone on return.
    """
    if not 0 < size <= _LARGEST_TABLE or size % _ENTRY.size or os.fstat(fd).st_size < size:
        message = f"the compositor's table of dmabuf formats is broken: {size} bytes"
        raise CaptureError(message)
    try:
        with mmap.mmap(fd, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as table:
            return list(_ENTRY.iter_unpack(table))
    except OSError as error:
        message = f"the compositor's table of dmabuf formats cannot be read: {error.strerror}"
        raise CaptureError(message) from error


def pick(table: list[tuple[int, int]], indices: bytes) -> list[tuple[int, int]]:
    """Return the entries that a tranche names by 16-bit indices. Raises CaptureError."""
    try:
        return [table[index] for (index,) in struct.iter_unpack("=H", indices)]
    except (IndexError, struct.error) as error:
        message = f"the compositor names dmabuf formats that are not in its table: {error}"
        raise CaptureError(message) from error


def _same_device(one: int, other: int | None) -> bool:
    """Whether both numbers are of one device, which has several nodes."""
    if other is None or one == other:
        return one == other
    folders = [f"{_SYS}/{os.major(number)}:{os.minor(number)}/device" for number in (one, other)]
    try:
        return os.path.samefile(*folders)
    except OSError:
        return False


def read_modifiers(data: bytes) -> tuple[int, ...]:
    """Return the modifiers of an array of them. Raises CaptureError."""
    if len(data) % _MODIFIER.size:
        message = f"the compositor names modifiers by {len(data)} bytes"
        raise CaptureError(message)
    return tuple(modifier for (modifier,) in _MODIFIER.iter_unpack(data))


def read_device(data: bytes) -> int:
    """Return the dev_t that an array holds. Raises CaptureError."""
    if len(data) != _DEV_T.size:
        message = f"the compositor names a device by {len(data)} bytes"
        raise CaptureError(message)
    (device,) = _DEV_T.unpack(data)
    return int(device)
