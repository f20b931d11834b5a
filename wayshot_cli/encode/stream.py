"""What a recording is written through: the contract of its streams, and the options of video."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from wayshot_cli.frame import Frame
    from wayshot_cli.geometry import Size

VIDEO_FORMATS = ("mp4", "mkv", "webm", "gif", "apng", "webp")
"""Formats that PyAV writes, named as their extensions."""

ANIMATIONS = ("gif", "apng", "webp")
"""Those without a codec to choose, which are worth nothing before their end."""


class Stream(Protocol):
    """Takes the pictures of a recording in order, all of one size.

    Times are nanoseconds from the recording's start, pauses cut out, and strictly increase. A
    frame that ``write`` was given may be kept until the next ``write`` or ``close``, not longer.
    """

    size: "Size"
    longest_rest_ns: int | None
    """How long, at a variable rate, it may be told nothing, for the rest to be on disk."""

    def write(self, frame: "Frame", time_ns: int, /) -> None:
        """Show a picture from a time on."""

    def repeat(self, time_ns: int, /) -> None:
        """Show the last picture once more, from a time on."""

    def close(self, end_ns: int, /) -> None:
        """Complete the stream: the last picture is shown until then."""

    def abandon(self) -> None:
        """Free everything after an error, completing and raising nothing."""


class VideoOptions(NamedTuple):
    """How video is encoded; None leaves it to the format.

    ``bitrate`` is in bits a second, ``gop`` the frames from one key frame to the next,
    ``codec_options`` names and values as the codec has them.
    """

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    bitrate: int | None = None
    gop: int | None = None
    codec_options: tuple[tuple[str, str], ...] = ()
    pixel_format: str | None = None
    colorspace: str = "auto"
    full_range: bool | None = None
