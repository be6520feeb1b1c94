"""The formulas of the unknown scores in numpy alone; higher is more unknown.

n is images, k known classes, d the embedding's width. Logits are taken at temperature 1.
"""

from __future__ import annotations

import numpy as np

from vision.base.record import FloatArray

NUM_NEIGHBOURS = 5
TINY = 1e-12

MOST_ALONE = 32
"""Rows that are multiplied one by one: so few are asked at once where answers are given."""

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
    framework for detecting out-of-distribution samples and adversarial attacks". The whitener (d, d) is
    S^-1/2; `white_means` (k, d) are the class means times it.
    """
    white = np.asarray(_multiply(embeddings, whitener), dtype=np.float64)
    distances = [np.square(white - mean).sum(axis=1) for mean in white_means.astype(np.float64)]
    return np.asarray(np.min(distances, axis=0))


def measure_knn(embeddings: FloatArray, bank: FloatArray, num_neighbours: int = NUM_NEIGHBOURS) -> FloatArray:
    """Mean cosine distance to the nearest known embeddings, embeddings (n, d) -> (n,) in [0, 2].

    Sun et al. 2022, "Out-of-distribution detection with deep nearest neighbors", with the mean of the
    nearest five (all, if the bank is smaller) instead of the k-th. The bank (b, d) holds training embeddings
    of unit length.
    """
    cosines = _multiply(normalise(embeddings).astype(bank.dtype), bank.T)
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
    "ViM: out-of-distribution with virtual-logit matching". The origin (d,) is -pinv(W') b, where all logits
    (n, k) are zero, as nearly as can be; the basis (d, r) holds orthonormal principal directions; the scale
    is mean largest logit over mean residual norm, on training images.
    """
    centred = embeddings - origin
    residual = centred - _multiply(_multiply(centred, basis), basis.T)
    norms = np.linalg.norm(np.asarray(residual, dtype=np.float64), axis=1)
    return np.asarray(scale * norms + measure_energy(logits))


def measure_whitened_prototype(
    embeddings: FloatArray, centre: FloatArray, whitener: FloatArray, prototypes: FloatArray
) -> FloatArray:
    """Cosine distance to the nearest class prototype after whitening, embeddings (n, d) -> (n,) in [0, 2].

    1 - max_y cos((u - m) S^-1/2, (mu_y - m) S^-1/2) with u = f / |f|, m the mean of u, mu_y its class means
    and S the Ledoit-Wolf covariance within classes. The centre (d,) is m, the whitener (d, d) S^-1/2, the
    prototypes (k, d) are whitened class means of unit length.
    """
    centred = (normalise(embeddings) - centre).astype(whitener.dtype)
    white = normalise(_multiply(centred, whitener)).astype(prototypes.dtype)
    cosines = _multiply(white, prototypes.T)
    return np.asarray(1.0 - cosines.max(axis=1).astype(np.float64))


# --- the combination ------------------------------------------------------------------------------------


def combine(parts: FloatArray, location: FloatArray, scale: FloatArray) -> FloatArray:
    """Mean of the z-scores of p parts, (n, p) -> (n,), by their means and deviations (p,) on validation."""
    return np.asarray(((parts - location) / scale).mean(axis=1))


def measure_length(values: FloatArray, centre: FloatArray, whitener: FloatArray) -> FloatArray:
    """Mahalanobis length of values (n, q) over sqrt(q), (n,); about 1 if known.

    The whitener (q, q) takes deviations from the centre (q,) of known images to unit covariance.
    """
    white = _multiply(np.asarray(values, dtype=np.float64) - centre, whitener)
    return np.asarray(np.sqrt(np.square(white).mean(axis=1)))


def normalise(rows: FloatArray) -> FloatArray:
    """Rows (n, d) at unit length; a row of zeros stays zero, and so has cosine 0 with everything."""
    norms = np.linalg.norm(np.asarray(rows, dtype=np.float64), axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, TINY))


def _multiply(rows: FloatArray, matrix: FloatArray) -> FloatArray:
    """Rows (n, q) times a matrix (q, m), (n, m); of few rows, none depends on what the others are.

    The last digits of a product of two matrices depend on how many rows there are. An answer must not depend
    on what else is asked at the same time. Of many rows that would be five times slower.
    """
    if len(rows) > MOST_ALONE:
        return np.asarray(rows @ matrix)
    return np.asarray(np.matmul(rows[:, None, :], matrix)[:, 0])


def _subtract_max(logits: FloatArray) -> FloatArray:
    values = np.asarray(logits, dtype=np.float64)
    return np.asarray(values - values.max(axis=1, keepdims=True))
