"""The benchmark of unknown cells: python -m tests.bench.cells."""
