/* A libgbm whose buffer objects are memfds, for machines without a render node: any character
 * device does for one. What it is to refuse stands in WAYSHOT_FAKE_GBM, word by word; how many
 * objects and mappings there are goes to the file that WAYSHOT_FAKE_GBM_LOG names, at each end. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINEAR_USE = 16, ALIGNMENT = 64 };
static const uint64_t INVALID = 0x00ffffffffffffff;

struct gbm_device { int fd, objects; };
struct gbm_bo { struct gbm_device *device; int fd; uint32_t width, height, offset, stride; uint64_t modifier; };
struct import { uint32_t width, height, format, num_fds; int fds[4], strides[4], offsets[4];
                uint64_t modifier; };

static int devices, objects, mappings;

static int is_told(const char *word)
{
    const char *words = getenv("WAYSHOT_FAKE_GBM");
    return words && strstr(words, word);
}

static void note(void)
{
    const char *path = getenv("WAYSHOT_FAKE_GBM_LOG");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%d %d %d\n", devices, objects, mappings);
        fclose(file);
    }
}

struct gbm_device *gbm_create_device(int fd)
{
    struct stat facts;
    if (is_told("no-device") || fstat(fd, &facts) < 0 || !S_ISCHR(facts.st_mode))
        return NULL;
    struct gbm_device *device = malloc(sizeof *device);
    *device = (struct gbm_device){fd, 0};
    devices++;
    return device;
}

void gbm_device_destroy(struct gbm_device *device)
{
    if (fcntl(device->fd, F_GETFD) < 0 || device->objects)
        abort(); /* its fd and its objects belong to it */
    free(device);
    devices--;
    note();
}

const char *gbm_device_get_backend_name(struct gbm_device *device)
{
    (void)device;
    return "fake";
}

static struct gbm_bo *object(struct gbm_device *device, int fd, uint32_t width, uint32_t height,
                             uint32_t offset, uint32_t stride, uint64_t modifier)
{
    struct gbm_bo *bo = malloc(sizeof *bo);
    *bo = (struct gbm_bo){device, fd, width, height, offset, stride, modifier};
    device->objects++;
    objects++;
    return bo;
}

static struct gbm_bo *refused(int number)
{
    errno = number;
    return NULL;
}

static struct gbm_bo *made(struct gbm_device *device, uint32_t width, uint32_t height,
                           uint64_t modifier)
{
    uint32_t stride = (width * 4 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    int fd = memfd_create("bo", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)stride * height) < 0)
        return refused(ENOMEM);
    return object(device, fd, width, height, 0, stride, modifier);
}

struct gbm_bo *gbm_bo_create(struct gbm_device *device, uint32_t width, uint32_t height,
                             uint32_t format, uint32_t flags)
{
    (void)format;
    if (is_told(flags & LINEAR_USE ? "no-linear" : "no-plain"))
        return refused(EINVAL);
    return made(device, width, height, flags & LINEAR_USE ? 0 : INVALID);
}

struct gbm_bo *gbm_bo_create_with_modifiers2(struct gbm_device *device, uint32_t width,
                                             uint32_t height, uint32_t format,
                                             const uint64_t *modifiers, unsigned int count,
                                             uint32_t flags)
{
    (void)format, (void)flags;
    if (is_told("no-modifiers") || !count)
        return refused(ENOSYS);
    return made(device, width, height, modifiers[0]);
}

struct gbm_bo *gbm_bo_import(struct gbm_device *device, uint32_t type, void *buffer,
                             uint32_t flags)
{
    const struct import *data = buffer;
    (void)flags;
    if (is_told("no-import") || type != 0x5504)
        return refused(EINVAL);
    return object(device, fcntl(data->fds[0], F_DUPFD_CLOEXEC, 0), data->width, data->height,
                  data->offsets[0], data->strides[0], data->modifier);
}

void gbm_bo_destroy(struct gbm_bo *bo)
{
    close(bo->fd);
    bo->device->objects--;
    free(bo);
    objects--;
    note();
}

uint64_t gbm_bo_get_modifier(struct gbm_bo *bo)
{
    return bo->modifier;
}

int gbm_bo_get_plane_count(struct gbm_bo *bo)
{
    (void)bo;
    return is_told("two-planes") ? 2 : 1;
}

int gbm_bo_get_fd_for_plane(struct gbm_bo *bo, int plane)
{
    if (is_told("no-fd") && plane == gbm_bo_get_plane_count(bo) - 1) {
        errno = EMFILE;
        return -1;
    }
    return fcntl(bo->fd, F_DUPFD_CLOEXEC, 0);
}

uint32_t gbm_bo_get_offset(struct gbm_bo *bo, int plane)
{
    (void)plane;
    return bo->offset;
}

uint32_t gbm_bo_get_stride_for_plane(struct gbm_bo *bo, int plane)
{
    (void)plane;
    return bo->stride;
}

static size_t size_of(const struct gbm_bo *bo)
{
    return bo->offset + (size_t)bo->stride * bo->height;
}

void *gbm_bo_map(struct gbm_bo *bo, uint32_t x, uint32_t y, uint32_t width, uint32_t height,
                 uint32_t flags, uint32_t *stride, void **map_data)
{
    (void)x, (void)y, (void)width, (void)height, (void)flags;
    if (is_told("no-map")) {
        errno = EACCES;
        return NULL;
    }
    char *start = mmap(NULL, size_of(bo), PROT_READ, MAP_SHARED, bo->fd, 0);
    if (start == MAP_FAILED)
        return NULL;
    *stride = is_told("short-stride") ? bo->width : bo->stride;
    *map_data = start;
    mappings++;
    return start + bo->offset;
}

void gbm_bo_unmap(struct gbm_bo *bo, void *map_data)
{
    munmap(map_data, size_of(bo));
    mappings--;
    note();
}
