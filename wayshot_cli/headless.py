"""A stage: a program alone on the output of a headless compositor that nobody else uses.

    with Stage(size=Size(1280, 720)) as stage:
        stage.run(["gnome-calculator"])
        stage.wait_until_at_rest()
        frame = shot(connection=stage.connection)

The compositor and the program are children of a keeper (keeper.py), which ends them and removes
what they leave when the block ends, or this process, in whatever way.
"""

import contextlib
import json
import os
import re
import select
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic
from typing import IO, TYPE_CHECKING, NamedTuple, Self

from wayshot_cli import backends, sinks
from wayshot_cli.errors import (
    CaptureError,
    CaptureTimeoutError,
    InvalidArgumentError,
    UnsupportedError,
)
from wayshot_cli.geometry import Size, parse_size
from wayshot_cli.sources import OutputSource
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.outputs import read_outputs
from wayshot_cli.wayland.protocols.wlr_output_management import ZWLR_OUTPUT_MANAGER_V1

if TYPE_CHECKING:
    from wayshot_cli.sources import Picture
    from wayshot_cli.wayland.proxy import Proxy

DEFAULT_SIZE = Size(1280, 720)
"""Pixels; what wlroots gives a headless output by itself."""

DEFAULT_TIMEOUT = 30.0
"""Seconds that a program has to show something, on a slow machine."""

LARGEST_SIDE = 16384
"""Pixels."""

REST = 1.0
"""Seconds without anything new that make a rest."""

LONGEST_UNREST = 5.0
"""Seconds after which a program that has shown something is taken as it is."""

NOBODY = 65534
"""User and group of root's compositor: sway refuses root, and these always exist."""

_KEEPER = os.path.join(os.path.dirname(__file__), "keeper.py")
_SLICE = 0.1  # seconds between two looks whether the program is still there
_CLEARING = 5.0  # seconds that the keeper has in the end
_REAPING = 1.0  # seconds that its process has from then on
_TAIL = 15  # lines of a log

_HANDED_OVER = (
    "if it hands over to one that already runs, give it a bus of its own: dbus-run-session -- ..."
)

_OTHER_SESSION = frozenset(
    {"DISPLAY", "I3SOCK", "LABWC_PID", "SWAYSOCK", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"}
)

_SWAY = """\
xwayland disable
default_border none
default_floating_border none
"""

_LABWC = """\
<labwc_config>
  <windowRules>
    <windowRule identifier="*" serverDecoration="no">
      <action name="Maximize"/>
    </windowRule>
  </windowRules>
</labwc_config>
"""


class Compositor(NamedTuple):
    """How a compositor is started; its name is its command's and its Debian package's.

    ``{folder}`` in arguments and variables is the stage's: the files are in it, which nobody may
    change; ``{folder}/compositor`` is the compositor's own. The program has the variables as well.
    ``if_known`` are arguments for a version whose ``-h`` tells of the first of them.
    """

    name: str
    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = {}
    files: Mapping[str, str] = {}
    ends_with_stdin: bool = False
    if_known: tuple[str, ...] = ()


# Some refuse to start where there is no Xwayland, which here nobody asks for.
_NO_XWAYLAND = {"WLR_XWAYLAND": "/bin/false"}

COMPOSITORS = (
    Compositor(
        "sway",
        ("-c", "{folder}/sway"),
        {"SWAYSOCK": "{folder}/compositor/sway.sock"},
        {"sway": _SWAY},
    ),
    Compositor("labwc", ("-C", "{folder}"), _NO_XWAYLAND, {"rc.xml": _LABWC}),
    # It ends with the program that it is given, and (0.1.4) crashes of SIGTERM. Those that can be
    # turned (up to 0.1.4) hand a window of the screen's size to the screen undrawn while nobody
    # captures, and wlroots 0.15 counts that as drawn: later pictures lack it. With the screen
    # upside down they have to draw all windows.
    Compositor("cage", ("--", "cat"), _NO_XWAYLAND, ends_with_stdin=True, if_known=("-r", "-r")),
)
"""Those that can be told to, in the order in which ``auto`` looks for them."""


def find_compositor(wish: str = "auto") -> Compositor:
    """Return the compositor of that name, or the first that is installed.

    Raises UnsupportedError when it is not, InvalidArgumentError when there is none of that name.
    """
    names = [compositor.name for compositor in COMPOSITORS]
    if wish not in {"auto", *names}:
        message = f"no headless compositor named {wish!r}"
        raise InvalidArgumentError(message, hint=f"known are auto, {', '.join(names)}")
    for compositor in COMPOSITORS:
        if wish in {"auto", compositor.name} and shutil.which(compositor.name):
            return compositor
    if wish == "auto":
        message = f"none of {', '.join(names)} is installed, one of which has to be"
        raise UnsupportedError(message, hint=f"on Debian: apt-get install {names[0]}")
    message = f"{wish} is not installed"
    raise UnsupportedError(message, hint=f"on Debian: apt-get install {wish}")


def read_size(text: str) -> Size:
    """Read ``WxH``, pixels. Raises InvalidArgumentError."""
    size = parse_size(text)
    if size is None or max(size) > LARGEST_SIDE:
        message = f"{text!r} is not a size in pixels, as 1280x720, up to {LARGEST_SIDE} a side"
        raise InvalidArgumentError(message)
    return size


def environment(
    base: Mapping[str, str], runtime_dir: str, variables: Mapping[str, str]
) -> dict[str, str]:
    """Return ``base`` without what leads to another session, and with what leads to this one."""
    kept = {name: value for name, value in base.items() if name not in _OTHER_SESSION}
    own = {"XDG_RUNTIME_DIR": runtime_dir, "XDG_SESSION_TYPE": "wayland"}
    return {**kept, **own, **variables}


class Stage:
    """A headless compositor with one output, and a program on it, from ``with`` to its end.

    What they print goes to logs, whose ends are notes (``__notes__``) of the errors that are due to
    them, or with ``verbose`` to stderr. Root's compositor runs as nobody, its program as root.
    ``timeout`` in seconds bounds each answer of the compositor, and the wait for what the program
    shows.

    All methods raise CaptureError, CaptureTimeoutError among it, when the compositor or the program
    does not do its part.
    """

    def __init__(
        self,
        *,
        size: Size = DEFAULT_SIZE,
        scale: float = 1.0,
        compositor: str = "auto",
        timeout: float = DEFAULT_TIMEOUT,
        verbose: bool = False,
    ) -> None:
        """Look for the compositor. Raises what ``find_compositor`` raises."""
        self.compositor = find_compositor(compositor)
        self.connection: Connection
        self._size = size
        self._scale = scale
        self._timeout = timeout
        self._verbose = verbose
        self._keeper: subprocess.Popen[bytes] | None = None
        self._is_ending = False
        self._received = b""
        self._folder = ""
        self._failed: dict[str, str] = {}  # what could not be started, and why
        self._ended: dict[str, int] = {}
        self._program = "the program"
        self._stack = contextlib.ExitStack()
        self._watcher: threading.Thread | None = None
        self._source: OutputSource
        self._blank = b""

    def __enter__(self) -> Self:
        """Start the compositor, and set its output.

        Raises UnsupportedError when it cannot have that size and scale.
        """
        with contextlib.ExitStack() as stack:
            stack.callback(self._close)
            self._start_keeper()
            self._start_compositor()
            self.connection = stack.enter_context(self._connect())
            _set_output(self.connection, self._size, self._scale)
            chosen, _ = backends.choose(self.connection)
            self._source = stack.enter_context(OutputSource(self.connection, chosen))
            self._blank = _pixels(self._capture(self.connection.deadline()))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End the program and the compositor."""
        self._stack.close()

    def _close(self) -> None:
        self.end()
        if self._watcher:
            self._watcher.join()  # at the end of its slice
        process = self._keeper
        if process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_REAPING)  # it has closed its stdout, or is stuck
            if process.returncode:
                shutil.rmtree(self._folder, ignore_errors=True)  # it did not come to that
            self._pipes()[1].close()

    def end(self) -> None:
        """End the program and the compositor. For signal handlers, too; harmless twice."""
        if self._keeper is None or self._is_ending:
            return
        self._is_ending = True
        stdin, stdout = self._pipes()
        stdin.close()
        # Not by wait(), which a handler may have interrupted: it has a lock.
        poll = select.poll()
        poll.register(stdout, select.POLLIN)
        deadline = monotonic() + _CLEARING
        while (remaining := deadline - monotonic()) > 0:
            if poll.poll(remaining * 1000) and not stdout.read(1 << 16):
                break

    def run(self, command: Sequence[str]) -> None:
        """Start the program, the only one of this stage."""
        if shutil.which(command[0], os.F_OK) is None:  # what may not be run, the keeper finds out
            message = f"cannot run {command[0]!r}: there is no such command"
            raise CaptureError(message)
        self._program = os.path.basename(command[0])
        display = self._display()
        runtime_dir = self._path("program")
        os.symlink(self._path("compositor", display), os.path.join(runtime_dir, display))
        self._spawn("program", list(command), {**self._variables(), "WAYLAND_DISPLAY": display})

    def wait_until_shown(self) -> None:
        """Wait until the program has shown something."""
        deadline = monotonic() + self._timeout
        while _pixels(self._capture(deadline)) in {self._blank, b""}:
            if monotonic() >= deadline:
                message = f"{self._program} showed nothing within {self._timeout:g} s"
                raise self._with_log(CaptureTimeoutError(message), "program")
        self._source.restart()  # nothing is under way when others capture

    def wait_until_at_rest(self) -> None:
        """Wait until it has shown something, and then nothing new for a moment.

        A cursor that blinks, from one picture to another and back, is nothing new. A program that
        never rests is waited for no longer than LONGEST_UNREST.
        """
        self.wait_until_shown()
        before = last = b""
        resting = began = monotonic()
        while (now := monotonic()) - resting < REST and now - began < LONGEST_UNREST:
            pixels = _pixels(self._capture(resting + REST))
            if not pixels or pixels == last:
                continue
            if pixels != before:
                resting = monotonic()
            before, last = last, pixels
        self._source.restart()

    def sleep(self, seconds: float) -> None:
        """Let time pass, in which the program has to stay."""
        deadline = monotonic() + seconds
        while (remaining := deadline - monotonic()) > 0:
            with self._checks():
                self.connection.sleep(min(remaining, _SLICE))

    def when_over(self, do: Callable[[], object]) -> None:
        """Call in another thread when the program has ended, or the stage ends.

        The stage's other methods may not be used any more, but for ``end``.
        """

        def watch() -> None:
            with contextlib.suppress(CaptureError):  # as good as an end
                while not self._is_ending and not self._ended:
                    self._hear(_SLICE)
            do()

        self._watcher = threading.Thread(target=watch, name="wayshot stage", daemon=True)
        self._watcher.start()

    def _start_keeper(self) -> None:
        user = [str(NOBODY)] * 2 if os.geteuid() == 0 else []
        self._keeper = subprocess.Popen(  # noqa: S603 - a script of ours
            [sys.executable, "-I", "-S", _KEEPER, *user],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for us
        )
        self._wait_for(lambda: self._folder, "wayshot's keeper")

    def _start_compositor(self) -> None:
        name, arguments, _, files, *_ = self.compositor
        for file, text in files.items():
            path = self._path(file)
            with sinks.errors_named(path), open(path, "w", encoding="utf-8") as config:
                os.fchmod(config.fileno(), 0o644)  # nobody reads it, whatever root's umask
                config.write(text)
        variables = {
            **self._variables(),
            "WLR_BACKENDS": "headless",
            "WLR_HEADLESS_OUTPUTS": "1",
            "WLR_LIBINPUT_NO_DEVICES": "1",
            "WLR_RENDERER": os.environ.get("WLR_RENDERER", "pixman"),
        }
        if os.geteuid() == 0:
            variables["HOME"] = self._path("compositor")
        argv = [name, *self._known(), *map(self._filled, arguments)]
        self._spawn("compositor", argv, variables)
        self._wait_for(self._display, name)

    def _known(self) -> tuple[str, ...]:
        """Return the arguments that only some versions have, if this one has them."""
        wish = self.compositor.if_known
        if not wish:
            return ()
        try:
            told = subprocess.run(  # noqa: S603 - what is started next
                [self.compositor.name, "-h"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=self._timeout,
                check=False,
            ).stdout
        except (OSError, subprocess.TimeoutExpired):
            return ()  # it fails once more in a moment, and is told of then
        return wish if wish[0].encode() in told.split() else ()

    def _connect(self) -> Connection:
        """Connect to the socket, which is there a moment before anybody listens."""
        deadline = monotonic() + self._timeout
        path = self._path("compositor", self._display())
        while True:
            try:
                return Connection(path, timeout=self._timeout)
            except UnsupportedError:
                if monotonic() > deadline:
                    raise
                self._hear(0.01)

    def _filled(self, text: str) -> str:
        return text.replace("{folder}", self._folder)

    def _variables(self) -> dict[str, str]:
        return {key: self._filled(value) for key, value in self.compositor.variables.items()}

    def _path(self, *names: str) -> str:
        return os.path.join(self._folder, *names)

    def _display(self) -> str:
        """Return the name of the compositor's socket, empty as long as there is none."""
        names = os.listdir(self._path("compositor"))
        return next((name for name in names if re.fullmatch(r"wayland-\d+", name)), "")

    def _spawn(self, name: str, argv: list[str], variables: Mapping[str, str]) -> None:
        request = {
            "name": name,
            "argv": argv,
            "env": environment(os.environ, self._path(name), variables),
            "log": None if self._verbose else self._log(name),
            "ends_with_stdin": name == "compositor" and self.compositor.ends_with_stdin,
        }
        try:
            sinks.write_fd(self._pipes()[0].fileno(), [json.dumps(request).encode() + b"\n"])
        except OSError as error:
            raise self._lost_keeper() from error

    def _capture(self, until: float) -> "Picture | None":
        """Return what is new on the output; None when nothing is, now and then."""
        with self._checks():
            return self._source.capture(min(until, monotonic() + _SLICE))

    @contextlib.contextmanager
    def _checks(self) -> Iterator[None]:
        """Look after the processes before and after; what has become of them explains errors."""
        self._check()
        try:
            yield
        except CaptureError:
            self._hear(_SLICE)
            self._check()
            raise
        self._check()

    def _check(self) -> None:
        """Raise what has become of the program or the compositor, if anything has."""
        self._hear(0)
        for name, what in (("compositor", self.compositor.name), ("program", self._program)):
            if name in self._failed:
                message = f"cannot run {what!r}: {self._failed[name]}"
                raise CaptureError(message)
            if name in self._ended:
                code = self._ended[name]
                message = f"{what} ended too early, with {_status(code)}"
                hint = None if code or name == "compositor" else _HANDED_OVER
                raise self._with_log(CaptureError(message, hint=hint), name)

    def _wait_for(self, done: Callable[[], object], what: str) -> None:
        deadline = monotonic() + self._timeout
        while not done():
            self._check()
            if monotonic() > deadline:
                message = f"{what} did not start within {self._timeout:g} s"
                raise self._with_log(CaptureTimeoutError(message), "compositor")
            self._hear(0.005)

    def _hear(self, seconds: float) -> None:
        """Wait for what the keeper has to tell, no longer than so many seconds."""
        _, stdout = self._pipes()
        poll = select.poll()
        poll.register(stdout, select.POLLIN)
        if not poll.poll(seconds * 1000):
            return
        part = stdout.read(1 << 16)
        if not part:
            if self._is_ending:
                return
            raise self._lost_keeper()
        *lines, self._received = (self._received + part).split(b"\n")
        for answer in map(json.loads, lines):
            self._folder = answer.get("folder", self._folder)
            if "failed" in answer:
                self._failed[answer["failed"]] = answer["reason"]
            if "ended" in answer:
                self._ended[answer["ended"]] = answer["status"]

    def _lost_keeper(self) -> CaptureError:
        return CaptureError("the process that keeps the headless session was killed")

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        process = self._keeper
        assert process  # noqa: S101 - these were asked for
        assert process.stdin  # noqa: S101
        assert process.stdout  # noqa: S101
        return process.stdin, process.stdout

    def _log(self, name: str) -> str:
        return self._path(f"{name}.log")

    def _with_log(self, error: CaptureError, name: str) -> CaptureError:
        """Add the end of a log to an error."""
        with contextlib.suppress(OSError), open(self._log(name), errors="replace") as log:
            for line in log.read().splitlines()[-_TAIL:]:
                error.add_note(line)
        return error


def _pixels(picture: "Picture | None") -> bytes:
    return bytes(picture.pieces[0].frame.memory) if picture else b""


def _status(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"status {code}"


def _set_output(connection: Connection, size: Size, scale: float) -> None:
    """Give the one output its size and scale."""
    outputs = read_outputs(connection)
    if len(outputs) != 1:
        message = f"{connection.compositor} has {len(outputs)} outputs, not one"
        raise CaptureError(message)
    (output,) = outputs
    if (output.mode, output.scale) == (size, scale):
        return
    manager = connection.singleton(ZWLR_OUTPUT_MANAGER_V1)
    if manager is None:
        message = (
            f"{connection.compositor} has an output of {output.mode} at scale {output.scale:g}, "
            f"and does not offer {ZWLR_OUTPUT_MANAGER_V1.name} to change it"
        )
        raise UnsupportedError(message, hint="take another one: --compositor sway")
    facts = connection.outputs[output.offer.name]
    heads: list[Proxy] = []
    serials: list[int] = []
    manager.on(head=heads.append, done=serials.append)
    connection.wait(lambda: bool(heads and serials), "asking how the output is set")
    results: list[bool] = []
    configuration = manager.create(
        "create_configuration",
        serials[-1],
        succeeded=lambda: results.append(True),
        failed=lambda: results.append(False),
        cancelled=lambda: results.append(False),
    )
    head = configuration.create("enable_head", heads[0])
    head.send("set_custom_mode", *size, 0)
    head.send("set_scale", scale)
    configuration.send("apply")
    connection.wait(lambda: bool(results), "setting the output")
    configuration.destroy()
    if not results[0]:
        message = f"{connection.compositor} refuses an output of {size} at scale {scale:g}"
        raise UnsupportedError(message)
    connection.wait(lambda: facts.mode == size, "setting the output")
    connection.roundtrip("setting the output")
