"""The pointer, of which only the cursor matters here."""

from typing import TYPE_CHECKING, NamedTuple

from wayshot_cli.wayland.protocols.core import WL_SEAT

if TYPE_CHECKING:
    from wayshot_cli.wayland.connection import Connection
    from wayshot_cli.wayland.proxy import Proxy

_POINTER = 1  # wl_seat.capability


class Pointer(NamedTuple):
    """A wl_pointer, and its seat: wlroots forgets the one when the other is released."""

    proxy: "Proxy"
    seat: "Proxy"

    def destroy(self) -> None:
        """Release both."""
        self.proxy.destroy()
        self.seat.destroy()


def create_pointer(connection: "Connection") -> Pointer | None:
    """Return the pointer of the first seat that has one, to be destroyed; None without any."""
    seats = [connection.bind(offer, WL_SEAT) for offer in connection.find_all(WL_SEAT)]
    able: list[Proxy] = []
    for seat in seats:

        def on_capabilities(capabilities: int, seat: "Proxy" = seat) -> None:
            if capabilities & _POINTER:
                able.append(seat)

        seat.on(capabilities=on_capabilities)
    try:
        connection.roundtrip("asking for the pointer")
    finally:
        for seat in seats:
            if seat not in able[:1]:
                seat.destroy()
    return Pointer(able[0].create("get_pointer"), able[0]) if able else None
