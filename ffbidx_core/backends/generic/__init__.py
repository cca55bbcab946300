"""Verbs as array code that runs on any backend."""
