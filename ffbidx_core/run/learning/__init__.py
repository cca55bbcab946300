"""Learning from the first frames of a run before its first batch: input cells, beam and panels."""

from .settling import Settled, first_frames, settle

__all__ = ["Settled", "first_frames", "settle"]
