"""Champion and challenger answer the same test images, each through the graph that it is served with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision.base.errors import BundleError
from vision.base.outputs import ModelOutputs
from vision.base.record import ImageArray, IntArray
from vision.bundle.assembly import LoadedBundle, load_bundle
from vision.bundle.records import Bundle
from vision.config.evaluation import BootstrapSettings
from vision.config.gate import GateSettings
from vision.data.labelled import Labelled, select
from vision.data.records import Split, Splits
from vision.decision.predictor import Decisions
from vision.decision.served import Served
from vision.evaluation.answered import FAR, KNOWN, NEAR, pool_far
from vision.evaluation.baselines import Baselines
from vision.gate.contradictions import NewLabels
from vision.gate.judge import judge_gate
from vision.gate.records import GateCheck, Promotion
from vision.gate.regression import check_regression
from vision.gate.sides import Challenger, Champion
from vision.gate.use import Replies, Shown

ImagesAt = Callable[[int, str], ImageArray]
"""Decoded images of the data set at (size, resize policy): a champion may have another input than ours."""

BATCH_SIZE = 64


@dataclass(frozen=True, eq=False)
class Incumbent:
    """The champion as it comes from the registry."""

    bundle: Bundle
    digest: str
    splits: Splits

    @classmethod
    def of(cls, bundle: Bundle | None, digest: str | None, splits: Splits | None) -> Incumbent | None:
        """The champion of what the registry gave; None where it gave nothing.

        Raises:
            BundleError: it gave a part: without the rest the champion cannot be defended.
        """
        if bundle is None and digest is None and splits is None:
            return None
        if bundle is None or digest is None or splits is None:
            given = {"bundle": bundle, "digest": digest, "splits": splits}
            missing = ", ".join(name for name, value in given.items() if value is None)
            raise BundleError(
                f"The champion came without its {missing}; expected bundle, digest and splits. Restore its "
                "version in the registry, or archive it to start without a champion."
            )
        return cls(bundle, digest, splits)


@dataclass(frozen=True, eq=False)
class Current:
    """What is known of the current images.

    Attributes:
        splits: of all of them.
        baselines: their answers to the known test images.
        images_at: gives the images as a champion needs them.
        far: far kind -> the challenger's outputs of its images.
        far_at: gives these images at (size, resize policy), as a champion needs them.
        regression: folder of the pictures that every model is asked, where there is one.
    """

    splits: Splits
    baselines: Baselines
    images_at: ImagesAt
    far: Mapping[str, ModelOutputs] = field(default_factory=dict)
    far_at: Callable[[int, str], Mapping[str, ImageArray]] = lambda *_: {}
    regression: Path | None = None


def judge(
    bundle: Bundle,
    served: Served,
    current: Current,
    settings: GateSettings,
    bootstrap: BootstrapSettings,
    seed: int,
    incumbent: Incumbent | None,
) -> Promotion:
    """The gate's verdict on a bundle that gave `served` for test; without an incumbent, floors alone count.

    Raises:
        BundleError: the champion's files are not those that the registry pins.
        ValueError: the baselines answered other images.
    """
    test = select(served.outputs, current.splits, Split.TEST)
    if not np.array_equal(np.array(current.baselines.rows), test.outputs.rows):
        raise ValueError("The baselines answered other test images than the challenger; expected the same.")
    challenger = _describe_challenger(bundle, test, served, current)
    champion = None
    if incumbent is not None:
        champion = _describe_champion(incumbent, bundle, test, current)
    asked = _ask_regression(bundle, current.regression, incumbent)
    return judge_gate(challenger, champion, settings, bootstrap, seed, asked)


def _ask_regression(
    bundle: Bundle, folder: Path | None, incumbent: Incumbent | None
) -> tuple[GateCheck, ...]:
    """The check of the regression set; none without one, or where the champion is this very bundle."""
    if folder is None or (incumbent is not None and incumbent.digest == bundle.digest):
        return ()
    challenger = load_bundle(bundle.root, bundle.digest)
    if incumbent is None:
        return (check_regression(folder, challenger, None, ()),)
    champion = load_bundle(incumbent.bundle.root, incumbent.digest)
    learned = _digests_of(incumbent.splits, Split.TRAIN, Split.VALIDATION, Split.CALIBRATION)
    return (check_regression(folder, challenger, champion, learned),)


def _describe_challenger(bundle: Bundle, test: Labelled, served: Served, current: Current) -> Challenger:
    answers = served.decide(test.outputs)
    splits, baselines = current.splits, current.baselines
    near = select(served.outputs, splits, Split.TEST, unknown=True)
    kinds = {KNOWN: test, NEAR: near}
    if current.far:
        kinds[FAR] = pool_far(current.far)
    return Challenger(
        bundle_digest=bundle.digest,
        class_names=served.rule.class_names,
        digests=_digests_at(splits, test.outputs.rows),
        groups=test.groups,
        correct=answers.classes == test.labels,
        called_unknown=answers.called_unknown,
        majority_correct=np.array(baselines.majority_correct),
        pixels_correct=np.array(baselines.pixels_correct),
        trained_digests=_digests_of(splits, Split.TRAIN, Split.VALIDATION, Split.CALIBRATION),
        shown={
            kind: Shown(
                digests=images.groups if kind == FAR else _digests_at(splits, images.outputs.rows),
                groups=images.groups,
                replies=Replies.of(decisions, decisions.classes == images.labels),
            )
            for kind, images in kinds.items()
            for decisions in [answers if kind == KNOWN else served.decide(images.outputs)]
        },
    )


def _digests_at(splits: Splits, rows: IntArray) -> NDArray[np.str_]:
    return np.array(splits.digests, dtype=np.str_)[rows]


def _describe_champion(
    incumbent: Incumbent, challenger: Bundle, test: Labelled, current: Current
) -> Champion:
    splits = current.splits
    correct, new_labels = np.zeros(len(test.labels), dtype=bool), NewLabels.none()
    loaded = load_bundle(incumbent.bundle.root, incumbent.digest)
    replies: dict[str, Replies] = {}
    if challenger.digest != incumbent.digest:
        images = current.images_at(loaded.contract.image_size, loaded.contract.resize)
        replies = _reply(loaded, images, test, current)
        correct = replies[KNOWN].correct
        new_labels = _ask_new(loaded, images, splits, incumbent.splits)
    return Champion(
        bundle_digest=incumbent.digest,
        class_names=loaded.contract.class_names,
        correct=correct,
        trained_digests=_digests_of(incumbent.splits, Split.TRAIN, Split.VALIDATION, Split.CALIBRATION),
        original_digests=_digests_of(incumbent.splits, Split.TEST) & _unrelabelled(incumbent.splits, splits),
        new_labels=new_labels,
        replies=replies,
    )


def _reply(loaded: LoadedBundle, images: ImageArray, test: Labelled, current: Current) -> dict[str, Replies]:
    """Known, near and far -> the champion's replies, by its own whole rule.

    That it calls a class unknown which it does not know is no mistake.
    """
    names = np.array(loaded.contract.class_names, dtype=np.str_)
    known = _ask(loaded, images, test.outputs.rows)
    taught = np.isin(test.class_names, names)
    correct = np.asarray(names[known.classes] == test.class_names)
    replies = {KNOWN: Replies(known.accepted, known.called_unknown & taught, correct)}
    near = current.splits.rows(Split.TEST, unknown=True)
    if len(near):
        replies[NEAR] = Replies.of(_ask(loaded, images, near))
    if current.far:
        made = current.far_at(loaded.contract.image_size, loaded.contract.resize)
        far = np.concatenate([made[kind] for kind in current.far])
        replies[FAR] = Replies.of(_ask(loaded, far, np.arange(len(far))))
    return replies


def _ask_new(loaded: LoadedBundle, images: ImageArray, splits: Splits, known: Splits) -> NewLabels:
    """What the champion says of the images that are new to it, by its own whole rule."""
    rows = find_new_rows(splits, known, loaded.contract.class_names)
    if not len(rows):
        return NewLabels.none()
    answers = _ask(loaded, images, rows)
    names = np.array(loaded.contract.class_names, dtype=np.str_)
    return NewLabels(
        rows=rows,
        groups=splits.group_array()[rows],
        labels=np.array(splits.image_classes, dtype=np.str_)[rows],
        answers=names[answers.classes],
        confidence=answers.confidence,
        p_values=answers.p_values,
    )


def find_new_rows(splits: Splits, known: Splits, class_names: tuple[str, ...]) -> IntArray:
    """Rows (m,) of images in use, of classes of the champion, that it did not learn under this label."""
    learnt = known.learnt()
    columns = zip(splits.digests, splits.image_classes, splits.splits, strict=True)
    new: NDArray[np.bool_] = np.array(
        [
            split is not None and name in class_names and (digest, name) not in learnt
            for digest, name, split in columns
        ],
        dtype=bool,
    )
    return np.flatnonzero(new)


def _unrelabelled(former: Splits, current: Splits) -> frozenset[str]:
    """Digests of images of the class that they had: under another label an old answer proves nothing."""
    same = former.learnt() & current.learnt()
    return frozenset(digest for digest, _ in same)


def _ask(loaded: LoadedBundle, images: ImageArray, rows: IntArray) -> Decisions:
    """A champion's answers to some rows of the images, in batches."""
    predictor = loaded.predictor()
    blocks = [rows[start : start + BATCH_SIZE] for start in range(0, len(rows), BATCH_SIZE)]
    parts = [predictor.run(np.asarray(images[block])).decisions for block in blocks]
    columns = (each.name for each in fields(Decisions))
    return Decisions(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def _digests_of(splits: Splits, *wanted: Split) -> frozenset[str]:
    pairs: zip[tuple[str, Split | None]] = zip(splits.digests, splits.splits, strict=True)
    return frozenset(digest for digest, own in pairs if own in wanted)
