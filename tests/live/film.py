"""A screen that changes: an output covered by a picture that counts its own frames.

    with LiveFilm(sway, "HEADLESS-1") as film:
        ...  # the output shows 0, 1, 2, ...: read_counter() tells
        last = film.pause()  # the screen is static now, and shows this number
        film.resume()

The number is painted as :mod:`tests.fake.counter` says, over the place pattern of
:func:`tests.fake.pixels.picture`, once for each frame that the compositor draws.  It is painted by
a process of its own, which is this module run as a program.  It says on its standard output which
frame is on the screen: when the first one is, and whenever it was told to pause.  It ends with its
standard input, so that nothing is left behind when the tests are killed, and when the output goes.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self

import numpy as np

from tests.fake.counter import bits, cells, paint_counter
from tests.fake.pixels import picture
from tests.live.client import Client, WireError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.fake.counter import Cell
    from tests.live.client import Event
    from tests.stage import Stage

PATIENCE = 60.0
"""Seconds that the process has to show its first frame, to pause or to end; the guest is slow."""

PAUSE, RESUME = b"p", b"r"

OVERLAY_LAYER = 3
ALL_EDGES = 1 | 2 | 4 | 8


class LiveFilm:
    """The film on one output of a session, from ``__enter__`` to ``__exit__``."""

    def __init__(self, stage: Stage, output: str) -> None:
        """Start the process."""
        width, height = stage.output(output).upright_size
        program = [sys.executable, "-m", "tests.live.film"]
        self._process = subprocess.Popen(
            [*program, str(stage.socket), output, str(width), str(height)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def __enter__(self) -> Self:
        """Wait until the first frame is on the screen."""
        try:
            self._shown()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the film."""
        self.close()

    def close(self) -> None:
        """End the process; the screen is free again."""
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()

    def pause(self) -> int:
        """Stop painting; return the number that is on the screen and stays there."""
        self._tell(PAUSE)
        return self._shown()

    def resume(self) -> None:
        """Go on with the next number."""
        self._tell(RESUME)

    def _tell(self, command: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(command)
        except BrokenPipeError:
            self._raise_ended()

    def _shown(self) -> int:
        assert self._process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
                message = f"the film did not answer within {PATIENCE} s"
                raise WireError(message)
            part = self._process.stdout.read(1)
            if not part:
                self._raise_ended()
            line += part
        return int(line)

    def _raise_ended(self) -> NoReturn:
        message = f"the film ended with status {self._process.wait(PATIENCE)}"
        raise WireError(message)


# The process.


@dataclass
class Buffer:
    """A wl_buffer, its pixels as words of XRGB8888, and the number painted there."""

    wl_buffer: int
    pixels: NDArray[np.uint32]
    number: int = 0
    busy: bool = False


class Surface:
    """A layer surface that covers an output, and the two buffers shown there in turns."""

    def __init__(self, client: Client, output: str, width: int, height: int) -> None:
        """Make them; nothing is shown before the compositor has given the surface its size."""
        self._client = client
        self._cells = cells(width, height)
        self._buffers = [self._buffer(width, height) for _ in range(2)]
        self._surface = client.create(client.bind("wl_compositor", 4), 0)
        self._viewport = client.create(client.bind("wp_viewporter", 1), 1, self._surface)
        self._layer_surface = client.create(
            client.bind("zwlr_layer_shell_v1", 1),
            0,
            self._surface,
            client.outputs[output].object_id,
            OVERLAY_LAYER,
            "wayshot-tests",
        )
        client.request(self._layer_surface, 1, ALL_EDGES)
        client.request(self._layer_surface, 2, -1)
        client.request(self._surface, 6)
        self._callback = 0  # of the frame that is to be drawn next, if any
        self.number = -1  # the frame that was committed last
        self.configured = False
        self.closed = False

    @property
    def shown(self) -> bool:
        """Whether the compositor has drawn the frame that was committed last."""
        return not self._callback

    def handle(self, event: Event) -> None:
        """Take an event."""
        configure, closed = 0, 1
        if event.sender == self._callback:
            self._callback = 0
        elif event.sender == self._layer_surface and event.opcode == configure:
            serial, width, height = event.words()
            self._client.request(self._layer_surface, 6, serial)
            self._client.request(self._viewport, 2, width, height)
            if self.configured:  # another size: what was shown is scaled
                self._client.request(self._surface, 6)
            self.configured = True
        elif event.sender == self._layer_surface and event.opcode == closed:
            self.closed = True
        for buffer in self._buffers:
            if event.sender == buffer.wl_buffer:
                buffer.busy = False

    def show_next(self) -> None:
        """Commit the next frame, if the compositor has given a buffer back."""
        buffer = next((buffer for buffer in self._buffers if not buffer.busy), None)
        if buffer is None:
            return
        client, surface = self._client, self._surface
        height, width = buffer.pixels.shape
        damage = [(slice(0, height), slice(0, width))]
        if self.number >= 0:
            damage = self._changes(self.number, self.number + 1)
        self.number += 1
        for cell in self._changes(buffer.number, self.number):
            buffer.pixels[cell] ^= 0xFFFFFF
        buffer.number, buffer.busy = self.number, True
        client.request(surface, 1, buffer.wl_buffer, 0, 0)
        for rows, columns in damage:
            size = columns.stop - columns.start, rows.stop - rows.start
            client.request(surface, 9, columns.start, rows.start, *size)
        self._callback = client.create(surface, 3)
        client.request(surface, 6)

    def _changes(self, before: int, after: int) -> list[Cell]:
        """Return the cells in which two numbers differ."""
        changed = zip(self._cells, bits(before), bits(after), strict=True)
        return [cell for cell, was_white, is_white in changed if was_white != is_white]

    def _buffer(self, width: int, height: int) -> Buffer:
        wl_buffer, memory = self._client.shm_buffer(width, height, width * 4)
        upright = picture(0, width, height)
        paint_counter(upright, 0)
        bgrx = np.frombuffer(memory, np.uint8).reshape(height, width, 4)
        bgrx[..., :3] = upright[..., ::-1]
        return Buffer(wl_buffer, bgrx.view("<u4")[..., 0])


def main(socket: str, output: str, width: str, height: str) -> None:
    """Show the film until standard input ends or the output goes away."""
    commands, words = sys.stdin.fileno(), sys.stdout.fileno()
    with Client(Path(socket)) as client:
        surface = Surface(client, output, int(width), int(height))
        paused, owed = False, True  # owed: to say which frame is on the screen
        while True:
            for event in client.arrived():
                surface.handle(event)
            if surface.closed:
                return
            if surface.shown and surface.number >= 0 and owed:
                os.write(words, b"%d\n" % surface.number)
                owed = False
            if surface.configured and surface.shown and not paused:
                surface.show_next()
            ready, _, _ = select.select([client, commands], [], [])
            if commands in ready:
                command = os.read(commands, 1)
                if not command:
                    return
                paused = owed = command == PAUSE


if __name__ == "__main__":
    main(*sys.argv[1:])
