"""Pictures in the memory that PyAV's encoders read: planes and packed pixels."""

from typing import TYPE_CHECKING, Protocol

from wayshot_cli import kernels
from wayshot_cli.encode.plain import PACKED
from wayshot_cli.frame import Frame

if TYPE_CHECKING:
    from types import ModuleType

    import av

    from wayshot_cli.geometry import Size
    from wayshot_cli.planes import YuvFormat, YuvTarget


class Picture(Protocol):
    """Makes of each frame what an encoder reads; ``frame`` is the newest."""

    frame: "av.VideoFrame"

    def take(self, frame: Frame) -> None:
        """Make it of this frame."""


class PlanarPicture:
    """Planes, or luma alone, that the kernels fill."""

    def __init__(self, av: "ModuleType", target: "YuvTarget", coded_size: "Size") -> None:
        """Make room. A coded size larger than the frames' repeats their last column or row."""
        self._target = target
        self._coded_size = coded_size
        self.frame = av.VideoFrame(*coded_size, target.format.name)

    def take(self, frame: Frame) -> None:
        """Convert a frame."""
        self.frame.make_writable()  # makes another, where the encoder still holds this one
        planes = [(memoryview(plane), plane.line_size) for plane in self.frame.planes]
        kernels.to_yuv(frame, self._target, planes)
        _repeat_edges(*planes[0], self._target.format, frame.upright_size, self._coded_size)


def _repeat_edges(
    luma: memoryview, stride: int, format_: "YuvFormat", size: "Size", coded_size: "Size"
) -> None:
    """Fill the luma beyond the picture; of chroma, its last samples are half there already."""
    samples = luma.cast("H") if format_.bytes_per_sample > 1 else luma
    stride //= format_.bytes_per_sample
    if coded_size.width > size.width:
        samples[size.width :: stride] = samples[size.width - 1 :: stride]
    if coded_size.height > size.height:
        last = size.height * stride
        samples[last : last + coded_size.width] = samples[last - stride :][: coded_size.width]


class PackedPicture:
    """Red, green and blue side by side, over black where the frame is translucent."""

    def __init__(self, av: "ModuleType", name: str, size: "Size") -> None:
        """Make room. ``name`` is one of PACKED."""
        self._channels, self._is_exchanged = PACKED[name]
        self.frame = av.VideoFrame(*size, name)

    def take(self, frame: Frame) -> None:
        """Pack a frame."""
        self.frame.make_writable()
        (plane,) = self.frame.planes
        frame = kernels.over_black(frame)
        source = kernels.exchanged(frame) if self._is_exchanged else frame
        kernels.blit(source, kernels.Target(8, self._channels), plane, 0, plane.line_size)
