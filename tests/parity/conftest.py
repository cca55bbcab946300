"""Fixtures of the parity tests."""

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.backends.cuda.driver import why_no_cuda

BACKENDS = ["cpu"] if why_no_cuda() else ["cpu", "cuda"]
"""Every backend that is held to the oracle."""


@pytest.fixture(params=BACKENDS, scope="session")
def backend(request):
    """A backend under test."""
    return get_backend(request.param)


@pytest.fixture
def oracle():
    """The reference backend."""
    return get_backend("reference")


@pytest.fixture
def rng():
    """Random numbers of a fixed seed."""
    return np.random.default_rng(20240607)
