"""How a run is told in one row: what it names right, what it decides alone, why it ended as it did."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration.store.rows import RunRow

TOLD: dict[str, Any] = {
    "compare": {"winner": "cnn"},
    "evaluate_test": {"accuracy": 0.72, "decided_alone": 0.46},
    "promote": {"verdict": "promoted", "reason": "it clears the floors that were set."},
}


@pytest.mark.parametrize(
    ("status", "told", "failure", "shares", "ending"),
    [
        ("completed", TOLD, "", (0.72, 0.46), "promoted: it clears the floors that were set."),
        ("completed", {}, "", (None, None), "completed"),
        ("running", {}, "", (None, None), "running"),
        ("failed", {}, "SourceError: no folder.\nmore", (None, None), "failed: SourceError: no folder."),
        ("failed", TOLD, "", (0.72, 0.46), "failed: stopped before its end"),
        (
            "completed",
            {"monitor": {"status": "drift", "cause": "capture"}},
            "",
            (None, None),
            "drift: capture",
        ),
    ],
)
def test_a_row_tells_shares_and_how_the_run_ended(
    status: str, told: Any, failure: str, shares: tuple[float | None, ...], ending: str
) -> None:
    row = RunRow.of("reef-1", "training", status, "2026-01-31 00:00:00", told, failure)
    assert (row.accuracy, row.alone) == shares
    assert row.ending == ending
