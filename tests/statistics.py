"""The line at the end of a recording."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(
    r"wayshot: (?P<seconds>\d+\.\d\d) s, (?P<written>\d+) frames, [\d.]+ (?:B|kB|MB|GB)"
    r" \(captured (?P<captured>\d+), duplicated (?P<duplicated>\d+), skipped (?P<skipped>\d+),"
    r" dropped (?P<dropped>\d+), late (?P<late>\d+)\)"
    r"(?:, interval p50 [\d.]+ ms, p99 [\d.]+ ms)?\n"
)


@dataclass(frozen=True)
class Statistics:
    """What it says."""

    seconds: float
    written: int
    captured: int
    duplicated: int
    skipped: int
    dropped: int
    late: int

    def assert_whole(self) -> None:
        """Check that the frames of a recording that was completed add up."""
        fresh = self.written - self.duplicated
        # A picture that was captured is written, skipped, or (at a variable rate) dropped.
        assert fresh + self.skipped <= self.captured <= fresh + self.skipped + self.dropped, self


def read_statistics(said: str) -> Statistics:
    """Return what the line says that is somewhere among these."""
    match = _LINE.search(said)
    assert match, said
    seconds, *counts = match.groups()
    return Statistics(float(seconds), *map(int, counts))


def without_statistics(said: str) -> str:
    """Return the other lines."""
    return _LINE.sub("", said)
