"""What the residuals of indexed spots say of cell, beam and distance, and the equations of that fit."""
