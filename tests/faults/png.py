"""A PNG decoder of its own for tests: Pillow halves what has 16 bits."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
RGB, RGBA = 2, 6  # colour types
NONE, SUB, UP, AVERAGE, PAETH = range(5)  # filters


def read_png(data: bytes) -> tuple[NDArray[np.uint16], int]:
    """Return rows x columns x channels of an RGB or RGBA picture, and its bit depth.

    Checks the signature, each chunk's CRC and that nothing is missing or left over.
    """
    assert data.startswith(SIGNATURE)
    chunks = list(_chunks(data[len(SIGNATURE) :]))
    assert chunks[0][0] == b"IHDR"
    assert chunks[-1] == (b"IEND", b"")
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    assert rest == [0, 0, 0]
    channels = {RGB: 3, RGBA: 4}[colour]
    step = channels * depth // 8
    filtered = zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT"))
    assert len(filtered) == height * (1 + width * step)
    above = bytearray(width * step)
    rows = bytearray()
    for start in range(0, len(filtered), 1 + width * step):
        row = bytearray(filtered[start + 1 : start + 1 + width * step])
        _unfilter(filtered[start], row, above, step)
        rows += row
        above = row
    samples = np.frombuffer(bytes(rows), ">u2" if depth == 16 else "u1").astype(np.uint16)
    return samples.reshape(height, width, channels), depth


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks = []
    while data:
        (length,) = struct.unpack_from(">I", data)
        body, (crc,) = data[4 : 8 + length], struct.unpack_from(">I", data, 8 + length)
        assert crc == zlib.crc32(body)
        chunks.append((body[:4], body[4:]))
        data = data[12 + length :]
    return chunks


def _unfilter(kind: int, row: bytearray, above: bytearray, step: int) -> None:
    for i in range(len(row)):
        left = row[i - step] if i >= step else 0
        up = above[i]
        corner = above[i - step] if i >= step else 0
        if kind == SUB:
            predicted = left
        elif kind == UP:
            predicted = up
        elif kind == AVERAGE:
            predicted = (left + up) // 2
        elif kind == PAETH:
            predicted = _paeth(left, up, corner)
        else:
            assert kind == NONE
            predicted = 0
        row[i] = row[i] + predicted & 0xFF


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    return min((left, up, corner), key=lambda value: abs(estimate - value))
