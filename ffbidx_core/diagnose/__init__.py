"""What the results of a run say about its experiment, in numbers and words."""
