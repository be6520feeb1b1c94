"""Entries and manifests by hand, for tests of what is done with them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from vision.data.records import ImageEntry, Manifest, Quarantined, Split


def entry(
    path: str,
    group: str | None = None,
    *,
    content: str | None = None,
    tree: Split | None = None,
    is_unknown: bool = False,
    sides: tuple[int, int] = (120, 100),
) -> ImageEntry:
    """An entry of class `path.split("/")[0]`; equal `content` means equal bytes."""
    return ImageEntry(
        path=path,
        class_name=path.split("/", maxsplit=1)[0],
        digest=hashlib.sha256((content or path).encode()).hexdigest(),
        num_bytes=1,
        width=sides[0],
        height=sides[1],
        group=group,
        tree=tree,
        is_unknown=is_unknown,
    )


def manifest_of(entries: Sequence[ImageEntry], quarantined: Sequence[Quarantined] = ()) -> Manifest:
    """The manifest of these entries; a class is held out if an entry of it is."""
    return Manifest(
        root="/",
        source_digest="",
        class_names=tuple(sorted({each.class_name for each in entries if not each.is_unknown})),
        unknown_class_names=tuple(sorted({each.class_name for each in entries if each.is_unknown})),
        entries=tuple(entries),
        quarantined=tuple(quarantined),
    )
