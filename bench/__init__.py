"""Benchmarks: quality on stills with known truth, speed."""
