"""Files that appear, and grow, while they are read."""
