"""Where the panels of simulated detectors are found to be."""
