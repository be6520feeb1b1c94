"""Arrays of the unknown scores, fitted on training images of known classes, in numpy alone.

n is images, k classes, d the embedding's width. Covariances come from `Known.whiten`, which needs
scikit-learn and is not reached from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray, IntArray
from vision.decision.formulas import normalise

BANK_ROWS, BANK_ROWS_PER_CLASS, MAX_BANK_ROWS = 2000, 100, 20_000
"""Training embeddings in the kNN bank: at least, for each class, at most (docs/index_benchmarks.md)."""

MAX_FITTED_ROWS = 100_000
"""Most training images that a detector's arrays are fitted on."""

PRINCIPAL_VARIANCE = 0.9
"""Share of variance in ViM's principal subspace."""

SPREAD_FLOOR = 1e-3
EIGENVALUE_FLOOR = 1e-6

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Known:
    """Training images of known classes, as the scores are fitted on them.

    Attributes:
        outputs: (n,) of everything.
        labels: (n,) label index.
        groups: (n,) group names; a bank that is full holds as many groups as it can.
        seed: chooses the rows of the kNN bank where there are too many.
        whiten: residuals (n, d) around zero to S^-1/2, (d, d).
    """

    outputs: ModelOutputs
    labels: IntArray
    groups: NDArray[np.str_]
    seed: int
    whiten: Callable[[FloatArray], FloatArray]

    @cached_property
    def embeddings(self) -> FloatArray:
        """(n, d) float64."""
        return np.asarray(self.outputs.embeddings, dtype=np.float64)

    @cached_property
    def centre(self) -> FloatArray:
        """Mean embedding, (d,) float32."""
        return np.asarray(self.embeddings.mean(axis=0), dtype=np.float32)


def fit_fdbd(known: Known) -> Arrays:
    """Inverse distances of the head's columns, and centre and spread of the embeddings."""
    centred = known.embeddings - known.centre
    spread = centred.std(axis=0)
    varies = spread > SPREAD_FLOOR * max(float(spread.max()), np.finfo(np.float64).tiny)
    inverse_spread = np.where(varies, 1 / np.where(varies, spread, 1.0), 0.0)
    kernel = np.asarray(known.outputs.kernel, dtype=np.float64) * np.where(varies, spread, 0.0)[:, None]
    distances = np.linalg.norm(kernel.T[:, None, :] - kernel.T[None, :, :], axis=2)
    differ = distances > EIGENVALUE_FLOOR * max(float(distances.max()), np.finfo(np.float64).tiny)
    typical = float(np.sqrt(np.square(centred * inverse_spread).sum(axis=1).mean()))
    return {
        "embedding_mean": known.centre,
        "fdbd_inverse_distances": np.where(differ, 1 / np.where(differ, distances, 1.0), 0.0),
        "fdbd_inverse_spread": inverse_spread.astype(np.float32),
        "fdbd_norm_floor": np.array(EIGENVALUE_FLOOR * typical if typical > 0 else 1.0),
    }


def fit_mahalanobis(known: Known) -> Arrays:
    """Whitener of the covariance within classes, and the whitened class means."""
    centred = known.embeddings - known.centre
    means = _class_means(centred, known.labels)
    whitener = known.whiten(centred - means[known.labels])
    return {
        "embedding_mean": known.centre,
        "mahalanobis_whitener": whitener.astype(np.float32),
        "mahalanobis_means": (means @ whitener).astype(np.float32),
    }


def fit_prototypes(known: Known) -> Arrays:
    """Centre, whitener and whitened class means of embeddings at unit length."""
    unit = normalise(known.embeddings)
    centre, means = unit.mean(axis=0), _class_means(unit, known.labels)
    whitener = known.whiten(unit - means[known.labels])
    return {
        "prototype_centre": centre.astype(np.float32),
        "prototype_whitener": whitener.astype(np.float32),
        "prototypes": normalise((means - centre) @ whitener).astype(np.float32),
    }


def fit_vim(known: Known) -> Arrays:
    """Origin, principal directions, and the scale that matches virtual logits with real ones."""
    train = known.outputs
    kernel, bias = np.asarray(train.kernel, dtype=np.float64), np.asarray(train.bias, dtype=np.float64)
    origin = -np.linalg.pinv(kernel.T) @ bias
    centred = known.embeddings - origin
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    shares = np.cumsum(values[::-1]) / max(float(values.sum()), np.finfo(np.float64).tiny)
    rank = int(np.searchsorted(shares, PRINCIPAL_VARIANCE)) + 1
    basis = vectors[:, ::-1][:, :rank]
    residuals = np.linalg.norm(centred - (centred @ basis) @ basis.T, axis=1)
    mean_residual = float(residuals.mean())
    mean_logit = float(np.abs(train.logits.max(axis=1).astype(np.float64).mean()))
    flat = mean_residual <= EIGENVALUE_FLOOR * float(np.linalg.norm(centred, axis=1).mean())
    return {
        "vim_origin": origin.astype(np.float32),
        "vim_basis": basis.astype(np.float32),
        "vim_scale": np.array(0.0 if flat else mean_logit / mean_residual),
    }


def fit_bank(known: Known) -> Arrays:
    """Training embeddings at unit length, at most `MAX_BANK_ROWS`."""
    rng = np.random.default_rng(known.seed)
    wanted = max(BANK_ROWS, BANK_ROWS_PER_CLASS * (int(known.labels.max()) + 1))
    rows = choose_rows(known.labels, known.groups, min(wanted, MAX_BANK_ROWS), rng)
    return {"bank": normalise(known.embeddings[rows]).astype(np.float32)}


def choose_fitted(labels: IntArray, groups: NDArray[np.str_], seed: int) -> IntArray:
    """Rows, ascending, that arrays are fitted on: all, or `MAX_FITTED_ROWS` as `choose_rows` spreads them."""
    return choose_rows(labels, groups, MAX_FITTED_ROWS, np.random.default_rng(seed))


def choose_rows(labels: IntArray, groups: NDArray[np.str_], most: int, rng: np.random.Generator) -> IntArray:
    """Rows, ascending: all, or `most` spread evenly over classes, then over groups."""
    order = rng.permutation(len(labels))
    names, codes = np.unique(groups, return_inverse=True)
    rank_in_group = _count_earlier((labels * len(names) + codes)[order])
    order = order[np.argsort(rank_in_group, kind="stable")]
    rank_in_class = _count_earlier(labels[order])
    return np.sort(order[np.argsort(rank_in_class, kind="stable")][:most])


def _count_earlier(codes: IntArray) -> IntArray:
    """How many earlier entries are equal, (n,)."""
    order = np.argsort(codes, kind="stable")
    _, starts, counts = np.unique(codes[order], return_index=True, return_counts=True)
    ranks = np.empty(len(codes), dtype=np.int64)
    ranks[order] = np.arange(len(codes)) - np.repeat(starts, counts)
    return ranks


def _class_means(rows: FloatArray, labels: IntArray) -> FloatArray:
    return np.stack([rows[labels == label].mean(axis=0) for label in range(int(labels.max()) + 1)])
