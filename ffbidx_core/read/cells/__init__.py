"""Input cells: from text, from the files of other programs, from the inputs themselves."""
