"""wlr-export-dmabuf-unstable-v1: the compositor's own buffers, lent for a moment."""

from wayshot_cli.wayland.interface import Protocol
from wayshot_cli.wayland.protocols import core  # noqa: F401 - its tables are referred to

ZWLR_EXPORT_DMABUF_FRAME_V1 = Protocol.interface(
    "zwlr_export_dmabuf_frame_v1",
    1,
    requests=(("destroy", ""),),
    events=(
        ("frame", "uuuuuuuuuu"),
        ("object", "uhuuuu"),
        ("ready", "uuu"),
        ("cancel", "u"),
    ),
)

ZWLR_EXPORT_DMABUF_MANAGER_V1 = Protocol.interface(
    "zwlr_export_dmabuf_manager_v1",
    1,
    requests=(
        ("capture_output", "nio", "zwlr_export_dmabuf_frame_v1", "wl_output"),
        ("destroy", ""),
    ),
)
