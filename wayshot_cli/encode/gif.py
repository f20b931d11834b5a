"""GIF by PyAV: palettes, and files that hold only what changes although palettes do, too."""

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from wayshot_cli.encode.avframes import PackedPicture

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    import av
    from numpy.typing import NDArray

    from wayshot_cli.frame import Frame
    from wayshot_cli.geometry import Size

    Pixels = NDArray[np.uint32]
    """Words of alpha, red, green and blue, from the highest bits down."""

# From the GIF89a specification, 17 to 23: a header, with flags and perhaps a table of colours; then
# a block that says how long an image is shown, then its descriptor, with flags, too.
_HEADER, _HEADER_FLAGS = 13, 10
_IMAGE_FLAGS = 17
_TABLE = 3 * 256
_HAS_TABLE, _HAS_LARGEST_TABLE = 0x80, 0x87


class PalettePicture:
    """Pictures in 255 colours: the nearest for each pixel, for dithering would spoil flat areas.

    A palette is kept for as long as it fits: then nothing flickers, and what does not change has
    not to be stored.
    """

    _NEAR = 20  # levels: how far any colour of the next palette may be from this one's
    _NEARLY_ALL = 4  # levels: and how far they may be on average
    _EXACT = 2  # levels: and that of a flat area, ...
    _FLAT = 200  # ... which is one this part of the picture, ...
    _GRID = 8  # ... of which one pixel in so many is looked at, in each direction
    _MOST = 1024  # colours whose exact values are worth to be looked up

    def __init__(self, av: "ModuleType", size: "Size") -> None:
        """Make room, for libavfilter's palettegen and paletteuse."""
        self._av = av
        self._full = PackedPicture(av, "bgra", size)
        self._full.frame.time_base = Fraction(1, 100)
        self._generator = self._graph("palettegen", "stats_mode=single")
        self._mapper: Any = None
        self._palette: Pixels = np.empty(0, np.uint32)
        self._count = 0
        self.frame = self._full.frame

    def take(self, frame: "Frame") -> None:
        """Find colours for a frame, and map its pixels to them."""
        self._full.take(frame)
        full = self._full.frame
        full.pts = self._count
        self._count += 1
        palette = _run(self._generator, full)
        some = _pixels(full)[:: self._GRID, :: self._GRID]
        colours, counts = np.unique(some, return_counts=True)
        if not self._fits(_pixels(palette), colours[counts * self._FLAT > some.size]):
            often = counts.argsort()[-self._MOST :]
            palette.make_writable()
            _correct(_pixels(palette), colours[often])
            self._palette = _pixels(palette).copy()
            self._mapper = self._graph("paletteuse", "dither=none", palette)
        self.frame = _run(self._mapper, full)

    def _fits(self, new: "Pixels", flat: "Pixels") -> bool:
        """Whether the palette in use has the colours of a new one, and of flat areas."""
        all_, _ = _nearest(new, self._palette)
        common, _ = _nearest(flat, self._palette)
        if all_.max() > self._NEAR or all_.mean() > self._NEARLY_ALL:
            return False
        return not (common > self._EXACT).any()

    def _graph(self, name: str, arguments: str, palette: "av.VideoFrame | None" = None) -> Any:
        """Return source, sink and graph of one filter, which may take a palette, too."""
        graph = self._av.filter.Graph()
        filter_ = graph.add(name, arguments)
        sink = graph.add("buffersink")
        source = _source(graph, self._full.frame)
        source.link_to(filter_)
        palettes = palette and _source(graph, palette)
        if palettes:
            palettes.link_to(filter_, 0, 1)
        filter_.link_to(sink)
        graph.configure()
        if palettes:
            palettes.push(palette)
            palettes.push(None)
        return source, sink, graph


class GifEncoder:
    """The gif codec, made to store only what changes in all palettes.

    By itself it does so only in its first one (and then takes that picture to be in it, too, that
    was before). So each palette gets a codec of its own, and its pictures a table of their own.
    """

    def __init__(self, av: "ModuleType", stream: Any, another: "Callable[[], Any]") -> None:
        """Take the muxer's stream, whose codec is the first, and what makes others."""
        self._av = av
        self._stream = stream
        self._another = another
        self._codec = stream
        self._table = b""

    def encode(self, frame: "av.VideoFrame | None") -> list[Any]:
        """Return the packets of a picture, each with all that it needs."""
        if frame is None:
            return []  # the codec holds nothing back
        table = _table(frame)
        if self._table not in (b"", table):
            self._codec = self._another()
        self._table = table
        packets: list[Any] = self._codec.encode(frame)
        if self._codec is self._stream:
            return packets
        return [self._local(packet) for packet in packets]

    def _local(self, packet: Any) -> Any:
        """Return a packet that does not rest on its codec's global palette."""
        data = bytes(packet)
        if data.startswith(b"GIF"):
            data = data[_HEADER + (_TABLE if data[_HEADER_FLAGS] & _HAS_TABLE else 0) :]
        flags = data[_IMAGE_FLAGS]
        if not flags & _HAS_TABLE:
            table = bytes([flags | _HAS_LARGEST_TABLE]) + self._table
            data = data[:_IMAGE_FLAGS] + table + data[_IMAGE_FLAGS + 1 :]
        local = self._av.Packet(data)
        local.pts, local.dts, local.time_base = packet.pts, packet.dts, packet.time_base
        local.stream = self._stream
        return local


def _table(frame: "av.VideoFrame") -> bytes:
    """Return a picture's palette as GIF has it: red, green and blue of 256 colours."""
    words = np.frombuffer(memoryview(frame.planes[1]), np.uint32)
    return np.stack([words >> 16, words >> 8, words], axis=1).astype(np.uint8).tobytes()


def _source(graph: Any, frame: "av.VideoFrame") -> Any:
    """Add what feeds a graph with frames like this one."""
    return graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )


def _run(graph: Any, frame: "av.VideoFrame") -> "av.VideoFrame":
    source, sink, _ = graph
    source.push(frame)
    return sink.pull()  # type: ignore[no-any-return]


def _pixels(frame: "av.VideoFrame") -> "Pixels":
    """Return a view of a picture in bgra, shape (height, width)."""
    words = np.frombuffer(memoryview(frame.planes[0]), np.uint32)
    return words.reshape(frame.height, -1)[:, : frame.width]


def _nearest(colours: "Pixels", palette: "Pixels") -> "tuple[NDArray[np.int16], NDArray[np.intp]]":
    """Return how many levels each colour, if opaque, misses the nearest of a palette, and which."""
    wanted, known = _channels(colours), _channels(palette)
    if not len(wanted) or not len(known):
        return np.full(len(wanted), 255, np.int16), np.zeros(len(wanted), np.intp)
    misses = np.abs(wanted[:, None] - known).max(axis=2)
    return misses.min(axis=1), misses.argmin(axis=1)


def _channels(pixels: "Pixels") -> "NDArray[np.int16]":
    """Return red, green and blue of those pixels that are opaque: shape (n, 3)."""
    opaque = pixels[pixels >> 24 > 0].astype(np.int64)
    return np.stack([opaque >> 16 & 255, opaque >> 8 & 255, opaque & 255], axis=-1).astype(np.int16)


def _correct(palette: "Pixels", colours: "Pixels") -> None:
    """Give colours of a palette their exact values: palettegen is off by one here and there."""
    opaque = palette >> 24 > 0
    misses, which = _nearest(palette, colours)
    palette[opaque] = np.where(misses <= 1, colours[which], palette[opaque])
