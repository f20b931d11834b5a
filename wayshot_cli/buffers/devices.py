"""Render nodes: which device's memory a compositor can write into."""

import fcntl
import os
import stat
import struct
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from wayshot_cli.buffers._gbm import ffi
from wayshot_cli.errors import UnsupportedError

_SYS = "/sys/dev/char"
_DEV = "/dev/dri"
_DRM_MAJOR = 226  # Linux, Documentation/admin-guide/devices.txt

# struct drm_version and DRM_IOCTL_VERSION (drm.h), see fences.py for which machines
_VERSION = struct.Struct("@3iNPNPNP")  # numbers; length and address of name, date, description
_GET_VERSION = 0xC000_6400 | _VERSION.size << 16
_LONGEST_NAME = 64

T = TypeVar("T")


class Candidate(NamedTuple):
    """A node to try, and why it is thought to be the right one."""

    path: str
    why: str


def candidates(named: str | None, main_device: int | None) -> list[Candidate]:
    """Return the nodes to try, best first.

    What the user names stands alone, a primary node for its render node. Else the render node
    of the compositor's main device comes first, and after it all others: on some machines they
    share its memory, and a compositor that cannot take a buffer says so.
    """
    if named is not None:
        if (node := _render_node_of(named)) not in (None, named):
            return [Candidate(node, f"the render node of {named}, named by --device")]
        return [Candidate(named, "named by --device")]
    nodes = []
    if main_device is not None and (node := render_node(main_device)):
        nodes.append(Candidate(node, "the compositor's main device"))
    known = {node.path for node in nodes}
    found = (path for path in render_nodes() if path not in known)
    return nodes + [Candidate(path, "found in " + _DEV) for path in found]


def render_nodes() -> list[str]:
    """Return the machine's render nodes, in the kernel's order."""
    return [os.path.join(_DEV, name) for name in _render_nodes(_DEV)]


def render_node(device: int) -> str | None:
    """Return the render node of a device that any of its nodes may stand for, None without one.

    sysfs lists the nodes of a device side by side. libdrm's drmGetDeviceFromDevId reads
    the same folder, but refuses devices on a bus that it does not know.
    """
    folder = f"{_SYS}/{os.major(device)}:{os.minor(device)}/device/drm"
    return next((os.path.join(_DEV, name) for name in _render_nodes(folder)), None)


def driver(fd: int) -> str | None:
    """Return the name of the kernel's driver of an open node, None where it does not say."""
    name = ffi.new("char[]", _LONGEST_NAME)
    address = int(ffi.cast("uintptr_t", name))
    request = bytearray(_VERSION.pack(0, 0, 0, len(name) - 1, address, 0, 0, 0, 0))
    try:
        fcntl.ioctl(fd, _GET_VERSION, request)
    except OSError:
        return None
    return str(ffi.string(name).decode(errors="replace"))


def _render_node_of(path: str) -> str | None:
    """Return the render node of the device that a node belongs to, None where there is none."""
    try:
        return render_node(os.stat(path).st_rdev) if is_drm(path) else None
    except OSError:
        return None


def is_drm(path: str) -> bool:
    """Whether a path is a node of a DRM device, which is not opened. Raises OSError."""
    facts = os.stat(path)
    return stat.S_ISCHR(facts.st_mode) and os.major(facts.st_rdev) == _DRM_MAJOR


def open_first(
    nodes: list[Candidate], opener: Callable[[str], T]
) -> tuple[T, Candidate, list[str]]:
    """Return what ``opener`` makes of the first node that can be used, and why others cannot.

    Raises UnsupportedError with all reasons when there is none.
    """
    reasons: list[str] = []
    for node in nodes:
        try:
            return opener(node.path), node, reasons
        except UnsupportedError as error:
            reasons.append(str(error))
    message = "; ".join(reasons) or f"there is no render node in {_DEV}"
    hint = "shared memory needs no device: leave --backend, --buffer and --device away"
    raise UnsupportedError(message, hint=hint)


def _render_nodes(folder: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    nodes = [name for name in names if name.startswith("renderD") and name[7:].isdigit()]
    return sorted(nodes, key=lambda name: int(name[7:]))
