"""summary.json: every figure of a run, for programs. Undefined figures are null, never 0."""

from __future__ import annotations

import json
import math
from typing import Any

from report.story import RunStory
from vision.base.record import Interval
from vision.bundle.records import PrecisionReport
from vision.data.records import Split, Splits
from vision.decision.records import DecisionRule
from vision.evaluation.metric_table import METRICS
from vision.evaluation.records import Evaluation
from vision.training.records import TrainingHistory


def summarise(
    story: RunStory, circumstances: dict[str, Any], images_digest: str | None, report_seconds: float
) -> dict[str, Any]:
    """The summary of a run as JSON values."""
    summary = {
        "run": story.run_name,
        "model": story.config.name,
        "failure": story.failure,
        "failed_step": story.failed_step,
        "dataset": _dataset(story, images_digest),
        "candidates": _candidates(story),
        "weights": story.weights,
        "left_out": [{"name": each.name, "reason": each.reason} for each in story.left_out],
        "winner": story.comparison.winner if story.comparison else None,
        "precisions": _precisions(story.precision_report) if story.precision_report else None,
        "rule": _rule(story.rule) if story.rule else None,
        "test": _test(story.test) if story.test else None,
        "gate": _gate(story),
        "versions": story.versions,
        "machine": {key: circumstances.get(key) for key in ("python", "platform", "cpus")},
        "peak_memory_mb": circumstances.get("peak_memory_mb"),
        "seconds": {
            "total": circumstances.get("seconds"),
            "orchestration": story.orchestration_seconds,
            "report": report_seconds,
            "steps": story.step_seconds,
        },
        "cached_steps": list(story.cached_steps),
    }
    return to_plain(summary)


def to_plain(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary as JSON can say it: what is not finite is null, tuples are lists."""
    plain: dict[str, Any] = json.loads(json.dumps(_finite(summary)))
    return plain


def _dataset(story: RunStory, images_digest: str | None) -> dict[str, Any] | None:
    if story.manifest is None:
        return None
    return {
        "source_digest": story.manifest.source_digest,
        "images_digest": images_digest,
        "num_images": len(story.manifest.entries),
        "num_quarantined": len(story.manifest.quarantined),
        "class_names": list(story.manifest.class_names),
        "unknown_class_names": list(story.manifest.unknown_class_names),
        "splits": {split.value: _sizes(story.splits, split) for split in Split} if story.splits else None,
    }


def _sizes(splits: Splits, split: Split) -> dict[str, int]:
    groups = splits.group_array()
    known, unknown = splits.rows(split), splits.rows(split, unknown=True)
    return {
        "num_images": len(known),
        "num_groups": len(set(groups[known])),
        "num_unknown_images": len(unknown),
        "num_unknown_groups": len(set(groups[unknown])),
    }


def _candidates(story: RunStory) -> dict[str, Any]:
    histories = {history.candidate: history for history in story.histories}
    return {
        each.candidate: _figures(each) | _speed(histories.get(each.candidate)) for each in story.evaluations
    }


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    pooled = [row for row in evaluation.unknown if row.class_name == "all"]
    return {
        "split": evaluation.split,
        "form": evaluation.form,
        "num_images": evaluation.num_images,
        "num_groups": evaluation.num_groups,
        **{name: _interval(getattr(evaluation, name)) for name in METRICS},
        "ece": evaluation.ece,
        "ece_floor": evaluation.ece_floor,
        "unknown_auroc": {
            kind: {row.score_name: _interval(row.auroc) for row in pooled if row.kind == kind}
            for kind in sorted({row.kind for row in pooled})
        },
    }


def _speed(history: TrainingHistory | None) -> dict[str, Any]:
    if history is None:
        return {}
    return {
        "seconds": history.seconds,
        "images_per_second": history.images_per_second,
        "epochs": len(history.epochs),
        "best_epoch": history.best_epoch,
    }


def _test(evaluation: Evaluation) -> dict[str, Any]:
    return _figures(evaluation) | {
        "classes": [
            {"class_name": row.class_name, "f1": _interval(row.f1), "recall": row.recall}
            for row in evaluation.classes
        ],
        "unknown_classes": [
            {
                "class_name": row.class_name,
                "kind": row.kind,
                "score": row.score_name,
                "auroc": _interval(row.auroc),
                "fpr_at_95_tpr": row.fpr_at_95_tpr,
                "found": row.found,
                "num_images": row.num_images,
            }
            for row in evaluation.unknown
        ],
        "decisions": {
            rates.kind: {
                "num_images": rates.num_images,
                "accepted": _interval(rates.accepted),
                "reviewed": _interval(rates.reviewed),
                "called_unknown": _interval(rates.called_unknown),
                "wrong_among_accepted": rates.wrong_among_accepted,
                "wrong_among_accepted_interval": _interval(rates.wrong_among_accepted_interval)
                if rates.wrong_among_accepted_interval
                else None,
            }
            for rates in evaluation.rates
        },
    }


def _precisions(report: PrecisionReport) -> dict[str, Any]:
    return {
        "served": report.served.value,
        "num_images": report.num_images,
        "rows": [row.model_dump(mode="json") for row in report.rows],
    }


def _rule(rule: DecisionRule) -> dict[str, Any]:
    """What decides, without the calibration scores, which the bundle holds."""
    return {
        "temperature": rule.temperature.model_dump(),
        "unknown": rule.unknown.model_dump(exclude={"calibration_scores"}),
        "review": rule.review.model_dump() | ({} if rule.review.attainable else {"value": None}),
    }


def _gate(story: RunStory) -> dict[str, Any] | None:
    if story.promotion is None:
        return None
    promotion = story.promotion
    return {
        "verdict": promotion.verdict.value,
        "reasons": list(promotion.reasons),
        "checks": [check.model_dump() for check in promotion.checks],
        "bundle_digest": promotion.bundle_digest,
        "champion_digest": promotion.champion_digest,
        "version": story.registration.version if story.registration else None,
    }


def _interval(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _finite(value: Any) -> Any:
    """The same tree with NaN and infinities as None, which JSON can say."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
