"""Records that go through a run: frames and batches, results, what makes a run the run it is."""
