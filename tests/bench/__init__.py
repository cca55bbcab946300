"""Benchmarks of quality, on stills with known crystals, and of speed."""

import os

# Matrix products of NumPy use one thread, because its idle helper threads would count as CPU time.
for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
