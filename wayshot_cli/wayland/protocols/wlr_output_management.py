"""wlr-output-management-unstable-v1: how outputs are set."""

from wayshot_cli.wayland.interface import Protocol

ZWLR_OUTPUT_MODE_V1 = Protocol.interface(
    "zwlr_output_mode_v1",
    1,
    events=(
        ("size", "ii"),
        ("refresh", "i"),
        ("preferred", ""),
        ("finished", ""),
    ),
)

ZWLR_OUTPUT_HEAD_V1 = Protocol.interface(
    "zwlr_output_head_v1",
    1,
    events=(
        ("name", "s"),
        ("description", "s"),
        ("physical_size", "ii"),
        ("mode", "n", "zwlr_output_mode_v1"),
        ("enabled", "i"),
        ("current_mode", "o", "zwlr_output_mode_v1"),
        ("position", "ii"),
        ("transform", "i"),
        ("scale", "f"),
        ("finished", ""),
    ),
)

ZWLR_OUTPUT_CONFIGURATION_HEAD_V1 = Protocol.interface(
    "zwlr_output_configuration_head_v1",
    1,
    requests=(
        ("set_mode", "o", "zwlr_output_mode_v1"),
        ("set_custom_mode", "iii"),
        ("set_position", "ii"),
        ("set_transform", "i"),
        ("set_scale", "f"),
    ),
)

ZWLR_OUTPUT_CONFIGURATION_V1 = Protocol.interface(
    "zwlr_output_configuration_v1",
    1,
    requests=(
        ("enable_head", "no", "zwlr_output_configuration_head_v1", "zwlr_output_head_v1"),
        ("disable_head", "o", "zwlr_output_head_v1"),
        ("apply", ""),
        ("test", ""),
        ("destroy", ""),
    ),
    events=(
        ("succeeded", ""),
        ("failed", ""),
        ("cancelled", ""),
    ),
)

ZWLR_OUTPUT_MANAGER_V1 = Protocol.interface(
    "zwlr_output_manager_v1",
    1,
    requests=(
        ("create_configuration", "nu", "zwlr_output_configuration_v1"),
        ("stop", ""),
    ),
    events=(
        ("head", "n", "zwlr_output_head_v1"),
        ("done", "u"),
        ("finished", ""),
    ),
)
