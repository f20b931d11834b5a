/* A libEGL that makes images and textures of nothing. What is missing or refused stands in
 * WAYSHOT_FAKE_EGL, word by word; fake_images and fake_textures say how many there are,
 * fake_attributes what the last image was to be. It knows one display, whose address is 0xd15b1a7. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_INITIALIZED = 0x3001, BAD_MATCH = 0x3009, NONE = 0x3038, MOST = 64 };
enum { GL_INVALID_ENUM = 0x500, GL_INVALID_OPERATION = 0x502 };
static void *const DISPLAY = (void *)0xd15b1a7;

int fake_images, fake_textures, fake_attributes[MOST];
static int error = 0x3000, gl_error;

static int is_told(const char *word)
{
    const char *words = getenv("WAYSHOT_FAKE_EGL");
    return words && strstr(words, word);
}

int eglGetError(void)
{
    int last = error;
    error = 0x3000;
    return last;
}

const char *eglQueryString(void *display, int name)
{
    if (display != DISPLAY || name != 0x3055 || is_told("terminated")) {
        error = NOT_INITIALIZED;
        return NULL;
    }
    if (is_told("no-import"))
        return "EGL_KHR_image_base EGL_EXT_image_dma_buf_import_modifiers";
    if (is_told("no-modifiers"))
        return "EGL_EXT_image_dma_buf_import EGL_KHR_image_base";
    return "EGL_EXT_image_dma_buf_import EGL_EXT_image_dma_buf_import_modifiers";
}

void *eglGetCurrentDisplay(void)
{
    return is_told("no-context") ? NULL : DISPLAY;
}

void *eglGetCurrentContext(void)
{
    return is_told("no-context") ? NULL : DISPLAY;
}

static void *create_image(void *display, void *context, unsigned target, void *buffer,
                          const int *attributes)
{
    if (display != DISPLAY || context || target != 0x3270 || buffer || is_told("refuse")) {
        error = is_told("strange") ? 0x1234 : BAD_MATCH;
        return NULL;
    }
    for (int i = 0; i < MOST; i++)
        if ((fake_attributes[i] = attributes[i]) == NONE && i % 2 == 0)
            break;
    fake_images++;
    return malloc(1);
}

static unsigned destroy_image(void *display, void *image)
{
    if (display != DISPLAY)
        abort();
    free(image); /* which tells when it happens twice */
    fake_images--;
    return 1;
}

static unsigned next_error(void)
{
    int last = gl_error;
    gl_error = is_told("lost") ? GL_INVALID_ENUM : 0;
    return (unsigned)last;
}

static void gen_textures(int count, uint32_t *names)
{
    fake_textures += count;
    *names = 7;
    if (is_told("no-texture"))
        gl_error = GL_INVALID_OPERATION;
}

static void delete_textures(int count, const uint32_t *names)
{
    if (*names != 7)
        abort();
    fake_textures -= count;
}

static void ignore(void) {}

void *eglGetProcAddress(const char *name)
{
    static const struct { const char *name; void *address; } known[] = {
        {"eglCreateImageKHR", (void *)create_image},
        {"eglDestroyImageKHR", (void *)destroy_image},
        {"glGetError", (void *)next_error},
        {"glGenTextures", (void *)gen_textures},
        {"glDeleteTextures", (void *)delete_textures},
        {"glBindTexture", (void *)ignore},
        {"glTexParameteri", (void *)ignore},
        {"glEGLImageTargetTexture2DOES", (void *)ignore},
    };
    if (is_told("stale"))
        gl_error = GL_INVALID_ENUM;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0 && !is_told(name))
            return known[i].address;
    return NULL;
}
