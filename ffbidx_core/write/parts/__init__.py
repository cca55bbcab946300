"""Results that a run saves while it goes on: `folder` has the saved parts and the ledger, `store` the results."""

from .store import PartsStore

__all__ = ["PartsStore"]
