"""Files that PyAV writes, which is FFmpeg's libraries: mp4, mkv, webm, gif, apng and webp.

Video survives a kill: its file is playable at any time, up to the last fragment or cluster of 0.3
seconds that was complete. What is complete, a muxer sees when the next picture comes; so where the
rate varies and the screen rests, ``repeat`` several times a second keeps all on disk.
PyAV is an extra, and imported when something here is called.
"""

import contextlib
import os
import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from wayshot_cli.encode.avcodecs import FORMATS, Encoding, Timing, import_pyav
from wayshot_cli.errors import InvalidArgumentError, WriteError
from wayshot_cli.geometry import Size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

    from typing_extensions import Buffer

    from wayshot_cli.encode.stream import VideoOptions
    from wayshot_cli.frame import Frame

_FRAGMENT_MS = 300
_REST_MS = 100  # what is repeated pushes out what a codec holds, and ends what a muxer has begun
_BUFFER = 1 << 18  # bytes that libavformat gathers before it writes
_HYBRID_SINCE = (61, 7)  # libavformat of FFmpeg 7.1


def check(format: str, options: "VideoOptions") -> None:  # noqa: A002 - as in Frame.save and PIL
    """Find out, before anything is captured, whether such a recording can be written.

    Raises UnsupportedError without PyAV, and when the codec needs hardware that is not there;
    InvalidArgumentError for a format, codec, option or pixel format that is unknown or does not
    fit the rest. What depends on the pictures' size shows when they come.
    """
    if format not in FORMATS:
        message = f"unknown video format {format!r}"
        raise InvalidArgumentError(message, hint=f"known are {' '.join(FORMATS)}")
    encoding = Encoding(import_pyav(format), format, options)
    usual = Timing.of(format, Fraction(60))
    encoding.open(encoding.codec.create("video"), usual, Size(1920, 1080))


class Video:
    """Writes pictures of one size into a file (it is a ``Stream``).

    ``coded_size`` is what the file says. It is ``size``, but even where the codec takes no other
    (H.264 and H.265 with halved chroma): then the last column or row is there twice.
    """

    def __init__(
        self,
        file: Any,
        format: str,  # noqa: A002 - as in check
        frame: "Frame",
        rate: Fraction | None,
        options: "VideoOptions",
    ) -> None:
        """Open the codec for frames like this one; nothing is written before the first picture.

        ``file`` has ``write`` and ``seekable``, and if that says so ``seek`` and ``tell``. It
        must not buffer: what it was given has to outlive us. apng is complete only if it can seek.
        With a ``rate`` video is of constant rate: a picture is shown from the nearest multiple
        of 1/rate on. Without, from its own time on, as in animations always.
        Raises what ``check`` does.
        """
        self._av = import_pyav(format)
        self._encoding = encoding = Encoding(self._av, format, options)
        self._kind = kind = FORMATS[format]
        self._timing = timing = Timing.of(format, rate)
        # An animation is whole or not at all, and of constant rate something always comes.
        rests = kind.longest or timing.rate
        self.longest_rest_ns = None if rests else _REST_MS * 1_000_000
        self.size = frame.upright_size
        self.coded_size = encoding.coded_size(self.size)
        self._file = _File(file)
        self._muxer: Any = None  # webp has none: its codec makes the whole file
        self._whole = bytearray()
        if format == "webp":
            self._encoder: Any = self._another_codec()
        else:
            self._muxer = self._av.open(
                self._file,
                "w",
                format=kind.muxer,
                container_options=_muxer_options(self._av, format, is_seekable=file.seekable()),
                buffer_size=_BUFFER,
            )
            name = encoding.codec.name
            # The rate tells Matroska what to say, and all muxers how long the last picture lasts.
            self._encoder = self._muxer.add_stream(name, rate=timing.nominal_rate)
            encoding.open(self._encoder.codec_context, timing, self.size)
        if format == "gif":
            from wayshot_cli.encode.gif import GifEncoder  # noqa: PLC0415 - numpy costs 60 ms

            self._encoder = GifEncoder(self._av, self._encoder, self._another_codec)
        self._picture: Any = encoding.picture(self.size)
        self._last = -kind.shortest  # the tick of the last picture encoded
        self._waiting: Frame | None = None  # came too early to be shown, and may be replaced

    def write(self, frame: "Frame", time_ns: int) -> None:
        """Show a picture from a time on, or from the next tick if that one is taken.

        Of several that want the next tick the newest is shown. Raises InvalidArgumentError for
        a frame of another size, WriteError when the codec or the muxer fails, and what the file
        raises.
        """
        if frame.upright_size != self.size:
            message = f"a picture of {frame.upright_size} in a video of {self.size}"
            raise InvalidArgumentError(message)
        tick = self._timing.ticks(time_ns)
        self._show_waiting(tick)
        self._waiting = frame
        if tick >= self._next:
            self._show(tick)

    def repeat(self, time_ns: int) -> None:
        """Show the last picture once more; in an animation it lasts anyway. Raises as ``write``."""
        tick = self._timing.ticks(time_ns)
        self._show_waiting(tick)
        if tick >= self._next and (self._waiting or not self._kind.longest):
            self._show(tick)

    def close(self, end_ns: int) -> None:
        """Complete the file; the last picture is shown until then. Raises as ``write`` does.

        The file then lasts that long, unless the last picture came less than a frame before.
        """
        end, frame = self._timing.ticks(end_ns), self._timing.frame
        self._show_waiting(end)
        if self._waiting:
            self._show(self._next)
        if self._kind.muxer == "apng":
            # Its last picture lasts as long as the one before it: so it comes in halves.
            self._fill_until(end)
            self._show(self._last + max((end - self._last) // 2, self._kind.shortest))
        elif self._muxer and end - frame >= self._next:
            self._show(end - frame)
        with self._errors():
            self._put(self._encoder.encode(None))
            if self._muxer:
                self._muxer.close()
            else:
                self._file.write(_webp_until(self._whole, end))
        self._file.check()
        self._free()

    def abandon(self) -> None:
        """Free everything; nothing more is written, and nothing raised."""
        self._file.is_deaf = True
        with contextlib.suppress(Exception):
            self._muxer.close()
        self._free()

    def _another_codec(self) -> Any:
        codec = self._encoding.codec.create("video")
        self._encoding.open(codec, self._timing, self.size)
        return codec

    @property
    def _next(self) -> int:
        """The first tick at which another picture can be shown."""
        return self._last + self._kind.shortest

    def _show_waiting(self, before: int) -> None:
        """Show the picture that has waited, if another tick is left before that one."""
        if self._waiting and self._next + self._kind.shortest <= before:
            self._show(self._next)

    def _show(self, tick: int) -> None:
        """Encode the newest picture, to be shown from a tick on."""
        self._fill_until(tick)
        if self._waiting:
            frame, self._waiting = self._waiting, None
            self._picture.take(frame)
        self._encode(tick)

    def _fill_until(self, tick: int) -> None:
        """Show the last picture again where one cannot last until then."""
        longest = self._kind.longest
        while longest and self._last >= 0 and tick - self._last > longest:
            self._encode(self._last + longest)

    def _encode(self, tick: int) -> None:
        frame = self._picture.frame
        frame.pts, frame.time_base = tick, self._timing.tick
        self._last = tick
        with self._errors():
            self._put(self._encoder.encode(frame))
        self._file.check()

    def _put(self, packets: "Iterable[Any]") -> None:
        for packet in packets:
            if self._muxer:
                self._muxer.mux(packet)
            else:
                self._whole += bytes(packet)

    @contextlib.contextmanager
    def _errors(self) -> "Iterator[None]":
        """Raise what FFmpeg's libraries say as WriteError."""
        try:
            yield
        except self._av.FFmpegError as error:
            message = f"{self._encoding.codec.name} failed: {error.strerror}"
            raise WriteError(message) from error

    def _free(self) -> None:
        self._muxer = self._encoder = self._picture = self._waiting = None


class _File:
    """A file as libavformat uses it: unlike libavformat, it remembers what went wrong.

    After an error, or when ``is_deaf``, all seems to succeed and nothing is written.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._error: BaseException | None = None
        self._position = 0
        self.is_deaf = False

    def check(self) -> None:
        """Raise what the file raised."""
        if self._error:
            raise self._error

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def write(self, data: "Buffer") -> int:
        rest = memoryview(data)
        self._position += len(rest)
        with self._listening() as is_listening:
            while is_listening and rest:
                rest = rest[self._file.write(rest) :]
        return memoryview(data).nbytes

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with self._listening() as is_listening:
            if is_listening:
                self._position = self._file.seek(offset, whence)
        return self._position

    def tell(self) -> int:
        return self._position

    @contextlib.contextmanager
    def _listening(self) -> "Iterator[bool]":
        try:
            yield not (self.is_deaf or self._error)
        except BaseException as error:  # noqa: BLE001 - check raises it
            self._error = error


def _muxer_options(av: "ModuleType", format_: str, *, is_seekable: bool) -> dict[str, str]:
    """Return what makes a file that plays although nobody completes it.

    A hybrid mp4 is fragmented until it is completed, and then as every player likes it.
    """
    flushed = {"flush_packets": "1"}
    match format_:
        case "mp4":
            is_hybrid = is_seekable and av.library_versions["libavformat"] >= _HYBRID_SINCE
            flags = "hybrid_fragmented" if is_hybrid else "empty_moov+default_base_moof"
            return {**flushed, "movflags": flags, "frag_duration": str(1000 * _FRAGMENT_MS)}
        case "mkv" | "webm":
            return {**flushed, "cluster_time_limit": str(_FRAGMENT_MS)}
        case "apng":
            return {"plays": "0"}  # for ever, as gif and webp do by themselves
    return {}


def _webp_until(whole: bytearray, end_ms: int) -> bytes:
    """Return a WebP file (RFC 9649) whose last picture lasts until a time, which the codec guesses.

    A file of one picture is no animation, and lasts no time.
    """
    place, last, begin, end = 12, 0, 0, 0  # past "RIFF", the size and "WEBP"
    while place < len(whole):
        name, size = struct.unpack_from("<4sI", whole, place)
        if name == b"ANMF":
            last = place + 8 + 12  # past x, y, width and height, 24 bits each
            begin, end = end, end + int.from_bytes(whole[last : last + 3], "little")
        place += 8 + size + size % 2
    if last:
        whole[last : last + 3] = max(end_ms - begin, 1).to_bytes(3, "little")
    return bytes(whole)
