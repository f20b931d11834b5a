"""Where a recording goes: FILE, a file for each segment, and the file of time stamps."""

import os
import sys
from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from wayshot_cli import sinks
from wayshot_cli.encode.plain import raw_format
from wayshot_cli.encode.rawvideo import RawVideo
from wayshot_cli.encode.stream import ANIMATIONS
from wayshot_cli.encode.y4m import Y4m
from wayshot_cli.encode.yuv import tags
from wayshot_cli.planes import YUV_FORMATS

if TYPE_CHECKING:
    from wayshot_cli.encode.ffmpeg import FfmpegProcess
    from wayshot_cli.encode.stream import Stream, VideoOptions
    from wayshot_cli.frame import Frame
    from wayshot_cli.geometry import Size


class Wishes(NamedTuple):
    """What the line says of how pictures are written.

    ``rate`` is the one that was asked for; ``timestamps`` a file for the times of raw frames;
    ``encoder_arguments`` are the system's ffmpeg's, None where it is not wanted.
    """

    format: str
    rate: Fraction | None
    timestamps: str | None
    video: "VideoOptions"
    encoder_arguments: list[str] | None
    clobber: bool
    mkdir: bool


class Destination:
    """Makes streams that write to a path, the first; or beside it, numbered from 2."""

    def __init__(self, path: str, wishes: Wishes, others: Iterable[str] = ()) -> None:
        """Look at the path, and where nothing may be clobbered at the others after it.

        Raises WriteError when it cannot be written to, as far as one sees.
        """
        self._wishes = wishes
        is_whole = wishes.format in ANIMATIONS and wishes.encoder_arguments is None
        self._kind = sinks.WholeRecordingFile if is_whole else sinks.RecordingFile
        self._file = self._kind(path, clobber=wishes.clobber, mkdir=wishes.mkdir, others=others)
        self._segments = [self._file]
        self._timestamps = None
        if wishes.timestamps:
            self._timestamps = sinks.RecordingFile(
                wishes.timestamps, clobber=wishes.clobber, mkdir=wishes.mkdir
            )
        self._process: FfmpegProcess | None = None
        self._nbytes_before = 0
        # None is a variable one. To be set before ``open`` where the screen decides.
        self.rate = wishes.rate

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, so that others can be put beside it."""
        return self._file.is_file

    @property
    def is_whole(self) -> bool:
        """Whether it is worth nothing unless it is completed."""
        return self._kind is sinks.WholeRecordingFile or self.is_piped

    @property
    def is_piped(self) -> bool:
        """Whether the system's ffmpeg writes it."""
        return self._process is not None

    @property
    def path(self) -> str:
        """The path that is written to first, ``stdout`` for that."""
        return self.paths[0]

    @property
    def paths(self) -> list[str]:
        """The paths that have been written to, one for each segment, or the one that will be."""
        return [file.name for file in self._segments]

    @property
    def nbytes(self) -> int:
        """Bytes written so far, in all segments."""
        if self._wishes.encoder_arguments is None:
            return self._nbytes_before + self._file.nbytes
        try:  # another program writes
            return self._nbytes_before + os.stat(self._file.name).st_size
        except OSError:
            return self._nbytes_before

    def stuck_for(self) -> float:
        """Return for how many seconds the reader has taken nothing."""
        times = self._timestamps.blocked_for if self._timestamps else 0.0
        process = self._process.blocked_for if self._process else 0.0
        return max(self._file.blocked_for, times, process)

    def start_up(self) -> float:
        """Return for how many seconds an encoder has made us wait before it began."""
        return self._process.start_up if self._process else 0.0

    def leave(self) -> None:
        """Have an encoder that is a process end, as the recording is left behind."""
        if self._process:
            self._process.leave()

    def is_gone(self) -> bool:
        """Whether the reader has left."""
        return self._file.is_gone

    def open(self, frame: "Frame", number: int) -> "Stream":
        """Return the stream of a segment, which begins with a frame like this one."""
        if number > 1:
            self._nbytes_before = self.nbytes
            clobber = self._wishes.clobber
            self._file = self._kind(_numbered(self.path, number), clobber=clobber)
            self._segments.append(self._file)
            if self._timestamps and self._timestamps.is_file:
                name = _numbered(str(self._wishes.timestamps), number)
                self._timestamps = sinks.RecordingFile(name, clobber=clobber)
        files = [self._file, *([self._timestamps] if self._timestamps else [])]
        try:
            return _Closing(self._make(frame), files)
        except BaseException:
            for file in files:
                file.abandon()
            raise

    def _make(self, frame: "Frame") -> "Stream":
        wishes, video = self._wishes, self._wishes.video
        if wishes.encoder_arguments is not None:
            from wayshot_cli.encode.ffmpeg import FfmpegProcess  # noqa: PLC0415 - for this alone

            assert self.rate  # noqa: S101 - y4m is of constant rate
            self._file.reserve()
            self._process = FfmpegProcess(
                self._file.name, frame, self.rate, wishes.encoder_arguments, video
            )
            return self._process
        match wishes.format:
            case "y4m":
                assert self.rate  # noqa: S101 - as above
                return Y4m(
                    self._file.write_all,
                    frame,
                    self.rate,
                    pixel_format=video.pixel_format,
                    colorspace=video.colorspace,
                    full_range=video.full_range,
                )
            case "raw":
                return RawVideo(
                    self._file.write_all,
                    frame,
                    pixel_format=video.pixel_format,
                    colorspace=video.colorspace,
                    full_range=video.full_range,
                    timestamps=self._timestamps.write_all if self._timestamps else None,
                )
        from wayshot_cli.encode.video import Video  # noqa: PLC0415 - PyAV costs 55 ms

        return Video(self._file, wishes.format, frame, self.rate, video)

    def describe(self, frame: "Frame") -> list[str]:
        """Say how the stream is to be read: raw tells nothing of itself, y4m not its matrix."""
        wishes, size = self._wishes, frame.upright_size
        if wishes.format == "raw":
            name = wishes.video.pixel_format or raw_format(frame)
            geometry = f"-pixel_format {name} -video_size {size}"
            if self.rate:
                geometry += f" -framerate {self.rate}"
            if name in YUV_FORMATS:
                geometry = f"{self._colours(size, name)} {geometry}"
            return [f"raw video, to be read as: ffmpeg -f rawvideo {geometry} -i ..."]
        if wishes.format == "y4m" and sys.stderr and sys.stderr.isatty():
            colours = self._colours(size, wishes.video.pixel_format or "")
            return [f"y4m says no colours; to read them right: ffmpeg {colours} -i ..."]
        return []

    def _colours(self, size: "Size", pixel_format: str) -> str:
        video = self._wishes.video
        is_full = "gray" in pixel_format if video.full_range is None else video.full_range
        said = {**tags(video.colorspace, size), "color_range": "pc" if is_full else "tv"}
        return " ".join(f"-{option} {value}" for option, value in said.items())


def _numbered(path: str, number: int) -> str:
    stem, extension = os.path.splitext(path)
    return f"{stem}-{number}{extension}"


class _Closing:
    """A stream together with the files that end with it."""

    def __init__(self, stream: "Stream", files: list[sinks.RecordingFile]) -> None:
        self._stream = stream
        self._files = files
        self.size = stream.size
        self.longest_rest_ns = stream.longest_rest_ns
        self.write = stream.write
        self.repeat = stream.repeat

    def close(self, end_ns: int) -> None:
        """Complete the stream, then its files."""
        self._stream.close(end_ns)
        for file in self._files:
            file.close()

    def abandon(self) -> None:
        """Leave all as it is."""
        self._stream.abandon()
        for file in self._files:
            file.abandon()
