"""The devices of a run, among which its batches are distributed."""

from .devices import Devices, OneDevice, open_devices, why_on_cpu
from .workers import DeviceWorkers, WorkerFault

__all__ = ["DeviceWorkers", "Devices", "OneDevice", "WorkerFault", "open_devices", "why_on_cpu"]
