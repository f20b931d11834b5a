"""``wayshot config``: which file is read, and what is in force and whence."""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from wayshot_cli.cli import printable
from wayshot_cli.cli.configured import PROFILES, configurable, in_force, load, profiles_of
from wayshot_cli.cli.names import NO_PROFILE, config_path, is_configured, say_path
from wayshot_cli.cli.options import CONTEXT_SETTINGS, Word
from wayshot_cli.config import Config, bracketed, written

_COLUMN = 30  # where it is said whence a value is


@click.group(
    "config", help="Show what is configured.", no_args_is_help=False,
    context_settings=CONTEXT_SETTINGS,
)  # fmt: skip
def command() -> None:
    """Do nothing by itself."""


@command.command("path", help="Print which file is read.", context_settings=CONTEXT_SETTINGS)
def path() -> None:
    """Print it, be it there or not."""
    say_path(config_path())


@command.command(
    "show",
    help="Check the file, and print what is in force and whence; of all commands, or of COMMAND.",
    short_help="Check the file, and print what is in force and whence.",
    context_settings=CONTEXT_SETTINGS,
)
@click.option("--profile", type=Word("profiles"), metavar="NAME", help="With this profile.")
@click.option("--json", "as_json", is_flag=True, help="Print it for programs.")
@click.argument("name", metavar="[COMMAND]", required=False)
def show(profile: str | None, name: str | None, *, as_json: bool) -> None:
    """Print TOML, in which what is not configured is a comment, or a JSON object."""
    contexts = {it: ctx for it, ctx in _contexts() if configurable(ctx.command)}
    if name not in {None, *contexts}:
        message = f"there is nothing to configure for {name!r}"
        raise click.UsageError(message)
    is_read = is_configured() and profile != NO_PROFILE
    config = load() if is_read else Config(config_path())
    if profile == NO_PROFILE:
        profile = None
    _check_all(config)
    shown = {
        it: list(_rows(ctx, config, profile)) for it, ctx in contexts.items() if name in {None, it}
    }
    if as_json:
        import json  # noqa: PLC0415 - TOML is written without

        commands = {it: {row.key: row._asdict() for row in rows} for it, rows in shown.items()}
        said = {"path": config.path, "read": is_read, "profile": profile, "commands": commands}
        click.echo(json.dumps(said, indent=2))
        return
    click.echo("\n".join(_lines(shown, config, profile, is_read=is_read)))


class _Row(NamedTuple):
    """An option's value, None if it has none, and whence: where it stands, unless built in."""

    key: str
    value: Any
    source: str
    place: str | None = None


def _contexts() -> Iterator[tuple[str, click.Context]]:
    """Yield each command's name and a context of it, that of a still first."""
    from wayshot_cli.cli.app import app  # noqa: PLC0415 - which loads this module

    ctx = click.Context(app, info_name=app.name)
    yield app.name or "", ctx
    for name in app.list_commands(ctx):
        subcommand = app.get_command(ctx, name)
        if subcommand:
            yield name, click.Context(subcommand, info_name=name)


def _check_all(config: Config) -> None:
    """Raise the error of any table, in force or not."""
    for profile in (None, *profiles_of(config)):
        for _, ctx in _contexts():
            in_force(config, ctx, profile)


def _rows(ctx: click.Context, config: Config, profile: str | None) -> Iterator[_Row]:
    """Yield a row for each option, in the order of the help."""
    settings = in_force(config, ctx, profile)
    done = set()
    for key, param in configurable(ctx.command).items():
        if param.name in done:
            continue  # its first name stands for all
        done.add(param.name)
        setting = settings.get(param.name or "")
        if (said := param.value_from_envvar(ctx)) is not None:
            variables = [param.envvar] if isinstance(param.envvar, str) else param.envvar or ()
            yield _Row(key, said, "environment", next(filter(os.environ.get, variables)))
        elif setting:
            is_of_profile = setting.keys[0] == PROFILES
            place = config.where(setting.keys)
            yield _Row(key, setting.value, "profile" if is_of_profile else "file", place)
        else:
            default = param.get_default(ctx)
            is_value = isinstance(default, str | int | float | tuple)
            yield _Row(key, default if is_value else None, "built-in")


def _lines(
    shown: dict[str, list[_Row]], config: Config, profile: str | None, *, is_read: bool
) -> Iterator[str]:
    """Write the rows as TOML that says the same."""
    from wayshot_cli.cli.app import app  # noqa: PLC0415 - which loads this module

    yield printable(f"# {config.path}{'' if is_read else ' is not read'}")
    if profile is not None:
        yield f"# with {bracketed((PROFILES, profile))}"
    for name, rows in shown.items():
        yield ""
        if name != app.name:
            yield bracketed((name,))
        for row in rows:
            statement = f"{row.key} = {'' if row.value is None else written(row.value)}".rstrip()
            if row.source == "built-in":
                statement = f"#{statement}"
            whence = f"{row.source} {row.place or ''}".rstrip()
            yield f"{statement:<{_COLUMN}}  # {printable(whence)}"
