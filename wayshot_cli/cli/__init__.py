"""What the user types and reads: only this package prints, exits and knows click."""

import contextlib
import gc
import io
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import NoReturn

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a command to end."""

before_leaving: list[Callable[[], None]] = []
"""What ``leave`` must still do."""


class _Later(ModuleType):
    """Stands for a module until something of it is asked for."""

    def __getattr__(self, name: str) -> object:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def run_and_exit() -> NoReturn:
    """Run the command line of sys.argv; the process ends here, with the documented code."""
    handle_ending(leave)
    # Importing allocates much and frees nothing: looking for garbage meanwhile costs 2 ms.
    gc.disable()
    _open_standard_descriptors()
    code = run(sys.argv[1:])
    if os.environ.get("WAYSHOT_CLEAN_EXIT"):
        sys.exit(code)
    # Everything is flushed and closed. Taking the interpreter apart would cost a quarter of
    # the time that a small shot takes.
    os._exit(code)


def run(args: list[str]) -> int:
    """Run a command line, words to stderr, and return the exit code (wayshot(1))."""
    # click imports it, for help pages: that is a tenth of a small shot.
    sys.modules.setdefault("inspect", _Later("inspect"))
    import click  # noqa: PLC0415 - all of these after the signal handlers: they take a while

    from wayshot_cli import sinks  # noqa: PLC0415
    from wayshot_cli.cli.app import app  # noqa: PLC0415
    from wayshot_cli.errors import InvalidArgumentError, WayshotError  # noqa: PLC0415
    from wayshot_cli.wayland.connection import take_over_log  # noqa: PLC0415

    before_leaving.append(sinks.remove_temporaries)
    try:
        take_over_log()
        code = app.main(args, prog_name="wayshot", standalone_mode=False)
        sys.stdout.flush()  # lets a full disk show while we can still say so
    except click.UsageError as error:
        if isinstance(error, click.NoSuchOption) and error.possibilities:
            _keep_like(error.option_name, error.possibilities)
        command = error.ctx.command_path if error.ctx else "wayshot"
        is_configured = error.ctx is not None and error.ctx.default_map
        configured = "; wayshot config show tells what is configured" if is_configured else ""
        message = error.format_message().replace("\n\t", " ")  # click lists choices so
        _say_misuse(args, message, f"see {command} --help{configured}")
        return error.exit_code
    except WayshotError as error:
        if isinstance(error, InvalidArgumentError):
            _say_misuse(args, str(error), error.hint)
        elif not isinstance(error.__cause__, BrokenPipeError):
            say(str(error), hint=error.hint)
        return error.exit_code
    except BrokenPipeError:
        return 1  # whoever read our output has gone, and knows it
    except OSError as error:
        say(error.strerror or str(error))
        return 1
    except MemoryError:
        say("out of memory")
        return 1
    return int(code or 0)


def _say_misuse(args: list[str], message: str, hint: str | None) -> None:
    """Say what is wrong with the words or the config, in a notification, too, if they have it."""
    say(message, hint=hint)
    if "--notify" in args[: [*args, "--"].index("--")]:
        from wayshot_cli.cli.deliver import Delivery  # noqa: PLC0415 - for this alone
        from wayshot_cli.waiting import DEFAULT_TIMEOUT  # noqa: PLC0415 - loaded already by then

        Delivery(None, DEFAULT_TIMEOUT, notify=True).tell_error(message, hint)


def _keep_like(option: str, suggestions: list[str]) -> None:
    """Drop the options that have little but the dashes in common with what was typed."""
    from difflib import get_close_matches  # noqa: PLC0415 - for this alone

    word = option.lstrip("-")
    suggestions[:] = (name for name in suggestions if get_close_matches(word, [name.lstrip("-")]))


def say(message: str, *, hint: str | None = None) -> None:
    """Print a line on stderr, and the way out below it if there is one."""
    if sys.stderr is None:
        return  # and print() would take stdout instead
    with contextlib.suppress(OSError):  # the exit code must do, then
        print(f"wayshot: {printable(message)}", file=sys.stderr)
        if hint:
            print(f"  {printable(hint)}", file=sys.stderr)


def printable(text: str) -> str:
    """Escape control characters: names come from compositors and are not to be trusted."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def handle_ending(handler: Callable[[int, object], object]) -> None:
    """Have a handler called for the signals of ``ENDING``.

    What nohup or a background shell has us ignore, stays ignored.
    """
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def leave(number: int, _frame: object = None) -> NoReturn:
    """End the process for a signal."""
    # Nothing but a temporary file needs putting away, and an exception would have to find its
    # way out of callbacks and finalisers: leave from here, wherever that is.
    for prepare in before_leaving:
        prepare()
    os._exit(exit_code_of(number))


def exit_code_of(number: int) -> int:
    """Return the exit code for a signal: 128 and its number, SIGHUP's being SIGTERM's."""
    return 128 + (signal.SIGTERM if number == signal.SIGHUP else number)


def _open_standard_descriptors() -> None:
    """Fill closed standard descriptors, so that no file or socket of ours becomes one."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            # Read-only: what is then written to "stdout" fails instead of vanishing.
            os.open(os.devnull, os.O_RDONLY)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal in ASCII gets escapes
    else:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - as long as we live
