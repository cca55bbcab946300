"""Live indexing: spot lists arrive as messages while the detector runs, and each is answered."""
