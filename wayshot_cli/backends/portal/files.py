"""Files that anybody may have put where they are."""

import os
from typing import BinaryIO


def open_now(path: str) -> BinaryIO:
    """Open a file to be read; where it is a FIFO, wait for nobody. Raises OSError."""
    return open(path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK))
