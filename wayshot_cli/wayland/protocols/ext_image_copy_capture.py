"""ext-image-copy-capture-v1: copies of a capture source into the client's buffers."""

from wayshot_cli.wayland.interface import Protocol
from wayshot_cli.wayland.protocols import core, ext_image_capture_source  # noqa: F401 - referred to

EXT_IMAGE_COPY_CAPTURE_FRAME_V1 = Protocol.interface(
    "ext_image_copy_capture_frame_v1",
    1,
    requests=(
        ("destroy", ""),
        ("attach_buffer", "o", "wl_buffer"),
        ("damage_buffer", "iiii"),
        ("capture", ""),
    ),
    events=(
        ("transform", "u"),
        ("damage", "iiii"),
        ("presentation_time", "uuu"),
        ("ready", ""),
        ("failed", "u"),
    ),
)

EXT_IMAGE_COPY_CAPTURE_SESSION_V1 = Protocol.interface(
    "ext_image_copy_capture_session_v1",
    1,
    requests=(
        ("create_frame", "n", "ext_image_copy_capture_frame_v1"),
        ("destroy", ""),
    ),
    events=(
        ("buffer_size", "uu"),
        ("shm_format", "u"),
        ("dmabuf_device", "a"),
        ("dmabuf_format", "ua"),
        ("done", ""),
        ("stopped", ""),
    ),
)

EXT_IMAGE_COPY_CAPTURE_CURSOR_SESSION_V1 = Protocol.interface(
    "ext_image_copy_capture_cursor_session_v1",
    1,
    requests=(
        ("destroy", ""),
        ("get_capture_session", "n", "ext_image_copy_capture_session_v1"),
    ),
    events=(
        ("enter", ""),
        ("leave", ""),
        ("position", "ii"),
        ("hotspot", "ii"),
    ),
)

EXT_IMAGE_COPY_CAPTURE_MANAGER_V1 = Protocol.interface(
    "ext_image_copy_capture_manager_v1",
    1,
    requests=(
        (
            "create_session",
            "nou",
            "ext_image_copy_capture_session_v1",
            "ext_image_capture_source_v1",
        ),
        (
            "create_pointer_cursor_session",
            "noo",
            "ext_image_copy_capture_cursor_session_v1",
            "ext_image_capture_source_v1",
            "wl_pointer",
        ),
        ("destroy", ""),
    ),
)
