"""Lattices that nobody knows yet: the scan for their vectors, and numbers by which two lattices compare."""
