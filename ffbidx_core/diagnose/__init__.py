"""Errors in the description of an experiment, found from the results of a run, in numbers and words."""
