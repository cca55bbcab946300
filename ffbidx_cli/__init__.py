"""The command line: options in, exit status out. No science."""

ARGUMENTS = "ffbidx.arguments"
"""Key in `click.Context.meta` of the arguments that the program was called with."""
