"""Images of one kind (known, near, far) and what they are answered by the rule that is served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray, IntArray
from vision.base.resampling import GroupResamples, resample_groups
from vision.config.evaluation import BootstrapSettings
from vision.data.labelled import Labelled
from vision.decision.predictor import Decisions, decide, decide_scored
from vision.decision.records import DecisionRule, OodDetector
from vision.decision.scores import OodScore, score_unknown
from vision.evaluation.dropout import SCORE_NAME, measure_disagreement

_SEED = 0
"""Known and unknown images lose the same entries of their embeddings."""

KNOWN, NEAR, FAR = "known", "near", "far"


@dataclass(frozen=True, eq=False)
class Images:
    """What one network says of the images of one split, and of images of no class at all.

    Attributes:
        known_scores: unknown scores of `known` by name, where they are held out by folds; else None: the
            detector gives them.
        known_strangers: stranger scores of `known`, where `known_scores` are given.
        unknown: of held-out classes; None or empty where there are none.
        far: far kind -> outputs of its images, each image its own group; None or empty where there are none.
        dropout: rate that the network's last layer was trained with; 0: without.
    """

    known: Labelled
    unknown: Labelled | None = None
    far: Mapping[str, ModelOutputs] | None = None
    known_scores: Mapping[OodScore, FloatArray] | None = None
    known_strangers: FloatArray | None = None
    dropout: float = 0.0


@dataclass(frozen=True, eq=False)
class Answered:
    """Images of one kind and what they were answered, m of everything.

    Attributes:
        kind: known, near or far.
        rows: (m,) data-set row, or index within the far set.
        class_names: (m,) str, true class, or kind of far image.
        groups: (m,) str.
        scores: unknown scores by name, (m,) each: every one, or those that were held out, and `mc_dropout`
            where the network has dropout.
        drawn: resamples of the groups; of unknown kinds, class by class.
    """

    kind: str
    rows: IntArray
    class_names: NDArray[np.str_]
    groups: NDArray[np.str_]
    decisions: Decisions
    scores: dict[str, FloatArray]
    drawn: GroupResamples


def answer(
    kind: str,
    images: Labelled,
    rule: DecisionRule,
    detector: OodDetector,
    drawn: GroupResamples,
    dropout: float = 0.0,
) -> Answered:
    """What images of one kind are answered, and every unknown score of them."""
    seen = images.outputs.logits, images.outputs.embeddings
    decisions = decide(rule, detector, *seen, images.outputs.early)
    scores: dict[str, FloatArray] = {
        name: decisions.scores if name == rule.unknown.score_name else score_unknown(detector, *seen, name)
        for name in OodScore
    } | _reported(images, dropout)
    return Answered(kind, images.outputs.rows, images.class_names, images.groups, decisions, scores, drawn)


def answer_known(
    images: Images, rule: DecisionRule, detector: OodDetector, drawn: GroupResamples
) -> Answered:
    """What the known images are answered, by their held-out scores where there are any."""
    known, scores = images.known, images.known_scores
    if scores is None:
        return answer(KNOWN, known, rule, detector, drawn, images.dropout)
    deciding = scores[OodScore(rule.unknown.score_name)]
    decisions = decide_scored(rule, known.outputs.logits, deciding, images.known_strangers)
    own = dict(scores) | _reported(known, images.dropout)
    return Answered(KNOWN, known.outputs.rows, known.class_names, known.groups, decisions, own, drawn)


def _reported(images: Labelled, dropout: float) -> dict[str, FloatArray]:
    """Scores that are reported and never decide."""
    return {SCORE_NAME: measure_disagreement(images.outputs, dropout, _SEED)} if dropout else {}


def answer_others(
    images: Images,
    rule: DecisionRule,
    detector: OodDetector,
    bootstrap: BootstrapSettings,
    rng: np.random.Generator,
) -> list[Answered]:
    """The same of unknown images, near before far; a kind without images is left out."""
    kinds: dict[str, Labelled] = {}
    if images.unknown is not None and len(images.unknown.labels):
        kinds[NEAR] = images.unknown
    present = {kind: outputs for kind, outputs in (images.far or {}).items() if len(outputs.rows)}
    if present:
        kinds[FAR] = pool_far(present)
    return [
        answer(
            *(kind, each, rule, detector),
            resample_groups(each.groups, bootstrap, rng, each.class_names),
            images.dropout,
        )
        for kind, each in kinds.items()
    ]


def pool_far(far: Mapping[str, ModelOutputs]) -> Labelled:
    """All far images as one set: the class name is the kind, each image its own group."""
    parts = list(far.values())
    names = np.repeat(np.array(list(far), dtype=np.str_), [len(part.rows) for part in parts])
    rows = np.concatenate([part.rows for part in parts])
    outputs = ModelOutputs(
        rows=rows,
        logits=np.concatenate([part.logits for part in parts]),
        embeddings=np.concatenate([part.embeddings for part in parts]),
        quality=np.concatenate([part.quality for part in parts]),
        kernel=parts[0].kernel,
        bias=parts[0].bias,
        early=None
        if parts[0].early is None
        else np.concatenate([part.early for part in parts if part.early is not None]),
    )
    groups = np.arange(len(rows)).astype(np.str_)
    return Labelled(outputs=outputs, labels=np.full(len(rows), -1), class_names=names, groups=groups)
