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

WL_POINTER = Protocol.interface(
    "wl_pointer",
    5,
    requests=(
        ("set_cursor", "u?oii", "wl_surface"),
        ("release", "3"),
    ),
    events=(
        ("enter", "uoff", "wl_surface"),
        ("leave", "uo", "wl_surface"),
        ("motion", "uff"),
        ("button", "uuuu"),
        ("axis", "uuf"),
        ("frame", "5"),
        ("axis_source", "5u"),
        ("axis_stop", "5uu"),
        ("axis_discrete", "5ui"),
    ),
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

# Neither is ever made, but requests of seats name them.
WL_KEYBOARD = Protocol.interface(
    "wl_keyboard",
    1,
    events=(
        ("keymap", "uhu"),
        ("enter", "uoa", "wl_surface"),
        ("leave", "uo", "wl_surface"),
        ("key", "uuuu"),
        ("modifiers", "uuuuu"),
    ),
)

WL_TOUCH = Protocol.interface(
    "wl_touch",
    1,
    events=(
        ("down", "uuoiff", "wl_surface"),
        ("up", "uui"),
        ("motion", "uiff"),
        ("frame", ""),
        ("cancel", ""),
    ),
)

WL_SEAT = Protocol.interface(
    "wl_seat",
    5,
    requests=(
        ("get_pointer", "n", "wl_pointer"),
        ("get_keyboard", "n", "wl_keyboard"),
        ("get_touch", "n", "wl_touch"),
        ("release", "5"),
    ),
    events=(
        ("capabilities", "u"),
        ("name", "2s"),
    ),
)

WL_REGION = Protocol.interface(
    "wl_region",
    1,
    requests=(("destroy", ""),),
)

WL_SURFACE = Protocol.interface(
    "wl_surface",
    2,
    requests=(
        ("destroy", ""),
        ("attach", "?oii", "wl_buffer"),
        ("damage", "iiii"),
        ("frame", "n", "wl_callback"),
        ("set_opaque_region", "?o", "wl_region"),
        ("set_input_region", "?o", "wl_region"),
        ("commit", ""),
        ("set_buffer_transform", "2i"),
    ),
    events=(
        ("enter", "o", "wl_output"),
        ("leave", "o", "wl_output"),
    ),
)

WL_COMPOSITOR = Protocol.interface(
    "wl_compositor",
    2,
    requests=(("create_surface", "n", "wl_surface"),),
)
