"""One run on one or several devices: batches shared out among them."""

from .devices import Devices, OneDevice, open_devices, why_on_cpu
from .workers import DeviceWorkers, WorkerFault

__all__ = ["DeviceWorkers", "Devices", "OneDevice", "WorkerFault", "open_devices", "why_on_cpu"]
