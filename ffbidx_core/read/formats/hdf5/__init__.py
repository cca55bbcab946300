"""Readers of HDF5 spot files: one module for each format, `open` to recognise it, `opened` for the base class."""
