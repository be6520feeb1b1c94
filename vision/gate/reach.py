"""Floors of the gate that no model can reach on these images, said before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from vision.config.decision import ReviewSettings
from vision.config.evaluation import BootstrapSettings
from vision.config.gate import GateSettings
from vision.data.records import DataFinding, Split, Splits
from vision.decision.selective import fit_review
from vision.evaluation.answered import KNOWN
from vision.evaluation.baselines import find_majority
from vision.gate.judge import MAJORITY, PIXELS, judge_gate
from vision.gate.sides import Challenger
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
_BY_GROUPS = ("test groups", "known called unknown")


def find_unreachable(
    splits: Splits,
    settings: GateSettings,
    review: ReviewSettings,
    bootstrap: BootstrapSettings,
    seed: int,
) -> tuple[DataFinding, ...]:
    """A finding for each floor that even a model without a mistake misses."""
    missed = _list_missed(splits, settings, review, bootstrap, seed)
    opening = "The gate will refuse whatever is trained here. Of a model without a mistake it would say"
    return tuple(
        DataFinding(severity="warning", message=f"{'It would also say' if number else opening}: {each}")
        for number, each in enumerate(missed)
    )


def _list_missed(
    splits: Splits, settings: GateSettings, review: ReviewSettings, bootstrap: BootstrapSettings, seed: int
) -> Iterator[str]:
    labels, train, test = splits.labels(), splits.rows(Split.TRAIN), splits.rows(Split.TEST)
    groups, digests = splits.group_array()[test], np.array(splits.digests, dtype=np.str_)[test]
    always, never = np.ones(len(test), dtype=bool), np.zeros(len(test), dtype=bool)
    accepted = always if _can_promise(splits, review) else never
    perfect = Challenger(
        bundle_digest="",
        class_names=splits.class_names,
        digests=digests,
        groups=groups,
        correct=always,
        called_unknown=never,
        majority_correct=labels[test] == find_majority(labels[train]),
        pixels_correct=never,
        shown={KNOWN: Shown(digests, groups, Replies(accepted, never, always))},
    )
    for check in judge_gate(perfect, None, settings, bootstrap, seed).checks:
        if not check.passed:
            needed = _count_needed(settings, bootstrap.level) if check.name in _BY_GROUPS else ""
            yield (
                f"{check.message}{needed} Add pictures of other "
                f"groups, of the rarer classes above all, or change gate.{_SETTINGS[check.name]}."
            )


def _count_needed(settings: GateSettings, level: float) -> str:
    """How many test groups it takes that none called unknown is evidence of few, in words."""
    most = settings.max_known_called_unknown
    for_unknown = math.ceil(math.log((1 - level) / 2) / math.log1p(-most)) if 0 < most < 1 else 0
    return f" It takes about {max(settings.min_test_groups, for_unknown)} test groups."


def _can_promise(splits: Splits, review: ReviewSettings) -> bool:
    """Whether all images outside test, answered without a mistake, let anything be decided alone."""
    rows = np.concatenate([splits.rows(split) for split in Split if split is not Split.TEST])
    right = np.ones(len(rows), dtype=bool)
    return fit_review(np.ones(len(rows)), right, ~right, splits.group_array()[rows], review).attainable
