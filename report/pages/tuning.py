"""One offline page about a search of settings: what the best reached, what mattered, every trial."""

from __future__ import annotations

from pathlib import Path

from report.figures.tuning import VARIED, draw_history, draw_importances, draw_slices
from report.page import render_page
from report.photographs.thumbnails import embed_png
from vision.base.files import write_atomically
from vision.base.wording import count_of, format_hundred
from vision.training.records import TrialRecord, TuningRecord

OPTIMISTIC = (
    "The best of many trials on the same validation images looks better than it is. Training compares it "
    "with the settings as configured, and its gate judges it on test images that no trial has seen."
)


def describe_tuning(record: TuningRecord) -> tuple[str, ...]:
    """What the search found, a sentence each; the verdict first."""
    best, configured = record.best, record.configured
    ended, stopped = record.complete, [each for each in record.trials if each.state == "pruned"]
    counts = (
        f"{count_of(len(record.trials), 'trial')}: {len(ended)} to their end, {len(stopped)} stopped early."
    )
    if best.number < 0:
        return (f"No trial beat {record.candidate} as it is configured ({_figures(configured)}).", counts)
    first = (
        f"Trial {best.number + 1} is the best: {_figures(best)}; as configured {record.candidate} has "
        f"{_figures(configured)}."
    )
    return (first, f"It is {describe_settings(best)}.", counts, OPTIMISTIC)


def describe_settings(trial: TrialRecord) -> str:
    """The settings of a trial in words."""
    told = [f"strategy {trial.strategy}"]
    if trial.learning_rate is not None:
        told.append(f"learning rate {trial.learning_rate:.2g}")
    if trial.augment is not None:
        told.append(f"augmentation {trial.augment}")
    if trial.dropout is not None:
        told.append(f"dropout {trial.dropout:.2f}")
    return ", ".join(told)


def write_tuning(name: str, record: TuningRecord, command: str | None, path: Path) -> None:
    """Write the page; `command` trains with the best settings, and is None where none is better.

    Raises:
        StorageError: it cannot be written.
    """
    sentences = describe_tuning(record)
    order = sorted(record.trials, key=lambda each: (each.nll is None, each.nll or 0.0, each.number))
    html = render_page(
        "tuning.html.j2",
        name=name,
        record=record,
        headline=sentences[0],
        sentences=sentences[1:],
        command=command,
        history=embed_png(draw_history(record)),
        slices=embed_png(draw_slices(record)),
        importances=embed_png(draw_importances(record)),
        rows=[record.configured, *order],
        varied=VARIED,
    )
    write_atomically(path, html)


def _figures(trial: TrialRecord) -> str:
    if trial.nll is None:
        return "no figure"
    right = f", {format_hundred(trial.accuracy)} of 100 right" if trial.accuracy is not None else ""
    return f"validation NLL {trial.nll:.3f}{right}"
