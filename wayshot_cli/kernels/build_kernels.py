"""Builds ``_kernels``: the hot loops and the callbacks' trampolines, one C module.

Run by setup.py through cffi_modules. cffi compiles against Python's limited API, so that
one wheel serves every Python from 3.11.
"""

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent

CDEF = """
/* wire.c. Pointers to libwayland's types are void * here: pywayland's own
   cffi instance declares them, and addresses are all that passes between the two. */
extern "Python" int ws_dispatch(
    const void *, void *target, uint32_t opcode, const void *message, void *args);
int ws_wayland_open(const char *extension);
uint32_t ws_wayland_protocol_error(void *display, const void **interface, uint32_t *id);
void ws_wayland_cancel_read(void *display);
void *ws_wayland_marshal_constructor(
    void *proxy, uint32_t opcode, void *args, const void *interface, uint32_t version);
void ws_wayland_limit_buffers(void *display, size_t size);
void ws_wayland_keep_log(void);
const char *ws_wayland_last_log(void);
int ws_rename_noreplace(const char *from, const char *to);
int ws_connect(const char *path);
int ws_peer_pid(int fd);
int ws_at_end(int fd);
"""

PIPEWIRE_CDEF = """
/* What a stream of libpipewire calls (pw_stream_events); its types are declared in
   backends/pipewire, and only their addresses pass between the two. */
extern "Python" void ws_pw_state_changed(void *data, int old, int state, const char *error);
extern "Python" void ws_pw_param_changed(void *data, uint32_t id, const void *param);
extern "Python" void ws_pw_remove_buffer(void *data, void *buffer);
extern "Python" void ws_pw_process(void *data);
"""

KERNELS_CDEF = """
struct ws_image {
    const uint8_t *origin;
    ptrdiff_t step_x, step_y;
    uint32_t width, height;
    int kind, bytes;
    int red, green, blue, alpha;
    int alpha_mode;
};
struct ws_target { int depth, channels, big_endian; };
struct ws_qoi { ...; };
void ws_pack(const struct ws_image *, uint32_t y, uint32_t rows,
             const struct ws_target *, uint8_t *out, size_t stride);
void ws_copy(const struct ws_image *, uint32_t y, uint32_t rows, uint8_t *out);
int ws_is_opaque(const struct ws_image *);
size_t ws_filter_stride(uint32_t width, const struct ws_target *);
#define WS_FILTER_WORK_ROWS ...
size_t ws_filter(const struct ws_image *, uint32_t y, uint32_t rows,
                 const struct ws_target *, uint8_t *work, uint8_t *out);
size_t ws_filter_first(uint32_t width, const struct ws_target *, const uint8_t *work,
                       const uint8_t *above, uint8_t *out);
void ws_qoi_start(struct ws_qoi *);
size_t ws_qoi_encode(struct ws_qoi *, const uint8_t *pixels, size_t count, int channels,
                     uint8_t *out);
size_t ws_qoi_finish(struct ws_qoi *, uint8_t *out);
struct ws_yuv {
    float red, green, blue;
    float luma_low, luma_span;
    float chroma_middle, chroma_span;
    float top;
    float before, here, after;
    int bytes, shift;
    int shift_x, shift_y;
    int layout;
    uint8_t *plane[3];
    size_t stride[3];
};
void ws_to_yuv(const struct ws_image *, const struct ws_yuv *);
"""

ffibuilder = FFI()
ffibuilder.cdef(CDEF + PIPEWIRE_CDEF + KERNELS_CDEF)
ffibuilder.set_source(
    "wayshot_cli.kernels._kernels",
    '#include "wire.c"\n#include "kernels.c"\n#include "yuv.c"\n',
    include_dirs=[str(HERE)],
    # -O2, which Python's own flags often end in, does not vectorise these loops.
    extra_compile_args=["-O3", "-std=gnu11", "-Wall", "-Wextra"],
    libraries=["dl"],
)
