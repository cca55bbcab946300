"""Reading of files that appear and grow while they are read."""
