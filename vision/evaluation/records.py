"""Records of evaluation: figures of one model on one split, and candidates side by side."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field, model_validator

from vision.base.record import Interval, Record, Value
from vision.decision.records import Decision, WeakClass


class ClassRow(Value):
    """Truth about one known class."""

    class_name: str
    precision: float
    recall: float
    f1: Interval
    num_images: int
    num_groups: int
    accepted: float
    reviewed: float
    called_unknown: float


LEAST_RECALL = 0.5
"""Share named rightly below which a class is not to be relied on."""


LEAST_GROUPS = 3
"""Groups of a class from which on its F1 has an interval."""

FEW_GROUPS = 5
"""Below, figures of a class can be far off, and an interval of no width is none."""


class ReliabilityBin(Value):
    """One of the 15 equal-width confidence bins; NaN where empty."""

    low: float
    high: float
    num_images: int
    confidence: float
    accuracy: float


class UnknownRow(Value):
    """How one held-out class or far kind is told from the known classes. Positive class: unknown."""

    class_name: str
    kind: str = Field(description="near (held-out class) or far (pictures of something else)")
    score_name: str
    auroc: Interval
    fpr_at_95_tpr: float = Field(description="share of known called unknown where 95% of unknown are found")
    found: float = Field(description="share called unknown at the threshold; only for the deciding score")
    num_images: int
    accepted: float = Field(default=math.nan, description="share accepted under a wrong name; as `found`")


class RocCurve(Value):
    """Points of an unknown-detection ROC, at most 201. Positive class: unknown."""

    score_name: str
    kind: str
    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]


class DecisionRates(Value):
    """What a set of images is answered; `wrong_among_accepted` is NaN where nothing is accepted or known."""

    kind: str = Field(description="known, near or far")
    num_images: int
    accepted: Interval
    reviewed: Interval
    called_unknown: Interval
    called_stranger: Interval | None = Field(default=None, description="by the stranger score")
    called_look_alike: Interval | None = Field(default=None, description="by the unknown score, no strangers")
    wrong_among_accepted: float
    wrong_among_accepted_interval: Interval | None = Field(
        default=None, description="the same with its bounds; None where nothing is accepted or known"
    )


class LadderRow(Value):
    """What a promise about wrong images among the accepted would have done to known images."""

    target_risk: float
    attainable: bool
    coverage: float = Field(description="share of the held-out images accepted, on which it was fitted")
    accepted: float = Field(description="share of these images accepted")
    wrong: float = Field(description="share of wrong among them; NaN where nothing is accepted")


class Answer(Value):
    """One image and what it was answered, for galleries."""

    row: int = Field(description="data-set row, or index within the far set")
    kind: str
    true_class: str
    class_name: str
    confidence: float
    unknown_score: float
    decision: Decision


MOST_APART = 0.05
"""Two accuracies of one model that differ by more are told apart."""


class Measured(Value):
    """Share of some images of known classes named right, and on how much it rests."""

    accuracy: Interval
    num_images: int
    num_groups: int

    def differs_from(self, other: Measured) -> bool:
        """Whether the other's share lies outside this one's interval, or far from its value."""
        value, bounds = other.accuracy.value, self.accuracy
        return abs(value - bounds.value) > MOST_APART or value < bounds.low or value > bounds.high


class Evaluation(Record):
    """Truth about one model on one split."""

    candidate: str
    split: str
    form: str = Field(description="keras, or the precision of the exported graph")
    num_images: int
    num_groups: int
    accuracy: Interval
    macro_f1: Interval
    weighted_f1: Interval
    nll: Interval
    brier: Interval
    ece: float
    ece_floor: float = Field(description="95th percentile of ECE of a perfectly calibrated model")
    adaptive_ece: float
    class_names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...] = Field(description="rows true, columns predicted")
    classes: tuple[ClassRow, ...]
    reliability: tuple[ReliabilityBin, ...]
    confidence_correct: tuple[int, ...] = Field(description="histogram, 20 bins over [0, 1]")
    confidence_wrong: tuple[int, ...]
    confidence_unknown: tuple[int, ...]
    unknown: tuple[UnknownRow, ...] = Field(description="class_name 'all' pools a kind")
    roc: tuple[RocCurve, ...]
    rates: tuple[DecisionRates, ...]
    ladder: tuple[LadderRow, ...] = Field(default=(), description="what other promises would have done")
    mistakes: tuple[Answer, ...] = Field(description="worst first: most confident wrong answers")
    examples: tuple[Answer, ...] = Field(description="some of each decision and kind, for the gallery")
    deciding_score: str = Field(
        default="msp", description="unknown score that decides; of older records the one with shares found"
    )

    set_covers: Interval | None = Field(
        default=None, description="share of known images whose class is in the prediction set; None: no sets"
    )
    set_size: float | None = Field(default=None, description="classes in the set of a known image, mean")
    held_out: Measured | None = Field(
        default=None,
        description="of test: images outside it, named by the same network with a head fitted without them",
    )

    @model_validator(mode="before")
    @classmethod
    def _name_deciding_score(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """A record written before the field was kept says it by the rows whose share `found` is a number."""
        if "deciding_score" in fields:
            return fields
        rows = [UnknownRow.model_validate(row) for row in fields.get("unknown", ())]
        found = [row.score_name for row in rows if math.isfinite(row.found)]
        return {**fields, "deciding_score": found[0]} if found else fields

    @property
    def measured(self) -> Measured:
        """The accuracy on these images."""
        return Measured(accuracy=self.accuracy, num_images=self.num_images, num_groups=self.num_groups)

    @property
    def expected(self) -> Measured:
        """What to expect of new images: what held-out ones say if they are of more groups and differ."""
        own, other = self.measured, self.held_out
        if other is None or other.num_groups <= own.num_groups or not other.differs_from(own):
            return own
        return other

    @property
    def is_lucky(self) -> bool | None:
        """Whether the model is right on more of these than is expected; None where these say what is."""
        apart = self.accuracy.value - self.expected.accuracy.value
        return apart > 0 if apart else None

    def figures(self) -> dict[str, float]:
        """Expected accuracy, and the share of images of known classes that are answered without a person."""
        expected = {"expected_accuracy": self.expected.accuracy.value}
        known = next((rates for rates in self.rates if rates.kind == "known"), None)
        return expected if known is None else expected | {"decided_alone": known.accepted.value}

    def weak_classes(self) -> tuple[WeakClass, ...]:
        """Known classes of which less than half of the images were named right, the most missed first."""
        weak = [row for row in self.classes if row.num_images and row.recall < LEAST_RECALL]
        return tuple(
            WeakClass(
                class_name=row.class_name,
                num_right=round(row.recall * row.num_images),
                num_images=row.num_images,
            )
            for row in sorted(weak, key=lambda row: row.recall)
        )

    def deciding_rows(self) -> tuple[UnknownRow, ...]:
        """The rows of the score that decides."""
        return tuple(row for row in self.unknown if row.score_name == self.deciding_score)


class CandidateRow(Value):
    """One candidate on validation."""

    candidate: str
    backbone: str
    accuracy: Interval
    macro_f1: Interval
    nll: Interval
    ece: float
    unknown_auroc: float
    num_parameters: int
    fine_tuning_failed: bool = Field(
        default=False, description="no epoch was better than the head before it, which was kept"
    )
    decided_alone: float = Field(
        default=math.nan, description="share of held-out images accepted; NaN of older records"
    )
    promised_risk: float | None = Field(
        default=None, description="largest share wrong among these; None: nothing is decided alone"
    )


class Difference(Value):
    """Paired difference of two models on the same images, resampled by group; positive favours `first`."""

    metric: str
    first: str
    second: str
    difference: Interval


class Comparison(Record):
    """Candidates side by side and the winner, chosen on validation alone."""

    metric: str
    winner: str
    reason: str
    candidates: tuple[CandidateRow, ...]
    differences: tuple[Difference, ...]


class GainRow(Value):
    """One way of asking for an answer, against the plain one on the same images; gains favour this one."""

    name: str
    num_passes: int = Field(description="networks or views that are asked")
    milliseconds: float = Field(description="an image; NaN where it was not asked as it would be served")
    accuracy: Interval
    nll: Interval
    accuracy_gain: Interval
    nll_gain: Interval
    unknown_auroc: dict[str, float] = Field(default_factory=dict, description="kind -> AUROC")
    unknown_gains: dict[str, Interval] = Field(default_factory=dict, description="kind -> gain in AUROC")

    @property
    def pays(self) -> bool:
        """Whether something is better beyond doubt and nothing is worse beyond doubt."""
        gains = (self.accuracy_gain, self.nll_gain, *self.unknown_gains.values())
        return any(each.low > 0 for each in gains) and not any(each.high < 0 for each in gains)


class Gains(Record):
    """What views of a picture and an ensemble gain on test; the first row is the plain answer."""

    num_images: int
    num_groups: int
    rows: tuple[GainRow, ...]
