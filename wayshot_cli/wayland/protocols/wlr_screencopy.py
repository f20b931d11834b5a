"""wlr-screencopy-unstable-v1: copies of outputs into the client's buffers."""

from wayshot_cli.wayland.interface import Protocol
from wayshot_cli.wayland.protocols import core  # noqa: F401 - its tables are referred to

ZWLR_SCREENCOPY_FRAME_V1 = Protocol.interface(
    "zwlr_screencopy_frame_v1",
    3,
    requests=(
        ("copy", "o", "wl_buffer"),
        ("destroy", ""),
        ("copy_with_damage", "2o", "wl_buffer"),
    ),
    events=(
        ("buffer", "uuuu"),
        ("flags", "u"),
        ("ready", "uuu"),
        ("failed", ""),
        ("damage", "2uuuu"),
        ("linux_dmabuf", "3uuu"),
        ("buffer_done", "3"),
    ),
)

ZWLR_SCREENCOPY_MANAGER_V1 = Protocol.interface(
    "zwlr_screencopy_manager_v1",
    3,
    requests=(
        ("capture_output", "nio", "zwlr_screencopy_frame_v1", "wl_output"),
        ("capture_output_region", "nioiiii", "zwlr_screencopy_frame_v1", "wl_output"),
        ("destroy", ""),
    ),
)
