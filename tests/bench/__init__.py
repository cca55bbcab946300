"""Benchmarks: quality on stills with known truth, speed."""

import os

# NumPy's matrix products on one thread: idle helpers of theirs would count as CPU time.
for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
