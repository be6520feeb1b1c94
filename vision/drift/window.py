"""A window of answers, and what its groups are exchanged with: the reference, made alike.

Groups are what evidence is counted in. Two clients' groups are never one; where a client names none, bursts
in time stand in. `groups` are (n,) numbers 0..g-1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.base.errors import WindowError
from vision.base.outputs import ArrayValue
from vision.base.record import FloatArray, IntArray
from vision.base.softmax import softmax
from vision.drift.reference import DriftReference, cap_frames, round_embeddings, thin_rows

BoolArray = NDArray[np.bool_]

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Window(ArrayValue):
    """Answers of one model that are judged together, in any order.

    Attributes:
        embeddings: (n, d), as they are logged (float16).
        quality: (n, q), columns of the reference.
        logits: (n, k), not divided by the temperature.
        called_unknown: (n,) bool.
        clients: (n,) str, who asked; a group is one client's.
        groups: (n,) str as the client named them; "" where it named none.
        times: (n,) float64, seconds since any fixed moment.
    """

    embeddings: FloatArray
    quality: FloatArray
    logits: FloatArray
    called_unknown: BoolArray
    clients: NDArray[np.str_]
    groups: NDArray[np.str_]
    times: FloatArray

    def describe(self) -> dict[str, int | str]:
        """Answers, those without a group, clients."""
        return {
            "num_answers": len(self.times),
            "num_ungrouped": int(self.ungrouped.sum()),
            "num_clients": len(set(self.clients.tolist())),
        }

    @property
    def ungrouped(self) -> BoolArray:
        """(n,) where the client named no group."""
        return np.asarray(self.groups == "", dtype=bool)


def check_window(reference: DriftReference, window: Window) -> None:
    """Refuse a window that cannot be compared with the reference; one without answers fits every reference.

    Raises:
        WindowError: other widths (another model), columns of other lengths, a value that is not finite.
    """
    num = len(window.embeddings)
    if num == 0 and all(len(values) == 0 for values in vars(window).values()):
        return
    for name in ("embeddings", "quality", "logits"):
        found, expected = getattr(window, name).shape, (num, getattr(reference, name).shape[1])
        if found != expected:
            raise WindowError(
                f"The window's {name} have shape {found}, expected {expected}: it is not of the model that "
                "the reference is of. Judge each model's answers with its own bundle."
            )
    for name in ("called_unknown", "clients", "groups", "times"):
        if getattr(window, name).shape != (num,):
            raise WindowError(
                f"The window's {name} have shape {getattr(window, name).shape}, expected ({num},): one for "
                "each image. Build the window from whole answers."
            )
    for name in ("embeddings", "quality", "logits", "times"):
        values = getattr(window, name)
        finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        if not finite.all():
            raise WindowError(
                f"The window's {name} hold NaN or infinity in {int((~finite).sum())} of {num} images "
                f"(first: row {int(np.argmin(finite))}), expected numbers. Leave those answers out."
            )


def drop_repeats(window: Window) -> Window:
    """The window with each picture once, by its earliest answer: the same picture sent again is no evidence.

    Two answers are of one picture where quality, embedding and logits are equal to the last bit.
    """
    columns = (window.quality, window.embeddings, window.logits)
    content = np.hstack([np.ascontiguousarray(each, np.float32) for each in columns])
    order = np.lexsort((window.groups, window.clients, window.times))
    rows = content[order].view(f"V{content.shape[1] * content.itemsize}").ravel() if content.size else order
    _, first = np.unique(rows, return_index=True)
    kept = np.sort(order[first])
    return Window(**{name: values[kept] for name, values in vars(window).items()})


def find_groups(window: Window, gap_seconds: float) -> IntArray:
    """What belongs together, (n,) numbers 0..g-1.

    Two clients' groups are never one, whatever they are called. Answers without a group are joined to bursts:
    one client's ungrouped answers, in order of time, until it pauses for more than `gap_seconds`.
    """
    order = np.lexsort((window.times, window.clients))
    order = order[window.ungrouped[order]]
    pauses = np.diff(window.times[order]) > gap_seconds
    bursts = np.full(len(window.times), -1)
    bursts[order] = np.concatenate([[0], np.cumsum(pauses)])[: len(order)]
    _, client = np.unique(window.clients, return_inverse=True)
    _, name = np.unique(window.groups, return_inverse=True)
    keys = np.column_stack([client, bursts, name]).astype(np.int64).reshape(-1, 3)
    _, groups = np.unique(keys, axis=0, return_inverse=True)
    return np.asarray(groups).ravel()


# --- what is compared -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two that are compared, or both in one: n images, by ascending group.

    Embeddings (n, d) and quality (n, q) are float64, `probs` (n, k) calibrated.
    """

    embeddings: FloatArray
    quality: FloatArray
    probs: FloatArray
    called_unknown: BoolArray
    groups: IntArray

    @property
    def num_groups(self) -> int:
        """Number g of groups."""
        return int(self.groups[-1]) + 1 if len(self.groups) else 0

    def take(self, rows: IntArray) -> Side:
        """Some rows, by ascending group; the groups are numbered anew."""
        return Side(
            embeddings=self.embeddings[rows],
            quality=self.quality[rows],
            probs=self.probs[rows],
            called_unknown=self.called_unknown[rows],
            groups=np.unique(self.groups[rows], return_inverse=True)[1],
        )


@dataclass(frozen=True, eq=False)
class Pool(Side):
    """Reference and window in one: groups r, r+1, ... are the window's, with r `num_reference_groups`."""

    num_reference_groups: int

    @property
    def in_window(self) -> BoolArray:
        """(n,) rows of the window."""
        return np.asarray(self.groups >= self.num_reference_groups)

    def take(self, rows: IntArray) -> Pool:
        """Some rows, by ascending group; the groups are numbered anew."""
        before = self.groups[rows] < self.num_reference_groups
        return Pool(
            **vars(super().take(rows)), num_reference_groups=len(np.unique(self.groups[rows[before]]))
        )

    def known(self) -> Pool:
        """Only the images that are not called unknown."""
        return self.take(np.flatnonzero(~self.called_unknown))

    def level(self, rng: np.random.Generator) -> Pool:
        """Groups of both sides cut to the smaller typical size of the two."""
        sizes = np.bincount(self.groups)
        sides = sizes[: self.num_reference_groups], sizes[self.num_reference_groups :]
        return self.take(cap_frames(self.groups, min(find_typical(each) for each in sides), rng))


def pool_sides(
    reference: DriftReference, window: Window, groups: IntArray, max_images: int, rng: np.random.Generator
) -> Pool:
    """Reference and window side by side, thinned so that their groups can change places.

    The window keeps at most `max_images` images. Then the side of more groups is cut to the typical size of
    the other's groups. The mean of few frames scatters more than that of many, and what scatters more must
    not be rarer, else a permutation test sees drift where there is none; this way it errs towards quiet.
    """
    earlier = _make_side(reference, reference.groups, reference.temperature)
    later = _sort_rows(_make_side(window, groups, reference.temperature))
    later = later.take(thin_rows(later.groups, max_images, rng))
    sizes = np.bincount(earlier.groups), np.bincount(later.groups)
    if len(sizes[1]) <= len(sizes[0]):
        earlier = earlier.take(cap_frames(earlier.groups, find_typical(sizes[1]), rng))
    else:
        later = later.take(cap_frames(later.groups, find_typical(sizes[0]), rng))
    return join_sides(earlier, later)


def find_typical(sizes: IntArray) -> int:
    """The harmonic mean of the sizes of groups (g,), rounded down, at least 1.

    The variance of the mean of a group falls with one over its size, so the harmonic mean is the size that
    counts.
    """
    return max(1, int(len(sizes) / np.sum(1.0 / sizes) + _ROUNDING))


def join_sides(earlier: Side, later: Side) -> Pool:
    """Both in one, the reference first."""
    return Pool(
        embeddings=np.concatenate([earlier.embeddings, later.embeddings]),
        quality=np.concatenate([earlier.quality, later.quality]),
        probs=np.concatenate([earlier.probs, later.probs]),
        called_unknown=np.concatenate([earlier.called_unknown, later.called_unknown]),
        groups=np.concatenate([earlier.groups, earlier.num_groups + later.groups]),
        num_reference_groups=earlier.num_groups,
    )


def _make_side(source: DriftReference | Window, groups: IntArray, temperature: float) -> Side:
    return Side(
        embeddings=round_embeddings(source.embeddings).astype(np.float64),
        quality=np.asarray(source.quality, np.float64),
        probs=softmax(np.asarray(source.logits, np.float64), temperature),
        called_unknown=np.asarray(source.called_unknown, bool),
        groups=groups,
    )


def _sort_rows(side: Side) -> Side:
    """By group, then by content, so that the order in which answers came in does not matter."""
    content = np.hstack([side.quality, side.probs, side.embeddings[:, :8], side.called_unknown[:, None]])
    return side.take(np.lexsort((*content.T, side.groups)))
