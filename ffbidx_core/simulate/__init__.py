"""Stills with known truth, for tests, benchmarks and trials."""

from .frames import SimulatedFrames, simulate
from .scenario import Scenario
from .write import write_frames

__all__ = ["Scenario", "SimulatedFrames", "simulate", "write_frames"]
