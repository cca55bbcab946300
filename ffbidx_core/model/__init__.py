"""Formulas and small records of crystallography, on arrays of NumPy or of a backend, without input or output."""
