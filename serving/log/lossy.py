"""A log whose failures stop no answer: what could not be written is counted and reported.

After a failure the log is left alone for a second, so that a database that is gone or locked does not slow
down every answer by its timeout.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from serving.log.entries import LogEntry
from serving.log.prediction_log import PredictionLog
from vision.base.errors import LogError

PAUSE_SECONDS = 1.0
REPORT_SECONDS = 60.0
CHECK_SECONDS = 5.0
"""How long the answer to `find_fault` is believed: probes ask often, and asking takes the write lock."""

_logger = logging.getLogger("taxon.serving")


class LossyLog:
    """A prediction log whose failures are counted, not raised; safe to use from several threads."""

    def __init__(
        self, log: PredictionLog, count_lost: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Write into `log`; call `count_lost` for every entry that is not kept; `clock` gives seconds."""
        self.log, self._count_lost, self._clock = log, count_lost, clock
        self._asking, self._telling = threading.Lock(), threading.Lock()
        self._paused_until = self._reported_at = self._checked_at = float("-inf")
        self._num_unreported = 0
        self._check_fault: str | None = None
        self._append_fault: str | None = None

    def find_fault(self) -> str | None:
        """Why entries cannot be written, as of a few seconds ago at most; None if they can.

        A failed append counts until one succeeds: on a full disk the database can still be locked and asked.
        """
        if (fault := self._append_fault) is not None:
            return f"the last answer was not written: {fault}"
        with self._asking:
            if self._clock() >= self._checked_at + CHECK_SECONDS:
                try:
                    self.log.check()
                    self._check_fault = None
                except LogError as error:
                    self._check_fault = str(error)
                self._checked_at = self._clock()
            return self._check_fault

    def append(self, *entries: LogEntry) -> bool:
        """Commit entries together; whether they are kept."""
        if self._clock() < self._paused_until:
            self._lose(len(entries), "the log is left alone for a second after a failure")
            return False
        try:
            self.log.append(*entries)
        except LogError as error:
            self._append_fault = str(error)
            self._paused_until = self._clock() + PAUSE_SECONDS
            self._lose(len(entries), str(error))
            return False
        self._append_fault = None
        return True

    def _lose(self, number: int, reason: str) -> None:
        """Count lost entries; once a minute, say how many there were."""
        for _ in range(number):
            self._count_lost()
        with self._telling:
            self._num_unreported += number
            if self._clock() < self._reported_at + REPORT_SECONDS:
                return
            self._reported_at, num_lost, self._num_unreported = self._clock(), self._num_unreported, 0
        _logger.error(
            "Prediction log: %d answers could not be written (%s). Answers go on; check the database. "
            "/metrics counts every loss in taxon_log_entries_lost_total.",
            num_lost,
            reason,
        )
