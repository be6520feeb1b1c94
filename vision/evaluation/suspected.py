"""Labels that a model which did not see the image would have given otherwise, the most doubtful first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vision.base.record import FloatArray, IntArray
from vision.base.softmax import softmax
from vision.decision.held_out import HeldOut
from vision.decision.scores import OodScore

FENCE = 3.0
"""Interquartile ranges; Tukey calls what lies farther from the quartile far out."""


@dataclass(frozen=True)
class Suspect:
    """An image whose label another class beats.

    Attributes:
        label: index of the class that it has.
        suggestion: index of the most probable other class.
        margin: (p[label] - p[suggestion] + 1) / 2, from 0 (certainly the other) to below 0.5.
        group_margin: mean margin of all images of that group under this label.
    """

    row: int
    label: int
    suggestion: int
    margin: float
    group: str
    group_margin: float


def margins(probabilities: FloatArray, labels: IntArray) -> tuple[FloatArray, IntArray]:
    """Normalized margin (n,) in 0..1 of each label, and the most probable other class (n,) of k >= 2."""
    rows = np.arange(len(labels))
    others = np.array(probabilities, dtype=np.float64)
    own = others[rows, labels].copy()
    others[rows, labels] = -1.0
    best = others.argmax(axis=1)
    return (own - others[rows, best] + 1) / 2, best


def find_suspects(held_out: HeldOut) -> list[Suspect]:
    """Every held-out image that another class beats, lowest margin first. It changes nothing."""
    found, best = margins(softmax(held_out.logits), held_out.labels)
    keys = list(zip(held_out.groups.tolist(), held_out.labels.tolist(), strict=True))
    sums: dict[tuple[str, int], list[float]] = {}
    for key, margin in zip(keys, found, strict=True):
        sums.setdefault(key, []).append(float(margin))
    order = [int(i) for i in np.argsort(found, kind="stable") if found[i] < 0.5]
    return [
        Suspect(
            row=int(held_out.rows[i]),
            label=int(held_out.labels[i]),
            suggestion=int(best[i]),
            margin=float(found[i]),
            group=keys[i][0],
            group_margin=float(np.mean(sums[keys[i]])),
        )
        for i in order
    ]


def rank_groups(suspects: Sequence[Suspect]) -> list[Suspect]:
    """The most doubtful image of each group under each label, the group of the lowest mean margin first."""
    firsts: dict[tuple[str, int], Suspect] = {}
    for each in suspects:
        firsts.setdefault((each.group, each.label), each)
    return sorted(firsts.values(), key=lambda each: each.group_margin)


def find_strangers(held_out: HeldOut) -> list[int]:
    """Rows of held-out images that are like no class, the strangest first.

    Those whose deciding unknown score, or whose distance by early statistics (pictures of another kind), lies
    more than three interquartile ranges above the upper quartile.
    """
    name = next((each for each in held_out.scores if each is not OodScore.MSP), OodScore.MSP)
    distances = _measure_distances(held_out.scores[name])
    if held_out.stranger_scores is not None:
        distances = np.maximum(distances, _measure_distances(held_out.stranger_scores))
    far = np.flatnonzero(distances > FENCE)
    return [int(held_out.rows[i]) for i in far[np.argsort(-distances[far], kind="stable")]]


def _measure_distances(scores: FloatArray) -> FloatArray:
    """How many interquartile ranges each score lies above the upper quartile, (n,)."""
    lower, upper = np.percentile(scores, [25, 75])
    distances: FloatArray = (scores - upper) / max(upper - lower, 1e-12)
    return distances


def count_confusions(suspects: Sequence[Suspect]) -> list[tuple[int, int, list[Suspect]]]:
    """Pairs of classes (lower first) with the images that are taken for the other, most images first."""
    pairs: dict[tuple[int, int], list[Suspect]] = {}
    for each in suspects:
        pair = min(each.label, each.suggestion), max(each.label, each.suggestion)
        pairs.setdefault(pair, []).append(each)
    ranked = sorted(pairs.items(), key=lambda item: (-len(item[1]), item[0]))
    return [(first, second, found) for (first, second), found in ranked]
