"""A linear head on cached features is fitted, not trained: logistic regression, its strength chosen by NLL.

The inverse L2 strength is the one of the lowest NLL under cross-validation that keeps groups together; the
standardisation of the features is folded into the layer, which then reads raw embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from vision.base.errors import TrainingError
from vision.base.record import FloatArray, IntArray

_MAX_FOLDS = 4
_MAX_ITERATIONS = 5000
_FLOOR = 1e-12
_SMALLEST_SCALE = 0.1


@dataclass(frozen=True, eq=False)
class HeadTrial:
    """One strength that was tried.

    Attributes:
        strength: inverse L2 strength C.
        nll: out-of-fold mean NLL on train, nats.
        accuracy: out-of-fold accuracy on train.
        kernel: (d, k) float32 and
        bias: (k,) float32 of the head fitted on all of train with this strength.
    """

    strength: float
    nll: float
    accuracy: float
    kernel: FloatArray
    bias: FloatArray


def fit_heads(
    embeddings: FloatArray,
    labels: IntArray,
    groups: NDArray[np.str_],
    weights: FloatArray,
    num_classes: int,
    strengths: Sequence[float],
    seed: int,
) -> list[HeadTrial]:
    """A head for every strength, ascending, with its grouped cross-validated NLL.

    Args:
        embeddings: (n, d).
        labels: (n,) int64; every class occurs.
        groups: (n,) str.
        weights: (n,) how much each image counts in fitting; the NLL counts all alike.
        num_classes: k.
        strengths: inverse L2 strengths.
        seed: of the folds.

    Raises:
        TrainingError: a class has no image, or the embeddings are not finite.
    """
    _check(embeddings, labels, num_classes)
    strengths = sorted(strengths)
    mean, scale = _standardise(embeddings)
    standard = (embeddings - mean) / scale
    out_of_fold = _predict_out_of_fold(standard, labels, groups, weights, num_classes, strengths, seed)
    trials = []
    for strength, probs, model in zip(
        strengths, out_of_fold, _fit_path(standard, labels, weights, strengths), strict=True
    ):
        kernel, bias = _fold(model, mean, scale)
        truth = probs[np.arange(len(labels)), labels]
        trials.append(
            HeadTrial(
                strength=float(strength),
                nll=float(-np.log(np.maximum(truth, _FLOOR)).mean()),
                accuracy=float((probs.argmax(axis=1) == labels).mean()),
                kernel=kernel,
                bias=bias,
            )
        )
    return trials


def choose_head(trials: Sequence[HeadTrial]) -> int:
    """Position of the trial with the lowest out-of-fold NLL; of equals the more strongly regularised."""
    return int(np.argmin([trial.nll for trial in trials]))


def head_logits(embeddings: FloatArray, trial: HeadTrial) -> FloatArray:
    """Logits (n, k) of a head for embeddings (n, d)."""
    logits: FloatArray = embeddings @ trial.kernel + trial.bias
    return logits


def mean_nll(logits: FloatArray, labels: IntArray) -> float:
    """Mean negative log likelihood in nats of logits (n, k)."""
    shifted = np.asarray(logits, np.float64)
    shifted = shifted - shifted.max(axis=1, keepdims=True)
    log_norm = np.log(np.exp(shifted).sum(axis=1))
    return float((log_norm - shifted[np.arange(len(labels)), labels]).mean())


def _standardise(embeddings: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and scale (d,) of the features; a nearly dead one is not blown up to the size of the others.

    Blown up, it makes kernel entries so large that the rounding of fp16 changes answers.
    """
    mean = embeddings.mean(axis=0, dtype=np.float64)
    scale = embeddings.std(axis=0, dtype=np.float64)
    floor = _SMALLEST_SCALE * float(np.median(scale))
    return mean, np.maximum(scale, floor if floor > 0 else 1.0)


def _check(embeddings: FloatArray, labels: IntArray, num_classes: int) -> None:
    missing = sorted(set(range(num_classes)) - set(labels.tolist()))
    if missing:
        raise TrainingError(
            f"Classes {missing} have no training image; expected every class in train. Raise split.train or "
            "add images."
        )
    if not np.isfinite(embeddings).all():
        raise TrainingError(
            "The frozen backbone gave features that are not finite. Check that the weights file belongs to "
            "this backbone."
        )


def _predict_out_of_fold(
    standard: FloatArray,
    labels: IntArray,
    groups: NDArray[np.str_],
    weights: FloatArray,
    num_classes: int,
    strengths: Sequence[float],
    seed: int,
) -> FloatArray:
    """Probabilities (strengths, n, k), each image's from a head fitted without its group.

    A class whose groups all lie in one fold has probability 0 there. With a single group there is nothing
    to hold out, and all probabilities are 1/k: the strongest regularisation wins.
    """
    probs = np.full((len(strengths), len(labels), num_classes), 1.0 / num_classes)
    for train, held_out in _folds(labels, groups, num_classes, seed):
        if len(np.unique(labels[train])) < 2:
            continue
        for i, model in enumerate(_fit_path(standard[train], labels[train], weights[train], strengths)):
            fold = np.zeros((len(held_out), num_classes))
            fold[:, model.classes_] = model.predict_proba(standard[held_out])
            probs[i, held_out] = fold
    return probs


def _folds(
    labels: IntArray, groups: NDArray[np.str_], num_classes: int, seed: int
) -> Iterator[tuple[IntArray, IntArray]]:
    per_class = [len(np.unique(groups[labels == label])) for label in range(num_classes)]
    num_folds = min(_MAX_FOLDS, max(2, min(per_class)), len(np.unique(groups)))
    if num_folds < 2:
        return
    rank = np.unique(groups, return_inverse=True)[1]
    smallest = int(np.bincount(labels).min())
    if smallest < num_folds:
        fold_of_group = np.random.default_rng(seed).permutation(rank.max() + 1) % num_folds
        for fold in range(num_folds):
            inside = fold_of_group[rank] == fold
            yield np.flatnonzero(~inside), np.flatnonzero(inside)
        return
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    yield from splitter.split(np.zeros((len(labels), 1)), labels, rank)


def _fit_path(
    standard: FloatArray, labels: IntArray, weights: FloatArray, strengths: Sequence[float]
) -> Iterator[Any]:
    """Fitted regressions, one for each strength, each started from the one before."""
    model = LogisticRegression(solver="lbfgs", max_iter=_MAX_ITERATIONS, tol=1e-3, warm_start=True)
    for strength in strengths:
        model.set_params(C=float(strength))
        yield model.fit(standard, labels, sample_weight=weights)


def _fold(model: Any, mean: FloatArray, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Kernel and bias that read raw embeddings; two classes get a symmetric pair of columns."""
    coefficients, intercept = model.coef_, model.intercept_
    if len(coefficients) == 1:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    kernel = (coefficients / scale).T
    bias = intercept - mean @ kernel
    return kernel.astype(np.float32), bias.astype(np.float32)
