"""Spot files, one module a format, and `open`, which recognises the format by the content."""
