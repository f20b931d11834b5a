"""A fake compositor for tests; see :mod:`tests.fake.compositor`."""

from tests.fake.client import Request
from tests.fake.compositor import FakeCompositor
from tests.fake.config import Config, Mode, Output, ShmOffer
from tests.fake.faults import Fault, Step
from tests.fake.pixels import FORMATS, pattern

__all__ = [
    "FORMATS",
    "Config",
    "FakeCompositor",
    "Fault",
    "Mode",
    "Output",
    "Request",
    "ShmOffer",
    "Step",
    "pattern",
]
