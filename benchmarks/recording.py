"""Recordings: streams and files in process against ffmpeg, the command against wf-recorder."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

from benchmarks import measure, pictures, recorders
from benchmarks.measure import Run
from wayshot_cli.encode.stream import Stream, VideoOptions
from wayshot_cli.encode.video import Video
from wayshot_cli.encode.y4m import Y4m
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Size
from wayshot_cli.pixels import XRGB8888
from wayshot_cli.sinks import RecordingFile

ROUNDS = 5
FULL_HD = Size(1920, 1080)
RATE = Fraction(60)
PICTURES = 60
FRAMES = 240
QUALITY = VideoOptions(preset="ultrafast", crf=23)  # what ffmpeg takes unless told otherwise
START_UP = 0.4  # seconds that ffmpeg has to load itself; they do not count

RAW_INPUT = f"-f rawvideo -pixel_format bgr0 -video_size {FULL_HD} -framerate {RATE} -i -"


def run() -> None:
    """Print the tables, or what is missing for them."""
    programs = ("sway", "ffmpeg", "wf-recorder")
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        print(f"\nNo recordings: apt install {' '.join(missing)}")
        return
    _in_process()
    recorders.run()


def _in_process() -> None:
    measure.bars_title(f"Frames a second in process, {FULL_HD} scrolling text, against ffmpeg")
    film = [pictures.bgrx(picture) for picture in pictures.scrolling_desktop(*FULL_HD, PICTURES)]
    film += film[::-1]  # there and back: no picture differs much from the one before it
    reel = [film[number % len(film)] for number in range(FRAMES)]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:  # no disk in between
        clip, other = f"{folder}/ours.mp4", f"{folder}/theirs.mp4"
        theirs, ours = measure.in_turns(ROUNDS, lambda: _ffmpeg_y4m(reel), lambda: _y4m(reel))
        _compare("y4m 4:2:0 into a pipe", theirs, ours, times=4, at_least=400)
        theirs, ours = measure.in_turns(
            ROUNDS, lambda: _ffmpeg_mp4(reel, other), lambda: _mp4(reel, clip)
        )
        _compare("mp4, libx264 ultrafast", theirs, ours, times=2)
        megabytes = theirs.size / 1e6, ours.size / 1e6
        measure.bar_row("    its size", *megabytes, "MB")


def _compare(name: str, theirs: Run, ours: Run, *, times: float, at_least: float = 0) -> None:
    peer, rate = FRAMES / theirs.seconds, FRAMES / ours.seconds
    bar = f"{times:g} times" + (f", {at_least:g} f/s" if at_least else "")
    reached = rate >= times * peer and rate >= at_least
    measure.bar_row(name, peer, rate, "f/s", bar=bar, reached=reached)


def _y4m(reel: list[bytes]) -> Run:
    with _discarded() as fd:
        file = RecordingFile(f"/dev/fd/{fd}")

        def start(frame: Frame) -> Stream:
            return Y4m(file.write_all, frame, RATE)

        return measure.timed(lambda: _write(reel, start))


def _mp4(reel: list[bytes], path: str) -> Run:
    file = RecordingFile(path)

    def start(frame: Frame) -> Stream:
        return Video(file, "mp4", frame, RATE, QUALITY)

    ran = measure.timed(lambda: _write(reel, start))
    file.close()
    return ran._replace(size=os.path.getsize(path))


def _write(reel: list[bytes], start: Callable[[Frame], Stream]) -> int:
    stride = FULL_HD.width * XRGB8888.bytes_per_pixel
    frames = (Frame(memoryview(data), XRGB8888, FULL_HD, stride) for data in reel)
    stream: Stream | None = None
    for number, frame in enumerate(frames):
        stream = stream or start(frame)
        stream.write(frame, int(number * 1_000_000_000 / RATE))
    assert stream  # noqa: S101 - the reel is not empty
    stream.close(int(len(reel) * 1_000_000_000 / RATE))
    return len(reel)


def _ffmpeg_y4m(reel: list[bytes]) -> Run:
    with _discarded() as fd:
        return _ffmpeg(reel, "-f yuv4mpegpipe -pix_fmt yuv420p -", stdout=fd)


def _ffmpeg_mp4(reel: list[bytes], path: str) -> Run:
    output = f"-c:v libx264 -preset {QUALITY.preset} -crf {QUALITY.crf} -pix_fmt yuv420p -y {path}"
    return _ffmpeg(reel, output)._replace(size=os.path.getsize(path))


def _ffmpeg(reel: list[bytes], output: str, stdout: int = subprocess.DEVNULL) -> Run:
    """Feed ffmpeg by a pipe as wide as ours; time it from the first frame to its end."""
    reader, writer = os.pipe()
    command = ["ffmpeg", "-v", "error", *RAW_INPUT.split(), *output.split()]
    with subprocess.Popen(command, stdin=reader, stdout=stdout) as process:
        os.close(reader)
        file = RecordingFile(f"/dev/fd/{writer}")
        time.sleep(START_UP)

        def feed() -> int:
            for data in reel:
                file.write_all([data])
            os.close(writer)
            if process.wait():
                raise subprocess.CalledProcessError(process.returncode, command)
            return len(reel)

        return measure.timed(feed)


@contextmanager
def _discarded() -> Iterator[int]:
    """Return a pipe's end; what is written there, another process reads and forgets."""
    reader, writer = os.pipe()
    with subprocess.Popen(["cat"], stdin=reader, stdout=subprocess.DEVNULL):
        os.close(reader)
        try:
            yield writer
        finally:
            os.close(writer)
