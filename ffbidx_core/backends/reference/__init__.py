"""The verbs in plain NumPy with float64: the oracle against which the other backends are tested."""
