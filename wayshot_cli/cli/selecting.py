"""Selectors and menus: programs that ask the user for a region, a point, an output or a window."""

import contextlib
import math
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from wayshot_cli import backends, layout
from wayshot_cli.cli import before_leaving, printable, say
from wayshot_cli.cli.children import ending_children
from wayshot_cli.errors import (
    CancelledError,
    InvalidArgumentError,
    NotFoundError,
    SelectionError,
    UnsupportedError,
)
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Box, parse_region
from wayshot_cli.still import Subject, shot
from wayshot_cli.wayland.connection import Connection
from wayshot_cli.wayland.outputs import Output, read_outputs
from wayshot_cli.wayland.protocols.wlr_layer_shell import ZWLR_LAYER_SHELL_V1

_SLURP = "slurp"
_MENUS = (
    ("fuzzel", "--dmenu"),
    ("wofi", "--dmenu"),
    ("bemenu", "-l", "16"),
    ("rofi", "-dmenu"),
    ("wmenu", "-l", "16"),
    ("tofi",),
)
"""Where no menu is configured, the first of these that is installed."""

_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL}

_LONGEST_ANSWER = 1 << 16  # bytes that a program may print
_LONGEST_LINE = 256  # characters of a menu
_LONGEST_EXCERPT = 80  # characters in an error


class Programs(NamedTuple):
    """The commands that ask, each with its arguments; None for those that are known."""

    selector: Sequence[str] | None = None
    menu: Sequence[str] | None = None


class Selection(NamedTuple):
    """What the user has chosen: one of these, as ``still.shot`` takes it."""

    output: str | None = None
    region: Box | None = None
    window: str | None = None


def selected_shot(
    kind: str, programs: Programs, *, is_frozen: bool, timeout: float, **how: Any
) -> Frame:
    """Have the user select what ``still.shot`` then takes a picture of, or has before."""
    with Connection(timeout=timeout) as link:
        if is_frozen:
            return _frozen_shot(link, kind, programs, **how)
        # Nobody is asked in vain: first of all, whether there is a way to capture it.
        chosen, _ = backends.choose(
            link, how["backend"], how["buffer"], how["device"], windows=kind == "window",
            portal=how["portal"],
        )  # fmt: skip
        chosen.close()
        target = select_target(link, kind, programs)
        return shot(**target._asdict(), connection=link, **how)


def _frozen_shot(  # noqa: PLR0913 - as for still.shot
    link: Connection,
    kind: str,
    programs: Programs,
    *,
    scale: float | None,
    delay: float,
    meanwhile: Callable[[], object],
    note: Callable[[Subject], object] | None,
    **how: Any,
) -> Frame:
    from wayshot_cli.freeze import freeze  # noqa: PLC0415 - for this alone

    _require_outputs(link)
    link.sleep(delay)
    with freeze(link, **how) as frozen:
        meanwhile()
        chosen = select_target(link, kind, programs, is_frozen=True)
    if note:
        names = None if chosen.output is None else [chosen.output]
        shown = layout.plan(frozen.outputs, names=names, region=chosen.region).outputs
        note(Subject(link, chosen.region, [], tuple(output.name for output in shown)))
    return frozen.cut(chosen.region, output=chosen.output, scale=scale)


def select_target(
    link: Connection, kind: str, programs: Programs, *, is_frozen: bool = False
) -> Selection:
    """Have a region, an output or a window selected, as ``kind`` says.

    Raises CancelledError when the user selects nothing, NotFoundError where there is nothing to
    select, UnsupportedError when nobody can ask, SelectionError when who asks fails, and
    what ``link.wait`` raises: but for that, the user can take any time.
    """
    if kind == "region":
        return Selection(region=select_region(link, programs))
    if kind == "output":
        return Selection(output=select_output(link, programs, is_frozen=is_frozen))
    return Selection(window=select_window(link, programs))


def select_region(link: Connection, programs: Programs) -> Box:
    """Have a region selected by a selector, which prints it in logical coordinates."""
    _require_outputs(link)
    return _read_region(link, _selector(link, programs))


def select_point(link: Connection, programs: Programs) -> tuple[int, int]:
    """Have a point selected: the upper left corner of the region that a selector prints.

    slurp is told that a point is wanted. Raises what ``select_target`` raises.
    """
    _require_outputs(link)
    command = _selector(link, programs)
    box = _read_region(link, [*command, "-p"] if _is_slurp(command) else command)
    return box.x, box.y


def select_output(link: Connection, programs: Programs, *, is_frozen: bool = False) -> str:
    """Have an output selected, by slurp or from a menu, and return its name.

    A single one is taken without asking. Menus lie under a screen that is frozen: there it is
    slurp's alone to ask.
    """
    outputs = _require_outputs(link)
    names = [output.name for output in outputs]
    if len(names) == 1:
        return names[0]
    slurp = programs.selector if programs.selector and _is_slurp(programs.selector) else [_SLURP]
    can_slurp = link.find(ZWLR_LAYER_SHELL_V1) and shutil.which(slurp[0])
    if not is_frozen and (programs.menu or not can_slurp):
        chosen = _choose(link, programs, [f"{it.name}: {it.description}" for it in outputs])
        return names[chosen]
    name = _run(link, [*_require_layers(link, slurp), "-o", "-r", "-f", "%o"])
    if name not in names:
        message = f"{slurp[0]} printed {_excerpt(name)}, which is no output"
        raise SelectionError(message)
    return name


def select_window(link: Connection, programs: Programs) -> str:
    """Have a window selected from a menu, and return its identifier."""
    from wayshot_cli.wayland.toplevels import read_windows  # noqa: PLC0415 - for this alone

    windows = [window for window in read_windows(link) if window.identifier]
    if not windows:
        message = "there are no windows"
        raise NotFoundError(message)
    chosen = _choose(link, programs, [f"{it.app_id}: {it.title}" for it in windows])
    identifier = windows[chosen].identifier
    assert identifier is not None  # noqa: S101 - for mypy
    return identifier


def _require_outputs(link: Connection) -> list[Output]:
    """Return the outputs. Raises what is wrong with them before anybody is asked."""
    outputs = read_outputs(link)
    if not outputs:
        message = f"{link.compositor} has no outputs"
        raise NotFoundError(message)
    return outputs


def _selector(link: Connection, programs: Programs) -> Sequence[str]:
    command = programs.selector or [_SLURP]
    return _require_layers(link, command) if _is_slurp(command) else command


def _is_slurp(command: Sequence[str]) -> bool:
    return os.path.basename(command[0]) == _SLURP


def _require_layers(link: Connection, slurp: Sequence[str]) -> Sequence[str]:
    """Return the command of slurp's. Raises UnsupportedError where it could show nothing."""
    if link.find(ZWLR_LAYER_SHELL_V1) is None:
        message = f"{link.compositor} does not offer {ZWLR_LAYER_SHELL_V1.name}, which slurp needs"
        raise UnsupportedError(message, hint="name another selector by --selector")
    return slurp


def _read_region(link: Connection, command: Sequence[str]) -> Box:
    answer = _run(link, command)
    try:
        return parse_region(answer)
    except InvalidArgumentError as error:
        message = f"{command[0]} printed {_excerpt(answer)}, which is no region"
        raise SelectionError(message, hint="a selector prints X,Y WxH") from error


def _choose(link: Connection, programs: Programs, labels: list[str]) -> int:
    """Return the index of the label that the user chooses from a menu."""
    command = programs.menu or next((menu for menu in _MENUS if shutil.which(menu[0])), None)
    if command is None:
        message = "no menu is installed"
        known = ", ".join(menu[0] for menu in _MENUS)
        raise UnsupportedError(message, hint=f"install one of {known}, or name another by --menu")
    lines = _told_apart(labels)
    answer = _run(link, command, lines)
    if answer not in lines:
        message = f"{command[0]} printed {_excerpt(answer)}, which is none of its lines"
        raise SelectionError(message)
    return lines.index(answer)


def _told_apart(labels: list[str]) -> list[str]:
    """Return a line for each label that no other one has: titles can be anything."""
    lines: list[str] = []
    for label in labels:
        line = short = printable(label)[:_LONGEST_LINE].strip()
        number = 1
        while line in lines:
            number += 1
            line = f"{short} ({number})".strip()
        lines.append(line)
    return lines


def _excerpt(answer: str) -> str:
    return repr(answer if len(answer) <= _LONGEST_EXCERPT else f"{answer[:_LONGEST_EXCERPT]}...")


def _run(link: Connection, command: Sequence[str], lines: Sequence[str] = ()) -> str:
    """Run a program that reads the lines, and return what it prints, without space around it.

    One that crashes is run once more: slurp up to 1.5 may when the button is let go while
    it draws (use after free), and the moment that a frozen screen shows would be lost. However
    this ends, the program has ended, too.
    """
    status, answer = _run_once(link, command, lines)
    if -status in _CRASHES:
        say(f"{command[0]} crashed ({signal.Signals(-status).name}): asking once more")
        status, answer = _run_once(link, command, lines)
    if status < 0:
        message = f"{command[0]} was ended by signal {-status}"
        raise SelectionError(message)
    if status or not answer:
        message = f"{command[0]} selected nothing: selection cancelled"
        raise CancelledError(message)
    return answer


def _run_once(link: Connection, command: Sequence[str], lines: Sequence[str]) -> tuple[int, str]:
    """Run a program to its end. Returns the status (below 0: the signal's) and what it prints."""
    end_children = ending_children()
    before_leaving.append(end_children)
    # Or a signal between Python's last look and the poll would have to wait for the user.
    signal.set_wakeup_fd(link.wake_fd, warn_on_full_buffer=False)
    try:
        with _start(command, lines) as process:
            try:
                answer = _read_answer(link, process, command[0])
            except BaseException:
                end_children()
                raise
    finally:
        signal.set_wakeup_fd(-1)
        before_leaving.remove(end_children)
    return process.returncode, answer


def _start(command: Sequence[str], lines: Sequence[str]) -> subprocess.Popen[bytes]:
    # In memory, so that nobody waits until they are read. Never our stdin: slurp waits for its end.
    with open(os.memfd_create("wayshot-lines"), "w+b") as stdin:
        stdin.write("".join(f"{line}\n" for line in lines).encode())
        stdin.seek(0)
        try:
            return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE)  # noqa: S603 - what the user wants run
        except (FileNotFoundError, PermissionError) as error:
            message = f"cannot run {command[0]}: {error.strerror}"
            hint = f"install {command[0]}, or name another command by --selector or --menu"
            raise UnsupportedError(message, hint=hint) from error
        except OSError as error:
            message = f"cannot run {command[0]}: {error.strerror}"
            raise SelectionError(message) from error


def _read_answer(link: Connection, process: subprocess.Popen[bytes], name: str) -> str:
    """Wait for the end of a program, however long that takes, and return what it has printed."""
    assert process.stdout is not None  # noqa: S101 - for mypy
    stdout, pidfd = process.stdout.fileno(), os.pidfd_open(process.pid)
    os.set_blocking(stdout, False)
    answer = bytearray()

    def read() -> None:
        with contextlib.suppress(BlockingIOError):
            while part := os.read(stdout, _LONGEST_ANSWER):
                answer.extend(part)
                if len(answer) > _LONGEST_ANSWER:
                    message = f"{name} prints more than {_LONGEST_ANSWER} bytes"
                    raise SelectionError(message)
            link.unwatch(stdout)  # it has closed it, and may go on

    try:
        link.watch(stdout, read)
        link.watch(pidfd, process.poll)
        link.wait(lambda: process.returncode is not None, f"waiting for {name}", math.inf)
        read()  # what came last: others may hold the pipe open
    finally:
        link.unwatch(stdout)
        link.unwatch(pidfd)
        os.close(pidfd)
    return answer.decode(errors="replace").strip()
