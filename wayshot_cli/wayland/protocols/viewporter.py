"""viewporter: parts of a buffer, shown at any size."""

from wayshot_cli.wayland.interface import Protocol
from wayshot_cli.wayland.protocols import core  # noqa: F401 - its tables are referred to

WP_VIEWPORT = Protocol.interface(
    "wp_viewport",
    1,
    requests=(
        ("destroy", ""),
        ("set_source", "ffff"),
        ("set_destination", "ii"),
    ),
)

WP_VIEWPORTER = Protocol.interface(
    "wp_viewporter",
    1,
    requests=(
        ("destroy", ""),
        ("get_viewport", "no", "wp_viewport", "wl_surface"),
    ),
)
