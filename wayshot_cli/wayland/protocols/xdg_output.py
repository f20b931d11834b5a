"""xdg-output-unstable-v1: where outputs lie in the compositor's logical space."""

from wayshot_cli.wayland.interface import Protocol
from wayshot_cli.wayland.protocols import core  # noqa: F401 - wl_output's table is referred to

ZXDG_OUTPUT_V1 = Protocol.interface(
    "zxdg_output_v1",
    3,
    requests=(("destroy", ""),),
    events=(
        ("logical_position", "ii"),
        ("logical_size", "ii"),
        ("done", ""),
        ("name", "2s"),
        ("description", "2s"),
    ),
)

ZXDG_OUTPUT_MANAGER_V1 = Protocol.interface(
    "zxdg_output_manager_v1",
    3,
    requests=(
        ("destroy", ""),
        ("get_xdg_output", "no", "zxdg_output_v1", "wl_output"),
    ),
)
