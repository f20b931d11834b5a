"""What ffprobe and ffmpeg make of a file: a second opinion on what wayshot wrote."""

from __future__ import annotations

import json
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    """Shape (height, width, 3): red, green, blue."""

PATIENCE = 60.0
"""Seconds that an answer may take."""

QUIET = ("-hide_banner", "-v", "error")


class ProbeError(Exception):
    """ffprobe or ffmpeg is missing, or cannot read the file."""


@dataclass(frozen=True)
class Stream:
    """The only stream of a file. What is not tagged is None."""

    codec: str
    width: int
    height: int
    pixel_format: str
    rate: Fraction  # r_frame_rate: the lowest by which all times can be told
    time_base: Fraction
    color_range: str | None  # tv or pc
    color_space: str | None  # the matrix: bt709, smpte170m, bt470bg
    color_primaries: str | None
    color_transfer: str | None
    chroma_location: str | None


@dataclass(frozen=True)
class Packet:
    """A packet, times in seconds."""

    pts: Fraction
    duration: Fraction | None
    size: int
    key: bool


def stream(path: Path) -> Stream:
    """Return what the file says of its only stream."""
    (found,) = _probe(path, "-show_streams")["streams"]
    return Stream(
        found["codec_name"],
        found["width"],
        found["height"],
        found["pix_fmt"],
        Fraction(found["r_frame_rate"]),
        Fraction(found["time_base"]),
        *(
            found.get(name)
            for name in (
                "color_range",
                "color_space",
                "color_primaries",
                "color_transfer",
                "chroma_location",
            )
        ),
    )


def duration(path: Path) -> Fraction:
    """Return the duration that the file states, in seconds; ffprobe says it to a microsecond.

    Of a file that was cut off, only the packets tell it.
    """
    text = _probe(path, "-show_format")["format"].get("duration")
    if text is None:
        message = f"{path} states no duration"
        raise ProbeError(message)
    return Fraction(text)


def packets(path: Path) -> list[Packet]:
    """Return all packets in the order of the file."""
    answer = _probe(path, "-show_packets", "-show_streams")
    time_base = Fraction(answer["streams"][0]["time_base"])
    return [
        Packet(
            packet["pts"] * time_base,
            packet["duration"] * time_base if "duration" in packet else None,
            int(packet["size"]),
            "K" in packet["flags"],
        )
        for packet in answer["packets"]
    ]


def frames(path: Path, matrix: str | None = None) -> Iterator[Picture]:
    """Decode all frames, none doubled or dropped, to colours, one after the other.

    ``matrix`` (bt601 or bt709) is for files that are not tagged, as y4m never is; others are
    decoded by their tags.
    """
    found = stream(path)
    size = found.width * found.height * 3
    scale = "scale=flags=accurate_rnd+full_chroma_int+bicubic"
    if matrix is not None:
        scale += f":in_color_matrix={matrix}"
    command = ["ffmpeg", *QUIET, "-nostdin", "-i", str(path), "-vf", scale]
    output = ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    with (
        tempfile.TemporaryFile() as log,
        _explaining("ffmpeg"),
        subprocess.Popen([*command, *output], stdout=subprocess.PIPE, stderr=log) as process,
    ):
        assert process.stdout is not None
        while len(data := process.stdout.read(size)) == size:
            yield np.frombuffer(data, np.uint8).reshape(found.height, found.width, 3)
        log.seek(0)
        _check(process.wait(PATIENCE), log.read())
        assert not data


def ends_otherwise(path: Path, frame: int) -> bool:
    """Whether raw video, of so many bytes a frame, ends with another picture than its first."""
    data = path.read_bytes()
    end = len(data) // frame * frame
    return end > 0 and data[end - frame : end] != data[:frame]


def _probe(path: Path, *show: str) -> Any:
    command = ["ffprobe", *QUIET, "-of", "json", *show, str(path)]
    with _explaining("ffprobe"):
        result = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    _check(result.returncode, result.stderr)
    return json.loads(result.stdout)


@contextmanager
def _explaining(program: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        message = f"{program} is not installed: scripts/need test gets it (package ffmpeg)"
        raise ProbeError(message) from None


def _check(status: int, words: bytes) -> None:
    if status:
        raise ProbeError(words.decode(errors="replace").strip())
