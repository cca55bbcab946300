"""Results that a run saves as it goes: `folder` keeps saved parts and ledger on the disk, `store` a run's results."""

from .store import PartsStore

__all__ = ["PartsStore"]
