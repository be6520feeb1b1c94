"""What an earlier version stored is still read, value by value."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.golden_records import FOLDER, list_records, read_golden
from vision.base.record import Record
from vision.evaluation.records import Evaluation

RECORDS = list_records()


def test_every_record_class_has_its_golden_file_and_no_file_lacks_its_class() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(RECORDS), "python -m tests.golden_records"


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_a_stored_record_is_read_as_it_was_written(record: type[Record]) -> None:
    found, stored = read_golden(record)
    read: dict[str, Any] = json.loads(found.model_dump_json())
    assert contains(read, stored)


def contains(read: Any, stored: Any) -> bool:
    """Whether everything stored was read; fields that came later may stand beside it."""
    if isinstance(stored, dict):
        return all(key in read and contains(read[key], value) for key, value in stored.items())
    if isinstance(stored, list):
        return len(read) == len(stored) and all(map(contains, read, stored))
    if isinstance(stored, str) and stored.startswith("2026-"):
        return bool(read[:19] == stored[:19])
    return bool(read == stored)


def test_an_older_evaluation_says_which_score_decides() -> None:
    evaluation, stored = read_golden(Evaluation)
    assert "deciding_score" not in stored
    assert evaluation.deciding_score == stored["unknown"][0]["score_name"]  # type: ignore[attr-defined]
