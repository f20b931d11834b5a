"""For all tests: hypothesis times no example, for the machine may be busy; nothing is configured."""

import os

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

os.environ["WAYSHOT_CONFIG"] = os.devnull
