"""What people do and see while a recording runs: signals, stills, the status line."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Self

from wayshot_cli import encode, sinks
from wayshot_cli.cli import before_leaving, handle_ending, leave, say
from wayshot_cli.cli.names import generated_names, user_folder
from wayshot_cli.errors import WayshotError
from wayshot_cli.pacing import SECOND

if TYPE_CHECKING:
    from wayshot_cli.cli.destination import Destination
    from wayshot_cli.pacing import Statistics
    from wayshot_cli.record import Recorder
    from wayshot_cli.sources import Picture
    from wayshot_cli.waiting import Waiter

_MOST_STILLS = 4  # at a time
_STILL_PATIENCE = 5.0  # seconds that stills under way have at the end
_REFRESH = 4  # of the status line, a second


class Signals:
    """SIGINT, SIGTERM and SIGHUP end the recording, the second of them at once.

    SIGUSR1 pauses it and lets it go on, SIGUSR2 takes a still.
    """

    def __init__(self, link: "Waiter", recorder: "Recorder", stills: "Stills") -> None:
        """Install the handlers."""
        # Or a signal between Python's last look and the poll would have to wait for its end.
        signal.set_wakeup_fd(link.wake_fd, warn_on_full_buffer=False)
        self.first: int | None = None
        self._recorder = recorder
        handle_ending(self._end)
        signal.signal(signal.SIGUSR1, lambda *_: recorder.toggle_pause())
        signal.signal(signal.SIGUSR2, lambda *_: recorder.with_latest(stills.take))

    def __enter__(self) -> Self:
        """Return itself, to be used until the connection is closed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the connection; the handlers stay."""
        signal.set_wakeup_fd(-1)

    def _end(self, number: int, _frame: object) -> None:
        if self.first is not None:
            leave(number)
        self.first = number
        self._recorder.stop()


class Stills:
    """Writes pictures beside the recording, each in a thread of its own: encoding takes a while."""

    def __init__(self, destination: "Destination", report: Callable[[str], object]) -> None:
        """Take what the recording goes to; beside anything but a file it is Pictures."""
        self._destination = destination
        self._report = report
        self._threads: list[threading.Thread] = []

    def take(self, picture: "Picture") -> None:
        """Write a picture as PNG."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if len(self._threads) >= _MOST_STILLS:  # each holds a buffer that the recording needs
            say("no still: the ones before are still being written")
            return
        thread = threading.Thread(target=self._write, args=(picture,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def wait(self) -> None:
        """Wait for what is under way."""
        deadline = monotonic() + _STILL_PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))

    def _write(self, picture: "Picture") -> None:
        folder, prefix = user_folder("PICTURES"), "wayshot"
        if self._destination.is_file:
            folder, name = os.path.split(self._destination.path)
            prefix = os.path.splitext(name)[0]
        names = generated_names(folder, ".png", prefix)
        try:
            path = sinks.write_new(names, encode.encode(picture.render(), "png"))
        except WayshotError as error:
            say(str(error))
        else:
            self._report(f"still: {path}")


@contextlib.contextmanager
def show_status(recorder: "Recorder", destination: "Destination", *, quiet: bool) -> Iterator[None]:
    """Keep a line on stderr up to date, where that is a terminal."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - 34 ms, only for people
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    rate = _Rate(recorder.statistics)

    def line() -> Text:
        return Text(
            _status(recorder, destination.nbytes, rate()), overflow="ellipsis", no_wrap=True
        )

    before_leaving.append(_show_cursor)  # which rich hides
    with Live(
        get_renderable=line,
        console=Console(stderr=True),
        refresh_per_second=_REFRESH,
        transient=True,
        redirect_stdout=False,
    ):
        yield
    before_leaving.remove(_show_cursor)


def _show_cursor() -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"\x1b[?25h\n")


class _Rate:
    """Frames written a second, over the last second or so."""

    def __init__(self, statistics: "Statistics") -> None:
        self._statistics = statistics
        self._samples = [(monotonic(), 0)]

    def __call__(self) -> float:
        self._samples.append((monotonic(), self._statistics.written))
        del self._samples[: -_REFRESH - 1]
        (before, count_before), (now, count) = self._samples[0], self._samples[-1]
        return (count - count_before) / max(now - before, 1e-3)


def _status(recorder: "Recorder", nbytes: int, rate: float) -> str:
    statistics = recorder.statistics
    parts = [
        "paused" if recorder.is_paused else "recording",
        _time(recorder.position),
        f"{statistics.written} frames",
        f"{rate:.0f}/s",
        _bytes(nbytes),
    ]
    if statistics.dropped:
        parts.append(f"{statistics.dropped} dropped")
    return "  ".join(parts)


def statistics_line(statistics: "Statistics", nbytes: int) -> str:
    """Say what came of a recording, in a line."""
    line = (
        f"{statistics.duration_ns / SECOND:.2f} s, {statistics.written} frames, {_bytes(nbytes)}"
        f" (captured {statistics.captured}, duplicated {statistics.duplicated},"
        f" skipped {statistics.skipped}, dropped {statistics.dropped}, late {statistics.late})"
    )
    median, longest = statistics.interval(0.5), statistics.interval(0.99)
    if median is None or longest is None:
        return line
    return f"{line}, interval p50 {median / 1e6:.1f} ms, p99 {longest / 1e6:.1f} ms"


def _time(nanoseconds: int) -> str:
    minutes, seconds = divmod(nanoseconds // SECOND, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:  # noqa: PLR2004 - which three digits round up
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"
