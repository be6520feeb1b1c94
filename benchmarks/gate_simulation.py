"""How often the gate lets a challenger through that was trained on a good, a strange or a poisoned batch.

    python -m benchmarks.gate_simulation

Nothing is trained: answers are drawn by group, with rates that are written beside each case. Old data: 150
test groups of one or two images, eight classes, both models right on 98% of them. New batch: `groups` groups,
all of which the champion is asked about, 15% of which are test. Printed: the share of 200 draws that is
promoted without and with the check of new labels; all other rules of the gate hold in both. Two to four
minutes. `docs/decisions/0010-poisoned-labels.md` has a table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.config.evaluation import BootstrapSettings
from vision.config.gate import GateSettings
from vision.gate.contradictions import NewLabels
from vision.gate.judge import judge_gate
from vision.gate.records import Verdict
from vision.gate.sides import Challenger, Champion

NUM_CLASSES = 8
NUM_OLD_GROUPS = 150
TEST_SHARE = 0.15
DRAWS = 200
CLASS_NAMES = tuple(f"class{i}" for i in range(NUM_CLASSES))
SETTINGS = GateSettings()
BOOTSTRAP = BootstrapSettings(resamples=200)

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """A batch, and what the two models make of it.

    Attributes:
        name: in the table.
        poison: of the labels: none, swap (classes 0 and 1), half (of the groups of these two), shuffle.
        champion: its accuracy on the new images, against the truth.
        unusual: share of new groups that look unusual to it (p-value below 0.2).
        sure: share of its wrong answers of which it is sure.
        follows: share of new groups of which the challenger learned the label, not the truth.
        new: how often it answers what it learned on the new test images.
        old: its accuracy on the old test images.
    """

    name: str
    poison: str = "none"
    champion: float = 0.98
    unusual: float = 0.2
    sure: float = 0.25
    follows: float = 0.0
    new: float = 0.96
    old: float = 0.98


CASES = (
    Case("clean, like the old", new=0.98),
    Case("clean, turbid, seen as unusual", champion=0.45, unusual=0.85, sure=0.3),
    Case("clean, turbid, half seen as unusual", champion=0.45, unusual=0.5, sure=0.3),
    Case("clean, turbid, not seen, champion often sure", champion=0.45, unusual=0.2, sure=0.6),
    Case("shuffled, like the old, ignored", "shuffle"),
    Case("shuffled, like the old, harms", "shuffle", old=0.95),
    Case("shuffled, turbid", "shuffle", champion=0.45, unusual=0.85, sure=0.3, new=0.6),
    Case("swapped, like the old, ignored", "swap", new=0.98),
    Case("swapped, like the old, learned", "swap", follows=0.9, old=0.76),
    Case("swapped, other camera, learned", "swap", follows=0.97),
    Case("half swapped, other camera, learned", "half", follows=0.7),
    Case("swapped, turbid, learned", "swap", champion=0.45, unusual=0.85, sure=0.3, follows=0.97),
)


def swap_labels(truth: Array, poison: str, rng: np.random.Generator) -> Array:
    """Labels (g,) of the groups with the poison in them."""
    labels = truth.copy()
    if poison == "shuffle":
        return np.asarray(rng.permutation(truth))
    if poison in ("swap", "half"):
        hit = (truth < 2) & (rng.random(len(truth)) < (1.0 if poison == "swap" else 0.5))
        labels[hit] = 1 - truth[hit]
    return labels


def answer(truth: Array, accuracy: float, rng: np.random.Generator) -> Array:
    """Answers (g,) that are right at that rate; wrong ones are any other class."""
    wrong = rng.random(len(truth)) >= accuracy
    return np.asarray((truth + wrong * rng.integers(1, NUM_CLASSES, len(truth))) % NUM_CLASSES)


def draw(case: Case, num_groups: int, seed: int) -> tuple[Challenger, Champion]:
    """Both models at the gate; a group has one or two images that are answered alike."""
    rng = np.random.default_rng(seed)
    old_truth = rng.integers(0, NUM_CLASSES, NUM_OLD_GROUPS)
    new_truth = rng.permutation(np.arange(num_groups) % NUM_CLASSES)
    labels = swap_labels(new_truth, case.poison, rng)
    says = answer(new_truth, case.champion, rng)
    right = says == new_truth
    confident = rng.random(num_groups) < np.where(right, 0.95, case.sure)
    p_values = np.where(rng.random(num_groups) < case.unusual, 0.05, 0.6)
    learned = np.where(rng.random(num_groups) < case.follows, labels, new_truth)
    challenger_says = answer(learned, case.new, rng)
    tested = rng.random(num_groups) < TEST_SHARE
    sizes = rng.integers(1, 3, NUM_OLD_GROUPS + num_groups)
    images = np.repeat(np.arange(NUM_OLD_GROUPS + num_groups), sizes)
    old = images < NUM_OLD_GROUPS
    new_groups = images[~old] - NUM_OLD_GROUPS
    groups = np.array([f"group{i}" for i in images])
    digests = np.array([f"image{i}" for i in range(len(images))])
    test = old | np.concatenate([np.zeros(old.sum(), dtype=bool), tested[new_groups]])
    old_right = [(answer(old_truth, rate, rng) == old_truth)[images[old]] for rate in (0.98, case.old)]
    champion_right = np.concatenate([old_right[0], (says == labels)[new_groups]])
    challenger_right = np.concatenate([old_right[1], (challenger_says == labels)[new_groups]])
    names = np.array(CLASS_NAMES)
    challenger = Challenger(
        bundle_digest="new",
        class_names=CLASS_NAMES,
        digests=digests[test],
        groups=groups[test],
        correct=challenger_right[test],
        called_unknown=np.zeros(test.sum(), dtype=bool),
        majority_correct=rng.random(test.sum()) < 1 / NUM_CLASSES,
        pixels_correct=rng.random(test.sum()) < 0.35,
    )
    champion = Champion(
        bundle_digest="old",
        class_names=CLASS_NAMES,
        correct=champion_right[test],
        trained_digests=(),
        original_digests=digests[old].tolist(),
        new_labels=NewLabels(
            rows=np.flatnonzero(~old),
            groups=groups[~old],
            labels=names[labels[new_groups]],
            answers=names[says[new_groups]],
            confidence=np.where(confident, 0.97, 0.6)[new_groups],
            p_values=p_values[new_groups],
        ),
    )
    return challenger, champion


def measure(case: Case, num_groups: int, draws: int = DRAWS) -> tuple[float, float]:
    """Share of draws that are promoted, without and with the check of new labels."""
    promoted = np.zeros(2)
    for seed in range(draws):
        challenger, champion = draw(case, num_groups, seed)
        unchecked = replace(champion, new_labels=NewLabels.none())
        for i, each in enumerate((unchecked, champion)):
            promoted[i] += judge_gate(challenger, each, SETTINGS, BOOTSTRAP, seed).verdict is Verdict.PROMOTED
    return float(promoted[0] / draws), float(promoted[1] / draws)


def main() -> None:
    """Print the table."""
    print("| batch | groups | promoted without the check | with it |\n|-|-|-|-|")
    for case in CASES:
        for num_groups in (24, 80, 240):
            without, checked = measure(case, num_groups)
            print(f"| {case.name} | {num_groups} | {without:.2f} | {checked:.2f} |")


if __name__ == "__main__":
    main()
