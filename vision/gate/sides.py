"""What two models answer to the same test images, as the gate compares them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vision.evaluation.answered import KNOWN
from vision.gate.contradictions import NewLabels
from vision.gate.use import Replies, Shown

BoolArray = NDArray[np.bool_]
TextArray = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Challenger:
    """The bundle at the gate and its answers to the known test images; every array is (n,), one an image.

    Attributes:
        digests: SHA-256 of each image file.
        correct: whether the class is right, whatever the decision.
        pixels_correct: whether logistic regression on raw pixels is right.
        trained_digests: of images that it has seen (train, validation, calibration).
        shown: known, near and far -> test images and its replies; those of the known are in the order above.
    """

    bundle_digest: str
    class_names: tuple[str, ...]
    digests: TextArray
    groups: TextArray
    correct: BoolArray
    called_unknown: BoolArray
    majority_correct: BoolArray
    pixels_correct: BoolArray
    trained_digests: Collection[str] = ()
    shown: Mapping[str, Shown] = field(default_factory=dict)

    @property
    def decides(self) -> bool:
        """Whether it accepts any known test image; True where that was not asked."""
        return KNOWN not in self.shown or bool(self.shown[KNOWN].replies.accepted.any())


@dataclass(frozen=True, eq=False)
class Champion:
    """The bundle in production and its answers to the same test images as the challenger's.

    Attributes:
        correct: (n,) bool, aligned with the challenger's; an image of a class it does not know is wrong.
        trained_digests: of images that it has seen (train, validation, calibration).
        original_digests: of its own test images; they are looked up among the current ones.
        new_labels: the labelled images of every split that are new to it, and what it says of them.
        replies: known, near and far -> its replies to the images that the challenger was shown.
    """

    bundle_digest: str
    class_names: tuple[str, ...]
    correct: BoolArray
    trained_digests: Collection[str]
    original_digests: Collection[str]
    new_labels: NewLabels = field(default_factory=NewLabels.none)
    replies: Mapping[str, Replies] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class PairedAnswers:
    """Two models' answers to the same images; every array is (m,), one an image."""

    digests: TextArray
    groups: TextArray
    challenger_correct: BoolArray
    champion_correct: BoolArray

    def where(self, chosen: BoolArray) -> PairedAnswers:
        """The answers to some of the images, (m,) mask."""
        return PairedAnswers(**{name: column[chosen] for name, column in vars(self).items()})

    def untouched_by(self, trained_digests: Collection[str]) -> PairedAnswers:
        """Without every group of which a model has seen one of these images.

        A group that a model has seen other images of is left out as well by the splits: they keep whole
        groups together.
        """
        seen = np.isin(self.digests, np.array(sorted(trained_digests), dtype=np.str_))
        return self.where(~np.isin(self.groups, self.groups[seen]))


def check_columns(challenger: Challenger, champion: Champion | None) -> None:
    """Refuse columns that are not of the same images; ValueError if they differ in length."""
    columns = {
        "groups": challenger.groups,
        "correct": challenger.correct,
        "called_unknown": challenger.called_unknown,
        "majority_correct": challenger.majority_correct,
        "pixels_correct": challenger.pixels_correct,
    }
    if champion is not None:
        columns["the champion's correct"] = champion.correct
    for name, column in columns.items():
        if len(column) != len(challenger.digests):
            raise ValueError(
                f"{name} is of {len(column)} images, digests of {len(challenger.digests)}; expected the same "
                "test images in the same order."
            )
