"""What the documents say is what the command does."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from wayshot_cli import __version__, errors
from wayshot_cli.cli.app import app
from wayshot_cli.encode import FORMATS

ROOT = Path(__file__).parents[2]
MAN_PAGE = (ROOT / "man" / "wayshot.1").read_text().replace("\\-", "-")
README = (ROOT / "README.md").read_text()


def commands() -> list[click.Command]:
    context = click.Context(app)
    subcommands = [app.get_command(context, name) for name in app.list_commands(context)]
    return [app, *(command for command in subcommands if command)]


def test_the_man_page_describes_every_option_and_no_other() -> None:
    described = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", MAN_PAGE))
    options = {
        name
        for command in commands()
        for parameter in command.get_params(click.Context(command, **command.context_settings))
        if isinstance(parameter, click.Option)
        for name in parameter.opts
    }
    assert options - described == set()
    # "-2" and "-3" of generated names are no letters; "-" and "--" stand alone.
    assert described - options == set()


def test_the_man_page_gives_every_exit_code() -> None:
    codes = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.WayshotError)
    }
    section = MAN_PAGE.partition(".SH EXIT STATUS")[2].partition(".SH ")[0]
    documented = {int(code) for code in re.findall(r"^\.B (\d+)$", section, re.MULTILINE)}
    assert documented == codes | {0}


def test_man_page_and_readme_name_every_format() -> None:
    for format_ in FORMATS:
        assert re.search(rf"\b{format_}\b", MAN_PAGE)
        assert re.search(rf"\b{format_}\b", README)


def test_the_version_is_the_same_everywhere() -> None:
    assert f'"wayshot {__version__}"' in MAN_PAGE
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_help_fits_a_screen_and_a_line() -> None:
    lines = app.get_help(click.Context(app, info_name="wayshot")).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("shell", "file"), [("bash", "wayshot.bash"), ("zsh", "_wayshot"), ("fish", "wayshot.fish")]
)
def test_the_completion_files_are_what_the_command_prints(shell: str, file: str) -> None:
    command = [sys.executable, "-m", "wayshot_cli", "completions", shell]
    printed = subprocess.run(command, capture_output=True, check=True).stdout
    assert printed == (ROOT / "completions" / file).read_bytes()
