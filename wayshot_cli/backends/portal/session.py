"""Sessions on the streams of a cast: PipeWire's, and over when the cast is."""

import os
from typing import TYPE_CHECKING

from wayshot_cli.backends.pipewire import session
from wayshot_cli.backends.pipewire.offers import Preference
from wayshot_cli.backends.pipewire.stream import Stream, open_stream
from wayshot_cli.errors import TargetLostError
from wayshot_cli.frame import Alpha

if TYPE_CHECKING:
    from collections.abc import Callable

    from wayshot_cli.backends.common import Wish
    from wayshot_cli.backends.portal import screencast
    from wayshot_cli.geometry import Box
    from wayshot_cli.waiting import Waiter


class Session(session.Session):
    """Captures a stream of a cast."""

    def __init__(
        self, stream: Stream, waiter: "Waiter", box: "Box", cast: "screencast.Cast"
    ) -> None:
        """Take what ``connect`` made, to close it, and the cast that it is of."""
        # Mutter sends a picture when its stream begins to run, often too early, and then only
        # what changes. xdg-desktop-portal-wlr 0.8 can crash when it is stopped meanwhile.
        super().__init__(stream, waiter, box, nudges=cast.is_of_mutter)
        self._cast = cast

    @property
    def is_done(self) -> bool:
        """Whether ``finish()`` need not wait: also when the cast has ended."""
        return self._cast.is_closed or super().is_done

    def _finish(self, take: "Callable[[], session.T | None]", deadline: float) -> "session.T":
        """Wait for the frame that was asked for; raises TargetLostError when the cast has ended."""
        if self._cast.is_closed:
            self.cancel()
            message = f"the screen cast was ended while {self.doing}"
            raise TargetLostError(message)
        try:
            return super()._finish(take, deadline)
        except TargetLostError:
            self._cast.has_lost_a_stream = True  # the portal may say so later
            raise


def connect(
    cast: "screencast.Cast", stream: "screencast.Stream", wish: "Wish", waiter: "Waiter"
) -> "Stream":
    """Return a stream of a cast as PipeWire's, over a connection of its own."""
    prefer = Preference()
    if wish.portal.size:
        prefer = prefer._replace(size=wish.portal.size)
    if wish.portal.rate:
        prefer = prefer._replace(rate=wish.portal.rate)
    fd = cast.open_remote()
    try:
        return open_stream(
            waiter,
            wish,
            stream.node_id,
            serial=stream.serial,
            fd=fd,
            prefer=prefer,
            cursor=cast.cursor,
            alpha=Alpha.PREMULTIPLIED if stream.source == "window" else Alpha.IGNORED,
        )
    finally:
        os.close(fd)
