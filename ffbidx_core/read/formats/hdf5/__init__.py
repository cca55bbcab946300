"""Spot files in HDF5: `open` recognises the format, each has a module, `opened` has what all of them share."""
