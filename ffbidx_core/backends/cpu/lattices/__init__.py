"""Lattices of unknown cells on the CPU: the scan for vectors, their refinement, and triples of them."""
