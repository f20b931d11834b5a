"""wlr-layer-shell-unstable-v1: surfaces that lie over or under an output's windows."""

from wayshot_cli.wayland.interface import Protocol
from wayshot_cli.wayland.protocols import core  # noqa: F401 - its tables are referred to

# From xdg-shell; never made here, but a request before one of ours names it.
XDG_POPUP = Protocol.interface(
    "xdg_popup",
    1,
    requests=(("destroy", ""),),
    events=(
        ("configure", "iiii"),
        ("popup_done", ""),
    ),
)

ZWLR_LAYER_SURFACE_V1 = Protocol.interface(
    "zwlr_layer_surface_v1",
    1,
    requests=(
        ("set_size", "uu"),
        ("set_anchor", "u"),
        ("set_exclusive_zone", "i"),
        ("set_margin", "iiii"),
        ("set_keyboard_interactivity", "u"),
        ("get_popup", "o", "xdg_popup"),
        ("ack_configure", "u"),
        ("destroy", ""),
    ),
    events=(
        ("configure", "uuu"),
        ("closed", ""),
    ),
)

ZWLR_LAYER_SHELL_V1 = Protocol.interface(
    "zwlr_layer_shell_v1",
    1,
    requests=(("get_layer_surface", "no?ous", "zwlr_layer_surface_v1", "wl_surface", "wl_output"),),
)
