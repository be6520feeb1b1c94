"""What may be wrong with single images: rows by kind, as the map and the galleries show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vision.data.records import Manifest, Splits
from vision.decision.held_out import HeldOut
from vision.evaluation.suspected import Suspect, find_strangers


@dataclass(frozen=True)
class Issue:
    """One kind of doubt; its rows are of the data set, the most doubtful first."""

    title: str
    colour: str
    rows: tuple[int, ...]


def find_issues(
    manifest: Manifest, splits: Splits, held_out: HeldOut | None, suspects: Sequence[Suspect]
) -> tuple[Issue, ...]:
    """Near duplicates, images set aside, strangers and doubted labels, the weightiest last."""
    codes, digests = manifest.entries.column("digest").codes()
    copies = np.flatnonzero(np.bincount(codes, minlength=len(digests))[codes] > 1)
    alike = np.union1d(manifest.alike.numbers(), copies)
    aside = np.flatnonzero(manifest.entries.column("is_damaged").numbers() | ~splits.used_as())
    strangers = () if held_out is None else tuple(find_strangers(held_out))
    return (
        Issue("near duplicate or burst", "#56B4E9", tuple(alike.tolist())),
        Issue("damaged or set aside", "#22262B", tuple(aside.tolist())),
        Issue("like no class", "#E69F00", strangers),
        Issue("label to look at", "#E00000", tuple(each.row for each in suspects)),
    )
