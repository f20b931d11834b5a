"""The clipboard of the fake compositor: ext-data-control and wlr-data-control, one selection."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

from tests.fake import protocol
from tests.fake.faults import Step
from tests.fake.image_copy import Seat
from tests.fake.resources import ProtocolError, Resource

if TYPE_CHECKING:
    from tests.fake.client import Client
    from tests.fake.compositor import FakeCompositor

INVALID_OFFER = 1  # *_data_control_source_v1.error
USED_SOURCE = 1  # *_data_control_device_v1.error


class Clipboard:
    """The selection of the one seat, for the server's own thread."""

    def __init__(self, compositor: FakeCompositor) -> None:
        """Have none."""
        self.compositor = compositor
        self.source: DataSource | None = None

    @property
    def mime_types(self) -> list[str]:
        """What it can be pasted as, in the order that was said."""
        return list(self.source.mime_types) if self.source else []

    def set(self, source: DataSource | None) -> None:
        """Replace the selection, and tell everybody."""
        old, self.source = self.source, source
        if old is not None:
            old.client.send(old.event("cancelled"))
        for device in self._devices():
            device.tell()

    def paste(self, mime_type: str, fd: int) -> None:
        """Ask whose selection it is to write to an fd, which is taken over."""
        if self.source is None:
            os.close(fd)
            message = "the clipboard is empty"
            raise LookupError(message)
        self.source.client.outgoing_fds.append(fd)
        self.source.client.send(self.source.event("send", mime_type, None))

    def finish(self) -> None:
        """Take the seat away."""
        for device in self._devices():
            device.client.send(device.event("finished"))

    def _devices(self) -> list[DataDevice]:
        resources = (it for client in self.compositor.clients for it in client.objects.values())
        return [it for it in resources if isinstance(it, DataDevice)]


class DataOffer(Resource):
    """*_data_control_offer_v1."""

    is_of_an_event = True


class ExtDataOffer(DataOffer):
    """ext_data_control_offer_v1."""

    interface = protocol.EXT_DATA_CONTROL_OFFER_V1


class WlrDataOffer(DataOffer):
    """zwlr_data_control_offer_v1."""

    interface = protocol.ZWLR_DATA_CONTROL_OFFER_V1


class DataSource(Resource):
    """*_data_control_source_v1."""

    def __init__(self, client: Client, object_id: int, version: int) -> None:
        """Offer nothing yet."""
        super().__init__(client, object_id, version)
        self.mime_types: list[str] = []
        self.is_used = False

    def on_offer(self, mime_type: str) -> None:
        """Note what it can be pasted as."""
        if self.is_used:
            raise ProtocolError(self, INVALID_OFFER, "offer after set_selection")
        self.mime_types.append(mime_type)

    def destroy(self) -> None:
        """Empty the clipboard, if it was this."""
        super().destroy()
        self.let_go()

    on_destroy = destroy

    def let_go(self) -> None:
        """Empty the clipboard, if it was this."""
        if self.client.compositor.clipboard.source is self:
            self.client.compositor.clipboard.source = None


class ExtDataSource(DataSource):
    """ext_data_control_source_v1."""

    interface = protocol.EXT_DATA_CONTROL_SOURCE_V1


class WlrDataSource(DataSource):
    """zwlr_data_control_source_v1."""

    interface = protocol.ZWLR_DATA_CONTROL_SOURCE_V1


class DataDevice(Resource):
    """*_data_control_device_v1."""

    offer: ClassVar[type[DataOffer]]

    def on_set_selection(self, source_id: int) -> None:
        """Take a source, once, or nothing, for the clipboard."""
        source = self.client.get(source_id, DataSource) if source_id else None
        if source is not None:
            if source.is_used:
                raise ProtocolError(self, USED_SOURCE, "set_selection of a source once more")
            source.is_used = True
        if self.client.owe(Step.SELECTION, self, b""):
            self.client.compositor.clipboard.set(source)

    def tell(self) -> None:
        """Say what is on the clipboard, by an offer."""
        if self.client.compositor.clipboard.source is None:
            self.client.send(self.event("selection", None))
            return
        object_id = self.client.next_server_id
        self.client.next_server_id += 1
        self.client.send(self.event("data_offer", object_id))
        offer = self.offer(self.client, object_id, self.version)
        self.client.send(
            offer.events(*(("offer", it) for it in self.client.compositor.clipboard.mime_types))
        )
        self.client.send(self.event("selection", object_id))


class ExtDataDevice(DataDevice):
    """ext_data_control_device_v1."""

    interface = protocol.EXT_DATA_CONTROL_DEVICE_V1
    offer = ExtDataOffer


class WlrDataDevice(DataDevice):
    """zwlr_data_control_device_v1."""

    interface = protocol.ZWLR_DATA_CONTROL_DEVICE_V1
    offer = WlrDataOffer


class DataManager(Resource):
    """*_data_control_manager_v1."""

    source: ClassVar[type[DataSource]]
    device: ClassVar[type[DataDevice]]

    def on_create_data_source(self, source_id: int) -> None:
        """Make a source."""
        self.source(self.client, source_id, self.version)

    def on_get_data_device(self, device_id: int, seat_id: int) -> None:
        """Give the clipboard of a seat."""
        self.client.get(seat_id, Seat)
        self.device(self.client, device_id, self.version).tell()


class ExtDataManager(DataManager):
    """ext_data_control_manager_v1."""

    interface = protocol.EXT_DATA_CONTROL_MANAGER_V1
    source = ExtDataSource
    device = ExtDataDevice


class WlrDataManager(DataManager):
    """zwlr_data_control_manager_v1."""

    interface = protocol.ZWLR_DATA_CONTROL_MANAGER_V1
    source = WlrDataSource
    device = WlrDataDevice
