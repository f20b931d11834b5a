"""For all tests: nothing is configured; hypothesis times no example, as the machine may be busy."""

import os

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

os.environ["WAYSHOT_CONFIG"] = os.devnull
