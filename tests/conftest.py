"""For all tests: nothing is configured; time and signals are the same on every machine."""

import os
import signal
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

# The machine may be busy. And the examples are the same each time, so that what fails is what was
# changed; --hypothesis-profile=searching looks for others.
settings.register_profile("searching", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", settings.get_profile("searching"), derandomize=True)
settings.load_profile("steady")

os.environ["WAYSHOT_CONFIG"] = os.devnull

# A shell has what it starts in the background ignore these, and children would, too.
for number in (signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Take back what a command, run in this process, has done to the signals that end it."""
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
    before = [signal.getsignal(number) for number in ending]
    try:
        return (yield)
    finally:
        for number, handler in zip(ending, before, strict=True):
            signal.signal(number, handler)
