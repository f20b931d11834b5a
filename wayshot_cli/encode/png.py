"""PNG: rows packed and filtered by the kernels in strips, deflated by zlib-ng in bands.

A band is about 1 MiB of filtered rows. Bands are deflated apart, on all cores, and become one
zlib stream: each is primed with the 32 KiB before it and ends on a byte (Z_SYNC_FLUSH),
and the Adler-32 of the whole is combined from theirs. Bands depend on the picture's
size alone, so that the file does not depend on the machine.

Memory may change while it is encoded: a GPU without fences may still draw into it. So each pixel is
read once, and what a band needs of the one above, its end as it was filtered and its last row as it
was read, comes from there. Read again, it might be something else, and not fit what was deflated.
"""

import os
import struct
from _queue import SimpleQueue  # queue would bring threading along
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from zlib_ng.zlib_ng import (
    DEFLATED,
    MAX_WBITS,
    Z_DEFAULT_STRATEGY,
    Z_FINISH,
    Z_RLE,
    Z_SYNC_FLUSH,
    adler32,
    compressobj,
    crc32,
)

from wayshot_cli import kernels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Thread

    from zlib_ng.zlib_ng import _Compress

    from wayshot_cli.frame import Frame

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {3: 2, 4: 6}  # PNG, 11.2.1: truecolour; truecolour with alpha
_WINDOW = 32768
_BAND_BYTES = 1 << 20
# A band with a lesser share of zeros is a photo or the like (text has 95 %): zlib's search for
# repeats there takes four times as long as looking for runs, for files up to 20 % larger.
_ZEROS_IN_TEXT = 0.6
_MEM_LEVEL = 9
_MOST_THREADS = 8  # each holds a band and a deflater, 3 MB; beyond, the disk is the limit


class _Band(NamedTuple):
    """Deflated rows; the Adler-32 and length of what they were."""

    data: bytes
    adler: int
    length: int


class _Seam(NamedTuple):
    """What a band leaves to the one below: the window for deflate, and the row above its first."""

    window: bytes
    row: bytes | None


class _Deflater:
    """Deflates the bands of one picture, each once, from any thread.

    A band waits for the one above to be filtered, so they are to be taken up in order.
    """

    def __init__(self, frame: "Frame", target: kernels.Target, level: int) -> None:
        self._frame = frame
        self._target = target
        self._level = level
        self._rows = max(_BAND_BYTES // (1 + frame.width * target.bytes_per_pixel), 1)
        self._filters: list[kernels.PngFilter] = []  # those that no thread uses just now
        # Above each band, and below the last. What a band has failed with is passed down.
        self._seams: list[SimpleQueue[_Seam | BaseException]] = [
            SimpleQueue() for _ in range(self.count + 1)
        ]
        self._seams[0].put(_Seam(b"", None))

    @property
    def count(self) -> int:
        """How many bands there are."""
        return -(-self._frame.height // self._rows)

    def __call__(self, index: int) -> _Band:
        try:
            filters = self._take_filters()
            window, rows, zeros = self._filter(filters, index)
        except BaseException as error:
            self._seams[index + 1].put(error)
            raise
        noisy = zeros < _ZEROS_IN_TEXT * len(rows)
        deflate = _compressor(self._level, window, Z_RLE if noisy else Z_DEFAULT_STRATEGY)
        last = index + 1 == self.count
        data = deflate.compress(rows) + deflate.flush(Z_FINISH if last else Z_SYNC_FLUSH)
        band = _Band(data, adler32(rows), len(rows))
        self._filters.append(filters)
        return band

    def abandon(self) -> None:
        """Let nobody wait any more for a band that nobody will make."""
        error = RuntimeError("the band above was abandoned")
        for seam in self._seams:
            seam.put(error)

    def _filter(self, filters: kernels.PngFilter, index: int) -> tuple[bytes, memoryview, int]:
        """Return the window before a band, its filtered rows, and how many bytes of them are 0."""
        top = index * self._rows
        filters.filter(top, min(self._rows, self._frame.height - top))
        above = self._seams[index].get()
        if isinstance(above, BaseException):
            raise above
        rows, zeros = filters.finish(above.row)
        end = bytes(rows[-_WINDOW:])
        if len(end) < _WINDOW:
            end = (above.window + end)[-_WINDOW:]
        self._seams[index + 1].put(_Seam(end, filters.last_row()))
        return above.window, rows, zeros

    def _take_filters(self) -> kernels.PngFilter:
        try:  # asking first whether there is one would leave time for another thread to take it
            return self._filters.pop()
        except IndexError:
            pass
        return kernels.PngFilter(self._frame, self._target, min(self._rows, self._frame.height))


def _compressor(level: int, window: bytes, strategy: int) -> "_Compress":
    """Return a compressor of raw deflate data that has seen the window go by."""
    if window:
        return compressobj(level, DEFLATED, -MAX_WBITS, _MEM_LEVEL, strategy, zdict=window)
    return compressobj(level, DEFLATED, -MAX_WBITS, _MEM_LEVEL, strategy)


def adler32_combine(first: int, second: int, second_length: int) -> int:
    """Return the Adler-32 of two pieces of data in a row, from that of each.

    ``second_length`` is the length of the second piece in bytes. An Adler-32 (RFC 1950, 9) is
    two sums modulo 65521: ``a`` = 1 + all bytes, and ``b`` = all the values of ``a``. Behind the
    first piece, every ``a`` of the second is greater by the first's ``a`` - 1.
    """
    base = 65521
    a1, b1 = first & 0xFFFF, first >> 16
    a2, b2 = second & 0xFFFF, second >> 16
    a = (a1 + a2 - 1) % base
    b = (b1 + b2 + (a1 - 1) * second_length) % base
    return b << 16 | a


def encode(frame: "Frame", level: int = 2, *, metadata: bool = False) -> "Iterator[bytes]":
    """Yield the pieces of a PNG of the frame: RGB or RGBA, with 8 or 16 bits a channel.

    ``level`` is zlib's, 0 to 9; on photos all but 0 do the same. A frame with alpha whose
    pixels are all opaque is written as RGB. ``metadata`` adds the time, the software
    and the resolution.
    """
    target = kernels.Target.of(frame)
    if kernels.is_opaque(frame):
        target = target._replace(channels=3)
    size = struct.pack(">II", frame.width, frame.height)
    kind = bytes((target.depth, _COLOUR_TYPES[target.channels], 0, 0, 0))
    yield SIGNATURE + _chunk(b"IHDR", size + kind) + (_metadata(frame) if metadata else b"")
    bands = _Deflater(frame, target, level)
    adler = 1
    prefix = _zlib_header(level)
    for index, band in enumerate(_in_order(bands), start=1):
        adler = adler32_combine(adler, band.adler, band.length)
        suffix = adler.to_bytes(4, "big") if index == bands.count else b""
        yield _chunk(b"IDAT", prefix, band.data, suffix)
        prefix = b""
    yield _chunk(b"IEND")


def _chunk(name: bytes, *pieces: bytes) -> bytes:
    """Return a chunk: length, name, data, CRC-32 of name and data (PNG, 5.3)."""
    crc = 0
    for piece in (name, *pieces):
        crc = crc32(piece, crc)
    length = sum(map(len, pieces)).to_bytes(4, "big")
    return b"".join((length, name, *pieces, crc.to_bytes(4, "big")))


def _zlib_header(level: int) -> bytes:
    """Return the two bytes before a deflate stream: a window of 32 KiB, the level (RFC 1950)."""
    effort = 0 if level < 2 else 1 if level < 6 else 2 if level == 6 else 3  # noqa: PLR2004
    header = 0x7800 | effort << 6
    return (header + 31 - header % 31).to_bytes(2, "big")


def _metadata(frame: "Frame") -> bytes:
    """Return the time, the software, and the resolution that makes a logical unit 1/96 inch."""
    import time  # noqa: PLC0415 - built in, but wanted by few

    now = time.gmtime()
    written = struct.pack(">HBBBBB", now.tm_year, *now[1:5], min(now.tm_sec, 60))
    per_metre = round(96 * frame.scale / 0.0254)
    density = struct.pack(">IIB", per_metre, per_metre, 1)
    return b"".join(
        (
            _chunk(b"pHYs", density),
            _chunk(b"tIME", written),
            _chunk(b"tEXt", b"Software\0wayshot"),
        )
    )


def _in_order(work: _Deflater) -> "Iterator[_Band]":
    """Yield the bands, made by this thread and one on each other core.

    What ``work`` raises in a thread is raised here. However the iterator ends, its
    threads take up nothing new and have ended before it does.
    """
    count = work.count
    others = min(len(os.sched_getaffinity(0)), _MOST_THREADS, count) - 1
    if others == 0:
        yield from map(work, range(count))
        return
    crew = _Crew(work)
    ready: dict[int, _Band] = {}
    try:
        crew.start(others)
        for wanted in range(count):
            while wanted not in ready:
                index, band = crew.next()
                ready[index] = band
            yield ready.pop(wanted)
    finally:
        crew.stop()


class _Crew:
    """Threads that each take the first band that nobody has taken yet."""

    def __init__(self, work: _Deflater) -> None:
        self._work = work
        self._todo = deque(range(work.count))
        self._results: SimpleQueue[tuple[int, _Band | BaseException]] = SimpleQueue()
        self._threads: list[Thread] = []

    def start(self, count: int) -> None:
        """Start that many threads, or as many as the system grants."""
        from threading import Thread  # noqa: PLC0415 - small pictures do without

        for _ in range(count):
            thread = Thread(target=self._run)
            self._threads.append(thread)
            try:
                thread.start()
            except RuntimeError:  # the user may have no more of them: then fewer do the work
                return

    def next(self) -> tuple[int, _Band]:
        """Return a band that has been made, with its number; make one where none is waiting."""
        if self._results.empty() and (index := self._take()) is not None:
            return index, self._work(index)
        index, result = self._results.get()
        if isinstance(result, BaseException):
            raise result
        return index, result

    def stop(self) -> None:
        """Let the threads finish what they are at, and wait for that."""
        self._todo.clear()
        self._work.abandon()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _take(self) -> int | None:
        try:
            return self._todo.popleft()
        except IndexError:
            return None

    def _run(self) -> None:
        try:
            while (index := self._take()) is not None:
                self._results.put((index, self._work(index)))
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
            self._results.put((-1, error))
