"""The config file: what can be said in it, what is in force, and what is wrong on which line."""

import errno
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from click.types import FloatParamType, IntParamType, IntRange
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_command_line import Captures
from tests.unit.test_completions import PATIENT
from wayshot_cli import cli
from wayshot_cli.cli.app import app
from wayshot_cli.cli.configured import configurable
from wayshot_cli.cli.options import ProfileOption
from wayshot_cli.config import Config, written
from wayshot_cli.errors import WayshotError


def command_named(name: str) -> click.Command:
    command = app if name == "wayshot" else app.get_command(click.Context(app), name)
    assert command
    return command


COMMANDS = {
    name: command_named(name) for name in ("wayshot", *app.list_commands(click.Context(app)))
}
OPTIONS = [(name, key) for name, command in COMMANDS.items() for key in configurable(command)]
IDS = [" ".join(names) for names in OPTIONS]
PROGRAM = {"headless": ["--", "program"]}
"""What a command cannot do without."""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the config, which is not there yet."""
    path = tmp_path / "config" / "wayshot" / "config.toml"
    path.parent.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("WAYSHOT_CONFIG")
    return path


@pytest.fixture
def captures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Captures:
    """Run in an empty folder, without a compositor."""
    captures = Captures()
    monkeypatch.setattr("wayshot_cli.cli.shot.take_shot", captures.shot)
    monkeypatch.setattr("wayshot_cli.cli.list.read", captures.everything)
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return captures


def refused(line: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Run a command that has to be refused, and return its complaint and hints."""
    assert cli.run(line) == 2
    said = capsys.readouterr()
    assert said.out == ""
    first, *hints = said.err.splitlines()
    return [first.removeprefix("wayshot: "), *map(str.strip, hints)]


# Every option that there is


def values_of(name: str, key: str) -> st.SearchStrategy[Any]:
    """Return values of an option's own kind; not all of them need be accepted."""
    param = configurable(COMMANDS[name])[key]
    special = {
        "file": st.sampled_from(["a.png", "-", "", "a b/", "%Y/{output}.png"]),
        "region": st.sampled_from(["1,2 30x40", "30x40+1+2"]),
        "geometry": st.sampled_from(["1,2 30x40", "30x40+1+2"]),
        "fps": st.sampled_from(["30", "29.97", "30000/1001", "fast", "0"]),
        "bitrate": st.sampled_from(["5M", "800k", "5000000", "-1"]),
        "size": st.sampled_from(["640x480", "640", "0x0"]),
        "portal-size": st.sampled_from(["640x480", "640x480@60", "640"]),
    }
    if key in special:
        return special[key]
    one: st.SearchStrategy[Any] = (
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
        .filter(lambda text: not text.startswith("~/"))
    )  # fmt: skip
    if isinstance(param, click.Option) and param.is_flag:
        one = st.booleans()
    elif isinstance(param.type, click.Choice):
        one = st.sampled_from([*param.type.choices, "nonsense"])
    elif isinstance(param.type, IntRange):
        one = st.integers(-1, 1 << 33)
    elif isinstance(param.type, IntParamType):
        one = st.integers(-1, 101)
    elif isinstance(param.type, FloatParamType):
        one = st.floats() | st.integers(-1, 100)
    elif key == "codec-option":
        one = st.sampled_from(["a=b", "tune=film", "tune"])
    return st.lists(one, min_size=1, max_size=3) if param.multiple else one


def typed(key: str, value: Any) -> list[str]:
    """Write what the line has for a value."""
    if key == "file":
        return ["--", value]
    if isinstance(value, bool):
        return [f"--{key}"] if value else []
    return [f"--{key}={it}" for it in (value if isinstance(value, list) else [value])]


def parsed(name: str, words: list[str]) -> Any:
    """Return what a command makes of its words, None if it refuses them."""
    words = words + PROGRAM.get(name, [])
    try:
        with COMMANDS[name].make_context(name, words) as ctx:
            return {key: repr(value) for key, value in ctx.params.items()}  # nan is unlike itself
    except (click.UsageError, WayshotError) as error:
        assert error.exit_code == 2  # noqa: PT017 - of either kind
        return None


@pytest.mark.parametrize(("name", "key"), OPTIONS, ids=IDS)
def test_every_option_can_be_configured(
    name: str, key: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("config") / "config.toml"

    @settings(max_examples=30)
    @given(values_of(name, key), st.sampled_from([None, "share", 'a "b". c']))
    def configured_as_typed(value: Any, profile: str | None) -> None:
        table = [] if profile is None else ["profile", profile]
        table += [] if name == "wayshot" else [name]
        header = ".".join(map(written, table))
        path.write_text(f"{f'[{header}]' if table else ''}\n{key} = {written(value)}\n")
        on_line = parsed(name, typed(key, value))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WAYSHOT_CONFIG", str(path))
            words = [] if profile is None else ["--profile", profile]
            assert parsed(name, words) == on_line
            assert parsed(name, ["--profile", "none"]) == parsed(name, ["--profile=none"])

    configured_as_typed()


KINDS = {
    "true": bool,
    "7": int,
    "7.5": float,
    '"words"': str,
    '["a", 7]': None,
    "[[]]": None,
    "{a = 1}": None,
    "1979-05-27": None,
    "07:32:00": None,
}
"""Values as TOML has them, and what they are."""


def kinds_of(param: click.Parameter) -> set[type]:
    """Return what a value of an option may be."""
    if isinstance(param, click.Option) and param.is_flag:
        return {bool}
    if isinstance(param.type, IntParamType):
        return {int}
    if isinstance(param.type, FloatParamType):
        return {int, float}
    return {str}


@pytest.mark.parametrize(("name", "key"), OPTIONS, ids=IDS)
def test_a_value_of_another_kind_is_refused_by_file_and_line(
    name: str, key: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    param = configurable(COMMANDS[name])[key]
    reads_words = isinstance(param.type, click.types.StringParamType) and param.callback
    for value, kind in KINDS.items():
        if kind in kinds_of(param) or (reads_words and kind in {int, float}):
            continue
        header = "" if name == "wayshot" else f"[{name}]"
        config.write_text(f"# a\n{header}\n\n{key} = {value}\n")
        words = [] if name == "wayshot" else [name]
        complaint, *_ = refused(words + PROGRAM.get(name, []), capsys)
        assert complaint.startswith(f"{config}:4: {key}")


def test_every_command_that_has_options_can_be_configured() -> None:
    for name, command in COMMANDS.items():
        assert command.name == name  # by which its table is found
        own = [it for it in command.params if isinstance(it, click.Option) and it.expose_value]
        assert bool(own) == any(isinstance(it, ProfileOption) for it in command.params)


def test_no_option_of_a_still_is_called_as_a_table() -> None:
    assert not configurable(app).keys() & {*COMMANDS, "profile"}


# What wins


def test_the_line_wins_over_the_profile_and_that_over_the_rest(
    config: Path, captures: Captures
) -> None:
    config.write_text(
        "timeout = 1\ndelay = 1\nscale = 1\nlevel = 1\n[profile.p]\ntimeout = 2\ndelay = 2\n"
    )
    assert cli.run(["--profile", "p", "--timeout", "3", "a.png"]) == 0
    assert (captures.wishes["timeout"], captures.wishes["delay"]) == (3, 2)
    assert captures.wishes["scale"] == 1


def test_without_its_name_a_profile_is_not_in_force(config: Path, captures: Captures) -> None:
    config.write_text("[profile.p]\ncursor = true\n")
    assert cli.run(["a.png"]) == 0
    assert captures.wishes["cursor"] is False


def test_a_profile_and_the_profile_none_undo_what_is_configured(
    config: Path, captures: Captures
) -> None:
    config.write_text('cursor = true\noutput = "DP-1"\n[profile.p]\ncursor = false\noutput = []\n')
    for words in (["--profile", "p"], ["--profile", "none"]):
        assert cli.run([*words, "a.png"]) == 0
        wishes = captures.asked.pop()
        assert (wishes["cursor"], wishes["outputs"]) == (False, None)


def test_the_file_is_configured_and_home_is_known_by_its_sign(
    config: Path, captures: Captures
) -> None:
    home = Path(os.environ["HOME"])
    home.mkdir()
    config.write_text('file = "~/a.jpeg"\n[profile.here]\nfile = "b.png"\n')
    assert cli.run([]) == 0
    assert cli.run(["--profile", "here"]) == 0
    assert cli.run(["c.png"]) == 0
    assert (home / "a.jpeg").read_bytes().startswith(b"\xff\xd8")
    assert set(os.listdir()) == {"b.png", "c.png"}
    assert len(captures.asked) == 3


def test_what_is_at_the_top_is_for_stills_only(config: Path, captures: Captures) -> None:
    config.write_text("cursor = true\ntimeout = 3\n[list]\njson = true\n")
    assert parsed("list", []) == {"as_json": "True", "timeout": "5.0"}
    assert parsed("record", [])["cursor"] == "False"
    assert not captures.asked


def test_a_stage_is_not_recorded_as_a_session_is(config: Path) -> None:
    config.write_text('[record]\noutput = "DP-1"\n')
    record = COMMANDS["record"]
    with record.make_context("wayshot headless", ["a.mp4"], default_map={}) as ctx:
        assert ctx.params["outputs"] == ()


# What does not apply gives way


@pytest.mark.parametrize(
    ("said", "words", "wishes"),
    [
        ('output = "A"', "-g 1,2+3x4", {"outputs": None}),
        ('output = "A"', "-w active", {"outputs": None, "window": "active"}),
        ('region = "1,2 3x4"', "-o B", {"outputs": ("B",), "region": None}),
        ('window = "active"', "-o B", {"outputs": ("B",), "window": None}),
        ('select = "region"', "-o B", {"outputs": ("B",)}),
        ("freeze = true", "-o B", {"outputs": ("B",)}),
        ("scale = 2", "-w active", {"scale": None, "window": "active"}),
        ("scale = 2", "--pipewire-node 7", {"scale": None, "pipewire_node": 7}),
        ("pipewire-node = 7", "-o B", {"pipewire_node": None, "outputs": ("B",)}),
        ("pipewire-node = 7", "-g 1,2+3x4", {"pipewire_node": None}),
        ('backend = "screencopy"', "--pipewire-node 7", {"backend": "auto", "pipewire_node": 7}),
        ('backend = "screencopy"', "--portal-source window", {"backend": "auto"}),
        ('portal-source = "window"', "--backend screencopy", {"portal": None}),
        ('buffer = "shm"', "--device /dev/dri/card0", {"buffer": "auto"}),
        ('device = "/dev/dri/card0"', "--buffer shm", {"device": None}),
        ('device = "/dev/dri/card0"', "--buffer dmabuf", {"device": "/dev/dri/card0"}),
    ],
)
@pytest.mark.parametrize("place", ["line", "profile"])
def test_what_contradicts_the_line_or_the_profile_gives_way(  # noqa: PLR0913, PLR0917 - as above
    config: Path, captures: Captures, said: str, words: str, wishes: dict[str, Any], place: str
) -> None:
    line = words.replace("1,2+3x4", "1,2 3x4").split(" ", 1)
    config.write_text(f"{said}\n")
    if place == "profile":
        param = next(it for it in app.params if line[0] in it.opts)
        key = max(param.opts, key=len) if line[0] != "-g" else "--region"
        value = int(line[1]) if line[1].isdecimal() else line[1]
        config.write_text(f"{said}\n[profile.p]\n{key[2:]} = {written(value)}\n")
        line = ["--profile", "p"]
    assert cli.run([*line, "a.png"]) == 0
    assert {name: captures.wishes[name] for name in wishes} == wishes


def test_portals_wishes_stay_when_the_portal_is_named(config: Path, captures: Captures) -> None:
    config.write_text('portal-source = "window"\n')
    assert cli.run(["--backend", "portal", "a.png"]) == 0
    assert captures.wishes["portal"].source == "window"


@pytest.mark.parametrize(
    ("file", "starts"),
    [("a.png", b"\x89PNG"), ("a.jpg", b"\xff\xd8"), ("a", b"qoif"), ("folder/", b"qoif")],
)
def test_the_extension_of_a_file_on_the_line_wins(
    config: Path, captures: Captures, file: str, starts: bytes
) -> None:
    Path("folder").mkdir()
    config.write_text('format = "qoi"\nlevel = 9\nquality = 7\nmetadata = true\n')
    assert cli.run([file]) == 0
    (path,) = [it for it in Path().rglob("*") if it.is_file()]
    assert path.read_bytes().startswith(starts)
    assert captures.asked


def test_what_comes_after_gives_way_where_it_cannot_be(
    config: Path, captures: Captures, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text('edit = true\neditor = "false {}"\nexec = "false {}"\n')
    assert cli.run(["a.png"]) != 0
    assert "false" in capsys.readouterr().err
    config.write_text('edit = true\neditor = "false {}"\n')
    assert cli.run(["a.jpg"]) == 0
    config.write_text('exec = "false {}"\n')
    assert cli.run(["/dev/null"]) == 0
    assert "--edit" in refused(["--edit", "--editor", "false {}", "b.jpg"], capsys)[0]
    assert "--exec" in refused(["--exec", "false {}", "/dev/null"], capsys)[0]
    assert len(captures.asked) == 3


@pytest.mark.parametrize("words", [["-l", "3"], ["--metadata"], ["--profile", "p"]], ids=" ".join)
def test_a_format_gives_way_to_what_only_png_has(
    config: Path, captures: Captures, words: list[str]
) -> None:
    config.write_text('format = "jpeg"\n[profile.p]\nlevel = 3\n')
    assert cli.run([*words, "a"]) == 0
    assert Path("a").read_bytes().startswith(b"\x89PNG")
    assert captures.asked


@pytest.mark.parametrize(
    ("words", "extension"), [(["-t", "jpeg"], ".jpg"), (["--exec", "ls {}"], ".png")], ids=str
)
def test_the_clipboard_gives_way_to_what_needs_a_file(
    config: Path,
    captures: Captures,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
    extension: str,
) -> None:
    config.write_text("clipboard = true\n")
    assert cli.run(words) == 0
    (name,) = os.listdir()
    assert name.endswith(extension)
    assert name in capfd.readouterr().out
    assert "name a FILE" in refused([*words, "--clipboard"], capfd)[0]
    assert len(captures.asked) == 1


def test_json_and_a_format_of_a_color_give_way_to_each_other(config: Path) -> None:
    config.write_text('[color]\nformat = "rgb"\n[profile.p.color]\njson = true\n')
    assert parsed("color", ["1,2"])["format_"] == "'rgb'"
    for words in (["--json"], ["--profile", "p"]):
        color = parsed("color", [*words, "1,2"])
        assert (color["format_"], color["as_json"]) == ("None", "True")
    assert parsed("color", ["--profile", "p", "-f", "hex", "1,2"])["as_json"] == "False"


def test_ffmpeg_gives_way_to_what_only_pyav_is_told(config: Path) -> None:
    config.write_text('[record]\nencoder = "ffmpeg"\n[profile.p.record]\ncrf = 20\n')
    assert parsed("record", ["a.mp4"])["encoder"] == "'ffmpeg'"
    for words in (["--codec", "libx265"], ["--gop", "30"], ["--profile", "p"]):
        assert parsed("record", [*words, "a.mp4"])["encoder"] == "'auto'"


def test_what_the_line_says_wrongly_stays_an_error(
    config: Path, captures: Captures, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text('format = "jpeg"\nlevel = 3\n')
    refused(["-l", "3", "a.jpg"], capsys)
    refused(["-q", "80", "a.png"], capsys)
    refused(["-o", "A", "-g", "1,2 3x4"], capsys)
    complaint, hint = refused(["-t", "jpeg", "--metadata"], capsys)
    assert "--metadata" in complaint
    assert "wayshot config show" in hint
    assert not captures.asked
    assert os.listdir() == []


def test_a_configured_window_is_not_dropped_for_a_scale(
    config: Path, captures: Captures, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text('window = "active"\n')
    assert "--scale is not for windows" in refused(["-s", "2", "a.png"], capsys)[0]
    assert not captures.asked


# What is wrong, and where


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("curser = true", 1, "unknown key 'curser'", "did you mean cursor?"),
        ("cursor = true\n\nno_clobber = true", 3, "unknown key 'no_clobber'", "no-clobber"),
        ("#\n[recrod]\nfps = 3", 2, "unknown key 'recrod'", "did you mean record?"),
        ("[profile.p]\n[profile.p.recrod]", 2, "unknown key 'recrod' in [profile.p]", "record"),
        ("[profile.p]\nx_y_z = 1", 2, "unknown key 'x_y_z' in [profile.p]", "wayshot config show"),
        ("profile.p.curser = true", 1, "unknown key 'curser' in [profile.p]", "cursor"),
        ("profile = {p = {curser = true}}", 1, "unknown key 'curser' in [profile.p]", "cursor"),
        ("cursor = 1", 1, "cursor is to be true or false, not 1", None),
        ('level = "9"', 1, 'level is to be a whole number, not "9"', None),
        ("level = true", 1, "level is to be a whole number, not true", None),
        ("scale = [\n 1,\n]", 1, "scale is to be a number, not a list", None),
        ("output = [\n 'A',\n 1]", 1, "output is to be a string or a list of strings, not", None),
        ("level = 10", 1, "level: 10 is not from 0 to 9", None),
        ("\nformat = 'bmp'", 2, "format: 'bmp' is not one of", None),
        ("timeout = nan", 1, "timeout: nan is not", None),
        ("mkdir = true\nfile = '{nonsense}'", 2, "file: FILE is a template", None),
        ("delay = 1" + "0" * 400, 1, "delay is too large", None),
        ("region = 'here'", 1, "region: not a region: 'here'", None),
        ("region = ''", 1, "region: ", None),
        ('file = "a\\u0000b"', 1, "file holds a NUL", None),
        ("selector = 'slurp \"'", 1, "selector: 'slurp \"' cannot be read", None),
        ("menu = ''", 1, "menu: '' is no command", None),
        ('exec = "a \'b"', 1, "exec: ", None),
        ('region = "1,2 3x4"\ngeometry = "1,2 3x4"', 2, "'geometry' is 'region' again", None),
        ("list = true", 1, "'list' is no option but a table, [list]", None),
        ("[[record]]", 1, "'record' is no option but a table, [record]", None),
        ("profile = 'p'", 1, "'profile' is no option but a table, [profile]", None),
        ("[profile]\np = 1", 2, "'p' is no option but a table, [profile.p]", None),
        ("[profile.none]", 1, "no profile can be called 'none'", None),
        ("cursor = yes", 1, "Invalid value", "man 5 wayshot"),
        ("level = 3\nlevel = 3", 2, "Cannot overwrite a value", "man 5 wayshot"),
        ("level = 3\nfile = '''\n\n", 2, "Expected", "man 5 wayshot"),
        ("level = " + "[" * 10_000, 1, "", "man 5 wayshot"),
    ],
)  # fmt: skip
def test_an_error_is_said_with_file_and_line(  # noqa: PLR0913, PLR0917 - one for each column
    config: Path,
    captures: Captures,
    capsys: pytest.CaptureFixture[str],
    text: str,
    line: int,
    message: str,
    hint: str | None,
) -> None:
    config.write_text(text)
    profile = ["--profile", "p"] if "profile" in text else []
    complaint, *hints = refused([*profile, "a.png"], capsys)
    assert complaint.startswith(f"{config}:{line}: {message}")
    assert hint is None or any(hint in it for it in hints)
    assert not captures.asked
    assert os.listdir() == []


def test_a_byte_order_mark_and_windows_line_ends_are_passed_over(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_bytes(b"\xef\xbb\xbflevel = 3\r\ncurser = true\r\n")
    assert refused([], capsys)[0] == f"{config}:2: unknown key 'curser'"
    config.write_bytes(b"\xef\xbb\xbflevel = 3\r\n\xff")
    assert refused([], capsys)[0] == f"{config}:2: this is not UTF-8"


def test_an_unknown_profile_is_refused_with_those_that_there_are(
    config: Path, captures: Captures, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(["--profile", "p"], capsys) == [
        f"{config} has no profile 'p'", "[profile.p] begins one",
    ]  # fmt: skip
    config.write_text("[profile.share]\n[profile.raw.record]\n")
    assert refused(["--profile", "p"], capsys)[1] == "known are share, raw"
    assert refused(["list", "--profile", ""], capsys)[1] == "known are share, raw"
    assert cli.run(["list", "--profile", "share"]) == 0
    assert not captures.asked


def test_a_file_that_cannot_be_read_is_refused_at_once(
    config: Path,
    captures: Captures,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refusal() -> str:
        return refused(["a.png"], capsys)[0]

    config.mkdir()
    assert refusal() == f"cannot read {config}: Is a directory"
    config.rmdir()
    os.mkfifo(config)
    assert refusal() == f"cannot read {config}: it is not a regular file"
    config.unlink()
    config.symlink_to("nowhere")
    assert refusal() == f"cannot read {config}: No such file or directory"
    config.unlink()
    config.write_bytes(b"# fine\n\nfile = '\xff'\n")
    assert refusal() == f"{config}:3: this is not UTF-8"
    config.write_bytes(b"#" * (1 << 20))
    assert refusal() == f"cannot read {config}: it is larger than 64 KiB"
    monkeypatch.setenv("WAYSHOT_CONFIG", "/dev/zero")
    assert refusal() == "cannot read /dev/zero: it is not a regular file"
    monkeypatch.setenv("WAYSHOT_CONFIG", "nowhere")
    assert refusal() == "cannot read nowhere: No such file or directory"
    assert not captures.asked
    assert os.listdir() == []


def test_a_file_that_may_not_be_read_is_refused(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(path: str, _flags: int) -> int:  # root may read everything
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    config.touch(0)
    monkeypatch.setattr("wayshot_cli.config._open_at_once", forbid)
    assert refused([], capsys)[0] == f"cannot read {config}: Permission denied"


def test_an_error_keeps_nobody_from_help_or_from_doing_without(
    config: Path, captures: Captures, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("nonsense")
    for words in (["--help"], ["--version"], ["record", "--help"], ["config", "path"]):
        assert cli.run(words) == 0
    assert cli.run(["--profile", "none", "a.png"]) == 0
    monkeypatch.setenv("WAYSHOT_CONFIG", "/dev/null")
    assert cli.run(["b.png"]) == 0
    assert len(captures.asked) == 2


# Lines


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[tuple[str, ...], int]]:
    """Return TOML, and the lines on which its values begin."""
    lines: list[str] = []
    places: dict[tuple[str, ...], int] = {}
    header: tuple[str, ...] = ()
    kinds = st.sampled_from(["", "# x = [", "plain", "dotted", "inline", "list", "text", "table"])
    for number, kind in enumerate(draw(st.lists(kinds, max_size=12))):
        key = f"k{number}"
        begin = len(lines) + 1
        match kind:
            case "plain":
                value = draw(st.sampled_from(["true # x", '"#"', "'[a]'", "[1, 2]", '"""x"""']))
                lines.append(f"{draw(st.sampled_from(['', '  ', chr(9)]))}{key}={value}")
                places[*header, key] = begin
            case "dotted":
                lines.append(f'{key} . "a b".c = 1')
                places[*header, key, "a b", "c"] = places[*header, key] = begin
            case "inline":
                lines.append(f"{key} = {{ a = 1, b = {{ c = [2] }} }}")
                places[*header, key, "b", "c"] = places[*header, key, "a"] = begin
            case "list":
                inner = draw(st.lists(st.sampled_from(["", "# a = 1", "'b = 2',", "[3],", "4,"])))
                lines += [f"{key} = [", *inner, "]"]
                places[*header, key] = begin
            case "text":
                quotes = draw(st.sampled_from(['"""', "'''"]))
                inner = draw(st.lists(st.sampled_from(["", "a = 1", "[b]", "# c", "'", '"'])))
                lines += [f"{key} = {quotes}", *inner, f"x{quotes} # d = 1"]
                places[*header, key] = begin
            case "table":
                header = draw(st.sampled_from([(key,), (key, "a.b"), ("t", key)]))
                lines.append(f" [ {' . '.join(map(written, header))} ] # x")
                places[header] = begin
            case _:
                lines.append(kind)
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines), places


@given(documents())
def test_the_line_of_every_value_is_found(document: tuple[str, dict[tuple[str, ...], int]]) -> None:
    text, places = document
    config = Config("config", text)
    assert {keys: config.line(keys) for keys in places} == places


@given(
    text=st.text(st.characters(exclude_categories=["Cs"])), whole=st.integers(),
    part=st.floats(), flag=st.booleans(),
)  # fmt: skip
def test_what_is_written_is_read_back(text: str, whole: int, part: float, *, flag: bool) -> None:
    value = [text, [whole, part, flag]]
    line = f"a = {written(value)}"
    assert repr(tomllib.loads(line)["a"]) == repr(value)
    assert line.isprintable()


# wayshot config


def test_show_tells_what_is_in_force_and_whence(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(
        "cursor = true\nlevel = 3\n\n[profile.p]\nlevel = 4\n[profile.p.record]\ncrf=9"
    )
    assert cli.run(["config", "show", "--profile", "p"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert f"cursor = true # file {config}:1" in lines
    assert f"level = 4 # profile {config}:5" in lines
    assert "#no-clobber = false # built-in" in lines
    assert "#quality = # built-in" in lines
    assert f"crf = 9 # profile {config}:7" in lines
    assert lines.index("[record]") < lines.index(f"crf = 9 # profile {config}:7")

    assert cli.run(["config", "show", "--json", "wayshot"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said["commands"]) == ["wayshot"]
    place = f"{config}:2"
    level = {"key": "level", "value": 3, "source": "file", "place": place}
    assert said["commands"]["wayshot"]["level"] == level


def test_what_show_prints_can_be_the_config(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(
        'file = "a \\"b\\"\\u001b.png"\nscale = 1.5\n[record]\ncodec-option = ["a=b", "c=d"]\n'
        '[profile.p]\nregion = "1,2 3x4"\n[profile.p.record]\nfps = 30\nquiet = true\n'
    )
    assert cli.run(["config", "show", "--profile", "p"]) == 0
    before = {name: parsed(name, ["--profile", "p"]) for name in ("wayshot", "record", "list")}
    shown = capsys.readouterr().out
    assert shown.replace("\n", "").isprintable()
    config.write_text(shown)
    assert {name: parsed(name, []) for name in before} == before
    assert before["record"]["quiet"] == "True"


def test_show_without_a_file_tells_what_is_built_in(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["config", "show"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"# {config} is not read\n")
    assert tomllib.loads(shown) == {name: {} for name in COMMANDS if f"[{name}]" in shown}
    for _, key in OPTIONS:
        assert key == "geometry" or f"#{key} =" in shown


def test_the_man_pages_example_is_right_and_all_tables_are_named(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "man" / "wayshot.5").read_text().replace("\\-", "-")
    example = page.partition(".SH EXAMPLES\n.nf\n")[2].partition(".fi\n")[0]
    config.write_text(example)
    for profile in tomllib.loads(example)["profile"]:
        assert cli.run(["config", "show", "--profile", profile]) == 0
    assert "share" in capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert (f"[{name}]" in page) == bool(configurable(command) and command is not app)


def test_show_checks_every_table(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for table in ("headless", "profile.p", "profile.p.doctor", "portal", "completions", "config"):
        config.write_text(f"[{table}]\nnonsense = 1\n")
        complaint, *_ = refused(["config", "show", "list"], capsys)
        assert complaint == f"{config}:2: unknown key 'nonsense' in [{table}]"
    config.write_text("")
    assert "nonsense" in refused(["config", "show", "nonsense"], capsys)[0]
    assert "no profile" in refused(["config", "show", "--profile", "p"], capsys)[0]


def test_the_environment_wins_over_the_config(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYSHOT_SELECTOR", "slop -f a")
    config.write_text('selector = "slurp"\n[profile.p]\nselector = "slurp -d"\n')
    assert parsed("wayshot", ["--profile", "p"])["selector"] == "['slop', '-f', 'a']"
    assert cli.run(["config", "show", "wayshot"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert 'selector = "slop -f a" # environment WAYSHOT_SELECTOR' in lines


def test_path_tells_which_file_is_read(
    config: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.run(["config", "path"]) == 0
    assert capfd.readouterr().out == f"{config}\n"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert cli.run(["config", "path"]) == 0
    assert capfd.readouterr().out == f"{os.environ['HOME']}/.config/wayshot/config.toml\n"
    monkeypatch.setenv("XDG_CONFIG_HOME", "folder")  # a relative one is to be ignored
    assert cli.run(["config", "path"]) == 0
    assert capfd.readouterr().out == f"{os.environ['HOME']}/.config/wayshot/config.toml\n"
    monkeypatch.setenv("WAYSHOT_CONFIG", "/a/b")
    assert cli.run(["config", "path"]) == 0
    assert capfd.readouterr().out == "/a/b\n"


def test_profiles_are_completed(config: Path) -> None:
    config.write_text('[profile.share]\nquality = 80\n[profile.share.record]\n[profile."r a"]\n')
    done = subprocess.run(
        [sys.executable, "-c", PATIENT],
        env=os.environ | {"_WAYSHOT_COMPLETE": "profiles"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "share\tquality, record",
        "r a\t",
        "none\tnothing that is configured",
    ]
