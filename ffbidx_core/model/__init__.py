"""Pure formulas and small data of crystallography: NumPy only, no files, no backends."""
