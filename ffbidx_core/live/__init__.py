"""Live indexing: spot lists come as messages while the detector runs, and each is answered."""
