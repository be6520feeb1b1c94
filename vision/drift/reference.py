"""What a window of answers is compared with: the images that the decision rule was fitted on.

They are answered by heads that have not seen them (`vision.decision.held_out`), the gate did not judge the
model by them, and every row holds just what the prediction log keeps of an answer. The reference travels in
the bundle; the service need not read it.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.base.arrays import pack_arrays, unpack_arrays
from vision.base.errors import BundleError
from vision.base.files import write_atomically
from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray, IntArray
from vision.data.quality import QUALITY_COLUMNS
from vision.decision.held_out import HeldOut
from vision.decision.predictor import decide_scored
from vision.decision.records import DecisionRule
from vision.decision.scores import OodScore

MAX_ROWS = 2_000
"""Most images that a reference keeps."""

_THINNING_SEED = 0


@dataclass(frozen=True, eq=False)
class DriftReference:
    """The images that a bundle's rule was fitted on, at most `MAX_ROWS`.

    Nothing is fitted on them beforehand: a scale or a direction that knows the reference and not the window
    would make the two unlike even where they are of one kind.

    Attributes:
        embeddings: (n, d) float16, as `round_embeddings` gives them.
        quality: (n, q) float32.
        logits: (n, k) float32, not divided by the temperature.
        called_unknown: (n,) bool, whether the bundle's own rule answers `unknown`.
        groups: (n,) int64, 0..g-1, ascending; the names are not kept, only what belongs together.
    """

    embeddings: NDArray[np.float16]
    quality: FloatArray
    logits: FloatArray
    called_unknown: NDArray[np.bool_]
    groups: IntArray
    temperature: float
    class_names: tuple[str, ...]
    quality_columns: tuple[str, ...]

    @property
    def num_groups(self) -> int:
        """Groups that the images are of."""
        return int(self.groups[-1]) + 1 if len(self.groups) else 0


def make_reference(outputs: ModelOutputs, held_out: HeldOut, rule: DecisionRule) -> DriftReference:
    """The reference of a bundle.

    Where there are more than `MAX_ROWS` images, `thin_rows` keeps as many groups as it can.

    Raises:
        ValueError: the graph was not run on some of them.
    """
    known = held_out.for_fitting()
    _, codes = np.unique(known.groups, return_inverse=True)
    rows = thin_rows(codes, MAX_ROWS, np.random.default_rng(_THINNING_SEED))
    rows = rows[np.argsort(codes[rows], kind="stable")]
    known = known.take(rows)
    seen = outputs.take(known.rows)
    scores = known.scores[OodScore(rule.unknown.score_name)]
    return DriftReference(
        embeddings=round_embeddings(seen.embeddings),
        quality=seen.quality.astype(np.float32),
        logits=known.logits.astype(np.float32),
        called_unknown=decide_scored(rule, known.logits, scores, known.stranger_scores).called_unknown,
        groups=np.unique(codes[rows], return_inverse=True)[1].astype(np.int64),
        temperature=rule.temperature.value,
        class_names=rule.class_names,
        quality_columns=QUALITY_COLUMNS,
    )


def round_embeddings(embeddings: FloatArray) -> NDArray[np.float16]:
    """Embeddings (n, d) as they are kept: float16, values beyond its range at the end of it."""
    largest = float(np.finfo(np.float16).max)
    return np.clip(embeddings, -largest, largest).astype(np.float16)


def thin_rows(groups: IntArray, limit: int, rng: np.random.Generator) -> IntArray:
    """Rows to keep, (m,) ascending, at most `limit`: first fewer frames of each group, then fewer groups.

    Groups (n,), numbers 0..g-1, are what evidence is counted in, so frames go first: each group keeps at most
    as many, drawn by `rng`, as let all groups stay. Only where one frame of each is too many are groups
    drawn.
    """
    if len(groups) <= limit:
        return np.arange(len(groups))
    sizes = np.bincount(groups)
    frames = range(int(sizes.max()) + 1)
    most = bisect_right(frames, limit, key=lambda each: int(np.minimum(sizes, each).sum())) - 1
    if most:
        return cap_frames(groups, most, rng)
    return np.sort(rng.choice(cap_frames(groups, 1, rng), limit, replace=False))


def cap_frames(groups: IntArray, most: int, rng: np.random.Generator) -> IntArray:
    """Rows to keep, (m,) ascending: of each group (n,) at most `most` images, drawn by `rng`."""
    shuffled = rng.permutation(len(groups))
    order = shuffled[np.argsort(groups[shuffled], kind="stable")]
    sizes = np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    place = np.arange(len(groups)) - starts[groups[order]]
    return np.sort(order[place < most])


def save_reference(reference: DriftReference, path: Path) -> None:
    """Write a reference; equal references give equal bytes.

    Raises:
        StorageError: it could not be written.
    """
    arrays = {name: np.asarray(getattr(reference, name)) for name in _ARRAYS}
    write_atomically(path, pack_arrays(arrays))


def read_reference(path: Path) -> DriftReference:
    """A reference as `save_reference` wrote it; nothing in the file is executed.

    Raises:
        BundleError: the file is damaged or holds something else.
    """
    arrays = unpack_arrays(path)
    if set(arrays) != set(_ARRAYS):
        raise BundleError(
            f"{path} holds {', '.join(sorted(arrays))}; expected a drift reference with "
            f"{', '.join(sorted(_ARRAYS))}. Restore the bundle or train again."
        )
    plain: dict[str, Any] = {
        "temperature": float(arrays["temperature"]),
        "class_names": tuple(map(str, arrays["class_names"])),
        "quality_columns": tuple(map(str, arrays["quality_columns"])),
    }
    return DriftReference(**(arrays | plain))


_ARRAYS = tuple(DriftReference.__dataclass_fields__)
