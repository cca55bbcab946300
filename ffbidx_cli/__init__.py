"""The command line: it turns options into requests and results into an exit status, and contains no science."""

ARGUMENTS = "ffbidx.arguments"
"""Key in `click.Context.meta` under which the arguments of the program are kept."""

SOME_FRAMES_BAD = 3
"""Exit status of a command that finished although some frames or inputs could not be used (see docs/status.md)."""
