"""wlr-foreign-toplevel-management-unstable-v1: the windows, with their states and outputs."""

from wayshot_cli.wayland.interface import Protocol
from wayshot_cli.wayland.protocols import core  # noqa: F401 - its tables are referred to

ZWLR_FOREIGN_TOPLEVEL_HANDLE_V1 = Protocol.interface(
    "zwlr_foreign_toplevel_handle_v1",
    3,
    requests=(
        ("set_maximized", ""),
        ("unset_maximized", ""),
        ("set_minimized", ""),
        ("unset_minimized", ""),
        ("activate", "o", "wl_seat"),
        ("close", ""),
        ("set_rectangle", "oiiii", "wl_surface"),
        ("destroy", ""),
    ),
    events=(
        ("title", "s"),
        ("app_id", "s"),
        ("output_enter", "o", "wl_output"),
        ("output_leave", "o", "wl_output"),
        ("state", "a"),
        ("done", ""),
        ("closed", ""),
        ("parent", "3?o", "zwlr_foreign_toplevel_handle_v1"),
    ),
)

ZWLR_FOREIGN_TOPLEVEL_MANAGER_V1 = Protocol.interface(
    "zwlr_foreign_toplevel_manager_v1",
    3,
    requests=(("stop", ""),),
    events=(
        ("toplevel", "n", "zwlr_foreign_toplevel_handle_v1"),
        ("finished", ""),
    ),
)
