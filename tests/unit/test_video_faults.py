"""Files of PyAV when the file, the codec or the caller does not do its part."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import av
import av.error
import pytest

from tests import probe
from tests.unit.videofile import FILMS, SECOND, USUAL, Pipe, colour, noise, record
from wayshot_cli.encode.stream import VIDEO_FORMATS
from wayshot_cli.encode.video import Video
from wayshot_cli.errors import InvalidArgumentError, WriteError
from wayshot_cli.geometry import Box

if TYPE_CHECKING:
    from pathlib import Path


class Full(Pipe):
    """A file on a disk that becomes full."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room
        self.refused = 0

    def write(self, data: memoryview) -> int:
        if len(self.data) + len(data) > self._room:
            self.refused += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("room", [0, 2000])
@pytest.mark.parametrize("name", VIDEO_FORMATS)
def test_what_the_file_raises_reaches_the_caller(
    name: str, room: int, capfd: pytest.CaptureFixture[str]
) -> None:
    file = Full(room)
    stream = Video(file, name, noise(0), None, USUAL)
    with pytest.raises(OSError, match="No space left") as caught:  # noqa: PT012 - one of many
        for number in range(200):
            assert not file.refused  # else it would have been told already
            stream.write(noise(number), number * SECOND // 60)
        stream.close(200 * SECOND // 60)
    assert caught.value.errno == errno.ENOSPC
    stream.abandon()
    assert file.refused == 1  # nothing was tried after that
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", VIDEO_FORMATS)
def test_after_abandon_nothing_more_is_written(name: str) -> None:
    file = Pipe()
    stream = Video(file, name, colour(0), None, USUAL)
    assert not file.data
    for number in range(100):
        stream.write(colour(number), number * SECOND // 60)
    before = len(file.data)
    stream.abandon()
    stream.abandon()
    del stream
    assert len(file.data) == before


class Failing:
    """An encoder that fails."""

    def encode(self, _frame: object) -> list[object]:
        raise av.error.ExternalError(542398533, "Generic error in an external library")


def test_a_codec_that_fails_is_an_error_of_the_family() -> None:
    stream = Video(Pipe(), "mp4", colour(0), None, USUAL)
    stream._encoder = Failing()
    with pytest.raises(WriteError, match="libx264 failed: Generic error in an external"):
        stream.write(colour(0), 0)
    stream.abandon()


def test_a_frame_of_another_size_is_refused() -> None:
    stream = Video(Pipe(), "mp4", colour(0), None, USUAL)
    with pytest.raises(InvalidArgumentError, match="32x48 in a video of 64x48"):
        stream.write(colour(0).crop(Box(0, 0, 32, 48)), 0)
    stream.abandon()


class Slow:
    """A file that takes little at a time, as a system call may."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def write(self, data: memoryview) -> int:
        return int(self._file.write(data[:700]))


@pytest.mark.parametrize("name", VIDEO_FORMATS)
def test_short_writes_are_continued(tmp_path: Path, name: str) -> None:
    pictures = [(noise(i), i * SECOND // 60) for i in range(5)]
    whole = record(tmp_path / f"a.{name}", pictures, SECOND // 12)
    with (tmp_path / "b").open("wb", buffering=0) as file:
        stream = Video(Slow(file), name, noise(0), None, USUAL)
        for frame, time_ns in pictures:
            stream.write(frame, time_ns)
        stream.close(SECOND // 12)
    assert abs((tmp_path / "b").stat().st_size - whole.stat().st_size) <= 16
    if name in FILMS:
        whole.write_bytes((tmp_path / "b").read_bytes())
        assert len(list(probe.frames(whole))) == len(pictures)
