"""A detector learns from known images alone: training images give the shapes, validation images the scales.

`fit_detector` prepares the arrays of every score in `vision.decision.scores`, so that one detector can report
them all. n is images, k classes, d the embedding's width, q quality columns.

Covariances are shrunk (Ledoit & Wolf 2004), because embeddings are often wider than the data is long; and no
direction is whitened by more than a thousand times the strongest, so that a unit that never fires on
training images does not decide alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vision.base.errors import DataError, TooFewImagesError, TrainingError
from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray, IntArray
from vision.decision.arrays import EIGENVALUE_FLOOR, Arrays, Known
from vision.decision.formulas import measure_capture
from vision.decision.records import OodDetector
from vision.decision.scores import COMBINATIONS, SCORES, OodScore, stack_parts

CAPTURE_QUANTILE = 0.995
"""Share of known images that the capture term leaves alone."""

CAPTURE_RIDGE = 0.1
"""Added to every direction's variance (in column spreads): a combination of columns that known images never
show must be off by a third of a spread to count, so that a little sensor noise or blur does not."""

QUALITY_SCALE_FLOOR = 0.01


def fit_detector(
    train: ModelOutputs,
    train_labels: IntArray,
    train_groups: NDArray[np.str_],
    validation: ModelOutputs,
    score: str,
    seed: int,
) -> OodDetector:
    """A detector with the arrays of every score, of which `score` decides.

    Args:
        train: training images of known classes, (n,) of everything.
        train_labels: (n,) label index.
        train_groups: (n,) group names; a bank that is full holds as many groups as it can.
        validation: known images that were not trained on; they scale the parts of `ewk` and
            `fwk`.
        score: a member of `OodScore`.
        seed: chooses the rows of the kNN bank where there are too many.

    Raises:
        DataError: shapes or labels do not fit together.
        TooFewImagesError: a class has no training image, or there are fewer than two classes or two
            validation images.
        TrainingError: an output is not finite.
    """
    name = OodScore(score)
    _check_outputs(train, train_labels, train_groups, validation)
    known = Known(train, train_labels, train_groups, seed, _fit_whitener)
    arrays = {key: array for row in SCORES.values() if row.fit for key, array in row.fit(known).items()}
    arrays |= _fit_capture(np.concatenate([train.quality, validation.quality]))
    arrays |= _fit_scales(OodDetector(name, arrays), validation)
    return OodDetector(score_name=name.value, arrays=arrays)


def _fit_capture(quality: FloatArray) -> Arrays:
    """Centre, whitener and limit of the capture term, in units of its own spread over known images.

    The Mahalanobis length of the quality columns is divided by its standard deviation, so that its excess
    over the limit adds to z-scores like with like. Quality does not depend on the network, so training
    images serve as well as validation images.
    """
    values = np.asarray(quality, dtype=np.float64)
    centre = np.median(values, axis=0)
    scale = np.maximum(values.std(axis=0), QUALITY_SCALE_FLOOR)
    whitener = _fit_whitener((values - centre) / scale, CAPTURE_RIDGE) / scale[:, None]
    lengths = measure_capture(values, centre, whitener)
    whitener = whitener / max(float(lengths.std()), QUALITY_SCALE_FLOOR)
    limit = np.quantile(measure_capture(values, centre, whitener), CAPTURE_QUANTILE)
    return {"capture_centre": centre, "capture_whitener": whitener, "capture_limit": np.array(limit)}


def _fit_scales(detector: OodDetector, validation: ModelOutputs) -> Arrays:
    arrays: dict[str, FloatArray] = {}
    for name in COMBINATIONS:
        parts = stack_parts(detector, name, validation.logits, validation.embeddings)
        spread = parts.std(axis=0)
        location = parts.mean(axis=0)
        constant = spread <= 1e-9 * (1 + np.abs(location))
        arrays |= {f"{name}_location": location, f"{name}_scale": np.where(constant, 1.0, spread)}
    return arrays


def _fit_whitener(residuals: FloatArray, ridge: float = 0.0) -> FloatArray:
    """(S + ridge)^-1/2, (d, d), of residuals (n, d) around zero; the identity where S + ridge is zero."""
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf(residuals, assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    values = values + ridge
    largest = float(values[-1])
    if largest <= np.finfo(np.float64).tiny:
        return np.eye(residuals.shape[1])
    floored = np.maximum(values, EIGENVALUE_FLOOR * largest)
    return np.asarray((vectors / np.sqrt(floored)) @ vectors.T)


def _check_outputs(
    train: ModelOutputs, labels: IntArray, groups: NDArray[np.str_], validation: ModelOutputs
) -> None:
    num, num_classes = train.logits.shape
    if not len(labels) == len(groups) == num == len(train.embeddings):
        raise DataError(
            f"{num} training outputs come with {len(labels)} labels and {len(groups)} groups; expected one "
            "of each per image."
        )
    if num_classes < 2 or len(validation.logits) < 2:
        raise TooFewImagesError(
            f"{num_classes} classes and {len(validation.logits)} validation images; expected at least two of "
            "each. Add classes, or give the validation split a larger share in split.validation."
        )
    counts = np.bincount(labels, minlength=num_classes) if num and labels.min() >= 0 else np.zeros(1)
    if len(counts) != num_classes or not counts.all():
        raise TooFewImagesError(
            f"Training images per label are {counts.astype(int).tolist()}; expected at least one of each of "
            f"{num_classes} known classes and no other label. Fit on known training images of all classes."
        )
    for split, outputs in (("training", train), ("validation", validation)):
        _check_finite(split, outputs)


def _check_finite(split: str, outputs: ModelOutputs) -> None:
    for what in ("logits", "embeddings", "quality", "kernel", "bias"):
        values = getattr(outputs, what)
        if not np.isfinite(values).all():
            raise TrainingError(
                f"{np.count_nonzero(~np.isfinite(values))} values of the {split} {what} are not finite; "
                "expected numbers. The training diverged: lower training.candidates.*.learning_rate."
            )
