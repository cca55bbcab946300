"""The verbs in plain NumPy, float64: the oracle that all other backends are held to."""
