"""Lattices of an unknown unit cell: the scan for lattice vectors, and invariants by which two lattices compare."""
