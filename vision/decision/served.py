"""What is served of one network: its outputs, and the rule and detector that decide on them."""

from __future__ import annotations

from dataclasses import dataclass

from vision.base.outputs import ModelOutputs
from vision.decision.predictor import Decisions, decide
from vision.decision.records import DecisionRule, OodDetector


@dataclass(frozen=True, eq=False)
class Served:
    """One network's outputs and its decision rule."""

    outputs: ModelOutputs
    rule: DecisionRule
    detector: OodDetector

    def decide(self, outputs: ModelOutputs | None = None) -> Decisions:
        """The rule's answers to its own outputs, or to others of as many classes."""
        asked = self.outputs if outputs is None else outputs
        return decide(self.rule, self.detector, asked.logits, asked.embeddings, asked.early)
