"""Settings of all tests."""

from hypothesis import settings

# Machines differ in speed, failures must not differ from run to run.
settings.register_profile("ffbidx", deadline=None, derandomize=True)
settings.load_profile("ffbidx")
