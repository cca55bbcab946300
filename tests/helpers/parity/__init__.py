"""Frames and bounds for the tests that hold each backend to the oracle."""
