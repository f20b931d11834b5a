"""A private headless compositor per test, with outputs whose every pixel is known.

    with Sway(Output(640, 480), Output(800, 600, scale=1.5, transform="90")) as sway:
        sway.set_background("HEADLESS-1", pattern(640, 480))
        subprocess.run([sys.executable, "-m", "wayshot_cli", "-o", "HEADLESS-1"], env=sway.env)

``Labwc`` has the same face. ``build=Build.NEWER`` takes the sway that scripts/newer-sway makes; its
labwc comes from there, too. sway refuses to run as root: then they run as nobody, and the tests,
still root, connect to their socket. Nothing outlives the ``with`` block, nor the tests if they are
killed.
"""

from __future__ import annotations

import functools
import json
import math
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from PIL import Image

from tests.live.client import FIXED, Client, Head, WireError
from tests.processes import end, spawn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.live.client import Picture

PATIENCE = 20.0
"""Seconds that a compositor has for a start or for a change of an output."""

NOBODY = 65534
"""Who runs the session when the tests are root: any user but root does, this one always exists."""

LONGEST_RUNTIME_DIR = 107 - len("/sway-ipc.4294967295.4194304.sock")
"""A socket's path has at most 107 bytes (sun_path in unix(7)); sway aborts when it is longer."""

_IPC_MAGIC, _IPC_HEADER = b"i3-ipc", struct.Struct("=6sII")  # magic, bytes, type: sway-ipc(7)
_QUERIES = {"get_outputs": 3, "get_tree": 4, "get_version": 7}

TRANSFORMS = (
    "normal",
    "90",
    "180",
    "270",
    "flipped",
    "flipped-90",
    "flipped-180",
    "flipped-270",
)
"""What ``transform`` may be, in sway's words: sway-output(5) turns clockwise, wl_output.transform
counter-clockwise, so that sway's 90 is wl_output's 270."""

WL_TRANSFORMS = dict(zip(TRANSFORMS, (0, 3, 2, 1, 4, 7, 6, 5), strict=True))
"""The same in wl_output's numbers."""


class StageError(Exception):
    """A compositor did not start, did not do as told, or did not answer in time."""


@dataclass(frozen=True, slots=True)
class Output:
    """One headless output: its mode in pixels and how the compositor presents it.

    Without a position, it lies to the right of the outputs before it.
    """

    width: int = 640
    height: int = 480
    position: tuple[int, int] | None = None
    scale: float = 1.0
    transform: str = "normal"
    background: Picture | Path | str | None = None

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height of the picture that a viewer sees, in pixels."""
        turned = self.transform.endswith(("90", "270"))
        return (self.height, self.width) if turned else (self.width, self.height)


class Build(Enum):
    """Which compositor: this machine's own, or what scripts/newer-sway makes."""

    HOST = "sway-host"
    NEWER = "sway-newer"
    LABWC = "labwc"

    @property
    def search_path(self) -> str:
        """PATH, with this build's compositor, swaymsg and grim in it.

        Raises StageError where it is a newer one and none can be made.
        """
        path = os.environ.get("PATH", os.defpath)
        return path if self is Build.HOST else f"{_newer_sway()}/bin:{path}"

    def stage(self, *outputs: Output) -> Stage:
        """Describe a session of this compositor; nothing runs yet."""
        return Labwc(*outputs) if self is Build.LABWC else Sway(*outputs, build=self)


class Session(ABC):
    """A headless compositor, from ``__enter__`` to ``__exit__``."""

    program: ClassVar[str]

    def __init__(self) -> None:
        """Describe the session; nothing runs yet."""
        self._processes: list[subprocess.Popen[bytes]] = []
        self._as_nobody = os.geteuid() == 0
        self.runtime_dir = Path()
        self.env: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Start the compositor and wait until it can be used."""
        self.runtime_dir = _short_directory()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End everything that was started."""
        self.close()

    def close(self) -> None:
        """End the clients, then the compositor, and remove the runtime directory."""
        while self._processes:
            end(self._processes.pop())
        shutil.rmtree(self.runtime_dir, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The process id of the compositor."""
        return self._compositor.pid

    @property
    def socket(self) -> Path:
        """The Wayland socket."""
        return self.runtime_dir / self.env["WAYLAND_DISPLAY"]

    def spawn(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        log: str = "clients.log",
    ) -> subprocess.Popen[bytes]:
        """Run a client as the session's user until the session ends; it writes to ``log``."""
        process = spawn(
            command,
            env={**self.env, **(env or {})},
            folder=self.runtime_dir,
            log=log,
            user=NOBODY if self._as_nobody else None,
        )
        self._processes.append(process)
        return process

    @abstractmethod
    def _command(self) -> list[str]:
        """Make what the compositor needs at its start, and return how to start it."""

    def _environment(self) -> dict[str, str]:
        """Return what the compositor, and each client, is told beside where it is."""
        return {"PATH": os.environ.get("PATH", os.defpath)}

    def _sockets(self) -> dict[str, str]:
        """Return the variables by which clients find the compositor; none as long as one lacks."""
        displays = [path.name for path in _listening(self.runtime_dir, "wayland-[0-9]")]
        return {"WAYLAND_DISPLAY": displays[0]} if displays else {}

    def _start(self) -> None:
        if self._as_nobody:
            os.chown(self.runtime_dir, NOBODY, NOBODY)
        self.env = {
            "HOME": str(self.runtime_dir),
            "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(self.runtime_dir),
            **self._environment(),
        }
        self._compositor = self.spawn(self._command(), log=f"{self.program}.log")
        deadline = time.monotonic() + PATIENCE
        while not (found := self._sockets()):
            if self._compositor.poll() is not None:
                status = self._compositor.returncode
                message = f"{self.program} ended with status {status}{self._log_tail()}"
                raise StageError(message)
            if time.monotonic() > deadline:
                message = f"{self.program} made no sockets within {PATIENCE} s{self._log_tail()}"
                raise StageError(message)
            time.sleep(0.005)
        self.env |= found

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Add the end of the compositor's log to what a client of ours ran into."""
        try:
            yield
        except (OSError, WireError) as error:
            error.add_note(self._log_tail())
            raise

    def _log_tail(self) -> str:
        try:
            log = (self.runtime_dir / f"{self.program}.log").read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return f"\nThe end of {self.program}'s log:\n" + "\n".join(log.splitlines()[-15:])


class Stage(Session):
    """A headless compositor whose outputs can be set as one likes.

    They are named HEADLESS-1, HEADLESS-2, ... in their order.
    """

    def __init__(self, *outputs: Output, config: str, build: Build) -> None:
        """Describe the session; nothing runs yet."""
        super().__init__()
        self._outputs = {f"HEADLESS-{n}": output for n, output in enumerate(outputs, 1)}
        self._config = config
        self._build = build
        self._backgrounds: dict[str, Client] = {}

    def close(self) -> None:
        """End the clients, then the compositor, and remove the runtime directory."""
        for client in self._backgrounds.values():
            client.close()
        self._backgrounds.clear()
        super().close()

    @property
    def names(self) -> list[str]:
        """The outputs' names."""
        return list(self._outputs)

    @property
    @abstractmethod
    def version(self) -> tuple[int, int]:
        """Which version runs: (1, 7), say."""

    def output(self, name: str) -> Output:
        """Return the output as it was last set."""
        return self._outputs[name]

    def set_output(self, name: str, **changes: Any) -> None:
        """Change an output; returns when the change is on the screen, background included.

        ``changes`` are fields of Output.
        """
        self._outputs[name] = output = replace(self._outputs[name], **changes)
        self._apply(name)
        self._wait_for_outputs()
        self.set_background(name, output.background)

    def set_background(self, name: str, background: Picture | Path | str | None) -> None:
        """Cover an output with a picture (an array or a file) or a colour (``#rrggbb``).

        A picture lies pixel on pixel at any scale and under any transform, as a viewer sees it; its
        upper left corner is the output's; the last row and column repeat where it is too small.
        Returns when it has been drawn.
        """
        self._outputs[name] = output = replace(self._outputs[name], background=background)
        if name in self._backgrounds:
            self._backgrounds.pop(name).close()
        if background is None:
            return
        width, height = output.upright_size
        # A layer surface's size is an integer of logical units. The smallest that covers the
        # output may reach over its edge by one, and on newer sways then lies on its neighbour, too;
        # drawn in a buffer of exactly as many pixels as the compositor gives it, no pixel is
        # resampled.
        logical = _covering(width, output.scale), _covering(height, output.scale)
        pixels = [math.floor(length * output.scale + 0.5) for length in logical]
        picture = _picture(background)[: pixels[1], : pixels[0]]
        rows, columns, _ = picture.shape
        padding = ((0, pixels[1] - rows), (0, pixels[0] - columns), (0, 0))
        with self._explaining():
            self._backgrounds[name] = client = Client(self.socket)
            client.show(name, np.pad(picture, padding, mode="edge"), logical)

    def dump(self, name: str) -> Picture:
        """Read an output's pixels as the compositor stores them, before any transform."""
        with self._explaining(), Client(self.socket) as client:
            return client.dump(name)

    @abstractmethod
    def _apply(self, name: str, /) -> None:
        """Make an output what self._outputs says."""

    @abstractmethod
    def _outputs_settled(self) -> bool:
        """Tell whether all outputs are what self._outputs says."""

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": self._build.search_path,
            "WLR_BACKENDS": "headless",
            "WLR_RENDERER": "pixman",
            "WLR_LIBINPUT_NO_DEVICES": "1",
            "WLR_HEADLESS_OUTPUTS": str(len(self._outputs)),
        }

    def _start(self) -> None:
        super()._start()
        self._set_up()

    def _set_up(self) -> None:
        """Wait until the outputs are as described, and show their backgrounds."""
        self._wait_for_outputs()
        for name, output in list(self._outputs.items()):
            self.set_background(name, output.background)

    def _wait_for_outputs(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._outputs_settled():
            if time.monotonic() > deadline:
                message = f"outputs did not become {self._outputs}{self._log_tail()}"
                raise StageError(message)
            time.sleep(0.005)


class Sway(Stage):
    """A headless sway; ``config`` is appended to its configuration."""

    program = "sway"

    def __init__(self, *outputs: Output, config: str = "", build: Build = Build.HOST) -> None:
        """Describe the session; nothing runs yet."""
        super().__init__(*outputs, config=config, build=build)
        self._last_number = len(outputs)

    @property
    def version(self) -> tuple[int, int]:
        """Which sway runs: (1, 7), say."""
        version = self.query("get_version")
        return version["major"], version["minor"]

    def msg(self, command: str) -> None:
        """Have sway run a command; raise StageError with what it has against it."""
        failed = [one for one in self._ask(0, command) if not one["success"]]
        if failed:
            message = f"sway, {command}: {failed}{self._log_tail()}"
            raise StageError(message)

    def query(self, kind: str) -> Any:
        """Return what ``swaymsg -t KIND`` prints, parsed."""
        return self._ask(_QUERIES[kind], "")

    def _ask(self, kind: int, payload: str) -> Any:
        """Send a message of sway-ipc(7) and return the answer; swaymsg waits for 3 seconds only."""
        try:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(PATIENCE)
                link.connect(self.env["SWAYSOCK"])
                data = payload.encode()
                link.sendall(_IPC_HEADER.pack(_IPC_MAGIC, len(data), kind) + data)
                with link.makefile("rb") as answer:
                    _, size, _ = _IPC_HEADER.unpack(answer.read(_IPC_HEADER.size))
                    return json.loads(answer.read(size))
        except (OSError, ValueError, struct.error) as error:
            message = f"sway, message {kind} {payload!r}: {error!r}{self._log_tail()}"
            raise StageError(message) from error

    def create_output(self, output: Output) -> str:
        """Plug in one more output and return its name; it is on the screen then, set as described.

        sway numbers on; a name does not come back.
        """
        self._last_number += 1
        name = f"HEADLESS-{self._last_number}"
        # Described before it exists, it comes up so.
        self.msg(_output_command(name, output))
        self.msg("create_output")
        self._outputs[name] = output
        self._wait_for_outputs()
        self.set_background(name, output.background)
        return name

    def unplug(self, name: str) -> None:
        """Take an output away, which sway can from 1.8 on; returns when it is gone."""
        self.msg(f"output {name} unplug")
        del self._outputs[name]
        if name in self._backgrounds:
            self._backgrounds.pop(name).close()

    def _command(self) -> list[str]:
        config = self.runtime_dir / "config"
        lines = ["xwayland disable", "default_border none"]
        for number, (name, output) in enumerate(self._outputs.items(), 1):
            lines += [_output_command(name, output), f"workspace {number} output {name}"]
        config.write_text("\n".join([*lines, self._config, ""]))
        return ["sway", "-c", str(config)]

    def _sockets(self) -> dict[str, str]:
        displays = super()._sockets()
        controls = [str(path) for path in _listening(self.runtime_dir, "sway-ipc.*.sock")]
        return {**displays, "SWAYSOCK": controls[0]} if displays and controls else {}

    def _apply(self, name: str, /) -> None:
        self.msg(_output_command(name, self._outputs[name]))

    def _outputs_settled(self) -> bool:
        actual = {output["name"]: output for output in self.query("get_outputs")}
        return all(
            name in actual
            and actual[name]["active"]
            and math.isclose(actual[name]["scale"], wanted.scale, abs_tol=0.01)
            and actual[name]["transform"] == wanted.transform
            and actual[name]["current_mode"]["width"] == wanted.width
            and actual[name]["current_mode"]["height"] == wanted.height
            and wanted.position in {None, (actual[name]["rect"]["x"], actual[name]["rect"]["y"])}
            for name, wanted in self._outputs.items()
        )


class Labwc(Stage):
    """A headless labwc; ``config`` are elements of its rc.xml."""

    program = "labwc"

    def __init__(self, *outputs: Output, config: str = "", build: Build = Build.LABWC) -> None:
        """Describe the session; nothing runs yet."""
        super().__init__(*outputs, config=config, build=build)

    @property
    def version(self) -> tuple[int, int]:
        """Which labwc runs: (0, 20), say."""
        words = subprocess.run(
            ["labwc", "--version"], env=self.env, capture_output=True, text=True, check=True
        ).stdout
        major, minor = words.split()[1].split(".")[:2]
        return int(major), int(minor)

    def _command(self) -> list[str]:
        # Windows without borders, as on sway.
        undecorated = (
            '<windowRules><windowRule identifier="*" serverDecoration="no"/></windowRules>'
        )
        (self.runtime_dir / "rc.xml").write_text(
            f"<labwc_config>{undecorated}{self._config}</labwc_config>\n"
        )
        return ["labwc", "-C", str(self.runtime_dir)]

    def _set_up(self) -> None:
        # labwc's files say nothing of outputs.
        self._configure()
        super()._set_up()

    def _apply(self, _: str, /) -> None:
        # A configuration is one of all outputs.
        self._configure()

    def _configure(self) -> None:
        with self._explaining(), Client(self.socket) as client:
            client.set_heads(self._heads())

    def _outputs_settled(self) -> bool:
        with self._explaining(), Client(self.socket) as client:
            return client.heads() == self._heads()

    def _heads(self) -> dict[str, Head]:
        heads = {}
        right = 0
        for name, output in self._outputs.items():
            x, y = output.position or (right, 0)
            right = max(right, x + int(output.upright_size[0] / output.scale))
            mode = output.width, output.height
            transform = WL_TRANSFORMS[output.transform]
            heads[name] = Head(mode, (x, y), transform, round(output.scale * FIXED))
        return heads


@functools.cache
def _newer_sway() -> Path:
    script = Path(__file__).resolve().parents[1] / "scripts" / "newer-sway"
    made = subprocess.run([script], capture_output=True, text=True, check=False)
    if made.returncode:
        raise StageError(made.stderr)
    return Path(made.stdout.rstrip("\n"))


def pattern(width: int, height: int) -> Picture:
    """Paint a picture in which no two pixels are alike, up to 4096x4096: each says where it is."""
    y, x = np.ogrid[:height, :width]
    picture = np.empty((height, width, 3), np.uint8)
    picture[:, :, 0], picture[:, :, 1] = x & 255, y & 255
    picture[:, :, 2] = (x >> 8).astype(np.uint8) | (y >> 8 << 4).astype(np.uint8)
    return picture


def _picture(background: Picture | Path | str) -> Picture:
    if isinstance(background, str):
        colour = bytes.fromhex(background.removeprefix("#"))
        return np.frombuffer(colour, np.uint8).reshape(1, 1, 3)
    if isinstance(background, Path):
        with Image.open(background) as image:
            return np.asarray(image.convert("RGB"))
    return background


def _covering(pixels: int, scale: float) -> int:
    """Return the least length in logical units that makes so many pixels, rounded half up."""
    return math.ceil((pixels - 0.5) / scale)


def _output_command(name: str, output: Output) -> str:
    place = "" if output.position is None else "position {} {}".format(*output.position)
    return (
        f"output {name} resolution {output.width}x{output.height} {place}"
        f" scale {output.scale} transform {output.transform}"
    )


def _listening(folder: Path, pattern: str) -> list[Path]:
    """Return the sockets that take connections, which is a moment after they appear."""
    return [path for path in folder.glob(pattern) if listens(path)]


def listens(path: Path) -> bool:
    """Whether somebody takes connections at a socket."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def _short_directory() -> Path:
    directory = tempfile.mkdtemp(prefix="stage-")
    if len(directory) > LONGEST_RUNTIME_DIR:
        Path(directory).rmdir()
        directory = tempfile.mkdtemp(prefix="stage-", dir="/tmp")
    return Path(directory)
