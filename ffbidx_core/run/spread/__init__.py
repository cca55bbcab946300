"""The spreading of a run's work: batches over the lanes of this process, or tasks over workers."""

from .work import Work, work_of

__all__ = ["Work", "work_of"]
