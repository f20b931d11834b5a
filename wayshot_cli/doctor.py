"""What the session and the machine offer, and what wayshot makes of it.

    report = examine()
    if not report.can_shoot:
        print(report.why_not, *report.advice)

``examine`` gathers facts: nothing that it asks is waited for without a bound, and what a probe runs
into becomes a ``Problem`` in its place. Which backend would be taken, and why the others not, is
asked of the ladder itself; whether it works is tried. Verdicts are properties of the report.
"""

import contextlib
import grp
import os
import platform
import socket
import subprocess
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any, NamedTuple, TypeVar

from wayshot_cli import __version__, backends, encode
from wayshot_cli.backends.common import Wish
from wayshot_cli.backends.pipewire import library
from wayshot_cli.backends.portal.desktop import Desktop
from wayshot_cli.backends.portal.screencast import ScreenCast
from wayshot_cli.buffers import devices, gbm
from wayshot_cli.dbus import session_address
from wayshot_cli.encode import avcodecs, video
from wayshot_cli.encode.stream import VIDEO_FORMATS, VideoOptions
from wayshot_cli.errors import CaptureError, CaptureTimeoutError, UnsupportedError, WayshotError
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Size
from wayshot_cli.pixels import XRGB8888
from wayshot_cli.still import shot
from wayshot_cli.waiting import DEFAULT_TIMEOUT, Waiter
from wayshot_cli.wayland import dmabuf
from wayshot_cli.wayland.connection import Connection, socket_path
from wayshot_cli.wayland.outputs import Output, read_outputs
from wayshot_cli.wayland.protocols.core import WL_OUTPUT, WL_SHM
from wayshot_cli.wayland.protocols.ext_foreign_toplevel_list import EXT_FOREIGN_TOPLEVEL_LIST_V1
from wayshot_cli.wayland.protocols.ext_image_capture_source import (
    EXT_FOREIGN_TOPLEVEL_IMAGE_CAPTURE_SOURCE_MANAGER_V1,
    EXT_OUTPUT_IMAGE_CAPTURE_SOURCE_MANAGER_V1,
)
from wayshot_cli.wayland.protocols.ext_image_copy_capture import EXT_IMAGE_COPY_CAPTURE_MANAGER_V1
from wayshot_cli.wayland.protocols.linux_dmabuf import ZWP_LINUX_DMABUF_V1
from wayshot_cli.wayland.protocols.wlr_export_dmabuf import ZWLR_EXPORT_DMABUF_MANAGER_V1
from wayshot_cli.wayland.protocols.wlr_foreign_toplevel_management import (
    ZWLR_FOREIGN_TOPLEVEL_MANAGER_V1,
)
from wayshot_cli.wayland.protocols.wlr_screencopy import ZWLR_SCREENCOPY_MANAGER_V1
from wayshot_cli.wayland.protocols.xdg_output import ZXDG_OUTPUT_MANAGER_V1

VARIABLES = (
    "WAYLAND_DISPLAY",
    "WAYLAND_SOCKET",
    "XDG_RUNTIME_DIR",
    "XDG_CURRENT_DESKTOP",
    "XDG_SESSION_TYPE",
    "DBUS_SESSION_BUS_ADDRESS",
    "PIPEWIRE_REMOTE",
    "PIPEWIRE_RUNTIME_DIR",
)
"""What the environment may say of a session."""

LIBRARIES = ("av", "cffi", "click", "jeepney", "numpy", "Pillow", "pywayland", "rich", "zlib-ng")
"""Distributions whose versions matter, by the name that pip knows."""

PROTOCOLS = (
    WL_SHM,
    WL_OUTPUT,
    ZXDG_OUTPUT_MANAGER_V1,
    EXT_IMAGE_COPY_CAPTURE_MANAGER_V1,
    EXT_OUTPUT_IMAGE_CAPTURE_SOURCE_MANAGER_V1,
    EXT_FOREIGN_TOPLEVEL_IMAGE_CAPTURE_SOURCE_MANAGER_V1,
    EXT_FOREIGN_TOPLEVEL_LIST_V1,
    ZWLR_FOREIGN_TOPLEVEL_MANAGER_V1,
    ZWLR_SCREENCOPY_MANAGER_V1,
    ZWP_LINUX_DMABUF_V1,
    ZWLR_EXPORT_DMABUF_MANAGER_V1,
)
"""The globals that wayshot knows how to use."""

TARGETS = ("output", "region", "window")
KINDS = ("still", "recording")
"""What something is chosen for."""

_PLAIN = ("output", "still", "auto")  # what the verdict is on
_PORTAL = "portal"  # the backend that would ask the user
_PROBE = Size(16, 16)  # pixels of the picture that formats are tried with

T = TypeVar("T")


class Problem(NamedTuple):
    """Why something is not to be had, and the way out if one is known."""

    message: str
    hint: str | None = None

    @classmethod
    def of(cls, error: BaseException) -> "Problem":
        """Put an error into words."""
        if isinstance(error, WayshotError):
            return cls(str(error), error.hint)
        return cls(str(error.strerror or error) if isinstance(error, OSError) else str(error))


class Software(NamedTuple):
    """What runs; ``libraries`` are versions by name, None for what is not installed."""

    wayshot: str
    python: str
    kernel: str
    system: str | None
    libraries: dict[str, str | None]


class Session(NamedTuple):
    """What the environment says; ``socket`` is where the compositor is looked for."""

    variables: dict[str, str | None]
    socket: str | None


class Compositor(NamedTuple):
    """Who serves the socket, as the kernel says; the process's name where that can be read."""

    process: str | None
    pid: int | None


class Protocol(NamedTuple):
    """A global that wayshot can use, up to version ``usable``; None is ``offered`` without it."""

    interface: str
    usable: int
    offered: int | None


class Node(NamedTuple):
    """A render node: its kernel driver, what GBM serves it with, and why it cannot be used."""

    path: str
    driver: str | None
    gbm: str | None
    is_main_device: bool
    problem: Problem | None


class Gpu(NamedTuple):
    """GPU memory: what libgbm lacks, the nodes, the device that the compositor draws with.

    That is ``main_device``, as major:minor; ``problem`` says why it is not known.
    """

    libgbm: Problem | None
    nodes: tuple[Node, ...]
    main_device: str | None
    problem: Problem | None


class Rung(NamedTuple):
    """A backend pinned to a kind of memory, and why that cannot be."""

    backend: str
    buffer: str
    problem: Problem | None


class Taken(NamedTuple):
    """What the ladder takes: a backend, its memory for people, and those passed over for it."""

    backend: str
    memory: str
    waits_for_damage: bool
    passed_over: tuple[backends.PassedOver, ...]


class Choice(NamedTuple):
    """What is taken for a target, still or recorded, into any memory or dmabufs; or why not."""

    target: str
    kind: str
    buffer: str
    taken: Taken | None
    problem: Problem | None


class Trial(NamedTuple):
    """A still that was taken and thrown away: the picture's size in pixels, or the problem."""

    output: str
    buffer: str
    size: Size | None
    problem: Problem | None


class Portal(NamedTuple):
    """The ScreenCast interface of xdg-desktop-portal; a version is None where it is not there."""

    bus: str | None
    version: int | None
    sources: tuple[str, ...]
    cursor_modes: tuple[str, ...]
    problem: Problem | None


class PipeWire(NamedTuple):
    """The version of libpipewire and the daemon's socket; each has a problem where it is not."""

    library: str | None
    library_problem: Problem | None
    socket: str | None
    socket_problem: Problem | None


class Format(NamedTuple):
    """A file format, and why this machine cannot write it."""

    name: str
    problem: Problem | None


class Encoders(NamedTuple):
    """What pictures and recordings can be written as.

    ``codecs`` are those of video that wayshot knows how to set up, without those of
    hardware, and whether PyAV has them; ``ffmpeg`` is the program, by its version.
    """

    stills: tuple[Format, ...]
    recordings: tuple[Format, ...]
    codecs: dict[str, bool]
    ffmpeg: str | None
    ffmpeg_problem: Problem | None


class Report(NamedTuple):
    """All of it. ``problem`` says why there is no compositor to ask, or why it was given up."""

    software: Software
    session: Session
    compositor: Compositor | None
    problem: Problem | None
    globals: dict[str, int]
    protocols: tuple[Protocol, ...]
    outputs: tuple[Output, ...]
    gpu: Gpu
    rungs: tuple[Rung, ...]
    choices: tuple[Choice, ...]
    trials: tuple[Trial, ...]
    portal: Portal
    pipewire: PipeWire
    encoders: Encoders

    @property
    def can_shoot(self) -> bool:
        """Whether a still was taken of some output, as a plain shot takes it.

        Or whether the portal would be asked for one.
        """
        by_portal = any(
            c[:3] == _PLAIN and c.taken and c.taken.backend == _PORTAL for c in self.choices
        )
        return by_portal or any(trial.size for trial in self.trials if trial.buffer == "auto")

    @property
    def why_not(self) -> Problem | None:
        """What keeps stills from being taken, None if nothing does."""
        if self.can_shoot:
            return None
        problems = (
            *(choice.problem for choice in self.choices if choice[:3] == _PLAIN),
            *(trial.problem for trial in self.trials if trial.buffer == "auto"),
            self.problem,
        )
        return next(filter(None, problems), Problem("the compositor has no outputs"))

    @property
    def advice(self) -> list[str]:
        """The ways out of what was found wrong, what matters most first."""
        hints = [problem.hint for problem in self._problems() if problem and problem.hint]
        return list(dict.fromkeys(hints))

    def _problems(self) -> "Iterator[Problem | None]":
        yield self.why_not
        if self.can_shoot:  # else it is known already
            yield from (choice.problem for choice in self.choices if choice.buffer == "auto")
        yield from (node.problem for node in self.gpu.nodes)
        if self.gpu.nodes:
            yield self.gpu.libgbm
        yield from (format_.problem for format_ in self.encoders.stills)
        yield from (format_.problem for format_ in self.encoders.recordings)
        yield self.encoders.ffmpeg_problem

    def as_json(self) -> dict[str, Any]:
        """Return what ``wayshot doctor --json`` prints: the verdicts, then every fact."""
        facts: dict[str, Any] = _plain(self)
        verdicts = {"can_shoot": self.can_shoot, "why_not": _plain(self.why_not)}
        return {**verdicts, "advice": self.advice, **facts}


def _plain(value: Any) -> Any:
    """Return what json can write: records become objects."""
    if isinstance(value, Output):
        return value.as_json()
    if hasattr(value, "_asdict"):
        return {key: _plain(part) for key, part in value._asdict().items()}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def examine(*, timeout: float = DEFAULT_TIMEOUT) -> Report:
    """Look at everything, and take a still of each output to see that it can be done.

    ``timeout`` in seconds bounds each answer of the compositor, the bus and the programs that are
    asked. Raises InvalidArgumentError for one that is none, and nothing for what it finds.
    """
    session = _session()  # a connection takes WAYLAND_SOCKET away
    link, problem = None, None
    try:
        link = Connection(timeout=timeout)
    except (UnsupportedError, CaptureError) as error:
        problem = Problem.of(error)
    with link or contextlib.nullcontext():
        asker = _Asker(link, problem)
        outputs = asker.ask(read_outputs) or []
        # What matters most comes first: a compositor that breaks is asked no more.
        choices = asker.ask(lambda link: _choices(link, "auto")) or []
        trials = asker.ask(lambda link: _trials(link, outputs, choices)) or []
        gpu = _gpu(asker)
        rungs = asker.ask(_rungs) or []
        by_dmabuf = asker.ask(lambda link: _choices(link, "dmabuf")) or []
        trials += asker.ask(lambda link: _trials(link, outputs, by_dmabuf)) or []
        compositor, versions = None, {}
        if link:
            compositor = Compositor(link.compositor_process, link.compositor_pid)
            versions = {offer.interface: offer.version for offer in link.globals.values()}
    return Report(
        software=_software(),
        session=session,
        compositor=compositor,
        problem=asker.problem,
        globals=dict(sorted(versions.items())),
        protocols=tuple(
            Protocol(table.name, table.version, versions.get(table.name)) for table in PROTOCOLS
        ),
        outputs=tuple(outputs),
        gpu=gpu,
        rungs=tuple(rungs),
        choices=(*choices, *by_dmabuf),
        trials=tuple(trials),
        portal=_portal(timeout),
        pipewire=_pipewire(timeout),
        encoders=_encoders(timeout),
    )


class _Asker:
    """Asks the compositor, until it fails to answer: then nothing waits for it any more."""

    def __init__(self, link: Connection | None, problem: Problem | None) -> None:
        """Take the connection, or why there is none."""
        self._link = link
        self.problem = problem

    def ask(self, question: Callable[[Connection], T]) -> T | None:
        """Return the answer, None where there is none."""
        if self._link is None or self.problem:
            return None
        try:
            return question(self._link)
        except CaptureError as error:
            self.problem = Problem.of(error)
            return None


def _choices(link: Connection, buffer: str) -> list[Choice]:
    choices = []
    for target in TARGETS:
        taken, problem = None, None
        try:
            backend, passed_over = backends.choose(link, buffer=buffer, windows=target == "window")
            backend.close()
            waits = backend.waits_for_damage
            taken = Taken(backend.name, backend.memory, waits, tuple(passed_over))
        except UnsupportedError as error:
            problem = Problem.of(error)
        choices += [Choice(target, kind, buffer, taken, problem) for kind in KINDS]
    return choices


def _rungs(link: Connection) -> list[Rung]:
    """Climb the ladder, also where nobody would step, but for the portal, which is asked apart."""
    rungs = []
    for name, backend in backends.BACKENDS.items():
        if name == _PORTAL:
            continue
        for buffer in backends.BUFFERS:
            problem = None
            try:
                backend(link, Wish(buffer))
            except UnsupportedError as error:
                problem = Problem.of(error)
            rungs.append(Rung(name, buffer, problem))
    return rungs


def _trials(link: Connection, outputs: list[Output], choices: list[Choice]) -> list[Trial]:
    """Take a still of each output, as long as the compositor answers.

    None if nothing can, nor by the portal, which would ask the user.
    """
    trials: list[Trial] = []
    buffer, taken = choices[0].buffer, choices[0].taken
    if taken is None or taken.backend == _PORTAL:
        return trials
    for output in outputs:
        try:
            frame = shot(output.name, backend=taken.backend, buffer=buffer, connection=link)
            trials.append(Trial(output.name, buffer, frame.upright_size, None))
        except WayshotError as error:
            trials.append(Trial(output.name, buffer, None, Problem.of(error)))
            if isinstance(error, CaptureTimeoutError) and not _answers(link):
                break
    return trials


def _answers(link: Connection) -> bool:
    """Whether the compositor is there, though an output may be silent, as one that is off is."""
    try:
        link.roundtrip("asking whether it is there")
    except CaptureError:
        return False
    return True


def _gpu(asker: _Asker) -> Gpu:
    libgbm, problem, offer = None, None, None
    try:
        gbm.library()
    except UnsupportedError as error:
        libgbm = Problem.of(error)
    try:
        offer = asker.ask(dmabuf.read_offer)
    except UnsupportedError as error:
        problem = Problem.of(error)
    main_device = offer.device if offer else None
    main_node = None if main_device is None else devices.render_node(main_device)
    return Gpu(
        libgbm,
        tuple(_node(path, is_main=path == main_node) for path in devices.render_nodes()),
        None if main_device is None else f"{os.major(main_device)}:{os.minor(main_device)}",
        problem,
    )


def _node(path: str, *, is_main: bool) -> Node:
    driver, served_by, problem = None, None, None
    with contextlib.suppress(OSError):  # also of what may not be opened
        driver = os.path.basename(os.readlink(f"/sys/class/drm/{path[9:]}/device/driver"))
    try:
        device = gbm.Device(path)
        driver, served_by = device.kernel_driver, device.driver
    except UnsupportedError as error:
        problem = Problem.of(error)
        if isinstance(error.__cause__, PermissionError):
            problem = problem._replace(hint=_way_in(path))
    return Node(path, driver, served_by, is_main, problem)


def _way_in(path: str) -> str | None:
    """Say who may open a file."""
    try:
        group = grp.getgrgid(os.stat(path).st_gid).gr_name
    except (OSError, KeyError):
        return None
    return f"{path} is open to the group {group!r}"


def _software() -> Software:
    system = None
    with contextlib.suppress(OSError):
        system = platform.freedesktop_os_release().get("PRETTY_NAME")
    versions: dict[str, str | None] = dict.fromkeys(LIBRARIES)
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    kernel = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Software(__version__, platform.python_version(), kernel, system, versions)


def _session() -> Session:
    path = None
    with contextlib.suppress(UnsupportedError):
        path = socket_path()
    return Session({name: os.environ.get(name) for name in VARIABLES}, path)


def _portal(timeout: float) -> Portal:
    """Ask the portal, which the bus starts as for any program that shares the screen."""
    address = None
    try:
        address = session_address()
        with Waiter(timeout) as waiter, contextlib.closing(Desktop(waiter)) as desktop:
            cast = ScreenCast(desktop)
    except WayshotError as error:
        return Portal(address, None, (), (), Problem.of(error))
    if not cast.version:
        problem = Problem("the portal does not say which version of ScreenCast it has")
        return Portal(address, None, (), (), problem)
    return Portal(address, cast.version, cast.sources, cast.cursor_modes, None)


def _pipewire(timeout: float) -> PipeWire:
    version, library_problem, socket_problem = None, None, None
    try:
        version = library.version()
    except UnsupportedError as error:
        library_problem = Problem.of(error)
    folder = os.environ.get("PIPEWIRE_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR")
    path = os.path.join(folder or "/", os.environ.get("PIPEWIRE_REMOTE") or "pipewire-0")
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(timeout)
            probe.connect(path)
    except OSError as error:
        socket_problem = Problem.of(error)
    return PipeWire(version, library_problem, path, socket_problem)


def _encoders(timeout: float) -> Encoders:
    width, height = _PROBE
    frame = Frame(memoryview(bytes(width * height * 4)), XRGB8888, _PROBE, width * 4)

    def write_still(name: str) -> None:
        list(encode.encode(frame, name))

    def open_video(name: str) -> None:
        video.check(name, VideoOptions())

    codecs: dict[str, bool] = {}
    with contextlib.suppress(UnsupportedError):
        codecs = avcodecs.known_codecs()
    ffmpeg, ffmpeg_problem = _ffmpeg(timeout)
    return Encoders(
        tuple(_tried(name, write_still) for name in encode.FORMATS),
        (
            *(Format(name, None) for name in ("y4m", "raw")),
            *(_tried(name, open_video) for name in VIDEO_FORMATS),
        ),
        codecs,
        ffmpeg,
        ffmpeg_problem,
    )


def _tried(name: str, attempt: Callable[[str], None]) -> Format:
    try:
        attempt(name)
    except WayshotError as error:
        return Format(name, Problem.of(error))
    return Format(name, None)


def _ffmpeg(timeout: float) -> tuple[str | None, Problem | None]:
    """Return the version of the ffmpeg in PATH, or why there is none."""
    hint = "install ffmpeg for --encoder ffmpeg"
    try:
        words = subprocess.run(
            ["ffmpeg", "-version"],  # noqa: S607 - the one that --encoder ffmpeg would run
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=True,
        ).stdout.split()
    except FileNotFoundError:
        return None, Problem("there is no ffmpeg in PATH", hint)
    except (OSError, subprocess.SubprocessError) as error:
        return None, Problem(f"ffmpeg does not run: {error}", hint)
    match words:
        case [b"ffmpeg", b"version", version, *_]:
            return version.decode(errors="replace"), None
    return "?", None
