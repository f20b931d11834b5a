"""Outputs: what the compositor says of each, gathered into one immutable record."""

from typing import NamedTuple

from wayshot_cli.errors import CancelledError, NotFoundError
from wayshot_cli.geometry import Box, Size, Transform, true_scale
from wayshot_cli.waiting import Waiter
from wayshot_cli.wayland.connection import Connection, Global
from wayshot_cli.wayland.protocols.core import WL_OUTPUT
from wayshot_cli.wayland.protocols.xdg_output import ZXDG_OUTPUT_MANAGER_V1
from wayshot_cli.wayland.proxy import Proxy

FOCUSED = "focused"
"""The name that stands for the output with the active window."""

_MODE_CURRENT = 1  # wl_output.mode
_UNKNOWN = Size(0, 0)
_NOWHERE = Box(0, 0, 1, 1)


class Output(NamedTuple):
    """One output of the compositor.

    ``box`` is where it lies in logical space, ``mode`` its size in pixels before the
    transform (0x0 when unknown), ``refresh_mhz`` its refresh in millihertz (likewise),
    ``integer_scale`` what wl_output.scale says (the true scale rounded up). ``problem`` says why
    it cannot be captured, where it describes itself impossibly: the rest is then a guess.
    """

    name: str
    description: str
    make: str
    model: str
    box: Box
    mode: Size
    refresh_mhz: int
    transform: Transform
    integer_scale: int
    physical_size_mm: Size
    offer: Global
    problem: str | None = None

    @property
    def native_size(self) -> Size:
        """Size of an upright picture of the whole output in pixels."""
        return self.transform.apply(self.mode)

    @property
    def scale(self) -> float:
        """The true scale, in pixels per logical unit; wl_output.scale where no mode is known."""
        if self.mode == _UNKNOWN:
            return float(self.integer_scale)
        return true_scale(self.native_size, self.box.size)

    def as_json(self) -> dict[str, object]:
        """Return the record that ``wayshot list --json`` prints."""
        return {
            "name": self.name,
            "description": self.description,
            "make": self.make,
            "model": self.model,
            **self.box._asdict(),
            "scale": self.scale,
            "integer_scale": self.integer_scale,
            "transform": self.transform.label,
            "mode": {
                **self.mode._asdict(),
                "refresh": self.refresh_mhz / 1000 if self.refresh_mhz > 0 else None,
            },
            "physical_size_mm": list(self.physical_size_mm),
            **({"problem": self.problem} if self.problem else {}),
        }


def find_output(outputs: list[Output], name: str) -> Output:
    """Return the output of that name.

    Raises NotFoundError that lists the known names; CancelledError for an empty one, which is what
    a menu leaves that was closed.
    """
    if not name:
        message = "the output is empty: selection cancelled"
        raise CancelledError(message)
    for output in outputs:
        if output.name == name:
            return output
    known = ", ".join(repr(output.name)[1:-1] for output in outputs)
    message = f"no output named {name!r}"
    raise NotFoundError(message, hint=f"known outputs: {known}" if known else None)


def settle_names(connection: Waiter, names: list[str] | None) -> list[str] | None:
    """Return the names with ``focused`` replaced by the one that it stands for now.

    Without a compositor they stay as they are. Raises UnsupportedError when that cannot be told.
    """
    if names is None or FOCUSED not in names or not isinstance(connection, Connection):
        return names
    from wayshot_cli.wayland.toplevels import find_focused  # noqa: PLC0415 - for this name alone

    focused = find_focused(connection)
    return [focused if name == FOCUSED else name for name in names]


def read_outputs(connection: Connection) -> list[Output]:
    """Return the compositor's outputs as they are now, in the order it announced them.

    The first call binds them; the connection keeps what later events say of them. One that
    describes itself impossibly is there, with a ``problem``.
    """
    _bind_new(connection)
    connection.roundtrip("asking for the outputs")
    if _bind_new(connection):  # the answer told of them; how many more follow is not our concern
        connection.roundtrip("asking for the outputs")
    for name in connection.outputs.keys() - connection.globals.keys():
        connection.outputs.pop(name).forget()
    return [fact.output(number) for number, fact in enumerate(connection.outputs.values(), 1)]


def are_current(outputs: list[Output], connection: Connection) -> bool:
    """Tell whether the outputs are still as ``read_outputs`` returned them, asking nobody."""
    offers = [offer.name for offer in connection.find_all(WL_OUTPUT)]
    facts = connection.outputs
    # An output that was bound and then not asked about, as after a wake-up, knows nothing yet.
    if not offers == list(facts) == [output.offer.name for output in outputs]:
        return False
    return outputs == [fact.output(number) for number, fact in enumerate(facts.values(), 1)]


def _bind_new(connection: Connection) -> bool:
    manager = connection.singleton(ZXDG_OUTPUT_MANAGER_V1)
    new = [g for g in connection.find_all(WL_OUTPUT) if g.name not in connection.outputs]
    for offer in new:
        connection.outputs[offer.name] = OutputFacts(connection, offer, manager)
    return bool(new)


class OutputFacts:
    """What events have said so far of one output, and its proxy."""

    def __init__(self, connection: Connection, offer: Global, manager: Proxy | None) -> None:
        self.offer = offer
        self.name = ""
        self.description = ""
        self.make = ""
        self.model = ""
        self.position = (0, 0)
        self.physical_size = Size(0, 0)
        self.mode = Size(0, 0)
        self.refresh_mhz = 0
        self.transform = 0
        self.scale = 1
        self.logical_position: tuple[int, int] | None = None
        self.logical_size = Size(0, 0)
        self.proxy = connection.bind(offer, WL_OUTPUT).on(
            geometry=self._on_geometry,
            mode=self._on_mode,
            scale=self._on_scale,
            name=self._on_name,
            description=self._on_description,
        )
        self._xdg_output: Proxy | None = None
        if manager:
            self._xdg_output = manager.create(
                "get_xdg_output",
                self.proxy,
                logical_position=self._on_logical_position,
                logical_size=self._on_logical_size,
                name=self._on_name,
                description=self._on_description,
            )

    def _on_geometry(  # noqa: PLR0913, PLR0917 - wl_output.geometry has them all
        self,
        x: int,
        y: int,
        width_mm: int,
        height_mm: int,
        _subpixel: int,
        make: str | None,
        model: str | None,
        transform: int,
    ) -> None:
        self.position = (x, y)
        self.physical_size = Size(width_mm, height_mm)
        self.make, self.model = make or "", model or ""
        self.transform = transform

    def _on_mode(self, flags: int, width: int, height: int, refresh_mhz: int) -> None:
        if flags & _MODE_CURRENT:
            self.mode = Size(width, height)
            self.refresh_mhz = refresh_mhz

    def _on_scale(self, factor: int) -> None:
        self.scale = factor

    def _on_name(self, name: str | None) -> None:
        self.name = name or ""

    def _on_description(self, description: str | None) -> None:
        self.description = description or ""

    def _on_logical_position(self, x: int, y: int) -> None:
        self.logical_position = (x, y)

    def _on_logical_size(self, width: int, height: int) -> None:
        self.logical_size = Size(width, height)

    def forget(self) -> None:
        """Destroy the proxies."""
        self.proxy.destroy()
        if self._xdg_output:
            self._xdg_output.destroy()

    def output(self, number: int) -> Output:
        """Judge the facts."""
        # Before wl_output 4 and xdg_output 2 outputs have no names: count them.
        name = self.name or f"output-{number}"
        mode = self.mode if self.mode.is_possible else _UNKNOWN
        scale = max(1, self.scale)
        box, transform, problem = _NOWHERE, Transform.NORMAL, None
        if self.transform in tuple(Transform):
            transform = Transform(self.transform)
        else:
            problem = f"output {name!r} has the impossible transform {self.transform}"
        if self.logical_position is not None and self.logical_size.is_possible:
            box = Box(*self.logical_position, *self.logical_size)
        elif mode != _UNKNOWN:  # no xdg_output: the guess that clients made before it existed
            width, height = transform.apply(mode)
            box = Box(*self.position, max(1, width // scale), max(1, height // scale))
        else:
            problem = f"output {name!r} has neither a mode nor a logical size"
        return Output(
            name,
            self.description,
            self.make,
            self.model,
            box,
            mode,
            self.refresh_mhz,
            transform,
            scale,
            self.physical_size,
            self.offer,
            problem,
        )
