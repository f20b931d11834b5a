"""The portal of every desktop: a screen cast that the user allows, as frames out of PipeWire.

What is cast, the portal's dialog decides; a token that the portal gives spares it the next time.
"""

import contextlib
from typing import TYPE_CHECKING

from wayshot_cli.backends.common import ANY, Target, Wish
from wayshot_cli.backends.portal import screenshot
from wayshot_cli.backends.portal.desktop import Desktop, desktop_name
from wayshot_cli.backends.portal.screencast import Cast, CastWish, ScreenCast
from wayshot_cli.backends.portal.streams import as_outputs, match
from wayshot_cli.backends.portal.tokens import TokenStore
from wayshot_cli.errors import InvalidArgumentError, TargetLostError, UnsupportedError
from wayshot_cli.geometry import Box, Size, Transform, bounding_box
from wayshot_cli.wayland.connection import Global
from wayshot_cli.wayland.outputs import Output, read_outputs

if TYPE_CHECKING:
    from wayshot_cli.backends.pipewire.stream import Stream
    from wayshot_cli.backends.portal import session
    from wayshot_cli.wayland.connection import Connection


class Portal:
    """The backend: asks once for a cast, whose streams then are its outputs.

    Where the wish allows it and there are no casts, or none is granted, the portal's
    screenshot is its only output.
    """

    name = "portal"
    memory = "PipeWire's buffers"
    waits_for_damage = True

    def __init__(self, connection: "Connection", wish: Wish = ANY) -> None:
        """Connect to the portal. Raises UnsupportedError where there is none that will do."""
        if not wish.damage:
            message = "the portal gives only what has changed"
            raise UnsupportedError(message, hint="leave out --no-damage")
        self.connection = connection
        self._notes: list[str] = []
        self._wish = wish
        self._screen_cast: ScreenCast | None = None
        self._screenshot: screenshot.Screenshot | None = None
        self.cast: Cast | None = None
        self._outputs: list[Output] | None = None
        self._streams: list[Stream] = []
        self._desktop = Desktop(connection)
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    @property
    def notes(self) -> list[str]:
        """What there is to tell of the cast and its streams so far, for people."""
        return [*self._notes, *(note for stream in self._streams for note in stream.notes)]

    def read_outputs(self, target: Target) -> list[Output]:
        """Return what is cast, in the shape of outputs; the first call asks for it.

        Raises CancelledError when the user says no, UnsupportedError when the portal does or does
        not say enough for the target, NotFoundError when there is no such output, TargetLostError
        once the cast has ended, InvalidArgumentError for a target that contradicts the source.
        """
        if self._outputs is None:
            self._outputs = self._ask(target)
        elif self.is_over:
            message = "the screen cast has ended"
            raise TargetLostError(message)
        return self._outputs

    def are_current(self, outputs: list[Output]) -> bool:
        """Whether these are still what is cast."""
        return outputs == self._outputs and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether the cast has ended; nothing brings it back but another dialog."""
        return self.cast is not None and self.cast.is_closed

    def open(
        self,
        output: Output,
        *,
        region: Box | None = None,
        cursor: bool = False,  # noqa: ARG002 - settled when the cast was asked for
    ) -> "screenshot.Session | session.Session":
        """Return a session on a stream. Raises UnsupportedError without PipeWire."""
        assert region is None  # noqa: S101 - plan() asks for none of an output without a mode
        if self._screenshot:
            return screenshot.Session(self._screenshot, output.box, self._notes.append)
        from wayshot_cli.backends.portal.session import Session, connect  # noqa: PLC0415 - PipeWire

        assert self.cast  # noqa: S101 - its outputs are known
        chosen = next(s for s in self.cast.streams if s.node_id == output.offer.name)
        stream = connect(self.cast, chosen, self._wish, self.connection)
        self._streams.append(stream)
        return Session(stream, self.connection, output.box, self.cast)

    def close(self) -> None:
        """End the cast and hang up. Harmless twice."""
        if self.cast:
            self.cast.close()
        self._desktop.close()

    def _connect(self) -> None:
        from wayshot_cli.backends.pipewire.library import library  # noqa: PLC0415 - as late as may be

        try:
            library()  # nobody is to be asked in vain
            self._screen_cast = ScreenCast(self._desktop)
        except UnsupportedError as error:
            self._fall_back(error)

    def _ask(self, target: Target) -> list[Output]:
        source, outputs = self._wish.portal.source, read_outputs(self.connection)
        names: list[str] = []
        if source == "monitor":
            names = [output.name for output in target.plan(outputs).outputs]
        elif target.names is not None or target.region is not None:
            message = f"an output or a region is on a monitor, not on a {source}"
            raise InvalidArgumentError(message)
        outputs = [output for output in outputs if not output.problem]
        if self._screen_cast:
            try:
                return self._ask_for_cast(self._screen_cast, target, outputs, names)
            except UnsupportedError as error:
                self._fall_back(error)
        return [_everything(outputs)]

    def _ask_for_cast(
        self, screen_cast: ScreenCast, target: Target, outputs: list[Output], names: list[str]
    ) -> list[Output]:
        what = " ".join([self._wish.portal.source, *names])
        store = TokenStore(desktop_name(), self._wish.warn)
        is_remote = self._wish.portal.remote_desktop or (
            store.get(f"screen-cast {what}") is None
            and store.get(f"remote-desktop {what}") is not None
        )
        key = f"{'remote-desktop' if is_remote else 'screen-cast'} {what}"
        wish = CastWish(self._wish.portal.source, len(names) > 1, target.cursor, is_remote)
        self.cast = _start(screen_cast, wish, key, store)
        try:
            shown, is_certain = as_outputs(self.cast.streams, outputs, target)
        except UnsupportedError:
            store.put(key, None)  # for the user to choose better the next time
            raise
        if not is_certain:
            chosen = match(self.cast.streams[0], outputs)
            self._wish.warn(
                f"which output it is, the portal's dialog decides: {chosen.name!r}"
                if chosen
                else "which output it is, the portal's dialog decides, and does not say"
            )
            if chosen:
                store.put(key, None)  # it is no permission for what was wanted
        return shown

    def _fall_back(self, error: UnsupportedError) -> None:
        """Go on with a screenshot where that will do; raises the error where it will not."""
        if not self._wish.screenshot:
            raise error
        try:
            self._screenshot = screenshot.Screenshot(self._desktop)
        except UnsupportedError:
            raise error from None
        if self.cast:  # its streams were not enough
            self.cast.close()
            self.cast = None
        self._notes.append(f"no screen cast: {error}")


def _start(screen_cast: ScreenCast, wish: CastWish, key: str, store: TokenStore) -> Cast:
    """Start a cast, by the token of the last one if there is one."""
    old = store.get(key)

    def keep(token: str | None) -> None:
        if token != old:  # a token is good for once; without a next one it is only to be dropped
            store.put(key, token)

    if old is not None:
        # A token that is refused, as for a screen that has gone, leaves the question to the user.
        with contextlib.suppress(UnsupportedError):
            return screen_cast.start(wish, old, keep)
    return screen_cast.start(wish, None, keep)


def _everything(outputs: list[Output]) -> Output:
    """Return the whole desktop in the shape of an output."""
    return Output(
        name="desktop",
        description="everything, as the desktop's own screenshots show it",
        make="",
        model="",
        box=bounding_box([output.box for output in outputs]),
        mode=Size(0, 0),
        refresh_mhz=0,
        transform=Transform.NORMAL,
        integer_scale=1,
        physical_size_mm=Size(0, 0),
        offer=Global(0, "portal screenshot", 1),
    )
