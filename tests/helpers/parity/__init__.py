"""Frames and bounds for the tests that compare each backend with the oracle."""
