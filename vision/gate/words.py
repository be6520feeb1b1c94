"""The verdict's reason in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from vision.base.wording import count_of
from vision.gate.records import GateCheck, Verdict

WHY = {
    "same bundle": "it is the very model in production",
    "test groups": "there are too few test groups to judge it",
    "accuracy": "it names too few images right",
    "known called unknown": "it may call too many known images unknown",
    "decided without a person": "it may decide too few images rightly without a person",
    "gain over majority class": "it is not proven better than always naming the most frequent class",
    "gain over raw pixels": "it is worse than a linear model on raw pixels",
    "regression set": "it names fewer of the pictures right that were set apart than the model in production",
    "classes": "it lacks a class of the model in production",
    "labels of new images": "new labels contradict the model in production, and a person must look at them",
    "current test groups": "there are too few test groups that neither model has learned",
    "original test groups": "too few test groups of the model in production are left",
    "other test images": "it has not learned the newly added images",
    "current test images": "it names fewer test images right than the model in production",
    "champion's own test groups": "it names fewer of the images right that tested the model in production",
    "decided_rightly": "it decides fewer images rightly without a person than the model in production",
    "known_called_unknown": "it calls more known images unknown than the model in production",
    "near_found": "it recognises fewer look-alikes as unknown than the model in production",
    "far_found": "it recognises fewer pictures of something else as unknown than the model in production",
}
"""Check -> what its failing means; every check of the gate has a row."""


def tell_reason(verdict: Verdict, checks: Sequence[GateCheck], *, decides: bool, first: bool) -> str:
    """Why a challenger got its verdict, in one sentence; `first` if there was no model in production."""
    if verdict is Verdict.PROMOTED:
        reason = (
            "it clears the floors that were set" if first else "it is no worse than the model in production"
        )
        return reason + ("." if decides else ", as a helper: it suggests, a person decides.")
    failed = [WHY[check.name] for check in checks if not check.passed]
    more = f", and {count_of(len(failed) - 1, 'more reason')}" if len(failed) > 1 else ""
    return f"{failed[0]}{more}."
