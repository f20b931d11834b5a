"""Surfaces of the layer shell: as far as it takes to show a buffer on an output, and to check."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fake import protocol
from tests.fake.faults import Step
from tests.fake.resources import Buffer, Callback, ProtocolError, Resource, WlOutput

if TYPE_CHECKING:
    from tests.fake.client import Client
    from tests.fake.resources import Head

# zwlr_layer_shell_v1.error, zwlr_layer_surface_v1.error
ROLE = 0
INVALID_SURFACE_STATE = 0
INVALID_ANCHOR = 2


@dataclass(frozen=True)
class Shown:
    """What a layer surface shows, and how."""

    layer: int
    anchor: int
    exclusive_zone: int
    keyboard: int
    namespace: str
    destination: tuple[int, int] | None
    transform: int
    format: int
    size: tuple[int, int]
    stride: int
    pixels: bytes


class Compositor(Resource):
    """wl_compositor."""

    interface = protocol.WL_COMPOSITOR

    def on_create_surface(self, surface_id: int) -> None:
        """Make a surface."""
        Surface(self.client, surface_id, self.version)


class Surface(Resource):
    """wl_surface."""

    interface = protocol.WL_SURFACE

    def __init__(self, client: Client, object_id: int, version: int) -> None:
        """Show nothing."""
        super().__init__(client, object_id, version)
        self.role: LayerSurface | None = None
        self.viewport: Viewport | None = None
        self.transform = 0
        self.buffer: Buffer | None = None
        self._pending: Buffer | None = None
        self._callbacks: list[int] = []

    def on_attach(self, buffer_id: int, _x: int, _y: int) -> None:
        """Take a buffer for the next commit."""
        self._pending = self.client.get(buffer_id, Buffer)

    def on_damage(self, *_: int) -> None:
        """All is drawn anyway."""

    def on_frame(self, callback_id: int) -> None:
        """Call back when the next commit is shown."""
        self._callbacks.append(callback_id)

    def on_set_buffer_transform(self, transform: int) -> None:
        """Note how the buffer is turned."""
        self.transform = transform

    def on_commit(self) -> None:
        """Show what was attached."""
        if self._pending:
            self._release()
            self.buffer, self._pending = self._pending, None
            self.buffer.surfaces += 1
        if self.role:
            self.role.committed(self.buffer)
        callbacks, self._callbacks = self._callbacks, []
        for callback_id in callbacks:
            callback = Callback(self.client, callback_id)
            name = self.role.head.output.name if self.role else None
            if self.client.owe(Step.SHOWN, callback, callback.event("done", 0), name):
                callback.destroy()

    def _release(self) -> None:
        if self.buffer:
            self.buffer.surfaces -= 1
            self.buffer = None

    def destroy(self) -> None:
        """Show nothing any more; what depends on the surface has to be gone by now."""
        if self.role or self.viewport:
            self.client.violation(f"{self} was destroyed before its role or its viewport")
        self._release()
        super().destroy()

    on_destroy = destroy

    def leftover(self) -> str:
        """Surfaces are to be destroyed."""
        return f"{self} was not destroyed"


class Viewporter(Resource):
    """wp_viewporter."""

    interface = protocol.WP_VIEWPORTER

    def on_get_viewport(self, viewport_id: int, surface_id: int) -> None:
        """Make a viewport of a surface."""
        Viewport(self.client, viewport_id, self.client.get(surface_id, Surface))


class Viewport(Resource):
    """wp_viewport."""

    interface = protocol.WP_VIEWPORT

    def __init__(self, client: Client, object_id: int, surface: Surface) -> None:
        """Change nothing."""
        super().__init__(client, object_id)
        self.surface = surface
        self.destination: tuple[int, int] | None = None
        surface.viewport = self

    def on_set_destination(self, width: int, height: int) -> None:
        """Note the size in logical units."""
        if min(width, height) <= 0:
            raise ProtocolError(self, 0, f"a destination of {width}x{height}")
        self.destination = (width, height)

    def destroy(self) -> None:
        """Leave the surface alone."""
        self.surface.viewport = None
        super().destroy()

    on_destroy = destroy


class LayerShell(Resource):
    """zwlr_layer_shell_v1."""

    interface = protocol.ZWLR_LAYER_SHELL_V1

    def on_get_layer_surface(
        self, layer_surface_id: int, surface_id: int, output_id: int, layer: int, namespace: str
    ) -> None:
        """Make a surface one of a layer."""
        surface = self.client.get(surface_id, Surface)
        if surface.role:
            raise ProtocolError(self, ROLE, f"{surface} has a role")
        head = self.client.get(output_id, WlOutput).head
        LayerSurface(self.client, layer_surface_id, surface, head, layer, namespace)


class LayerSurface(Resource):
    """zwlr_layer_surface_v1."""

    interface = protocol.ZWLR_LAYER_SURFACE_V1

    def __init__(  # noqa: PLR0913, PLR0917, the facts of one
        self,
        client: Client,
        object_id: int,
        surface: Surface,
        head: Head,
        layer: int,
        namespace: str,
    ) -> None:
        """Wait for the first commit."""
        super().__init__(client, object_id)
        self.surface = surface
        self.head = head
        self.layer = layer
        self.namespace = namespace
        self.anchor = self.exclusive_zone = self.keyboard = 0
        self.serial = 0  # of the newest configure
        self.acknowledged = 0
        surface.role = self

    def on_set_anchor(self, anchor: int) -> None:
        """Note it."""
        self.anchor = anchor

    def on_set_exclusive_zone(self, zone: int) -> None:
        """Note it."""
        self.exclusive_zone = zone

    def on_set_keyboard_interactivity(self, keyboard: int) -> None:
        """Note it."""
        self.keyboard = keyboard

    def on_ack_configure(self, serial: int) -> None:
        """Note what the client has taken notice of."""
        if not self.acknowledged < serial <= self.serial:
            raise ProtocolError(self, INVALID_SURFACE_STATE, f"the serial {serial} is wrong")
        self.acknowledged = serial

    def committed(self, buffer: Buffer | None) -> None:
        """Check the surface; configure it at first."""
        if self.serial == 0:
            if buffer:
                message = "a buffer before the first configure"
                raise ProtocolError(self, INVALID_SURFACE_STATE, message)
            self.configure()
        elif buffer and not self.acknowledged:
            message = "a buffer before a configure was acknowledged"
            raise ProtocolError(self, INVALID_SURFACE_STATE, message)

    def configure(self, size: tuple[int, int] | None = None) -> None:
        """Give the surface a size: the output's, for it has none of its own."""
        if self.anchor != 1 | 2 | 4 | 8:
            raise ProtocolError(self, INVALID_ANCHOR, f"no size, and the anchor {self.anchor}")
        self.serial += 1
        output = self.head.output
        event = self.event("configure", self.serial, *(size or output.logical_size))
        self.client.owe(Step.CONFIGURE, self, event, output.name)

    def close(self) -> None:
        """Say that it is not shown any more."""
        self.client.send(self.event("closed"))

    def shown(self) -> Shown | None:
        """Return what it shows; None without a buffer."""
        buffer, viewport = self.surface.buffer, self.surface.viewport
        if buffer is None:
            return None
        with mmap.mmap(buffer.memory.fd, buffer.memory.size, prot=mmap.PROT_READ) as memory:
            pixels = memory[
                buffer.offset : buffer.offset + buffer.offer.stride * buffer.offer.height
            ]
        return Shown(
            self.layer,
            self.anchor,
            self.exclusive_zone,
            self.keyboard,
            self.namespace,
            viewport.destination if viewport else None,
            self.surface.transform,
            buffer.offer.format,
            (buffer.offer.width, buffer.offer.height),
            buffer.offer.stride,
            pixels,
        )

    def destroy(self) -> None:
        """Take it away."""
        self.surface.role = None
        super().destroy()

    on_destroy = destroy
