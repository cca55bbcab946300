"""The joint fit of unit cell, beam shift and detector distance to the residuals of indexed spots."""
