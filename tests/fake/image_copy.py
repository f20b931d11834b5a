"""ext-image-copy-capture of the fake compositor.

It writes no more of a buffer than it must: what the client says is stale, and what has changed
since the session's last frame. So a client that keeps its buffers' stale areas wrong gets wrong
pixels.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tests.fake import protocol
from tests.fake.config import XR24
from tests.fake.faults import Step
from tests.fake.film import SECOND
from tests.fake.pixels import ARGB8888, BY_CODE, XRGB8888, Format
from tests.fake.resources import (
    Buffer,
    Copy,
    DmabufBuffer,
    Head,
    ProtocolError,
    Resource,
    WlOutput,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.fake import wire
    from tests.fake.client import Client

PAINT_CURSORS = 1

# ext_image_copy_capture_*.error
INVALID_OPTION = 1
DUPLICATE_FRAME = 1
NO_BUFFER = 1
INVALID_BUFFER_DAMAGE = 2
ALREADY_CAPTURED = 3

# ext_image_copy_capture_frame_v1.failure_reason
UNKNOWN = 0
BUFFER_CONSTRAINTS = 1
STOPPED = 2

AR24 = 0x34325241
BY_FOURCC = BY_CODE | {XR24: XRGB8888, AR24: ARGB8888}


class Rect(NamedTuple):
    """A part of a buffer, in pixels."""

    x: int
    y: int
    width: int
    height: int

    def contains(self, other: Rect) -> bool:
        """Tell whether the other lies inside."""
        return (
            self.x <= other.x
            and self.y <= other.y
            and self.x + self.width >= other.x + other.width
            and self.y + self.height >= other.y + other.height
        )


class OutputSourceManager(Resource):
    """ext_output_image_capture_source_manager_v1."""

    interface = protocol.EXT_OUTPUT_IMAGE_CAPTURE_SOURCE_MANAGER_V1

    def on_create_source(self, source_id: int, output_id: int) -> None:
        """Name an output as a source."""
        ImageSource(self.client, source_id, self.client.get(output_id, WlOutput).head)


class ImageSource(Resource):
    """ext_image_capture_source_v1."""

    interface = protocol.EXT_IMAGE_CAPTURE_SOURCE_V1

    def __init__(self, client: Client, object_id: int, head: Head) -> None:
        """Stand for an output."""
        super().__init__(client, object_id)
        self.head = head

    def leftover(self) -> str:
        """Sources are to be destroyed."""
        return f"{self} was not destroyed"


class ImageCopyManager(Resource):
    """ext_image_copy_capture_manager_v1."""

    interface = protocol.EXT_IMAGE_COPY_CAPTURE_MANAGER_V1

    def on_create_session(self, session_id: int, source_id: int, options: int) -> None:
        """Begin a session on a source."""
        if options & ~PAINT_CURSORS:
            raise ProtocolError(self, INVALID_OPTION, f"the options {options:#x}")
        ImageSession(self.client, session_id, self.client.get(source_id, ImageSource).head)


class ImageSession(Resource):
    """ext_image_copy_capture_session_v1."""

    interface = protocol.EXT_IMAGE_COPY_CAPTURE_SESSION_V1

    def __init__(self, client: Client, object_id: int, head: Head) -> None:
        """Say what buffers have to be like."""
        super().__init__(client, object_id)
        self.head = head
        self.frame: ImageFrame | None = None
        self.damaged = True  # all of it
        self.copied = -1  # of a film: the last frame
        self.shown: NDArray[np.uint8] | None = None  # the last frame, as it lies in a tight buffer
        self.written: set[Buffer] = set()
        self.stopped = False
        if head.gone:
            self.stop()
        else:
            self.describe()

    def constraints(self) -> tuple[tuple[str, *tuple[wire.Argument, ...]], ...]:
        """Return the events of a batch."""
        output, config = self.head.output, self.client.compositor.config
        if output.constraints is not None:
            return output.constraints
        device = config.feedback.main_device if config.feedback else bytes(8)
        dmabufs = (
            ("dmabuf_device", device),
            ("dmabuf_format", XR24, struct.pack("=Q", 0)),
        )
        return (
            ("buffer_size", output.width, output.height),
            ("shm_format", output.shm_format.code),
            *(dmabufs if config.dmabuf_version else ()),
        )

    def describe(self) -> None:
        """Send a batch of constraints."""
        said = self.events(*self.constraints())
        if self.owe(Step.CONSTRAINTS, said):
            self.proceed(Step.CONSTRAINTS)

    def owe(self, step: Step, data: bytes) -> bool:
        """Answer, unless a fault prevents it."""
        return self.client.owe(step, self, data, self.head.output.name)

    def proceed(self, step: Step) -> None:
        """Close the batch."""
        if step is Step.CONSTRAINTS and not self.stopped:
            self.owe(Step.CONSTRAINTS_DONE, self.event("done"))

    def fits(self, buffer: Buffer) -> bool:
        """Tell whether a buffer is as the constraints ask."""
        said = self.constraints()
        if ("buffer_size", buffer.offer.width, buffer.offer.height) not in said:
            return False
        if isinstance(buffer, DmabufBuffer):
            formats = [arguments[0] for name, *arguments in said if name == "dmabuf_format"]
            return buffer.offer.format in formats
        return ("shm_format", buffer.offer.format) in said

    def on_create_frame(self, frame_id: int) -> None:
        """Wait for a buffer."""
        if self.frame is not None:
            raise ProtocolError(self, DUPLICATE_FRAME, "a second frame")
        self.frame = ImageFrame(self.client, frame_id, self)

    def stop(self) -> None:
        """End the session, and with it its frame."""
        if not self.stopped:
            self.stopped = True
            self.client.send(self.event("stopped"))
            if self.frame is not None:
                self.frame.fail(STOPPED)

    def fail(self, _reason: int = UNKNOWN) -> None:
        """A session fails by stopping."""
        self.stop()

    def leftover(self) -> str:
        """Sessions are to be destroyed."""
        return f"{self} was not destroyed"


class ImageFrame(Copy):
    """ext_image_copy_capture_frame_v1."""

    interface = protocol.EXT_IMAGE_COPY_CAPTURE_FRAME_V1

    def __init__(self, client: Client, object_id: int, session: ImageSession) -> None:
        """Have no buffer yet."""
        super().__init__(client, object_id, 1, session.head)
        self.session = session
        self.buffer: Buffer | None = None
        self.damage: list[Rect] = []
        self.captured = False  # asked for

    def on_attach_buffer(self, buffer_id: int) -> None:
        """Take a buffer."""
        self.refuse_after_capture()
        self.buffer = self.client.get(buffer_id, Buffer)

    def on_damage_buffer(self, x: int, y: int, width: int, height: int) -> None:
        """Note what is stale."""
        self.refuse_after_capture()
        if min(x, y) < 0 or min(width, height) <= 0:
            message = f"damage of {width}x{height} at {x},{y}"
            raise ProtocolError(self, INVALID_BUFFER_DAMAGE, message)
        self.damage.append(Rect(x, y, width, height))

    def on_capture(self) -> None:
        """Write the picture: the first one at once, others once there is something new."""
        self.refuse_after_capture()
        if self.buffer is None:
            raise ProtocolError(self, NO_BUFFER, "capture without a buffer")
        self.captured = True
        if self.session.stopped:
            self.fail(STOPPED)
        elif not self.session.fits(self.buffer):
            self.fail(BUFFER_CONSTRAINTS)
        elif self.client.owe(Step.CAPTURE, self, b"", self.head.output.name):
            self.answer()

    def refuse_after_capture(self) -> None:
        """Nothing may be said of a frame after capture."""
        if self.captured:
            raise ProtocolError(self, ALREADY_CAPTURED, "a request after capture")

    @property
    def copied(self) -> int:
        """The session's last frame of a film."""
        return self.session.copied

    @property
    def drawn_only(self) -> bool:
        """Only a session's first frame, and one after damage, may show what was shown before."""
        return not self.session.damaged

    @property
    def is_due(self) -> bool:
        """A picture that never changes is new on a session, after damage, and on a busy screen."""
        return self.session.damaged or not self.client.compositor.config.idle

    def note_taken(self) -> None:
        """Forget the damage."""
        self.session.damaged = False
        self.session.copied = self.number

    def write(self) -> None:
        """Write what is stale or new, and describe it."""
        assert self.buffer is not None
        self.waiting = False
        if self.client.objects.get(self.buffer.object_id) is not self.buffer:
            self.client.violation(f"{self}: {self.buffer} was destroyed before its copy ended")
            self.fail(UNKNOWN)
            return
        shm_format = BY_FOURCC[self.buffer.offer.format]
        picture, whole = (
            self.picture(shm_format),
            Rect(0, 0, self.buffer.offer.width, self.buffer.offer.height),
        )
        damage = changed(self.session.shown, picture, shm_format.bytes_per_pixel) or whole
        if self.buffer not in self.session.written and whole not in self.damage:
            self.client.violation(f"{self}: not all of {self.buffer} is stale, which is new")
        self.session.written.add(self.buffer)
        self.session.shown = picture
        for part in (damage, *self.damage):
            if not whole.contains(part):
                self.client.violation(f"{self}: {part} is stale of {whole}")
                continue
            self.put(picture, part, shm_format)
        output = self.head.output
        stamp = output.stamp(self.time_ns, self.number)
        seconds, nanoseconds = divmod(stamp, SECOND)
        said = self.events(
            *(("transform", output.transform),) * output.says_transform,
            ("damage", *damage),
            ("presentation_time", seconds >> 32, seconds & 0xFFFFFFFF, nanoseconds),
        )
        if self.client.owe(Step.DESCRIBED, self, said, output.name):
            self.proceed(Step.DESCRIBED)

    def proceed(self, step: Step) -> None:
        """Say ready after the description."""
        if self.ended:
            return
        if step is Step.DESCRIBED:
            if self.client.owe(Step.READY, self, self.event("ready"), self.head.output.name):
                self.proceed(Step.READY)
        elif step is Step.READY:
            self.ended = True
            self.client.owe(Step.AFTER_READY, self, b"", self.head.output.name)

    def picture(self, shm_format: Format) -> NDArray[np.uint8]:
        """Return the picture as it lies in a tight buffer: rows of bytes."""
        output, index = self.head.output, self.head.index
        row = output.width * shm_format.bytes_per_pixel
        if output.film is None:
            data = shm_format.pack(output.stored(output.upright(index), None), row)
            return np.frombuffer(data, np.uint8).reshape(output.height, row)
        assert shm_format == output.shm_format
        reel = self.head.reel(None).memory(output.film.drawn_at(self.number))
        stride = output.true_offer(None).stride
        return np.frombuffer(bytes(reel), np.uint8).reshape(output.height, stride)[:, :row]

    def put(self, picture: NDArray[np.uint8], part: Rect, shm_format: Format) -> None:
        """Write a part of the picture into the buffer."""
        assert self.buffer is not None
        size, offer = shm_format.bytes_per_pixel, self.buffer.offer
        left, right = part.x * size, (part.x + part.width) * size
        if part.width == offer.width and offer.stride == picture.shape[1]:
            rows = picture[part.y : part.y + part.height]
            self.buffer.memory.write(self.buffer.offset + part.y * offer.stride, rows.tobytes())
            return
        for y in range(part.y, part.y + part.height):
            place = self.buffer.offset + y * offer.stride + left
            self.buffer.memory.write(place, picture[y, left:right].tobytes())

    def fail(self, reason: int = UNKNOWN) -> None:
        """Give up, whatever the state."""
        self.waiting = False
        if not self.ended:
            self.ended = True
            self.client.send(self.event("failed", reason))

    def destroy(self) -> None:
        """Make room for the session's next frame."""
        self.session.frame = None
        super().destroy()

    on_destroy = destroy


def changed(old: NDArray[np.uint8] | None, new: NDArray[np.uint8], size: int) -> Rect | None:
    """Return the rectangle around all pixels, of so many bytes, that differ; None without any."""
    if old is None or old.shape != new.shape:
        return None
    rows = np.flatnonzero((old != new).any(axis=1))
    columns = np.flatnonzero((old != new).any(axis=0)) // size
    if not len(rows):
        return None
    x, y = int(columns[0]), int(rows[0])
    return Rect(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)
