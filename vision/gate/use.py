"""What a model is used for beside naming classes: deciding alone, and saying that it does not know.

A challenger that names as many images right may still be the worse one in use: with another alpha or promised
risk it calls nothing unknown, or sends all to a person. Each use is a row of `USES`; champion and challenger
are compared on the same images, which neither has learned.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.base.resampling import BoolArray
from vision.base.wording import count_of
from vision.config.evaluation import BootstrapSettings
from vision.config.gate import GateSettings, UseName
from vision.decision.predictor import Decisions
from vision.evaluation.answered import FAR, KNOWN, NEAR
from vision.evaluation.comparison import paired_difference
from vision.evaluation.records import Difference
from vision.gate.records import GateCheck

TextArray = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Replies:
    """What one model answers to m images, (m,) bool each.

    Attributes:
        accepted: decided without a person.
        called_unknown: called unknown, where that can be a mistake or a find.
        correct: the class named is the image's own, whatever the decision.
    """

    accepted: BoolArray
    called_unknown: BoolArray
    correct: BoolArray

    @classmethod
    def of(cls, decisions: Decisions, correct: BoolArray | None = None) -> Replies:
        """The replies among a rule's answers; without `correct`, to images of no class of the model."""
        right = np.zeros(len(decisions.classes), dtype=bool) if correct is None else correct
        return cls(decisions.accepted, decisions.called_unknown, right)


@dataclass(frozen=True, eq=False)
class Shown:
    """m test images of one kind (known, near, far) and the challenger's replies.

    Digests (m,) are the SHA-256 of each image file, or a name of its own.
    """

    digests: TextArray
    groups: TextArray
    replies: Replies


@dataclass(frozen=True)
class Use:
    """One row: the images of `kind` of which `counted` is the share that matters."""

    name: UseName
    words: str
    kind: str
    higher_is_better: bool
    counted: Callable[[Replies], BoolArray]


USES = (
    Use(
        "decided_rightly",
        "known images decided rightly without a person",
        KNOWN,
        True,
        lambda replies: np.asarray(replies.accepted & replies.correct),
    ),
    Use(
        "known_called_unknown", "known images called unknown", KNOWN, False, lambda each: each.called_unknown
    ),
    Use("near_found", "look-alikes called unknown", NEAR, True, lambda each: each.called_unknown),
    Use("far_found", "strangers called unknown", FAR, True, lambda each: each.called_unknown),
)


def compare_uses(
    shown: Mapping[str, Shown],
    champion: Mapping[str, Replies],
    learned: Collection[str],
    settings: GateSettings,
    bootstrap: BootstrapSettings,
    rng: np.random.Generator,
) -> tuple[list[GateCheck], list[Difference]]:
    """A check and a difference for each use of which both models were shown images.

    A use is lost if the whole interval of the paired difference lies on the champion's side and the
    difference itself is more than `max_loss_in_use`. Fewer than `min_test_groups` groups prove nothing. Both
    have replied to the same images, by kind; groups with a digest of `learned` are left out.
    """
    checks, differences = [], []
    for use in USES:
        if use.kind not in shown or use.kind not in champion:
            continue
        images = shown[use.kind]
        fresh = ~np.isin(images.groups, images.groups[np.isin(images.digests, sorted(learned))])
        num_groups = len(np.unique(images.groups[fresh]))
        if num_groups < settings.min_test_groups:
            counted, least = count_of(num_groups, "group"), settings.min_test_groups
            message = f"{counted} to compare {use.words}; fewer than {least}."
            checks.append(GateCheck(name=use.name, passed=True, message=f"{message} They prove nothing."))
            continue
        own, other = (use.counted(each)[fresh] for each in (images.replies, champion[use.kind]))
        pair = (own, other) if use.higher_is_better else (other, own)
        gain = paired_difference(*pair, images.groups[fresh], bootstrap, rng)
        differences.append(
            Difference(metric=use.words, first="challenger", second="champion", difference=gain)
        )
        lost = gain.high < 0.0 and gain.value < -settings.max_loss_in_use
        message = (
            f"Of {len(own)} images, {use.words}: {own.mean():.3f}, by the champion {other.mean():.3f}. The "
            f"gain is {gain}; at most {settings.max_loss_in_use:.3f} may be lost beyond doubt."
        )
        if lost:
            message += f" If this trade is wanted, set gate.may_lose: [{use.name}]."
        checks.append(
            GateCheck(name=use.name, passed=not lost or use.name in settings.may_lose, message=message)
        )
    return checks, differences
