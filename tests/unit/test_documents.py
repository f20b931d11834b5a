"""What the documents say is what the command does."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from wayshot_cli import __version__, errors
from wayshot_cli.cli.app import app
from wayshot_cli.cli.record import FORMATS as RECORDING_FORMATS
from wayshot_cli.encode import FORMATS
from wayshot_cli.encode.rawvideo import PIXEL_FORMATS
from wayshot_cli.record import ON_LOST, ON_RESIZE

ROOT = Path(__file__).parents[2]
PAGES = {
    path.name: path.read_text().replace("\\-", "-").replace("\\e", "\\")
    for path in (ROOT / "man").iterdir()
}
MAN_PAGE = PAGES["wayshot.1"]
RECORD_PAGE = PAGES["wayshot-record.1"]
README = (ROOT / "README.md").read_text()


def below(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Name the commands below one by the words that call them."""
    if isinstance(command, click.Group):
        ctx = click.Context(command, **command.context_settings)
        for name in command.list_commands(ctx):
            found = command.get_command(ctx, name)
            assert found
            yield f"{path} {name}".strip(), found
            yield from below(found, f"{path} {name}".strip())


COMMANDS = dict(below(app))
"""All but a still's, by the words that call them."""


def page_of(name: str) -> str:
    """Name the man page that describes a command: its own where there is one."""
    own = f"wayshot-{name.partition(' ')[0]}.1"
    return own if own in PAGES else "wayshot.1"


def options_of(command: click.Command) -> set[str]:
    return {
        name
        for parameter in command.get_params(click.Context(command, **command.context_settings))
        if isinstance(parameter, click.Option)
        for name in parameter.opts
    }


def described_in(page: str) -> set[str]:
    """Words that look like options; "-2" and "-3" of generated names are no letters."""
    without_examples = page.partition(".SH EXAMPLES")[0]
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", without_examples))


def test_the_man_pages_describe_every_option_and_no_other() -> None:
    expected = {name: set[str]() for name in PAGES if name.endswith(".1")}
    expected["wayshot.1"] |= options_of(app)
    for name, command in COMMANDS.items():
        expected[page_of(name)] |= options_of(command)
    for name, options in expected.items():
        assert described_in(PAGES[name]) == options, name


@pytest.mark.parametrize("name", COMMANDS)
def test_the_man_page_describes_every_command(name: str) -> None:
    if not isinstance(COMMANDS[name], click.Group):
        assert re.search(rf"^\.B wayshot {name}$", MAN_PAGE, re.MULTILINE)
        has_section = re.search(rf"^\.SS {name}$", MAN_PAGE, re.MULTILINE)
        assert has_section or page_of(name) != "wayshot.1"


@pytest.mark.parametrize("name", PAGES)
def test_a_man_page_is_formatted_without_a_warning_and_installed(name: str) -> None:
    path = str(ROOT / "man" / name)
    lint = ["mandoc", "-T", "lint", "-W", "warning", path]
    assert subprocess.run(lint, capture_output=True, check=False).stdout == b""
    groff = ["groff", "-ww", "-man", "-T", "utf8", "-P", "-cbou", path]
    done = subprocess.run(groff, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert f'"man/{name}"' in (ROOT / "pyproject.toml").read_text()
    # In a terminal no line that is to be copied is broken.
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_man_page_gives_every_exit_code() -> None:
    codes = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.WayshotError)
    }
    section = MAN_PAGE.partition(".SH EXIT STATUS")[2].partition(".SH ")[0]
    documented = {int(code) for code in re.findall(r"^\.B (\d+)$", section, re.MULTILINE)}
    assert documented == codes | {0}


def test_man_page_and_readme_name_every_format_of_recordings() -> None:
    for name in (*RECORDING_FORMATS, *ON_RESIZE, *ON_LOST, *PIXEL_FORMATS):
        same_with_10_bits = name.removesuffix("10le")
        assert re.search(rf"\b({name}|{same_with_10_bits})\b", RECORD_PAGE)
    for format_ in RECORDING_FORMATS:
        assert re.search(rf"\b{format_}\b", README)


def test_man_page_and_readme_name_every_format() -> None:
    for format_ in FORMATS:
        assert re.search(rf"\b{format_}\b", MAN_PAGE)
        assert re.search(rf"\b{format_}\b", README)


def test_the_map_of_the_code_names_every_module_and_none_that_is_gone() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    code_map = text.partition("## The map")[2].partition("Imports point")[0]
    named = set(re.findall(r"\b[a-z_]+\.py\b", code_map))
    package = ROOT / "wayshot_cli"  # of the folders in it the map names what one looks for
    assert {path.name for path in package.glob("[a-z]*.py")} <= named
    assert named <= {path.name for path in package.rglob("*.py")}


def test_what_the_readme_leads_to_is_in_the_source_distribution() -> None:
    manifest = (ROOT / "MANIFEST.in").read_text()
    for place in re.findall(r"\]\(([^):]+)\)|`((?:docs|examples)/[^`]*)`", README):
        path = Path(place[0] or place[1])
        assert (ROOT / path).exists()
        assert re.search(rf"\b(graft {path.parts[0]}|include .*\b{path.name})\b", manifest), path


def test_the_version_is_the_same_everywhere() -> None:
    for page in PAGES.values():
        assert f'"wayshot {__version__}"' in page
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_help_fits_a_screen_and_a_line() -> None:
    lines = app.get_help(click.Context(app, info_name="wayshot")).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_fits_a_line(name: str) -> None:
    command = COMMANDS[name]
    ctx = click.Context(command, info_name=f"wayshot {name}", **command.context_settings)
    assert max(map(len, command.get_help(ctx).splitlines())) <= 80


@pytest.mark.parametrize(
    ("shell", "file"), [("bash", "wayshot.bash"), ("zsh", "_wayshot"), ("fish", "wayshot.fish")]
)
def test_the_completion_files_are_what_the_command_prints(shell: str, file: str) -> None:
    command = [sys.executable, "-m", "wayshot_cli", "completions", shell]
    printed = subprocess.run(command, capture_output=True, check=True).stdout
    assert printed == (ROOT / "completions" / file).read_bytes()


LITERAL = re.compile(r"^\.nf\n(.*?)^\.fi$", re.MULTILINE | re.DOTALL)
RECIPES = LITERAL.findall(PAGES["wayshot.7"])
EXAMPLES = [example for page in PAGES.values() for example in LITERAL.findall(page)]
EXAMPLES += re.findall(r"^\$ (.*)$", README, re.MULTILINE)

BINDINGS = (
    r"^bindsym \S+ exec (.*)",  # sway
    r"^bind = \S*, \w+, exec, (.*)",  # Hyprland
    r"hl\.dsp\.exec_cmd\(\"(.*)\"\)",
    r"spawn-sh \"(.*)\"",  # niri
    r"spawn (\".*\");",
    r"command=\"(.*)\"/>",  # labwc
    r"spawn '(.*)'",  # river
    r"^gsettings .* command '(.*)'",  # GNOME
)
"""Where a binding has a command for a shell, or its words in quotes."""


def calls_in(script: str) -> Iterator[tuple[str, ...]]:
    """Find the calls of wayshot in a shell script; those in "$(...)", too."""
    script = re.sub(r"(?<=\s)#.*", "", script).replace("\\\n", " ")
    lexer = shlex.shlex(script, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace = " \t"
    call: list[str] = []
    for word in [*lexer, ";"]:
        for inner in re.findall(r"\$\((.*?)\)", word):
            yield from calls_in(inner)
        if not set(word) <= set(lexer.punctuation_chars):
            call.append(word)
            continue
        if call[:1] == ["wayshot"]:
            yield tuple(call[1:])
        call = []


def calls(recipes: list[str]) -> list[tuple[str, ...]]:
    """Find them in recipes, as commands or in bindings of them."""
    scripts = []
    for recipe in recipes:
        bound = [command for it in BINDINGS for command in re.findall(it, recipe, re.MULTILINE)]
        scripts += bound or [recipe]
    return [call for script in scripts for call in calls_in(script)]


def test_no_recipe_is_overlooked() -> None:
    named = re.findall(r"(?<!-x )(?<!name )\bwayshot\b(?!/)", "\n".join(RECIPES))
    assert len(calls(RECIPES)) == len(named)


@pytest.mark.parametrize("words", sorted(set(calls(EXAMPLES))), ids=" ".join)
def test_an_example_is_understood(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = next(it for it in LITERAL.findall(PAGES["wayshot.5"]) if "[profile.share]" in it)
    (tmp_path / "config.toml").write_text(config)
    monkeypatch.setenv("WAYSHOT_CONFIG", str(tmp_path / "config.toml"))
    command: click.Command = app
    rest = list(words)
    while (
        isinstance(command, click.Group)
        and rest
        and (found := command.get_command(click.Context(command), rest[0]))
    ):
        command, rest = found, rest[1:]
    command.make_context("wayshot", rest)
