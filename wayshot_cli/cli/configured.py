"""What is configured, as defaults of the options, which check it themselves."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import click
from click.types import FloatParamType, IntParamType, StringParamType

from wayshot_cli.cli.names import (
    NO_PROFILE,
    config_path,
    format_name,
    is_configured,
    read_template,
)
from wayshot_cli.cli.options import ProfileOption
from wayshot_cli.config import Config, Keys, bracketed, read, written
from wayshot_cli.errors import InvalidArgumentError, WayshotError

PROFILES = "profile"
"""The table of tables that holds them."""

_TARGETS = {"outputs", "region", "window", "select", "pipewire_node"}
_PORTAL = {"portal_source", "portal_size", "portal_remote_desktop"}

# What is configured gives way to these on the line, and outside of profiles to these in one: both
# would contradict each other, or the one would mean nothing beside the other.
_GIVES_WAY_TO: dict[str, set[str]] = {
    **{name: _TARGETS - {name} for name in _TARGETS},
    "pipewire_node": {*_TARGETS - {"pipewire_node"}, "backend", *_PORTAL},
    "backend": {"pipewire_node", *_PORTAL},
    **{name: {"pipewire_node", "backend"} for name in _PORTAL},
    "buffer": {"device"},
    "device": {"buffer"},
    "scale": {"window", "select", "pipewire_node"},
    "format_": {"file", "as_json", "level", "metadata", "edit"},  # the last three are PNG's
    "as_json": {"format_"},
    "rate": {"timestamps"},
    "timestamps": {"rate"},
    "crf": {"bitrate", "codec"},
    "bitrate": {"crf"},
    "preset": {"codec"},
    "codec_options": {"codec"},
    "encoder": {"codec", "crf", "preset", "bitrate", "gop", "codec_options"},  # they are PyAV's
    "save": {"record"},
    "record": {"save"},
}


class Setting(NamedTuple):
    """A configured value: as the option's own kind has it, and its place in the file."""

    value: Any
    keys: Keys


Settings = dict[str, Setting]
"""By the names of click's parameters."""


def load() -> Config:
    """Read the config, if there is one. Raises InvalidArgumentError when it cannot be read."""
    return read(config_path()) if is_configured() else Config(config_path())


def defaults(ctx: click.Context, profile: str | None, line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values for ``default_map`` that are configured for a command.

    ``line`` is what the user has typed, by the names of parameters. Raises InvalidArgumentError for
    a file that cannot be read, an unknown profile or key, and a value that its option refuses.
    """
    settings = in_force(load(), ctx, profile)
    return {name: it.value for name, it in settings.items() if not _gives_way(name, line)}


def in_force(config: Config, ctx: click.Context, profile: str | None) -> Settings:
    """Return what is configured for a command: for all, and in the profile above that."""
    profiles = profiles_of(config)
    if profile is not None and profile not in profiles:
        message = f"{config.path} has no profile {profile!r}"
        known = ", ".join(profiles)
        hint = f"known are {known}" if known else f"{bracketed((PROFILES, profile))} begins one"
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
    if (name, other) == ("device", "buffer"):
        return wish == "shm"
    if name in _PORTAL and other == "backend":
        return wish != "portal"
    return wish is not False and wish != ()


def profiles_of(config: Config) -> dict[str, Any]:
    """Return the profiles by their names."""
    profiles = config.table(PROFILES)
    if NO_PROFILE in profiles:
        message = f"no profile can be called {NO_PROFILE!r}: that is the one without any option"
        raise config.error((PROFILES, NO_PROFILE), message)
    return profiles


def _settings(config: Config, ctx: click.Context, profile: str | None = None) -> Settings:
    """Read and check a command's table in the file, or in a profile."""
    from wayshot_cli.cli.app import app  # noqa: PLC0415 - which loads this module

    outer: Keys = () if profile is None else (PROFILES, profile)
    tables = app.list_commands(ctx)
    for name in tables:
        config.table(*outer, name)
    if ctx.command is app:
        elsewhere = {*tables, PROFILES} if profile is None else {*tables}
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
    except OverflowError as error:  # a whole number that no float can be
        raise config.error(keys, f"{keys[-1]} is too large") from error
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
