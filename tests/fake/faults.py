"""What can go wrong, and when.

A step is a moment at which the compositor owes its client something; a fault is an action taken at
that moment, instead of the answer or before it::

    Fault(Step.READY, withhold)                  # everything but the ready event
    Fault(Step.BUFFER, failed, output="FAKE-2")  # only this output cannot be captured
    Fault(Step.OFFERED, doing(lambda compositor: compositor.remove_output("FAKE-1")))

An action is a function of the moment and says whether the answer still goes out; a test may bring
its own.
"""

from __future__ import annotations

import enum
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tests.fake import protocol, wire

if TYPE_CHECKING:
    from tests.fake.client import Client
    from tests.fake.compositor import FakeCompositor
    from tests.fake.resources import Resource


class Step(enum.Enum):
    """The moments of a session, in order, each named after what the compositor owes."""

    ACCEPT = "a connection"
    GLOBALS = "the globals"
    SYNC = "the answer to wl_display.sync"
    SHM_FORMATS = "the formats of wl_shm"
    OUTPUT = "the events of a wl_output"
    OUTPUT_DONE = "wl_output.done"
    XDG_OUTPUT = "the events of a zxdg_output_v1"
    BUFFER = "the first event of a frame"
    BUFFER_DONE = "zwlr_screencopy_frame_v1.buffer_done"
    OFFERED = "nothing: all is said, the client's copy is awaited"
    FLAGS = "zwlr_screencopy_frame_v1.flags, in answer to copy"
    READY = "ready, of a frame of either protocol"
    AFTER_READY = "nothing any more"
    FEEDBACK = "the events of a zwp_linux_dmabuf_feedback_v1"
    PLANE = "nothing: a plane was added to a zwp_linux_buffer_params_v1"
    PARAMS = "zwp_linux_buffer_params_v1.created"
    EXPORT = "the frame and object events of a zwlr_export_dmabuf_frame_v1"
    EXPORTED = "zwlr_export_dmabuf_frame_v1.ready"
    CONSTRAINTS = "a batch of constraints of an ext_image_copy_capture_session_v1"
    CONSTRAINTS_DONE = "ext_image_copy_capture_session_v1.done"
    CURSOR = "enter, position and hotspot of an ext_image_copy_capture_cursor_session_v1"
    CAPTURE = "nothing yet: the client has asked for a frame"
    DESCRIBED = "transform, damage and presentation_time of an ext_image_copy_capture_frame_v1"
    TOPLEVEL = "what a list of toplevels says of a window, but done"
    TOPLEVEL_DONE = "done, of a window"
    SELECTION = "what is on the clipboard now, to all, after set_selection"
    CONFIGURE = "zwlr_layer_surface_v1.configure"
    SHOWN = "done, of a callback that awaits that a surface is shown"


@dataclass(frozen=True)
class Moment:
    """A step on its way: who waits for what."""

    step: Step
    client: Client
    resource: Resource
    owed: bytes
    output: str | bytes | None

    @property
    def compositor(self) -> FakeCompositor:
        """The server."""
        return self.client.compositor


Action: TypeAlias = Callable[[Moment], bool]
Change: TypeAlias = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Fault:
    """An action at a step: on every client, or only for one output, or only from the nth time."""

    step: Step
    action: Action
    output: str | bytes | None = None
    skip: int = 0

    def concerns(self, moment: Moment) -> bool:
        """Tell whether this is the step and the output, ``skip`` aside."""
        return self.step is moment.step and self.output in {None, moment.output}


# Actions.


def withhold(_moment: Moment) -> bool:
    """Say nothing this time; everything else is still answered."""
    return False


def fall_silent(moment: Moment) -> bool:
    """Say nothing ever after, and keep the connection."""
    moment.client.silent = True
    return False


def hang_up(moment: Moment) -> bool:
    """Close the connection."""
    moment.client.close()
    return False


def hang_up_midway(moment: Moment) -> bool:
    """Close the connection in the middle of the next message."""
    moment.client.send(moment.owed[:6] or wire.header(1, 0, 12)[:6])
    moment.client.close()
    return False


def protocol_error(moment: Moment) -> bool:
    """Say that the client broke the protocol, which it did not, and close."""
    moment.client.error(moment.resource, 77, "you did nothing wrong")
    return False


def failed(moment: Moment) -> bool:
    """Answer with ``failed``: of a frame or of the params of a dmabuf; a session is stopped."""
    moment.resource.fail()
    return False


def failing(reason: int, times: int = sys.maxsize) -> Action:
    """Answer with ``failed`` for a reason, so many times."""
    left = [times]

    def action(moment: Moment) -> bool:
        left[0] -= 1
        if left[0] < 0:
            return True
        moment.resource.fail(reason)
        return False

    return action


def flood(moment: Moment) -> bool:
    """Say anything but what is awaited, as fast as the client can read, without end."""
    moment.client.start_flood(idle_talk(moment))
    return False


def trickle(moment: Moment) -> bool:
    """Say anything but what is awaited, twenty times a second, without end."""
    moment.client.repeat(idle_talk(moment), every=0.05)
    return False


def idle_talk(moment: Moment) -> bytes:
    """Return a valid event that a client may get at this moment and has not waited for."""
    for kind, event, arguments in (
        (protocol.ZWLR_SCREENCOPY_FRAME_V1, "flags", (0,)),
        (protocol.EXT_IMAGE_COPY_CAPTURE_FRAME_V1, "transform", (0,)),
        (protocol.EXT_IMAGE_COPY_CAPTURE_SESSION_V1, "shm_format", (0x34325258,)),
        (protocol.ZXDG_OUTPUT_V1, "logical_position", (0, 0)),
        (protocol.WL_OUTPUT, "mode", (0, 640, 480, 60_000)),
        (protocol.WL_SHM, "format", (0x34325258,)),
        (protocol.WL_REGISTRY, "global", (4_000_000, "wl_decoy", 1)),
    ):
        for resource in (moment.resource, *moment.client.objects.values()):
            if resource.interface is kind:
                return resource.event(event, *arguments)
    return moment.client.display.event("delete_id", 0xFEFFFFFF)


def doing(change: Callable[[FakeCompositor], object]) -> Action:
    """Change something first: plug an output in or out, then answer as usual."""

    def action(moment: Moment) -> bool:
        change(moment.compositor)
        return True

    return action


def leave_out(moment: Moment) -> bool:
    """Leave the event out, and go on as if it had been sent."""
    moment.resource.proceed(moment.step)
    return False


def dozing(seconds: float) -> Action:
    """Stop the whole compositor for a while, reading included, then answer as usual."""

    def action(_moment: Moment) -> bool:
        time.sleep(seconds)
        return True

    return action


def saying_first(event: str, *arguments: wire.Argument) -> Action:
    """Send a further event of the object in question before the answer."""

    def action(moment: Moment) -> bool:
        moment.client.send(moment.resource.event(event, *arguments))
        return True

    return action


def saying_instead(event: str, *arguments: wire.Argument) -> Action:
    """Send another event of the object in question instead of the answer, and go on after it."""

    def action(moment: Moment) -> bool:
        moment.client.send(moment.resource.event(event, *arguments))
        moment.resource.proceed(moment.step)
        return False

    return action


def garbling(change: Change) -> Action:
    """Answer with the first message changed, and whatever follows it unchanged."""

    def action(moment: Moment) -> bool:
        size = wire.HEADER.unpack_from(moment.owed)[1] >> 16
        moment.client.send(change(moment.owed[:size]) + moment.owed[size:])
        moment.resource.proceed(moment.step)
        return False

    return action


# Changes for garbling().


def with_size(size: int) -> Change:
    """Lie about the size of the message."""

    def change(message: bytes) -> bytes:
        object_id, word = wire.HEADER.unpack_from(message)
        return wire.header(object_id, word & 0xFFFF, size) + message[wire.HEADER.size :]

    return change


def without_last_word(message: bytes) -> bytes:
    """Leave the last argument out; the header knows."""
    return with_size(len(message) - 4)(message[:-4])


def with_object(object_id: int) -> Change:
    """Address another object."""
    return lambda message: (
        wire.HEADER.pack(object_id, *wire.HEADER.unpack_from(message)[1:])
        + (message[wire.HEADER.size :])
    )


def with_opcode(opcode: int) -> Change:
    """Send an event that the interface does not have."""

    def change(message: bytes) -> bytes:
        object_id, _ = wire.HEADER.unpack_from(message)
        return wire.header(object_id, opcode, len(message)) + message[wire.HEADER.size :]

    return change


def with_string_size(offset: int, size: int) -> Change:
    """Lie about the size of the string whose length stands ``offset`` bytes into the message."""

    def change(message: bytes) -> bytes:
        return message[:offset] + size.to_bytes(4, "little") + message[offset + 4 :]

    return change


def with_string_unended(offset: int) -> Change:
    """Fill the NUL and the padding of a string with letters."""

    def change(message: bytes) -> bytes:
        size = int.from_bytes(message[offset : offset + 4], "little")
        start, end = offset + 4 + size - 1, offset + 4 + wire.padded(size)
        return message[:start] + b"x" * (end - start) + message[end:]

    return change
