"""The refinement of detector panels from the residuals of the spots of many crystals."""
