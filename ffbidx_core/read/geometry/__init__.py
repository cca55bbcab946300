"""Detector geometries: `any` reads all formats, each has a module, `choose` finds the one that a run uses."""
