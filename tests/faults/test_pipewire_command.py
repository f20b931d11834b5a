"""``--pipewire-node``: the command without a compositor, on a producer that obeys."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.fake.pipewire import BGRX, picture, sending
from tests.statistics import read_statistics

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake.pipewire import PipeWire, Producer

WIDTH, HEIGHT = 64, 48
NBYTES = WIDTH * HEIGHT * 4
SOON = 20.0
"""Seconds within which what ends at once has ended, however busy the machine is."""

NO_FORMAT = (1, 5)
"""The session manager leaves alone what it cannot link, or ends it, as if there were no node."""

COMMAND = [sys.executable, "-m", "wayshot_cli"]


def wayshot(
    pipewire: PipeWire, *words: str, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the command; there is no compositor for it."""
    return subprocess.run(
        [*COMMAND, *words],
        env=pipewire.env | variables,
        capture_output=True,
        timeout=30,
        check=False,
    )


def test_a_still_needs_no_compositor(
    pipewire: PipeWire, producer: Producer, tmp_path: Path
) -> None:
    with sending(producer, 5):
        done = wayshot(
            pipewire, "-v", "--pipewire-node", str(producer.node), str(tmp_path / "a.png")
        )
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "a.png") as image:
        shown = np.asarray(image)
    sent = picture(WIDTH, HEIGHT, 5).reshape(HEIGHT, WIDTH, 4)[..., 2::-1]
    assert np.array_equal(shown, sent)
    assert f"PipeWire node {producer.node}: 64x48 BGRx" in done.stderr.decode()


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["-o", "DP-1"], 2, "not in PipeWire node"),
        (["-g", "0,0 5x5"], 2, "not in PipeWire node"),
        (["-s", "2"], 4, "how large a logical unit is"),
        (["--backend", "screencopy"], 2, "without another backend"),
        (["--portal-source", "window"], 2, "without another backend"),
        (["--device", "/dev/null"], 4, "/dev/null"),
    ],
)
def test_what_a_node_cannot_do_is_refused(  # noqa: PLR0913, PLR0917 - fixtures and a row
    pipewire: PipeWire,
    producer: Producer,
    tmp_path: Path,
    words: list[str],
    code: int,
    complaint: str,
) -> None:
    node = ["--pipewire-node", str(producer.node)]
    done = wayshot(pipewire, *node, *words, str(tmp_path / "a.png"))
    assert (done.returncode, complaint in done.stderr.decode()) == (code, True), done.stderr
    assert not list(tmp_path.iterdir())


def test_dmabufs_are_not_had_of_who_has_none(
    pipewire: PipeWire, producer: Producer, tmp_path: Path
) -> None:
    node = ["--pipewire-node", str(producer.node)]
    with sending(producer, 5):
        done = wayshot(
            pipewire, *node, "--buffer", "dmabuf", "--timeout", "2", str(tmp_path / "a.png")
        )
    assert done.returncode in NO_FORMAT
    assert b"no format" in done.stderr
    assert b"in dmabufs" in done.stderr


def test_a_node_that_is_not_there_is_not_found(pipewire: PipeWire, tmp_path: Path) -> None:
    done = wayshot(pipewire, "--pipewire-node", "4000", str(tmp_path / "a.png"))
    assert done.returncode == 5
    assert b"there is no PipeWire node 4000" in done.stderr


def test_without_pipewire_it_says_what_to_install(pipewire: PipeWire, tmp_path: Path) -> None:
    words = ["--pipewire-node", "40", str(tmp_path / "a.png")]
    done = wayshot(pipewire, *words, XDG_RUNTIME_DIR=str(tmp_path))
    assert done.returncode == 4
    assert b"there is no PipeWire to talk to" in done.stderr
    assert b"Debian: pipewire, wireplumber, libpipewire-0.3-0" in done.stderr


def test_without_libpipewire_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from wayshot_cli.backends.pipewire import library
    from wayshot_cli.errors import UnsupportedError

    monkeypatch.setattr(library, "_SONAME", "libpipewire-that-there-is-not.so.0")
    library._load.cache_clear()
    with pytest.raises(UnsupportedError, match="cannot be loaded") as raised:
        library.version()
    assert "libpipewire-0.3-0" in (raised.value.hint or "")


def test_the_offer_can_be_fixed(pipewire: PipeWire, producer: Producer, tmp_path: Path) -> None:
    words = ["--pipewire-node", str(producer.node), str(tmp_path / "a.png")]
    with sending(producer, 5):
        for wanted in ("BGRx", "BGRx:64x48"):
            assert wayshot(pipewire, *words, WAYSHOT_PW_FORMAT=wanted).returncode == 0
        for wanted in ("BGRx:65x48", "RGB"):
            done = wayshot(pipewire, "--timeout", "2", *words, WAYSHOT_PW_FORMAT=wanted)
            assert done.returncode in NO_FORMAT, (wanted, done.stderr)
        assert b"WAYSHOT_PW_FORMAT is set" in done.stderr
    done = wayshot(pipewire, *words, WAYSHOT_PW_FORMAT="nonsense")
    assert done.returncode == 2
    assert b"no format named 'nonsense'" in done.stderr


def test_a_recording_shows_changes_and_silence_in_time(
    pipewire: PipeWire, producer: Producer
) -> None:
    process = subprocess.Popen(
        [*COMMAND, "record", "--pipewire-node", str(producer.node), "--duration", "4",
         "-r", "10", "-t", "raw", "-"],
        env=pipewire.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    with sending(producer, 1):
        data = process.stdout.read(NBYTES)  # it runs
    data += process.stdout.read(10 * NBYTES)  # silent for a second
    producer.tell("send", seed=2)
    data += process.stdout.read()
    _, said = process.communicate(timeout=SOON)
    assert process.returncode == 0
    seeds = [data[position] for position in range(0, len(data), NBYTES)]
    statistics = read_statistics(said.decode())
    assert len(data) == statistics.written * NBYTES
    assert statistics.written + statistics.dropped == 40
    assert seeds == sorted(seeds)
    assert set(seeds) == {1, 2}
    assert seeds.index(2) > 10


@pytest.mark.parametrize("is_sending", [True, False])
def test_an_interrupt_ends_a_recording_at_once(
    pipewire: PipeWire, producer: Producer, *, is_sending: bool
) -> None:
    process = subprocess.Popen(
        [*COMMAND, "record", "--pipewire-node", str(producer.node), "--timeout", str(3 * SOON),
         "-t", "raw", "-"],
        env=pipewire.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    if is_sending:
        with sending(producer, 1):
            process.stdout.read(NBYTES)
    else:
        producer.wait_for("state streaming")
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=SOON)
    assert process.returncode == (0 if is_sending else 130), words


def test_a_node_that_goes_ends_the_recording(pipewire: PipeWire, tmp_path: Path) -> None:
    with pipewire.producer() as producer:
        producer.offer(BGRX, WIDTH, HEIGHT)
        process = subprocess.Popen(
            [*COMMAND, "record", "--pipewire-node", str(producer.node), "--on-lost", "wait",
             "-t", "raw", str(tmp_path / "clip.raw")],
            env=pipewire.env, stderr=subprocess.PIPE,
        )  # fmt: skip
        with sending(producer, 1):
            while not (tmp_path / "clip.raw").exists():
                assert process.poll() is None
                time.sleep(0.02)
        producer.process.kill()
        _, words = process.communicate(timeout=20)
    assert process.returncode == 6, words
    assert b"went away" in words
    assert (tmp_path / "clip.raw").stat().st_size >= NBYTES
