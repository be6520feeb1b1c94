"""What belongs together, linked image by image, so that what would join two labels is seen and refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vision.data.records import Split

Label = tuple[Split, str]
"""A split, and the path of the image that brought it."""


@dataclass
class Links:
    """Union-find over numbers of bytes and of declared groups; a component may carry one label."""

    parents: dict[int, int] = field(default_factory=dict)
    labels: dict[int, Label] = field(default_factory=dict)

    def find(self, key: int) -> int:
        """The root of a key's component."""
        self.parents.setdefault(key, key)
        root = key
        while self.parents[root] != root:
            root = self.parents[root]
        while self.parents[key] != root:
            self.parents[key], key = root, self.parents[key]
        return root

    def add(self, keys: Sequence[int], near: Sequence[int], own: Label | None) -> tuple[Label, Label] | None:
        """Join what an image links, unless that would join two labels: then the two, and nothing changes.

        `keys` are of its bytes and its declared group, `near` of the bytes of images that look like it; those
        that were not added link nothing yet.
        """
        roots = [self.find(key) for key in (*keys, *(key for key in near if key in self.parents))]
        labels = [self.labels[root] for root in roots if root in self.labels]
        if own is not None:
            labels.append(own)
        for label in labels[1:]:
            if label[0] is not labels[0][0]:
                return labels[0], label
        first = roots[0]
        for root in roots[1:]:
            self.parents[self.find(root)] = first
        if labels:
            self.labels[first] = labels[0]
        return None
