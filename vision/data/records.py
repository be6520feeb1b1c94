"""Records of the data: the images, their splits, and what they look like."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vision.base.home import Place
from vision.base.names import comparison_key
from vision.base.record import IntArray, Record, Value

POOLED = "all"
"""Class name of the row that pools a kind of unknown images; no class that is held out may have it."""


HELD_OUT = "held out"
"""Use of an image of a class that is never taught: it measures what is answered to look-alikes."""


class Split(StrEnum):
    """What an image is used for; no image has two uses."""

    TRAIN = "train"
    VALIDATION = "validation"
    CALIBRATION = "calibration"
    TEST = "test"


Box = tuple[float, float, float, float]
"""Left, top, width and height as shares (0..1) of the picture as it is seen, after EXIF orientation."""


class ImageEntry(Value):
    """One usable image file. `path` is POSIX, relative to the manifest's root; `Manifest.locate` finds it."""

    path: str
    class_name: str
    digest: str = Field(description="SHA-256 of the file's bytes, hexadecimal")
    num_bytes: int
    width: int = Field(description="pixels, after EXIF orientation")
    height: int = Field(description="pixels, after EXIF orientation")
    group: str | None = Field(default=None, description="declared group (individual, burst, source)")
    tree: Split | None = Field(default=None, description="the split that the user's own tree gives it")
    is_unknown: bool = Field(default=False, description="of a class that is held out as unknown")
    taken_at: datetime | None = Field(default=None, description="the camera's local time, from EXIF")
    is_damaged: bool = Field(default=False, description="a part of its pixels is missing; kept on request")
    sample_bits: int = Field(
        default=0,
        description="how many of 16 bits its samples use, as far as they tell; 0 for 8-bit pictures",
    )
    box: Box | None = Field(default=None, description="where the subject is, as far as the source says")


class Quarantined(Value):
    """A file that is left out, and why."""

    path: str
    reason: str
    class_name: str = Field(default="", description="of the class folder that it lies in, if known")


class FileRemark(Value):
    """Something that a person should know of files that are used, or that are no images."""

    what: str = Field(description="stands before the number of files")
    count: int = Field(description="number of files")
    first: str = Field(default="", description="path of the first of them")

    def tell(self) -> str:
        """The remark as a sentence."""
        first = f" (first: {self.first})" if self.first else ""
        return f"{self.what[:1].upper()}{self.what[1:]}: {self.count:,}{first}."


class AddedFolder(Value):
    """A folder whose images joined those of a source; their paths begin with `+name/`."""

    name: str
    root: Place


class Manifest(Record):
    """Every image of a source, sorted by path; row i of every array of the run is `entries[i]`."""

    root: Place
    additions: tuple[AddedFolder, ...] = Field(default=(), description="sorted by name")
    source_digest: str
    class_names: tuple[str, ...] = Field(description="known classes, sorted; the label is the index")
    unknown_class_names: tuple[str, ...] = ()
    entries: tuple[ImageEntry, ...]
    quarantined: tuple[Quarantined, ...] = ()
    remarks: tuple[FileRemark, ...] = ()
    alike: tuple[tuple[int, int], ...] = Field(
        default=(), description="pairs of entries, lower first, that look like one picture or one burst"
    )
    too_alike: tuple[str, ...] = Field(
        default=(), description="classes whose pictures are all much alike; of them near copies are linked"
    )
    crop_margin: float | None = Field(
        default=None,
        description="kept around the boxes that the images were cut out of; None: whole pictures",
    )

    def lookalikes(self) -> dict[int, list[int]]:
        """Row -> the rows that look like it."""
        found: dict[int, list[int]] = defaultdict(list)
        for first, second in self.alike:
            found[first].append(second)
            found[second].append(first)
        return found

    @property
    def least_bits(self) -> int:
        """How many of 16 bits most pictures of over eight use; 0 where there are none of these."""
        counts = Counter(entry.sample_bits for entry in self.entries if entry.sample_bits)
        return max(counts, key=lambda bits: (counts[bits], bits), default=0)

    def locate(self, entry: ImageEntry) -> Path:
        """Where the file of an entry lies: below the root, or below the folder that brought it."""
        top, _, rest = entry.path.partition("/")
        for added in self.additions:
            if top == f"+{added.name}":
                return Path(added.root) / rest
        return Path(self.root) / entry.path


class DatasetRef(Record):
    """Where the decoded images lie: uint8 (n, size, size, 3), row i is manifest entry i."""

    path: Place = Field(description="folder of the decoded store")
    content_hash: str = Field(description="SHA-256 over the decoded pixels")
    num_images: int
    image_size: int
    resize: str = Field(description="resize policy: pad, crop or stretch")
    source_digest: str = Field(default="", description="digest of the source that the images are of")
    least_bits: int = Field(default=0, description="of 16, that pictures of over eight bits use at least")
    resize_reason: str = Field(default="", description="the pictures' shapes and what is done, a sentence")


class DataFinding(Value):
    """One thing worth knowing about the data; `severity` is info or warning."""

    severity: str
    message: str


class DuplicateGroup(Value):
    """Files with the same bytes, paths sorted."""

    digest: str
    paths: tuple[str, ...]


class ClassCount(Value):
    """Images and groups of one class in one split."""

    class_name: str
    split: str
    num_images: int
    num_groups: int
    is_unknown: bool = False


class QualitySummary(Value):
    """Distribution of one quality column over one class."""

    class_name: str
    column: str
    mean: float
    p05: float
    median: float
    p95: float


class DataReport(Record):
    """What the images look like and whether they can carry a training."""

    num_images: int
    num_groups: int
    class_counts: tuple[ClassCount, ...]
    quality: tuple[QualitySummary, ...] = ()
    duplicates: tuple[DuplicateGroup, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    findings: tuple[DataFinding, ...] = ()
    test_change: str = Field(
        default="", description="how test differs from that of the model in production, a sentence"
    )


class Splits(Record):
    """Which split every image belongs to; all columns are aligned with the manifest's entries.

    `splits[i]` is None for an image that is quarantined here (a duplicate that would join two splits, or
    the same bytes under two labels).
    """

    class_names: tuple[str, ...]
    unknown_class_names: tuple[str, ...] = ()
    digests: tuple[str, ...]
    groups: tuple[str, ...] = Field(description="connected component of declared group and duplicates")
    image_classes: tuple[str, ...]
    splits: tuple[Split | None, ...]
    quarantined: tuple[Quarantined, ...] = ()
    kept_leaks: int = Field(
        default=0,
        description="images that the user's own trees share with a more protected one, kept on request",
    )

    def labels(self) -> IntArray:
        """Label index of every image, shape (n,); -1 for a held-out unknown class."""
        index = {name: i for i, name in enumerate(self.class_names)}
        return np.array([index.get(name, -1) for name in self.image_classes], dtype=np.int64)

    def learnt(self) -> frozenset[tuple[str, str]]:
        """(digest, class) of every image in use of a known class: what a model of these splits knows.

        An image under another label, or of a class that was held out, is none of them.
        """
        known = set(self.class_names)
        columns = zip(self.digests, self.image_classes, self.splits, strict=True)
        return frozenset(
            (digest, name) for digest, name, split in columns if split is not None and name in known
        )

    def uses(self) -> dict[str, str]:
        """Digest of every image in use -> its split, or HELD_OUT where its class was never taught."""
        known = set(self.class_names)
        columns = zip(self.digests, self.image_classes, self.splits, strict=True)
        return {
            digest: split.value if name in known else HELD_OUT
            for digest, name, split in columns
            if split is not None
        }

    def taught_groups(self, declared: Sequence[str | None] = ()) -> frozenset[str]:
        """Keys of the groups of images of known classes outside test: names of components, and as declared.

        Args:
            declared: group of each image as its file tells it; empty: the names of components alone.
        """
        known, test = set(self.class_names), Split.TEST
        columns = zip(self.image_classes, self.splits, strict=True)
        taught = [split not in (None, test) and name in known for name, split in columns]
        named = (*zip(self.groups, taught, strict=True), *zip(declared, taught, strict=bool(declared)))
        return frozenset(comparison_key(group) for group, is_taught in named if is_taught and group)

    def group_array(self) -> NDArray[np.str_]:
        """Group of every image, shape (n,)."""
        return np.array(self.groups, dtype=np.str_)

    def rows(self, split: Split, *, unknown: bool = False) -> IntArray:
        """Row numbers of a split, shape (m,), ascending: its known images, or its held-out unknown ones."""
        labels = self.labels()
        in_split = np.array([own is split for own in self.splits], dtype=bool)
        return np.flatnonzero(in_split & ((labels < 0) == unknown))
