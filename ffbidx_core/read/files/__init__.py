"""Input files: expansion of names and lists, probing, recognition of content, identity, datasets."""
