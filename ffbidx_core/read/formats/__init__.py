"""Readers of spot files, one module for each format, and `open`, which recognises the format by the content."""
