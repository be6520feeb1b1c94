"""One offline page about one network under each strategy: how right, what it decides alone, time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from report.figures.choice import draw_candidates, draw_differences
from report.figures.training import draw_training_curves
from report.page import render_page
from report.photographs.thumbnails import embed_png
from vision.base.files import write_atomically
from vision.base.progress import in_words
from vision.base.wording import format_hundred
from vision.evaluation.metric_table import NLL
from vision.evaluation.records import CandidateRow, Comparison
from vision.training.records import TrainingHistory

ONE_SEED = (
    "All were judged on the same validation images, each trained once with one seed. Test images were not "
    "looked at."
)


@dataclass(frozen=True)
class StrategyRow:
    """One strategy: what it reached and how it was trained."""

    figures: CandidateRow
    history: TrainingHistory
    behind: str

    @property
    def cells(self) -> tuple[str, ...]:
        """Strategy, right, behind the best, decided alone, time, what was kept."""
        figures, history = self.figures, self.history
        accuracy = figures.accuracy
        right = f"{accuracy.value:.1%} ({accuracy.low:.1%} to {accuracy.high:.1%})"
        alone = "nothing" if figures.promised_risk is None else f"{format_hundred(figures.decided_alone)}%"
        return (
            *(history.strategy, right, self.behind, alone),
            *(in_words(history.seconds), history.describe_kept()),
        )


TITLES = ("strategy", "right (95% interval)", "behind the best", "decided alone", "trained in", "kept")


def gather_rows(comparison: Comparison, histories: Sequence[TrainingHistory]) -> tuple[StrategyRow, ...]:
    """One row a strategy, the chosen one first, then by accuracy."""
    by_name = {each.candidate: each for each in histories}
    ordered = sorted(
        comparison.candidates, key=lambda row: (row.candidate != comparison.winner, -row.accuracy.value)
    )
    return tuple(
        StrategyRow(row, by_name[row.candidate], _tell_difference(comparison, row.candidate))
        for row in ordered
    )


def name_by_strategy(
    comparison: Comparison, histories: Sequence[TrainingHistory]
) -> tuple[Comparison, tuple[TrainingHistory, ...]]:
    """Both with each candidate called by its strategy, which is all in which the candidates differ."""
    names = {each.candidate: str(each.strategy) for each in histories}
    longest_first = sorted(names, key=len, reverse=True)
    reason = re.sub("|".join(map(re.escape, longest_first)), lambda found: names[found[0]], comparison.reason)
    rows = [row.model_copy(update={"candidate": names[row.candidate]}) for row in comparison.candidates]
    differences = [
        each.model_copy(update={"first": names[each.first], "second": names[each.second]})
        for each in comparison.differences
    ]
    named = {"candidates": tuple(rows), "differences": tuple(differences), "reason": reason}
    return (
        comparison.model_copy(update={**named, "winner": names[comparison.winner]}),
        tuple(each.model_copy(update={"candidate": names[each.candidate]}) for each in histories),
    )


def describe_strategies(comparison: Comparison, rows: Sequence[StrategyRow]) -> tuple[str, ...]:
    """What one would take and why, then the table as text."""
    best = rows[0].history
    table = [TITLES, *(row.cells for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(TITLES))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in table]
    right = rows[0].figures.accuracy.value
    first = (
        f"Take strategy {best.strategy} for {best.backbone}: {right:.1%} right, trained in "
        f"{in_words(best.seconds)}."
    )
    return (first, comparison.reason, "\n".join(["", *(line.rstrip() for line in lines), ""]), ONE_SEED)


def write_strategies(
    name: str,
    comparison: Comparison,
    histories: Sequence[TrainingHistory],
    rows: Sequence[StrategyRow],
    path: Path,
) -> None:
    """Write the page, whole or not at all; StorageError if it cannot be written."""
    headline, reason, _, note = describe_strategies(comparison, rows)
    html = render_page(
        "strategies.html.j2",
        name=name,
        headline=headline,
        reason=reason,
        note=note,
        titles=TITLES,
        rows=[row.cells for row in rows],
        candidates=embed_png(draw_candidates(comparison)),
        differences=embed_png(draw_differences(comparison.differences)) if comparison.differences else None,
        curves=embed_png(draw_training_curves(histories)),
    )
    write_atomically(path, html)


def _tell_difference(comparison: Comparison, candidate: str) -> str:
    """How far a candidate is behind the best by the metric of the comparison, paired by image."""
    for each in comparison.differences:
        if each.metric == comparison.metric and each.second == candidate:
            found = each.difference
            if comparison.metric == NLL.name:
                return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
            return f"{100 * found.value:.1f} points ({100 * found.low:.1f} to {100 * found.high:.1f})"
    return "best"
