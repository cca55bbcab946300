"""Benchmarks of the refined positions of panels of simulated detectors."""
