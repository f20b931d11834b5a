"""ext-image-capture-source-v1: what can be captured, an output or a window, as an object."""

from wayshot_cli.wayland.interface import Protocol
from wayshot_cli.wayland.protocols import core, ext_foreign_toplevel_list  # noqa: F401 - referred to

EXT_IMAGE_CAPTURE_SOURCE_V1 = Protocol.interface(
    "ext_image_capture_source_v1",
    1,
    requests=(("destroy", ""),),
)

EXT_OUTPUT_IMAGE_CAPTURE_SOURCE_MANAGER_V1 = Protocol.interface(
    "ext_output_image_capture_source_manager_v1",
    1,
    requests=(
        ("create_source", "no", "ext_image_capture_source_v1", "wl_output"),
        ("destroy", ""),
    ),
)

EXT_FOREIGN_TOPLEVEL_IMAGE_CAPTURE_SOURCE_MANAGER_V1 = Protocol.interface(
    "ext_foreign_toplevel_image_capture_source_manager_v1",
    1,
    requests=(
        (
            "create_source",
            "no",
            "ext_image_capture_source_v1",
            "ext_foreign_toplevel_handle_v1",
        ),
        ("destroy", ""),
    ),
)
