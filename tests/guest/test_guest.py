"""The guest itself: what the tests in inside/ take for granted."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from pathlib import Path

import pytest

from tests.guest import guest
from tests.guest.guest import CHECKOUT, Guest, GuestError, GuestTimeoutError, python_mounts

PATIENCE = 60.0
"""Seconds for what takes one or two."""


def shell(script: str, *mounts: Path, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a script in a guest; return its exit status and what it wrote."""
    output = io.BytesIO()
    command = ["sh", "-c", script]
    with Guest(
        command, mounts=mounts or (CHECKOUT,), env=env, timeout=PATIENCE, output=output
    ) as machine:
        return machine.wait(), output.getvalue().decode()


def remains(folder: Path) -> list[Path]:
    """Return what there is of the guest that has this folder: itself and its processes."""
    processes = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _mentions(path, folder)]
    return [*processes, *folder.parent.glob(folder.name)]


def _mentions(cmdline: Path, folder: Path) -> bool:
    try:
        return bytes(folder) in cmdline.read_bytes()
    except OSError:
        return False


def test_a_command_runs_with_its_environment_and_gives_output_and_status() -> None:
    """Also what has no end of line, and what looks like the mark that ends the output."""
    script = r'pwd; echo "$WORD" >&2; seq 100000; printf "last\036"; exit 7'
    status, output = shell(script, env={"WORD": "it's $HOME"})
    numbers = "".join(f"{n}\n" for n in range(1, 100001))
    assert output == f"{CHECKOUT}\nit's $HOME\n{numbers}last\x1e"
    assert status == 7


def test_the_mark_that_ends_the_output_may_come_in_pieces() -> None:
    """A pipe promises no more."""
    output = io.BytesIO()
    machine = Guest([], timeout=PATIENCE, output=output)
    machine._deadline = time.monotonic() + PATIENCE
    machine._pipe, writing = os.pipe()
    try:
        words = b"no mark: \x1e" + b"." * 40 + machine._mark + b"12\n"
        for n, byte in enumerate(words, 1):
            os.write(writing, bytes([byte]))
            assert machine.poll(1) == (12 if n == len(words) else None)
    finally:
        os.close(machine._pipe)
        os.close(writing)
    assert output.getvalue() == b"no mark: \x1e" + b"." * 40


def test_the_output_comes_while_the_command_runs() -> None:
    """Somebody may be watching."""
    output = io.BytesIO()
    with Guest(["sh", "-c", "echo now; sleep 1000"], timeout=PATIENCE, output=output) as machine:
        while output.getvalue() != b"now\n":
            assert machine.poll(1) is None


def test_folders_and_files_of_the_host_are_there_to_be_read(tmp_path: Path) -> None:
    """A file comes without its neighbours; nothing that is done in the guest changes the host."""
    folder, file, neighbour = tmp_path / "folder", tmp_path / "file", tmp_path / "neighbour"
    folder.mkdir()
    for path in (folder / "a word", file, neighbour):
        path.write_text("read\n")
    status, output = shell(
        f"cat '{folder}/a word' {file}; test -e {neighbour} || echo absent;"
        f" touch {folder}/new 2>/dev/null || echo refused; touch {tmp_path}/new /usr/new",
        *(folder, file),
    )
    assert (output, status) == ("read\nread\nabsent\nrefused\n", 0)
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "file", "neighbour"}
    assert [path.name for path in folder.iterdir()] == ["a word"]


def test_this_python_runs_with_its_modules() -> None:
    """Those with compiled parts are the ones that may lack a library."""
    modules = "numpy, PIL.Image, cffi, _cffi_backend, av, pywayland, zlib_ng, ctypes"
    module = "wayshot_cli.kernels._kernels"
    script = f"{sys.executable} -c 'import {modules}, {module}; print({module}.__file__)'"
    status, output = shell(script, *python_mounts())
    assert status == 0, output
    assert re.fullmatch(rf"{re.escape(str(CHECKOUT))}/wayshot_cli/kernels/_kernels\..*so\n", output)


def test_a_command_that_takes_too_long_ends_with_its_guest() -> None:
    """However stubborn it is."""
    script = "trap '' TERM HUP; sleep 1000 & while :; do :; done"
    with Guest(["sh", "-c", script], timeout=3.0, output=io.BytesIO()) as machine:
        folder = machine.shared.parent
        with pytest.raises(GuestTimeoutError, match=r"not done within 3\.0 s"):
            machine.wait()
        assert len(remains(folder)) > 1
    # Killed, its processes take a moment to go.
    deadline = time.monotonic() + PATIENCE
    while remains(folder):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_guest_that_dies_says_what_its_kernel_said() -> None:
    """Here it is asked to stop; a kernel that panics looks the same from outside."""
    power_off = f"{sys.executable} -c 'import ctypes; ctypes.CDLL(None).reboot(0x4321FEDC)'"
    with pytest.raises(GuestError, match=r"(?s)the guest died.*kernel said"):
        shell(power_off, *python_mounts())


def test_a_kernel_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other is taken in its place."""
    monkeypatch.setenv("WAYSHOT_TEST_KERNEL", "/nonexistent/linux")
    with pytest.raises(GuestError, match=r"WAYSHOT_TEST_KERNEL.*no such file"):
        shell("true")


@pytest.mark.parametrize("what", ["kernel", "root"])
def test_nothing_is_built_unasked(
    what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It takes minutes, and a machine's whole attention."""
    if what == "kernel":
        monkeypatch.delenv("WAYSHOT_TEST_KERNEL", raising=False)
    else:
        monkeypatch.setenv("WAYSHOT_TEST_KERNEL", str(guest._made_by("build-kernel")))
    monkeypatch.setenv("WAYSHOT_TEST_CACHE", str(tmp_path))
    with pytest.raises(GuestError, match=rf"no {what} yet: make guest"):
        shell("true")
    assert not list(tmp_path.iterdir())
