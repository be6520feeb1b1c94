"""What a temperature is worth on test images that it was not chosen on, against none.

    python -m benchmarks.temperature

Heads on fixed features of MobileNetV2 (river fish, faces with and without glasses, the painted reef), weakly
to strongly regularised; 20 grouped splits each, with 15% and 5% of the groups to calibrate. Needs the shared
real images (`../shared`, or TAXON_SHARED). Five minutes on two idle cores.
`docs/decisions/0020-temperature.md` has a table.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from benchmarks.truth import SETS, prepare
from vision.base.softmax import nll
from vision.decision.calibration import choose_temperature

SEEDS = range(20)
REGULARISATIONS = (0.0001, 0.01, 1.0)
CALIBRATION_SHARES = (0.15, 0.05)
WORSE_BY = 0.0001

Array = NDArray[Any]


CHOICES: dict[str, Callable[[Array, Array, Array], float]] = {
    "least NLL": lambda *calibration: choose_temperature(*calibration)[0],
    "as served": lambda *calibration: choose_temperature(*calibration)[1],
}


def read_columns(name: str, work: Path) -> tuple[Array, Array, Array]:
    """Scaled features, labels and groups of a set's images of known classes."""
    data = prepare(name, work)
    manifest = data.manifest
    known = [row for row, entry in enumerate(manifest.entries) if not entry.is_unknown]
    entries = [manifest.entries[row] for row in known]
    labels = np.array([manifest.class_names.index(entry.class_name) for entry in entries])
    groups = np.array([entry.group or entry.digest for entry in entries])
    scaled = (data.features - data.features.mean(axis=0)) / (data.features.std(axis=0) + 1e-6)
    return scaled[known], labels, groups


def judge(
    data: tuple[Array, Array, Array], regularisation: float, share: float, seed: int
) -> dict[str, Array]:
    """Of one split, by choice: the temperature, test NLL with it, test NLL with none."""
    features, labels, groups = data
    names, members = np.unique(groups, return_inverse=True)
    place = np.random.default_rng(seed).permutation(len(names))[members] / len(names)
    train = place < 0.55
    learnt = np.isin(labels, labels[train])  # a class of few groups may have none to train on
    calibration = learnt & ~train & (place < 0.55 + share)
    test = learnt & (place >= 0.55 + share)
    labels = np.searchsorted(np.unique(labels[train]), labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        head = LogisticRegression(C=regularisation, max_iter=100).fit(features[train], labels[train])
    logits = head.decision_function(features)
    if logits.ndim == 1:
        logits = np.column_stack([-logits / 2, logits / 2])
    fitted = logits[calibration], labels[calibration], groups[calibration]
    temperatures = {name: choose(*fitted) for name, choose in CHOICES.items()}
    none = nll(logits[test], labels[test])
    return {
        name: np.array([each, nll(logits[test], labels[test], each), none])
        for name, each in temperatures.items()
    }


def main() -> None:
    """Measure and print the table."""
    print("| data | C | calibration | choice | T, median (range) | NLL | none | worse in | by at most |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in SETS:
        with tempfile.TemporaryDirectory(prefix="temperature-") as work:
            data = read_columns(name, Path(work))
        for regularisation in REGULARISATIONS:
            for share in CALIBRATION_SHARES:
                splits = [judge(data, regularisation, share, seed) for seed in SEEDS]
                for choice in CHOICES:
                    values, after, none = np.array([each[choice] for each in splits]).T
                    low, high = values.min(), values.max()
                    worse = int((after > none + WORSE_BY).sum())
                    print(
                        f"| {name} | {regularisation:g} | {share:.0%} | {choice} | {np.median(values):.2f} "
                        f"({low:.2f} to {high:.2f}) | {after.mean():.3f} | {none.mean():.3f} "
                        f"| {worse} of {len(splits)} | {(after - none).max():+.3f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
