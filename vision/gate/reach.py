"""Floors of the gate that no model can reach on these images, said before anything is trained."""

from __future__ import annotations

import numpy as np

from vision.config.evaluation import BootstrapSettings
from vision.config.gate import GateSettings
from vision.data.records import DataFinding, Split, Splits
from vision.evaluation.answered import KNOWN
from vision.evaluation.baselines import find_majority
from vision.gate.judge import MAJORITY, PIXELS, Challenger, judge_gate
from vision.gate.use import Replies, Shown

_SETTINGS = {
    "test groups": "min_test_groups",
    "accuracy": "min_accuracy",
    "known called unknown": "max_known_called_unknown",
    "decided without a person": "min_decided",
    f"gain over {MAJORITY}": "min_gain_over_majority",
    f"gain over {PIXELS}": "min_gain_over_pixels",
}
"""The gate's check -> the setting that holds its floor."""


def find_unreachable(
    splits: Splits, settings: GateSettings, bootstrap: BootstrapSettings, seed: int
) -> tuple[DataFinding, ...]:
    """A finding for each floor that even a model without a mistake misses."""
    labels, train, test = splits.labels(), splits.rows(Split.TRAIN), splits.rows(Split.TEST)
    groups, digests = splits.group_array()[test], np.array(splits.digests, dtype=np.str_)[test]
    always, never = np.ones(len(test), dtype=bool), np.zeros(len(test), dtype=bool)
    perfect = Challenger(
        bundle_digest="",
        class_names=splits.class_names,
        digests=digests,
        groups=groups,
        correct=always,
        called_unknown=never,
        majority_correct=labels[test] == find_majority(labels[train]),
        pixels_correct=never,
        shown={KNOWN: Shown(digests, groups, Replies(always, never, always))},
    )
    judged = judge_gate(perfect, None, settings, bootstrap, seed)
    return tuple(
        DataFinding(
            severity="warning",
            message="No model can pass the gate on these test images, even without a mistake. "
            f"{check.message} Add test groups of the rarer classes, or lower gate.{_SETTINGS[check.name]}.",
        )
        for check in judged.checks
        if not check.passed
    )
