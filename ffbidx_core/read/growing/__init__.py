"""Files that grow and appear while they are read."""
