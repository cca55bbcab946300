"""Helpers of the tests of the published interface."""
