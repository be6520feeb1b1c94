"""Test figures of every known class."""

from __future__ import annotations

import math
from typing import Any

from report.headline import tell_other
from report.pictures import Plot
from report.sections.section import Section
from report.sections.values import plain_evaluation, plain_interval
from report.story import RunStory


def _context(story: RunStory) -> dict[str, Any]:
    other = tell_other(story, story.test) if story.test else ""
    weakest_first = sorted(
        story.test.classes if story.test else (), key=lambda row: (math.isnan(row.f1.value), row.f1.value)
    )
    return {"class_rows": weakest_first, "other": other}


def _plots(story: RunStory) -> dict[str, Plot]:
    return {"classes": Plot("truth.draw_class_scores", story.test)}


def _summary(story: RunStory) -> dict[str, Any]:
    evaluation = story.test
    if evaluation is None:
        return {"test": None}
    test = plain_evaluation(evaluation) | {
        "expected": evaluation.expected.model_dump(),
        "classes": [
            {"class_name": row.class_name, "f1": plain_interval(row.f1), "recall": row.recall}
            for row in evaluation.classes
        ],
        "unknown_classes": [
            {
                "class_name": row.class_name,
                "kind": row.kind,
                "score": row.score_name,
                "auroc": plain_interval(row.auroc),
                "fpr_at_95_tpr": row.fpr_at_95_tpr,
                "found": row.found,
                "num_images": row.num_images,
            }
            for row in evaluation.unknown
        ],
        "decisions": {
            rates.kind: {
                "num_images": rates.num_images,
                "accepted": plain_interval(rates.accepted),
                "reviewed": plain_interval(rates.reviewed),
                "called_unknown": plain_interval(rates.called_unknown),
                "wrong_among_accepted": rates.wrong_among_accepted,
                "wrong_among_accepted_interval": plain_interval(rates.wrong_among_accepted_interval)
                if rates.wrong_among_accepted_interval
                else None,
            }
            for rates in evaluation.rates
        },
    }
    return {"test": test}


KNOWS = Section("knows", "What it knows", ("test",), _context, _plots, _summary, folded=False)
