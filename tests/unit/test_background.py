"""Work that goes on after the command: what its child keeps of the parent, and how it ends."""

import ctypes
import gc
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.descriptors import leaving_no_descriptors
from tests.processes import wait_until
from wayshot_cli import background
from wayshot_cli.errors import CaptureTimeoutError, NotFoundError, UnsupportedError, WayshotError

SET_CHILD_SUBREAPER = 36  # prctl(2)

Ready = Callable[[], None]


@pytest.fixture(autouse=True)
def orphans() -> Iterator[None]:
    """Let what is detached come to us, and leave nothing of it behind."""
    prctl = ctypes.CDLL(None).prctl
    prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    for pid in children():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: children() == [])
    prctl(SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def children() -> list[int]:
    """Return those that have not ended, and let those go that have."""
    while True:
        pids = [*map(int, Path("/proc/thread-self/children").read_text().split())]
        if not any(has_ended(pid) for pid in pids):
            return pids
        # The children of one that has ended may have come to us meanwhile: look again.


def has_ended(child: int) -> bool:
    try:
        return bool(os.waitpid(child, os.WNOHANG)[0])
    except ChildProcessError:  # the kernel has let it go while SIGCHLD was ignored
        return True


def detach(work: Callable[[Ready], object], timeout: float = 20) -> None:
    background.detach(work, "testing", name="ws-test", timeout=timeout)


def sleep_on(ready: Ready) -> None:
    ready()
    time.sleep(60)


def test_the_work_goes_on_after_it_is_ready_and_ends_by_itself(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def work(ready: Ready) -> None:
        ready()
        fifo.write_text("done")

    detach(work)
    assert len(children()) == 1
    assert fifo.read_text() == "done"
    assert os.wait()[1] == 0
    assert children() == []


def test_work_that_ends_before_it_is_ready_is_done() -> None:
    detach(lambda _ready: None)
    wait_until(lambda: children() == [])


def test_the_child_keeps_nothing_of_its_parents() -> None:
    reading_fd, writing_fd = os.pipe()
    os.set_inheritable(writing_fd, True)  # noqa: FBT003 - its signature
    detach(sleep_on)
    (child,) = children()
    os.close(writing_fd)
    assert select.select([reading_fd], [], [], 20)[0]
    assert os.read(reading_fd, 1) == b""
    os.close(reading_fd)

    process = Path(f"/proc/{child}")
    assert {os.readlink(fd) for fd in (process / "fd").iterdir()} == {"/dev/null"}
    assert os.readlink(process / "cwd") == "/"
    assert (process / "comm").read_text() == "ws-test\n"
    assert os.getsid(child) != os.getsid(0)
    assert os.getsid(child) != child  # so that no terminal becomes its own


def resident_mib(pid: int) -> float:
    return (
        int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    )


def test_the_child_does_not_keep_what_the_parent_has_freed() -> None:
    blocks = [os.urandom(100_000) for _ in range(500)]
    blocks = blocks[::10]  # freed lies between what is not, so that the C library keeps it
    detach(sleep_on)
    (child,) = children()
    assert resident_mib(child) < resident_mib(os.getpid()) - 35
    assert len(blocks) == 50


def test_signals_do_in_the_child_what_they_do_by_default_or_stay_ignored() -> None:
    old = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        detach(sleep_on)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    (child,) = children()
    os.kill(child, signal.SIGUSR1)
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


def test_the_signal_mask_is_what_it_was() -> None:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    detach(lambda _ready: None)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask


@pytest.mark.parametrize(
    "error",
    [
        UnsupportedError("neither protocol", hint="install it"),
        NotFoundError("name\udc80\0 that is no \N{LATIN SMALL LETTER U WITH DIAERESIS}nicode"),
    ],
    ids=["with a hint", "without"],
)
def test_an_error_before_it_is_ready_is_the_parents(error: WayshotError) -> None:
    def work(_ready: Ready) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        detach(work)
    assert (str(caught.value), caught.value.hint) == (str(error), error.hint)
    wait_until(lambda: children() == [])


def test_another_exception_is_one_of_ours_for_the_parent() -> None:
    with pytest.raises(WayshotError, match="failed: ZeroDivisionError"):
        detach(lambda _ready: 1 // 0)


def test_an_error_after_it_is_ready_ends_the_child_alone() -> None:
    def work(ready: Ready) -> None:
        ready()
        message = "too late"
        raise UnsupportedError(message)

    detach(work)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 1


def test_a_death_before_it_is_ready_is_an_error() -> None:
    with pytest.raises(WayshotError, match="testing: the background process was ended"):
        detach(lambda _ready: os.kill(os.getpid(), signal.SIGKILL))


def test_a_parent_that_ignores_its_children_is_no_worse_off() -> None:
    old = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        detach(sleep_on)
        assert len(children()) == 1
        with pytest.raises(CaptureTimeoutError):
            detach(lambda _ready: time.sleep(60), timeout=0.1)
    finally:
        signal.signal(signal.SIGCHLD, old)


def test_who_is_never_ready_is_ended_at_the_deadline() -> None:
    with pytest.raises(CaptureTimeoutError, match="testing"):
        detach(lambda _ready: time.sleep(60), timeout=0.2)
    wait_until(lambda: children() == [])


def test_a_child_dies_with_a_parent_that_waits_for_it(tmp_path: Path) -> None:
    script = """
import os, sys, time
from wayshot_cli import background
def work(ready):
    print(os.getpid(), file=open(sys.argv[1], "w"), flush=True)
    time.sleep(60)
background.detach(work, "testing", name="ws-test")
"""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen([sys.executable, "-c", script, fifo]) as parent:
        child = int(fifo.read_text())
        assert Path(f"/proc/{child}").exists()
        parent.kill()
        parent.wait(20)
        wait_until(lambda: children() == [])
        assert not Path(f"/proc/{child}").exists()


def test_garbage_of_the_parents_closes_nothing_in_the_child(tmp_path: Path) -> None:
    class Closes:
        def __init__(self) -> None:
            self.itself, self.fd = self, os.open(os.devnull, os.O_RDONLY)

        def __del__(self) -> None:
            os.close(self.fd)

    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    gc.disable()
    try:
        fd = Closes().fd

        def work(ready: Ready) -> None:
            ready()
            os.dup2(0, fd)
            gc.collect()
            os.fstat(fd)
            fifo.write_text("whole")

        detach(work)
        opened = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        assert select.select([opened], [], [], 20)[0]
        assert os.read(opened, 9) == b"whole"
        os.close(opened)
    finally:
        gc.enable()
        gc.collect()
    assert os.wait()[1] == 0


def test_fifty_in_a_row_leave_nothing_open_here() -> None:
    with leaving_no_descriptors():
        for _ in range(50):
            detach(lambda ready: ready())
    wait_until(lambda: children() == [])
