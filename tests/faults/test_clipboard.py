"""The clipboard: whoever pastes, in whatever way, and a compositor that goes wrong."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.descriptors import leaving_no_more
from tests.fake import Config, FakeCompositor, Fault, Step, faults
from tests.faults.command import LIMIT, LONG, TIMEOUT
from tests.orphans import Orphans, adopted
from tests.processes import wait_until
from wayshot_cli import clipboard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


CONFIG = Config(seat_version=5, ext_data_control_version=1)

# Far more than a pipe holds.
DATA = random.Random(7).randbytes(3_000_000)

# Copies files, given as MIME=PATH, and says what went wrong.
SCRIPT = """
import sys
from wayshot_cli import clipboard, errors
offers = {}
for word in sys.argv[2:]:
    mime, _, path = word.partition("=")
    offers[mime] = open(path, "rb").read()
try:
    clipboard.copy(offers, timeout=float(sys.argv[1]))
except errors.WayshotError as error:
    print(type(error).__name__, error, error.hint, sep="\\n")
    sys.exit(error.exit_code)
"""


@pytest.fixture
def holders() -> Iterator[Orphans]:
    """The processes that hold the clipboard."""
    with adopted("ws-clipboard") as orphans:
        yield orphans


@pytest.fixture
def png(tmp_path: Path) -> str:
    """DATA as an image."""
    path = tmp_path / "data"
    path.write_bytes(DATA)
    return f"image/png={path}"


def copy(
    compositor: FakeCompositor,
    *words: str,
    env: dict[str, str] | None = None,
    timeout: float = LONG,
) -> subprocess.CompletedProcess[str]:
    # Its pipes are read until their end: nothing in the background may keep them.
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(timeout), *words],
        env=compositor.env | (env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def copied(compositor: FakeCompositor, *words: str) -> None:
    result = copy(compositor, *words)
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)


def refused(config: Config, holders: Orphans, *words: str, **settings: Any) -> list[str]:
    """Return the error's class, its words and its hint."""
    with FakeCompositor(config) as compositor:
        result = copy(compositor, *words, timeout=TIMEOUT, **settings)
        assert result.returncode
        assert result.stderr == ""
        compositor.wait_until_gone()
    holders.wait_until(0)
    return result.stdout.splitlines()


def read(fd: int) -> bytes:
    """Read to the end, and close it."""
    with open(fd, "rb") as file:
        assert select.select([file], [], [], LIMIT)[0]
        return file.read()


def wait_for_end(compositor: FakeCompositor, holders: Orphans) -> None:
    holders.wait_until(0)
    compositor.wait_until_gone()
    assert compositor.violations == []
    assert compositor.leaks == []


@pytest.mark.parametrize(
    ("offered", "taken"),
    [((1, 0), "ext"), ((0, 1), "zwlr"), ((0, 2), "zwlr"), ((1, 2), "ext")],
)
def test_what_is_copied_can_be_pasted_until_it_is_replaced(
    offered: tuple[int, int], taken: str, holders: Orphans, png: str, tmp_path: Path
) -> None:
    ext, wlr = offered
    uri = tmp_path / "uri"
    uri.write_bytes(b"file:///shot.png\r\n")
    config = Config(seat_version=5, ext_data_control_version=ext, wlr_data_control_version=wlr)
    with FakeCompositor(config) as compositor:
        copied(compositor, png, f"text/uri-list={uri}")
        assert compositor.count(f"{taken}_data_control_manager_v1", "create_data_source") == 1
        assert compositor.clipboard.mime_types == ["image/png", "text/uri-list"]
        compositor.wait_for(f"{taken}_data_control_offer_v1", "destroy")  # that of its own
        for _ in range(3):
            assert read(compositor.paste("image/png")) == DATA
        assert read(compositor.paste("text/uri-list")) == uri.read_bytes()
        assert len(holders.pids) == 1
        compositor.replace_clipboard()
        wait_for_end(compositor, holders)


def test_one_copy_replaces_another(holders: Orphans, png: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    with FakeCompositor(CONFIG) as compositor:
        copied(compositor, png)
        first = holders.pids
        copied(compositor, f"text/plain={other}")
        assert holders.wait_until(1) != first
        assert read(compositor.paste("text/plain")) == b"other"
        compositor.replace_clipboard()
        wait_for_end(compositor, holders)


def test_fifty_copies_leave_one_process(holders: Orphans, png: str) -> None:
    with FakeCompositor(CONFIG) as compositor:
        for _ in range(50):
            copied(compositor, png)
        (holder,) = holders.wait_until(1)
        wait_until(lambda: compositor.connected == 1)
        assert len(os.listdir(f"/proc/{holder}/fd")) < 10
        compositor.replace_clipboard()
        wait_for_end(compositor, holders)


def test_nothing_of_nothing_can_be_pasted(holders: Orphans, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with FakeCompositor(CONFIG) as compositor:
        copied(compositor, f"text/plain={tmp_path / 'empty'}")
        assert read(compositor.paste("text/plain")) == b""
        assert len(holders.pids) == 1


class TestReaders:
    """Who pastes."""

    @pytest.fixture
    def compositor(self, holders: Orphans, png: str) -> Iterator[FakeCompositor]:
        """A compositor with DATA on its clipboard, which is still good at the end."""
        with FakeCompositor(CONFIG) as compositor:
            copied(compositor, png)
            (holder,) = holders.pids
            with leaving_no_more(lambda: len(os.listdir(f"/proc/{holder}/fd"))):
                yield compositor
                assert read(compositor.paste("image/png")) == DATA
            compositor.replace_clipboard()
            wait_for_end(compositor, holders)

    def test_many_at_once_get_all(self, compositor: FakeCompositor) -> None:
        fds = [compositor.paste("image/png") for _ in range(20)]
        assert all(read(fd) == DATA for fd in reversed(fds))

    def test_slow_ones_get_all_and_hold_nobody_up(self, compositor: FakeCompositor) -> None:
        slow = compositor.paste("image/png")
        first = os.read(slow, 10)
        assert read(compositor.paste("image/png")) == DATA
        assert first + read(slow) == DATA

    def test_those_who_never_read_hold_nobody_up(self, compositor: FakeCompositor) -> None:
        fds = [compositor.paste("image/png") for _ in range(10)]
        assert read(compositor.paste("image/png")) == DATA
        for fd in fds:
            os.close(fd)

    def test_those_who_hang_up_are_forgotten(self, compositor: FakeCompositor) -> None:
        os.close(compositor.paste("image/png"))
        midway = compositor.paste("image/png")
        os.read(midway, 100_000)
        os.close(midway)

    def test_what_is_not_on_offer_is_nothing(self, compositor: FakeCompositor) -> None:
        assert read(compositor.paste("text/html")) == b""

    @pytest.mark.parametrize("path", ["/dev/full", "/dev/null", "/"])
    def test_what_is_no_pipe_does_no_harm(self, compositor: FakeCompositor, path: str) -> None:
        flags = os.O_RDONLY if path == "/" else os.O_WRONLY
        compositor.paste_into("image/png", os.open(path, flags))

    def test_a_pipe_of_which_only_the_wrong_end_is_known_does_no_harm(
        self, compositor: FakeCompositor
    ) -> None:
        reading_fd, writing_fd = os.pipe()
        compositor.paste_into("image/png", reading_fd)
        assert read(compositor.paste("image/png")) == DATA
        os.close(writing_fd)

    def test_a_file_takes_it_at_once(self, compositor: FakeCompositor) -> None:
        with tempfile.TemporaryFile() as file:
            compositor.paste_into("image/png", os.dup(file.fileno()))
            assert read(compositor.paste("image/png")) == DATA
            assert os.pread(file.fileno(), len(DATA) + 1, 0) == DATA

    def test_too_many_are_let_go_the_stuck_first(
        self, compositor: FakeCompositor, holders: Orphans
    ) -> None:
        fds = [compositor.paste("image/png") for _ in range(3 * clipboard._MOST_READERS)]
        last = compositor.paste("image/png")
        beginning = os.read(last, 1)
        assert len(os.listdir(f"/proc/{holders.pids[0]}/fd")) < clipboard._MOST_READERS + 10
        assert beginning + read(last) == DATA
        for fd in fds:
            os.close(fd)


def test_who_is_still_reading_gets_all_of_what_has_been_replaced(
    holders: Orphans, png: str
) -> None:
    with FakeCompositor(CONFIG) as compositor:
        copied(compositor, png)
        slow = compositor.paste("image/png")
        first = os.read(slow, 1)
        compositor.replace_clipboard()
        compositor.wait_for("ext_data_control_source_v1", "destroy")
        assert len(holders.pids) == 1
        assert first + read(slow) == DATA
        wait_for_end(compositor, holders)


@pytest.mark.parametrize(
    "end",
    [lambda compositor: compositor.hang_up(), lambda compositor: compositor.finish_clipboard()],
    ids=["the compositor", "its seat"],
)
def test_the_holder_goes_with(end: Any, holders: Orphans, png: str) -> None:
    with FakeCompositor(CONFIG) as compositor:
        copied(compositor, png)
        stuck = compositor.paste("image/png")
        os.read(stuck, 1)
        os.close(stuck)
        end(compositor)
        holders.wait_until(0)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(Step.ACCEPT, faults.hang_up), "CaptureError: closed the connection"),
        (Fault(Step.GLOBALS, faults.fall_silent), "CaptureTimeoutError: while listing"),
        (Fault(Step.SELECTION, faults.fall_silent), "CaptureTimeoutError: while setting the clip"),
        (Fault(Step.SYNC, faults.flood, skip=1), "CaptureTimeoutError: while setting the clip"),
        (Fault(Step.SELECTION, faults.hang_up), "CaptureError: closed the connection"),
        (Fault(Step.SELECTION, faults.protocol_error), "CaptureError: reported error 77"),
        (
            Fault(Step.SELECTION, faults.doing(lambda it: it.finish_clipboard())),
            "CaptureError: took its seat away",
        ),
    ],
    ids=["hang-up at once", "silence at once", "silence", "flood", "hang-up", "error", "no seat"],
)
def test_a_compositor_that_goes_wrong_is_an_error_of_the_command(
    fault: Fault, said: str, holders: Orphans, png: str
) -> None:
    config = Config(seat_version=5, ext_data_control_version=1, faults=(fault,))
    kind, words, _ = refused(config, holders, png)
    assert kind == said.partition(": ")[0]
    assert said.partition(": ")[2] in words


def test_what_is_replaced_at_once_was_copied(holders: Orphans, png: str) -> None:
    replaced = Fault(Step.SYNC, faults.doing(lambda it: it.replace_clipboard()), skip=1)
    config = Config(seat_version=5, ext_data_control_version=1, faults=(replaced,))
    with FakeCompositor(config) as compositor:
        copied(compositor, png)
        wait_for_end(compositor, holders)


def test_without_a_seat_there_is_no_clipboard(holders: Orphans, png: str) -> None:
    said = refused(Config(ext_data_control_version=1), holders, png)
    assert said[0] == "UnsupportedError"
    assert "no seat" in said[1]


class TestWlCopy:
    """Where neither protocol is offered."""

    @pytest.fixture
    def tool(self, tmp_path: Path) -> Path:
        """Where wl-copy would be."""
        (tmp_path / "bin").mkdir()
        return tmp_path / "bin" / "wl-copy"

    def test_it_gets_the_best_type(
        self, tool: Path, holders: Orphans, png: str, tmp_path: Path
    ) -> None:
        tool.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/words\ncat >{tmp_path}/got\n')
        tool.chmod(0o755)
        with FakeCompositor(Config(seat_version=5)) as compositor:
            result = copy(
                compositor, png, "text/uri-list=/dev/null",
                env={"PATH": f"{tool.parent}:{os.environ['PATH']}"},
            )  # fmt: skip
        assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)
        assert (tmp_path / "words").read_text() == "--type image/png\n"
        assert (tmp_path / "got").read_bytes() == DATA
        holders.wait_until(0)

    def test_without_it_the_package_is_named(self, tool: Path, holders: Orphans, png: str) -> None:
        kind, words, hint = refused(
            Config(seat_version=5), holders, png, env={"PATH": str(tool.parent)}
        )
        assert kind == "UnsupportedError"
        assert "offers neither ext-data-control nor wlr-data-control" in words
        assert "wl-copy" in words
        assert hint == "install wl-clipboard"

    def test_what_it_complains_of_is_said(self, tool: Path, holders: Orphans, png: str) -> None:
        tool.write_text("#!/bin/sh\necho Missing a seat >&2\nexit 1\n")
        tool.chmod(0o755)
        kind, words, _ = refused(
            Config(seat_version=5), holders, png, env={"PATH": f"{tool.parent}:/usr/bin:/bin"}
        )
        assert kind == "WayshotError"
        assert "Missing a seat" in words

    def test_it_is_not_waited_for_in_vain(self, tool: Path, holders: Orphans, png: str) -> None:
        tool.write_text("#!/bin/sh\nexec sleep 60\n")
        tool.chmod(0o755)
        with adopted("sleep") as sleepers:
            kind, words, _ = refused(
                Config(seat_version=5), holders, png, env={"PATH": f"{tool.parent}:/usr/bin:/bin"}
            )
            sleepers.wait_until(0)
        assert kind == "CaptureTimeoutError"
        assert "wl-copy" in words


def test_a_command_that_is_killed_while_it_copies_leaves_nothing(
    holders: Orphans, png: str
) -> None:
    silent = Fault(Step.SELECTION, faults.fall_silent)
    config = Config(seat_version=5, ext_data_control_version=1, faults=(silent,))
    with FakeCompositor(config) as compositor:
        command = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, "60", png], env=compositor.env, stdout=subprocess.PIPE
        )
        compositor.wait_for("ext_data_control_device_v1", "set_selection")
        command.send_signal(signal.SIGKILL)
        command.communicate(timeout=LIMIT)
        holders.wait_until(0)
        compositor.wait_until_gone()
