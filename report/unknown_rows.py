"""Which rows of an evaluation tell of the score that decides. Needs no drawing library."""

from __future__ import annotations

from vision.data.records import POOLED
from vision.decision.records import Decision
from vision.evaluation.records import Evaluation, UnknownRow

MAXIMUM_SOFTMAX = "msp"
UNDETECTABLE = 0.7
KIND_NAMES = {"known": "known", "near": "look-alikes", "far": "strangers"}
SINGULAR = {"near": "look-alike", "far": "stranger"}
"""What a page calls the kinds of images that an evaluation tells apart."""

ANSWERS = {
    Decision.ACCEPT: "decided alone",
    Decision.REVIEW: "sent to a person",
    Decision.UNKNOWN: "called unknown",
}


def near_rows(evaluation: Evaluation) -> list[UnknownRow]:
    """Rows of single held-out classes by the score that decides, the hardest first."""
    rows = [row for row in evaluation.deciding_rows() if row.kind == "near" and row.class_name != POOLED]
    return sorted(rows, key=lambda row: row.auroc.value)


def far_rows(evaluation: Evaluation) -> list[UnknownRow]:
    """Rows of single kinds of strangers by the score that decides."""
    return [row for row in evaluation.deciding_rows() if row.kind == "far" and row.class_name != POOLED]
