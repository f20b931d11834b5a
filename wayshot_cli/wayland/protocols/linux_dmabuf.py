"""linux-dmabuf-v1: GPU memory as wl_buffers, and which formats and devices the compositor takes.

``create_immed`` is left out on purpose: a buffer that it refuses ends the connection.
"""

from wayshot_cli.wayland.interface import Protocol
from wayshot_cli.wayland.protocols import core  # noqa: F401 - its tables are referred to

ZWP_LINUX_BUFFER_PARAMS_V1 = Protocol.interface(
    "zwp_linux_buffer_params_v1",
    5,
    requests=(
        ("destroy", ""),
        ("add", "huuuuu"),
        ("create", "iiuu"),
    ),
    events=(
        ("created", "n", "wl_buffer"),
        ("failed", ""),
    ),
)

ZWP_LINUX_DMABUF_FEEDBACK_V1 = Protocol.interface(
    "zwp_linux_dmabuf_feedback_v1",
    5,
    requests=(("destroy", ""),),
    events=(
        ("done", ""),
        ("format_table", "hu"),
        ("main_device", "a"),
        ("tranche_done", ""),
        ("tranche_target_device", "a"),
        ("tranche_formats", "a"),
        ("tranche_flags", "u"),
    ),
)

ZWP_LINUX_DMABUF_V1 = Protocol.interface(
    "zwp_linux_dmabuf_v1",
    5,
    requests=(
        ("destroy", ""),
        ("create_params", "n", "zwp_linux_buffer_params_v1"),
        ("get_default_feedback", "4n", "zwp_linux_dmabuf_feedback_v1"),
    ),
    events=(
        ("format", "u"),
        ("modifier", "3uuu"),
    ),
)
