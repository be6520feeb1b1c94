"""Single answers for the galleries of the report: the worst mistakes, and some of each decision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vision.base.record import IntArray
from vision.base.resampling import BoolArray
from vision.decision.records import Decision
from vision.evaluation.answered import NEAR, Answered
from vision.evaluation.records import Answer

MAX_MISTAKES = 24
MAX_EXAMPLES = 8
"""Examples of each kind and decision."""

MIN_EXAMPLES_PER_CLASS = 2
"""Examples of each unknown class, whatever it was answered."""


def find_mistakes(answered: Answered, correct: BoolArray, names: Sequence[str]) -> tuple[Answer, ...]:
    """The most confident known images of the wrong class, worst first."""
    wrong = np.flatnonzero(~correct)
    worst_first = wrong[np.argsort(-answered.decisions.confidence[wrong], kind="stable")]
    return tuple(_describe_answer(answered, int(i), names) for i in worst_first[:MAX_MISTAKES])


def choose_examples(answered: Answered, names: Sequence[str], rng: np.random.Generator) -> tuple[Answer, ...]:
    """Up to eight random images of each decision, spread over the classes, in order of decision and row.

    Of near unknowns at least two of each class are shown, even where that makes more than eight.
    """
    order = _spread(rng.permutation(len(answered.rows)), answered.class_names)
    decided = answered.decisions.decisions
    chosen: list[int] = []
    for decision in Decision:
        mine = order[decided[order] == decision.value]
        chosen += _spread(mine, answered.class_names)[:MAX_EXAMPLES].tolist()
    if answered.kind == NEAR:
        for name in np.unique(answered.class_names):
            of_class = order[answered.class_names[order] == name].tolist()
            shown = [i for i in of_class if i in chosen]
            missing = MIN_EXAMPLES_PER_CLASS - len(shown)
            chosen += [i for i in of_class if i not in shown][: max(0, missing)]
    rank = {decision.value: place for place, decision in enumerate(Decision)}
    chosen.sort(key=lambda i: (rank[str(decided[i])], str(answered.class_names[i]), int(answered.rows[i])))
    return tuple(_describe_answer(answered, i, names) for i in chosen)


def _spread(indices: IntArray, class_names: NDArray[np.str_]) -> IntArray:
    """`indices` reordered so that classes take turns; within a class the order stays."""
    turn = np.zeros(len(indices), dtype=np.int64)
    for name in np.unique(class_names[indices]):
        mine = class_names[indices] == name
        turn[mine] = np.arange(int(mine.sum()))
    return indices[np.argsort(turn, kind="stable")]


def _describe_answer(answered: Answered, index: int, names: Sequence[str]) -> Answer:
    decisions = answered.decisions
    return Answer(
        row=int(answered.rows[index]),
        kind=answered.kind,
        true_class=str(answered.class_names[index]),
        class_name=names[int(decisions.classes[index])],
        confidence=float(decisions.confidence[index]),
        unknown_score=float(decisions.scores[index]),
        decision=Decision(str(decisions.decisions[index])),
    )
