"""Folders of further labelled images join a source, and nothing that the source holds changes.

The images of an addition have paths that begin with `+name/` and groups that begin with `name/`, where no
path and no group of the source begins; so neither the order in which additions are listed nor the place of
their folders matters. A class is known or held out as unknown in the whole data set: an addition may bring
new classes of both kinds, and may not turn one kind into the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vision.base.errors import SourceError
from vision.config.data import Addition
from vision.data.records import AddedFolder, ImageEntry, Manifest
from vision.data.sources.class_names import check_spelling
from vision.data.sources.declaration import Base, Progress
from vision.data.sources.folder import FolderListing, digest_listing, find_addition, list_addition


@dataclass(frozen=True)
class Part:
    """An addition, and what its folder offers."""

    addition: Addition
    listing: FolderListing

    @property
    def root(self) -> Path:
        """Where the folder lies."""
        return find_addition(self.addition).resolve()

    @property
    def prefix(self) -> str:
        """What the paths of its images begin with."""
        return _prefix(self.addition)


def list_parts(additions: Sequence[Addition], base: Base) -> list[Part]:
    """The additions to a source, sorted by name, as far as they fit to it and to each other.

    Raises:
        SourceError: a folder is missing, empty or has trees of splits; one lies inside another; a class is
            known in one part and held out in another; classes differ only in case.
    """
    classes = {*base.known, *base.held_out}
    ordered = sorted(additions, key=lambda each: each.name)
    _check_places(ordered, base)
    parts = [Part(each, list_addition(each, classes)) for each in ordered]
    _check_roles(parts, base)
    for part in parts:
        classes |= {file.class_name for file in part.listing.files}
        check_spelling(part.root, classes)
    return parts


def digest_parts(base_digest: str, parts: Sequence[Part]) -> str:
    """SHA-256 over the digests of a source and of the additions to it."""
    digests = ((part.prefix, digest_listing(part.addition.path, part.listing)) for part in parts)
    lines = [f"{name}\0{digest}\n" for name, digest in (("base", base_digest), *digests)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def add_parts(base: Manifest, parts: Sequence[Part], progress: Progress | None = None) -> Manifest:
    """The manifest of a source with the images of its additions.

    Raises:
        SourceError: an addition has no usable image.
    """
    entries, quarantined, remarks = list(base.entries), list(base.quarantined), list(base.remarks)
    known, held_out = set(base.class_names), set(base.unknown_class_names)
    for part in parts:
        own = part.listing.read(part.root, "", part.addition, progress)
        entries += [_adopt(entry, part) for entry in own.entries]
        quarantined += [
            item.model_copy(update={"path": f"{part.prefix}/{item.path}"}) for item in own.quarantined
        ]
        remarks += [item.model_copy(update={"first": f"{part.prefix}/{item.first}"}) for item in own.remarks]
        known |= set(own.class_names)
        held_out |= set(own.unknown_class_names)
    return Manifest(
        root=base.root,
        additions=tuple(AddedFolder(name=part.addition.name, root=str(part.root)) for part in parts),
        source_digest=digest_parts(base.source_digest, parts),
        class_names=tuple(sorted(known)),
        unknown_class_names=tuple(sorted(held_out)),
        entries=tuple(sorted(entries, key=lambda entry: entry.path)),
        quarantined=tuple(sorted(quarantined, key=lambda item: item.path)),
        remarks=tuple(remarks),
        crop_margin=base.crop_margin,
    )


def _adopt(entry: ImageEntry, part: Part) -> ImageEntry:
    """An addition's entry as the data set has it; file names hold no slash, so groups cannot collide."""
    group = entry.group
    if group is not None and not part.addition.shared_groups:
        group = f"{part.addition.name}/{group}"
    return entry.model_copy(update={"path": f"{part.prefix}/{entry.path}", "group": group})


def _prefix(addition: Addition) -> str:
    return f"+{addition.name}"


def _check_places(additions: Sequence[Addition], base: Base) -> None:
    """Folders inside one another would give every image twice, and classes named like folders."""
    places = [("the source", base.root.resolve())]
    for addition in additions:
        words, root = f"the addition {addition.name!r}", find_addition(addition).resolve()
        if _prefix(addition) in {*base.known, *base.held_out}:
            raise SourceError(
                f"{base.root}: has the class folder {_prefix(addition)}, which is how the paths of {words} "
                "begin. Give the addition another name."
            )
        for other, place in places:
            if root.is_relative_to(place) or place.is_relative_to(root):
                raise SourceError(
                    f"{root}: {words} and {other} ({place}) are one folder, or one lies inside the other. "
                    "Expected folders side by side. Move one of them."
                )
        places.append((words, root))


def _check_roles(parts: Sequence[Part], base: Base) -> None:
    """A class is known everywhere or held out everywhere."""
    known = dict.fromkeys(base.known, "the source")
    held_out = dict.fromkeys(base.held_out, "the source")
    for part in parts:
        words = f"the addition {part.addition.name!r}"
        own = part.listing.base(part.root)
        for name in sorted(own.known):
            if name in held_out:
                raise SourceError(
                    f"{part.root}: holds images of class {name!r}, which {held_out[name]} holds out as "
                    "unknown. To learn the class, hold it out nowhere (dataset.unknown_classes); to test "
                    f"with these images too, name it in the unknown_classes of {words}."
                )
            known.setdefault(name, words)
        for name in sorted(own.held_out):
            if name in known:
                raise SourceError(
                    f"{part.root}: {words} holds class {name!r} out as unknown, which {known[name]} knows. "
                    "Expected one use of a class in the whole data set. Take it out of unknown_classes, or "
                    "hold it out in every part."
                )
            held_out.setdefault(name, words)
