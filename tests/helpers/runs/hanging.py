"""A file system on which some files hang when they are opened: those with `sleepy` in their names."""

from ffbidx_core.read.files.probe import _CHILD

HANGS = _CHILD.replace(
    "    try:\n        descriptor",
    "    while 'sleepy' in line: __import__('time').sleep(9)\n    try:\n        descriptor",
)
"""What the child of a `Prober` runs there."""
