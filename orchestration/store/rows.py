"""Runs and champions as `run.py runs` shows them, and how a run's ending is told in a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vision.drift.records import DriftStatus

MOST_RUNS = 200
TELLING = {
    "compare": "comparison",
    "promote": "promotion",
    "monitor": "monitored_window",
    "decide_retraining": "retrain_decision",
}
"""Step -> that one of its artifacts whose metadata say how a run ended."""

Metadata = Mapping[str, Mapping[str, Any]]
"""Step -> key -> value."""


@dataclass(frozen=True)
class RunRow:
    """One run. `winner` and `verdict` are empty where it did not get that far."""

    name: str
    pipeline: str
    status: str
    started: str
    winner: str
    verdict: str

    @classmethod
    def of(cls, name: str, pipeline: str, status: str, started: str, told: Metadata) -> RunRow:
        """A row from what the artifacts of its steps tell."""
        winner = str(told.get("compare", {}).get("winner", ""))
        return cls(name, pipeline, status, started, winner, _tell_verdict(told))


@dataclass(frozen=True)
class ChampionRow:
    """One model in production."""

    model: str
    version: str
    digest: str
    since: str


def _tell_verdict(told: Metadata) -> str:
    if "decide_retraining" in told:
        return tell_decision(told["decide_retraining"])
    if "monitor" in told:
        return tell_drift(told["monitor"])
    promotion = told.get("promote", {})
    return ": ".join(str(promotion[key]) for key in ("verdict", "reason") if promotion.get(key))


def tell_drift(metadata: Mapping[str, Any]) -> str:
    """`quiet`, `insufficient` or `drift: capture`, marked where groups were guessed."""
    verdict = str(metadata.get("status", ""))
    if "cause" in metadata:
        verdict += f": {metadata['cause']}"
    guessed = not metadata.get("verified", True) and verdict != DriftStatus.INSUFFICIENT
    return verdict + (" (unverified)" if guessed else "")


def tell_decision(metadata: Mapping[str, Any]) -> str:
    """`no retraining`, or `retrain: ` and what asked for it."""
    return f"retrain: {metadata.get('trigger', '')}" if metadata.get("retrain") else "no retraining"
