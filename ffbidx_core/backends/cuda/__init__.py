"""The GPU backend: the verbs on an NVIDIA GPU, through CuPy and the kernels of `backends/kernels`."""
