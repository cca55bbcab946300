"""Detector geometries: `any` reads all formats, each format has a module, and `choose` finds the geometry of a run."""
