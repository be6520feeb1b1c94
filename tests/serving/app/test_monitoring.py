"""What the monitoring screen says of a verdict."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from serving.api.traffic_bodies import MonitoringVerdict
from serving.app.screens.monitoring import tell_verdict
from vision.drift.records import DriftStatus

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def tell(status: DriftStatus, *reasons: str, verified: bool = True) -> str:
    verdict = MonitoringVerdict(time=NOW, status=status, verified=verified, num_answers=155, reasons=reasons)
    return tell_verdict(verdict, NOW)


@pytest.mark.parametrize(("missing", "asks"), [("7 more groups", True), ("3 more images", False)])
def test_what_is_too_few_is_said_in_numbers_and_groups_are_asked_for_where_they_lack(
    missing: str, asks: bool
) -> None:
    reasons = "insufficient: 155 images in 1 group; expected at least 8 groups", f"needed at least: {missing}"
    told = tell(DriftStatus.INSUFFICIENT, *reasons)
    assert "155 images in 1 group" in told
    assert ("Send group" in told) == asks


def test_a_quiet_verdict_on_guessed_groups_says_that_they_were_guessed() -> None:
    assert "guessed" in tell(DriftStatus.QUIET, verified=False)
    assert "guessed" not in tell(DriftStatus.QUIET)
