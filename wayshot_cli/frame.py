"""Frame: one captured picture, still in the memory that the compositor wrote."""

import sys
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self

from wayshot_cli.errors import ClosedError, InvalidArgumentError
from wayshot_cli.geometry import Box, Size, Transform

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import numpy as np
    import PIL.Image

    from wayshot_cli import kernels
    from wayshot_cli.pixels import PixelFormat
    from wayshot_cli.wayland.proxy import Proxy


class Alpha(Enum):
    """What a frame's alpha channel means."""

    IGNORED = 0  # the picture is opaque, whatever the bytes say: every output
    STRAIGHT = 1  # colours are as they are seen: what PNG stores, and our own canvases
    PREMULTIPLIED = 2  # colours were multiplied by alpha: what clients give a compositor


class Cursor(NamedTuple):
    """A pointer's cursor, captured apart from the picture over which it lies.

    Its ``hotspot`` is the pixel of the upright ``image`` that points, and ``position`` where that
    lies, in pixels of the upright picture; both are (x, y).
    """

    image: "Frame"
    position: tuple[int, int]
    hotspot: tuple[int, int]

    @property
    def box(self) -> Box:
        """Where the image lies in the picture, beyond whose edges it may reach."""
        x, y = (at - point for at, point in zip(self.position, self.hotspot, strict=True))
        return Box(x, y, self.image.width, self.image.height)

    def moved(self, dx: int, dy: int) -> "Cursor":
        """Return the same cursor, shifted."""
        x, y = self.position
        return self._replace(position=(x + dx, y + dy))


class Frame:
    """A picture in somebody's memory, and how to read it upright.

    The buffer is ``size`` pixels of ``format`` in rows ``stride`` bytes apart,
    the first at ``offset``. ``transform`` (wl_output.transform's meaning) is undone
    by whoever reads through ``origin``, ``step_x`` and ``step_y``: the upright
    pixel (x, y) starts at ``origin + x * step_x + y * step_y``, which makes all
    eight transforms and every crop plain pointer arithmetic. ``width`` and
    ``height`` are those of the upright picture, in pixels.

    The memory belongs to a pool. A frame holds a reference, and so does every view taken
    of it (``memory``, ``to_numpy()``); the buffer is reused or unmapped only when all
    of them are gone. A frame outlives the connection that it came through.

    ``cursor`` is the pointer's, where it was captured apart and lies over the picture, else None.
    ``wl_buffer`` is what the compositor knows the memory by, alive as long as the session that
    captured into it is open; None where it was not the compositor that wrote there.
    """

    def __init__(  # noqa: PLR0913 - these are the facts of a buffer; none follows from the others
        self,
        memory: memoryview,
        format: "PixelFormat",  # noqa: A002 - the field's name, as in wl_shm and PIL
        size: Size,
        stride: int,
        transform: Transform = Transform.NORMAL,
        *,
        offset: int = 0,
        alpha: Alpha = Alpha.IGNORED,
        scale: float = 1.0,
        time_ns: int = 0,
        wl_buffer: "Proxy | None" = None,
    ) -> None:
        """Check that every pixel lies inside the memory, once, so that nobody need again.

        ``scale`` is in pixels per logical unit, ``time_ns`` CLOCK_MONOTONIC nanoseconds
        (0 when unknown). Raises InvalidArgumentError when the layout does not fit.
        """
        row = size.width * format.bytes_per_pixel
        if size.width <= 0 or size.height <= 0 or offset < 0 or stride < row:
            message = f"impossible frame: {size} {format}, stride {stride}, offset {offset}"
            raise InvalidArgumentError(message)
        if offset + stride * (size.height - 1) + row > memory.nbytes:
            message = f"frame of {size} {format}, stride {stride}, does not fit its memory"
            raise InvalidArgumentError(message)
        self._memory: memoryview | None = memory.cast("B").toreadonly()
        self.format = format
        self.size = size
        self.stride = stride
        self.offset = offset
        self.transform = transform
        self.alpha = alpha if format.has_alpha else Alpha.IGNORED
        self.scale = scale
        self.time_ns = time_ns
        self.cursor: Cursor | None = None
        self.wl_buffer = wl_buffer
        self._box = Box(0, 0, *transform.apply(size))

    @property
    def memory(self) -> memoryview:
        """The whole buffer, read-only bytes. Raises ClosedError after ``close()``."""
        if self._memory is None:
            message = "this frame has been closed"
            raise ClosedError(message)
        return self._memory

    @property
    def width(self) -> int:
        """Width of the upright picture in pixels."""
        return self._box.width

    @property
    def height(self) -> int:
        """Height of the upright picture in pixels."""
        return self._box.height

    @property
    def upright_size(self) -> Size:
        """Width and height of the upright picture in pixels."""
        return self._box.size

    @property
    def step_x(self) -> int:
        """Bytes from an upright pixel to its right neighbour; may be negative."""
        a, _, c, _ = self.transform.matrix
        return a * self.format.bytes_per_pixel + c * self.stride

    @property
    def step_y(self) -> int:
        """Bytes from an upright pixel to the one below; may be negative."""
        _, b, _, d = self.transform.matrix
        return b * self.format.bytes_per_pixel + d * self.stride

    @property
    def origin(self) -> int:
        """Byte in ``memory`` where the upright picture's upper left pixel starts."""
        a, b, c, d = self.transform.matrix
        start = self.offset
        if a < 0 or b < 0:
            start += (self.size.width - 1) * self.format.bytes_per_pixel
        if c < 0 or d < 0:
            start += (self.size.height - 1) * self.stride
        return start + self._box.x * self.step_x + self._box.y * self.step_y

    def contains(self, box: Box) -> bool:
        """Whether a box, in pixels of the upright picture, lies inside it."""
        return Box(0, 0, self.width, self.height).contains(box)

    def crop(self, box: Box) -> "Frame":
        """Return the part of the upright picture inside ``box`` (pixels), sharing memory.

        Raises InvalidArgumentError when the box does not lie inside the picture.
        """
        if not self.contains(box):
            message = f"cannot crop {box} out of a picture of {self._box.size}"
            raise InvalidArgumentError(message)
        part = object.__new__(Frame)
        part.__dict__.update(self.__dict__)
        part._box = box.moved(self._box.x, self._box.y)
        if self.cursor:
            lies_over = self.cursor.box.intersection(box)
            part.cursor = self.cursor.moved(-box.x, -box.y) if lies_over else None
        return part

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """The upright picture as NumPy and those who speak its protocol take it: ``np.asarray``.

        The array is as ``to_numpy`` says. It holds the memory for itself: it stays valid after
        ``close()`` and the connection's end. Raises ClosedError after ``close()``.
        """
        fmt = self.format
        if self.alpha is Alpha.IGNORED and fmt.bytes_per_pixel in (3, 4) and not fmt.is_deep:
            shape, strides = (
                (self.height, self.width, 3),
                (self.step_y, self.step_x, fmt.green - fmt.red),
            )
            return _array_interface(self.memory, "|u1", shape, strides, self.origin + fmt.red)
        target, packed = self._packed()
        shape = (self.height, self.width, target.channels)
        item = target.depth // 8
        strides = (self.width * target.bytes_per_pixel, target.bytes_per_pixel, item)
        typestr = f"{'<' if sys.byteorder == 'little' else '>'}u2" if item > 1 else "|u1"
        return _array_interface(packed.toreadonly(), typestr, shape, strides)

    def to_numpy(self) -> "np.ndarray[Any, np.dtype[np.uint8 | np.uint16]]":
        """Return the upright picture as a read-only array of shape (height, width, 3 or 4).

        Channels are red, green, blue, and straight alpha where the frame has a meaningful one;
        uint8, or uint16 (full range) for formats with more than 8 bits. For opaque 8-bit
        formats the array is a view of the frame's memory, else a copy.
        """
        import numpy as np  # noqa: PLC0415 - 60 ms that a plain shot must not pay

        return np.asarray(self)

    def tobytes(self) -> bytes:
        """Return what ``to_numpy`` does as bytes: row by row from the top, nothing in between."""
        return bytes(self._packed()[1])

    def to_pillow(self) -> "PIL.Image.Image":
        """Return the upright picture as a Pillow image, RGB or RGBA with 8 bits a channel."""
        from wayshot_cli.encode.image import to_pillow  # noqa: PLC0415 - Pillow costs 18 ms

        return to_pillow(self)

    def save(
        self,
        path: "str | os.PathLike[str]",
        *,
        format: str | None = None,  # noqa: A002 - as in PIL
        level: int | None = None,
        quality: int | None = None,
    ) -> None:
        """Write the picture to a file, whole or not at all.

        ``format`` is a name as ``--format`` takes it; without it the extension decides. ``level``
        and ``quality`` are as for ``encode``. Raises InvalidArgumentError for an unknown format
        and WriteError when the file cannot be written.
        """
        from wayshot_cli import encode, sinks  # noqa: PLC0415 - a frame need not be written

        chosen = format or encode.format_of(path)
        sinks.write_file(path, self._encoded(chosen, level, quality))

    def encode(
        self,
        format: str = "png",  # noqa: A002 - as in PIL
        *,
        level: int | None = None,
        quality: int | None = None,
    ) -> bytes:
        """Return what ``save`` would write to a file of that format.

        ``level`` is the compression of PNG, 0 (none) to 9; ``quality`` that of JPEG, WebP and
        AVIF, 1 to 100; None is each one's default. Raises InvalidArgumentError for an unknown
        format or what is out of range, UnsupportedError where Pillow was built without the format.
        """
        return b"".join(self._encoded(format, level, quality))

    def _encoded(
        self, format_: str, level: int | None, quality: int | None
    ) -> "Iterator[bytes | memoryview]":
        from wayshot_cli import encode  # noqa: PLC0415 - a frame need not be written

        options = encode.DEFAULTS._replace(quality=quality)
        if level is not None:
            options = options._replace(level=level)
        return encode.encode(self, format_, options)

    def _packed(self) -> "tuple[kernels.Target, memoryview]":
        """Return all of the picture as packed pixels, and how they are packed."""
        from wayshot_cli import kernels  # noqa: PLC0415 - only converting needs it

        target = kernels.Target.of(self)
        return target, kernels.pack(self, target)

    def close(self) -> None:
        """Give the memory back; it is reused once no view of it is left. Harmless twice."""
        self._memory = None

    def __enter__(self) -> Self:
        """Return the frame itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the frame."""
        self.close()

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: the memory is the compositor's, too."""
        message = "a Frame cannot be pickled or copied: hand on to_numpy().copy(), or encode()"
        raise TypeError(message)

    def __repr__(self) -> str:
        """Say size, format and transform."""
        state = ", closed" if self._memory is None else ""
        return f"<Frame {self._box.size} {self.format} {self.transform.label}{state}>"


def _array_interface(
    memory: memoryview,
    typestr: str,
    shape: tuple[int, int, int],
    strides: tuple[int, int, int],
    offset: int = 0,
) -> dict[str, Any]:
    return {
        "version": 3,
        "typestr": typestr,
        "shape": shape,
        "strides": strides,  # never None: Pillow then takes ``tobytes``, as it needs to
        "data": memory,
        "offset": offset,
    }
