"""The loop that mss is mostly used for, in wayshot: a part of the screen, again and again.

    python examples/from_mss.py [SECONDS]

With mss it reads

    with mss.mss() as sct:
        monitor = {"left": 20, "top": 10, "width": 160, "height": 100}
        while ...:
            pixels = numpy.array(sct.grab(monitor))  # blue, green, red, unused

It prints how many frames there were in a second. A stream gives each frame of the screen once,
so that there are no more of them than the screen has shown, and on an idle one only the first.
"""

import sys
import time

import numpy as np

import wayshot_cli as wayshot


def main(seconds: str = "5") -> None:
    """Look at all that the screen shows for so long."""
    end, count = time.monotonic() + float(seconds), 0
    with wayshot.stream(region=(20, 10, 160, 100)) as stream:
        while (left := end - time.monotonic()) > 0:
            frame = stream.read(timeout=left)
            if frame is None:
                break
            pixels = np.asarray(frame)  # red, green, blue; [..., ::-1] is OpenCV's order
            count += 1
    print(f"{pixels.shape[1]}x{pixels.shape[0]}: {count / float(seconds):.1f} frames a second")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except wayshot.WayshotError as error:
        sys.exit(str(error))
