/* The few lines of C that the Wayland layer needs: what pywayland's compiled
 * module does not export, looked up in the very libwayland that it has loaded.
 * A second libwayland beside it would not know the first one's objects. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    uint32_t (*get_protocol_error)(void *, const void **, uint32_t *);
    void (*cancel_read)(void *);
    void *(*marshal_constructor)(void *, uint32_t, void *, const void *, uint32_t);
    void (*log_set_handler)(void (*)(const char *, va_list));
    void (*set_max_buffer_size)(void *, size_t); /* since 1.23, else NULL */
} wayland;

/* dlsym on a module's handle searches the libraries it depends on, too. */
static int ws_wayland_open(const char *extension)
{
    void *handle = dlopen(extension, RTLD_LAZY | RTLD_LOCAL);
    if (!handle)
        return 0;
    *(void **)&wayland.get_protocol_error = dlsym(handle, "wl_display_get_protocol_error");
    *(void **)&wayland.cancel_read = dlsym(handle, "wl_display_cancel_read");
    *(void **)&wayland.marshal_constructor =
        dlsym(handle, "wl_proxy_marshal_array_constructor_versioned");
    *(void **)&wayland.log_set_handler = dlsym(handle, "wl_log_set_handler_client");
    *(void **)&wayland.set_max_buffer_size = dlsym(handle, "wl_display_set_max_buffer_size");
    return wayland.get_protocol_error && wayland.cancel_read && wayland.marshal_constructor &&
           wayland.log_set_handler;
}

/* interface: the struct wl_interface of the object that the error is about, or NULL */
static uint32_t ws_wayland_protocol_error(void *display, const void **interface, uint32_t *id)
{
    return wayland.get_protocol_error(display, interface, id);
}

static void ws_wayland_cancel_read(void *display)
{
    wayland.cancel_read(display);
}

static void *ws_wayland_marshal_constructor(void *proxy, uint32_t opcode, void *args,
                                            const void *interface, uint32_t version)
{
    return wayland.marshal_constructor(proxy, opcode, args, interface, version);
}

/* Up to 1.22 buffers hold 4096 bytes anyway, from then on whatever comes. */
static void ws_wayland_limit_buffers(void *display, size_t size)
{
    if (wayland.set_max_buffer_size)
        wayland.set_max_buffer_size(display, size);
}

static char log_line[512];

static void keep_log_line(const char *format, va_list args)
{
    vsnprintf(log_line, sizeof log_line, format, args);
}

/* libwayland prints a protocol error on stderr by itself; keep its last line instead. */
static void ws_wayland_keep_log(void)
{
    wayland.log_set_handler(keep_log_line);
}

static const char *ws_wayland_last_log(void)
{
    return log_line;
}

/* os.rename has no flags; Linux's RENAME_NOREPLACE is 1. Returns 0 or an errno. */
static int ws_rename_noreplace(const char *from, const char *to)
{
#ifdef SYS_renameat2
    return syscall(SYS_renameat2, -100 /* AT_FDCWD */, from, -100, to, 1) == 0 ? 0 : errno;
#else
    (void)from, (void)to;
    return ENOSYS;
#endif
}

/* connect() to a Unix socket that never blocks: a full backlog is EAGAIN, at once.
 * Returns the fd or the negative errno. */
static int ws_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

/* Whether a socket has been closed at the other end and all of it has been read. */
static int ws_at_end(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* The process at the other end of a Unix socket, 0 when it cannot be told. */
static int ws_peer_pid(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ? 0 : peer.pid;
}
