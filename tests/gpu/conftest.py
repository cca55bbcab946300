"""These tests need a GPU: elsewhere they are skipped."""

import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.backends.cuda.driver import gpu_count, why_no_cuda


@pytest.fixture(scope="session")
def gpu():
    """The GPU backend."""
    if reason := why_no_cuda():
        pytest.skip(reason)
    return get_backend("cuda")


@pytest.fixture(scope="session")
def two_gpus(gpu):
    """The numbers of two GPUs."""
    if gpu_count()[0] < 2:
        pytest.skip("there is one GPU only")
    return 0, 1
