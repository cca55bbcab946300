"""Output files, one module a format."""
