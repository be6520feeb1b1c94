"""Answers flow without a log; every lost entry is counted, and told of once a minute."""

from __future__ import annotations

import logging

import pytest

from serving.log.entries import LogEntry
from serving.log.lossy import CHECK_SECONDS, PAUSE_SECONDS, REPORT_SECONDS, LossyLog
from serving.log.prediction_log import PredictionLog
from tests.serving.answers import make_entry
from vision.base.errors import LogError

ENTRY = make_entry(1)


class Log(PredictionLog):
    """A log in memory that is out of order while `broken`."""

    def __init__(self) -> None:
        super().__init__("sqlite:///never_made.sqlite")
        self.entries: list[LogEntry] = []
        self.broken = False
        self.num_tried = 0
        self.num_lost = 0
        self.now = 1000.0

    def append(self, *entries: LogEntry) -> int:
        self.num_tried += 1
        if self.broken:
            raise LogError("the database is locked")
        self.entries += entries
        return len(self.entries)

    def check(self) -> None:
        self.num_tried += 1
        if self.broken:
            raise LogError("the database is locked")

    def count_lost(self) -> None:
        self.num_lost += 1

    def lossy(self) -> LossyLog:
        return LossyLog(self, self.count_lost, lambda: self.now)


def test_after_a_failure_the_log_is_left_alone_for_a_while_and_every_loss_counts() -> None:
    log = Log()
    lossy = log.lossy()
    lossy.append(ENTRY)
    log.broken = True
    assert [lossy.append(ENTRY) for _ in range(3)] == [False] * 3
    assert not lossy.append(ENTRY, ENTRY)  # two rows of a batch
    assert (log.num_tried, log.num_lost) == (2, 5)
    log.broken = False
    log.now += PAUSE_SECONDS - 0.1
    assert not lossy.append(ENTRY)
    log.now += 0.2
    assert lossy.append(ENTRY)
    assert (len(log.entries), log.num_lost) == (2, 6)


def test_losses_are_reported_once_a_minute_with_their_number(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    log.broken = True
    lossy = log.lossy()
    with caplog.at_level(logging.ERROR, "taxon.serving"):
        for _ in range(10):
            lossy.append(ENTRY)
        assert ["1 answers" in record.getMessage() for record in caplog.records] == [True]
        log.now += REPORT_SECONDS + 1
        lossy.append(ENTRY)
    assert "10 answers could not be written" in caplog.records[1].getMessage()
    assert log.num_lost == 11


def test_whether_the_log_can_be_written_is_asked_once_in_a_few_seconds() -> None:
    log = Log()
    lossy = log.lossy()
    assert [lossy.find_fault(), lossy.find_fault(), log.num_tried] == [None, None, 1]
    log.broken = True
    log.now += CHECK_SECONDS
    assert [lossy.find_fault(), lossy.find_fault()] == ["the database is locked"] * 2
    assert (log.num_tried, log.num_lost) == (2, 0)
    log.broken = False
    log.now += CHECK_SECONDS
    assert lossy.find_fault() is None


def test_a_failed_append_is_the_fault_until_one_succeeds() -> None:
    class Full(Log):
        """A full disk: the lock can be had, and nothing can be written."""

        def check(self) -> None:
            self.num_tried += 1

    log = Full()
    lossy = log.lossy()
    log.broken = True
    assert lossy.find_fault() is None
    assert not lossy.append(ENTRY)
    for _ in range(3):
        log.now += CHECK_SECONDS
        assert lossy.find_fault() == "the last answer was not written: the database is locked"
    log.broken = False
    assert lossy.append(ENTRY)
    assert lossy.find_fault() is None


def test_a_fault_of_the_program_is_not_taken_for_a_lost_entry() -> None:
    class Faulty(Log):
        def append(self, *entries: LogEntry) -> int:
            raise TypeError(entries[0].prediction_id)

    log = Faulty()
    with pytest.raises(TypeError):
        log.lossy().append(ENTRY)
