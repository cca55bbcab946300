"""Benchmarks of the processor itself: what its cores could do, beside what the program does with them."""
