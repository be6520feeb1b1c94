"""Runs and champions as `run.py runs` shows them, and how a run's ending is told in a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.names import PipelineName
from vision.drift.records import DriftStatus

MOST_RUNS = 200
TELLING = {
    "compare": "comparison",
    "evaluate_test": "evaluation",
    "promote": "promotion",
    "monitor": "monitored_window",
    "decide_retraining": "retrain_decision",
}
"""Step -> that one of its artifacts whose metadata say how a run ended."""

CIRCUMSTANCES = "circumstances"
FAILURE = "failure"
"""Metadata of a run in which `record_circumstances` stores a dict, and its key that says why it failed."""

Metadata = Mapping[str, Mapping[str, Any]]
"""Step -> key -> value."""


WITH_FOLDER = tuple(each for each in PipelineName if each is not PipelineName.DEPLOYMENT)
"""Pipelines whose runs have a run folder."""
KILLED = "stopped before its end"


@dataclass(frozen=True)
class RunRow:
    """One run. `winner` and `verdict` are empty and the shares None where it did not get that far.

    Attributes:
        name: of the run and its folder.
        pipeline: its name.
        status: ZenML's word.
        started: UTC to the second.
        winner: the candidate.
        verdict: of the gate, of monitoring or of retraining, with its reason.
        accuracy: share of test images named right.
        alone: share of test images of known classes that are decided without a person.
        failure: why it ended early.
    """

    name: str
    pipeline: str
    status: str
    started: str
    winner: str
    verdict: str
    accuracy: float | None = None
    alone: float | None = None
    failure: str = ""

    @classmethod
    def of(
        cls, name: str, pipeline: str, status: str, started: str, told: Metadata, failure: str = ""
    ) -> RunRow:
        """A row from what the artifacts of its steps tell."""
        winner = str(told.get("compare", {}).get("winner", ""))
        test = told.get("evaluate_test", {})
        shares = test.get("accuracy"), test.get("decided_alone")
        return cls(name, pipeline, status, started, winner, _tell_verdict(told), *shares, failure)

    @property
    def ending(self) -> str:
        """How it ended and why, in a line."""
        if self.status != "failed":
            return self.verdict or self.status
        return f"failed: {self.failure.splitlines()[0] if self.failure else KILLED}"


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
