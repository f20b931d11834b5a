"""The interfaces that the fake compositor serves: requests and events in the order of opcodes."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Interface:
    """A name and its messages, each a (name, signature)."""

    name: str
    requests: tuple[tuple[str, str], ...] = ()
    events: tuple[tuple[str, str], ...] = ()

    def event(self, name: str) -> tuple[int, str]:
        """Return the opcode and the signature of an event."""
        for opcode, (event, signature) in enumerate(self.events):
            if event == name:
                return opcode, signature
        raise KeyError(name)


WL_DISPLAY = Interface(
    "wl_display",
    requests=(("sync", "n"), ("get_registry", "n")),
    events=(("error", "ous"), ("delete_id", "u")),
)
WL_REGISTRY = Interface(
    "wl_registry",
    requests=(("bind", "usun"),),  # a new_id without an interface: name, interface, version, id
    events=(("global", "usu"), ("global_remove", "u")),
)
WL_CALLBACK = Interface("wl_callback", events=(("done", "u"),))
WL_SHM = Interface(
    "wl_shm",
    requests=(("create_pool", "nhi"), ("release", "2")),
    events=(("format", "u"),),
)
WL_SHM_POOL = Interface(
    "wl_shm_pool",
    requests=(("create_buffer", "niiiiu"), ("destroy", ""), ("resize", "i")),
)
WL_BUFFER = Interface("wl_buffer", requests=(("destroy", ""),), events=(("release", ""),))
WL_OUTPUT = Interface(
    "wl_output",
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
ZXDG_OUTPUT_MANAGER_V1 = Interface(
    "zxdg_output_manager_v1",
    requests=(("destroy", ""), ("get_xdg_output", "no")),
)
ZXDG_OUTPUT_V1 = Interface(
    "zxdg_output_v1",
    requests=(("destroy", ""),),
    events=(
        ("logical_position", "ii"),
        ("logical_size", "ii"),
        ("done", ""),
        ("name", "2s"),
        ("description", "2s"),
    ),
)
ZWLR_SCREENCOPY_MANAGER_V1 = Interface(
    "zwlr_screencopy_manager_v1",
    requests=(
        ("capture_output", "nio"),
        ("capture_output_region", "nioiiii"),
        ("destroy", ""),
    ),
)
ZWLR_SCREENCOPY_FRAME_V1 = Interface(
    "zwlr_screencopy_frame_v1",
    requests=(("copy", "o"), ("destroy", ""), ("copy_with_damage", "2o")),
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
ZWP_LINUX_DMABUF_V1 = Interface(
    "zwp_linux_dmabuf_v1",
    requests=(
        ("destroy", ""),
        ("create_params", "n"),
        ("get_default_feedback", "4n"),
        ("get_surface_feedback", "4no"),
    ),
    events=(("format", "u"), ("modifier", "3uuu")),
)
ZWP_LINUX_DMABUF_FEEDBACK_V1 = Interface(
    "zwp_linux_dmabuf_feedback_v1",
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
ZWP_LINUX_BUFFER_PARAMS_V1 = Interface(
    "zwp_linux_buffer_params_v1",
    requests=(
        ("destroy", ""),
        ("add", "huuuuu"),
        ("create", "iiuu"),
        ("create_immed", "2niiuu"),
    ),
    events=(("created", "n"), ("failed", "")),
)
ZWLR_EXPORT_DMABUF_MANAGER_V1 = Interface(
    "zwlr_export_dmabuf_manager_v1",
    requests=(("capture_output", "nio"), ("destroy", "")),
)
ZWLR_EXPORT_DMABUF_FRAME_V1 = Interface(
    "zwlr_export_dmabuf_frame_v1",
    requests=(("destroy", ""),),
    events=(
        ("frame", "uuuuuuuuuu"),
        ("object", "uhuuuu"),
        ("ready", "uuu"),
        ("cancel", "u"),
    ),
)
EXT_IMAGE_CAPTURE_SOURCE_V1 = Interface(
    "ext_image_capture_source_v1",
    requests=(("destroy", ""),),
)
EXT_OUTPUT_IMAGE_CAPTURE_SOURCE_MANAGER_V1 = Interface(
    "ext_output_image_capture_source_manager_v1",
    requests=(("create_source", "no"), ("destroy", "")),
)
EXT_IMAGE_COPY_CAPTURE_MANAGER_V1 = Interface(
    "ext_image_copy_capture_manager_v1",
    requests=(
        ("create_session", "nou"),
        ("create_pointer_cursor_session", "noo"),
        ("destroy", ""),
    ),
)
EXT_IMAGE_COPY_CAPTURE_CURSOR_SESSION_V1 = Interface(
    "ext_image_copy_capture_cursor_session_v1",
    requests=(("destroy", ""), ("get_capture_session", "n")),
    events=(("enter", ""), ("leave", ""), ("position", "ii"), ("hotspot", "ii")),
)
WL_SEAT = Interface(
    "wl_seat",
    requests=(("get_pointer", "n"), ("get_keyboard", "n"), ("get_touch", "n"), ("release", "5")),
    events=(("capabilities", "u"), ("name", "2s")),
)
WL_POINTER = Interface("wl_pointer", requests=(("set_cursor", "uoii"), ("release", "3")))
EXT_IMAGE_COPY_CAPTURE_SESSION_V1 = Interface(
    "ext_image_copy_capture_session_v1",
    requests=(("create_frame", "n"), ("destroy", "")),
    events=(
        ("buffer_size", "uu"),
        ("shm_format", "u"),
        ("dmabuf_device", "a"),
        ("dmabuf_format", "ua"),
        ("done", ""),
        ("stopped", ""),
    ),
)
EXT_IMAGE_COPY_CAPTURE_FRAME_V1 = Interface(
    "ext_image_copy_capture_frame_v1",
    requests=(
        ("destroy", ""),
        ("attach_buffer", "o"),
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
EXT_FOREIGN_TOPLEVEL_LIST_V1 = Interface(
    "ext_foreign_toplevel_list_v1",
    requests=(("stop", ""), ("destroy", "")),
    events=(("toplevel", "n"), ("finished", "")),
)
EXT_FOREIGN_TOPLEVEL_HANDLE_V1 = Interface(
    "ext_foreign_toplevel_handle_v1",
    requests=(("destroy", ""),),
    events=(
        ("closed", ""),
        ("done", ""),
        ("title", "s"),
        ("app_id", "s"),
        ("identifier", "s"),
    ),
)
EXT_FOREIGN_TOPLEVEL_IMAGE_CAPTURE_SOURCE_MANAGER_V1 = Interface(
    "ext_foreign_toplevel_image_capture_source_manager_v1",
    requests=(("create_source", "no"), ("destroy", "")),
)
ZWLR_FOREIGN_TOPLEVEL_MANAGER_V1 = Interface(
    "zwlr_foreign_toplevel_manager_v1",
    requests=(("stop", ""),),
    events=(("toplevel", "n"), ("finished", "")),
)
ZWLR_FOREIGN_TOPLEVEL_HANDLE_V1 = Interface(
    "zwlr_foreign_toplevel_handle_v1",
    requests=(
        ("set_maximized", ""),
        ("unset_maximized", ""),
        ("set_minimized", ""),
        ("unset_minimized", ""),
        ("activate", "o"),
        ("close", ""),
        ("set_rectangle", "oiiii"),
        ("destroy", ""),
    ),
    events=(
        ("title", "s"),
        ("app_id", "s"),
        ("output_enter", "o"),
        ("output_leave", "o"),
        ("state", "a"),
        ("done", ""),
        ("closed", ""),
        ("parent", "3o"),
    ),
)
EXT_DATA_CONTROL_OFFER_V1 = Interface(
    "ext_data_control_offer_v1",
    requests=(("receive", "sh"), ("destroy", "")),
    events=(("offer", "s"),),
)
EXT_DATA_CONTROL_SOURCE_V1 = Interface(
    "ext_data_control_source_v1",
    requests=(("offer", "s"), ("destroy", "")),
    events=(("send", "sh"), ("cancelled", "")),
)
EXT_DATA_CONTROL_DEVICE_V1 = Interface(
    "ext_data_control_device_v1",
    requests=(("set_selection", "?o"), ("destroy", ""), ("set_primary_selection", "?o")),
    events=(
        ("data_offer", "n"),
        ("selection", "?o"),
        ("finished", ""),
        ("primary_selection", "?o"),
    ),
)
EXT_DATA_CONTROL_MANAGER_V1 = Interface(
    "ext_data_control_manager_v1",
    requests=(("create_data_source", "n"), ("get_data_device", "no"), ("destroy", "")),
)
ZWLR_DATA_CONTROL_OFFER_V1 = replace(EXT_DATA_CONTROL_OFFER_V1, name="zwlr_data_control_offer_v1")
ZWLR_DATA_CONTROL_SOURCE_V1 = replace(
    EXT_DATA_CONTROL_SOURCE_V1, name="zwlr_data_control_source_v1"
)
ZWLR_DATA_CONTROL_DEVICE_V1 = Interface(
    "zwlr_data_control_device_v1",
    requests=(("set_selection", "?o"), ("destroy", ""), ("set_primary_selection", "2?o")),
    events=(
        ("data_offer", "n"),
        ("selection", "?o"),
        ("finished", ""),
        ("primary_selection", "2?o"),
    ),
)
ZWLR_DATA_CONTROL_MANAGER_V1 = replace(
    EXT_DATA_CONTROL_MANAGER_V1, name="zwlr_data_control_manager_v1"
)
WL_COMPOSITOR = Interface(
    "wl_compositor", requests=(("create_surface", "n"), ("create_region", "n"))
)
WL_SURFACE = Interface(
    "wl_surface",
    requests=(
        ("destroy", ""),
        ("attach", "oii"),
        ("damage", "iiii"),
        ("frame", "n"),
        ("set_opaque_region", "o"),
        ("set_input_region", "o"),
        ("commit", ""),
        ("set_buffer_transform", "2i"),
        ("set_buffer_scale", "3i"),
    ),
    events=(("enter", "o"), ("leave", "o")),
)
WP_VIEWPORTER = Interface("wp_viewporter", requests=(("destroy", ""), ("get_viewport", "no")))
WP_VIEWPORT = Interface(
    "wp_viewport",
    requests=(("destroy", ""), ("set_source", "ffff"), ("set_destination", "ii")),
)
ZWLR_LAYER_SHELL_V1 = Interface(
    "zwlr_layer_shell_v1", requests=(("get_layer_surface", "noous"), ("destroy", "3"))
)
ZWLR_LAYER_SURFACE_V1 = Interface(
    "zwlr_layer_surface_v1",
    requests=(
        ("set_size", "uu"),
        ("set_anchor", "u"),
        ("set_exclusive_zone", "i"),
        ("set_margin", "iiii"),
        ("set_keyboard_interactivity", "u"),
        ("get_popup", "o"),
        ("ack_configure", "u"),
        ("destroy", ""),
    ),
    events=(("configure", "uuu"), ("closed", "")),
)
