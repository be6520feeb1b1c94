"""Pictures that people corrected and no model is taught: a challenger may not do worse by more than chance.

Both are asked; of the pictures that one alone names right, the exact one-sided sign test counts whose they
are. Pictures that the champion learned before they were set apart are left out, and those of a folder that
is no class of either.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision.base.errors import ImageError
from vision.base.wording import count_of, join_words
from vision.bundle.assembly import LoadedBundle
from vision.bundle.pictures import decode_for
from vision.data.images import MAX_MEGAPIXELS
from vision.data.sources.regression import list_regression
from vision.gate.records import GateCheck

NAME, LEVEL = "regression set", 0.05
_BATCH_SIZE = 32

logger = logging.getLogger(__name__)


def check_regression(
    folder: Path, challenger: LoadedBundle, champion: LoadedBundle | None, learned: Collection[str]
) -> GateCheck:
    """The check of the set for a challenger; without a champion it passes and tells how many are right.

    `learned` are digests of the images that the champion was taught.

    Raises:
        SourceError: the folder is missing or holds no picture.
    """
    found = list_regression(folder)
    new = [(path, name) for path, name, digest in found if digest not in learned]
    models = (challenger,) if champion is None else (challenger, champion)
    known = {name for each in models for name in each.contract.class_names}
    asked = [(path, name) for path, name in new if name in known]
    strange = _tell_strange([name for _, name in new if name not in known])
    if not asked:
        count = len(found) - len(new)
        why = f": the champion learned {count}" if count else ""
        message = f"Of {count_of(len(found), 'picture')} of dataset.regression none is judged{why}.{strange}"
        return GateCheck(name=NAME, passed=True, message=message)
    own = _name_right(challenger, asked)
    if champion is None:
        asked_of = f"Of {count_of(len(asked), 'picture')} of dataset.regression"
        message = f"{asked_of} the challenger names {own.sum()} right."
        return GateCheck(name=NAME, passed=True, message=f"{message}{strange}")
    check = compare_right(own, _name_right(champion, asked))
    return check.model_copy(update={"message": f"{check.message}{strange}"})


def compare_right(challenger: NDArray[np.bool_], champion: NDArray[np.bool_]) -> GateCheck:
    """The check of two models' right answers to the same pictures, (n,) each."""
    from scipy.stats import binomtest

    gained, lost = int((challenger & ~champion).sum()), int((champion & ~challenger).sum())
    chance = float(binomtest(gained, gained + lost, 0.5, "less").pvalue) if gained + lost else 1.0
    asked_of = f"Of {count_of(len(challenger), 'picture')} of dataset.regression"
    return GateCheck(
        name=NAME,
        passed=chance > LEVEL,
        message=f"{asked_of} that the champion did not learn, the challenger names {challenger.sum()} right "
        f"and the champion {champion.sum()}: {gained} gained, {lost} lost. Of two equal models one loses so "
        f"often with probability {chance:.3f}; it must be above {LEVEL}.",
    )


def _tell_strange(names: Sequence[str]) -> str:
    """A sentence on pictures whose folders, one name a picture, no asked model has as a class."""
    if not names:
        return ""
    folders = join_words(sorted(set(names)))
    return f" Not judged, as no model has such a class: {count_of(len(names), 'picture')} in {folders}."


def _name_right(bundle: LoadedBundle, asked: Sequence[tuple[Path, str]]) -> NDArray[np.bool_]:
    """(n,) whether each picture is named as its folder; one that cannot be read is not."""
    predictor, names = bundle.predictor(), bundle.contract.class_names
    right = np.zeros(len(asked), bool)
    for start in range(0, len(asked), _BATCH_SIZE):
        images, places = [], []
        for place, (path, _) in enumerate(asked[start : start + _BATCH_SIZE], start):
            try:
                images.append(decode_for(bundle.contract, path.read_bytes(), MAX_MEGAPIXELS))
                places.append(place)
            except (ImageError, OSError) as error:
                logger.warning("%s of dataset.regression cannot be read: %s", path, error)
        if images:
            classes = predictor.run(np.stack(images)).decisions.classes
            right[places] = [
                names[each] == asked[place][1] for each, place in zip(classes, places, strict=True)
            ]
    return right
