"""How unlike the known classes an image is: every score in numpy alone, higher is more unknown.

One pure function per score in its textbook form, and `score_unknown`, which feeds them from a detector's
arrays. n is images, k known classes, d the embedding's width, q quality columns. Logits are taken at
temperature 1. The arrays are made by `vision.decision.fitting`; the service needs this module only.

Two scores are combinations, the mean of three z-scores plus a capture term. `ewk`, the default, asks the
softmax (entropy), the classes (whitened prototype) and the single images (kNN); `fwk` has fDBD in the place
of entropy. The capture term is the amount by which the image's quality columns (brightness, contrast,
sharpness, ...) are stranger than almost every known image's. Networks answer blank, noisy or synthetic input
with arbitrary embeddings; its pixels give it away. On photographs of the kind that was trained on the capture
term is zero.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import numpy as np

from vision.base.errors import TaxonError
from vision.base.record import FloatArray
from vision.decision.records import OodDetector, UnknownThreshold

NUM_NEIGHBOURS = 5
CHUNK_ROWS = 2048
TINY = 1e-12


class OodScore(StrEnum):
    """The unknown scores, by the names that the configuration uses."""

    EWK = "ewk"
    FWK = "fwk"
    MSP = "msp"
    ENTROPY = "entropy"
    ENERGY = "energy"
    MAHALANOBIS = "mahalanobis"
    KNN = "knn"
    VIM = "vim"
    FDBD = "fdbd"
    WHITENED_PROTOTYPE = "whitened_prototype"


COMBINATIONS: dict[OodScore, tuple[OodScore, ...]] = {
    OodScore.EWK: (OodScore.ENTROPY, OodScore.WHITENED_PROTOTYPE, OodScore.KNN),
    OodScore.FWK: (OodScore.FDBD, OodScore.WHITENED_PROTOTYPE, OodScore.KNN),
}
"""The parts of each combination, in the order of their scales in a detector's arrays."""


def score_unknown(
    detector: OodDetector,
    logits: FloatArray,
    embeddings: FloatArray,
    quality: FloatArray,
    name: OodScore | None = None,
) -> FloatArray:
    """Unknown scores of n images, (n,) float64, by the detector's deciding score or by `name`.

    Args:
        detector: fitted by `vision.decision.fitting.fit_detector`.
        logits: (n, k), not divided by a temperature.
        embeddings: (n, d).
        quality: (n, q), columns of `vision.data.quality.QUALITY_COLUMNS`.
        name: another score than the deciding one.

    Raises:
        TaxonError: an input or a score is not finite.
        ValueError: the shapes are not those that the detector was fitted on.
    """
    chosen = OodScore(name or detector.score_name)
    _check_inputs(detector, logits, embeddings, quality)
    starts = range(0, len(logits), CHUNK_ROWS)
    parts = [
        _score_chunk(detector, chosen, *(a[i : i + CHUNK_ROWS] for a in (logits, embeddings, quality)))
        for i in starts
    ]
    scores = np.concatenate(parts) if parts else np.zeros(0)
    _check_finite(f"The {chosen} scores", scores)
    return scores


def p_values(threshold: UnknownThreshold, scores: FloatArray) -> FloatArray:
    """Share of calibration images at least this unknown, (r + 1) / (n + 1), for scores (m,) -> (m,).

    r counts calibration scores >= the score (conformal p-value, Vovk et al. 2005). It never contradicts the
    threshold: score > threshold.value exactly where p <= (num_allowed + 1) / (n + 1), and that is at most
    alpha where the promise is attainable.
    """
    calibration = np.asarray(threshold.calibration_scores, dtype=np.float64)
    num_at_least = len(calibration) - np.searchsorted(calibration, scores, side="left")
    return np.asarray((num_at_least + 1) / (len(calibration) + 1), dtype=np.float64)


# --- scores of logits -----------------------------------------------------------------------------------


def measure_msp(logits: FloatArray) -> FloatArray:
    """One minus the maximum softmax probability, logits (n, k) -> (n,) in [0, 1).

    Hendrycks & Gimpel 2017, "A baseline for detecting misclassified and out-of-distribution examples".
    Computed as the sum of the other probabilities, so that confident images keep their order.
    """
    shifted = np.exp(_subtract_max(logits))
    total = shifted.sum(axis=1)
    others = np.sort(shifted, axis=1)[:, :-1].sum(axis=1)
    return np.asarray(others / total)


def measure_entropy(logits: FloatArray) -> FloatArray:
    """Entropy of the softmax in nats, logits (n, k) -> (n,): -sum p log p (0 where p is 0)."""
    shifted = _subtract_max(logits)
    total = np.exp(shifted).sum(axis=1)
    return np.asarray(np.log(total) - (np.exp(shifted) * shifted).sum(axis=1) / total)


def measure_energy(logits: FloatArray) -> FloatArray:
    """Free energy at temperature 1, logits (n, k) -> (n,): -logsumexp(z).

    Liu et al. 2020, "Energy-based out-of-distribution detection".
    """
    largest = np.asarray(logits, dtype=np.float64).max(axis=1)
    return np.asarray(-(largest + np.log(np.exp(_subtract_max(logits)).sum(axis=1))))


# --- scores of embeddings -------------------------------------------------------------------------------


def measure_mahalanobis(embeddings: FloatArray, whitener: FloatArray, white_means: FloatArray) -> FloatArray:
    """Squared Mahalanobis distance to the nearest class mean, embeddings (n, d) -> (n,).

    min_y (f - mu_y)' S^-1 (f - mu_y) with one shared covariance S: Lee et al. 2018, "A simple unified
    framework for detecting out-of-distribution samples and adversarial attacks".

    Args:
        embeddings: (n, d).
        whitener: (d, d), S^-1/2.
        white_means: (k, d), class means times the whitener.
    """
    white = np.asarray(embeddings @ whitener, dtype=np.float64)
    distances = [np.square(white - mean).sum(axis=1) for mean in white_means.astype(np.float64)]
    return np.asarray(np.min(distances, axis=0))


def measure_knn(embeddings: FloatArray, bank: FloatArray, num_neighbours: int = NUM_NEIGHBOURS) -> FloatArray:
    """Mean cosine distance to the nearest known embeddings, embeddings (n, d) -> (n,) in [0, 2].

    Sun et al. 2022, "Out-of-distribution detection with deep nearest neighbors", with the mean of the
    nearest five instead of the k-th.

    Args:
        embeddings: (n, d).
        bank: (b, d), training embeddings of unit length.
        num_neighbours: how many of them; all, if the bank is smaller.
    """
    cosines = normalise(embeddings).astype(bank.dtype) @ bank.T
    count = min(num_neighbours, bank.shape[0])
    nearest = np.partition(cosines, bank.shape[0] - count, axis=1)[:, -count:]
    return np.asarray(1.0 - np.sort(nearest, axis=1).mean(axis=1, dtype=np.float64))


def measure_fdbd(
    logits: FloatArray,
    embeddings: FloatArray,
    inverse_distances: FloatArray,
    centre: FloatArray,
    inverse_spread: FloatArray,
    norm_floor: float = TINY,
) -> FloatArray:
    """Closeness to the decision boundaries, (n,) <= 0: minus the regularised distance from them.

    -mean_{j != c} [(z_c - z_j) / |w_c - w_j|] / |x| with x = (f - m) / sd the standardised embedding, w the
    head's columns in those units, c the predicted class: Liu & Qin 2024, "Fast decision boundary based
    out-of-distribution detector". Without the standardisation, far unknowns pass for known.

    Args:
        logits: (n, k), the head's own: z = f W + b.
        embeddings: (n, d).
        inverse_distances: (k, k), 1 / |w_c - w_j|; 0 on the diagonal and where two columns are equal.
        centre: (d,), the training mean m.
        inverse_spread: (d,), 1 / sd on training images; 0 for a unit that never varies there.
        norm_floor: |x| counts as no less.
    """
    values = np.asarray(logits, dtype=np.float64)
    predicted = values.argmax(axis=1)
    gaps = values[np.arange(len(values)), predicted][:, None] - values
    distance = (gaps * inverse_distances[predicted]).sum(axis=1) / (values.shape[1] - 1)
    standardised = (np.asarray(embeddings, dtype=np.float64) - centre) * inverse_spread
    norms = np.linalg.norm(standardised, axis=1)
    return np.asarray(-distance / np.maximum(norms, norm_floor))


def measure_vim(
    logits: FloatArray, embeddings: FloatArray, origin: FloatArray, basis: FloatArray, scale: float
) -> FloatArray:
    """Virtual logit of the residual against the energy, (n,): scale |residual| - logsumexp(z).

    The residual is what the principal subspace of the training embeddings leaves over: Wang et al. 2022,
    "ViM: out-of-distribution with virtual-logit matching".

    Args:
        logits: (n, k).
        embeddings: (n, d).
        origin: (d,), -pinv(W') b, where all logits are zero (as nearly as can be).
        basis: (d, r), orthonormal principal directions.
        scale: mean largest logit over mean residual norm, on training images.
    """
    centred = embeddings - origin
    residual = centred - (centred @ basis) @ basis.T
    norms = np.linalg.norm(np.asarray(residual, dtype=np.float64), axis=1)
    return np.asarray(scale * norms + measure_energy(logits))


def measure_whitened_prototype(
    embeddings: FloatArray, centre: FloatArray, whitener: FloatArray, prototypes: FloatArray
) -> FloatArray:
    """Cosine distance to the nearest class prototype after whitening, embeddings (n, d) -> (n,) in [0, 2].

    1 - max_y cos((u - m) S^-1/2, (mu_y - m) S^-1/2) with u = f / |f|, m the mean of u, mu_y its class means
    and S the Ledoit-Wolf covariance within classes.

    Args:
        embeddings: (n, d).
        centre: (d,), m.
        whitener: (d, d), S^-1/2.
        prototypes: (k, d), whitened class means of unit length.
    """
    centred = (normalise(embeddings) - centre).astype(whitener.dtype)
    cosines = normalise(centred @ whitener).astype(prototypes.dtype) @ prototypes.T
    return np.asarray(1.0 - cosines.max(axis=1).astype(np.float64))


# --- the combination ------------------------------------------------------------------------------------


def combine(parts: FloatArray, location: FloatArray, scale: FloatArray) -> FloatArray:
    """Mean of the z-scores of p parts, (n, p) -> (n,).

    Args:
        parts: (n, p), in the order of `COMBINATIONS`.
        location: (p,), their means on validation.
        scale: (p,), their standard deviations on validation.
    """
    return np.asarray(((parts - location) / scale).mean(axis=1))


def measure_capture(quality: FloatArray, centre: FloatArray, whitener: FloatArray) -> FloatArray:
    """How strange the pixels are, quality (n, q) -> (n,): Mahalanobis length over sqrt(q), about 1 if known.

    Args:
        quality: (n, q).
        centre: (q,), medians of known images.
        whitener: (q, q), takes deviations from the centre to unit covariance.
    """
    white = (np.asarray(quality, dtype=np.float64) - centre) @ whitener
    return np.asarray(np.sqrt(np.square(white).mean(axis=1)))


def measure_capture_excess(
    quality: FloatArray, centre: FloatArray, whitener: FloatArray, limit: float
) -> FloatArray:
    """The capture term, (n,) >= 0: max(0, capture - limit); zero for almost every known image."""
    return np.asarray(np.maximum(0.0, measure_capture(quality, centre, whitener) - limit))


def normalise(rows: FloatArray) -> FloatArray:
    """Rows (n, d) at unit length; a row of zeros stays zero, and so has cosine 0 with everything."""
    norms = np.linalg.norm(np.asarray(rows, dtype=np.float64), axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, TINY))


# --- from a detector's arrays ---------------------------------------------------------------------------


def stack_parts(
    detector: OodDetector, name: OodScore, logits: FloatArray, embeddings: FloatArray
) -> FloatArray:
    """The parts of a combination before they are scaled, (n, p) in the order of `COMBINATIONS`."""
    return np.stack([_SCORERS[part](detector, logits, embeddings) for part in COMBINATIONS[name]], axis=1)


def _score_mahalanobis(detector: OodDetector, _: FloatArray, embeddings: FloatArray) -> FloatArray:
    arrays = detector.arrays
    return measure_mahalanobis(
        embeddings - arrays["embedding_mean"], arrays["mahalanobis_whitener"], arrays["mahalanobis_means"]
    )


def _score_vim(detector: OodDetector, logits: FloatArray, embeddings: FloatArray) -> FloatArray:
    arrays = detector.arrays
    return measure_vim(
        logits, embeddings, arrays["vim_origin"], arrays["vim_basis"], float(arrays["vim_scale"])
    )


def _score_fdbd(detector: OodDetector, logits: FloatArray, embeddings: FloatArray) -> FloatArray:
    arrays = detector.arrays
    return measure_fdbd(
        logits,
        embeddings,
        arrays["fdbd_inverse_distances"],
        arrays["embedding_mean"],
        arrays["fdbd_inverse_spread"],
        float(arrays["fdbd_norm_floor"]),
    )


def _score_prototype(detector: OodDetector, _: FloatArray, embeddings: FloatArray) -> FloatArray:
    arrays = detector.arrays
    return measure_whitened_prototype(
        embeddings, arrays["prototype_centre"], arrays["prototype_whitener"], arrays["prototypes"]
    )


_SCORERS: dict[OodScore, Callable[[OodDetector, FloatArray, FloatArray], FloatArray]] = {
    OodScore.MSP: lambda _, logits, __: measure_msp(logits),
    OodScore.ENTROPY: lambda _, logits, __: measure_entropy(logits),
    OodScore.ENERGY: lambda _, logits, __: measure_energy(logits),
    OodScore.MAHALANOBIS: _score_mahalanobis,
    OodScore.KNN: lambda detector, _, embeddings: measure_knn(embeddings, detector.arrays["bank"]),
    OodScore.VIM: _score_vim,
    OodScore.FDBD: _score_fdbd,
    OodScore.WHITENED_PROTOTYPE: _score_prototype,
}


def _score_chunk(
    detector: OodDetector, name: OodScore, logits: FloatArray, embeddings: FloatArray, quality: FloatArray
) -> FloatArray:
    arrays = detector.arrays
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is not finite and is refused
        if name not in COMBINATIONS:
            return _SCORERS[name](detector, logits, embeddings)
        parts = stack_parts(detector, name, logits, embeddings)
        combined = combine(parts, arrays[f"{name}_location"], arrays[f"{name}_scale"])
        return combined + measure_capture_excess(
            quality, arrays["capture_centre"], arrays["capture_whitener"], float(arrays["capture_limit"])
        )


def _check_inputs(
    detector: OodDetector, logits: FloatArray, embeddings: FloatArray, quality: FloatArray
) -> None:
    widths = {
        "Logits": (logits, detector.arrays["fdbd_inverse_distances"].shape[0]),
        "Embeddings": (embeddings, detector.arrays["embedding_mean"].shape[0]),
        "Quality columns": (quality, detector.arrays["capture_centre"].shape[0]),
    }
    for what, (values, width) in widths.items():
        if values.shape != (len(logits), width):
            raise ValueError(
                f"{what} have shape {values.shape}; expected ({len(logits)}, {width}), as the detector was "
                "fitted on. The detector and the network are not of one bundle."
            )
        _check_finite(what, values)


def _check_finite(what: str, values: FloatArray) -> None:
    finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if not finite.all():
        raise TaxonError(
            f"{what} of {np.count_nonzero(~finite)} of {len(values)} images are not finite (first: image "
            f"{int(np.argmin(finite))}). Expected numbers. The network overflows or is damaged: train "
            "or export it again."
        )


def _subtract_max(logits: FloatArray) -> FloatArray:
    values = np.asarray(logits, dtype=np.float64)
    return np.asarray(values - values.max(axis=1, keepdims=True))
