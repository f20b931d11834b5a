"""Run a command in the guest: ``python -m tests.guest [-t SECONDS] COMMAND [ARGUMENT]...``.

It gets the checkout as its folder, and this Python; its output comes live, its exit status is ours.
"""

from __future__ import annotations

import argparse
import signal
import sys

from tests.guest.guest import GuestError, python_mounts, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.guest")
    parser.add_argument("-t", "--timeout", type=float, default=60, help="60 by default")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    words = parser.parse_args()
    if not words.command:
        parser.error("no COMMAND")
    # Leave by way of the guest's end, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        sys.exit(run(words.command, mounts=python_mounts(), timeout=words.timeout))
    except GuestError as error:
        sys.exit(f"python -m tests.guest: {error}")
