"""Cross-fitting: every known image is answered by a head and a detector that were fitted without its group.

Folds of whole groups; the detector of a fold is fitted on the embeddings of the others, as its head was (Vovk
2015, "Cross-conformal predictors"). What is served is fitted on all of them.
"""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from vision.base.errors import TooFewImagesError
from vision.base.outputs import FoldHeads, ModelOutputs
from vision.data.labelled import Labelled, at_rows, select
from vision.data.records import Split, Splits
from vision.decision.arrays import choose_fitted
from vision.decision.fitting import check_outputs, fit_arrays, fit_detector, fit_scales
from vision.decision.held_out import HeldOut
from vision.decision.records import OodDetector
from vision.decision.scores import COMBINATIONS, SCORES, OodScore, combine_parts, score_unknown, stack_parts
from vision.decision.strangers import measure_strangers

ABSENT_GAP = 20.0
"""How far below the others the logit of a class lies that a fold's head was not taught."""


def hold_out(
    outputs: ModelOutputs, heads: FoldHeads, splits: Splits, score: str, seed: int
) -> tuple[OodDetector, HeldOut]:
    """The detector that is served, and what is said of known images by models fitted without them.

    `outputs` are of one network or its exported graph, on train, validation and calibration; `heads` has no
    folds where the network was not cross-fitted.

    Raises:
        DataError, TooFewImagesError, TrainingError: see `fit_detector`.
    """
    deciding = OodScore(score)
    with threadpool_limits(1):  # faster for matrices of this size, and the same on every number of cores
        if heads.num_folds:
            return _by_folds(at_rows(outputs, splits, heads.rows), heads, deciding, seed)
        return _by_splits(outputs, splits, deciding, seed)


def _by_splits(
    outputs: ModelOutputs, splits: Splits, deciding: OodScore, seed: int
) -> tuple[OodDetector, HeldOut]:
    """Fitted on train, scaled on validation; the rule's images are those of calibration."""
    train, validation = select(outputs, splits, Split.TRAIN), select(outputs, splits, Split.VALIDATION)
    detector = fit_detector(train.outputs, train.labels, train.groups, validation.outputs, deciding, seed)
    calibration = splits.rows(Split.CALIBRATION)
    rows = np.sort(np.concatenate([splits.rows(Split.VALIDATION), calibration]))
    known = at_rows(outputs, splits, rows)
    seen = known.outputs.logits, known.outputs.embeddings
    scores = {name: score_unknown(detector, *seen, name) for name in _told(deciding)}
    for_rule, early = np.isin(rows, calibration), known.outputs.early
    strangers = None if early is None else measure_strangers(detector.arrays, early)
    said = known.outputs.logits, known.labels, known.groups, for_rule, scores, strangers
    return detector, HeldOut(rows, *said)


def _told(deciding: OodScore) -> tuple[OodScore, ...]:
    """The scores that are kept of held-out images."""
    return tuple(dict.fromkeys((deciding, OodScore.MSP)))


def _by_folds(
    known: Labelled, heads: FoldHeads, deciding: OodScore, seed: int
) -> tuple[OodDetector, HeldOut]:
    """The same by folds. An image of a class that no other fold has cannot be held out: it is left out.

    The parts of a combination are scaled by what they are on all held-out images.
    """
    outputs, labels = known.outputs, known.labels
    check_outputs(outputs, labels, known.groups)
    names = tuple(dict.fromkeys((*COMBINATIONS, *_told(deciding))))
    parts = {name: np.zeros((len(labels), len(SCORES[name].parts) or 1)) for name in names}
    held = np.zeros(len(labels), bool)
    logits = np.zeros(outputs.logits.shape, np.float32)
    strangers = None if outputs.early is None else np.zeros(len(labels))
    for fold in range(heads.num_folds):
        train = np.flatnonzero(heads.folds != fold)
        taught = np.unique(labels[train])
        inside = np.flatnonzero((heads.folds == fold) & np.isin(labels, taught))
        if len(taught) < 2 or not len(inside):
            continue
        train = train[choose_fitted(labels[train], known.groups[train], seed)]
        head = heads.kernels[fold][:, taught], heads.biases[fold][taught]
        own, asked = (outputs.at(rows).with_head(*head) for rows in (train, inside))
        arrays = fit_arrays(own, np.searchsorted(taught, labels[train]), known.groups[train], seed, names)
        for name, values in parts.items():
            values[inside] = stack_parts(arrays, name, asked.logits, asked.embeddings)
        if strangers is not None and asked.early is not None:
            strangers[inside] = measure_strangers(arrays, asked.early)
        logits[inside] = asked.logits.min(axis=1, keepdims=True) - ABSENT_GAP
        logits[np.ix_(inside, taught)] = asked.logits
        held[inside] = True
    if not held.any():
        raise TooFewImagesError(
            f"None of {len(labels)} images could be held out: every class lies in one group. Expected two "
            "groups and more of a class; add images of other individuals, or look at dataset.group_by."
        )
    arrays = fit_arrays(outputs, labels, known.groups, seed, OodScore)
    for name in COMBINATIONS:
        arrays |= fit_scales(name, parts[name][held])
    scores = {
        name: combine_parts(arrays, name, parts[name]) if SCORES[name].parts else parts[name][:, 0]
        for name in _told(deciding)
    }
    for_rule = np.ones(len(labels), bool)
    answers = HeldOut(outputs.rows, logits, labels, known.groups, for_rule, scores, strangers)
    return OodDetector(deciding.value, arrays), answers.take(held)
