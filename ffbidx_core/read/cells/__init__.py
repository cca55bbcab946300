"""Reading of input cells: from text, from files of other programs, and from the inputs themselves."""
