"""Simulated stills with known crystals, for tests, benchmarks and trials."""

from .frames import SimulatedFrames, simulate, turned_copies
from .scenario import Scenario
from .write import write_frames

__all__ = ["Scenario", "SimulatedFrames", "simulate", "turned_copies", "write_frames"]
