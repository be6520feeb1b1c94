"""Fits a linear head on cached features: logistic regression, its strength chosen by NLL.

The inverse L2 strength is the one of the lowest NLL under cross-validation that keeps groups together; the
heads of its folds are kept, because they answer images that they were not fitted on. The standardisation of
the features is folded into the layer, which then reads raw embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from vision.base.errors import TrainingError
from vision.base.record import FloatArray, IntArray
from vision.base.softmax import softmax

MAX_FOLDS = 5
_MAX_ITERATIONS = 5000
_FLOOR = 1e-12
_SMALLEST_SCALE = 0.1


@dataclass(frozen=True, eq=False)
class HeadTrial:
    """One strength that was tried.

    Attributes:
        strength: inverse L2 strength C.
        nll: out-of-fold mean NLL, nats; ln k where nothing was held out.
        accuracy: out-of-fold accuracy.
        kernel: (d, k) float32 and
        bias: (k,) float32 of the head fitted on all images with this strength.
        fold_kernels: (f, d, k) float32 and
        fold_biases: (f, k) float32 of the heads that were fitted without one fold.
    """

    strength: float
    nll: float
    accuracy: float
    kernel: FloatArray
    bias: FloatArray
    fold_kernels: FloatArray
    fold_biases: FloatArray


def fit_heads(
    embeddings: FloatArray,
    labels: IntArray,
    folds: IntArray,
    weights: FloatArray,
    num_classes: int,
    strengths: Sequence[float],
) -> list[HeadTrial]:
    """A head for every strength, ascending, with its cross-validated NLL and the heads of its folds.

    Embeddings are (n, d), labels (n,) of which every class occurs, folds (n,) as `assign_folds` gives them.
    Weights (n,) count in fitting; the NLL counts all images alike.

    Raises:
        TrainingError: a class has no image, or the embeddings are not finite.
    """
    _check(embeddings, labels, num_classes)
    strengths = sorted(strengths)
    mean, scale = _standardise(embeddings)
    standard = (embeddings - mean) / scale
    num_folds = int(folds.max()) + 1 if folds.any() else 0

    def fit(chosen: NDArray[np.bool_]) -> list[tuple[FloatArray, FloatArray]]:
        path = _fit_path(standard[chosen], labels[chosen], weights[chosen], strengths)
        return [_read_raw(model, mean, scale, num_classes) for model in path]

    with threadpool_limits(1):  # more threads are slower at this size, and change the last digits
        whole = fit(np.ones(len(labels), bool))
        by_fold = [fit(folds != fold) for fold in range(num_folds)]
    trials = []
    for i, strength in enumerate(strengths):
        kernels = np.array([heads[i][0] for heads in by_fold]).reshape(
            num_folds, embeddings.shape[1], num_classes
        )
        biases = np.array([heads[i][1] for heads in by_fold]).reshape(num_folds, num_classes)
        probs = _predict_out_of_fold(embeddings, labels, folds, kernels, biases, num_classes)
        truth = probs[np.arange(len(labels)), labels]
        trials.append(
            HeadTrial(
                strength=float(strength),
                nll=float(-np.log(np.maximum(truth, _FLOOR)).mean()),
                accuracy=float((probs.argmax(axis=1) == labels).mean()),
                kernel=whole[i][0],
                bias=whole[i][1],
                fold_kernels=kernels.astype(np.float32),
                fold_biases=biases.astype(np.float32),
            )
        )
    return trials


def assign_folds(labels: IntArray, groups: NDArray[np.str_], seed: int) -> IntArray:
    """Fold (n,) of each image, at most `MAX_FOLDS`: whole groups together, classes spread; 0 of one group.

    Where a class has fewer images than there are folds, groups are dealt class by class in random order, so
    that two groups of one class lie in two folds.
    """
    rank = np.unique(groups, return_inverse=True)[1]
    num_folds = min(MAX_FOLDS, int(rank.max()) + 1)
    if num_folds < 2:
        return np.zeros(len(labels), np.int64)
    if int(np.bincount(labels).min()) < num_folds:
        return _deal_by_class(labels, rank, num_folds, seed)[rank]
    folds = np.zeros(len(labels), np.int64)
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    for fold, (_, inside) in enumerate(splitter.split(np.zeros((len(labels), 1)), labels, rank)):
        folds[inside] = fold
    return folds


def _deal_by_class(labels: IntArray, rank: IntArray, num_folds: int, seed: int) -> IntArray:
    """Fold (g,) of each group; a group of several classes counts as of its rarest."""
    common_first = np.argsort(-np.bincount(labels)[labels], kind="stable")
    rarest = np.zeros(int(rank.max()) + 1, np.int64)
    rarest[rank[common_first]] = labels[common_first]  # the last, rarest, stays
    shuffled = np.random.default_rng(seed).permutation(len(rarest))
    folds = np.zeros(len(rarest), np.int64)
    folds[shuffled[np.argsort(rarest[shuffled], kind="stable")]] = np.arange(len(rarest)) % num_folds
    return folds


def choose_head(trials: Sequence[HeadTrial]) -> int:
    """Position of the trial with the lowest out-of-fold NLL; of equals the more strongly regularised."""
    return int(np.argmin([trial.nll for trial in trials]))


def head_logits(embeddings: FloatArray, trial: HeadTrial) -> FloatArray:
    """Logits (n, k) of a head for embeddings (n, d)."""
    logits: FloatArray = embeddings @ trial.kernel + trial.bias
    return logits


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
    embeddings: FloatArray,
    labels: IntArray,
    folds: IntArray,
    kernels: FloatArray,
    biases: FloatArray,
    num_classes: int,
) -> FloatArray:
    """Probabilities (n, k), each image's from the head that was fitted without its fold.

    A class that a fold's head was not taught has probability 0 there. With no fold there is nothing to hold
    out, and all probabilities are 1/k: the strongest regularisation wins.
    """
    probs = np.full((len(labels), num_classes), 1.0 / num_classes)
    for fold, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        inside, taught = folds == fold, np.unique(labels[folds != fold])
        probs[inside] = 0.0
        probs[np.ix_(np.flatnonzero(inside), taught)] = softmax(
            (embeddings[inside] @ kernel + bias)[:, taught]
        )
    return probs


def _fit_path(
    standard: FloatArray, labels: IntArray, weights: FloatArray, strengths: Sequence[float]
) -> Iterator[Any]:
    """Fitted regressions, one for each strength, each started from the one before; None of a single class."""
    model = LogisticRegression(solver="lbfgs", max_iter=_MAX_ITERATIONS, tol=1e-3, warm_start=True)
    for strength in strengths:
        model.set_params(C=float(strength))
        yield model.fit(standard, labels, sample_weight=weights) if len(np.unique(labels)) > 1 else None


def _read_raw(
    model: Any, mean: FloatArray, scale: FloatArray, num_classes: int
) -> tuple[FloatArray, FloatArray]:
    """Kernel (d, k) and bias (k,) that read raw embeddings; two classes get a symmetric pair of columns.

    A class that the model was not taught has zeros; with no model all have.
    """
    kernel, bias = np.zeros((len(mean), num_classes)), np.zeros(num_classes)
    if model is not None:
        coefficients, intercept = model.coef_, model.intercept_
        if len(coefficients) == 1:
            coefficients = np.concatenate([-coefficients, coefficients]) / 2
            intercept = np.concatenate([-intercept, intercept]) / 2
        kernel[:, model.classes_] = (coefficients / scale).T
        bias[model.classes_] = intercept - mean @ kernel[:, model.classes_]
    return kernel.astype(np.float32), bias.astype(np.float32)
