"""The verbs on an NVIDIA GPU: CuPy, and the kernels of `kernels/`."""
