"""Records as JSON values, for summary.json."""

from __future__ import annotations

import json
import math
from typing import Any

from vision.base.record import Interval
from vision.evaluation.metric_table import METRICS
from vision.evaluation.records import Evaluation


def to_plain(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary as JSON can say it: what is not finite is null, tuples are lists."""
    plain: dict[str, Any] = json.loads(json.dumps(_finite(summary)))
    return plain


def plain_interval(interval: Interval) -> dict[str, float]:
    """An interval with its bounds."""
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def plain_evaluation(evaluation: Evaluation) -> dict[str, Any]:
    """The figures that every evaluation has."""
    pooled = [row for row in evaluation.unknown if row.class_name == "all"]
    return {
        "split": evaluation.split,
        "form": evaluation.form,
        "num_images": evaluation.num_images,
        "num_groups": evaluation.num_groups,
        **{name: plain_interval(getattr(evaluation, name)) for name in METRICS},
        "ece": evaluation.ece,
        "ece_floor": evaluation.ece_floor,
        "unknown_auroc": {
            kind: {row.score_name: plain_interval(row.auroc) for row in pooled if row.kind == kind}
            for kind in sorted({row.kind for row in pooled})
        },
    }


def _finite(value: Any) -> Any:
    """The same tree with NaN and infinities as None, which JSON can say."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
