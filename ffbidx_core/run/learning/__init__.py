"""What a run learns from its first frames before its first batch: input cells, beam and panels."""

from .settling import Settled, first_frames, settle

__all__ = ["Settled", "first_frames", "settle"]
