"""A fake compositor for tests; see :mod:`tests.fake.compositor`."""

from tests.fake.client import Request
from tests.fake.compositor import FakeCompositor
from tests.fake.config import Config, Feedback, Mode, Output, ShmOffer
from tests.fake.counter import CounterError, read_counter
from tests.fake.faults import Fault, Step
from tests.fake.film import Film, RealClock, VirtualClock
from tests.fake.pixels import FORMATS, pattern
from tests.fake.toplevels import Window

__all__ = [
    "FORMATS",
    "Config",
    "CounterError",
    "FakeCompositor",
    "Fault",
    "Feedback",
    "Film",
    "Mode",
    "Output",
    "RealClock",
    "Request",
    "ShmOffer",
    "Step",
    "VirtualClock",
    "Window",
    "pattern",
    "read_counter",
]
