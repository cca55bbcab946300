"""Settings of all tests."""

import gc

from hypothesis import settings

# Machines differ in speed, failures must not differ from run to run.
settings.register_profile("ffbidx", deadline=None, derandomize=True)
settings.load_profile("ffbidx")


def pytest_collection_finish():
    """Spare collections of garbage the modules and the tests, hundreds of thousands of objects that stay to the end."""
    gc.collect()
    gc.freeze()
