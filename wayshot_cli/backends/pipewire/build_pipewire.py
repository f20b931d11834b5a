"""Builds ``_pipewire``: what of libpipewire is called, as a Python module, like buffers/build_gbm.

Run by setup.py through cffi_modules. Structs that libpipewire may lengthen are only read here,
through pointers. What it calls back lies in kernels/: ABI mode has no callbacks.
"""

from cffi import FFI

CDEF = """
// pipewire/pipewire.h, thread-loop.h, context.h, core.h, properties.h
void pw_init(int *argc, char **argv[]);
const char *pw_get_library_version(void);

struct pw_thread_loop *pw_thread_loop_new(const char *name, const void *dict);
void pw_thread_loop_destroy(struct pw_thread_loop *);
int pw_thread_loop_start(struct pw_thread_loop *);
void pw_thread_loop_stop(struct pw_thread_loop *);
void pw_thread_loop_lock(struct pw_thread_loop *);
void pw_thread_loop_unlock(struct pw_thread_loop *);
bool pw_thread_loop_in_thread(struct pw_thread_loop *);
struct pw_loop *pw_thread_loop_get_loop(struct pw_thread_loop *);

struct pw_properties *pw_properties_new_string(const char *);

struct pw_context *pw_context_new(struct pw_loop *, struct pw_properties *, size_t);
void pw_context_destroy(struct pw_context *);
struct pw_core *pw_context_connect(struct pw_context *, struct pw_properties *, size_t);
struct pw_core *pw_context_connect_fd(
    struct pw_context *, int fd, struct pw_properties *, size_t);
int pw_core_disconnect(struct pw_core *);

// spa/utils/hook.h: six pointers
struct spa_hook { void *opaque[6]; };

// spa/buffer/buffer.h, meta.h
struct spa_chunk { uint32_t offset, size; int32_t stride, flags; };
struct spa_data {
    uint32_t type, flags;
    int64_t fd;
    uint32_t mapoffset, maxsize;
    void *data;
    struct spa_chunk *chunk;
};
struct spa_meta { uint32_t type, size; void *data; };
struct spa_buffer {
    uint32_t n_metas, n_datas;
    struct spa_meta *metas;
    struct spa_data *datas;
};

// pipewire/stream.h; pw_buffer goes on behind what is read of it
struct pw_buffer { struct spa_buffer *buffer; };
struct pw_stream_events {
    uint32_t version;
    void *destroy, *state_changed, *control_info, *io_changed, *param_changed;
    void *add_buffer, *remove_buffer, *process, *drained, *command, *trigger_done;
};
#define PW_DIRECTION_INPUT 0
#define PW_ID_ANY 0xffffffff
#define PW_STREAM_FLAG_AUTOCONNECT 1
struct pw_stream *pw_stream_new(struct pw_core *, const char *name, struct pw_properties *);
void pw_stream_destroy(struct pw_stream *);
void pw_stream_add_listener(
    struct pw_stream *, struct spa_hook *, const struct pw_stream_events *, void *data);
int pw_stream_connect(
    struct pw_stream *, int direction, uint32_t target, int flags, const void **params, uint32_t n);
int pw_stream_update_params(struct pw_stream *, const void **params, uint32_t n);
int pw_stream_set_active(struct pw_stream *, bool active);
struct pw_buffer *pw_stream_dequeue_buffer(struct pw_stream *);
int pw_stream_queue_buffer(struct pw_stream *, struct pw_buffer *);
"""

ffibuilder = FFI()
ffibuilder.cdef(CDEF)
ffibuilder.set_source("wayshot_cli.backends.pipewire._pipewire", None)
