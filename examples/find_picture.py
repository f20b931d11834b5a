"""Finds a small picture on the screen, as pyautogui.locateOnScreen does: every pixel has to match.

    python examples/find_picture.py PICTURE [OUTPUT]

prints where it is on the screen, in logical coordinates, which is what pointers move in.
"""

import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import wayshot_cli as wayshot

Pixels = NDArray[np.uint8]


def find_all(needle: Pixels, haystack: Pixels) -> Iterator[tuple[int, int]]:
    """Yield x and y of each place at which all of the needle's pixels are, row by row."""
    height, width, channels = needle.shape
    rows, columns = haystack.shape[0] - height + 1, haystack.shape[1] - width + 1
    if min(rows, columns) <= 0:
        return
    # Where the upper left pixel is; then those that have the rest, too: few are left by then.
    corner = haystack[:rows, :columns, :channels]
    for y, x in np.argwhere((corner == needle[0, 0]).all(axis=2)):
        if np.array_equal(haystack[y : y + height, x : x + width, :channels], needle):
            yield int(x), int(y)


def main(path: str, name: str | None = None) -> int:
    """Look for it on one output after the other."""
    needle = np.asarray(Image.open(path).convert("RGB"))
    status = 1
    for output in wayshot.outputs():
        if name in (None, output.name):
            frame = wayshot.shot(output.name)
            for x, y in find_all(needle, np.asarray(frame)):
                left, top = output.box.x + x / frame.scale, output.box.y + y / frame.scale
                print(f"{left:g},{top:g} on {output.name}")
                status = 0
    return status


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except (wayshot.WayshotError, OSError) as error:
        sys.exit(str(error))
