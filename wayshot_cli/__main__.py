"""``python -m wayshot_cli``, and what the ``wayshot`` command runs."""

import os
import signal


def main() -> None:
    """Run the command on sys.argv and exit with its code."""
    # Their default is death, and a key binding may send one before we are ready for it.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    # Python would answer with a traceback while modules load; cli sets a handler of ours.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    if kind := os.environ.get("_WAYSHOT_COMPLETE"):
        from wayshot_cli.cli import words  # noqa: PLC0415 - a shell asks, at a TAB

        words.print_and_exit(kind)

    from wayshot_cli import cli  # noqa: PLC0415 - after the signals, on purpose

    cli.run_and_exit()


if __name__ == "__main__":
    main()
