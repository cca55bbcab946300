"""Frames of unknown cells."""

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.devices.devices import OneDevice


@pytest.fixture(scope="session")
def devices():
    """The processors of this machine."""
    return OneDevice(get_backend("cpu"))


@pytest.fixture
def rng():
    """Random numbers of a fixed seed."""
    return np.random.default_rng(20261126)
