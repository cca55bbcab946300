"""Where the panels of a detector are, by the residuals of the spots of many crystals."""
