"""``wayshot headless``: programs on stages of their own, of which nothing stays."""

from __future__ import annotations

import glob
import io
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import wayshot_cli
from tests.live.command import PATIENCE, WAYSHOT, error, read
from tests.stage import NOBODY, Build
from tests.y4m import Stream
from wayshot_cli.geometry import Size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.client import Picture

FILLER = Path(__file__).parent / "filler.py"
MARK = "WAYSHOT_TEST_MARK"
GONE = 20.0
"""Seconds within which nothing of a stage is left, which may be some time after its end."""

COMPOSITORS = pytest.mark.parametrize(
    ("compositor", "build"),
    [
        ("sway", Build.HOST),
        ("sway", Build.NEWER),
        ("labwc", Build.LABWC),
        ("cage", Build.HOST),
    ],
    ids=["sway-host", "sway-newer", "labwc", "cage"],
)
SETTABLE = pytest.mark.parametrize(
    ("compositor", "build"),
    [("sway", Build.HOST), ("sway", Build.NEWER), ("labwc", Build.LABWC)],
    ids=["sway-host", "sway-newer", "labwc"],
)


def filler(*words: str) -> list[str]:
    """Return the command of a program that does what the words say."""
    return [sys.executable, "-I", str(FILLER), *words]


class Started(subprocess.Popen[bytes]):
    """Is killed by whatever ends its block early, where Popen would wait for it."""

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, *rest)  # type: ignore[arg-type]


def start(
    *words: str | Path, env: dict[str, str] | None = None, build: Build = Build.HOST
) -> Started:
    """Start wayshot headless, outside of any session."""
    session = {"WAYLAND_DISPLAY", "WAYLAND_SOCKET", "XDG_RUNTIME_DIR"}
    base = {name: value for name, value in os.environ.items() if name not in session}
    return Started(
        [*WAYSHOT, "headless", *words],
        env={**base, "PATH": build.search_path, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def headless(
    *words: str | Path, env: dict[str, str] | None = None, build: Build = Build.HOST
) -> subprocess.CompletedProcess[bytes]:
    """Run it to its end."""
    process = start(*words, env=env, build=build)
    with process:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def shoot(path: Path, *words: str, build: Build = Build.HOST) -> Picture:
    """Take a picture, nothing being said."""
    result = headless("--save", path, *words, build=build)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    return read(path)


def filled(picture: Picture, colour: str) -> bool:
    """Whether all is of the colour, but for the corners that tell that all is in view."""
    expected = np.empty_like(picture)
    expected[:] = list(bytes.fromhex(colour))
    expected[0, 0], expected[-1, -1] = 255, 0
    return np.array_equal(picture, expected)


def environments() -> Iterator[tuple[int, list[bytes]]]:
    """Yield each process that is no zombie, and the variables that it has."""
    for path in glob.glob("/proc/[0-9]*/environ"):
        with suppress(OSError):
            yield int(path.split("/")[2]), Path(path).read_bytes().split(b"\0")


def marked(mark: str) -> list[int]:
    """Return the processes that have the mark in their environment."""
    return [pid for pid, variables in environments() if f"{MARK}={mark}".encode() in variables]


def folders(mark: str) -> set[str]:
    """Return the folders of stages, but for those where processes without the mark live.

    Somebody else may have a stage, too; what is edited lies in folders with longer names.
    """
    others = {
        variable.decode(errors="replace").partition("=")[2].rpartition("/")[0]
        for _, variables in environments()
        if f"{MARK}={mark}".encode() not in variables
        for variable in variables
        if variable.startswith(b"XDG_RUNTIME_DIR=")
    }
    return set(glob.glob(f"/tmp/wayshot-{'?' * 8}")) - others


@contextmanager
def leaving_nothing() -> Iterator[dict[str, str]]:
    """Check that no process and no folder is left of what runs in the environment."""
    mark = uuid.uuid4().hex
    before = folders(mark)
    yield {MARK: mark, "TMPDIR": "/tmp"}
    deadline = time.monotonic() + GONE
    while (left := (marked(mark), folders(mark) - before)) != ([], set()):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def wait_until_running(mark: str, text: bytes) -> int:
    """Wait for a process with that in its command line, which is not wayshot's; return its id."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for pid in marked(mark):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if text in words and b"\0headless\0" not in words:
                return pid
        time.sleep(0.01)
    pytest.fail(f"{text!r} was not started")


class TestPictures:
    """What is taken, and when."""

    @COMPOSITORS
    def test_a_window_fills_the_screen(self, tmp_path: Path, compositor: str, build: Build) -> None:
        size = () if compositor == "cage" else ("--size", "403x301")
        words = ("--compositor", compositor, *size, "--", *filler("3366cc@0"))
        picture = shoot(tmp_path / "a.png", *words, build=build)
        assert picture.shape == ((720, 1280, 3) if compositor == "cage" else (301, 403, 3))
        assert filled(picture, "3366cc")

    @SETTABLE
    def test_the_size_is_in_pixels_at_any_scale(
        self, tmp_path: Path, compositor: str, build: Build
    ) -> None:
        for scale in ("1.5", "2"):
            words = ("--compositor", compositor, "--size", "600x400", "--scale", scale)
            picture = shoot(tmp_path / "a.png", *words, "--", *filler("3366cc@0"), build=build)
            assert picture.shape == (400, 600, 3)
            assert (picture[3:-3, 3:-3] == [0x33, 0x66, 0xCC]).all()

    def test_cage_has_one_size(self, tmp_path: Path) -> None:
        result = headless(
            *("--compositor", "cage", "--size", "640x480", "--save", tmp_path / "a.png"),
            *("--", *filler("3366cc@0")),
        )
        assert result.returncode == 4
        assert "1280x720" in error(result)
        assert "--compositor sway" in error(result)
        assert list(tmp_path.iterdir()) == []

    def test_it_is_taken_when_the_program_rests(self, tmp_path: Path) -> None:
        changes = filler("110000@0.5", "220000@0.7", "330000@0.9", "440000@1.1")
        assert filled(shoot(tmp_path / "a.png", "--", *changes), "440000")

    def test_a_program_that_never_rests_is_taken_as_it_is(self, tmp_path: Path) -> None:
        changes = [f"{number % 200:02x}4080@{number / 10}" for number in range(600)]
        picture = shoot(tmp_path / "a.png", "--", *filler(*changes))
        assert filled(picture, bytes(picture[1, 1]).hex())
        assert picture[1, 1, 0] > 20

    @pytest.mark.parametrize("compositor", ["sway", "cage"])
    def test_a_delay_counts_from_when_something_is_shown(
        self, tmp_path: Path, compositor: str
    ) -> None:
        """Cage up to 0.1.4 would forget what is drawn meanwhile, which nobody captures."""
        words = ("--compositor", compositor, "-d", "3", "--")
        changes = filler("110000@2", "220000@3.2", "330000@60")
        assert filled(shoot(tmp_path / "a.png", *words, *changes), "220000")

    def test_a_program_may_leave_its_window_to_another_process(self, tmp_path: Path) -> None:
        launcher = ["sh", "-c", 'setsid "$@" & exit 0', "sh", *filler("3366cc@0.7")]
        assert filled(shoot(tmp_path / "a.png", "--", *launcher), "3366cc")

    def test_stdout_is_the_pictures_alone(self) -> None:
        command = ["sh", "-c", 'echo words; exec "$@"', "sh", *filler("3366cc@0")]
        result = headless("--size", "90x60", "--save", "-", "--", *command)
        assert (result.returncode, result.stderr) == (0, b"")
        with Image.open(io.BytesIO(result.stdout)) as image:
            assert filled(np.asarray(image), "3366cc")

    def test_without_a_name_one_is_chosen_and_printed(self, tmp_path: Path) -> None:
        (tmp_path / "user-dirs.dirs").write_text(f'XDG_PICTURES_DIR="{tmp_path}"\n')
        result = headless("--", *filler("3366cc@0"), env={"XDG_CONFIG_HOME": str(tmp_path)})
        assert (result.returncode, result.stderr) == (0, b"")
        assert filled(read(Path(result.stdout.decode().removesuffix("\n"))), "3366cc")

    @pytest.mark.parametrize("words", [("--save",), ("--duration", "1", "--record")])
    def test_a_name_may_be_a_template(self, tmp_path: Path, words: tuple[str, ...]) -> None:
        name = "{app_id}/{title}-{counter:02}" + (".y4m" if "--record" in words else ".png")
        for number in (1, 2):
            result = headless("--mkdir", *words, tmp_path / name, "--", *filler("3366cc@0"))
            path = f"{tmp_path}/unknown/untitled-0{number}.{name[-3:]}"
            assert (result.returncode, result.stdout.decode()) == (0, f"{path}\n")
            assert Path(path).exists()

    def test_root_keeps_the_file(self, tmp_path: Path) -> None:
        shoot(tmp_path / "a.png", "--", *filler("3366cc@0"))
        assert (tmp_path / "a.png").stat().st_uid == os.geteuid()


class TestRecordings:
    """The same, in time."""

    def test_for_a_while(self, tmp_path: Path) -> None:
        path = tmp_path / "a.y4m"
        words = ("--size", "80x60", "--record", path, "--duration", "1", "--")
        result = headless(*words, *filler("3366cc@0"))
        assert (result.returncode, result.stdout) == (0, b"")
        stream = Stream(io.BytesIO(path.read_bytes()))
        assert stream.header.size == (80, 60)
        assert len(list(stream)) == stream.header.rate

    def test_until_the_program_ends(self, tmp_path: Path) -> None:
        path = tmp_path / "a.y4m"
        words = ("--size", "80x60", "--record", path, "--")
        with leaving_nothing() as env:
            result = headless(*words, *filler("3366cc@0", "exit:3@4"), env=env)
        assert result.returncode == 0
        stream = Stream(io.BytesIO(path.read_bytes()))
        assert 0.5 <= len(list(stream)) / stream.header.rate <= 8

    def test_until_ctrl_c(self, tmp_path: Path) -> None:
        path = tmp_path / "a.y4m"
        with leaving_nothing() as env:
            process = start("--record", path, "--", *filler("3366cc@0"), env=env)
            deadline = time.monotonic() + PATIENCE
            while not (path.exists() and path.stat().st_size) and time.monotonic() < deadline:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            with process:
                process.communicate(timeout=PATIENCE)
            assert process.returncode == 0
        assert list(Stream(io.BytesIO(path.read_bytes())))

    def test_a_name_that_says_no_format_is_refused_at_once(self, tmp_path: Path) -> None:
        began = tmp_path / "began"
        result = headless("--record", tmp_path / "a.xyz", "--", "touch", str(began))
        assert result.returncode == 2
        assert "'.xyz'" in error(result)
        assert list(tmp_path.iterdir()) == []


class TestEnvironment:
    """What the program finds."""

    def environment(self, **env: str) -> dict[str, str]:
        result = headless("-v", "--", "sh", "-c", "env; exit 1", env=env)
        assert result.returncode == 1
        lines = result.stderr.decode().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def test_a_display_of_its_own_and_no_other(self) -> None:
        theirs = self.environment(
            DISPLAY=":7", WAYLAND_DISPLAY="wayland-7", SWAYSOCK="/nowhere", XDG_RUNTIME_DIR="/run/7"
        )
        assert "DISPLAY" not in theirs
        assert theirs["WAYLAND_DISPLAY"] != "wayland-7"
        assert theirs["XDG_RUNTIME_DIR"].startswith("/tmp/wayshot-")
        assert Path(theirs["SWAYSOCK"]).parents[1] == Path(theirs["XDG_RUNTIME_DIR"]).parent

    def test_all_else_is_kept(self) -> None:
        given = {"OWN": "kept", "XDG_CACHE_HOME": "/cache", "HOME": "/somewhere"}
        assert given.items() <= self.environment(**given).items()

    def test_signals_are_as_usual(self) -> None:
        """wayshot ignores SIGUSR1, which would be inherited."""
        command = ["sh", "-c", "kill -USR1 $$; sleep 60"]
        result = headless("--", *command)
        assert result.returncode == 1
        assert f"signal {int(signal.SIGUSR1)}" in error(result)


class TestErrors:
    """What goes wrong is said, and no file is touched."""

    def test_a_program_that_fails(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_text("old")
        with leaving_nothing() as env:
            result = headless(
                "--save", path, "--", "sh", "-c", "echo said; echo cried >&2; exit 3", env=env
            )
        assert result.returncode == 1
        lines = error(result).splitlines()
        assert lines == ["said", "cried", "wayshot: sh ended too early, with status 3"]
        assert path.read_text() == "old"

    def test_only_the_end_of_what_it_printed(self) -> None:
        result = headless("--", "sh", "-c", "seq 100000; exit 3")
        assert result.returncode == 1
        assert error(result).splitlines()[:-1] == [str(number) for number in range(99986, 100001)]

    def test_what_it_printed_does_no_harm(self) -> None:
        result = headless("--", "printf", r"\033[31mred")
        assert result.returncode == 1
        assert "\\x1b[31mred\n" in error(result)

    def test_a_program_that_fails_before_its_picture(self, tmp_path: Path) -> None:
        words = ("--save", tmp_path / "a.png", "-d", "30", "--")
        result = headless(*words, *filler("3366cc@0", "exit:7@1"))
        assert result.returncode == 1
        assert "status 7" in error(result)
        assert list(tmp_path.iterdir()) == []

    def test_a_program_that_hands_over(self) -> None:
        result = headless("--", "true")
        assert result.returncode == 1
        assert "dbus-run-session" in error(result)

    def test_a_program_that_shows_nothing(self) -> None:
        with leaving_nothing() as env:
            result = headless("--timeout", "6", "--", "sh", "-c", "echo hm; sleep 60", env=env)
        assert result.returncode == 1
        assert error(result).splitlines() == ["hm", "wayshot: sh showed nothing within 6 s"]

    @pytest.mark.parametrize("program", ["no-such-program", "/no/such/program", ""])
    def test_no_such_program(self, program: str) -> None:
        result = headless("--", program)
        assert result.returncode == 1
        assert "no such command" in error(result)

    def test_a_file_that_is_no_program(self, tmp_path: Path) -> None:
        file = tmp_path / "app"
        file.write_text("#!/bin/sh\n", "ascii")
        result = headless("--", str(file))
        assert result.returncode == 1
        assert error(result) == "wayshot: cannot run 'app': Permission denied\n"

    def test_no_compositor(self, tmp_path: Path) -> None:
        result = headless("--", "true", env={"PATH": str(tmp_path)})
        assert result.returncode == 4
        assert "sway, labwc, cage" in error(result)
        assert "apt-get install sway" in error(result)

    @pytest.mark.parametrize("name", ["sway", "labwc", "cage"])
    def test_not_that_compositor(self, tmp_path: Path, name: str) -> None:
        result = headless("--compositor", name, "--", "true", env={"PATH": str(tmp_path)})
        assert result.returncode == 4
        assert f"{name} is not installed" in error(result)
        assert f"apt-get install {name}" in error(result)

    def test_a_compositor_that_fails_says_why(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        with leaving_nothing() as env:
            result = headless("--", "true", env={**env, "WLR_RENDERER": "nonsense"})
        assert result.returncode == 1
        assert "nonsense" in error(result)
        assert "wayshot: sway ended too early" in error(result)


class TestLeftovers:
    """Whatever ends it, no process and no folder stays."""

    @COMPOSITORS
    def test_after_a_picture(self, tmp_path: Path, compositor: str, build: Build) -> None:
        words = ("--compositor", compositor, "--save", tmp_path / "a.png")
        sockets = set(glob.glob("/tmp/.X11-unix/*") + glob.glob("/tmp/.X*-lock"))
        with leaving_nothing() as env:
            result = headless(*words, "--", *filler("3366cc@0"), env=env, build=build)
        assert result.returncode == 0
        assert set(glob.glob("/tmp/.X11-unix/*") + glob.glob("/tmp/.X*-lock")) <= sockets

    def test_of_daemons_and_the_deaf(self, tmp_path: Path) -> None:
        script = """
        (setsid sh -c 'setsid sleep 1000 & exec sleep 1000' &)
        trap '' TERM
        "$@"
        """
        with leaving_nothing() as env:
            command = ["sh", "-c", script, "sh", *filler("3366cc@0")]
            result = headless("--save", tmp_path / "a.png", "--", *command, env=env)
        assert (result.returncode, result.stderr) == (0, b"")

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_after_a_signal_at_any_moment(self, tmp_path: Path, number: signal.Signals) -> None:
        path = tmp_path / "a.png"
        own = {signal.SIGINT: 130, signal.SIGTERM: 143}.get(number, -number)
        statuses: set[int] = set()
        for moment in (*np.linspace(0.02, 1.6, 12), 2.5, 4, 6):
            if moment > 2 and own in statuses:
                break  # the others are for slow machines
            with leaving_nothing() as env:
                process = start("--save", path, "--", *filler("3366cc@0"), env=env)
                time.sleep(float(moment))
                process.send_signal(number)
                with process:
                    _, stderr = process.communicate(timeout=PATIENCE)
                assert b"wayshot_cli/cli" not in stderr  # no traceback of ours
            statuses.add(process.returncode)
            if path.exists():
                assert filled(read(path), "3366cc")
                path.unlink()
            assert list(tmp_path.iterdir()) == []
        assert own in statuses
        assert statuses <= {0, own, -number, 1}  # 1: Python's own, of Ctrl-C at its start

    def test_once_it_says_so_they_are_gone(self) -> None:
        mark = uuid.uuid4().hex
        before = folders(mark)
        process = start("-d", "60", "--", *filler("3366cc@0"), env={MARK: mark, "TMPDIR": "/tmp"})
        wait_until_running(mark, b"3366cc@0")
        process.send_signal(signal.SIGTERM)
        with process:
            process.communicate(timeout=PATIENCE)
        assert (process.returncode, marked(mark), folders(mark) - before) == (143, [], set())

    def test_after_the_keeper_was_killed(self) -> None:
        with leaving_nothing() as env:
            process = start("-d", "60", "--", *filler("3366cc@0"), env=env)
            wait_until_running(env[MARK], b"3366cc@0\0")
            keeper = wait_until_running(env[MARK], b"keeper.py")
            os.kill(keeper, signal.SIGKILL)
            with process:
                _, stderr = process.communicate(timeout=PATIENCE)
            assert process.returncode == 1
            assert b"killed" in stderr
            assert b"Traceback" not in stderr


class TestLibrary:
    """The stage without the command."""

    @pytest.fixture
    def mark(self, monkeypatch: pytest.MonkeyPatch) -> str:
        """Mark what is started from now on."""
        monkeypatch.setenv(MARK, mark := uuid.uuid4().hex)
        return mark

    def test_a_picture(self, mark: str) -> None:
        before = folders(mark)
        with wayshot_cli.Stage(size=Size(64, 48)) as stage:
            stage.run(filler("3366cc@0", "66cc33@0.3"))
            stage.wait_until_at_rest()
            frame = wayshot_cli.shot(connection=stage.connection)
        assert filled(np.asarray(frame.to_pillow()), "66cc33")
        assert folders(mark) - before == set()

    def test_a_cursor_that_blinks_is_no_unrest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("wayshot_cli.headless.LONGEST_UNREST", 1000.0)
        blinks = [f"{(0x11, 0x22)[number % 2]:02x}4080@{number / 4}" for number in range(100)]
        with wayshot_cli.Stage(size=Size(64, 48)) as stage:
            stage.run(filler(*blinks, "exit:1@25"))
            stage.wait_until_at_rest()

    def test_an_error_of_the_callers_ends_it(self, mark: str) -> None:
        before = folders(mark)

        def stumble() -> None:
            with wayshot_cli.Stage() as stage:
                stage.run(filler("3366cc@0"))
                assert folders(mark) - before
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            stumble()
        assert folders(mark) - before == set()

    def test_threads_may_end_before_it(self) -> None:
        """The death of the thread that starts it is not the death of its processes."""
        stage = wayshot_cli.Stage(size=Size(64, 48))

        def begin() -> None:
            stage.__enter__()
            stage.run(filler("3366cc@0"))

        thread = threading.Thread(target=begin)
        thread.start()
        thread.join()
        with ExitStack() as stack:
            stack.push(stage)
            time.sleep(0.3)
            stage.wait_until_at_rest()


class TestUsers:
    """Root, and everybody else."""

    @pytest.fixture
    def as_user(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Run wayshot as nobody where the tests are root; the checkout can be read all the same."""
        if os.geteuid() == 0:
            lead = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
            reads = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
            monkeypatch.setattr(f"{__name__}.WAYSHOT", (*lead, *reads, *WAYSHOT))

    @COMPOSITORS
    @pytest.mark.usefixtures("as_user")
    def test_a_user_needs_no_rights(self, compositor: str, build: Build) -> None:
        with leaving_nothing() as env:
            # access(2) knows nothing of capabilities, so a shell has to find the program.
            command = ["sh", "-c", 'exec "$@"', "sh", *filler("3366cc@0")]
            words = ("--compositor", compositor, "--save", "-", "--")
            result = headless(*words, *command, env=env, build=build)
        assert (result.returncode, result.stderr) == (0, b"")
        with Image.open(io.BytesIO(result.stdout)) as image:
            assert filled(np.asarray(image), "3366cc")

    @pytest.mark.usefixtures("as_user")
    def test_a_users_program_is_the_users(self) -> None:
        assert self.owners() == {str(os.geteuid() or NOBODY)}

    def test_roots_program_is_roots(self) -> None:
        assert self.owners() == {str(os.geteuid())}

    def owners(self) -> set[str]:
        """Return whose the program and its runtime directory are."""
        script = 'echo "are $(id -u) $(stat -c %u "$XDG_RUNTIME_DIR")"; exit 1'
        result = headless("-v", "--", "sh", "-c", script)
        (line,) = (line for line in result.stderr.splitlines() if line.startswith(b"are "))
        return set(line.decode().split()[1:])

    def test_a_long_tmpdir_is_too_long_for_sockets(self, tmp_path: Path) -> None:
        folder = tmp_path / ("x" * 90)
        folder.mkdir()
        result = headless(
            "--save", tmp_path / "a.png", "--", *filler("3366cc@0"), env={"TMPDIR": str(folder)}
        )
        assert (result.returncode, result.stderr) == (0, b"")

    def test_a_strict_umask_is_no_matter(self, tmp_path: Path) -> None:
        old = os.umask(0o077)
        try:
            assert filled(shoot(tmp_path / "a.png", "--", *filler("3366cc@0")), "3366cc")
        finally:
            os.umask(old)
