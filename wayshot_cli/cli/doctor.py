"""``wayshot doctor``: what this session offers, what wayshot makes of it, and what would help."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from wayshot_cli.cli import printable
from wayshot_cli.cli.options import CONTEXT_SETTINGS, profile_option, timeout_option
from wayshot_cli.errors import UnsupportedError

if TYPE_CHECKING:
    from wayshot_cli.doctor import Choice, Encoders, Gpu, Node, PipeWire, Portal, Report, Trial

_UNLIMITED = 100_000  # columns
_LEFT = 20  # columns, so that sections stand below each other
_MEMORY = {"shm": "shared memory", "dmabuf": "dmabufs"}

Row = tuple[str, str]
"""What is spoken of, and what is said of it."""


@click.command(
    "doctor",
    help="Tell what this session offers, and what wayshot makes of it. "
    "A still of each output is taken, to see whether that works, and thrown away.",
    epilog=f"Exits with 0 if a still can be taken, with {UnsupportedError.exit_code} if not.",
    context_settings=CONTEXT_SETTINGS,
)
@click.option("--json", "as_json", is_flag=True, help="Print everything, for reports of bugs.")
@timeout_option()
@profile_option
def command(timeout: float, *, as_json: bool) -> int:
    """Print the report as columns or as a JSON object; return the exit code."""
    from wayshot_cli.doctor import examine  # noqa: PLC0415 - it loads everything; not for --help

    report = examine(timeout=timeout)
    if as_json:
        import json  # noqa: PLC0415 - the columns need none

        # ASCII output escapes every control character, and survives any locale.
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        _print_columns(report)
    return 0 if report.can_shoot else UnsupportedError.exit_code


def _print_columns(report: "Report") -> None:
    from rich.console import Console  # noqa: PLC0415 - 34 ms
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    sections = columns(report)
    # On a terminal the right column is folded; elsewhere lines are as long as they need be.
    console = Console(width=None if sys.stdout.isatty() else _UNLIMITED, highlight=False)
    with console.capture() as capture:
        for heading, rows in sections.items():
            if not rows:
                continue
            console.print(Text(heading, style="bold"))
            table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
            table.add_column(no_wrap=True, overflow="ignore", min_width=_LEFT)
            table.add_column(overflow="fold")
            last = None
            for name, words in rows:
                # Text: no markup of theirs
                label = "" if name == last else "  " + printable(name)
                table.add_row(Text(label), Text(printable(words)))
                last = name
            console.print(table)
    # Columns are padded, which is nothing to paste into a report.
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def columns(report: "Report") -> dict[str, list[Row]]:
    """Put the report into words: rows by the heading of their section."""
    return {
        "Session": list(_session(report)),
        "Protocols": list(_protocols(report)),
        "GPU memory": list(_gpu(report.gpu)),
        "Backends": list(_backends(report)),
        "Stills and recordings": list(_captures(report)),
        "Portal": [*_portal(report.portal), *_pipewire(report.pipewire)],
        "Files": list(_files(report.encoders)),
        "Software": list(_software(report)),
        "Verdict": list(_verdict(report)),
    }


def _session(report: "Report") -> Iterator[Row]:
    said = report.session.variables
    yield "display", said["WAYLAND_DISPLAY"] or "WAYLAND_DISPLAY is not set"
    yield "desktop", said["XDG_CURRENT_DESKTOP"] or "XDG_CURRENT_DESKTOP is not set"
    if report.compositor:
        name, pid = report.compositor
        yield "compositor", f"{name or 'unknown'} (process {pid or 'unknown'})"
    if report.problem:
        yield "compositor", report.problem.message
    for output in report.outputs:
        words = f"{output.mode} pixels, scale {output.scale:g}, {output.transform.label}"
        yield f"output {output.name}", output.problem or f"{words}, at {output.box}"


def _protocols(report: "Report") -> Iterator[Row]:
    for protocol in report.protocols if report.compositor else ():
        offered = protocol.offered
        yield protocol.interface, "not offered" if offered is None else f"version {offered}"


def _gpu(gpu: "Gpu") -> Iterator[Row]:
    yield "libgbm", gpu.libgbm.message if gpu.libgbm else "present"
    for node in gpu.nodes:
        yield node.path, _node(node)
    if not gpu.nodes:
        yield "/dev/dri", "no render node"
    if gpu.main_device and not any(node.is_main_device for node in gpu.nodes):
        yield "main device", f"{gpu.main_device} of the compositor is not among them"
    if gpu.problem:
        yield "main device", f"not known: {gpu.problem.message}"


def _node(node: "Node") -> str:
    words = [node.driver or "driver unknown"]
    if node.is_main_device:
        words.append("the compositor's main device")
    if node.gbm:
        words.append(f"served by GBM's {node.gbm!r}")
    if node.problem:
        words.append(node.problem.message.removeprefix(f"{node.path}: "))
    return ", ".join(words)


def _backends(report: "Report") -> Iterator[Row]:
    names = dict.fromkeys(rung.backend for rung in report.rungs)
    for name in names:
        memories: dict[str, list[str]] = {}
        for rung in report.rungs:
            if rung.backend == name:
                reason = rung.problem.message if rung.problem else ""
                memories.setdefault(reason, []).append(_MEMORY[rung.buffer])
        for reason, kinds in memories.items():
            memory = " or ".join(kinds)
            if not reason:
                yield name, f"into {memory}"
            elif len(memories) == 1:
                yield name, f"unusable: {reason}"
            else:
                yield name, f"not into {memory}: {reason}"


def _captures(report: "Report") -> Iterator[Row]:
    within_reach = {choice.target for choice in report.choices if choice.taken}
    ways: dict[str, list[str]] = {}
    for choice in report.choices:
        if choice.buffer == "auto" or choice.target in within_reach:
            ways.setdefault(choice.target, []).append(_way(choice))
    targets: dict[tuple[str, ...], list[str]] = {}
    for target, lines in ways.items():
        # A recording's way is most often a still's.
        targets.setdefault(tuple(dict.fromkeys(lines)), []).append(target)
    for words, names in targets.items():
        yield from ((", ".join(names), line) for line in words)
    for trial in report.trials:
        yield f"tried {trial.output}", _tried(trial)


def _way(choice: "Choice") -> str:
    pinned = "" if choice.buffer == "auto" else f"--buffer {choice.buffer}: "
    if choice.taken:
        return f"{pinned}by {choice.taken.backend} into {choice.taken.memory}"
    return f"{pinned}not at all: {choice.problem and choice.problem.message}"


def _tried(trial: "Trial") -> str:
    memory = "" if trial.buffer == "auto" else f" by {_MEMORY[trial.buffer]}"
    if trial.problem:
        return f"failed{memory}: {trial.problem.message}"
    return f"gave a picture of {trial.size}{memory}"


def _portal(portal: "Portal") -> Iterator[Row]:
    if portal.problem:
        yield "ScreenCast", portal.problem.message
    else:
        sources = ", ".join(portal.sources) or "nothing"
        yield "ScreenCast", f"version {portal.version}, of {sources}"


def _pipewire(pipewire: "PipeWire") -> Iterator[Row]:
    problem = pipewire.library_problem
    yield "libpipewire", problem.message if problem else f"{pipewire.library}"
    problem = pipewire.socket_problem
    yield "PipeWire", f"{pipewire.socket}: {problem.message if problem else 'listens'}"


def _files(encoders: "Encoders") -> Iterator[Row]:
    for kind, formats in (("stills", encoders.stills), ("recordings", encoders.recordings)):
        yield kind, " ".join(format_.name for format_ in formats if not format_.problem)
        reasons: dict[str, list[str]] = {}
        for format_ in formats:
            if format_.problem:
                reason = format_.problem.message.removeprefix(f"{format_.name} is ")
                reasons.setdefault(reason, []).append(format_.name)
        for reason, names in reasons.items():
            yield kind, f"not {' '.join(names)}: {reason}"
    if encoders.codecs:
        yield "codecs", " ".join(name for name, is_there in encoders.codecs.items() if is_there)
        if lacking := [name for name, is_there in encoders.codecs.items() if not is_there]:
            yield "codecs", f"not {' '.join(lacking)}: this PyAV was built without"
    problem = encoders.ffmpeg_problem
    yield "ffmpeg", problem.message if problem else f"{encoders.ffmpeg}"


def _software(report: "Report") -> Iterator[Row]:
    software = report.software
    yield "wayshot", f"{software.wayshot} on Python {software.python}"
    libraries = software.libraries.items()
    yield "libraries", ", ".join(f"{name} {version or '-'}" for name, version in libraries)
    yield "system", ", ".join(filter(None, (software.system, software.kernel)))


def _verdict(report: "Report") -> Iterator[Row]:
    why_not = report.why_not
    yield "stills", f"cannot be taken: {why_not.message}" if why_not else "can be taken"
    for hint in report.advice:
        yield "advice", hint
