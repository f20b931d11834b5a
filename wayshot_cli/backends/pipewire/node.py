"""``--pipewire-node``: a node of the user's own PipeWire, without a portal or a compositor."""

from wayshot_cli.backends.common import ANY, Target, Wish
from wayshot_cli.backends.pipewire.session import Session
from wayshot_cli.backends.pipewire.stream import Stream, open_stream
from wayshot_cli.errors import InvalidArgumentError, UnsupportedError
from wayshot_cli.geometry import Box, Size, Transform
from wayshot_cli.waiting import Waiter
from wayshot_cli.wayland.connection import Global
from wayshot_cli.wayland.outputs import Output

_UNKNOWN = Size(0, 0)
_ANY_BOX = Box(0, 0, 1, 1)  # a single stream's picture is its frame, whatever its box is


class Node:
    """The backend: one node, in the shape of the only output."""

    name = "PipeWire"
    memory = "the producer's buffers"
    waits_for_damage = True
    is_over = True  # a node that goes does not come back

    def __init__(self, connection: Waiter, node: int, wish: Wish = ANY) -> None:
        """Take the node's id; ``open`` connects to it.

        Raises UnsupportedError when all frames are wanted, changed or not.
        """
        if not wish.damage:
            message = "PipeWire gives only what has changed"
            raise UnsupportedError(message, hint="leave out --no-damage")
        self.connection = connection
        self._node = node
        self._wish = wish
        self._stream: Stream | None = None

    @property
    def notes(self) -> list[str]:
        """What there is to tell of the stream so far, for people."""
        return self._stream.notes if self._stream else []

    def read_outputs(self, target: Target) -> list[Output]:
        """Return the node in the shape of an output.

        Raises InvalidArgumentError for a target on a screen, UnsupportedError for a scale.
        """
        if target.names is not None or target.region is not None:
            message = f"an output or a region is on a screen, not in PipeWire node {self._node}"
            raise InvalidArgumentError(message)
        if target.scale is not None:
            message = f"PipeWire node {self._node} does not say how large a logical unit is"
            raise UnsupportedError(message, hint="leave out --scale")
        return [
            Output(
                name=f"node-{self._node}",
                description="a node of PipeWire's",
                make="",
                model="",
                box=_ANY_BOX,
                mode=_UNKNOWN,
                refresh_mhz=0,
                transform=Transform.NORMAL,
                integer_scale=1,
                physical_size_mm=_UNKNOWN,
                offer=Global(self._node, "PipeWire node", 1),
            )
        ]

    def are_current(self, outputs: list[Output]) -> bool:  # noqa: ARG002 - the contract's
        """Whether the node is still what it was; its session tells when it goes."""
        return True

    def open(self, output: Output, *, region: Box | None = None, cursor: bool = False) -> Session:
        """Return a session on the node; the cursor is painted here if it comes as metadata.

        Raises UnsupportedError without PipeWire.
        """
        assert region is None  # noqa: S101 - see read_outputs
        painter = "metadata" if cursor else "embedded"
        self._stream = open_stream(self.connection, self._wish, self._node, cursor=painter)
        return Session(self._stream, self.connection, output.box)

    def close(self) -> None:
        """Do nothing: its session ends the stream."""
