"""A picture of a screen as an OpenGL ES texture: drawn without a window, its pixels never copied.

    python examples/dmabuf_egl.py [OUTPUT] [FILE]

takes OUTPUT (without it, the only one there is) into GPU memory, imports that into EGL, draws it
upright into a framebuffer, reads this back and writes FILE, a PNG (drawn.png). It should be
the picture that ``wayshot -o OUTPUT`` takes.

EGL and GL are called through ctypes here, to need nothing; with PyOpenGL, moderngl or
any other binding the lines that call wayshot are the same.
"""

import contextlib
import ctypes
import sys
from collections.abc import Iterator

import wayshot_cli as wayshot
from wayshot_cli.pixels import ABGR8888

VERTEX_SHADER = b"""
attribute vec2 corner;     // of the upright picture: 0,0 is upper left
uniform mat2 to_buffer;    // what the compositor did to the picture
varying vec2 place;
void main() {
    place = to_buffer * (corner - 0.5) + 0.5;
    gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}
"""

FRAGMENT_SHADER = b"""
precision highp float;
uniform sampler2D picture;
varying vec2 place;
void main() {
    gl_FragColor = texture2D(picture, place);
}
"""

# egl.h and eglext.h
EGL_OPENGL_ES_API = 0x30A0
EGL_PLATFORM_GBM = 0x31D7
EGL_CONTEXT_CLIENT_VERSION, EGL_NONE = 0x3098, 0x3038

# gl2.h
GL_VERTEX_SHADER, GL_FRAGMENT_SHADER = 0x8B31, 0x8B30
GL_LINK_STATUS = 0x8B82
GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_RENDERBUFFER = 0x8D40, 0x8CE0, 0x8D41
GL_FRAMEBUFFER_COMPLETE, GL_RGBA8 = 0x8CD5, 0x8058
GL_FLOAT, GL_RGBA, GL_UNSIGNED_BYTE, GL_TRIANGLE_STRIP = 0x1406, 0x1908, 0x1401, 5


class Pointer(ctypes.c_void_p):
    """What EGL returns: ctypes makes its base class an int, and cuts that when it is passed on."""


egl = ctypes.CDLL("libEGL.so.1")
egl.eglGetPlatformDisplay.restype = egl.eglCreateContext.restype = Pointer
gl = ctypes.CDLL("libGLESv2.so.2")


def main(output: str | None = None, path: str = "drawn.png") -> None:
    """Take the picture, draw it, write what was drawn."""
    with wayshot.shot_dmabuf(output) as frame:
        # A display on the device that has the buffer: there the import is sure to succeed.
        device = frame.buffer_object.device.address
        with gl_context(device) as display, frame.to_egl_image(display) as image:
            texture = image.bind_gl_texture()
            pixels = draw(frame)
            gl.glDeleteTextures(1, ctypes.byref(ctypes.c_uint(texture)))
        size = frame.upright_size
    drawn = wayshot.Frame(memoryview(pixels), ABGR8888, size, 4 * size.width)
    drawn.save(path, format="png")


@contextlib.contextmanager
def gl_context(gbm_device: int) -> Iterator[Pointer]:
    """Make a context of OpenGL ES 2 current that has no surface; yield its display."""
    display = egl.eglGetPlatformDisplay(EGL_PLATFORM_GBM, Pointer(gbm_device), None)
    if not display or not egl.eglInitialize(display, None, None):
        sys.exit("EGL does not start on this device")
    try:
        egl.eglBindAPI(EGL_OPENGL_ES_API)
        wishes = (ctypes.c_int * 3)(EGL_CONTEXT_CLIENT_VERSION, 2, EGL_NONE)
        context = egl.eglCreateContext(display, None, None, wishes)
        if not context or not egl.eglMakeCurrent(display, None, None, context):
            sys.exit("this device has no OpenGL ES 2 without surfaces")
        yield display
        egl.eglMakeCurrent(display, None, None, None)
        egl.eglDestroyContext(display, context)
    finally:
        egl.eglTerminate(display)


def draw(frame: wayshot.DmabufFrame) -> bytearray:
    """Draw the bound texture upright; return rows of red, green, blue and alpha, the top first."""
    width, height = frame.upright_size
    target = make("Renderbuffers")
    gl.glBindRenderbuffer(GL_RENDERBUFFER, target)
    gl.glRenderbufferStorage(GL_RENDERBUFFER, GL_RGBA8, width, height)
    gl.glBindFramebuffer(GL_FRAMEBUFFER, make("Framebuffers"))
    gl.glFramebufferRenderbuffer(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_RENDERBUFFER, target)
    if gl.glCheckFramebufferStatus(GL_FRAMEBUFFER) != GL_FRAMEBUFFER_COMPLETE:
        sys.exit(f"this device cannot draw a picture of {width}x{height}")
    gl.glViewport(0, 0, width, height)

    program = link(VERTEX_SHADER, FRAGMENT_SHADER)
    gl.glUseProgram(program)
    # The transform is the user's to undo: buffer_x = a*x + b*y, buffer_y = c*x + d*y.
    a, b, c, d = frame.transform.matrix
    columns = (ctypes.c_float * 4)(a, c, b, d)
    gl.glUniformMatrix2fv(gl.glGetUniformLocation(program, b"to_buffer"), 1, 0, columns)
    corners = (ctypes.c_float * 8)(0, 0, 1, 0, 0, 1, 1, 1)
    gl.glVertexAttribPointer(0, 2, GL_FLOAT, 0, 0, corners)
    gl.glEnableVertexAttribArray(0)
    gl.glDrawArrays(GL_TRIANGLE_STRIP, 0, 4)

    # GL's rows start at the bottom, where the picture's top was drawn.
    pixels = bytearray(4 * width * height)
    memory = (ctypes.c_char * len(pixels)).from_buffer(pixels)
    gl.glReadPixels(0, 0, width, height, GL_RGBA, GL_UNSIGNED_BYTE, memory)
    return pixels


def make(kind: str) -> int:
    """Return the name of a new object of GL's."""
    name = ctypes.c_uint()
    getattr(gl, "glGen" + kind)(1, ctypes.byref(name))
    return name.value


def link(vertex: bytes, fragment: bytes) -> int:
    """Return a program of two shaders; ``corner`` is its attribute 0."""
    program: int = gl.glCreateProgram()
    for kind, source in ((GL_VERTEX_SHADER, vertex), (GL_FRAGMENT_SHADER, fragment)):
        shader = gl.glCreateShader(kind)
        gl.glShaderSource(shader, 1, ctypes.byref(ctypes.c_char_p(source)), None)
        gl.glCompileShader(shader)
        gl.glAttachShader(program, shader)
    gl.glBindAttribLocation(program, 0, b"corner")
    gl.glLinkProgram(program)
    status = ctypes.c_int()
    gl.glGetProgramiv(program, GL_LINK_STATUS, ctypes.byref(status))
    if not status:
        sys.exit("the shaders do not compile")
    return program


if __name__ == "__main__":
    main(*sys.argv[1:3])
