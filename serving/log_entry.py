"""What a log of answers must be able to do; an answer has the form in which it is stored as it is made."""

from __future__ import annotations

from typing import Protocol

from serving.log_entries import LogEntry

__all__ = ["AnswerLog", "LogEntry"]


class AnswerLog(Protocol):
    """Where answers are written down."""

    def append(self, entry: LogEntry) -> object:
        """Commit one entry; what it returns is not looked at.

        Raises:
            LogError: the database is locked, gone or full; the entry is not kept.
        """
