"""What belongs together: images linked by equal bytes, by a declared group, or because they look alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vision.data.records import ImageEntry, Split


@dataclass
class Links:
    """Union-find over digests and declared groups; a component may carry one label and who brought it."""

    parents: dict[str, str] = field(default_factory=dict)
    labels: dict[str, tuple[Split, str]] = field(default_factory=dict)

    def find(self, key: str) -> str:
        """The name of a key's component."""
        self.parents.setdefault(key, key)
        root = key
        while self.parents[root] != root:
            root = self.parents[root]
        while self.parents[key] != root:
            self.parents[key], key = root, self.parents[key]
        return root

    def join(self, keys: Sequence[str]) -> str:
        """Make one component of the keys'; its name."""
        first, *others = (self.find(key) for key in keys)
        for other in others:
            self.parents[self.find(other)] = first
        return first

    def add(
        self, entry: ImageEntry, own: Split | None, alike: Sequence[ImageEntry] = ()
    ) -> tuple[tuple[Split, str], tuple[Split, str]] | None:
        """Join what the image links, unless that would join two labels: then the two, and nothing changes.

        Args:
            entry: the image.
            own: its label.
            alike: images that look like it; those that were not added link nothing yet.
        """
        keys = keys_of(entry)
        keys += [key for key in (_digest_key(each) for each in alike) if key in self.parents]
        labels = [self.labels[root] for root in map(self.find, keys) if root in self.labels]
        if own is not None:
            labels.append((own, entry.path))
        for label in labels[1:]:
            if label[0] is not labels[0][0]:
                return labels[0], label
        root = self.join(keys)
        if labels:
            self.labels[root] = labels[0]
        return None


def keys_of(entry: ImageEntry) -> list[str]:
    """What an image links: its bytes, and its declared group."""
    digest = _digest_key(entry)
    return [digest] if entry.group is None else [digest, f"group {entry.group}"]


def _digest_key(entry: ImageEntry) -> str:
    return f"digest {entry.digest}"


def own_name(entry: ImageEntry) -> str:
    """Name of the group of an image that shares its bytes with no other group."""
    return entry.group if entry.group is not None else f"image:{entry.digest}"
