"""Tables of a run as CSV: what became of each class on test, and every mistake with its file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from report.unknown_rows import KIND_NAMES
from vision.base.cells import as_cell, write_rows
from vision.base.outputs import ModelOutputs
from vision.data.labelled import select
from vision.data.records import POOLED, Manifest, Split, Splits
from vision.decision.predictor import decide
from vision.decision.records import DecisionRule, OodDetector
from vision.evaluation.records import Evaluation

RESULT_COLUMNS = (
    "class",
    "kind",
    "images",
    "groups",
    "precision",
    "recall",
    "f1",
    "f1_low",
    "f1_high",
    "accepted",
    "to_a_person",
    "called_unknown",
)
MISTAKE_COLUMNS = ("path", "class", "named", "confidence", "decision", "unknown_score", "group")
_DIGITS = 4
_Row = Sequence[object]


def write_results(test: Evaluation) -> str:
    """A row for each class, then for each held-out class and kind of stranger; what is not measured is empty.

    The last three columns are shares of the images.
    """
    return write_rows(RESULT_COLUMNS, map(_plain, _list_results(test)))


def write_mistakes(
    manifest: Manifest, splits: Splits, outputs: ModelOutputs, rule: DecisionRule, detector: OodDetector
) -> str:
    """A row for each test image of a known class that is named wrongly, the most confident first."""
    test = select(outputs, splits, Split.TEST)
    given = decide(rule, detector, test.outputs.logits, test.outputs.embeddings, test.outputs.early)
    wrong = np.flatnonzero(given.classes != test.labels)
    rows = (
        (
            manifest.entries[int(test.outputs.rows[i])].path,
            str(test.class_names[i]),
            rule.class_names[int(given.classes[i])],
            float(given.confidence[i]),
            str(given.decisions[i]),
            float(given.scores[i]),
            str(test.groups[i]),
        )
        for i in wrong[np.argsort(-given.confidence[wrong], kind="stable")]
    )
    return write_rows(MISTAKE_COLUMNS, map(_plain, rows))


def _list_results(test: Evaluation) -> Iterator[_Row]:
    for row in test.classes:
        figures = row.precision, row.recall, row.f1.value, row.f1.low, row.f1.high
        shares = row.accepted, row.reviewed, row.called_unknown
        yield row.class_name, KIND_NAMES["known"], row.num_images, row.num_groups, *figures, *shares
    for other in test.deciding_rows():
        if other.class_name != POOLED:
            shares = other.accepted, 1 - other.accepted - other.found, other.found
            yield other.class_name, KIND_NAMES[other.kind], other.num_images, "", *[""] * 5, *shares


def _plain(row: _Row) -> list[object]:
    """Numbers with four digits; nothing for NaN. A text that a spreadsheet would run is marked as text."""
    return [
        as_cell(value) if not isinstance(value, float) else "" if np.isnan(value) else round(value, _DIGITS)
        for value in row
    ]
