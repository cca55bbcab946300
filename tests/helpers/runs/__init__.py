"""Whole runs that tests start."""
