"""Output files, one module for each format."""
