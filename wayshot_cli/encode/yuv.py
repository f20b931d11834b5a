"""Pictures in YUV, and what their numbers mean."""

from typing import TYPE_CHECKING

from wayshot_cli import kernels
from wayshot_cli.planes import Chroma, YuvTarget

if TYPE_CHECKING:
    from wayshot_cli.frame import Frame
    from wayshot_cli.geometry import Size
    from wayshot_cli.planes import YuvFormat

COLORSPACES = ("auto", "bt709", "bt601")

# Larger pictures are high definition, which is what players decide by.
_LARGEST_STANDARD = (1279, 576)


def matrix(colorspace: str, size: "Size") -> str:
    """Return bt709 or bt601; for ``auto`` what players assume of an untagged picture."""
    if colorspace != "auto":
        return colorspace
    width, height = _LARGEST_STANDARD
    return "bt709" if size.width > width or size.height > height else "bt601"


def tags(colorspace: str, size: "Size") -> dict[str, str]:
    """Return what a file says of its colours, in ffmpeg's options: those of a screen are sRGB."""
    return {
        "colorspace": {"bt709": "bt709", "bt601": "smpte170m"}[matrix(colorspace, size)],
        "color_primaries": "bt709",
        "color_trc": "iec61966-2-1",
    }


class YuvPicture:
    """Memory for one picture, plane after plane without gaps, filled again and again."""

    def __init__(
        self,
        format_: "YuvFormat",
        size: "Size",
        *,
        colorspace: str = "auto",
        full_range: bool | None = None,
    ) -> None:
        """Make room. Chroma is sited left, as in MPEG-2 and H.264.

        Without ``full_range`` the range is limited, but full where there is luma alone: so does
        ffmpeg read it.
        """
        self.full_range = format_.chroma is Chroma.NONE if full_range is None else full_range
        space = matrix(colorspace, size)
        self._target = YuvTarget(format_, space, self.full_range, "left")
        self.memory = memoryview(bytearray(format_.nbytes(size)))
        self._planes = [
            (self.memory[plane.offset : plane.offset + plane.stride * plane.rows], plane.stride)
            for plane in format_.planes(size)
        ]

    def take(self, frame: "Frame") -> memoryview:
        """Convert a frame of that size, and return the memory."""
        kernels.to_yuv(frame, self._target, self._planes)
        return self.memory
