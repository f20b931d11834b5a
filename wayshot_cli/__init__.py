"""wayshot: pictures of a Wayland screen, exact to the pixel.

    import wayshot_cli as wayshot

    frame = wayshot.shot(output="DP-1")
    frame.save("shot.png")
    pixels = frame.to_numpy()  # (height, width, 3), no copy

    for frame in wayshot.stream(fps=30):
        ...

Names are loaded when they are first used: importing the package costs next to nothing.
"""

# Type checkers know the name; importing typing for it would put 2 ms of Ctrl-C answered with
# a traceback before the command's first statement.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from wayshot_cli.backends.common import PortalWish
    from wayshot_cli.dmabuf_frame import DmabufFrame
    from wayshot_cli.errors import (
        CancelledError,
        CaptureError,
        CaptureTimeoutError,
        ClosedError,
        ConcurrentUseError,
        FramesHeldError,
        InvalidArgumentError,
        NotFoundError,
        TargetLostError,
        UnsupportedError,
        WayshotError,
        WriteError,
    )
    from wayshot_cli.frame import Alpha, Cursor, Frame
    from wayshot_cli.geometry import Box, Size, Transform, parse_region
    from wayshot_cli.headless import Stage
    from wayshot_cli.still import outputs, shot, shot_dmabuf, windows
    from wayshot_cli.streaming import FrameStream, stream
    from wayshot_cli.wayland.connection import Connection
    from wayshot_cli.wayland.outputs import Output
    from wayshot_cli.wayland.toplevels import Window

__version__ = "0.1.0"

__all__ = [
    "Alpha",
    "Box",
    "CancelledError",
    "CaptureError",
    "CaptureTimeoutError",
    "ClosedError",
    "ConcurrentUseError",
    "Connection",
    "Cursor",
    "DmabufFrame",
    "Frame",
    "FrameStream",
    "FramesHeldError",
    "InvalidArgumentError",
    "NotFoundError",
    "Output",
    "PortalWish",
    "Size",
    "Stage",
    "TargetLostError",
    "Transform",
    "UnsupportedError",
    "WayshotError",
    "Window",
    "WriteError",
    "outputs",
    "parse_region",
    "shot",
    "shot_dmabuf",
    "stream",
    "windows",
]

_HOMES = {
    "Alpha": "frame",
    "DmabufFrame": "dmabuf_frame",
    "Cursor": "frame",
    "Frame": "frame",
    "FrameStream": "streaming",
    "Box": "geometry",
    "Size": "geometry",
    "Transform": "geometry",
    "parse_region": "geometry",
    "Stage": "headless",
    "Connection": "wayland.connection",
    "Output": "wayland.outputs",
    "PortalWish": "backends.common",
    "Window": "wayland.toplevels",
    "outputs": "still",
    "shot": "still",
    "shot_dmabuf": "still",
    "stream": "streaming",
    "windows": "still",
}


if not TYPE_CHECKING:  # by this, type checkers would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Import a public name from the module that defines it (PEP 562)."""
        if name not in __all__:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        from importlib import import_module  # noqa: PLC0415 - not needed by the command

        value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Name what is public, used already or not: prompts complete by this."""
    return sorted({*globals(), *__all__})
