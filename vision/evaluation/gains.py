"""What several opinions on one picture gain over one, and what they cost: views of it, or all candidates.

Everything is paired: the same images, the same resamples of their groups. A gain is positive where the
several are better. The decision rule's thresholds were fitted on single answers, so nothing here decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vision.base.record import FloatArray, Interval
from vision.base.resampling import GroupResamples, percentile_interval, resample_groups
from vision.base.softmax import softmax
from vision.config.evaluation import BootstrapSettings
from vision.data.labelled import Labelled
from vision.decision.records import DecisionRule, OodDetector
from vision.decision.scores import score_unknown
from vision.evaluation.metric_table import METRICS, NLL, Answers
from vision.evaluation.metrics import auroc, auroc_samples
from vision.evaluation.records import GainRow, Gains

_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Opinion:
    """What is said of the known images, and how unknown all images look.

    Attributes:
        probs: (n, k) calibrated probabilities of known images.
        scores: (n,) unknown scores of known images, higher is more unknown.
        others: kind -> unknown scores of unknown images, near and far.
        num_passes: networks or views that are asked.
        ms: milliseconds an image.
    """

    name: str
    probs: FloatArray
    scores: FloatArray
    others: dict[str, FloatArray] = field(default_factory=dict)
    num_passes: int = 1
    ms: float = float("nan")


@dataclass(frozen=True, eq=False)
class Shown:
    """What one network says of the images that opinions are formed on, in `ms` milliseconds an image.

    `others` are near and far -> images of no known class; a kind without images is left out.
    """

    known: Labelled
    others: dict[str, Labelled]
    ms: float


def form_opinion(name: str, shown: Shown, rule: DecisionRule, detector: OodDetector) -> Opinion:
    """What the network says by its rule; unknown scores in standard deviations of its calibration images."""
    calibration = np.asarray(rule.unknown.calibration_scores)
    spread = float(calibration.std()) or 1.0

    def score(images: Labelled) -> FloatArray:
        scores = score_unknown(detector, images.outputs.logits, images.outputs.embeddings)
        standard: FloatArray = (scores - calibration.mean()) / spread
        return standard

    return Opinion(
        name=name,
        probs=softmax(shown.known.outputs.logits, rule.temperature.value),
        scores=score(shown.known),
        others={kind: score(images) for kind, images in shown.others.items()},
        ms=shown.ms,
    )


def average_opinions(name: str, opinions: Sequence[Opinion]) -> Opinion:
    """The mean of probabilities and scores; passes and time add up."""
    kinds = opinions[0].others
    return Opinion(
        name=name,
        probs=np.mean([each.probs for each in opinions], axis=0),
        scores=np.mean([each.scores for each in opinions], axis=0),
        others={kind: np.mean([each.others[kind] for each in opinions], axis=0) for kind in kinds},
        num_passes=sum(each.num_passes for each in opinions),
        ms=sum(each.ms for each in opinions),
    )


def measure_gains(
    plain: Opinion,
    several: Sequence[Opinion],
    known: Labelled,
    others: dict[str, Labelled],
    bootstrap: BootstrapSettings,
    seed: int,
) -> Gains:
    """One row for the plain answer and one for each of the others."""
    rng = np.random.default_rng(seed)
    drawn = resample_groups(known.groups, bootstrap, rng)
    drawn_others = {
        kind: resample_groups(each.groups, bootstrap, rng, each.class_names) for kind, each in others.items()
    }
    rows = []
    for each in (plain, *several):
        answers, before = (_answers(one, known) for one in (each, plain))
        rows.append(
            GainRow(
                name=each.name,
                num_passes=each.num_passes,
                milliseconds=each.ms,
                accuracy=METRICS["accuracy"].estimate(answers, drawn),
                nll=NLL.estimate(answers, drawn),
                accuracy_gain=METRICS["accuracy"].compare(answers, before, drawn),
                nll_gain=NLL.compare(answers, before, drawn),
                unknown_auroc={kind: auroc(each.scores, each.others[kind]) for kind in others},
                unknown_gains={
                    kind: _compare_auroc(each, plain, kind, drawn, drawn_others[kind]) for kind in others
                },
            )
        )
    return Gains(num_images=len(known.labels), num_groups=drawn.num_groups, rows=tuple(rows))


def _answers(opinion: Opinion, known: Labelled) -> Answers:
    return Answers(np.log(np.maximum(opinion.probs, _TINY)), known.labels, 1.0)


def _compare_auroc(
    first: Opinion, second: Opinion, kind: str, known: GroupResamples, other: GroupResamples
) -> Interval:
    """Paired difference of the AUROC of one kind of unknown images."""
    stratum = np.zeros(len(first.others[kind]), np.int64)

    def resampled(opinion: Opinion) -> FloatArray:
        return auroc_samples(opinion.scores, known, opinion.others[kind], other, stratum)[:, -1]

    value = auroc(first.scores, first.others[kind]) - auroc(second.scores, second.others[kind])
    enough = min(known.num_groups, other.num_groups) >= 2
    samples = resampled(first) - resampled(second) if enough else np.zeros(0)
    return percentile_interval(value, samples, known.level)
