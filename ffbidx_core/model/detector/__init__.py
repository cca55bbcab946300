"""Detectors: panels, the beam, and the way from pixels to reciprocal space and back."""
