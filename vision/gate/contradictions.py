"""Finds new labels that contradict a sure champion on ordinary images; a person looks at them first.

A champion may be wrong on new images because they are unlike those it knows (turbid water, another camera):
then it is unsure, or they look unusual to it, and its answers say nothing of the labels. But where an image
looks ordinary to it and its calibrated confidence is high, it is seldom wrong, and a batch in which it is
"wrong" there time and again is mislabelled, or shows something that a person should see: two classes
swapped, labels shuffled, one class filed under another's name. Neither the current nor the original test
images show this: the former carry the same wrong labels, and on the latter a challenger that can tell the
new images from the old ones loses nothing.

A contradiction is an ordinary, confident image that the champion calls otherwise; it is counted among *all*
new images of its label, so that a batch which is strange to the champion has few, however it errs there. The
unit is the group: one is contradicted if most of its images are. Intervals are exact for a binomial share
(Clopper & Pearson 1934), so that two groups prove nothing and three that agree begin to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.base.record import FloatArray, IntArray, Interval
from vision.base.resampling import exact_interval
from vision.base.wording import count_of
from vision.config.gate import GateSettings
from vision.gate.records import Contradiction, GateCheck

CHECK_NAME = "labels of new images"
MOST_LISTED = 60
_MOST_FINDINGS = 3

BoolArray = NDArray[np.bool_]
TextArray = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class NewLabels:
    """m labelled images that the champion has not seen, of classes that it knows, and what it says of them.

    Attributes:
        rows: (m,) int64, row numbers in the data set.
        groups: (m,) str; that it has seen other images of a group makes its word no weaker.
        labels: (m,) str, the class as labelled.
        answers: (m,) str, the class that the champion names.
        confidence: (m,) float, its calibrated probability of that class.
        p_values: (m,) float, share of its calibration images that are at least this unlike the known classes.
    """

    rows: IntArray
    groups: TextArray
    labels: TextArray
    answers: TextArray
    confidence: FloatArray
    p_values: FloatArray

    @staticmethod
    def none() -> NewLabels:
        """No image at all."""
        text: NDArray[Any] = np.zeros(0, dtype=np.str_)
        numbers = np.zeros(0)
        return NewLabels(np.zeros(0, dtype=np.int64), text, text, text, numbers, numbers)

    def contradicted(self, settings: GateSettings) -> BoolArray:
        """(m,) mask of the ordinary images that the champion is sure to be of another class."""
        sure = (self.confidence >= settings.sure_from) & (self.p_values >= settings.ordinary_from)
        return np.asarray(sure & (self.answers != self.labels))


@dataclass(frozen=True)
class _Finding:
    """How many groups of a part of the new images the champion contradicts."""

    words: str
    num_contradicted: int
    num_groups: int
    share: Interval

    def __str__(self) -> str:
        return f"of {self.words}, {self.num_contradicted} are contradicted: {self.share}"


def check_labels(new: NewLabels, settings: GateSettings, level: float) -> GateCheck:
    """Whether the labels of new images can be believed without a person's look.

    The whole batch is judged, every label in it, and every two labels that may be swapped, by the lower end
    of an interval of this level.
    """
    if not len(new.rows):
        message = "No labelled image of a class that the champion knows is new to it."
        return GateCheck(name=CHECK_NAME, passed=True, message=message)
    contradicted = new.contradicted(settings)
    findings = [
        _count_groups(words, new.groups[inside], (contradicted & counts)[inside], level)
        for words, inside, counts in _parts(new)
    ]
    limit = f"the lower bound may be at most {settings.max_contradicted:.3f}"
    guilty = [each for each in findings if each.share.low > settings.max_contradicted]
    if not guilty:
        message = f"Where the champion is sure of new, ordinary images: {findings[0]}; {limit} of any class."
        return GateCheck(name=CHECK_NAME, passed=True, message=message)
    worst = sorted(guilty, key=lambda each: -each.share.low)[:_MOST_FINDINGS]
    listed = "; ".join(str(each) for each in worst)
    message = (
        f"The labels of new images contradict a sure champion on ordinary images: {listed}; {limit}. Look at "
        "these images. Correct the labels; or, if they are right, set gate.max_contradicted: 1. A retraining "
        "then learns them after its pause, or at once with --set retraining.force=true."
    )
    return GateCheck(name=CHECK_NAME, passed=False, message=message)


def list_contradictions(new: NewLabels, settings: GateSettings) -> tuple[Contradiction, ...]:
    """The contradicted images for a person to look at, the surest first, at most `MOST_LISTED`."""
    found = np.flatnonzero(new.contradicted(settings))
    order = found[np.lexsort((new.rows[found], -new.confidence[found]))][:MOST_LISTED]
    return tuple(
        Contradiction(
            row=int(new.rows[i]),
            class_name=str(new.labels[i]),
            answer=str(new.answers[i]),
            confidence=float(new.confidence[i]),
        )
        for i in order
    )


def _parts(new: NewLabels) -> Iterator[tuple[str, BoolArray, BoolArray]]:
    """What is judged: words, (m,) mask of the images, (m,) mask of the answers that count against them."""
    everywhere = np.ones(len(new.rows), dtype=bool)
    yield f"{_count(new.groups)} of new images", everywhere, everywhere
    classes = np.unique(new.labels)
    for name in classes:
        inside = new.labels == name
        yield f"{_count(new.groups[inside])} labelled {name}", inside, everywhere
    for first, second in combinations(classes, 2):
        inside = np.isin(new.labels, [first, second])
        counts = np.isin(new.answers, [first, second])
        words = f"{_count(new.groups[inside])} labelled {first} or {second} and called the other"
        yield words, inside, counts


def _count(groups: TextArray) -> str:
    return count_of(len(np.unique(groups)), "group")


def _count_groups(words: str, groups: TextArray, contradicted: BoolArray, level: float) -> _Finding:
    _, members = np.unique(groups, return_inverse=True)
    share = np.bincount(members, weights=contradicted) / np.bincount(members)
    num_groups, num_contradicted = len(share), int((share > 0.5).sum())
    return _Finding(words, num_contradicted, num_groups, exact_interval(num_contradicted, num_groups, level))
