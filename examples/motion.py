"""A motion detector: ten times a second, which part of the screen has changed.

    python examples/motion.py [OUTPUT] [SECONDS]

prints the time and the box around all that differs from the picture before it, until Ctrl-C
or for so long.
"""

import sys

import numpy as np

import wayshot_cli as wayshot

FPS = 10
TOLERANCE = 8  # of 255: less is noise, as of video


def changed(before: wayshot.Frame, after: wayshot.Frame) -> wayshot.Box | None:
    """Return the box around what differs, in pixels, None when nothing does."""
    if before.time_ns == after.time_ns:
        return None  # the same frame once more
    if before.upright_size != after.upright_size:
        return wayshot.Box(0, 0, *after.upright_size)
    difference = np.subtract(after.to_numpy(), before.to_numpy(), dtype=np.int16)
    is_changed = (abs(difference) > TOLERANCE).any(axis=2)
    rows, columns = np.flatnonzero(is_changed.any(axis=1)), np.flatnonzero(is_changed.any(axis=0))
    if not rows.size:
        return None
    left, top = int(columns[0]), int(rows[0])
    return wayshot.Box(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)


def main(output: str = "", seconds: str = "inf") -> None:
    """Compare each frame with the one before."""
    with wayshot.stream(output or None, fps=FPS) as stream:
        before = first = next(stream)
        for number, frame in enumerate(stream, 1):
            if box := changed(before, frame):
                elapsed = (frame.time_ns - first.time_ns) / 1e9
                print(f"{elapsed:.2f} s: {box}", flush=True)
            before = frame
            if number >= float(seconds) * FPS:
                break


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except wayshot.WayshotError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
