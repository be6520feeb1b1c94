"""What may be wrong with single images: rows by kind, as the map and the galleries show them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from vision.data.records import Manifest, Splits
from vision.decision.held_out import HeldOut
from vision.evaluation.suspected import Suspect, find_strangers


@dataclass(frozen=True)
class Issue:
    """One kind of doubt.

    Attributes:
        title: in the legend.
        colour: of its frames.
        rows: of the data set, the most doubtful first.
    """

    title: str
    colour: str
    rows: tuple[int, ...]


def find_issues(
    manifest: Manifest, splits: Splits, held_out: HeldOut | None, suspects: Sequence[Suspect]
) -> tuple[Issue, ...]:
    """Near duplicates, images set aside, strangers and doubted labels, the weightiest last."""
    copies = Counter(entry.digest for entry in manifest.entries)
    alike = {row for pair in manifest.alike for row in pair}
    alike |= {row for row, entry in enumerate(manifest.entries) if copies[entry.digest] > 1}
    columns = enumerate(zip(manifest.entries, splits.splits, strict=True))
    aside = tuple(row for row, (entry, split) in columns if entry.is_damaged or split is None)
    strangers = () if held_out is None else tuple(find_strangers(held_out))
    return (
        Issue("near duplicate or burst", "#56B4E9", tuple(sorted(alike))),
        Issue("damaged or set aside", "#22262B", aside),
        Issue("like no class", "#E69F00", strangers),
        Issue("label to look at", "#E00000", tuple(each.row for each in suspects)),
    )


def find_two_labels(manifest: Manifest) -> list[tuple[int, int]]:
    """Pairs of rows that look like one picture and have different classes."""
    entries = manifest.entries
    return [pair for pair in manifest.alike if entries[pair[0]].class_name != entries[pair[1]].class_name]
