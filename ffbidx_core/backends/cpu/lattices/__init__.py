"""Search for the lattice of an unknown cell on the CPU: scan for vectors, their refinement, triples of vectors."""
