"""Input files: expanding names and lists, probing, content, identity, datasets."""
