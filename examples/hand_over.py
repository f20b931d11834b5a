"""A picture in GPU memory, handed to another process, as to an encoder: its pixels never copied.

    python examples/hand_over.py [OUTPUT | NODE] [FILE]

takes OUTPUT (without it, the only one there is), or NODE, the number of a PipeWire node, into GPU
memory. A second process gets the file descriptors, and in words what they hold: all that

- VAAPI imports (vaCreateSurfaces with a VADRMPRIMESurfaceDescriptor),
- CUDA imports (cuGraphicsEGLRegisterImage of an EGLImage made with these attributes),
- Vulkan imports (VK_EXT_image_drm_format_modifier, VK_EXT_external_memory_dma_buf).

These need their hardware. The one here needs none: it maps the rows, if they are linear, and
writes FILE, a PNG (handed.png).
"""

import fcntl
import json
import mmap
import os
import select
import socket
import struct
import subprocess
import sys
from typing import Any

import wayshot_cli as wayshot
from wayshot_cli.pixels import by_fourcc

LINEAR = 0  # drm_fourcc.h
SYNC, SYNC_START, SYNC_END = 0x40086200, 1, 1 | 4  # linux/dma-buf.h, for reading
MOST_PLANES = 4


def produce(source: str, link: socket.socket) -> None:
    """Capture, hand over, and keep the frame until the other side is done with it."""
    node = int(source) if source.isdecimal() else None
    output = None if node is not None else source or None
    with wayshot.shot_dmabuf(output, pipewire_node=node) as frame:
        words = {
            "fourcc": frame.format.fourcc,
            "modifier": frame.modifier,
            "size": frame.size,  # of the buffer, before the transform is undone
            "transform": int(frame.transform),
            "planes": [(plane.offset, plane.stride) for plane in frame.planes],
            "time_ns": frame.time_ns,
        }
        # The fds are duplicated on the way; the buffer behind them shows this picture, and is
        # not captured into again, as long as the frame is open.
        fds = [plane.fd for plane in frame.planes]
        socket.send_fds(link, [json.dumps(words).encode()], fds)
        link.recv(1)


def consume(link: socket.socket, path: str) -> None:
    """Take over the buffer, write what it shows, and say that it is no longer needed."""
    words, fds, _, _ = socket.recv_fds(link, 4096, MOST_PLANES)
    if not words:
        sys.exit("nothing was captured")
    try:
        picture = json.loads(words)
        sys.stderr.write(f"{len(fds)} plane(s): {picture}\n")
        wait_for_writer(fds[0])  # which a reader on the GPU need not: the kernel orders the two
        if picture["modifier"] != LINEAR or len(fds) > 1:
            sys.exit("tiled: only the GPU that wrote it can read this")
        write(picture, fds[0], path)
    except wayshot.WayshotError as error:
        sys.exit(str(error))
    finally:
        for fd in fds:
            os.close(fd)
        link.send(b"!")


def wait_for_writer(fd: int) -> None:
    """Wait until what the GPU still writes is written: a dmabuf polls readable then."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(5000):
        sys.exit("the GPU does not finish")


def write(picture: dict[str, Any], fd: int, path: str) -> None:
    """Write the rows of a linear buffer, upright."""
    ((offset, stride),) = picture["planes"]
    format_ = by_fourcc(picture["fourcc"])
    if format_ is None:
        sys.exit(f"unknown format {picture['fourcc']:#x}")
    size, transform = wayshot.Size(*picture["size"]), wayshot.Transform(picture["transform"])
    length = os.lseek(fd, 0, os.SEEK_END)
    with mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ) as memory:
        fcntl.ioctl(fd, SYNC, struct.pack("=Q", SYNC_START))
        with wayshot.Frame(
            memoryview(memory), format_, size, stride, transform, offset=offset
        ) as frame:
            frame.save(path, format="png")
        fcntl.ioctl(fd, SYNC, struct.pack("=Q", SYNC_END))


def main(source: str = "", path: str = "handed.png") -> None:
    """Run both sides."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            consumer = subprocess.Popen(  # noqa: S603 - this file
                [sys.executable, __file__, "--consume", str(theirs.fileno()), path],
                pass_fds=[theirs.fileno()],
            )
        try:
            produce(source, ours)
        except wayshot.WayshotError as error:
            ours.close()  # the other side need not wait any more
            consumer.wait()
            sys.exit(str(error))
    sys.exit(consumer.wait())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--consume"]:
        consume(socket.socket(fileno=int(sys.argv[2])), sys.argv[3])
    else:
        main(*sys.argv[1:3])
