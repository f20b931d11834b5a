"""The windows of the fake compositor: both lists of toplevels, and windows as sources of captures.

To the rest of the server what a window shows is what an output shows, under the window's name:
``damage`` and ``change_output`` do to it what they do to those.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from tests.fake import protocol
from tests.fake.config import Output
from tests.fake.faults import Step
from tests.fake.image_copy import ImageSession, ImageSource
from tests.fake.pixels import ARGB8888
from tests.fake.resources import Head, Resource, WlOutput

if TYPE_CHECKING:
    from tests.fake.client import Client
    from tests.fake.compositor import FakeCompositor
    from tests.fake.pixels import Picture

T = TypeVar("T")

MAXIMIZED, MINIMIZED, ACTIVATED, FULLSCREEN = range(4)
"""zwlr_foreign_toplevel_handle_v1.state"""


class Surface(Output):
    """What a window shows: darker than outputs, for no colour may be above the alpha of all."""

    def upright(self, index: int) -> Picture:
        """Return what the user sees over black."""
        return super().upright(index) // 3


@dataclass(frozen=True)
class Window:
    """One window: what is said of it, and what it shows.

    ``name`` is what tests and faults know it by, ``outputs`` the names of those that it is on.
    """

    name: str = "window-1"
    app_id: str | bytes = "fake.app"
    title: str | bytes = "A window"
    identifier: str | bytes | None = "window-1"  # None: no such event
    states: tuple[int, ...] = ()
    outputs: tuple[str, ...] = ()
    surface: Surface = field(
        default_factory=lambda: Surface(width=40, height=30, shm_format=ARGB8888)
    )


class Desktop:
    """The windows that are open, for the server's own thread."""

    def __init__(self, compositor: FakeCompositor) -> None:
        """Have none."""
        self.compositor = compositor
        self.windows: dict[str, Window] = {}
        self.heads: dict[str, Head] = {}  # what is captured of them; of those that were closed, too

    def open(self, window: Window) -> None:
        """Open a window, and tell everybody."""
        heads = self.compositor.heads
        self.windows[window.name] = window
        self.heads[window.name] = Head(replace(window.surface, name=window.name), len(heads))
        heads.append(self.heads[window.name])
        for it in self._resources(ToplevelList):
            it.tell(window.name)

    def change(self, name: str, changes: dict[str, object]) -> None:
        """Change what is said of a window, and tell everybody."""
        self.windows[name] = replace(self.windows[name], **changes)  # type: ignore[arg-type]
        for handle in self._handles(name):
            handle.describe()

    def close(self, name: str) -> None:
        """Close a window, stop captures of it, and tell everybody."""
        del self.windows[name]
        self.heads[name].gone = True
        for session in self._resources(ImageSession):
            if session.head is self.heads[name]:
                session.stop()
        for handle in self._handles(name):
            handle.client.send(handle.event("closed"))

    def finish(self) -> None:
        """Tell no more windows, and say so."""
        for it in self._resources(ToplevelList):
            it.finish()

    def _resources(self, kind: type[T]) -> list[T]:
        resources = (it for client in self.compositor.clients for it in client.objects.values())
        return [it for it in resources if isinstance(it, kind)]

    def _handles(self, name: str) -> list[Handle]:
        return [handle for handle in self._resources(Handle) if handle.name == name]


class ToplevelList(Resource):
    """ext_foreign_toplevel_list_v1."""

    interface = protocol.EXT_FOREIGN_TOPLEVEL_LIST_V1
    is_finished = False

    def __init__(self, client: Client, object_id: int, version: int) -> None:
        """Tell all windows."""
        super().__init__(client, object_id, version)
        for name in list(client.compositor.desktop.windows):
            self.tell(name)

    def tell(self, name: str) -> None:
        """Make a handle of a window, and describe it."""
        if not self.is_finished:
            ListHandle.make(self, name)

    def on_stop(self) -> None:
        """Tell no more."""
        self.finish()

    def finish(self) -> None:
        """Tell no more, and say so."""
        self.is_finished = True
        self.client.send(self.event("finished"))


class ToplevelManager(ToplevelList):
    """zwlr_foreign_toplevel_manager_v1."""

    interface = protocol.ZWLR_FOREIGN_TOPLEVEL_MANAGER_V1

    def tell(self, name: str) -> None:
        """Make a handle of a window, and describe it."""
        ManagedHandle.make(self, name)

    def finish(self) -> None:
        """Say that it is the end, and end, which nobody is told again."""
        super().finish()
        self.client.remove(self)


class Handle(Resource):
    """A window as one of the lists tells it."""

    is_of_an_event = True

    def __init__(self, client: Client, object_id: int, version: int, name: str) -> None:
        """Stand for a window."""
        super().__init__(client, object_id, version)
        self.name = name

    @classmethod
    def make(cls, announcer: ToplevelList, name: str) -> None:
        """Announce and describe a window."""
        client = announcer.client
        object_id = client.next_server_id
        client.next_server_id += 1
        client.send(announcer.event("toplevel", object_id))
        cls(client, object_id, announcer.version, name).describe()

    def describe(self) -> None:
        """Say what there is to say, then that it is all."""
        window = self.client.compositor.desktop.windows[self.name]
        if self.client.owe(Step.TOPLEVEL, self, self.description(window), self.name):
            self.proceed(Step.TOPLEVEL)

    def proceed(self, step: Step) -> None:
        """Close the description."""
        if step is Step.TOPLEVEL:
            self.client.owe(Step.TOPLEVEL_DONE, self, self.event("done"), self.name)

    def description(self, window: Window) -> bytes:
        """Return the events but done."""
        raise NotImplementedError


class ListHandle(Handle):
    """ext_foreign_toplevel_handle_v1."""

    interface = protocol.EXT_FOREIGN_TOPLEVEL_HANDLE_V1
    is_described = False

    def description(self, window: Window) -> bytes:
        """Say the identifier once."""
        is_new, self.is_described = not self.is_described, True
        says_identifier = is_new and window.identifier is not None
        return self.events(
            ("title", window.title),
            ("app_id", window.app_id),
            *((("identifier", window.identifier),) if says_identifier else ()),
        )


class ManagedHandle(Handle):
    """zwlr_foreign_toplevel_handle_v1."""

    interface = protocol.ZWLR_FOREIGN_TOPLEVEL_HANDLE_V1

    def description(self, window: Window) -> bytes:
        """Say states and outputs, too: of these only what the client knows."""
        known = [it for it in self.client.objects.values() if isinstance(it, WlOutput)]
        return self.events(
            ("title", window.title),
            ("app_id", window.app_id),
            *(
                ("output_enter", it.object_id)
                for it in known
                if it.head.output.name in window.outputs
            ),
            *(
                ("output_leave", it.object_id)
                for it in known
                if it.head.output.name not in window.outputs
            ),
            ("state", struct.pack(f"={len(window.states)}I", *window.states)),
        )


class ToplevelSourceManager(Resource):
    """ext_foreign_toplevel_image_capture_source_manager_v1."""

    interface = protocol.EXT_FOREIGN_TOPLEVEL_IMAGE_CAPTURE_SOURCE_MANAGER_V1

    def on_create_source(self, source_id: int, handle_id: int) -> None:
        """Name a window as a source."""
        handle = self.client.get(handle_id, ListHandle)
        ImageSource(self.client, source_id, self.client.compositor.desktop.heads[handle.name])
