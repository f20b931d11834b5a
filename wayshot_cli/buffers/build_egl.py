"""Builds ``_egl``: what of EGL and GL is called, as a Python module (cffi's ABI mode, out of line).

Run by setup.py through cffi_modules. The library itself is opened when the first image is wanted,
by its soname: wayshot neither needs it to be built nor to be installed. All of GL and EGL's
extensions come from eglGetProcAddress, and so from whatever GL the current context is of.
"""

from cffi import FFI

# egl.h, eglext.h; gl2.h, gl2ext.h, which gl.h agrees with
CDEF = """
typedef void *EGLDisplay, *EGLContext, *EGLImageKHR, *EGLClientBuffer;
typedef int32_t EGLint;
typedef unsigned int EGLBoolean, EGLenum, GLenum;
typedef void *GLeglImageOES;

void *eglGetProcAddress(const char *name);
EGLint eglGetError(void);
const char *eglQueryString(EGLDisplay, EGLint name);
EGLDisplay eglGetCurrentDisplay(void);
EGLContext eglGetCurrentContext(void);

typedef EGLImageKHR (*PFNEGLCREATEIMAGEKHRPROC)(
    EGLDisplay, EGLContext, EGLenum target, EGLClientBuffer, const EGLint *attributes);
typedef EGLBoolean (*PFNEGLDESTROYIMAGEKHRPROC)(EGLDisplay, EGLImageKHR);

typedef GLenum (*PFNGLGETERRORPROC)(void);
typedef void (*PFNGLGENTEXTURESPROC)(int32_t count, uint32_t *textures);
typedef void (*PFNGLDELETETEXTURESPROC)(int32_t count, const uint32_t *textures);
typedef void (*PFNGLBINDTEXTUREPROC)(GLenum target, uint32_t texture);
typedef void (*PFNGLTEXPARAMETERIPROC)(GLenum target, GLenum name, int32_t value);
typedef void (*PFNGLEGLIMAGETARGETTEXTURE2DOESPROC)(GLenum target, GLeglImageOES);

#define EGL_EXTENSIONS 0x3055
#define EGL_NONE 0x3038
#define EGL_HEIGHT 0x3056
#define EGL_WIDTH 0x3057
#define EGL_IMAGE_PRESERVED_KHR 0x30D2
#define EGL_LINUX_DMA_BUF_EXT 0x3270
#define EGL_LINUX_DRM_FOURCC_EXT 0x3271
#define EGL_DMA_BUF_PLANE0_FD_EXT 0x3272
#define EGL_DMA_BUF_PLANE1_FD_EXT 0x3275
#define EGL_DMA_BUF_PLANE2_FD_EXT 0x3278
#define EGL_DMA_BUF_PLANE3_FD_EXT 0x3440
#define EGL_DMA_BUF_PLANE0_MODIFIER_LO_EXT 0x3443

#define GL_NO_ERROR 0
#define GL_TEXTURE_2D 0x0DE1
#define GL_NEAREST 0x2600
#define GL_TEXTURE_MAG_FILTER 0x2800
#define GL_TEXTURE_MIN_FILTER 0x2801
#define GL_TEXTURE_WRAP_S 0x2802
#define GL_TEXTURE_WRAP_T 0x2803
#define GL_CLAMP_TO_EDGE 0x812F
"""

ffibuilder = FFI()
ffibuilder.cdef(CDEF)
ffibuilder.set_source("wayshot_cli.buffers._egl", None)
