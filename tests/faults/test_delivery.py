"""Names, folders, and what happens to a picture that is there, when something goes wrong."""

from __future__ import annotations

import os
import shlex
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.fake import Config, FakeCompositor, Window
from tests.fake.toplevels import ACTIVATED
from tests.faults.command import LIMIT, Result, assert_failed, wayshot
from tests.faults.windows import desktop
from tests.processes import is_running, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"
EVIL = Window("evil", "/../..", "../../evil\n\x1b[31m", "id-1", states=(ACTIVATED,))
CALM = Window("calm", "org.calm", "calm", "id-2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder in which there is nothing; beside it is one for the session's files."""
    (tmp_path / "runtime").mkdir()
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


@contextmanager
def session(folder: Path, config: Config | None = None) -> Iterator[FakeCompositor]:
    """Run a compositor; nothing may be left of what is temporary."""
    runtime_dir = folder.parent / "runtime"
    with FakeCompositor(config or Config()) as compositor:
        compositor.env["XDG_RUNTIME_DIR"] = str(runtime_dir)
        yield compositor
    assert not runtime_dir.exists() or list(runtime_dir.iterdir()) == []


def shoot(folder: Path, *words: str, config: Config | None = None) -> Result:
    """Take a picture with these words."""
    with session(folder, config) as compositor:
        return wayshot(compositor, folder, *words)


def script(folder: Path, text: str) -> str:
    """Write a program beside the folder; return the words that run it."""
    path = folder.parent / "program"
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{text}\n")
    path.chmod(0o755)
    return shlex.quote(str(path))


# Names


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("{title}-{output}.png",), "evil _[31m-FAKE-1.png"),
        (("-w", "id-2", "{app_id}"), "org.calm.png"),
        (("-w", "active", "-t", "qoi", "{title}.{app_id}"), "evil _[31m.unknown.qoi"),
        (("{width}x{height}.png",), "64x48.png"),
    ],
)
def test_what_windows_say_stays_in_the_folder(
    folder: Path, words: tuple[str, ...], name: str
) -> None:
    result = shoot(folder, *words, config=desktop(EVIL, CALM))
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.decode() == f"{name}\n"
    assert result.files == [name]
    assert sorted(os.listdir(folder.parent)) == ["folder", "runtime"]


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        desktop(EVIL, toplevel_manager_version=0),
        desktop(CALM),
        desktop(EVIL, Window("two", "b", "b", "id-2", states=(ACTIVATED,))),
    ],
    ids=["no windows", "nobody tells", "none is active", "two are"],
)
def test_an_active_window_that_cannot_be_told_is_unknown(folder: Path, config: Config) -> None:
    result = shoot(folder, "{app_id} {title}", config=config)
    assert (result.code, result.stderr) == (0, "")
    assert result.files == ["unknown untitled.png"]


def test_names_from_a_template_never_clobber(folder: Path) -> None:
    (folder / "FAKE-1.png").write_text("old")
    for number in (2, 3):
        assert shoot(folder, "{output}.png").stdout == b"FAKE-1-%d.png\n" % number
    assert (folder / "FAKE-1.png").read_text() == "old"


def test_the_counter_takes_the_lowest_number_that_is_free(folder: Path) -> None:
    for taken in ("1", "2", "4"):
        (folder / f"{taken}.png").touch()
    for number in (3, 5):
        assert shoot(folder, "{counter}.png").stdout == b"%d.png\n" % number


@pytest.mark.parametrize("template", ["{counter:02}.png", "{output}", "%Y"])
def test_shots_at_the_same_time_have_names_of_their_own(folder: Path, template: str) -> None:
    with session(folder) as compositor:
        shots = [
            subprocess.Popen(
                [sys.executable, "-m", "wayshot_cli", template],
                env=compositor.env, cwd=folder, stdout=subprocess.PIPE,
            )
            for _ in range(6)
        ]  # fmt: skip
        printed = {shot.communicate(timeout=LIMIT)[0].decode().rstrip("\n") for shot in shots}
    assert len(printed) == len(shots)
    assert printed == set(os.listdir(folder))


def test_a_title_that_is_longer_than_names_is_cut(folder: Path) -> None:
    window = Window("long", "org.long", "\u00e9" * 1000, "id-1")
    result = shoot(folder, "-w", "id-1", "{title} {app_id}.png", config=desktop(window))
    assert (result.code, result.stderr) == (0, "")
    (name,) = result.files
    assert name.endswith("\u00e9 org.long.png")
    assert 240 <= len(os.fsencode(name)) <= 255


@pytest.mark.parametrize("file", ["100%.png", "{titel}.png", "{counter}/a.png", "%Q", "../%Y.png"])
def test_a_template_that_means_nothing_is_refused_before_anything(folder: Path, file: str) -> None:
    with FakeCompositor(Config()) as compositor:
        assert_failed(wayshot(compositor, folder, file), 2)
        assert compositor.connections == 0


def test_a_recordings_size_is_no_field(folder: Path) -> None:
    result = shoot(folder, "record", "--frames", "1", "{width}.y4m")
    assert_failed(result, 2, "{width} is not known yet")


def test_recordings_have_templates_too(folder: Path) -> None:
    words = "record", "--frames", "1", "--quiet", "--mkdir", "{app_id}/{output}-{counter:02}.y4m"
    for number in (1, 2):
        result = shoot(folder, *words, config=desktop(EVIL, CALM))
        assert (result.code, result.stderr) == (0, "")
        assert result.stdout.decode() == f"unknown/FAKE-1-0{number}.y4m\n"
    assert sorted(os.listdir(folder / "unknown")) == ["FAKE-1-01.y4m", "FAKE-1-02.y4m"]


# Folders


@pytest.mark.parametrize("file", ["a/b/c.png", "a/b/", "%%/{output}.png"])
def test_missing_folders_are_made_on_request_only(folder: Path, file: str) -> None:
    result = shoot(folder, file)
    assert_failed(result, 1, "No such file")
    assert "--mkdir" in result.stderr
    before = os.umask(0o027)
    try:
        assert shoot(folder, "--mkdir", file).code == 0
    finally:
        os.umask(before)
    (top,) = folder.iterdir()
    assert stat.S_IMODE(top.stat().st_mode) == 0o750


@pytest.mark.parametrize("file", ["a/b.png", "a/b.y4m", "a/b.gif", "a/{output}.y4m"])
def test_no_folder_is_made_for_a_capture_that_fails(folder: Path, file: str) -> None:
    words = () if file.endswith("png") else ("record", "--quiet", "--frames", "1")
    assert_failed(shoot(folder, *words, "--mkdir", "-o", "none", file), 5)


@pytest.mark.parametrize("file", ["a/b.y4m", "a/b.gif", "a/b.mp4"])
def test_folders_of_recordings_are_made_on_request_only(folder: Path, file: str) -> None:
    words = "record", "--quiet", "--frames", "2", file
    assert_failed(shoot(folder, *words), 1, "No such file")
    assert shoot(folder, *words, "--mkdir").code == 0
    assert (folder / file).stat().st_size > 0


def test_a_file_is_no_folder(folder: Path) -> None:
    (folder / "a").write_text("precious")
    result = shoot(folder, "--mkdir", "a/b.png")
    assert result.code == 1
    assert "a/b.png" in result.complaint
    assert (folder / "a").read_text() == "precious"


# Programs


def test_exec_gets_the_complete_file_in_the_place_of_braces(folder: Path) -> None:
    command = script(folder, "print(sys.argv[1:], open(sys.argv[2], 'rb').read(8))")
    result = shoot(folder, "--exec", f"{command} -a {{}} 'x y={{}}' '$HOME'", "{output}.png")
    assert (result.code, result.stderr) == (0, "")
    path = f"{folder}/FAKE-1.png"
    printed = f"{['-a', path, f'x y={path}', '$HOME']} {PNG!r}\n"
    assert result.stdout.decode() == f"FAKE-1.png\n{printed}"


def test_exec_without_braces_is_run_as_it_is(folder: Path) -> None:
    result = shoot(folder, "--exec", "echo done", "a.png")
    assert (result.code, result.stdout, result.files) == (0, b"done\n", ["a.png"])


def test_what_exec_prints_does_not_get_into_a_picture_on_stdout(folder: Path) -> None:
    result = shoot(folder, "--exec", "echo done", "-")
    assert (result.code, result.stderr) == (0, "done\n")
    assert result.stdout.startswith(PNG)
    assert result.stdout.endswith(b"IEND\xaeB`\x82")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--exec", "nosuch-program {}"), 4, "'nosuch-program'"),
        (("--exec", ""), 2, "is no command"),
        (("--exec", "a 'b"), 2, "cannot be read"),
        (("--edit", "--editor", "nosuch-program"), 4, "'nosuch-program'"),
        (("--edit", "-t", "jpeg", "--editor", "true"), 2, "png"),
    ],
)
def test_what_cannot_be_run_is_told_before_the_shot(
    folder: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    with FakeCompositor(Config()) as compositor:
        assert_failed(wayshot(compositor, folder, *words, "a.png"), code, said)
        assert compositor.connections == 0


@pytest.mark.parametrize("words", [("-",), ("/dev/stdout", "-t", "png"), ("--clipboard",)])
def test_braces_need_a_file(folder: Path, words: tuple[str, ...]) -> None:
    with FakeCompositor(Config()) as compositor:
        assert_failed(wayshot(compositor, folder, "--exec", "cat {}", *words), 2, "name a FILE")
        assert compositor.connections == 0


@pytest.mark.parametrize(("words", "files"), [((), []), (("a.png",), ["a.png"])])
def test_a_picture_that_could_only_be_lost_is_not_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], files: list[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    editor = shlex.join([sys.executable, "-c", "open('../edited', 'w')"])
    result = shoot(folder, "--clipboard", "--edit", "--editor", editor, *words)
    assert (result.code, result.files) == (4, files)
    assert "wl-copy cannot be run" in result.complaint
    assert (folder.parent / "edited").exists() == bool(files)


def test_the_clipboard_alone_takes_no_other_format(folder: Path) -> None:
    result = shoot(folder, "--clipboard", "-t", "jpeg")
    assert (result.code, result.files) == (2, [])
    assert "name a FILE for jpeg" in result.complaint


@pytest.mark.parametrize(
    ("text", "said"),
    [("sys.exit(3)", "exit code 3"), ("os.kill(os.getpid(), 9)", "signal 9")],
)
def test_a_program_that_fails_is_named_and_the_picture_stays(
    folder: Path, text: str, said: str
) -> None:
    command = script(folder, text)
    result = shoot(folder, "--exec", f"{command} {{}}", "a.png")
    assert (result.code, result.files) == (1, ["a.png"])
    assert "program" in result.complaint
    assert said in result.complaint


def test_a_program_gets_signals_as_programs_have_them(folder: Path) -> None:
    """Not as Python and the command have set them, which the next program would inherit."""
    result = shoot(folder, "--exec", "cat /proc/self/status", "a.png")
    status = dict(line.split(":\t", 1) for line in result.stdout.decode().splitlines())
    for mask in ("SigIgn", "SigBlk"):
        assert not int(status[mask], 16) & (1 << signal.SIGUSR2.value) - 1
        assert not int(status[mask], 16) & 1 << signal.SIGXFSZ - 1
        assert not int(status[mask], 16) & 1 << signal.SIGPIPE - 1


@contextmanager
def running(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command with a program that writes down its pid and waits."""
    pid_file = folder.parent / "pid"
    text = f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    program = script(folder, text)
    with session(folder) as compositor, subprocess.Popen(
        [sys.executable, "-m", "wayshot_cli", *(word.format(program=program) for word in words)],
        env=compositor.env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        wait_until(lambda: pid_file.exists() and bool(pid_file.read_text()))
        yield process


@pytest.mark.parametrize(
    "words",
    [
        ("--exec", "{program}"),
        ("--edit", "--editor", "{program}"),
        ("--exec", 'sh -c "{program}; true"'),
        ("--edit", "--editor", 'sh -c "{program}; true # {{}}"'),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_both_and_leaves_nothing_but_the_picture(
    folder: Path, words: tuple[str, ...], number: int
) -> None:
    with running(folder, *words, "a.png") as process:
        process.send_signal(number)
        assert process.wait(LIMIT) == 128 + number
    pid = int((folder.parent / "pid").read_text())
    wait_until(lambda: not is_running(pid))
    assert os.listdir(folder) == ["a.png"]


@pytest.mark.parametrize("record", [False, True], ids=["still", "recording"])
def test_all_of_it_is_done_where_stdout_takes_no_name(folder: Path, record: bool) -> None:  # noqa: FBT001 - a parameter
    words = RECORD if record else ("--edit", "--editor", edit_red(folder))
    with session(folder) as compositor, open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "wayshot_cli", *words, "--exec", "cp {} ../copy", "."],
            env=compositor.env, cwd=folder, stdout=full, stderr=subprocess.PIPE, timeout=LIMIT,
            check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert b"cannot write 'stdout': No space left on device" in done.stderr
    (path,) = folder.iterdir()
    assert (folder.parent / "copy").read_bytes() == path.read_bytes()
    assert record or is_red(path)


# The editor


def edit_red(folder: Path) -> str:
    """Return an editor that paints all red."""
    return script(
        folder,
        "from PIL import Image\nprint('saving')\n"
        "picture = Image.open(sys.argv[1]).size\n"
        "Image.new('RGB', picture, 'red').save(sys.argv[1])\n",
    )


def is_red(path: Path) -> bool:
    with Image.open(path) as image:
        return image.getcolors() == [(64 * 48, (255, 0, 0))]


def test_an_edited_file_is_replaced_and_keeps_its_mode(folder: Path) -> None:
    (folder / "a.png").touch(0o600)
    result = shoot(folder, "--edit", "--editor", edit_red(folder), "a.png")
    assert (result.code, result.stdout, result.stderr) == (0, b"", "saving\n")
    assert result.files == ["a.png"]
    assert is_red(folder / "a.png")
    assert stat.S_IMODE((folder / "a.png").stat().st_mode) == 0o600


def test_exec_sees_the_edited_picture(folder: Path) -> None:
    words = "--edit", "--editor", edit_red(folder), "--exec", "cp {} b.png", "a.png"
    assert shoot(folder, *words).code == 0
    assert is_red(folder / "b.png")


def test_a_picture_on_stdout_is_edited_first(folder: Path) -> None:
    result = shoot(folder, "--edit", "--editor", edit_red(folder), "-")
    assert (result.code, result.stderr) == (0, "saving\n")
    (folder / "b.png").write_bytes(result.stdout)
    assert is_red(folder / "b.png")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("open(sys.argv[1], 'w').write('half'); sys.exit(1)", "exit code 1"),
        ("open(sys.argv[1], 'w').write('half')", "no PNG"),
        ("os.unlink(sys.argv[1])", "no PNG"),
    ],
    ids=["fails", "spoils", "removes"],
)
def test_an_editor_that_fails_leaves_the_picture_as_it_was(
    folder: Path, text: str, said: str
) -> None:
    assert shoot(folder, "before.png").code == 0
    result = shoot(folder, "--edit", "--editor", script(folder, text), "a.png")
    assert result.code == 1
    assert said in result.complaint
    assert (folder / "a.png").read_bytes() == (folder / "before.png").read_bytes()


def test_an_editor_is_found_by_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that is installed, and each with the words that make it save in place."""
    programs = folder.parent / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    assert_failed(shoot(folder, "--edit", "a.png"), 4, "no editor")
    for name, words in (
        ("swappy", ["--file", "F", "--output-file", "F"]),
        ("satty", ["--filename", "F", "--output-filename", "F", "--early-exit"]),
    ):
        (programs / name).write_text(f"#!{sys.executable}\nimport sys\nprint(sys.argv[1:])")
        (programs / name).chmod(0o755)
        result = shoot(folder, "--edit", "a.png")
        assert result.code == 0
        said = result.stderr[2:-3].split("', '")
        path = said[1]
        assert said == [path if word == "F" else word for word in words]
    assert shoot(folder, "--edit", "--editor", "swappy", "a.png").stderr.startswith("['--file'")
    monkeypatch.setenv("WAYSHOT_EDITOR", "swappy")
    assert shoot(folder, "--edit", "a.png").stderr.startswith("['--file'")


def test_an_editor_without_a_place_for_its_copy_is_not_started(folder: Path) -> None:
    (folder.parent / "runtime").rmdir()
    result = shoot(folder, "--edit", "--editor", edit_red(folder), "a.png")
    assert result.code == 1
    assert "cannot write" in result.complaint
    assert not is_red(folder / "a.png")


def test_what_no_longer_fits_on_the_disk_is_told(folder: Path) -> None:
    """The edited picture is larger than files may be; the first one stays."""
    command = script(folder, "open(sys.argv[1], 'ab').write(bytes(100_000))")
    with session(folder) as compositor:
        done = subprocess.run(
            ["sh", "-c", 'ulimit -f 40; trap "" XFSZ; exec "$@"', "sh", sys.executable, "-m",
             "wayshot_cli", "--edit", "--editor", command, "a.png"],
            env=compositor.env, cwd=folder, capture_output=True, timeout=LIMIT, check=False,
        )  # fmt: skip
    assert done.returncode == 1, done.stderr
    with Image.open(folder / "a.png") as image:
        image.load()


# Recordings


RECORD = ("record", "--quiet", "--frames", "2")


@pytest.mark.parametrize("name", ["a.y4m", "a.gif", "{output}.mp4"])
def test_exec_gets_a_complete_recording(folder: Path, name: str) -> None:
    result = shoot(folder, *RECORD, "--exec", "ffprobe -v error -count_frames -show_entries "
                   "stream=nb_read_frames -of csv=p=0 {}", name)  # fmt: skip
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1].rstrip(b",") == b"2"


def test_braces_need_a_recording_in_a_file(folder: Path) -> None:
    assert_failed(shoot(folder, *RECORD, "--exec", "cat {}", "-"), 2, "name a FILE")


def test_a_program_that_fails_on_a_recording_is_named(folder: Path) -> None:
    result = shoot(folder, *RECORD, "--exec", "false {}", "a.y4m")
    assert (result.code, result.files) == (1, ["a.y4m"])
    assert "'false'" in result.complaint


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_a_recording_ends_its_program(folder: Path, number: int) -> None:
    with running(folder, *RECORD, "--exec", "{program}", "a.y4m") as process:
        process.send_signal(number)
        assert process.wait(LIMIT) == 128 + number
    pid = int((folder.parent / "pid").read_text())
    wait_until(lambda: not is_running(pid))
    assert (folder / "a.y4m").stat().st_size > 2 * 64 * 48


def test_a_recording_that_is_ended_by_a_signal_is_handed_on(folder: Path) -> None:
    words = "record", "--quiet", "--exec", "cp {} b.y4m", "a.y4m"
    with session(folder) as compositor, subprocess.Popen(
        [sys.executable, "-m", "wayshot_cli", *words], env=compositor.env, cwd=folder
    ) as process:  # fmt: skip
        wait_until(lambda: (folder / "a.y4m").exists() and (folder / "a.y4m").stat().st_size > 0)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 0
    assert (folder / "b.y4m").read_bytes() == (folder / "a.y4m").read_bytes()


def test_whoever_ignores_its_children_hears_of_failures_too(folder: Path) -> None:
    with session(folder) as compositor:
        done = subprocess.run(
            ["sh", "-c", 'trap "" CHLD; exec "$@"', "sh", sys.executable, "-m", "wayshot_cli",
             "--exec", "sh -c 'exit 3'", "a.png"],
            env=compositor.env, cwd=folder, capture_output=True, timeout=LIMIT, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert b"exit code 3" in done.stderr


# What is configured


@pytest.mark.parametrize("words", [("a.jpg",), ("-",), ("-t", "qoi", "/dev/stdout")], ids=" ".join)
def test_what_is_configured_gives_way_where_it_makes_no_sense(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    config = folder.parent / "config.toml"
    lines = 'edit = true\neditor = "nosuch-editor"\n' if words != ("-",) else ""
    config.write_text(lines + ('exec = "nosuch {}"\n' if words != ("a.jpg",) else ""))
    monkeypatch.setenv("WAYSHOT_CONFIG", str(config))
    result = shoot(folder, *words)
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout or result.files == ["a.jpg"]
