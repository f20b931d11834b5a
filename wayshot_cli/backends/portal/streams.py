"""Which output a stream shows: what the portal says, against what the compositor says."""

from typing import TYPE_CHECKING

from wayshot_cli.errors import UnsupportedError
from wayshot_cli.geometry import Box, Size, Transform
from wayshot_cli.wayland.connection import Global
from wayshot_cli.wayland.outputs import Output

if TYPE_CHECKING:
    from wayshot_cli.backends.common import Target
    from wayshot_cli.backends.portal.screencast import Stream

_UNKNOWN = Size(0, 0)
_ANY_BOX = Box(0, 0, 1, 1)  # of a single stream: its picture is its frame, whatever its box is


def match(stream: "Stream", outputs: list[Output]) -> Output | None:
    """Return the one output that a stream can be, None where that is none, or not certain.

    Portals say logical sizes, or pixels (xdg-desktop-portal-wlr); KDE's says no position.
    """
    if stream.size is None:
        return None
    found = [
        output
        for output in outputs
        if stream.size in (output.box.size, output.native_size)
        and stream.position in (None, (output.box.x, output.box.y))
    ]
    return found[0] if len(found) == 1 else None


def as_outputs(
    streams: "list[Stream]", outputs: list[Output], target: "Target"
) -> tuple[list[Output], bool]:
    """Return the streams as outputs that ``layout.plan`` can choose among for the target.

    And whether it is known that they show the outputs that were named. Raises UnsupportedError
    when the target cannot be found among them, because of what the portal does not say.
    """
    matches = [match(stream, outputs) for stream in streams]
    shown = [
        _as_output(stream, output, number)
        for number, (stream, output) in enumerate(zip(streams, matches, strict=True), 1)
    ]
    is_certain = True
    if target.names is not None:
        is_certain = set(target.names) <= {output.name for output in shown}
        if not is_certain:
            shown = [_only(shown, streams, target.names)]
    needs_place = target.region is not None or (target.names is None and len(shown) > 1)
    if needs_place and any(
        output is None and stream.box is None
        for stream, output in zip(streams, matches, strict=True)
    ):
        what = "the region" if target.region else f"each of its {len(streams)} streams"
        message = f"the portal does not say where {what} lies on its screens"
        raise UnsupportedError(message, hint="choose a single screen, and no region")
    if target.scale is not None and _ANY_BOX in (output.box for output in shown):
        message = "the portal does not say how large its stream is in logical units"
        raise UnsupportedError(message, hint="leave out --scale")
    return shown, is_certain


def _as_output(stream: "Stream", output: Output | None, number: int) -> Output:
    """Return a stream in the shape of an output; its mode comes with its frames."""
    offer = Global(stream.node_id, "PipeWire node", 1)
    if output:
        return output._replace(mode=_UNKNOWN, transform=Transform.NORMAL, offer=offer)
    box = stream.box or (Box(0, 0, *stream.size) if stream.size else _ANY_BOX)
    return Output(
        name=f"stream-{number}",
        description=f"a {stream.source or 'source'} that was chosen in the portal's dialog",
        make="",
        model="",
        box=box,
        mode=_UNKNOWN,
        refresh_mhz=0,
        transform=Transform.NORMAL,
        integer_scale=1,
        physical_size_mm=_UNKNOWN,
        offer=offer,
    )


def _only(shown: list[Output], streams: "list[Stream]", names: list[str]) -> Output:
    """Return the one stream under the one name: the dialog has decided what it is."""
    if len(set(names)) == len(streams) == 1:
        return shown[0]._replace(name=names[0])
    message = (
        f"the portal does not say which of its {len(streams)} streams "
        f"{'is' if len(names) == 1 else 'are'} {', '.join(map(repr, names))}"
    )
    raise UnsupportedError(message, hint="choose exactly these screens in its dialog")
