"""What the fake compositor serves: its outputs, its globals and what is wrong with them."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.fake.film import Clock, Film, RealClock, Stamp, truthful
from tests.fake.pixels import XRGB8888, Format, Picture, picture, to_buffer, turned

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tests.fake.faults import Fault
    from tests.fake.toplevels import Window
    from tests.fake.wire import Argument

CURRENT_AND_PREFERRED = 3
XR24 = 0x34325258
LINEAR, INVALID = 0, 0x00FFFFFFFFFFFFFF


@dataclass(frozen=True)
class Mode:
    """A wl_output.mode event."""

    width: int
    height: int
    refresh: int = 60_000
    flags: int = CURRENT_AND_PREFERRED


@dataclass(frozen=True)
class ShmOffer:
    """A zwlr_screencopy_frame_v1.buffer event."""

    format: int
    width: int
    height: int
    stride: int


@dataclass(frozen=True)
class Output:
    """One output: what it shows and what it says of itself.

    ``width`` and ``height`` are its mode in pixels, before the transform. What is left None is
    said truthfully; ``modes``, ``logical`` and ``offers`` are there for lies.
    """

    name: str | bytes | None = "FAKE-1"  # None: no name event at all
    width: int = 64
    height: int = 48
    transform: int = 0
    scale: int = 1
    x: int = 0
    y: int = 0
    logical: tuple[int, int] | None = None
    refresh: int = 60_000  # mHz
    description: str | bytes = "a fake output"
    make: str | bytes = "Fake"
    model: str | bytes = "One"
    physical_size: tuple[int, int] = (320, 240)  # mm
    shm_format: Format = XRGB8888
    padding: int = 0  # bytes at the end of each row
    y_invert: bool = False
    modes: tuple[Mode, ...] | None = None
    offers: tuple[ShmOffer, ...] | None = None
    film: Film | None = None  # None: the picture never changes
    stamp: Stamp = truthful  # what ready says
    constraints: tuple[tuple[str, *tuple[Argument, ...]], ...] | None = None  # of a capture session
    says_transform: bool = True  # of a capture session's frames

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height of what the user sees, in pixels."""
        return turned(self.width, self.height, self.transform)

    @property
    def logical_size(self) -> tuple[int, int]:
        """Width and height in the compositor's space."""
        if self.logical is not None:
            return self.logical
        width, height = self.upright_size
        divisor = max(self.scale, 1)
        return width // divisor, height // divisor

    def upright_region(self, region: tuple[int, int, int, int] | None) -> tuple[int, int, int, int]:
        """Return left, top, right, bottom in upright pixels of a logical region, clipped."""
        width, height = self.upright_size
        if region is None:
            return 0, 0, width, height
        x, y, region_width, region_height = region
        logical_width, logical_height = self.logical_size
        edges = []
        for low, length, pixels, logical in (
            (x, region_width, width, logical_width),
            (y, region_height, height, logical_height),
        ):
            edges += [
                round(min(max(edge, 0), logical) * pixels / logical) for edge in (low, low + length)
            ]
        left, right, top, bottom = edges
        return left, top, right, bottom

    def true_offer(self, region: tuple[int, int, int, int] | None) -> ShmOffer:
        """Return the buffer that a capture of a logical region (None: of all) takes."""
        left, top, right, bottom = self.upright_region(region)
        width, height = turned(right - left, bottom - top, self.transform)
        stride = width * self.shm_format.bytes_per_pixel + self.padding
        return ShmOffer(self.shm_format.code, width, height, stride)

    def upright(self, index: int) -> Picture:
        """Return what the user sees."""
        return picture(index, *self.upright_size)

    def memory(self, index: int, region: tuple[int, int, int, int] | None = None) -> bytes:
        """Return the bytes that a capture writes, if there is no film."""
        pixels = self.stored(self.upright(index), region)
        return self.shm_format.pack(pixels, self.true_offer(region).stride)

    def stored(
        self, upright: NDArray[np.uint8], region: tuple[int, int, int, int] | None
    ) -> NDArray[np.uint8]:
        """Return an upright picture, or a region of it, as it lies in the buffer."""
        left, top, right, bottom = self.upright_region(region)
        pixels = to_buffer(upright[top:bottom, left:right], self.transform)
        return pixels[::-1] if self.y_invert else pixels


@dataclass(frozen=True)
class Cursor:
    """What lies over an output: an image at a place, both in pixels of the upright picture."""

    image: Output
    position: tuple[int, int]
    hotspot: tuple[int, int] = (0, 0)
    over: str | None = "FAKE-1"  # None: nothing


@dataclass(frozen=True)
class Feedback:
    """What zwp_linux_dmabuf_feedback_v1 says; by default of XRGB8888, linear or not, on /dev/null.

    Each index goes out in an event of its own.
    """

    table: bytes = struct.pack("=I4xQI4xQ", XR24, LINEAR, XR24, INVALID)
    size: int | None = None  # of the table, None: the true one
    main_device: bytes = struct.pack("=Q", os.stat(os.devnull).st_rdev)
    target_device: bytes = main_device
    indices: bytes = struct.pack("=2H", 0, 1)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The announced formats and modifiers."""
        table = list(struct.iter_unpack("=I4xQ", self.table))
        return [table[index] for (index,) in struct.iter_unpack("=H", self.indices)]


@dataclass(frozen=True)
class Config:
    """The compositor. A version of 0 hides the global."""

    outputs: tuple[Output, ...] = (Output(),)
    wl_shm_version: int = 1
    wl_output_version: int = 4
    xdg_output_version: int = 3
    screencopy_version: int = 3
    dmabuf_version: int = 0  # zwp_linux_dmabuf_v1
    feedback: Feedback | None = None  # None: a table without its fd
    export_version: int = 0  # zwlr_export_dmabuf_manager_v1
    image_copy_version: int = 0  # ext_image_copy_capture_manager_v1, and its sources of outputs
    windows: tuple[Window, ...] = ()
    toplevel_list_version: int = 0  # ext_foreign_toplevel_list_v1
    toplevel_source_version: int = 0  # ext_foreign_toplevel_image_capture_source_manager_v1
    toplevel_manager_version: int = 0  # zwlr_foreign_toplevel_manager_v1
    seat_version: int = 0
    ext_data_control_version: int = 0  # ext_data_control_manager_v1
    wlr_data_control_version: int = 0  # zwlr_data_control_manager_v1
    layer_shell_version: int = 0  # zwlr_layer_shell_v1, and wl_compositor
    viewporter_version: int = 1  # wp_viewporter, where there is a layer shell
    cursor: Cursor | None = None  # None: the seat has no pointer
    shm_formats: tuple[int, ...] | None = None  # None: the two required and those of the outputs
    dmabuf_offer: int | None = None  # the fourcc of a linux_dmabuf event
    decoys: int = 0  # further globals of an interface that nobody knows
    accept: bool = True  # False: connections stay in the backlog
    latency: float = 0.0  # seconds before anything that is said
    dribble: float = 0.0  # seconds between one byte and the next
    idle: bool = False  # True: copy_with_damage waits for FakeCompositor.damage(); not of a film
    clock: Clock = field(default_factory=RealClock)  # of films and of what ready says
    faults: tuple[Fault, ...] = field(default=())
