"""What the documents say is what the command does."""

import re
import subprocess
import sys
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
MAN_PAGE = (ROOT / "man" / "wayshot.1").read_text().replace("\\-", "-")
RECORD_PAGE = (ROOT / "man" / "wayshot-record.1").read_text().replace("\\-", "-")
COLOR_PAGE = (ROOT / "man" / "wayshot-color.1").read_text().replace("\\-", "-")
DOCTOR_PAGE = (ROOT / "man" / "wayshot-doctor.1").read_text().replace("\\-", "-")
HEADLESS_PAGE = (ROOT / "man" / "wayshot-headless.1").read_text().replace("\\-", "-")
README = (ROOT / "README.md").read_text()


def options_of(*commands: click.Command) -> set[str]:
    return {
        name
        for command in commands
        for parameter in command.get_params(click.Context(command, **command.context_settings))
        if isinstance(parameter, click.Option)
        for name in parameter.opts
    }


def subcommand(name: str) -> click.Command:
    command = app.get_command(click.Context(app), name)
    assert command
    return command


def described_in(page: str) -> set[str]:
    """Words that look like options; "-2" and "-3" of generated names are no letters."""
    without_examples = page.partition(".SH EXAMPLES")[0]
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", without_examples))


def test_the_man_pages_describe_every_option_and_no_other() -> None:
    of_their_own = {
        "color": COLOR_PAGE,
        "doctor": DOCTOR_PAGE,
        "headless": HEADLESS_PAGE,
        "record": RECORD_PAGE,
    }
    others = sorted(set(app.list_commands(click.Context(app))) - of_their_own.keys())
    assert described_in(MAN_PAGE) == options_of(app, *map(subcommand, others))
    for name, page in of_their_own.items():
        assert described_in(page) == options_of(subcommand(name))


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


def test_the_version_is_the_same_everywhere() -> None:
    assert f'"wayshot {__version__}"' in MAN_PAGE
    assert f'"wayshot {__version__}"' in RECORD_PAGE
    assert f'"wayshot {__version__}"' in COLOR_PAGE
    assert f'"wayshot {__version__}"' in DOCTOR_PAGE
    assert f'"wayshot {__version__}"' in HEADLESS_PAGE
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
