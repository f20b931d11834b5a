"""A strict and slow reader of PNG files, written from the specification (third edition)."""

import struct
import zlib
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {2: 3, 6: 4}


class Png(NamedTuple):
    """A picture: tight rows of red, green, blue and perhaps alpha, 16 bits big-endian."""

    width: int
    height: int
    depth: int
    channels: int
    pixels: bytes
    filters: list[int]
    chunks: list[tuple[bytes, bytes]]


def read_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """All chunks, names and data; checks signature, lengths and CRCs, and the end."""
    assert data.startswith(SIGNATURE)
    at = len(SIGNATURE)
    chunks = []
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        (crc,) = struct.unpack_from(">I", data, at + 8 + length)
        assert zlib.crc32(name + body) == crc, name
        chunks.append((name, body))
        at += 12 + length
    assert at == len(data)
    return chunks


def check_order(names: list[bytes]) -> None:
    """IHDR first, IDATs together, IEND last (5.6); nothing that wayshot does not write."""
    assert names[0] == b"IHDR"
    assert names[-1] == b"IEND"
    first = names.index(b"IDAT")
    count = names.count(b"IDAT")
    assert names[first : first + count] == [b"IDAT"] * count
    others = names[1:first] + names[first + count : -1]
    assert set(others) <= {b"pHYs", b"tIME", b"tEXt"}
    assert len(set(others)) == len(others)


def inflate(stream: bytes) -> bytes:
    """One zlib stream, whole, with nothing behind it; zlib checks header and Adler-32."""
    inflater = zlib.decompressobj()
    data = inflater.decompress(stream) + inflater.flush()
    assert inflater.eof
    assert not inflater.unused_data
    assert stream[0] == 0x78
    return data


def paeth(a: int, b: int, c: int) -> int:
    """The predictor as 9.4 words it."""
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    if pa <= pb and pa <= pc:
        return a
    return b if pb <= pc else c


def prediction(kind: int, a: int, b: int, c: int) -> int:
    """What filter ``kind`` subtracts, from the bytes left, above, and above left."""
    return (0, a, b, (a + b) // 2, paeth(a, b, c))[kind]


def unfilter(kind: int, row: bytes, above: bytes, left: int) -> bytes:
    """Undo a row's filter; ``left`` is the number of bytes in a pixel."""
    out = bytearray(left) + row
    above = bytes(left) + above
    for i in range(left, len(out)):
        out[i] = (out[i] + prediction(kind, out[i - left], above[i], above[i - left])) & 0xFF
    return bytes(out[left:])


def read(data: bytes) -> Png:
    """Read a PNG, checking everything on the way."""
    chunks = read_chunks(data)
    names = [name for name, _ in chunks]
    check_order(names)
    width, height, depth, colour, method, filtering, interlace = struct.unpack(
        ">IIBBBBB", chunks[0][1]
    )
    assert (method, filtering, interlace) == (0, 0, 0)
    assert depth in (8, 16)
    rows = inflate(b"".join(body for name, body in chunks if name == b"IDAT"))
    channels = CHANNELS[colour]
    left = channels * depth // 8
    length = width * left
    assert len(rows) == height * (1 + length)
    above = bytes(length)
    out, filters = [], []
    for y in range(height):
        filtered = rows[y * (1 + length) : (y + 1) * (1 + length)]
        filters.append(filtered[0])
        above = unfilter(filtered[0], filtered[1:], above, left)
        out.append(above)
    return Png(width, height, depth, channels, b"".join(out), filters, chunks)
