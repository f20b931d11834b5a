"""``wayshot completions SHELL``: the script that the shell's completion loads.

It is made of what click knows of the commands: nothing need be started to complete an option or one
of several choices. What only the session knows comes as lines from ``cli.words``, and no shell
evaluates those.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from wayshot_cli.cli.options import CONTEXT_SETTINGS, Word

_LONGEST_HELP = 200  # characters: shells cut it to their width


@click.command(
    "completions",
    help="Print the completion script of a shell.",
    epilog="""\b
Examples:
  eval "$(wayshot completions bash)"      in ~/.bashrc
  eval "$(wayshot completions zsh)"       in ~/.zshrc, after compinit
  wayshot completions fish > ~/.config/fish/completions/wayshot.fish
""",
    context_settings=CONTEXT_SETTINGS,
)
@click.argument("shell", type=click.Choice(["bash", "fish", "zsh"]), metavar="bash|fish|zsh")
def command(shell: str) -> None:
    """Write down what all commands take, in that shell's words."""
    from wayshot_cli.cli.app import app  # noqa: PLC0415 - which loads this module

    make = {"bash": _bash, "fish": _fish, "zsh": _zsh}[shell]
    click.echo(make(list(_commands(app, ()))), nl=False)


Value = str | tuple[str, ...] | None
"""What a value can be: one of several words, or what ``Word`` has; None if nobody can guess it."""


class Option(NamedTuple):
    """An option; ``metavar`` is None for a flag. One may have a value that can be left away."""

    names: tuple[str, ...]
    help: str
    metavar: str | None
    value: Value
    is_multiple: bool
    is_value_optional: bool


class Command(NamedTuple):
    """A command; ``path`` are the words that call it, ``commands`` those below it, with a help."""

    path: tuple[str, ...]
    options: list[Option]
    argument: Value
    commands: dict[str, str]


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[Command]:
    """Read click's tree: a command, then those below it."""
    ctx = click.Context(command, **command.context_settings)
    group = command if isinstance(command, click.Group) else click.Group()
    found = {name: group.get_command(ctx, name) for name in group.list_commands(ctx)}
    below = {name: it for name, it in found.items() if it and not it.hidden}
    parameters = command.get_params(ctx)
    arguments = [it.type for it in parameters if isinstance(it, click.Argument)]
    yield Command(
        path,
        [_option(it) for it in parameters if isinstance(it, click.Option)],
        _value(arguments[0]) if arguments else None,
        {name: it.get_short_help_str(_LONGEST_HELP).rstrip(".") for name, it in below.items()},
    )
    for name, it in below.items():
        yield from _commands(it, (*path, name))


def _option(option: click.Option) -> Option:
    takes_value = not (option.is_flag or option.count)
    return Option(
        tuple(option.opts),
        (option.help or "").rstrip("."),
        option.metavar or "VALUE" if takes_value else None,
        _value(option.type) if takes_value else None,
        option.multiple,
        is_value_optional=(option.metavar or "").startswith("["),
    )


def _value(kind: "click.ParamType[Any]") -> Value:
    if isinstance(kind, click.Choice):
        return tuple(kind.choices)
    return kind.of if isinstance(kind, Word) else None


def _quoted(text: str) -> str:
    """Quote a word for bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


_BASH = r"""# Completion of wayshot for bash: what "wayshot completions bash" prints.

_wayshot() {
    local IFS=$' \t\n' command=wayshot raw='' kept='' skip='' plain quote outside word i dashes=0
    local -a words=() given=() options commands argument values=()
    COMPREPLY=()

    # readline takes words apart at = : and @, too (COMP_WORDBREAKS): they are put together again.
    # raw is the last one as it is typed; of that, kept stays on the line whatever is answered.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((${#words[@]})) && [[ $word =~ ^[=:@]+$ ]]; then
            words[-1]+=$word kept=${words[-1]}
        elif ((${#words[@]})) && [[ ${COMP_WORDS[i - 1]} =~ ^[=:@]+$ ]]; then
            kept=${words[-1]} words[-1]+=$word
        else
            words+=("$word") kept=''
        fi
        [[ $word != -- ]] || ((dashes || i == COMP_CWORD)) || dashes=$i
    done
    ((${#words[@]})) || return
    raw=${words[-1]}
    unset 'words[-1]'

    # A command is one as the first word only.
    _wayshot_command
    while ((${#words[@]})) && [[ " ${commands[*]} " == *" ${words[0]} "* ]]; do
        command+=" ${words[0]}"
        words=("${words[@]:1}")
        _wayshot_command
    done
    for word in "${words[@]}"; do
        case ${values[0]-} in
            '') ;;
            maybe) [[ " ${values[*]:1} " != *" $word "* ]] || word='' ;;
            *) word='' ;; # a value, whatever it looks like
        esac
        values=()
        if [[ $word == -- ]]; then
            break
        elif [[ $word == -?* ]]; then
            given+=("${word%%=*}")
            [[ $word == *=* ]] || _wayshot_value "$word"
        fi
    done

    if ((dashes)); then
        values=("${argument[@]}")
    elif [[ ${values[0]-maybe} != maybe ]]; then
        : # the option before must have one
    elif [[ $raw == --*=* || $raw == -[!-]?* ]]; then
        skip=${raw:0:2}
        [[ $skip != -- ]] || skip=${raw%%=*}=
        values=()
        _wayshot_value "${skip%=}"
    elif [[ $raw == -* ]]; then
        _wayshot_offer_options
        return
    else
        _wayshot_offer "${values[@]:1}"
        ((${#words[@]})) || _wayshot_offer "${commands[@]}"
        values=("${argument[@]}")
    fi
    case ${values[0]-} in
        words | maybe) _wayshot_offer "${values[@]:1}" ;;
        files) _wayshot_offer_files ;;
        commands) ((dashes == 0)) || _wayshot_offer_command "$((dashes + 1))" ;;
        '' | nothing) ;;
        *) _wayshot_offer_live "${values[0]}" ;;
    esac
}

# Offer the words that begin as the one on the line.
_wayshot_offer() {
    local word whole rest keeps
    _wayshot_unquote "$kept"
    keeps=$plain
    _wayshot_unquote "$raw"
    [[ ! $quote ]] || keeps=$outside # readline goes back to the quote
    for word; do
        whole=$skip$word
        [[ $whole == "$plain"* && $whole == "$keeps"* ]] || continue
        rest=${whole#"$keeps"}
        case $quote in
            '') printf -v rest %q "$rest" ;;
            \') [[ $rest != *\'* ]] || continue ;;
            \") [[ $rest != *[\"\$\`\\!]* ]] || continue ;;
        esac
        COMPREPLY+=("$rest")
    done
}

# Take the quotes off: quote is the one that is still open, outside what is before it.
_wayshot_unquote() {
    local rest=$1 char
    plain='' quote='' outside=''
    while [[ $rest ]]; do
        char=${rest:0:1} rest=${rest:1}
        case $quote$char in
            [\'\"]) quote=$char outside=$plain ;;
            "''" | '""') quote='' ;;
            \\ | \"\\) plain+=${rest:0:1} rest=${rest:1} ;;
            *) plain+=$char ;;
        esac
    done
}

# Offer the options that are not there yet, or may come again.
_wayshot_offer_options() {
    local -a free=()
    local names name
    for names in "${options[@]}"; do
        if [[ $names != \** ]]; then
            for name in $names; do
                [[ " ${given[*]} " != *" $name "* ]] || continue 2
            done
        fi
        for name in ${names#\*}; do
            free+=("$name")
        done
    done
    _wayshot_offer "${free[@]}"
}

# Offer files, beside commands if there are any.
_wayshot_offer_files() {
    local -a files=()
    if ((${#COMPREPLY[@]})); then
        mapfile -t files < <(compgen -f -- "$raw")
        COMPREPLY+=("${files[@]}")
        compopt -o filenames
    else
        compopt -o default
    fi
}

# Offer what the command from that word on takes, which is somebody else's.
_wayshot_offer_command() {
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$1"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif (($1 == COMP_CWORD)); then
        mapfile -t COMPREPLY < <(compgen -c -- "$raw")
    else
        compopt -o default
    fi
}

# Offer what the session has. Nothing of that is ever evaluated.
_wayshot_offer_live() {
    local -a live=()
    while IFS=$'\t' read -r word _; do
        live+=("$word")
    done < <(_WAYSHOT_COMPLETE=$1 command wayshot 2>/dev/null)
    _wayshot_offer "${live[@]}"
}

# What a command has: its options (* if they may come again), commands and argument.
_wayshot_command() {
    options=() commands=() argument=()
    case $command in
@commands@
    esac
}

# What the value of an option can be: its kind, and words; none for a flag, maybe none of them.
_wayshot_value() {
    case "$command $1" in
@values@
    esac
}

complete -o nosort -F _wayshot wayshot
"""


def _bash(commands: list[Command]) -> str:
    tables: list[str] = []
    values: list[str] = []
    for command in commands:
        name = " ".join(("wayshot", *command.path))
        options = [
            _quoted("*" * option.is_multiple + " ".join(option.names)) for option in command.options
        ]
        tables += [
            f"        {_quoted(name)})",
            "            options=(",
            *(f"                {option}" for option in options),
            "            )",
            f"            commands=({' '.join(command.commands)})",
            f"            argument=({_bash_value(command.argument)})",
            "            ;;",
        ]
        values += [
            f"        {' | '.join(_quoted(f'{name} {it}') for it in option.names)}) "
            f"values=({_bash_value(option.value, option) or 'nothing'}) ;;"
            for option in command.options
            if option.metavar
        ]
    return _BASH.replace("@commands@", "\n".join(tables)).replace("@values@", "\n".join(values))


def _bash_value(value: Value, option: Option | None = None) -> str:
    kind = "maybe" if option and option.is_value_optional else "words"
    return " ".join((kind, *value)) if isinstance(value, tuple) else value or ""


_ZSH = r"""#compdef wayshot
# Completion of wayshot for zsh: what "wayshot completions zsh" prints.

# Offer what the session has. Nothing of that is ever evaluated.
_wayshot_live() {
    local line
    local -a found shown expl
    for line in "${(@f)$(_WAYSHOT_COMPLETE=$1 command wayshot 2>/dev/null)}"; do
        [[ -n $line ]] || continue
        found+=("${line%%$'\t'*}")
        shown+=("${line/$'\t'/  -- }")
    done
    _wanted -V $1 expl "${1%s}" compadd -l -d shown -a found
}

# Offer the commands, which are such as the first word only, and files where those will do.
_wayshot_first() {
    local ret=1
    (( CURRENT == 2 )) && _describe -t commands command below && ret=0
    (( $# )) && _files && ret=0
    return ret
}

@functions@

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _wayshot "$@"
else
    compdef _wayshot wayshot
fi
"""


def _zsh(commands: list[Command]) -> str:
    return _ZSH.replace("@functions@", "\n\n".join(map(_zsh_function, commands)))


def _zsh_function(command: Command) -> str:
    """Write the function of a command, which calls those of the commands below it."""
    name = "_".join(("_wayshot", *command.path))
    specs = [spec for option in command.options for spec in _zsh_specs(option)]
    body = []
    if command.commands:
        body += [
            "local -a below=(",
            *(f"    {_quoted(f'{below}:{text}')}" for below, text in command.commands.items()),
            ")",
            f"if (( CURRENT > 2 )) && [[ $words[2] == ({'|'.join(command.commands)}) ]]; then",
            f"    local function={name}_$words[2]",
            "    shift words",
            "    (( CURRENT-- ))",
            "    $function",
            "    return",
            "fi",
        ]
        specs.append(_quoted(f":: : _wayshot_first {command.argument or ''}".rstrip()))
    elif command.argument == "commands":
        body += [
            "local -a after_dashes",
            "(( ${words[(i)--]} < CURRENT )) && after_dashes=('*:::command:_normal')",
        ]
        specs.append("$after_dashes")
    elif command.argument:
        specs.append(_quoted(f":{_zsh_value('', command.argument)}"))
    body += [" \\\n        ".join(("_arguments -s -S :", *specs))]
    return "\n".join((f"{name}() {{", *(f"    {line}" for line in body), "}"))


def _zsh_specs(option: Option) -> Iterator[str]:
    """Write an option for _arguments, once for each of its names."""
    others = "*" if option.is_multiple else f"({' '.join(option.names)})"
    text = option.help.replace("\\", "\\\\").replace("]", "\\]")
    value = f":{_zsh_value(option.metavar, option.value)}" if option.metavar else ""
    value = ":" * option.is_value_optional + value
    for name in option.names:
        end = ("=" if name.startswith("--") else "+") if option.metavar else ""
        yield _quoted(f"{others}{name}{end}[{text}]{value}")


def _zsh_value(metavar: str, value: Value) -> str:
    if isinstance(value, tuple):
        action = f"({' '.join(value)})"
    elif value == "files":
        action = "_files"
    else:
        action = f" _wayshot_live {value}" if value else ""
    message = metavar.replace(":", "\\:") or " "
    return f"{message}:{action}"


_FISH = r"""# Completion of wayshot for fish: what "wayshot completions fish" prints.

# Tell whether the line is one of that command, whose words $argv are.
function __wayshot_is
    set -l words (commandline -opc)[2..]
    set -l command ''
    for path in "$words[1]" "$words[1] $words[2]"
        contains -- $path @paths@
        and set command $path
    end
    test "$command" = "$argv"
end

# Tell whether an option of these names may come.
function __wayshot_may
    set -l words (commandline -opc)[2..]
    contains -- -- $words
    and return 1
    string match -q -- '-*' (commandline -ct)
    or set -e words[-1] # whose value is what is asked for
    for name in $argv
        if contains -- $name $words
            or string match -q -- "$name=*" $words
            return 1
        end
    end
end

# Tell whether so many words are before the one that is asked for.
function __wayshot_after
    test (count (commandline -opc)) -eq $argv[1]
end

# Tell whether the word before the one that is asked for is that.
function __wayshot_follows
    test (commandline -opc)[-1] = $argv[1]
end

# Offer what the session has. Nothing of that is ever evaluated.
function __wayshot_live
    _WAYSHOT_COMPLETE=$argv[1] command wayshot 2>/dev/null
end

# Offer what the command after -- takes, which is somebody else's.
function __wayshot_after_dashes
    set -l words (commandline -opc)
    set -l dashes (contains -i -- -- $words)
    and __fish_complete_subcommand --commandline $words[(math $dashes + 1)..] (commandline -ct)
end

@rules@
"""


def _fish(commands: list[Command]) -> str:
    paths = (_fish_quoted(" ".join(command.path)) for command in commands if command.path)
    rules = (" ".join(rule) for command in commands for rule in _fish_rules(command))
    return _FISH.replace("@paths@", " ".join(paths)).replace("@rules@", "\n".join(rules))


def _fish_rules(command: Command) -> Iterator[tuple[str, ...]]:
    """Write the rules of a command: its options, the commands below it, its argument."""
    rule = ("complete", "-c wayshot", f"-n '{' '.join(('__wayshot_is', *command.path))}'")
    first = f"-n '__wayshot_after {len(command.path) + 1}'"
    for option in command.options:
        may = "__wayshot_may" if option.is_multiple else " ".join(("__wayshot_may", *option.names))
        names = (f"-l {it[2:]}" if it.startswith("--") else f"-s {it[1:]}" for it in option.names)
        value = _fish_value(option.value) if option.metavar else ()
        if option.is_value_optional:
            # For fish it has to stand behind =; here it may come as the next word.
            follows = f"-n '__wayshot_follows {option.names[0]}'"
            yield (*rule, follows, *value[1:])
            value = ("-f", *value[1:])
        yield (*rule, f"-n '{may}'", *names, *value, f"-d {_fish_quoted(option.help)}")
    for name, text in command.commands.items():
        yield (*rule, first, f"-a {name}", f"-d {_fish_quoted(text)}")
    if isinstance(command.argument, tuple):
        yield (*rule, first, f"-a '{' '.join(command.argument)}'")
    if command.argument == "commands":
        yield (*rule, "-a '(__wayshot_after_dashes)'")
    if command.argument != "files":
        yield (*rule, "-f")


def _fish_value(value: Value) -> tuple[str, ...]:
    if value == "files":
        return ("-r", "-F")
    if isinstance(value, tuple):
        return ("-x", f"-a '{' '.join(value)}'")
    return ("-x", "-k", f"-a '(__wayshot_live {value})'") if value else ("-x",)


def _fish_quoted(text: str) -> str:
    """Quote a word for fish, where a backslash means something between quotes, too."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
