"""Answers flow whether or not they can be logged; every one that could not is counted and told of.

After a failure the log is left alone for a second, so that a database that is gone or locked does not slow
down every answer by its timeout.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from serving.log_entry import AnswerLog, LogEntry
from vision.errors import LogError

PAUSE_SECONDS = 1.0
REPORT_SECONDS = 60.0

_logger = logging.getLogger("taxon.serving")


class LossyLog:
    """A prediction log whose failures are counted, not raised; safe to use from several threads."""

    def __init__(
        self,
        log: AnswerLog,
        count_lost: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write into `log`.

        Args:
            log: raises LogError where an entry is not kept; may succeed later.
            count_lost: is called once for every entry that is not kept.
            clock: seconds that never go backwards.
        """
        self._log = log
        self._count_lost = count_lost
        self._clock = clock
        self._lock = threading.Lock()
        self._paused_until = float("-inf")
        self._reported_at = float("-inf")
        self._num_unreported = 0

    def append(self, entry: LogEntry) -> bool:
        """Commit an entry; whether it is kept."""
        if self._clock() < self._paused_until:
            self._lose("the log is left alone for a second after a failure")
            return False
        try:
            self._log.append(entry)
        except LogError as error:
            self._paused_until = self._clock() + PAUSE_SECONDS
            self._lose(str(error))
            return False
        return True

    def _lose(self, reason: str) -> None:
        self._count_lost()
        with self._lock:
            self._num_unreported += 1
            if self._clock() < self._reported_at + REPORT_SECONDS:
                return
            self._reported_at = self._clock()
            num_lost, self._num_unreported = self._num_unreported, 0
        _logger.error(
            "Prediction log: %d answers could not be written (%s). Answers go on; check the database. "
            "/metrics counts every loss in taxon_log_entries_lost_total.",
            num_lost,
            reason,
        )
