"""The spreading of a run: batches over the lanes of devices, tasks over workers."""
