"""The system's ffmpeg as encoder: it reads y4m from a pipe, and writes the file by itself."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import termios
import threading
from collections import deque
from time import monotonic, sleep
from typing import IO, TYPE_CHECKING

from wayshot_cli.encode.y4m import Y4m
from wayshot_cli.encode.yuv import tags
from wayshot_cli.errors import UnsupportedError, WriteError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from typing_extensions import Buffer

    from wayshot_cli.encode.stream import VideoOptions
    from wayshot_cli.frame import Frame

_LAST_LINES = 5  # of what ffmpeg says, kept for the case that it fails
_HINT = "install ffmpeg, or leave --encoder away"
_LONGEST_LINE = 500
_PART = 1 << 18  # bytes: what shows that it reads
_PATIENCE = 1.0  # seconds for the last words of a process that has ended
_START_UP = 10.0  # seconds that it may take before it reads, and for opening its codec
_PIPE = 1 << 16  # bytes that a pipe takes though nobody reads
_LOOK_AGAIN = 0.01  # seconds


class FfmpegProcess:
    """Writes pictures of one size at a constant rate through ffmpeg (it is a ``Stream``)."""

    longest_rest_ns: int | None = None

    def __init__(
        self,
        path: str,
        frame: "Frame",
        rate: "Fraction",
        arguments: "Sequence[str]",
        options: "VideoOptions",
    ) -> None:
        """Start ffmpeg, which will replace the file at ``path``.

        ``arguments`` are its output options. Of ``options`` pixel format, colour space and range
        are those of what it reads. Raises InvalidArgumentError for a pixel format that y4m does
        not have, UnsupportedError where ffmpeg cannot be started.
        """
        self._y4m = Y4m(
            self._write,
            frame,
            rate,
            pixel_format=options.pixel_format,
            colorspace=options.colorspace,
            full_range=options.full_range,
        )
        self.size = self._y4m.size
        said = tags(options.colorspace, self.size).items()
        self._process = _start(
            [
                # Without -xerror some versions take a trailer that did not fit for a success.
                *("ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-xerror"),
                # What y4m does not say of itself. Files are tagged with what is read.
                *(word for option, value in said for word in (f"-{option}", value)),
                *("-f", "yuv4mpegpipe", "-i", "pipe:0"),
                *arguments,
                # Without "file:" a colon in the name would be one after a protocol.
                *("-y", f"file:{path}"),
            ]
        )
        self.start_up = 0.0  # seconds, of ``_START_UP`` at most, that it has let us wait
        self._blocked_since: float | None = None
        self._written = 0  # bytes
        self._pictures = 0
        self._said: deque[bytes] = deque(maxlen=_LAST_LINES)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def write(self, frame: "Frame", time_ns: int) -> None:
        """Write a picture. Raises WriteError, with ffmpeg's last words, when it has ended."""
        self._y4m.write(frame, time_ns)

    def repeat(self, time_ns: int) -> None:
        """Write the last picture again. Raises as ``write`` does."""
        self._y4m.repeat(time_ns)

    def close(self, end_ns: int) -> None:
        """Let ffmpeg complete the file, and wait for that. Raises WriteError when it fails."""
        self._y4m.close(end_ns)
        if self._is_starting:
            self._wait_until_read()
        self._stdin.close()
        if self._process.wait():
            raise self._failure()
        self._listener.join(_PATIENCE)

    def abandon(self) -> None:
        """End ffmpeg at once."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        self._stdin.close()
        self._listener.join(_PATIENCE)

    def leave(self) -> None:
        """Have ffmpeg complete what it has read, without waiting for that; any thread may.

        SIGTERM is to it what ``q`` on a terminal is. One that is stopped has to go on for that.
        """
        for number in (signal.SIGTERM, signal.SIGCONT):
            self._process.send_signal(number)

    @property
    def blocked_for(self) -> float:
        """Seconds for which ffmpeg has read nothing, less what it may take to start."""
        since = self._blocked_since
        if since is None:
            return 0.0
        return max(0.0, monotonic() - since - (_START_UP if self._is_starting else 0.0))

    @property
    def _is_starting(self) -> bool:
        """Whether it may have read nothing yet, or be opening its codec for the first picture."""
        return self._pictures <= 1 or self._written <= _PIPE

    @property
    def _stdin(self) -> "IO[bytes]":
        assert self._process.stdin  # noqa: S101 - a pipe
        return self._process.stdin

    def _write(self, buffers: "Sequence[Buffer]") -> None:
        try:
            for buffer in buffers:
                rest = memoryview(buffer)
                while rest:
                    self._blocked_since = began = monotonic()
                    count = os.write(self._stdin.fileno(), rest[:_PART])
                    if self._is_starting:
                        waited = self.start_up + monotonic() - began
                        self.start_up = min(waited, _START_UP)
                    self._written += count
                    rest = rest[count:]
            self._pictures += 1
        except BrokenPipeError:
            # It may take a moment to end; if it does not, but reads no more, it has failed as well.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE)
            raise self._failure() from None  # and not that our reader had enough
        finally:
            self._blocked_since = None

    def _wait_until_read(self) -> None:
        """Wait for ffmpeg to read what the pipe took at once: it may be stuck all the same."""
        before = b""
        while self._process.poll() is None:
            unread = fcntl.ioctl(self._stdin, termios.FIONREAD, bytes(4))
            if not any(unread):
                break
            if unread != before:
                self._blocked_since, before = monotonic(), unread
            sleep(_LOOK_AGAIN)
        self._blocked_since = None

    def _listen(self) -> None:
        """Keep the last lines that ffmpeg says; somebody must read them all."""
        assert self._process.stderr  # noqa: S101 - a pipe
        with self._process.stderr as said:
            while line := said.readline(_LONGEST_LINE):
                self._said.append(line)

    def _failure(self) -> WriteError:
        self._listener.join(_PATIENCE)
        status = self._process.poll()
        said = b" ".join(self._said).decode(errors="replace").split()
        how = f"was ended by signal {-status}" if status and status < 0 else "failed"
        return WriteError(f"ffmpeg {how}: {' '.join(said)}" if said else f"ffmpeg {how}")


def check() -> None:
    """Raise UnsupportedError when there is no ffmpeg, before anything is captured for it."""
    if shutil.which("ffmpeg") is None:
        message = "cannot find ffmpeg"
        raise UnsupportedError(message, hint=_HINT)


def _start(command: "Sequence[str]") -> "subprocess.Popen[bytes]":
    """Start a program that reads from us, away from the terminal's Ctrl-C, which is ours to answer.

    Raises UnsupportedError where it cannot be started.
    """
    try:
        return subprocess.Popen(  # noqa: S603 - no shell; what ffmpeg is told is the user's to say
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            process_group=0,
        )
    except OSError as error:
        message = f"cannot start {command[0]}: {error.strerror}"
        raise UnsupportedError(message, hint=_HINT) from error
