"""A decoder of QOI streams, written from the specification (qoiformat.org, 1.0)."""


def decode(stream: bytes, count: int, channels: int) -> bytes:
    """Return ``count`` pixels of 3 or 4 bytes; the stream has neither header nor end mark."""
    seen = [bytes(4)] * 64
    pixel = b"\0\0\0\xff"
    out: list[bytes] = []
    at = 0
    while len(out) < count:
        tag = stream[at]
        at += 1
        run = 1
        if tag == 0xFF:
            pixel = stream[at : at + 4]
            at += 4
        elif tag == 0xFE:
            pixel = stream[at : at + 3] + pixel[3:]
            at += 3
        elif tag >> 6 == 0:
            pixel = seen[tag]
        elif tag >> 6 == 1:
            moves = ((tag >> 4 & 3) - 2, (tag >> 2 & 3) - 2, (tag & 3) - 2)
            pixel = moved(pixel, moves)
        elif tag >> 6 == 2:
            green = (tag & 63) - 32
            second = stream[at]
            at += 1
            pixel = moved(pixel, (green + (second >> 4) - 8, green, green + (second & 15) - 8))
        else:
            run = (tag & 63) + 1
        r, g, b, a = pixel
        seen[(r * 3 + g * 5 + b * 7 + a * 11) % 64] = pixel
        out.extend([pixel[:channels]] * run)
    assert at == len(stream)
    assert len(out) == count
    return b"".join(out)


def moved(pixel: bytes, moves: tuple[int, int, int]) -> bytes:
    """The pixel with its colours changed; alpha stays."""
    return bytes((c + m) & 255 for c, m in zip(pixel[:3], moves, strict=True)) + pixel[3:]
