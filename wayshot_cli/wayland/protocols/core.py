"""The core protocol (wayland.xml), as far as wayshot uses it."""

from wayshot_cli.wayland.interface import Protocol

WL_CALLBACK = Protocol.interface(
    "wl_callback",
    1,
    events=(("done", "u"),),
)

WL_REGISTRY = Protocol.interface(
    "wl_registry",
    1,
    requests=(("bind", "usun", ""),),
    events=(
        ("global", "usu"),
        ("global_remove", "u"),
    ),
)

WL_DISPLAY = Protocol.interface(
    "wl_display",
    1,
    requests=(
        ("sync", "n", "wl_callback"),
        ("get_registry", "n", "wl_registry"),
    ),
    events=(
        ("error", "ous", ""),
        ("delete_id", "u"),
    ),
)

WL_BUFFER = Protocol.interface(
    "wl_buffer",
    1,
    requests=(("destroy", ""),),
    events=(("release", ""),),
)

WL_SHM_POOL = Protocol.interface(
    "wl_shm_pool",
    1,
    requests=(
        ("create_buffer", "niiiiu", "wl_buffer"),
        ("destroy", ""),
        ("resize", "i"),
    ),
)

WL_SHM = Protocol.interface(
    "wl_shm",
    1,
    requests=(("create_pool", "nhi", "wl_shm_pool"),),
    events=(("format", "u"),),
)

WL_OUTPUT = Protocol.interface(
    "wl_output",
    4,
    requests=(("release", "3"),),
    events=(
        ("geometry", "iiiiissi"),
        ("mode", "uiii"),
        ("done", "2"),
        ("scale", "2i"),
        ("name", "4s"),
        ("description", "4s"),
    ),
)
