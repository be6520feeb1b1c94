"""Tests of the comparison in use: lost is what is lost beyond doubt."""

from __future__ import annotations

import numpy as np
import pytest

from vision.config.evaluation import BootstrapSettings
from vision.config.gate import GateSettings
from vision.evaluation.answered import KNOWN
from vision.gate.use import Replies, Shown, compare_uses


def replies(num: int, decided: int) -> Replies:
    """`num` known images named right, of which the first `decided` are decided alone."""
    return Replies(np.arange(num) < decided, np.zeros(num, dtype=bool), np.ones(num, dtype=bool))


@pytest.mark.parametrize(
    ("champion", "challenger", "passed"),
    [
        (12, 11, True),  # 1 of 20 less: more than may be lost, but the interval reaches 0
        (16, 2, False),  # 14 of 20 less: beyond doubt
        (11, 12, True),
    ],
)
def test_a_use_is_lost_where_the_whole_interval_lies_below_zero(
    champion: int, challenger: int, passed: bool
) -> None:
    names = np.array([f"i{i}" for i in range(20)])
    checks, differences = compare_uses(
        {KNOWN: Shown(names, names, replies(20, challenger))},
        {KNOWN: replies(20, champion)},
        (),
        GateSettings(max_loss_in_use=0.02),
        BootstrapSettings(),
        np.random.default_rng(0),
    )
    decided = next(check for check in checks if check.name == "decided_rightly")
    assert decided.passed is passed
    assert differences[0].difference.value == pytest.approx((challenger - champion) / 20)
    assert (differences[0].difference.high < 0) is not passed
