"""Raw video: one picture after the other, tight rows, without a header."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from wayshot_cli import kernels
from wayshot_cli.encode.plain import PACKED, raw, raw_format
from wayshot_cli.encode.yuv import YuvPicture
from wayshot_cli.errors import InvalidArgumentError, WriteError
from wayshot_cli.frame import Frame
from wayshot_cli.pixels import FORMATS
from wayshot_cli.planes import YUV_FORMATS

if TYPE_CHECKING:
    from typing_extensions import Buffer

PIXEL_FORMATS = (*PACKED, *YUV_FORMATS)
"""What ``--pixel-format`` takes, beside the name of what the screen is stored in."""

_NATIVE = {format_.name for format_ in FORMATS if format_.name}
_KNOWN = f"known are {', '.join(PIXEL_FORMATS)}"


def check_pixel_format(name: str) -> None:
    """Raise InvalidArgumentError when no frame could ever be had in this format."""
    if name not in PIXEL_FORMATS and name not in _NATIVE:
        message = f"unknown pixel format {name!r}"
        raise InvalidArgumentError(message, hint=_KNOWN)


class RawVideo:
    """Writes pictures of one size, in the frames' own bytes unless another format is asked for."""

    longest_rest_ns: int | None = None

    def __init__(  # noqa: PLR0913 - what it is like, and where it goes
        self,
        write: "Callable[[Sequence[Buffer]], object]",
        frame: Frame,
        *,
        pixel_format: str | None = None,
        colorspace: str = "auto",
        full_range: bool | None = None,
        timestamps: "Callable[[Sequence[Buffer]], object] | None" = None,
    ) -> None:
        """Take what the first frame is like.

        ``write`` takes buffers and is done with them when it returns. ``pixel_format`` is a name
        of ffmpeg's, the frames' own by default; InvalidArgumentError when it can be neither kept
        nor made. ``timestamps`` takes the lines of a timestamp file (format v2 of mkvtoolnix: the
        milliseconds at which each picture is shown).
        """
        self._write = write
        self._timestamps = timestamps
        self.size = frame.upright_size
        self.pixel_format = pixel_format or raw_format(frame)
        self._colours = (colorspace, full_range)
        self._frame = frame
        self._last = 0
        self._converted: memoryview | None = None  # None: the frame's own bytes will do
        self._convert: Callable[[Frame], memoryview] | None = None
        if self.pixel_format != frame.format.name:
            self._convert = self._converter()
        if timestamps:
            timestamps([b"# timestamp format v2\n"])

    def _converter(self) -> Callable[[Frame], memoryview]:
        """Make room for a converted picture; return what fills it."""
        if self.pixel_format in PACKED:
            channels, is_exchanged = PACKED[self.pixel_format]
            target = kernels.Target(8, channels)
            stride = self.size.width * target.bytes_per_pixel
            canvas = memoryview(bytearray(stride * self.size.height))

            def pack(frame: Frame) -> memoryview:
                if not self.pixel_format.endswith("a"):
                    frame = kernels.over_black(frame)
                source = kernels.exchanged(frame) if is_exchanged else frame
                kernels.blit(source, target, canvas, 0, stride)
                return canvas

            return pack
        if self.pixel_format in YUV_FORMATS:
            format_ = YUV_FORMATS[self.pixel_format]
            colorspace, full_range = self._colours
            picture = YuvPicture(format_, self.size, colorspace=colorspace, full_range=full_range)
            return picture.take
        check_pixel_format(self.pixel_format)
        message = f"cannot make {self.pixel_format!r} of what the screen gives"
        raise InvalidArgumentError(message, hint=_KNOWN)

    def write(self, frame: Frame, time_ns: int) -> None:
        """Write a picture. Raises WriteError when the screen now gives what cannot be converted."""
        self._frame = frame
        self._converted = None
        if self.pixel_format != frame.format.name:  # which a new mode can change, too
            try:
                self._convert = self._convert or self._converter()
            except InvalidArgumentError as error:  # which nobody could know before
                hint = "another --pixel-format, as bgr0, would do"
                raise WriteError(str(error), hint=hint) from error
            self._converted = self._convert(frame)
        self.repeat(time_ns)

    def repeat(self, time_ns: int) -> None:
        """Write the last picture again."""
        if self._converted is not None:
            self._write([self._converted])
        else:
            for piece in raw(self._frame):
                self._write([piece])
        self._last = time_ns
        if self._timestamps:
            self._timestamps([b"%d.%06d\n" % divmod(time_ns, 1_000_000)])

    def close(self, end_ns: int) -> None:
        """At a variable rate, show the last picture until the end."""
        if self._timestamps and end_ns > self._last:
            self.repeat(end_ns)

    def abandon(self) -> None:
        """Nothing has to be freed."""
