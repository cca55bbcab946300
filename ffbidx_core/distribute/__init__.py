"""One run on one or several devices: batches shared out among them."""

from .devices import Devices, OneDevice, open_devices
from .workers import DeviceWorkers, WorkerFault

__all__ = ["DeviceWorkers", "Devices", "OneDevice", "WorkerFault", "open_devices"]
