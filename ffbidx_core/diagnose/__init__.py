"""The diagnosis of errors in the description of an experiment from the results of a run, in numbers and words."""
