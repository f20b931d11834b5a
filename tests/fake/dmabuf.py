"""linux-dmabuf and wlr-export-dmabuf of the fake compositor: any memory does for a dmabuf."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from tests.fake import protocol
from tests.fake.config import XR24, ShmOffer
from tests.fake.faults import Step
from tests.fake.resources import (
    DmabufBuffer,
    Head,
    Memory,
    ProtocolError,
    Resource,
    WlOutput,
)

if TYPE_CHECKING:
    from tests.fake.client import Client

# zwp_linux_buffer_params_v1.error
ALREADY_USED = 0
INCOMPLETE = 3
OUT_OF_BOUNDS = 6

FEEDBACK_SINCE = 4


class Plane(NamedTuple):
    """A plane as zwp_linux_buffer_params_v1.add describes it."""

    fd: int
    offset: int
    stride: int


class LinuxDmabuf(Resource):
    """zwp_linux_dmabuf_v1, of which only the default feedback is there."""

    interface = protocol.ZWP_LINUX_DMABUF_V1

    def __init__(self, client: Client, object_id: int, version: int) -> None:
        """Say at once, to old clients, what newer ones ask for."""
        super().__init__(client, object_id, version)
        if version < FEEDBACK_SINCE:
            client.send(self.events(("format", XR24), ("modifier", XR24, 0, 0)))

    def on_create_params(self, params_id: int) -> None:
        """Wait for planes."""
        BufferParams(self.client, params_id, self.version)

    def on_get_default_feedback(self, feedback_id: int) -> None:
        """Say everything."""
        feedback = DmabufFeedback(self.client, feedback_id, self.version)
        self.client.owe(Step.FEEDBACK, feedback, feedback.description())

    def leftover(self) -> None:
        """Lives as long as its client."""


class DmabufFeedback(Resource):
    """zwp_linux_dmabuf_feedback_v1."""

    interface = protocol.ZWP_LINUX_DMABUF_FEEDBACK_V1

    def description(self) -> bytes:
        """Return the events; the table goes out beside them."""
        said = self.client.compositor.config.feedback
        if said is None:
            return self.events(("format_table", None, 16), ("done",))
        table = os.memfd_create("table", os.MFD_CLOEXEC)
        os.write(table, said.table)
        self.client.outgoing_fds.append(table)
        return self.events(
            ("format_table", None, len(said.table) if said.size is None else said.size),
            ("main_device", said.main_device),
            ("tranche_target_device", said.target_device),
            ("tranche_flags", 0),
            ("tranche_formats", said.indices),
            ("tranche_done",),
            ("done",),
        )

    def leftover(self) -> str:
        """Feedbacks are to be destroyed."""
        return f"{self} was not destroyed"


class BufferParams(Resource):
    """zwp_linux_buffer_params_v1."""

    interface = protocol.ZWP_LINUX_BUFFER_PARAMS_V1

    def __init__(self, client: Client, object_id: int, version: int) -> None:
        """Have no planes yet."""
        super().__init__(client, object_id, version)
        self.planes: dict[int, Plane] = {}
        self.used = False
        self.modifier = 0

    def on_add(  # noqa: PLR0913, PLR0917, the protocol's arguments
        self, fd: int, plane: int, offset: int, stride: int, high: int, low: int
    ) -> None:
        """Take a plane."""
        if self.used or plane in self.planes:
            os.close(fd)
            raise ProtocolError(self, ALREADY_USED, f"plane {plane}")
        self.planes[plane] = Plane(fd, offset, stride)
        self.modifier = high << 32 | low
        self.client.owe(Step.PLANE, self, b"")

    def on_create(self, width: int, height: int, fourcc: int, _flags: int) -> None:
        """Make the buffer of the first plane, or fail."""
        if self.used:
            raise ProtocolError(self, ALREADY_USED, "a second create")
        if sorted(self.planes) != list(range(max(1, len(self.planes)))):
            raise ProtocolError(self, INCOMPLETE, f"planes {sorted(self.planes)}")
        self.used = True
        plane = self.planes.pop(0)
        nbytes = os.fstat(plane.fd).st_size
        if plane.offset + plane.stride * height > nbytes:
            os.close(plane.fd)
            raise ProtocolError(self, OUT_OF_BOUNDS, f"{plane} of {nbytes} bytes")
        object_id = self.client.next_server_id
        created = self.event("created", object_id)
        offer = ShmOffer(fourcc, width, height, plane.stride)
        memory = Memory(plane.fd, nbytes)
        buffer = DmabufBuffer(self.client, object_id, memory, plane.offset, offer)
        if self.client.owe(Step.PARAMS, self, created):
            self.client.next_server_id += 1  # without a gap: libwayland insists
        elif self.client.open:
            buffer.destroy()

    def fail(self, _reason: int = 0) -> None:
        """Refuse the planes."""
        self.client.send(self.event("failed"))

    def destroy(self) -> None:
        """Close what is left."""
        super().destroy()
        self.let_go()

    on_destroy = destroy

    def let_go(self) -> None:
        """Close what has become no buffer."""
        for plane in self.planes.values():
            os.close(plane.fd)

    def leftover(self) -> str:
        """Params are to be destroyed."""
        return f"{self} was not destroyed"


class ExportManager(Resource):
    """zwlr_export_dmabuf_manager_v1."""

    interface = protocol.ZWLR_EXPORT_DMABUF_MANAGER_V1

    def on_capture_output(self, frame_id: int, _overlay_cursor: int, output_id: int) -> None:
        """Export what the output shows."""
        frame = ExportFrame(self.client, frame_id, self.version)
        frame.export(self.client.get(output_id, WlOutput).head)


class ExportFrame(Resource):
    """zwlr_export_dmabuf_frame_v1."""

    interface = protocol.ZWLR_EXPORT_DMABUF_FRAME_V1

    def export(self, head: Head) -> None:
        """Describe one plane of memory that holds the picture, and say that it is ready."""
        output = head.output
        if head.gone:
            self.client.send(self.event("cancel", 1))
            return
        self.name = output.name
        offer = output.true_offer(None)
        memory = os.memfd_create("exported", os.MFD_CLOEXEC)
        os.write(memory, output.memory(head.index))
        self.client.outgoing_fds.append(memory)
        described = self.events(
            ("frame", offer.width, offer.height, 0, 0, int(output.y_invert), 0, XR24, 0, 0, 1),
            ("object", 0, None, offer.stride * offer.height, 0, offer.stride, 0),
        )
        if self.client.owe(Step.EXPORT, self, described, output.name):
            self.proceed(Step.EXPORT)
        elif memory in self.client.outgoing_fds:  # nothing was said in its place
            self.client.outgoing_fds.remove(memory)
            os.close(memory)

    def proceed(self, step: Step) -> None:
        """Say ready after the objects."""
        if step is Step.EXPORT:
            self.client.owe(Step.EXPORTED, self, self.event("ready", 0, 0, 0), self.name)

    def fail(self, _reason: int = 0) -> None:
        """Cancel, for the time being."""
        self.client.send(self.event("cancel", 0))

    def leftover(self) -> str:
        """Frames are to be destroyed."""
        return f"{self} was not destroyed"
