"""Watches a window, whatever covers it, and saves what it shows whenever that has come to rest.

    python examples/watch_window.py WINDOW [FOLDER]

WINDOW is as for ``wayshot --window``: an identifier, ``app_id:NAME``, ``title:TEXT`` or ``active``.
Each picture is named by its number; the end is when the window is closed.
"""

import sys
from pathlib import Path

import wayshot_cli as wayshot

REST = 0.5  # seconds


def main(window: str, folder: str = ".") -> None:
    """Save a frame when none has followed it for REST."""
    count, newest = 0, None
    with wayshot.stream(window=window) as stream:
        while True:
            try:
                frame = stream.read(timeout=REST if newest else None)
            except wayshot.TargetLostError as end:
                print(end)
                return
            if newest and not frame:
                count += 1
                path = Path(folder) / f"{count:04}.png"
                newest.save(path)
                print(f"{path}: {newest.width}x{newest.height}", flush=True)
            newest = frame


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except wayshot.WayshotError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
