"""Floors of the gate that no model can reach on these images, said before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vision.base.wording import count_of
from vision.config.decision import ReviewSettings
from vision.config.evaluation import BootstrapSettings
from vision.config.gate import GateSettings
from vision.data.records import DataFinding, Split, Splits
from vision.decision.selective import fit_review
from vision.evaluation.answered import KNOWN
from vision.evaluation.baselines import find_majority
from vision.gate.judge import MAJORITY, PIXELS, judge_gate
from vision.gate.records import GateCheck
from vision.gate.sides import Challenger, TextArray
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
    """A finding for each floor that even a model without a mistake misses; one for all that lack images."""
    missed = _list_missed(splits, settings, review, bootstrap, seed)
    found = []
    if any(check.name in _BY_GROUPS for check in missed):
        test, needed = splits.num_groups(splits.rows(Split.TEST)), _count_needed(settings, bootstrap.level)
        found.append(_tell_too_small(splits, test, needed, missed))
        times = math.ceil(needed / max(test, 1))
        missed = _list_missed(splits, settings, review, bootstrap, seed, times)
    opening = "The gate will refuse whatever is trained here. Of a model without a mistake it would say"
    found += [
        f"{'It would also say' if number else opening}: {check.message} Add pictures of other "
        f"groups, of the rarer classes above all, or change gate.{_SETTINGS[check.name]}."
        for number, check in enumerate(missed)
    ]
    return tuple(DataFinding(severity="warning", message=each) for each in found)


def _tell_too_small(splits: Splits, test: int, needed: int, missed: Sequence[GateCheck]) -> str:
    """How many groups test has, how many it takes, and how many more that are in all, rounded up to tens."""
    rows = np.flatnonzero(splits.used_as() & (splits.labels() >= 0))
    groups = splits.num_groups(rows)
    noun = "group" if groups < len(rows) else "picture"
    more = 10 * math.ceil((needed - test) * groups / max(test, 1) / 10)
    names = ", ".join(f"gate.{_SETTINGS[check.name]}" for check in missed)
    return (
        f"Too small to be promoted: the test split has {count_of(test, noun)}, about {needed} are needed: "
        f"add some {count_of(more, noun)}, or train all the same to try it ({names})."
    )


def _list_missed(
    splits: Splits,
    settings: GateSettings,
    review: ReviewSettings,
    bootstrap: BootstrapSettings,
    seed: int,
    times: int = 1,
) -> list[GateCheck]:
    """What a model without a mistake fails, were there so many times the groups."""
    labels, train, test = splits.labels(), splits.rows(Split.TRAIN), splits.rows(Split.TEST)
    rows, groups = np.tile(test, times), _repeat(splits.group_array()[test], times)
    digests = np.array(splits.digests, dtype=np.str_)[rows]
    always, never = np.ones(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    accepted = always if _can_promise(splits, review, times) else never
    perfect = Challenger(
        bundle_digest="",
        class_names=splits.class_names,
        digests=digests,
        groups=groups,
        correct=always,
        called_unknown=never,
        majority_correct=labels[rows] == find_majority(labels[train]),
        pixels_correct=never,
        shown={KNOWN: Shown(digests, groups, Replies(accepted, never, always))},
    )
    checks = judge_gate(perfect, None, settings, bootstrap, seed).checks
    return [check for check in checks if not check.passed]


def _repeat(groups: TextArray, times: int) -> TextArray:
    """The groups so many times, each time under other names."""
    return np.concatenate([np.char.add(groups, f" {number}") for number in range(times)])


def _count_needed(settings: GateSettings, level: float) -> int:
    """How many test groups it takes that none called unknown is evidence of few."""
    most = settings.max_known_called_unknown
    for_unknown = math.ceil(math.log((1 - level) / 2) / math.log1p(-most)) if 0 < most < 1 else 0
    return max(settings.min_test_groups, for_unknown)


def _can_promise(splits: Splits, review: ReviewSettings, times: int) -> bool:
    """Whether all images outside test, answered without a mistake, let anything be decided alone."""
    rows = np.concatenate([splits.rows(split) for split in Split if split is not Split.TEST])
    groups = _repeat(splits.group_array()[rows], times)
    right = np.ones(len(groups), dtype=bool)
    return fit_review(np.ones(len(groups)), right, ~right, groups, review).attainable
