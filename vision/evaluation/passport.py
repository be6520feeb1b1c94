"""The passport of a model from its evaluation on test."""

from __future__ import annotations

import math

from vision.decision.passport import ClassFigures, KindFigures, Passport, PromiseFigures
from vision.decision.records import Decision
from vision.evaluation.records import DecisionRates, Evaluation


def make_passport(test: Evaluation, decision_agreement: float | None) -> Passport:
    """The passport of a model that was judged on test, and how it agrees with the trained network."""
    expected = test.expected
    return Passport(
        accuracy=expected.accuracy.value,
        accuracy_low=_defined(expected.accuracy.low),
        accuracy_high=_defined(expected.accuracy.high),
        num_images=expected.num_images,
        num_groups=expected.num_groups,
        classes=tuple(
            ClassFigures(
                class_name=row.class_name,
                num_images=row.num_images,
                num_groups=row.num_groups,
                recall=_defined(row.recall),
                precision=_defined(row.precision),
            )
            for row in test.classes
        ),
        kinds=tuple(_count_kind(each) for each in test.rates if each.num_images),
        promises=tuple(
            PromiseFigures(
                target_risk=row.target_risk,
                attainable=row.attainable,
                accepted=row.accepted,
                wrong=_defined(row.wrong),
            )
            for row in test.ladder
        ),
        unknown_auroc={
            row.kind: row.auroc.value
            for row in test.deciding_rows()
            if row.class_name == "all" and math.isfinite(row.auroc.value)
        },
        confidence_is_share=not test.ece > test.ece_floor,
        decision_agreement=decision_agreement,
    )


def _count_kind(rates: DecisionRates) -> KindFigures:
    shares = {
        Decision.ACCEPT: rates.accepted,
        Decision.REVIEW: rates.reviewed,
        Decision.UNKNOWN: rates.called_unknown,
    }
    return KindFigures(
        kind=rates.kind,
        num_images=rates.num_images,
        **{decision.value: share.value for decision, share in shares.items()},
        wrong_among_accepted=_defined(rates.wrong_among_accepted),
    )


def _defined(value: float) -> float | None:
    return value if math.isfinite(value) else None
