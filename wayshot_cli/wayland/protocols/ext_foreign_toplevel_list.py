"""ext-foreign-toplevel-list-v1: the windows, each with an identifier that is used once only."""

from wayshot_cli.wayland.interface import Protocol

EXT_FOREIGN_TOPLEVEL_HANDLE_V1 = Protocol.interface(
    "ext_foreign_toplevel_handle_v1",
    1,
    requests=(("destroy", ""),),
    events=(
        ("closed", ""),
        ("done", ""),
        ("title", "s"),
        ("app_id", "s"),
        ("identifier", "s"),
    ),
)

EXT_FOREIGN_TOPLEVEL_LIST_V1 = Protocol.interface(
    "ext_foreign_toplevel_list_v1",
    1,
    requests=(
        ("stop", ""),
        ("destroy", ""),
    ),
    events=(
        ("toplevel", "n", "ext_foreign_toplevel_handle_v1"),
        ("finished", ""),
    ),
)
