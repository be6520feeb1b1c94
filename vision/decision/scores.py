"""The table of unknown scores, one row each, and the scores of images; higher is more unknown.

A row says what the score is, how it is measured from outputs and arrays (`vision.decision.formulas`), and
which arrays are fitted on training images (`vision.decision.arrays`). NumPy alone: the service reaches this
module. n is images, k known classes, d the embedding's width.

Two scores are combinations, the mean of three z-scores. `ewk`, the default, asks the softmax (entropy), the
classes (whitened prototype) and the single images (kNN); `fwk` has fDBD in the place of entropy. Pictures of
another kind altogether are told by `vision.decision.strangers`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from vision.base.errors import TaxonError
from vision.base.record import FloatArray
from vision.decision.arrays import Arrays, Known, fit_bank, fit_fdbd, fit_mahalanobis, fit_prototypes, fit_vim
from vision.decision.formulas import (
    combine,
    measure_energy,
    measure_entropy,
    measure_fdbd,
    measure_knn,
    measure_mahalanobis,
    measure_msp,
    measure_vim,
    measure_whitened_prototype,
)
from vision.decision.records import OodDetector, UnknownThreshold

CHUNK_ROWS = 2048


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


@dataclass(frozen=True)
class Score:
    """One row of the table.

    Attributes:
        measure: arrays, logits (n, k) and embeddings (n, d) to scores (n,); None where `parts` are combined.
        fit: the arrays that `measure` needs, from training images; None where it needs none.
        parts: of a combination, in the order of their scales in a detector's arrays.
    """

    name: OodScore
    description: str
    measure: Callable[[Arrays, FloatArray, FloatArray], FloatArray] | None = None
    fit: Callable[[Known], Arrays] | None = None
    parts: tuple[OodScore, ...] = ()


def _measure_mahalanobis(arrays: Arrays, _: FloatArray, embeddings: FloatArray) -> FloatArray:
    return measure_mahalanobis(
        embeddings - arrays["embedding_mean"], arrays["mahalanobis_whitener"], arrays["mahalanobis_means"]
    )


def _measure_vim(arrays: Arrays, logits: FloatArray, embeddings: FloatArray) -> FloatArray:
    return measure_vim(
        logits, embeddings, arrays["vim_origin"], arrays["vim_basis"], float(arrays["vim_scale"])
    )


def _measure_fdbd(arrays: Arrays, logits: FloatArray, embeddings: FloatArray) -> FloatArray:
    return measure_fdbd(
        logits,
        embeddings,
        arrays["fdbd_inverse_distances"],
        arrays["embedding_mean"],
        arrays["fdbd_inverse_spread"],
        float(arrays["fdbd_norm_floor"]),
    )


def _measure_prototype(arrays: Arrays, _: FloatArray, embeddings: FloatArray) -> FloatArray:
    return measure_whitened_prototype(
        embeddings, arrays["prototype_centre"], arrays["prototype_whitener"], arrays["prototypes"]
    )


_ROWS = (
    Score(
        OodScore.EWK,
        "entropy, whitened prototype and kNN",
        parts=(OodScore.ENTROPY, OodScore.WHITENED_PROTOTYPE, OodScore.KNN),
    ),
    Score(
        OodScore.FWK,
        "fDBD, whitened prototype and kNN",
        parts=(OodScore.FDBD, OodScore.WHITENED_PROTOTYPE, OodScore.KNN),
    ),
    Score(OodScore.MSP, "one minus the maximum softmax", lambda _, logits, __: measure_msp(logits)),
    Score(OodScore.ENTROPY, "entropy of the softmax", lambda _, logits, __: measure_entropy(logits)),
    Score(OodScore.ENERGY, "free energy of the logits", lambda _, logits, __: measure_energy(logits)),
    Score(OodScore.MAHALANOBIS, "distance to the nearest class mean", _measure_mahalanobis, fit_mahalanobis),
    Score(
        OodScore.KNN,
        "cosine distance to the nearest training images",
        lambda arrays, _, embeddings: measure_knn(embeddings, arrays["bank"]),
        fit_bank,
    ),
    Score(OodScore.VIM, "residual of the principal subspace against the energy", _measure_vim, fit_vim),
    Score(OodScore.FDBD, "closeness to the decision boundaries", _measure_fdbd, fit_fdbd),
    Score(
        OodScore.WHITENED_PROTOTYPE,
        "cosine distance to the nearest class prototype after whitening",
        _measure_prototype,
        fit_prototypes,
    ),
)
SCORES = {row.name: row for row in _ROWS}
"""Every score: a new one is a member of `OodScore`, a row here and a word in `UnknownSettings.score`."""

COMBINATIONS = {row.name: row.parts for row in _ROWS if row.parts}


def score_unknown(
    detector: OodDetector,
    logits: FloatArray,
    embeddings: FloatArray,
    name: OodScore | None = None,
) -> FloatArray:
    """Unknown scores of n images, (n,) float64, by the detector's deciding score or by `name`.

    Logits (n, k) are not divided by a temperature; embeddings are (n, d).

    Raises:
        TaxonError: an input or a score is not finite.
        ValueError: the shapes are not those that the detector was fitted on.
    """
    chosen = OodScore(name or detector.score_name)
    _check_inputs(detector, logits, embeddings)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is not finite and is refused
        parts = stack_parts(detector.arrays, chosen, logits, embeddings)
        scores = combine_parts(detector.arrays, chosen, parts) if SCORES[chosen].parts else parts[:, 0]
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


def stack_parts(arrays: Arrays, name: OodScore, logits: FloatArray, embeddings: FloatArray) -> FloatArray:
    """Parts of a combination before they are scaled, (n, p) in its row's order; else the score, (n, 1)."""
    rows = [SCORES[part] for part in SCORES[name].parts or (name,)]
    measures = [row.measure for row in rows if row.measure is not None]
    chunks = [slice(start, start + CHUNK_ROWS) for start in range(0, max(1, len(logits)), CHUNK_ROWS)]
    return np.concatenate(
        [np.stack([each(arrays, logits[at], embeddings[at]) for each in measures], axis=1) for at in chunks]
    )


def combine_parts(arrays: Arrays, name: OodScore, parts: FloatArray) -> FloatArray:
    """Scores (n,) of a combination from its parts (n, p)."""
    return combine(parts, arrays[f"{name}_location"], arrays[f"{name}_scale"])


def _check_inputs(detector: OodDetector, logits: FloatArray, embeddings: FloatArray) -> None:
    widths = {
        "Logits": (logits, detector.arrays["fdbd_inverse_distances"].shape[0]),
        "Embeddings": (embeddings, detector.arrays["embedding_mean"].shape[0]),
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
