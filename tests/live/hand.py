"""A hand on mouse and keyboard: a virtual pointer and a virtual keyboard that tests move."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Self

from tests.live.client import Client, Fd
from tests.live.command import PATIENCE
from wayshot_cli.cli.children import descendants

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.stage import Stage

LEFT_BUTTON = 0x110  # linux/input-event-codes.h
ESCAPE = 1
REST = 0.15  # seconds
XKB_V1 = 1  # wl_keyboard.keymap_format

_CRASHED = re.compile(rb"wayshot: slurp crashed \(SIG\w+\): asking once more\n")

KEYMAP = """\
xkb_keymap {
xkb_keycodes { minimum = 8; maximum = 255; <ESC> = 9; };
xkb_types { type "ONE_LEVEL" { modifiers = none; level_name[Level1] = "Any"; }; };
xkb_compatibility { interpret Any+AnyOf(all) { action = NoAction(); }; };
xkb_symbols { key <ESC> { [ Escape ] }; };
};
"""


class Hand:
    """Plugs both in, for as long as the block lasts. ``extent`` is the size of all outputs."""

    def __init__(self, stage: Stage, extent: tuple[int, int]) -> None:
        """Connect."""
        self._client = client = Client(stage.socket)
        self._extent = extent
        pointers = client.bind("zwlr_virtual_pointer_manager_v1", 1)
        keyboards = client.bind("zwp_virtual_keyboard_manager_v1", 1)
        seat = client.bind("wl_seat", 1)
        self._pointer = client.create_last(pointers, 0, seat)
        self._keyboard = client.create_last(keyboards, 0, seat)
        keymap = KEYMAP.encode() + b"\0"
        fd = os.memfd_create("keymap")
        os.write(fd, keymap)
        client.request(self._keyboard, 0, XKB_V1, Fd(fd), len(keymap))
        os.close(fd)
        client.roundtrip()

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(self, *_: object) -> None:
        """Unplug both."""
        self._client.close()

    def move(self, x: int, y: int) -> None:
        """Move to a place."""
        self._client.request(self._pointer, 1, _now(), x, y, *self._extent)
        self._client.request(self._pointer, 4)
        self._client.roundtrip()

    def press(self, *, is_down: bool) -> None:
        """Press the left button, or let it go."""
        self._client.request(self._pointer, 2, _now(), LEFT_BUTTON, int(is_down))
        self._client.request(self._pointer, 4)
        self._client.roundtrip()

    def rest(self) -> None:
        """Stay, until what followed the pointer has been drawn.

        slurp up to 1.5 may crash when it ends while its last picture waits for the screen: one
        callback of two is forgotten, and called after what it was for has been freed.
        """
        time.sleep(REST)

    def click(self, x: int, y: int) -> None:
        """Click on a place."""
        self.move(x, y)
        self.rest()
        self.press(is_down=True)
        self.press(is_down=False)

    def drag(self, left: int, top: int, right: int, bottom: int) -> None:
        """Draw a box with the mouse."""
        self.move(left, top)
        self.press(is_down=True)
        self.move((left + right) // 2, bottom)
        self.move(right, bottom)
        self.rest()
        self.press(is_down=False)

    def escape(self) -> None:
        """Press Escape."""
        self.rest()
        for is_down in (1, 0):
            self._client.request(self._keyboard, 1, _now(), ESCAPE, is_down)
        self._client.roundtrip()


def answer(
    process: subprocess.Popen[bytes], is_dimmed: Callable[[], bool], act: Callable[[], object]
) -> tuple[bytes, bytes]:
    """Act when slurp, run by the process, has dimmed the screen; return stdout and stderr.

    It may crash on a busy machine, see ``Hand.rest``. Then there is another one, for which this
    acts once more; that it was so is left out of stderr.
    """
    answered: list[int] = []
    deadline = time.monotonic() + PATIENCE
    try:
        while process.poll() is None:
            assert time.monotonic() < deadline
            slurp = [*descendants(process.pid)]
            if slurp and slurp != answered and is_dimmed():
                act()
                answered = slurp
            time.sleep(0.01)
    finally:
        process.terminate()
    stdout, stderr = process.communicate(timeout=PATIENCE)
    return stdout, _CRASHED.sub(b"", stderr, count=1)


def _now() -> int:
    return int(time.monotonic() * 1000) & 0xFFFFFFFF
