"""Commands of live runs."""
