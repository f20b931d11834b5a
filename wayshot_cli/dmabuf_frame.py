"""DmabufFrame: one captured picture, still in GPU memory."""

from typing import TYPE_CHECKING, Any, Self

from wayshot_cli.errors import ClosedError
from wayshot_cli.frame import Alpha, Frame
from wayshot_cli.geometry import Size, Transform

if TYPE_CHECKING:
    from collections.abc import Callable

    from wayshot_cli.buffers.egl import EglImage
    from wayshot_cli.buffers.gbm import BufferObject, Loan, Plane
    from wayshot_cli.pixels import PixelFormat
    from wayshot_cli.wayland.proxy import Proxy


class DmabufFrame:
    """A picture in a dmabuf, for whoever wants it on the GPU: EGL, GL, an encoder, another process.

    To be closed, or the buffer and what else was opened for it stay until they are collected.

    ``size`` is the buffer's, in pixels of ``format`` (``format.fourcc`` is DRM's number),
    ``modifier`` says how they are tiled. ``transform`` is how the upright picture was turned
    to make the buffer; whoever draws it undoes that, by ``transform.matrix``. ``scale``
    is in pixels per logical unit, ``time_ns`` in CLOCK_MONOTONIC nanoseconds (0 when unknown).

    What outlives what:

    - The memory goes back to the session that it came from, which captures into it again, when the
      DmabufFrame, all its EGL images and all views of the Frames that ``map()`` returned are gone.
    - All of these outlive the session and the connection, the ``wl_buffer`` alone does not.
    - The fds of ``planes`` are open as long as the DmabufFrame or its ``buffer_object`` is there.
    - The ``buffer_object``, duplicates of the fds, and textures keep the memory, but not what it
      shows: that is this picture only while one of those above is left.

    Where ``is_shared``, as wlr-export-dmabuf has it, the buffer is the compositor's own, and drawn
    into again as soon as the compositor likes, whoever holds it: nothing but a copy is safe.

    The GPU may still be writing: ``map()`` waits for that, and GL does by itself. Use from
    one thread at a time.
    """

    def __init__(
        self,
        loan: "Loan",
        transform: Transform = Transform.NORMAL,
        *,
        alpha: Alpha = Alpha.IGNORED,
        scale: float = 1.0,
        time_ns: int = 0,
    ) -> None:
        """Take a buffer that the compositor has written, or will have once the GPU is done."""
        self._loan: Loan | None = loan
        self._end: Callable[[], object] | None = None
        self.format: PixelFormat = loan.bo.layout.format
        self.size: Size = loan.bo.layout.size
        self.modifier = loan.bo.modifier
        self.is_shared = loan.proxy is None
        self.transform = transform
        self.alpha = alpha if self.format.has_alpha else Alpha.IGNORED
        self.scale = scale
        self.time_ns = time_ns

    @property
    def upright_size(self) -> Size:
        """Width and height of the upright picture in pixels."""
        return self.transform.apply(self.size)

    @property
    def planes(self) -> "tuple[Plane, ...]":
        """fd, offset and stride in bytes of each plane. The fds are not the caller's: dup them."""
        return tuple(self._open().bo.planes)

    @property
    def buffer_object(self) -> "BufferObject":
        """GBM's buffer object; ``buffer_object.address`` is the ``struct gbm_bo *``."""
        return self._open().bo

    @property
    def wl_buffer(self) -> "Proxy | None":
        """The compositor's object, on the connection that captured.

        None when the compositor made the buffer, and once the session or the connection is closed.
        """
        proxy = self._open().proxy
        return proxy if proxy and proxy.is_alive else None

    def map(self, deadline: float | None = None) -> Frame:
        """Return the picture as a Frame for the processor, once the GPU has written it.

        ``deadline`` is a time.monotonic(); without one the GPU has as long as the compositor has
        for an answer. Memory that can be read well in place is not copied. Raises
        CaptureTimeoutError when the GPU is not done by then, CaptureError when the
        driver cannot map the buffer.
        """
        loan = self._open()
        memory, stride = loan.read(loan.connection.deadline() if deadline is None else deadline)
        return Frame(
            memory,
            self.format,
            self.size,
            stride,
            self.transform,
            alpha=self.alpha,
            scale=self.scale,
            time_ns=self.time_ns,
        )

    def to_egl_image(self, display: Any) -> "EglImage":
        """Import the buffer into an EGL display, as an image that is to be closed.

        ``display`` is an initialised EGLDisplay: its address, or a pointer of ctypes (PyOpenGL) or
        cffi. The pixels are not copied. Raises UnsupportedError without libEGL,
        or when the display cannot import this buffer: often because it is on another GPU.
        """
        from wayshot_cli.buffers.egl import EglImage  # noqa: PLC0415 - few draw it

        loan = self._open()
        return EglImage(display, loan.bo, keep=loan)

    def bind_gl_texture(self) -> int:
        """Make a texture of the buffer in the current GL or GLES context, and return its name.

        It is left bound to GL_TEXTURE_2D, and the caller's to delete. The rest is as for
        ``EglImage.bind_gl_texture``; the image is made in the current EGL display, and closed.
        """
        from wayshot_cli.buffers import egl  # noqa: PLC0415 - few draw it

        with self.to_egl_image(egl.current_display()) as image:
            return image.bind_gl_texture()

    def close_with(self, end: "Callable[[], object]") -> None:
        """Have ``close()`` call ``end``, which closes what was opened for this frame alone."""
        self._end = end

    def close(self) -> None:
        """Let the buffer go: images and Frames of it stay valid. Harmless twice."""
        self._loan = None
        end, self._end = self._end, None
        if end:
            end()

    def _open(self) -> "Loan":
        if self._loan is None:
            message = "this frame has been closed"
            raise ClosedError(message)
        return self._loan

    def __enter__(self) -> Self:
        """Return the frame itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the frame."""
        self.close()

    def __repr__(self) -> str:
        """Say size, format and transform."""
        state = ", closed" if self._loan is None else ""
        return f"<DmabufFrame {self.upright_size} {self.format} {self.transform.label}{state}>"
