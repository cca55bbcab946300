"""Records that pass through a run: frames and batches, results, and the settings and inputs that identify the run."""
