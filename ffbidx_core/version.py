"""The version of the installed package."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("ffbidx")
except PackageNotFoundError:  # run from a source tree that nobody installed
    VERSION = "0+unknown"
