"""Benchmarks of what a run claims."""
