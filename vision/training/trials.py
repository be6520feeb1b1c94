"""A candidate with settings that a search tried."""

from __future__ import annotations

from typing import Any

from vision.config.training import UNREAD, CandidateSettings, Strategy
from vision.training.records import TrialRecord


def change_candidate(base: CandidateSettings, changes: dict[str, Any]) -> CandidateSettings:
    """The candidate with changes; what the new strategy does not read falls back to its default."""
    unread = set(UNREAD[changes["strategy"]])
    kept = {key: getattr(base, key) for key in base.model_fields_set if key not in unread}
    return CandidateSettings.model_validate({**kept, **changes})


def apply_trial(base: CandidateSettings, trial: TrialRecord) -> CandidateSettings:
    """The candidate with the settings of a trial."""
    if trial.number < 0:
        return base
    changes: dict[str, Any] = {"strategy": Strategy(trial.strategy)}
    for key in ("learning_rate", "augment", "dropout"):
        if getattr(trial, key) is not None:
            changes[key] = getattr(trial, key)
    return change_candidate(base, changes)
