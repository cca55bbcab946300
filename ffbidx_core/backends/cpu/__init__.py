"""The verbs in Numba, on the threads of the processor."""
