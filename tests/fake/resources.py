"""The objects of the fake compositor: a class per interface, a method per request."""

from __future__ import annotations

import fcntl
import mmap
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from tests.fake import protocol, wire
from tests.fake.config import Mode, Output, ShmOffer
from tests.fake.faults import Step
from tests.fake.film import SECOND, RealClock, Reel
from tests.fake.pixels import BY_CODE

if TYPE_CHECKING:
    from tests.fake.client import Client
    from tests.fake.film import Film

Region: TypeAlias = tuple[int, int, int, int]

# wl_display.error
INVALID_OBJECT = 0
INVALID_METHOD = 1
# wl_shm.error
INVALID_FORMAT = 0
INVALID_STRIDE = 1
INVALID_FD = 2
# zwlr_screencopy_frame_v1.error
ALREADY_USED = 0
INVALID_BUFFER = 1

Y_INVERT = 1


class ProtocolError(Exception):
    """The client broke the protocol; it will be told and cut off."""

    def __init__(self, resource: Resource, code: int, message: str) -> None:
        """Take the arguments of wl_display.error."""
        super().__init__(message)
        self.resource = resource
        self.code = code


@dataclass
class Head:
    """An output as long as it is plugged in; ``index`` is its place in the pattern."""

    output: Output
    index: int
    damaged: bool = True
    gone: bool = False
    copies: int = 0  # finished, of a picture that is no film
    reels: dict[tuple[Output, Region | None], Reel] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Be ready."""
        self.prepare()

    def prepare(self) -> None:
        """Make ready what would take long in the middle of a film."""
        if self.output.film is not None:
            self.reel(None)

    def reel(self, region: Region | None) -> Reel:
        """Return the film of a region of the output as it is now."""
        key = self.output, region
        if key not in self.reels:
            self.reels[key] = Reel(self.output, self.index, region)
        return self.reels[key]


@dataclass
class Memory:
    """A client's shared memory, open as long as a pool or a buffer needs it."""

    fd: int
    size: int
    users: int = 0

    def drop(self) -> None:
        """Let one user go."""
        self.users -= 1
        if not self.users:
            os.close(self.fd)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write as a compositor would, through a shared mapping."""
        with mmap.mmap(self.fd, self.size) as memory:
            memory[offset : offset + len(data)] = data


class Resource:
    """An object of a client. A method ``on_<request>`` per request answers it."""

    interface: ClassVar[protocol.Interface]
    is_of_an_event = False  # whether the compositor has made it, and its id

    def __init__(self, client: Client, object_id: int, version: int = 1) -> None:
        """Register the object."""
        self.client = client
        self.object_id = object_id
        self.version = version
        client.add(self)

    def __str__(self) -> str:
        """Name it as libwayland's debug log does."""
        return f"{self.interface.name}@{self.object_id}"

    def event(self, name: str, *arguments: wire.Argument) -> bytes:
        """Return an event as bytes."""
        opcode, signature = self.interface.event(name)
        return wire.encode(self.object_id, opcode, signature, arguments)

    def events(self, *events: tuple[str, *tuple[wire.Argument, ...]]) -> bytes:
        """Return those of the events that this version has."""
        return b"".join(
            self.event(name, *arguments)
            for name, *arguments in events
            if wire.since(self.interface.event(name)[1]) <= self.version
        )

    def destroy(self) -> None:
        """Forget the object and give its id back."""
        self.client.remove(self)

    on_destroy = destroy
    on_release = destroy

    def fail(self, reason: int = 0) -> None:
        """Say that the capture failed; only a frame can, and of some protocols it says why."""
        raise NotImplementedError

    def proceed(self, step: Step) -> None:
        """Go on after ``step``, whose answer was replaced; most objects have nothing to add."""

    def let_go(self) -> None:
        """Close the fds that the object holds, at its end and at its client's."""

    def leftover(self) -> str | None:
        """Say what a client did wrong that goes away without destroying this object."""
        return None


class Display(Resource):
    """wl_display."""

    interface = protocol.WL_DISPLAY

    def on_sync(self, callback_id: int) -> None:
        """Answer at once: everything before has been answered."""
        callback = Callback(self.client, callback_id)
        if self.client.owe(Step.SYNC, callback, callback.event("done", 0)):
            callback.destroy()

    def on_get_registry(self, registry_id: int) -> None:
        """Announce the globals."""
        registry = Registry(self.client, registry_id)
        announced = b"".join(map(registry.announcement, list(self.client.compositor.globals)))
        self.client.owe(Step.GLOBALS, registry, announced)


class Callback(Resource):
    """wl_callback."""

    interface = protocol.WL_CALLBACK


class Registry(Resource):
    """wl_registry."""

    interface = protocol.WL_REGISTRY

    def announcement(self, name: int) -> bytes:
        """Return the event for a global."""
        known = self.client.compositor.globals[name]
        return self.event("global", name, known.interface, known.version)

    def on_bind(self, name: int, interface: str, version: int, new_id: int) -> None:
        """Make the global's object; what was unplugged meanwhile makes an inert one."""
        known = self.client.compositor.all_globals.get(name)
        if known is None or known.kind is None or known.interface != interface:
            message = f"bind of {interface} to the global {name}, which is not one"
            raise ProtocolError(self, INVALID_OBJECT, message)
        if not 1 <= version <= known.version:
            message = f"bind of {interface} version {version}, offered is {known.version}"
            raise ProtocolError(self, INVALID_OBJECT, message)
        if known.head is not None:
            WlOutput(self.client, new_id, version, known.head)
        else:
            known.kind(self.client, new_id, version)


class Shm(Resource):
    """wl_shm."""

    interface = protocol.WL_SHM

    def __init__(self, client: Client, object_id: int, version: int) -> None:
        """Say which formats there are."""
        super().__init__(client, object_id, version)
        self.formats = client.compositor.shm_formats
        client.owe(
            Step.SHM_FORMATS, self, b"".join(self.event("format", code) for code in self.formats)
        )

    def on_create_pool(self, pool_id: int, fd: int, size: int) -> None:
        """Take the client's memory, which must be as large as it says."""
        memory = Memory(fd, size)
        pool = ShmPool(self.client, pool_id, memory, self.formats)
        if size <= 0 or os.fstat(fd).st_size < size:
            message = f"a pool of {size} bytes over {os.fstat(fd).st_size} bytes"
            raise ProtocolError(pool, INVALID_FD, message)
        if not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_RDWR:
            message = "a pool that cannot be written to"
            raise ProtocolError(pool, INVALID_FD, message)


class ShmPool(Resource):
    """wl_shm_pool."""

    interface = protocol.WL_SHM_POOL

    def __init__(
        self, client: Client, object_id: int, memory: Memory, formats: tuple[int, ...]
    ) -> None:
        """Hold the memory."""
        super().__init__(client, object_id)
        self.memory = memory
        self.formats = formats
        memory.users += 1

    def on_create_buffer(  # noqa: PLR0913, PLR0917, the protocol's arguments
        self, buffer_id: int, offset: int, width: int, height: int, stride: int, code: int
    ) -> None:
        """Cut a buffer out of the pool, checked as libwayland's server does."""
        if code not in self.formats:
            message = f"the format {code:#x} was not offered"
            raise ProtocolError(self, INVALID_FORMAT, message)
        if (
            min(width, height) <= 0
            or offset < 0
            or stride < width * BY_CODE[code].bytes_per_pixel
            or offset + stride * height > self.memory.size
        ):
            message = f"{width}x{height} of stride {stride} at {offset} in {self.memory.size} bytes"
            raise ProtocolError(self, INVALID_STRIDE, message)
        offer = ShmOffer(code, width, height, stride)
        Buffer(self.client, buffer_id, self.memory, offset, offer)

    def on_resize(self, size: int) -> None:
        """Grow."""
        if size < self.memory.size or os.fstat(self.memory.fd).st_size < size:
            raise ProtocolError(self, INVALID_FD, f"resize of a pool to {size} bytes")
        self.memory.size = size

    def destroy(self) -> None:
        """Let the memory go; buffers keep it."""
        super().destroy()
        self.let_go()

    on_destroy = destroy

    def let_go(self) -> None:
        """Close the memory, if nobody else needs it."""
        self.memory.drop()

    def leftover(self) -> str:
        """Pools are to be destroyed."""
        return f"{self} was not destroyed"


class Buffer(Resource):
    """wl_buffer."""

    interface = protocol.WL_BUFFER

    def __init__(
        self, client: Client, object_id: int, memory: Memory, offset: int, offer: ShmOffer
    ) -> None:
        """Hold the memory."""
        super().__init__(client, object_id)
        self.memory = memory
        self.offset = offset
        self.offer = offer
        self.surfaces = 0  # that show it
        memory.users += 1

    def destroy(self) -> None:
        """Let the memory go."""
        if self.surfaces:
            self.client.violation(f"{self} was destroyed while it was shown")
        super().destroy()
        self.let_go()

    on_destroy = destroy

    def let_go(self) -> None:
        """Close the memory, if nobody else needs it."""
        self.memory.drop()

    def leftover(self) -> str:
        """Buffers are to be destroyed."""
        return f"{self} was not destroyed"


class DmabufBuffer(Buffer):
    """wl_buffer of a dmabuf, or of what the tests take for one: any memory."""

    is_of_an_event = True

    def restrided(self, data: bytes | memoryview, stride: int) -> bytes:
        """Return rows that lie ``stride`` bytes apart as they lie in this buffer."""
        row = min(stride, self.offer.stride)
        rows = (bytes(data[y * stride :][:row]) for y in range(self.offer.height))
        return b"".join(row.ljust(self.offer.stride, b"\xe7") for row in rows)


class WlOutput(Resource):
    """wl_output."""

    interface = protocol.WL_OUTPUT

    def __init__(self, client: Client, object_id: int, version: int, head: Head) -> None:
        """Say everything about the output."""
        super().__init__(client, object_id, version)
        self.head = head
        self.describe()

    def describe(self) -> None:
        """Send all properties, then done."""
        output = self.head.output
        modes = output.modes
        if modes is None:
            modes = (Mode(output.width, output.height, output.refresh),)
        geometry = (
            output.x,
            output.y,
            *output.physical_size,
            0,
            output.make,
            output.model,
            output.transform,
        )
        names = [] if output.name is None else [("name", output.name)]
        properties = self.events(
            ("geometry", *geometry),
            *(("mode", mode.flags, mode.width, mode.height, mode.refresh) for mode in modes),
            ("scale", output.scale),
            *names,
            ("description", output.description),
        )
        if self.client.owe(Step.OUTPUT, self, properties, output.name):
            self.proceed(Step.OUTPUT)

    def proceed(self, step: Step) -> None:
        """Send done after the properties."""
        if step is Step.OUTPUT:
            self.client.owe(Step.OUTPUT_DONE, self, self.events(("done",)), self.head.output.name)


class XdgOutputManager(Resource):
    """zxdg_output_manager_v1."""

    interface = protocol.ZXDG_OUTPUT_MANAGER_V1

    def on_get_xdg_output(self, xdg_output_id: int, output_id: int) -> None:
        """Describe an output in the compositor's space."""
        wl_output = self.client.get(output_id, WlOutput)
        XdgOutput(self.client, xdg_output_id, self.version, wl_output)


class XdgOutput(Resource):
    """zxdg_output_v1."""

    interface = protocol.ZXDG_OUTPUT_V1

    def __init__(self, client: Client, object_id: int, version: int, wl_output: WlOutput) -> None:
        """Say everything about the output's place."""
        super().__init__(client, object_id, version)
        self.wl_output = wl_output
        self.describe()

    def describe(self) -> None:
        """Send all properties; from version 3 on wl_output.done closes them."""
        output = self.wl_output.head.output
        names = [] if output.name is None else [("name", output.name)]
        properties = self.events(
            ("logical_position", output.x, output.y),
            ("logical_size", *output.logical_size),
            *names,
            ("description", output.description),
        )
        last_version_with_done = 2
        if self.version <= last_version_with_done:
            properties += self.event("done")
        else:
            properties += self.wl_output.events(("done",))
        self.client.owe(Step.XDG_OUTPUT, self, properties, output.name)


class ScreencopyManager(Resource):
    """zwlr_screencopy_manager_v1."""

    interface = protocol.ZWLR_SCREENCOPY_MANAGER_V1

    def on_capture_output(self, frame_id: int, _overlay_cursor: int, output_id: int) -> None:
        """Begin a frame of a whole output."""
        head = self.client.get(output_id, WlOutput).head
        Frame(self.client, frame_id, self.version, head, None)

    def on_capture_output_region(  # noqa: PLR0913, PLR0917, the protocol's arguments
        self,
        frame_id: int,
        _overlay_cursor: int,
        output_id: int,
        x: int,
        y: int,
        width: int,
        height: int,
    ) -> None:
        """Begin a frame of a part, given in logical coordinates of the output."""
        head = self.client.get(output_id, WlOutput).head
        Frame(self.client, frame_id, self.version, head, (x, y, width, height))


class Copy(Resource):
    """A frame of either protocol: a copy that waits for its picture."""

    def __init__(self, client: Client, object_id: int, version: int, head: Head) -> None:
        """Wait for nothing yet."""
        super().__init__(client, object_id, version)
        self.head = head
        self.waiting = False  # for damage or for a film's next frame
        self.number = 0  # the frame of the film, or how many copies there were
        self.time_ns = 0  # when what was copied was shown
        self.ended = False  # ready or failed has been said

    @property
    def copied(self) -> int:
        """The frame of the film that was copied last; -1 before the first."""
        raise NotImplementedError

    @property
    def drawn_only(self) -> bool:
        """Whether only a frame of the film will do that is drawn anew."""
        raise NotImplementedError

    @property
    def is_due(self) -> bool:
        """Whether a picture that is no film is given now."""
        raise NotImplementedError

    def note_taken(self) -> None:
        """Remember that the frame ``number`` was given."""
        raise NotImplementedError

    def write(self) -> None:
        """Write that frame."""
        raise NotImplementedError

    def answer(self, *, leaping: bool = True) -> None:
        """Write the picture if there is a new one, else wait until retry()."""
        self.waiting = True
        film = self.head.output.film
        if film is not None:
            self.answer_film(film, leaping=leaping)
        elif self.is_due:
            self.number, self.head.copies = self.head.copies, self.head.copies + 1
            self.time_ns = self.client.compositor.config.clock.now_ns()
            self.note_taken()
            self.write()

    def answer_film(self, film: Film, *, leaping: bool) -> None:
        """Write the frame that is due by the rules of :mod:`tests.fake.film`."""
        clock, copied, drawn_only = (
            self.client.compositor.config.clock,
            self.copied,
            self.drawn_only,
        )
        current = film.number_at(clock.now_ns() - clock.base_ns)
        if drawn_only:
            current = film.drawn_at(current)
        number: int | None = current
        if current <= copied:
            number = film.drawn_after(copied) if drawn_only else copied + 1
        if number is None:
            return  # the film has ended
        self.number, self.time_ns = number, clock.base_ns + film.offset_ns(number)
        if number <= current or (leaping and clock.leap_to(self.time_ns)):
            self.note_taken()
            self.write()
        elif isinstance(clock, RealClock):
            self.client.compositor.later((self.time_ns - clock.now_ns()) / SECOND, self.retry)

    def retry(self, *, leaping: bool = False) -> None:
        """Look again for a new picture, if one is still waited for."""
        if self.waiting and self.client.open and not self.head.gone:
            self.answer(leaping=leaping)

    def destroy(self) -> None:
        """Wait no more."""
        self.waiting = False
        super().destroy()

    on_destroy = destroy

    def leftover(self) -> str:
        """Frames are to be destroyed, above all those that ended."""
        state = "ended" if self.ended else "under way"
        return f"{self}, {state}, was not destroyed"


class Frame(Copy):
    """zwlr_screencopy_frame_v1."""

    interface = protocol.ZWLR_SCREENCOPY_FRAME_V1

    def __init__(
        self, client: Client, object_id: int, version: int, head: Head, region: Region | None
    ) -> None:
        """Offer buffers."""
        super().__init__(client, object_id, version, head)
        self.region = region
        self.offers: tuple[ShmOffer, ...] = ()
        self.dmabuf_offer: tuple[int, int, int] | None = None  # fourcc, width, height
        self.offered = False  # all offers are made, the client may copy
        self.buffer: Buffer | None = None  # set by copy
        self.with_damage = False  # how it was copied
        if head.gone:
            self.fail()
            return
        self.offers = (
            (head.output.true_offer(region),) if head.output.offers is None else head.output.offers
        )
        announced = self.events(
            *(
                ("buffer", offer.format, offer.width, offer.height, offer.stride)
                for offer in self.offers
            )
        )
        fourcc = client.compositor.config.dmabuf_offer
        if fourcc is not None:
            true = head.output.true_offer(region)
            self.dmabuf_offer = fourcc, true.width, true.height
            announced += self.events(("linux_dmabuf", *self.dmabuf_offer))
        if self.owe(Step.BUFFER, announced):
            self.proceed(Step.BUFFER)

    def owe(self, step: Step, data: bytes) -> bool:
        """Answer, unless a fault prevents it."""
        return self.client.owe(step, self, data, self.head.output.name)

    def proceed(self, step: Step) -> None:
        """Take the next step: a frame goes through them one after the other."""
        if self.ended:
            return
        match step:
            case Step.BUFFER:
                if self.owe(Step.BUFFER_DONE, self.events(("buffer_done",))):
                    self.proceed(Step.BUFFER_DONE)
            case Step.BUFFER_DONE:
                self.offered = True
                self.owe(Step.OFFERED, b"")
            case Step.FLAGS:
                stamp = self.head.output.stamp(self.time_ns, self.number)
                seconds, nanoseconds = divmod(stamp, SECOND)
                ready = self.event("ready", seconds >> 32, seconds & 0xFFFFFFFF, nanoseconds)
                if self.owe(Step.READY, ready):
                    self.proceed(Step.READY)
            case Step.READY:
                self.ended = True
                self.owe(Step.AFTER_READY, b"")

    def on_copy(self, buffer_id: int) -> None:
        """Write the picture, now."""
        if self.take(buffer_id):
            self.answer()

    def on_copy_with_damage(self, buffer_id: int) -> None:
        """Write the picture once it differs."""
        self.with_damage = True
        if self.take(buffer_id):
            self.answer()

    @property
    def copied(self) -> int:
        """The client's last frame of this output."""
        return self.client.copied.get(self.head.index, -1)

    @property
    def drawn_only(self) -> bool:
        """Copy takes what is shown, and so does the first copy_with_damage after damage."""
        return self.with_damage and self.head.index not in self.client.stale

    @property
    def is_due(self) -> bool:
        """A picture that never changes is given at once, unless the screen is idle."""
        return self.head.damaged or not (self.with_damage and self.client.compositor.config.idle)

    def note_taken(self) -> None:
        """Forget the damage."""
        if self.head.output.film is not None:
            self.client.copied[self.head.index] = self.number
            self.client.stale.discard(self.head.index)
        elif self.with_damage:
            self.head.damaged = False

    def take(self, buffer_id: int) -> bool:
        """Check the buffer against the offers; tell whether there is anything to write."""
        if self.buffer is not None:
            raise ProtocolError(self, ALREADY_USED, "a second copy")
        buffer = self.client.get(buffer_id, Buffer)
        if self.ended:
            return False  # the client cannot have known
        self.buffer = buffer
        if not self.offered:
            self.client.violation(f"{self}: copy before all buffers were offered")
        if isinstance(buffer, DmabufBuffer):
            offer = buffer.offer
            if (offer.format, offer.width, offer.height) != self.dmabuf_offer:
                message = f"{offer} is not {self.dmabuf_offer}"
                raise ProtocolError(self, INVALID_BUFFER, message)
            return True
        if buffer.offer not in self.offers:
            message = f"{buffer.offer} is none of {self.offers}"
            raise ProtocolError(self, INVALID_BUFFER, message)
        size = buffer.offer.stride * buffer.offer.height
        if (buffer.offset, buffer.memory.size) != (0, size):
            # Some compositors refuse it.
            self.client.violation(
                f"{self}: a pool of {buffer.memory.size} bytes for a buffer of {size}"
            )
        return True

    def write(self) -> None:
        """Write the picture into the buffer and say so; of damage, that everything changed."""
        assert self.buffer is not None
        self.waiting = False
        if self.client.objects.get(self.buffer.object_id) is not self.buffer:
            self.client.violation(f"{self}: {self.buffer} was destroyed before its copy ended")
            self.fail()
            return
        output = self.head.output
        offer = output.true_offer(self.region)
        if isinstance(self.buffer, DmabufBuffer):
            picture = self.buffer.restrided(self.picture(), offer.stride)
            self.buffer.memory.write(self.buffer.offset, picture)
        # An offer that lies about the picture gets none.
        elif self.buffer.offer == offer:
            self.buffer.memory.write(self.buffer.offset, self.picture())
        said = self.event("flags", Y_INVERT if output.y_invert else 0)
        if self.with_damage:
            said += self.event("damage", 0, 0, offer.width, offer.height)
        if self.owe(Step.FLAGS, said):
            self.proceed(Step.FLAGS)

    def picture(self) -> bytes | memoryview:
        """Return the bytes that are copied."""
        output = self.head.output
        if output.film is None:
            return output.memory(self.head.index, self.region)
        return self.head.reel(self.region).memory(output.film.drawn_at(self.number))

    def fail(self, _reason: int = 0) -> None:
        """Give up, whatever the state."""
        self.waiting = False
        if not self.ended:
            self.ended = True
            self.client.send(self.event("failed"))
