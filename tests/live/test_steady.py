"""The memory of a live server's processes."""

import gc
import platform
import resource
import sys

import numpy as np
import pytest

from ffbidx_core.live.door.steady import MOST_OBJECTS, keep_freed_memory, steady


def arrays() -> list[np.ndarray]:
    return [np.ones(50_000) for _ in range(8)]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library is asked to keep memory")
def test_memory_of_freed_arrays_is_used_again():
    keep_freed_memory()
    arrays()
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for _ in range(20):
        arrays()
    # The operating system would clear 780 pages of 4 KiB in each round.
    assert resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before < 20 * 780 / 2


def test_what_makes_threads_steady_ends_with_its_context():
    before = sys.getswitchinterval(), gc.get_threshold()
    with steady():
        assert sys.getswitchinterval() < before[0]
        assert gc.get_threshold()[0] == MOST_OBJECTS
    assert (sys.getswitchinterval(), gc.get_threshold()) == before


def test_objects_that_the_caller_left_out_of_garbage_collection_stay_out():
    gc.freeze()
    with steady():
        pass
    assert gc.get_freeze_count() > 0
