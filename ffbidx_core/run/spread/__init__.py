"""A run on workers, which read, compute and save parts of its frames."""

from .on_workers import index_on

__all__ = ["index_on"]
