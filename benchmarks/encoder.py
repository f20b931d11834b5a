"""PNG in process: our encoder against libpng with grim's settings, on one and on two cores."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image

from benchmarks import measure, pictures
from benchmarks.measure import Run
from wayshot_cli.encode import png
from wayshot_cli.frame import Frame
from wayshot_cli.geometry import Size, Transform
from wayshot_cli.pixels import XRGB8888

ROUNDS = 9
UHD, FULL_HD = Size(3840, 2160), Size(1920, 1080)


def run() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        peer, label = _peer(Path(folder))
        measure.title(f"PNG in process, against {label}")
        for name, make, size in (
            ("4K text", pictures.text_desktop, UHD),
            ("1080p text", pictures.text_desktop, FULL_HD),
            ("4K photo", pictures.photo, UHD),
        ):
            data = pictures.bgrx(make(*size))
            _compare(name, data, size, peer)


Peer = Callable[[bytes, Size], Callable[[], Run]]


def _compare(name: str, data: bytes, size: Size, peer: Peer) -> None:
    frame = Frame(memoryview(data), XRGB8888, size, size.width * 4)
    turned = Frame(memoryview(data), XRGB8888, size, size.width * 4, Transform.ROTATED_90)

    def ours(cores: int, picture: Frame, level: int = 2) -> Callable[[], Run]:
        def encode() -> Run:
            with _on_cores(cores):
                return measure.timed(lambda: sum(map(len, png.encode(picture, level))))

        return encode

    theirs, one, two, rotated, smaller = measure.in_turns(
        ROUNDS, peer(data, size), ours(1, frame), ours(2, frame), ours(2, turned), ours(2, frame, 6)
    )
    measure.row(f"{name}, one core", theirs, one)
    measure.row(f"{name}, two cores", theirs, two)
    turned_back = rotated._replace(size=0)  # its rows are columns, and their size their own
    measure.row(f"{name}, two cores, turned 90", theirs._replace(size=0), turned_back)
    measure.row(f"{name}, two cores, level 6", theirs, smaller)


@contextmanager
def _on_cores(count: int) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[:count]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _peer(folder: Path) -> tuple[Peer, str]:
    """Libpng as grim uses it, if it can be compiled here, else Pillow."""
    program = folder / "libpng"
    source = Path(__file__).with_name("libpng.c")
    command = ["cc", "-O2", "-o", str(program), str(source), "-lpng"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        print("\nNo libpng to compile against (apt install libpng-dev gcc): Pillow stands in.")
        return _pillow, "Pillow at level 6, which is not what grim uses"

    def libpng(data: bytes, size: Size) -> Callable[[], Run]:
        raw = folder / "picture.raw"
        raw.write_bytes(data)
        arguments = [str(program), str(raw), str(size.width), str(size.height)]

        def encode() -> Run:
            done = subprocess.run(arguments, check=True, capture_output=True, text=True)
            nanoseconds, length = map(int, done.stdout.split())
            return Run(nanoseconds / 1e9, length)

        return encode

    return libpng, "libpng with grim's settings (level 6, all filters)"


def _pillow(data: bytes, size: Size) -> Callable[[], Run]:
    image = Image.frombytes("RGB", size, data, "raw", "BGRX")

    def encode() -> int:
        file = BytesIO()
        image.save(file, "PNG", compress_level=6)
        return file.tell()

    return lambda: measure.timed(encode)
