"""Verbs in plain array code, which runs with the arrays of any backend."""
