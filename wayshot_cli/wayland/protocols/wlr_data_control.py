"""wlr-data-control-unstable-v1: the clipboard, without a window and without the focus."""

from wayshot_cli.wayland.interface import Protocol
from wayshot_cli.wayland.protocols import core  # noqa: F401 - its tables are referred to

ZWLR_DATA_CONTROL_OFFER_V1 = Protocol.interface(
    "zwlr_data_control_offer_v1",
    1,
    requests=(
        ("receive", "sh"),
        ("destroy", ""),
    ),
    events=(("offer", "s"),),
)

ZWLR_DATA_CONTROL_SOURCE_V1 = Protocol.interface(
    "zwlr_data_control_source_v1",
    1,
    requests=(
        ("offer", "s"),
        ("destroy", ""),
    ),
    events=(
        ("send", "sh"),
        ("cancelled", ""),
    ),
)

ZWLR_DATA_CONTROL_DEVICE_V1 = Protocol.interface(
    "zwlr_data_control_device_v1",
    1,
    requests=(
        ("set_selection", "?o", "zwlr_data_control_source_v1"),
        ("destroy", ""),
    ),
    events=(
        ("data_offer", "n", "zwlr_data_control_offer_v1"),
        ("selection", "?o", "zwlr_data_control_offer_v1"),
        ("finished", ""),
    ),
)

ZWLR_DATA_CONTROL_MANAGER_V1 = Protocol.interface(
    "zwlr_data_control_manager_v1",
    1,
    requests=(
        ("create_data_source", "n", "zwlr_data_control_source_v1"),
        ("get_data_device", "no", "zwlr_data_control_device_v1", "wl_seat"),
        ("destroy", ""),
    ),
)
