"""The fit of cell, beam and distance to the residuals of indexed spots, and its equations."""
