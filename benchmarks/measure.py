"""Taking turns, medians, and the table."""

import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


def program(name: str) -> str:
    """Return a program of the installation under test: BENCH_BIN's, or our own."""
    return str(Path(os.environ.get("BENCH_BIN") or sysconfig.get_path("scripts")) / name)


class Run(NamedTuple):
    """One run: how long it took, how large its result was, how much memory it had at most."""

    seconds: float
    size: int = 0
    peak_kib: int = 0


def in_turns(rounds: int, *contenders: Callable[[], Run]) -> list[Run]:
    """Run the contenders one after another, ``rounds`` times; return each one's medians.

    A first round, for caches and files on disk, does not count. Taking turns
    spreads a noisy machine's noise over all.
    """
    runs = [[contender() for contender in contenders] for _ in range(rounds + 1)][1:]
    return [
        Run(
            statistics.median(run.seconds for run in column),
            round(statistics.median(run.size for run in column)),
            round(statistics.median(run.peak_kib for run in column)),
        )
        for column in zip(*runs, strict=True)
    ]


def timed(make: Callable[[], int]) -> Run:
    """Time a function that returns the size of what it made."""
    start = time.perf_counter()
    size = make()
    return Run(time.perf_counter() - start, size)


# A child's peak memory counts from its parent's at the fork (getrusage(2) is silent on it, the
# kernel's exec_mmap is not): so commands are started by an interpreter that has loaded nothing.
_LAUNCHER = """
import posix, sys, time
command, env = sys.argv[1:], posix.environ
quiet = [(posix.POSIX_SPAWN_OPEN, 1, "/dev/null", posix.O_WRONLY, 0)]
start = time.perf_counter()
pid = posix.posix_spawn(command[0], command, env, file_actions=quiet)
_, status, usage = posix.wait4(pid, 0)
print(time.perf_counter() - start, usage.ru_maxrss)
sys.exit(status != 0)
"""


def process(command: Sequence[str], env: Mapping[str, str], result: str | None = None) -> Run:
    """Run a command to its end: wall time, size of its result file, peak resident memory.

    Raises CalledProcessError when it fails.
    """
    executable = shutil.which(command[0])
    if executable is None:
        raise FileNotFoundError(command[0])
    launch = [sys.executable, "-I", "-S", "-c", _LAUNCHER, executable, *command[1:]]
    done = subprocess.run(launch, env=env, check=True, stdout=subprocess.PIPE, text=True)
    seconds, peak_kib = done.stdout.split()
    return Run(float(seconds), os.path.getsize(result) if result else 0, int(peak_kib))


def processor_time(pid: int) -> float:
    """Return the seconds that a process has used, see proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def title(text: str) -> None:
    """Print a heading and what the columns are."""
    print(f"\n{text}")
    print(f"{'':34}{'peer':>10}{'wayshot':>10}{'faster':>9}{'size':>8}{'memory':>8}")


def row(name: str, peer: Run, ours: Run) -> None:
    """Print one comparison: milliseconds, how many times faster, ratios of size and memory."""
    size = f"{ours.size / peer.size:8.3f}" if peer.size else f"{'':8}"
    memory = f"{ours.peak_kib / peer.peak_kib:8.2f}" if peer.peak_kib else ""
    times = f"{peer.seconds * 1e3:7.1f} ms{ours.seconds * 1e3:7.1f} ms"
    print(f"{name:34}{times}{peer.seconds / ours.seconds:8.2f}x{size}{memory}", flush=True)


def bars_title(text: str) -> None:
    """Print the heading of a table of figures that have to reach a bar."""
    print(f"\n{text}")
    print(f"{'':42}{'peer':>12}{'wayshot':>12}{'ratio':>8}   bar")


def bar_row(  # noqa: PLR0913 - the columns
    name: str, peer: float, ours: float, unit: str, *, bar: str = "", reached: bool = True
) -> None:
    """Print one comparison, wayshot's figure over the peer's, and whether it reached the bar."""
    figures = f"{_figure(peer, unit):>12}{_figure(ours, unit):>12}{ours / peer:7.2f}x"
    print(f"{name:42}{figures}   {_verdict(bar, reached=reached)}".rstrip(), flush=True)


def lone_row(name: str, ours: float, unit: str, *, bar: str = "", reached: bool = True) -> None:
    """Print a figure that has no peer."""
    line = f"{name:42}{'':12}{_figure(ours, unit):>12}{'':8}   {_verdict(bar, reached=reached)}"
    print(line.rstrip(), flush=True)


def _figure(value: float, unit: str) -> str:
    return f"{value:.{0 if abs(value) >= 100 or value == int(value) else 2}f} {unit}"


def _verdict(bar: str, *, reached: bool) -> str:
    return f"{bar}: {'reached' if reached else 'MISSED'}" if bar else ""
