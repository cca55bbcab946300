"""The devices of a run, among which its batches are distributed."""

from .devices import Devices, OneDevice, Workers, open_devices, wake_driver, why_on_cpu

__all__ = ["Devices", "OneDevice", "Workers", "open_devices", "wake_driver", "why_on_cpu"]
