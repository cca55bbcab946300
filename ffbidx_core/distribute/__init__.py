"""One run on several devices: a process each, batches shared out among them."""

from .workers import DeviceWorkers, WorkerFault

__all__ = ["DeviceWorkers", "WorkerFault"]
