"""Builds ``_gbm``: what of libgbm is called, as a Python module (cffi's ABI mode, out of line).

Run by setup.py through cffi_modules. The library itself is opened when the first dmabuf is
wanted, by its soname: wayshot neither needs it to be built nor to be installed.
"""

from cffi import FFI

# gbm.h
CDEF = """
struct gbm_device *gbm_create_device(int fd);
void gbm_device_destroy(struct gbm_device *);
const char *gbm_device_get_backend_name(struct gbm_device *);

#define GBM_BO_USE_RENDERING 4
#define GBM_BO_USE_LINEAR 16
struct gbm_bo *gbm_bo_create(
    struct gbm_device *, uint32_t width, uint32_t height, uint32_t format, uint32_t flags);
struct gbm_bo *gbm_bo_create_with_modifiers2(
    struct gbm_device *, uint32_t width, uint32_t height, uint32_t format,
    const uint64_t *modifiers, unsigned int count, uint32_t flags);

#define GBM_BO_IMPORT_FD_MODIFIER 0x5504
struct gbm_import_fd_modifier_data {
    uint32_t width, height, format, num_fds;
    int fds[4], strides[4], offsets[4];
    uint64_t modifier;
};
struct gbm_bo *gbm_bo_import(struct gbm_device *, uint32_t type, void *buffer, uint32_t flags);

void gbm_bo_destroy(struct gbm_bo *);
uint64_t gbm_bo_get_modifier(struct gbm_bo *);
int gbm_bo_get_plane_count(struct gbm_bo *);
int gbm_bo_get_fd_for_plane(struct gbm_bo *, int plane);
uint32_t gbm_bo_get_offset(struct gbm_bo *, int plane);
uint32_t gbm_bo_get_stride_for_plane(struct gbm_bo *, int plane);

#define GBM_BO_TRANSFER_READ 1
void *gbm_bo_map(
    struct gbm_bo *, uint32_t x, uint32_t y, uint32_t width, uint32_t height, uint32_t flags,
    uint32_t *stride, void **map_data);
void gbm_bo_unmap(struct gbm_bo *, void *map_data);
"""

ffibuilder = FFI()
ffibuilder.cdef(CDEF)
ffibuilder.set_source("wayshot_cli.buffers._gbm", None)
