"""The CPU backend: the verbs as kernels compiled by Numba, run on the threads of the processor."""
