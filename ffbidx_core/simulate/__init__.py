"""Stills with known truth, for tests, benchmarks and trials."""

from .frames import SimulatedFrames, simulate
from .scenario import Scenario

__all__ = ["Scenario", "SimulatedFrames", "simulate"]
