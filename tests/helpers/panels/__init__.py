"""Detectors of many panels for tests and benchmarks, and stills on them."""
