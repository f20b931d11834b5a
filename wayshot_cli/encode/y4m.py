"""YUV4MPEG2 (yuv4mpeg(5) of mjpegtools), with the colour tags that ffmpeg added to it."""

from typing import TYPE_CHECKING

from wayshot_cli.encode.yuv import YuvPicture
from wayshot_cli.errors import InvalidArgumentError
from wayshot_cli.planes import YUV_FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from fractions import Fraction

    from typing_extensions import Buffer

    from wayshot_cli.frame import Frame

TAGS = {
    "yuv420p": "420mpeg2",  # which also says that chroma is sited left
    "yuv422p": "422",
    "yuv444p": "444",
    "yuv420p10le": "420p10",
    "yuv422p10le": "422p10",
    "yuv444p10le": "444p10",
    "gray": "mono",
    "gray10le": "mono10",
}
"""The C tag of each pixel format that a stream can have."""


def pixel_format_of(frame: "Frame") -> str:
    """Return the format of a stream of such frames: 4:2:0, 10 bits where they have more than 8."""
    return "yuv420p10le" if frame.format.is_deep else "yuv420p"


def check_pixel_format(name: str) -> None:
    """Raise InvalidArgumentError when it is none of ``TAGS``."""
    if name not in TAGS:
        message = f"y4m has no pixel format {name!r}"
        raise InvalidArgumentError(message, hint=f"known are {', '.join(TAGS)}")


class Y4m:
    """Writes pictures of one size at a constant rate."""

    longest_rest_ns: int | None = None

    def __init__(  # noqa: PLR0913 - what it is like, and where it goes
        self,
        write: "Callable[[Sequence[Buffer]], object]",
        frame: "Frame",
        rate: "Fraction",
        *,
        pixel_format: str | None = None,
        colorspace: str = "auto",
        full_range: bool | None = None,
    ) -> None:
        """Take what the first frame is like, and write the header.

        ``write`` takes buffers and is done with them when it returns. ``pixel_format`` is one of
        ``TAGS`` (InvalidArgumentError else), by default what ``pixel_format_of`` says.
        """
        name = pixel_format or pixel_format_of(frame)
        check_pixel_format(name)
        self._write = write
        self.size = frame.upright_size
        self._picture = YuvPicture(
            YUV_FORMATS[name], self.size, colorspace=colorspace, full_range=full_range
        )
        header = (
            f"YUV4MPEG2 W{self.size.width} H{self.size.height}"
            f" F{rate.numerator}:{rate.denominator} Ip A1:1 C{TAGS[name]}"
            f" XCOLORRANGE={'FULL' if self._picture.full_range else 'LIMITED'}\n"
        )
        self._header = header.encode()

    def write(self, frame: "Frame", time_ns: int) -> None:
        """Write a picture."""
        self._picture.take(frame)
        self.repeat(time_ns)

    def repeat(self, _time_ns: int) -> None:
        """Write the last picture again."""
        self._write([self._header, b"FRAME\n", self._picture.memory])
        self._header = b""

    def close(self, _end_ns: int) -> None:
        """Nothing follows the last picture."""

    def abandon(self) -> None:
        """Nothing has to be freed."""
