"""How each candidate was trained."""

from __future__ import annotations

from typing import Any

from report.pictures import Plot
from report.sections.section import Section
from report.sections.values import plain_evaluation
from report.story import RunStory
from vision.training.records import TrainingHistory


def _plots(story: RunStory) -> dict[str, Plot]:
    return {"training": Plot("training.draw_training_curves", story.histories)}


def _summary(story: RunStory) -> dict[str, Any]:
    histories = {history.candidate: history for history in story.histories}
    candidates = {
        each.candidate: plain_evaluation(each) | _speed(histories.get(each.candidate))
        for each in story.evaluations
    }
    return {"candidates": candidates, "weights": story.weights}


def _speed(history: TrainingHistory | None) -> dict[str, Any]:
    if history is None:
        return {}
    return {
        "seconds": history.seconds,
        "images_per_second": history.images_per_second,
        "epochs": len(history.trained_epochs),
        "strengths": [row.regularisation for row in history.strengths],
        "best_epoch": history.kept_epoch,
        "kept": history.describe_kept(),
        "recipe": list(history.recipe),
    }


TRAINING = Section("training", "Training", ("histories",), plots=_plots, summary=_summary)
