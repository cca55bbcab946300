"""The probability that chance explains a crystal's spots, and the expected number of false crystals."""
