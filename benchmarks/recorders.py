"""Whole recorders of a screen that moves: processor time, frames lost, memory."""

import os
import re
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import measure
from benchmarks.measure import processor_time, program
from tests.fake import Config, FakeCompositor, Film, Output, VirtualClock, read_counter
from tests.live.film import LiveFilm
from tests.stage import Output as Screen
from tests.stage import Sway
from tests.y4m import parse_header

OUTPUT = "HEADLESS-1"
WIDTH, HEIGHT = 1920, 1080
ROUNDS = 3
PATIENCE = 60.0
"""Seconds after which a process counts as hung."""

SECONDS = 6.0
"""How long the recordings are whose processor time is taken."""

H264 = {"preset": "superfast", "crf": "21"}
PLANES, FULL_RANGE_PLANES = "yuv420p", "yuvj420p"
"""What both recorders are to encode, and how ffprobe calls it: wf-recorder's range is full."""

WATCHED = 8.0
"""How long the recordings are whose frames are counted."""

CHANGING = "1700,100 16x16"
"""A few pixels of the counter's lowest bit, which differ in each frame of the film."""

JITTER = 2.0
"""Milliseconds by which the p99 interval may lie farther from the median than the screen's own."""

FEW, MANY = 100, 10_000
MANY_LARGE = 3_000
GROWTH = 2.0
"""Megabytes that later frames may add to a recorder's own memory."""

MOST_BUFFERS = 7
"""Four that wait for the writer, one or two that it has, and one that is captured."""

_SAID = re.compile(
    r"captured (?P<captured>\d+), duplicated \d+, skipped (?P<skipped>\d+),"
    r" dropped (?P<dropped>\d+), late \d+\),"
    r" interval p50 (?P<p50>[\d.]+) ms, p99 (?P<p99>[\d.]+) ms"
)


def run() -> None:
    """Print the tables."""
    with Sway(Screen(WIDTH, HEIGHT)) as sway, LiveFilm(sway, OUTPUT):
        _processor_time(sway)
        _frames_lost(sway)
    _memory()


# Processor time.


class Cost(NamedTuple):
    """Seconds of processor time per second recorded, and frames in that second."""

    recorder: float
    compositor: float
    frames: float = 0.0


def _processor_time(sway: Sway) -> None:
    measure.bars_title(f"Processor time per second recorded, {WIDTH}x{HEIGHT}, against wf-recorder")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:  # no disk in between
        ours, theirs = f"{folder}/ours.mp4", f"{folder}/theirs.mkv"
        contenders: list[Callable[[], Cost]] = [
            lambda: _idle(sway),
            lambda: _wf_recorder(sway, theirs),
            lambda: _wayshot(sway, ours),
            lambda: _wayshot_y4m(sway),
        ]
        rounds = [[contender() for contender in contenders] for _ in range(ROUNDS)]
    idle, peer, mp4, y4m = (
        Cost(*map(statistics.median, zip(*column, strict=True)))
        for column in zip(*rounds, strict=True)
    )
    settings = " ".join(H264.values())
    measure.bar_row(f"libx264 {settings}", peer.recorder, mp4.recorder, "s")
    measure.bar_row("    frames recorded", peer.frames, mp4.frames, "f/s")
    per_frame = 1e3 * peer.recorder / peer.frames, 1e3 * mp4.recorder / mp4.frames
    measure.bar_row("    processor time per frame", *per_frame, "ms")
    busy = peer.compositor - idle.compositor, mp4.compositor - idle.compositor
    measure.bar_row("    the compositor's, over its own", *busy, "s")
    measure.lone_row("y4m into a pipe", y4m.recorder, "s")
    measure.lone_row("    the compositor's, over its own", y4m.compositor - idle.compositor, "s")


def _idle(sway: Sway) -> Cost:
    """Return what the compositor needs for the film alone."""
    before = processor_time(sway.pid)
    time.sleep(2)
    return Cost(0.0, (processor_time(sway.pid) - before) / 2)


def _wf_recorder(sway: Sway, path: str) -> Cost:
    Path(path).unlink(missing_ok=True)  # it asks before it replaces anything
    # Its -x is not heeded: without a filter libx264 is given 4:4:4, twice as much to encode.
    options = ["-F", f"format={PLANES}", *(f"-p{name}={value}" for name, value in H264.items())]
    command = ["wf-recorder", "-o", OUTPUT, "-c", "libx264", *options, "-f", path]
    with _started(sway, command) as process:
        return _cost(sway, process, path, interrupt_after=SECONDS)


def _wayshot(sway: Sway, path: str) -> Cost:
    options = [f"--{name}={value}" for name, value in H264.items()]
    options += ["--pixel-format", PLANES, "--color-range", "full"]  # as wf-recorder's
    with _started(sway, _record(*options, f"--duration={SECONDS}", path)) as process:
        return _cost(sway, process, path)


def _wayshot_y4m(sway: Sway) -> Cost:
    recorder = _started(sway, _record(f"--duration={SECONDS}", "-"), stdout=subprocess.PIPE)
    with recorder, subprocess.Popen(["cat"], stdin=recorder.stdout, stdout=subprocess.DEVNULL):
        return _cost(sway, recorder)


def _record(*arguments: str) -> list[str]:
    return [program("wayshot"), "record", "-o", OUTPUT, *arguments]


def _started(
    sway: Sway, command: Sequence[str], stdout: int = subprocess.DEVNULL
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command, env=sway.env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE
    )


def _cost(
    sway: Sway,
    process: "subprocess.Popen[bytes]",
    path: str | None = None,
    interrupt_after: float | None = None,
) -> Cost:
    """Let a recorder come to its end, and return what it and the compositor needed."""
    before, began = processor_time(sway.pid), time.monotonic()
    if interrupt_after is not None:
        time.sleep(interrupt_after)
        process.send_signal(signal.SIGINT)
    _, status, usage = os.wait4(process.pid, 0)
    compositor = (processor_time(sway.pid) - before) / (time.monotonic() - began)
    process.returncode = os.waitstatus_to_exitcode(status)
    _check(process)
    duration, frames = _contents(path) if path else (SECONDS, 0)
    return Cost((usage.ru_utime + usage.ru_stime) / duration, compositor, frames / duration)


def _check(process: "subprocess.Popen[bytes]") -> str:
    """Return what a process has said. Raises CalledProcessError, with that, if it failed."""
    assert process.stderr  # noqa: S101 - _started
    said = process.stderr.read().decode()
    if process.wait():
        error = subprocess.CalledProcessError(process.returncode, process.args)
        error.add_note(said)
        raise error
    return said


def _contents(path: str) -> tuple[float, int]:
    """Return a file's duration in seconds, and how many pictures it has.

    Raises ValueError when they are not what was asked for, or times could not be compared.
    """
    entries = "format=duration:stream=nb_read_packets,pix_fmt"
    command = ["ffprobe", "-v", "error", "-count_packets", "-show_entries", entries]
    command += ["-of", "default=nokey=1:noprint_wrappers=1", path]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
    pixels, packets, duration = done.stdout.split()
    if pixels != FULL_RANGE_PLANES:
        message = f"{path} holds {pixels}"
        raise ValueError(message)
    return float(duration), int(packets)


# Frames lost.


class Watched(NamedTuple):
    """A recording of the film: intervals are those between frames captured, in milliseconds.

    ``missing`` numbers of the film are not in it, though there are some before and after. Of
    these ``skipped`` were captured, but there was no slot of the constant rate left for them.
    """

    rate: float
    p50: float
    p99: float
    missing: int = 0
    skipped: int = 0
    dropped: int = 0


def _frames_lost(sway: Sway) -> None:
    measure.bars_title(
        f"A film of {WIDTH}x{HEIGHT} as y4m to a fast reader; peer: the screen alone"
    )
    rounds = [(_watch(sway), _watch_all(sway)) for _ in range(ROUNDS)]
    screen, ours = (
        Watched(*map(statistics.median, zip(*column, strict=True)))
        for column in zip(*rounds, strict=True)
    )
    watched = [ours for _, ours in rounds]
    lost = sum(max(0, one.missing - one.skipped) + one.dropped for one in watched)
    measure.bar_row("frames a second", screen.rate, ours.rate, "f/s")
    measure.bar_row("median interval", screen.p50, ours.p50, "ms")
    jitter = screen.p99 - screen.p50, ours.p99 - ours.p50
    measure.bar_row(
        "    p99 beyond it", *jitter, "ms",
        bar=f"{JITTER:g} ms over the screen's", reached=jitter[1] - jitter[0] < JITTER,
    )  # fmt: skip
    total = round(sum(one.rate for one in watched) * WATCHED)
    measure.lone_row(f"frames lost, of {total}", lost, "", bar="none", reached=lost == 0)
    skipped = sum(one.skipped for one in watched)
    measure.lone_row("    and too many for a rate of 60/s", skipped, "")


def _watch(sway: Sway) -> Watched:
    """Record next to nothing, which leaves the screen as it is by itself."""
    command = [program("wayshot"), "record", "-g", CHANGING, f"--duration={WATCHED / 2}", "-"]
    with _started(sway, command) as process:
        return _statistics(_check(process), WATCHED / 2)


def _watch_all(sway: Sway) -> Watched:
    command = _record(f"--duration={WATCHED}", "-")
    with _started(sway, command, subprocess.PIPE) as process:
        numbers = _read_numbers(process)
        found = _statistics(_check(process), WATCHED)
    steps = np.diff(numbers)
    return found._replace(missing=int((steps[steps > 1] - 1).sum()))


def _statistics(said: str, seconds: float) -> Watched:
    match = _SAID.search(said)
    if match is None:
        raise ValueError(said)
    skipped, dropped = int(match["skipped"]), int(match["dropped"])
    rate = int(match["captured"]) / seconds
    return Watched(rate, float(match["p50"]), float(match["p99"]), 0, skipped, dropped)


def _read_numbers(process: "subprocess.Popen[bytes]") -> list[int]:
    """Read y4m to its end, and return the numbers in its pictures."""
    assert process.stdout  # noqa: S101 - a pipe
    header = parse_header(process.stdout.readline().rstrip(b"\n"))
    line = len(b"FRAME\n")
    memory = bytearray(line + header.frame_bytes)
    luma = np.frombuffer(memory, np.uint8, WIDTH * HEIGHT, line).reshape(HEIGHT, WIDTH)
    numbers = []
    while _fill(memory, process.stdout.readinto):  # type: ignore[attr-defined]
        numbers.append(read_counter(luma))
    return numbers


def _fill(memory: bytearray, read_into: Callable[[memoryview], int]) -> bool:
    """Fill all of the memory; False at the end."""
    rest = memoryview(memory)
    while rest and (count := read_into(rest)):
        rest = rest[count:]
    return not rest


# Memory.


class Memory(NamedTuple):
    """A recorder's own memory in megabytes, and the buffers that the compositor copies into."""

    own: float
    buffers: int


def _memory() -> None:
    measure.bars_title(f"Memory after {FEW} frames (peer) and after many, as fast as they come")
    raw = ("-t", "raw", "--timestamps", "/dev/null", "--pixel-format", "yuv420p", "-")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:  # no disk in between
        _compare_memory(f"raw 192x108, {MANY} frames", 192, 108, MANY, raw)
        _compare_memory(f"mp4 192x108, {MANY} frames", 192, 108, MANY, (f"{folder}/clip.mp4",))
    _compare_memory(f"raw {WIDTH}x{HEIGHT}, {MANY_LARGE} frames", WIDTH, HEIGHT, MANY_LARGE, raw)


def _compare_memory(name: str, width: int, height: int, many: int, words: Sequence[str]) -> None:
    # Its virtual clock answers every request at once.
    film = Film(Fraction(60))
    clock = VirtualClock(time.clock_gettime_ns(time.CLOCK_MONOTONIC))
    config = Config(outputs=(Output(width=width, height=height, film=film),), clock=clock)
    with FakeCompositor(config) as compositor:
        env = {**os.environ, "WAYLAND_DISPLAY": str(compositor.socket_path)}
        command = [program("wayshot"), "record", *words]
        with subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            try:
                # Nobody reads as yet, so that buffers are made as for a slow reader.
                before = _resident(compositor, process.pid, FEW)
                cat = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
                after = _resident(compositor, process.pid, many)
            finally:
                process.send_signal(signal.SIGINT)
        cat.wait()
    measure.bar_row(
        name, before.own, after.own, "MB",
        bar=f"{GROWTH:g} MB more", reached=after.own - before.own <= GROWTH,
    )  # fmt: skip
    measure.bar_row(
        "    buffers", before.buffers, after.buffers, "",
        bar=f"at most {MOST_BUFFERS}", reached=after.buffers <= MOST_BUFFERS,
    )  # fmt: skip


def _resident(compositor: FakeCompositor, pid: int, frames: int) -> Memory:
    """Return a recorder's memory once it has asked for so many frames."""
    deadline = time.monotonic() + PATIENCE
    while compositor.count("zwlr_screencopy_frame_v1", "copy_with_damage") < frames:
        if time.monotonic() > deadline:
            message = f"{frames} frames were not captured within {PATIENCE} s"
            raise TimeoutError(message)
        time.sleep(0.01)
    status = Path(f"/proc/{pid}/status").read_text()
    own = re.findall(r"Rss(?:Anon|File):\s+(\d+) kB", status)
    maps = Path(f"/proc/{pid}/maps").read_text()
    return Memory(sum(map(int, own)) * 1024 / 1e6, maps.count("/memfd:wayshot"))
