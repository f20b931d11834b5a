"""The config as defaults of the options, and ``wayshot config``, which shows what is in force."""

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import click
from click.types import FloatParamType, IntParamType, StringParamType

from wayshot_cli.cli import printable
from wayshot_cli.cli.names import (
    NO_PROFILE,
    config_path,
    format_name,
    is_configured,
    read_template,
    say_path,
)
from wayshot_cli.cli.options import CONTEXT_SETTINGS, ProfileOption, Word
from wayshot_cli.config import Config, Keys, bracketed, read, written
from wayshot_cli.errors import InvalidArgumentError, WayshotError

_PROFILES = "profile"
"""The table of tables that holds them."""

_COLUMN = 30  # where it is said whence a value is

_TARGETS = {"outputs", "region", "window", "select", "pipewire_node"}
_PORTAL = {"portal_source", "portal_size", "portal_remote_desktop"}

# What is configured gives way to these on the line, and outside of profiles to these in one: both
# would contradict each other, or the one would mean nothing beside the other.
_GIVES_WAY_TO: dict[str, set[str]] = {
    **{name: _TARGETS - {name} for name in _TARGETS},
    "pipewire_node": {"outputs", "window", "select", "backend", *_PORTAL},
    "backend": {"pipewire_node", *_PORTAL},
    **{name: {"pipewire_node", "backend"} for name in _PORTAL},
    "buffer": {"device"},
    "device": {"buffer"},
    "scale": {"window", "select"},
    "format_": {"file"},
    "rate": {"timestamps"},
    "timestamps": {"rate"},
    "crf": {"bitrate", "codec"},
    "bitrate": {"crf"},
    "preset": {"codec"},
    "codec_options": {"codec"},
    "save": {"record"},
    "record": {"save"},
}


class Setting(NamedTuple):
    """A configured value: as the option's own kind has it, and its place in the file."""

    value: Any
    keys: Keys


Settings = dict[str, Setting]
"""By the names of click's parameters."""


def defaults(
    ctx: click.Context, path: str, profile: str | None, line: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values for ``default_map`` that are configured for a command.

    ``line`` is what the user has typed, by the names of parameters. Raises InvalidArgumentError for
    a file that cannot be read, an unknown profile or key, and a value that its option refuses.
    """
    config = read(path) if is_configured() else Config(path)
    settings = in_force(config, ctx, profile)
    return {name: it.value for name, it in settings.items() if not _gives_way(name, line)}


def in_force(config: Config, ctx: click.Context, profile: str | None) -> Settings:
    """Return what is configured for a command: for all, and in the profile above that."""
    profiles = _profiles(config)
    if profile is not None and profile not in profiles:
        message = f"{config.path} has no profile {profile!r}"
        known = ", ".join(profiles)
        hint = f"known are {known}" if known else f"{bracketed((_PROFILES, profile))} begins one"
        raise InvalidArgumentError(message, hint=hint)
    settings = _settings(config, ctx)
    if profile is not None:
        above = _settings(config, ctx, profile)
        wishes = {name: it.value for name, it in above.items()}
        settings = {name: it for name, it in settings.items() if not _gives_way(name, wishes)}
        settings |= above
    return settings


def _gives_way(name: str, wishes: Mapping[str, Any]) -> bool:
    """Whether a configured value means nothing beside what the line or a profile says."""
    others = _GIVES_WAY_TO.get(name, set()) & wishes.keys()
    return any(_contradicts(name, other, wishes[other]) for other in others)


def _contradicts(name: str, other: str, wish: object) -> bool:
    if (name, other) == ("format_", "file"):  # whose extension says the format as well
        path = wish if isinstance(wish, str) else None
        return bool(os.path.splitext(format_name(path, read_template(path)) or "")[1])
    if (name, other) == ("scale", "select"):
        return wish == "window"
    if name in _PORTAL and other == "backend":
        return wish != "portal"
    return wish is not False and wish != ()


def _profiles(config: Config) -> dict[str, Any]:
    profiles = config.table(_PROFILES)
    if NO_PROFILE in profiles:
        message = f"no profile can be called {NO_PROFILE!r}: that is the one without any option"
        raise config.error((_PROFILES, NO_PROFILE), message)
    return profiles


def _settings(config: Config, ctx: click.Context, profile: str | None = None) -> Settings:
    """Read and check a command's table in the file, or in a profile."""
    from wayshot_cli.cli.app import app  # noqa: PLC0415 - which loads this module

    outer: Keys = () if profile is None else (_PROFILES, profile)
    tables = app.list_commands(ctx)
    for name in tables:
        config.table(*outer, name)
    if ctx.command is app:
        elsewhere = {*tables, _PROFILES} if profile is None else {*tables}
        place = outer
    else:
        elsewhere = set()
        place = (*outer, ctx.command.name or "")
    options = configurable(ctx.command)
    settings: Settings = {}
    for key, value in config.table(*place).items():
        if key in elsewhere:
            continue
        if key not in options:
            raise _unknown_key(config, (*place, key), {*options, *elsewhere})
        param = options[key]
        name = param.name or ""
        if name in settings:
            message = f"{key!r} is {settings[name].keys[-1]!r} again"
            raise config.error((*place, key), message)
        settings[name] = Setting(_checked(config, ctx, param, (*place, key), value), (*place, key))
    return settings


def _unknown_key(config: Config, keys: Keys, known: set[str]) -> InvalidArgumentError:
    import difflib  # noqa: PLC0415 - for an error only

    key, table = keys[-1], keys[:-1]
    near = difflib.get_close_matches(key, sorted(known), 1)
    message = f"unknown key {key!r}" + (f" in {bracketed(table)}" if table else "")
    hint = f"did you mean {near[0]}?" if near else "wayshot config show lists all keys"
    return config.error(keys, message, hint=hint)


def configurable(command: click.Command) -> dict[str, click.Parameter]:
    """Return what of a command can be configured, by its keys: options by all long names."""
    if not any(isinstance(param, ProfileOption) for param in command.params):
        return {}
    found: dict[str, click.Parameter] = {}
    for param in command.params:
        if isinstance(param, click.Option) and param.expose_value:
            found |= {name[2:]: param for name in param.opts if name.startswith("--")}
        elif param.name == "file":
            found[param.name] = param
    return found


def _checked(
    config: Config, ctx: click.Context, param: click.Parameter, keys: Keys, value: object
) -> Any:
    """Return a value as ``default_map`` takes it, which the option has accepted."""
    converted = _converted(param, value)
    if converted is None:
        message = f"{keys[-1]} is to be {_kind(param)}, not {_described(value)}"
        raise config.error(keys, message)
    if "\0" in str(converted):
        raise config.error(keys, f"{keys[-1]} holds a NUL")
    try:
        param.process_value(ctx, converted)
        if param.name == "file":
            read_template(converted)
    except click.UsageError as error:
        raise config.error(keys, f"{keys[-1]}: {error.message}") from error
    except WayshotError as error:
        raise config.error(keys, f"{keys[-1]}: {error}", hint=error.hint) from error
    return converted


def _converted(param: click.Parameter, value: object) -> Any:
    """Return TOML's value as the option's kind, None if it is of another."""
    if isinstance(param, click.Option):
        if param.is_flag:
            return value if isinstance(value, bool) else None
        if param.multiple:
            values = [_single(param, it) for it in (value if isinstance(value, list) else [value])]
            return None if None in values else tuple(values)
    return _single(param, value)


def _single(param: click.Parameter, value: object) -> str | int | float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(param.type, IntParamType):
        return value if isinstance(value, int) and is_number else None
    if isinstance(param.type, FloatParamType):
        return value if isinstance(value, int | float) and is_number else None
    if isinstance(value, str):
        # Here no shell has done so.
        return os.path.expanduser(value) if value.startswith("~/") else value
    # Those that read their words themselves, as a rate or a size, may find a number in them.
    is_read = isinstance(param.type, StringParamType) and param.callback is not None
    return str(value) if is_number and is_read else None


def _kind(param: click.Parameter) -> str:
    """Say what an option takes."""
    if isinstance(param.type, IntParamType):
        return "a whole number"
    if isinstance(param.type, FloatParamType):
        return "a number"
    if isinstance(param, click.Option) and param.is_flag:
        return "true or false"
    return "a string or a list of strings" if param.multiple else "a string"


def _described(value: object) -> str:
    """Say what TOML's value is."""
    if isinstance(value, bool | int | float | str):
        return written(value)
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a table"
    return "a date or time"


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
    context_settings=CONTEXT_SETTINGS,
)
@click.option("--profile", metavar="NAME", type=Word("profiles"), help="With this profile.")
@click.option("--json", "as_json", is_flag=True, help="Print it for programs.")
@click.argument("name", metavar="COMMAND", required=False)
def show(profile: str | None, name: str | None, *, as_json: bool) -> None:
    """Print TOML, in which what is not configured is a comment, or a JSON object."""
    contexts = {it: ctx for it, ctx in _contexts() if configurable(ctx.command)}
    if name not in {None, *contexts}:
        message = f"there is nothing to configure for {name!r}"
        raise click.UsageError(message)
    is_read = is_configured() and profile != NO_PROFILE
    config = read(config_path()) if is_read else Config(config_path())
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
    for profile in (None, *_profiles(config)):
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
            is_of_profile = setting.keys[0] == _PROFILES
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
        yield f"# with {bracketed((_PROFILES, profile))}"
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
