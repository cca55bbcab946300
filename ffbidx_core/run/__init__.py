"""A whole run, from the request to the outcome."""
