"""Detector geometries, one module a format, and which of them a run uses."""
