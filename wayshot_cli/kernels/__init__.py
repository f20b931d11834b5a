"""The hot loops in C, over frames: packing pixels upright, filtering rows for PNG, QOI, YUV.

Frame has proved that every pixel lies inside its memory, so only the sizes of outputs are
checked here. The C functions run without the GIL and may be called from several threads.
"""

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from wayshot_cli.errors import InvalidArgumentError
from wayshot_cli.frame import Alpha
from wayshot_cli.geometry import Box
from wayshot_cli.kernels._kernels import ffi, lib
from wayshot_cli.pixels import BGR888

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cffi import FFI
    from typing_extensions import Buffer

    from wayshot_cli.frame import Frame
    from wayshot_cli.planes import YuvTarget

# Zeroing what is overwritten at once would cost as much as the overwriting.
_new_uncleared = ffi.new_allocator(should_clear_after_alloc=False)


class Target(NamedTuple):
    """What packing makes of a pixel: red, green, blue and perhaps alpha, side by side.

    ``depth`` is 8 or 16 bits a channel, ``channels`` 3 or 4. The fourth is straight alpha,
    opaque where the frame's is ignored; with three, a translucent picture is
    composed over black.
    """

    depth: int
    channels: int

    @classmethod
    def of(cls, frame: "Frame") -> "Target":
        """Return the target that keeps all of a frame: its depth, and alpha if it means any."""
        return cls(16 if frame.format.is_deep else 8, 3 if frame.alpha is Alpha.IGNORED else 4)

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes of a packed pixel: 3, 4, 6 or 8."""
        return self.depth // 8 * self.channels


def _image(frame: "Frame", memory: "FFI.CData") -> "FFI.CData":
    """Return a frame as ``struct ws_image``, valid while ``memory`` is: its exported buffer.

    An export lasts for one call. One that lived in an object could end up in a reference cycle
    together with the memoryview that it is of, and collecting both crashes
    Python before 3.12.6 (gh-77894).
    """
    fmt = frame.format
    return ffi.new(
        "struct ws_image *",
        (
            memory + frame.origin,
            frame.step_x,
            frame.step_y,
            frame.width,
            frame.height,
            fmt.kind,
            fmt.bytes_per_pixel,
            fmt.red,
            fmt.green,
            fmt.blue,
            fmt.alpha,
            frame.alpha.value,
        ),
    )


def _target(target: Target, *, big_endian: bool) -> "FFI.CData":
    return ffi.new("struct ws_target *", (target.depth, target.channels, big_endian))


def _view(memory: "FFI.CData") -> memoryview:
    return memoryview(ffi.buffer(memory)).cast("B")


def pack(
    frame: "Frame",
    target: Target,
    *,
    y: int = 0,
    rows: int | None = None,
    big_endian: bool = False,
) -> memoryview:
    """Return rows of the upright picture as packed pixels, tight, in memory of its own.

    The rows are ``y`` to ``y + rows``, or to the end. 16-bit channels come in the machine's byte
    order, or in PNG's and PPM's. Values are rounded to the nearest, halves
    up; half floats are taken from 0 to 1 and clamped; premultiplied colours are divided by
    their alpha, or taken as they are when the target has none.
    """
    count = frame.height - y if rows is None else rows
    _check_rows(frame, y, count)
    stride = frame.width * target.bytes_per_pixel
    out = _new_uncleared("uint8_t[]", stride * count)
    packed = _target(target, big_endian=big_endian)
    with ffi.from_buffer("uint8_t[]", frame.memory) as memory:
        lib.ws_pack(_image(frame, memory), y, count, packed, out, stride)
    return _view(out)


def copy(frame: "Frame", *, y: int = 0, rows: int | None = None) -> memoryview:
    """Return rows of the upright picture in the frame's own format, tight."""
    count = frame.height - y if rows is None else rows
    _check_rows(frame, y, count)
    out = _new_uncleared("uint8_t[]", frame.width * frame.format.bytes_per_pixel * count)
    with ffi.from_buffer("uint8_t[]", frame.memory) as memory:
        lib.ws_copy(_image(frame, memory), y, count, out)
    return _view(out)


def blit(frame: "Frame", target: Target, canvas: "Buffer", offset: int, stride: int) -> None:
    """Pack the whole frame into a writable canvas that has the target's layout.

    Its upper left pixel goes to byte ``offset``, the rows below ``stride`` bytes apart. A
    canvas is itself a frame's memory: a target of 8 bits is BGR888 or ABGR8888, one
    of four 16-bit channels XBGR16161616 or ABGR16161616 (in DRM's names).
    Raises InvalidArgumentError when the picture does not fit.
    """
    row = frame.width * target.bytes_per_pixel
    packed = _target(target, big_endian=False)
    with (
        ffi.from_buffer("uint8_t[]", canvas, require_writable=True) as out,
        ffi.from_buffer("uint8_t[]", frame.memory) as memory,
    ):
        if offset < 0 or stride < row or offset + (frame.height - 1) * stride + row > len(out):
            message = f"{frame!r} does not fit the canvas at byte {offset}"
            raise InvalidArgumentError(message)
        lib.ws_pack(_image(frame, memory), 0, frame.height, packed, out + offset, stride)


def over_black(frame: "Frame") -> "Frame":
    """Return a frame as it looks over black, its alpha ignored; it shares memory if it can.

    Premultiplied colours are over black already, and so are deep pictures of several outputs,
    which are opaque but for their black holes.
    """
    if frame.alpha is Alpha.IGNORED:
        return frame
    if frame.alpha is Alpha.STRAIGHT and not frame.format.is_deep:
        packed = pack(frame, Target(8, 3))
        return type(frame)(
            packed, BGR888, frame.upright_size, 3 * frame.width, time_ns=frame.time_ns
        )
    other = frame.crop(Box(0, 0, frame.width, frame.height))
    other.alpha = Alpha.IGNORED
    return other


def exchanged(frame: "Frame") -> "Frame":
    """Return the frame with red and blue exchanged: packing it puts blue first. Shares memory."""
    other = frame.crop(Box(0, 0, frame.width, frame.height))
    fmt = frame.format
    other.format = fmt._replace(red=fmt.blue, blue=fmt.red)
    return other


def is_opaque(frame: "Frame") -> bool:
    """Tell whether every pixel of the frame is opaque."""
    with ffi.from_buffer("uint8_t[]", frame.memory) as memory:
        return bool(lib.ws_is_opaque(_image(frame, memory)))


class PngFilter:
    """Packs and filters rows for PNG, in memory that is used again and again.

    Each row gets the filter that PNG's specification recommends to try: the one with the least
    sum of absolute differences. Each pixel is read once, so that what becomes of memory that
    changes meanwhile is a picture that was never seen, but a whole one. One object serves one
    thread at a time.
    """

    def __init__(self, frame: "Frame", target: Target, rows: int) -> None:
        """Make room for at most ``rows`` rows at a time."""
        self._frame = frame
        self._target = _target(target, big_endian=True)
        self._row = 1 + frame.width * target.bytes_per_pixel
        self._stride = lib.ws_filter_stride(frame.width, self._target)
        self._work = ffi.new("uint8_t[]", lib.WS_FILTER_WORK_ROWS * self._stride)
        self._out = _new_uncleared("uint8_t[]", rows * self._row)
        self._view = _view(self._out)
        self._rows = 0
        self._zeros = 0

    def filter(self, y: int, rows: int) -> None:
        """Read rows, and filter all but the first, which has to wait for the row above it."""
        _check_rows(self._frame, y, rows)
        if rows * self._row > len(self._out):
            message = f"no room for {rows} rows"
            raise InvalidArgumentError(message)
        with ffi.from_buffer("uint8_t[]", self._frame.memory) as memory:
            image = _image(self._frame, memory)
            self._zeros = lib.ws_filter(image, y, rows, self._target, self._work, self._out)
        self._rows = rows

    def last_row(self) -> bytes:
        """Return the last row that was read, for whoever filters the one below it."""
        return bytes(ffi.buffer(self._work + self._stride, self._stride))

    def finish(self, above: bytes | None) -> tuple[memoryview, int]:
        """Return the filtered rows, each behind its filter's number, and how many bytes are 0.

        ``above`` is the ``last_row()`` of who read the row above, None at the top of the picture.
        The rows are valid until the next call of ``filter``.
        """
        row = above or bytes(self._stride)
        with ffi.from_buffer("uint8_t[]", row) as packed:
            first = lib.ws_filter_first(
                self._frame.width, self._target, self._work, packed, self._out
            )
        return self._view[: self._rows * self._row], self._zeros + first


class QoiEncoder:
    """Encodes packed 8-bit pixels as QOI, piece by piece, without header and end mark."""

    def __init__(self, channels: int) -> None:
        """Take the number of channels: 3 or 4."""
        self._channels = channels
        self._state = ffi.new("struct ws_qoi *")
        lib.ws_qoi_start(self._state)

    def encode(self, pixels: memoryview) -> memoryview:
        """Return what the pixels add to the stream; a run at their end stays open."""
        count = len(pixels) // self._channels
        out = _new_uncleared("uint8_t[]", count * (self._channels + 1) + 1)
        with ffi.from_buffer("uint8_t[]", pixels) as packed:
            used = lib.ws_qoi_encode(self._state, packed, count, self._channels, out)
        return _view(out)[:used]

    def finish(self) -> bytes:
        """Return the end of a run that is still open."""
        out = ffi.new("uint8_t[1]")
        return bytes(ffi.buffer(out, lib.ws_qoi_finish(self._state, out)))


# Kr and Kb: what of luma is red, and what blue.
_WEIGHTS = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114)}
# Weights of columns 2i - 1, 2i, 2i + 1 in the chroma sample i.
_SITINGS = {"left": (0.25, 0.5, 0.25), "center": (0, 0.5, 0.5)}


def _yuv(target: "YuvTarget") -> "FFI.CData":
    """Return the target as ``struct ws_yuv``, still without planes."""
    fmt = target.format
    red, blue = _WEIGHTS[target.colorspace]
    before, here, after = _SITINGS[target.siting]
    top = 2**fmt.depth - 1
    unit = 2 ** (fmt.depth - 8)
    return ffi.new(
        "struct ws_yuv *",
        {
            "red": red,
            "green": 1 - red - blue,
            "blue": blue,
            "luma_low": 0 if target.full_range else 16 * unit,
            "luma_span": top if target.full_range else 219 * unit,
            "chroma_middle": 128 * unit,
            "chroma_span": top if target.full_range else 224 * unit,
            "top": top,
            "before": before,
            "here": here,
            "after": after,
            "bytes": fmt.bytes_per_sample,
            "shift": fmt.sample_shift,
            "shift_x": fmt.shift_x,
            "shift_y": fmt.shift_y,
            "layout": fmt.chroma.value,
        },
    )


def to_yuv(frame: "Frame", target: "YuvTarget", planes: "Sequence[tuple[Buffer, int]]") -> None:
    """Convert the upright picture into writable planes, each with its stride in bytes.

    There are as many planes as the format has, each with room for the rows that
    ``target.format.planes()`` gives for the frame's width and height; bytes between
    rows stay as they are. Colours are taken as they are, without any gamma; straight alpha is
    composed over black, premultiplied colours are over black already. Every sample is the exact
    value rounded to the nearest, but for what lies within 0.001 of a tie; the chroma of a
    full range is cut off at the greatest number. Where half a chroma sample lies outside
    the picture, its last column or row counts twice.
    Raises InvalidArgumentError when the planes are not those of the format and size.
    """
    yuv = _yuv(target)
    layout = target.format.planes(frame.upright_size)
    if len(planes) != len(layout):
        message = f"{target.format.name} has {len(layout)} planes, not {len(planes)}"
        raise InvalidArgumentError(message)
    with ExitStack() as exports:
        memory = exports.enter_context(ffi.from_buffer("uint8_t[]", frame.memory))
        for i, ((plane, stride), tight) in enumerate(zip(planes, layout, strict=True)):
            out = exports.enter_context(ffi.from_buffer("uint8_t[]", plane, require_writable=True))
            if stride < tight.stride or stride * (tight.rows - 1) + tight.stride > len(out):
                message = f"{frame!r} does not fit plane {i} of {len(out)} bytes, stride {stride}"
                raise InvalidArgumentError(message)
            yuv.plane[i] = out
            yuv.stride[i] = stride
        lib.ws_to_yuv(_image(frame, memory), yuv)


def _check_rows(frame: "Frame", y: int, rows: int) -> None:
    if y < 0 or rows <= 0 or y + rows > frame.height:
        message = f"no rows {y} to {y + rows} in {frame!r}"
        raise InvalidArgumentError(message)
