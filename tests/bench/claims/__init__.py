"""Benchmarks of the claims of a run about its crystals."""
