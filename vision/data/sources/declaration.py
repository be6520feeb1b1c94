"""What one kind of source declares: reading, digests and checks follow from it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision.data.records import Manifest

Progress = Callable[[int, int], None]
"""Is told files done and files in all."""


@dataclass(frozen=True)
class Base:
    """The source that additions join."""

    root: Path
    known: Collection[str]
    held_out: Collection[str]

    @classmethod
    def of(cls, root: Path, images: Iterable[tuple[str, bool]]) -> Base:
        """The classes of images, each told by its class and whether that is held out."""
        classes = set(images)
        known, held_out = (frozenset(name for name, kind in classes if kind is own) for own in (False, True))
        return cls(root, known, held_out)


@dataclass(frozen=True)
class Source:
    """One kind of source; each function takes its settings first.

    Attributes:
        check: finds its folders without reading them; SourceError where one is missing.
        describe: settings and data folder -> SHA-256 of what it holds now, and what additions must fit to;
            equal to the `source_digest` of what `read` gives.
        read: settings, data folder and progress -> the manifest without additions.
    """

    check: Callable[[Any], object]
    describe: Callable[[Any, Path], tuple[str, Base]]
    read: Callable[[Any, Path, Progress | None], Manifest]
