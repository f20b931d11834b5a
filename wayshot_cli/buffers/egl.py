"""dmabufs as images of EGL and textures of GL, in displays and contexts that are somebody else's.

libEGL is opened when the first image is wanted: by its soname, and so the one that the
display comes from. No pointer of libwayland's ever goes to it.
"""

import contextlib
import functools
import operator
import sys
from typing import TYPE_CHECKING, Any, Self

from wayshot_cli.buffers._egl import ffi
from wayshot_cli.buffers.gbm import modifier_name
from wayshot_cli.errors import ClosedError, InvalidArgumentError, UnsupportedError
from wayshot_cli.wayland.dmabuf import INVALID, LINEAR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wayshot_cli.buffers.gbm import BufferObject

_SONAME = "libEGL.so.1"
_IMPORT = "EGL_EXT_image_dma_buf_import"
_MODIFIERS = "EGL_EXT_image_dma_buf_import_modifiers"
_MOST_ERRORS = 16  # a lost context has errors without end

# In order from 0x3000 on (egl.h).
_ERRORS = (
    "EGL_SUCCESS",
    "EGL_NOT_INITIALIZED",
    "EGL_BAD_ACCESS",
    "EGL_BAD_ALLOC",
    "EGL_BAD_ATTRIBUTE",
    "EGL_BAD_CONFIG",
    "EGL_BAD_CONTEXT",
    "EGL_BAD_CURRENT_SURFACE",
    "EGL_BAD_DISPLAY",
    "EGL_BAD_MATCH",
    "EGL_BAD_NATIVE_PIXMAP",
    "EGL_BAD_NATIVE_WINDOW",
    "EGL_BAD_PARAMETER",
    "EGL_BAD_SURFACE",
    "EGL_CONTEXT_LOST",
)


class EglImage:
    """An EGLImageKHR of a dmabuf, whose pixels it shares.

    Destroyed once: by ``close()``, at the end of a ``with`` block, or when nobody has it any more.
    Until then the picture is safe in it, even if the DmabufFrame has been closed. It may outlive
    a display that is terminated.
    """

    def __init__(self, display: Any, bo: "BufferObject", keep: object) -> None:
        """Import the buffer object; ``keep`` is let go once the image is destroyed.

        ``display`` is as ``address_of`` takes it. Raises UnsupportedError when it cannot import
        the buffer, InvalidArgumentError when it is none.
        """
        egl = library()
        number = address_of(display)
        if not number:
            message = "EGL_NO_DISPLAY cannot import a dmabuf"
            raise InvalidArgumentError(message)
        pointer = ffi.cast("EGLDisplay", number)
        attributes = list(_attributes(bo, with_modifier=_takes_modifier(egl, pointer, bo.modifier)))
        create = _function("PFNEGLCREATEIMAGEKHRPROC", "eglCreateImageKHR")
        destroy = _function("PFNEGLDESTROYIMAGEKHRPROC", "eglDestroyImageKHR")
        image = create(pointer, ffi.NULL, egl.EGL_LINUX_DMA_BUF_EXT, ffi.NULL, attributes)
        if image == ffi.NULL:
            message = (
                f"EGL cannot import the dmabuf of {bo.layout}, modifier "
                f"{modifier_name(bo.modifier)}: {_error(egl)}"
            )
            hint = f"the display has to be on the GPU that has the buffer, {bo.device.path}"
            raise UnsupportedError(message, hint=hint)
        self._image = ffi.gc(image, functools.partial(_destroy, destroy, pointer, keep))

    @property
    def address(self) -> int:
        """The EGLImageKHR as a number, for other bindings; not theirs to destroy."""
        return int(ffi.cast("uintptr_t", self._open()))

    def bind_gl_texture(self) -> int:
        """Make a texture of the image in the current GL or GLES context, and return its name.

        It is left bound to GL_TEXTURE_2D of the active unit, with GL_NEAREST and
        GL_CLAMP_TO_EDGE, and is the caller's to delete, before or after the image is closed. It
        shows the buffer as it was captured: ``transform`` is not undone. Errors of GL's
        that nobody has asked for are forgotten. Raises InvalidArgumentError when no context is
        current, UnsupportedError when GL cannot make a texture of the image.
        """
        image, egl = self._open(), library()
        if egl.eglGetCurrentContext() == ffi.NULL:
            message = "no EGL context is current in this thread"
            raise InvalidArgumentError(message)
        next_error = _function("PFNGLGETERRORPROC", "glGetError")
        generate = _function("PFNGLGENTEXTURESPROC", "glGenTextures")
        delete = _function("PFNGLDELETETEXTURESPROC", "glDeleteTextures")
        bind = _function("PFNGLBINDTEXTUREPROC", "glBindTexture")
        fill = _function("PFNGLEGLIMAGETARGETTEXTURE2DOESPROC", "glEGLImageTargetTexture2DOES")
        set_parameter = _function("PFNGLTEXPARAMETERIPROC", "glTexParameteri")
        for _ in range(_MOST_ERRORS):
            if next_error() == egl.GL_NO_ERROR:
                break
        texture = ffi.new("uint32_t *")
        generate(1, texture)
        bind(egl.GL_TEXTURE_2D, texture[0])
        fill(egl.GL_TEXTURE_2D, image)
        for name, value in (
            (egl.GL_TEXTURE_MIN_FILTER, egl.GL_NEAREST),
            (egl.GL_TEXTURE_MAG_FILTER, egl.GL_NEAREST),
            (egl.GL_TEXTURE_WRAP_S, egl.GL_CLAMP_TO_EDGE),
            (egl.GL_TEXTURE_WRAP_T, egl.GL_CLAMP_TO_EDGE),
        ):
            set_parameter(egl.GL_TEXTURE_2D, name, value)
        if error := next_error():
            delete(1, texture)
            message = f"GL cannot make a texture of the dmabuf: error {error:#06x}"
            raise UnsupportedError(message)
        return int(texture[0])

    def close(self) -> None:
        """Destroy the image; textures of it stay. Harmless twice."""
        image, self._image = self._image, None
        if image is not None:
            ffi.release(image)

    def _open(self) -> Any:
        if self._image is None:
            message = "this image has been closed"
            raise ClosedError(message)
        return self._image

    def __enter__(self) -> Self:
        """Return the image itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the image."""
        self.close()


def _destroy(destroy: Any, display: Any, _keep: object, image: Any) -> None:
    destroy(display, image)


def current_display() -> int:
    """Return the EGLDisplay of the current context. Raises InvalidArgumentError without one."""
    display = int(ffi.cast("uintptr_t", library().eglGetCurrentDisplay()))
    if not display:
        message = "no EGL context is current in this thread"
        raise InvalidArgumentError(message)
    return display


def address_of(pointer: Any) -> int:
    """Return where something points: a number, or a pointer of any cffi instance or of ctypes.

    Raises InvalidArgumentError for anything else.
    """
    with contextlib.suppress(TypeError):
        return operator.index(pointer)
    if isinstance(pointer, ffi.CData):
        return int(ffi.cast("uintptr_t", pointer))
    # Where it is not loaded, nobody can have made a pointer of it.
    ctypes = sys.modules.get("ctypes")
    if ctypes and not isinstance(pointer, str | bytes):
        with contextlib.suppress(ctypes.ArgumentError):
            return ctypes.cast(pointer, ctypes.c_void_p).value or 0
    message = f"not a pointer: {pointer!r}"
    raise InvalidArgumentError(message)


def _takes_modifier(egl: Any, display: Any, modifier: int) -> bool:
    """Whether the modifier is to be named. Raises UnsupportedError when it is, and cannot be."""
    words = egl.eglQueryString(display, egl.EGL_EXTENSIONS)
    if words == ffi.NULL:
        message = f"this EGL display cannot be used: {_error(egl)}"
        raise InvalidArgumentError(message)
    extensions = ffi.string(words).decode().split()
    # Rows one after the other are what an import without a modifier takes for granted.
    needed = [_IMPORT] if modifier in (LINEAR, INVALID) else [_IMPORT, _MODIFIERS]
    if missing := [name for name in needed if name not in extensions]:
        message = f"this EGL display has no {missing[0]}"
        raise UnsupportedError(message)
    return modifier != INVALID and _MODIFIERS in extensions


def _attributes(bo: "BufferObject", *, with_modifier: bool) -> "Iterator[int]":
    """Yield names and values for eglCreateImageKHR, as signed numbers of 32 bits."""
    egl = library()
    yield from (egl.EGL_WIDTH, bo.layout.size.width)
    yield from (egl.EGL_HEIGHT, bo.layout.size.height)
    yield from (egl.EGL_LINUX_DRM_FOURCC_EXT, bo.layout.format.fourcc)
    yield from (egl.EGL_IMAGE_PRESERVED_KHR, 1)
    firsts = (
        egl.EGL_DMA_BUF_PLANE0_FD_EXT,
        egl.EGL_DMA_BUF_PLANE1_FD_EXT,
        egl.EGL_DMA_BUF_PLANE2_FD_EXT,
        egl.EGL_DMA_BUF_PLANE3_FD_EXT,
    )
    low = egl.EGL_DMA_BUF_PLANE0_MODIFIER_LO_EXT
    for number, (first, plane) in enumerate(zip(firsts, bo.planes, strict=False)):
        yield from (first, plane.fd, first + 1, plane.offset, first + 2, plane.stride)
        if with_modifier:
            yield from (low + 2 * number, _signed(bo.modifier))
            yield from (low + 2 * number + 1, _signed(bo.modifier >> 32))
    yield egl.EGL_NONE


def _signed(number: int) -> int:
    """Return the lowest 32 bits as an EGLint."""
    return int(ffi.cast("int32_t", number))


def _error(egl: Any) -> str:
    """Name EGL's last error of this thread."""
    code = egl.eglGetError()
    index = code - 0x3000
    return _ERRORS[index] if 0 <= index < len(_ERRORS) else f"error {code:#06x}"


@functools.cache
def _function(type_: str, name: str) -> Any:
    """Return a function of GL or of an extension. Raises UnsupportedError where there is none."""
    address = library().eglGetProcAddress(name.encode())
    if address == ffi.NULL:
        message = f"libEGL has no {name}"
        raise UnsupportedError(message)
    return ffi.cast(type_, address)


@functools.cache
def library() -> Any:
    """Return libEGL. Raises UnsupportedError where there is none."""
    try:
        return ffi.dlopen(_SONAME)
    except OSError as error:
        message = f"libEGL cannot be loaded: {error}"
        hint = "install libEGL (Debian: libegl1), or read the picture by map()"
        raise UnsupportedError(message, hint=hint) from error
