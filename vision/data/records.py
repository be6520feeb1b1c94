"""Records of the data: the images, their splits, and what they look like."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vision.base.columns.column import Column
from vision.base.columns.rows import Rows
from vision.base.home import Place
from vision.base.names import comparison_key
from vision.base.record import FolderRecord, IntArray, Record, Value

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
    entries: Rows[ImageEntry]
    quarantined: tuple[Quarantined, ...] = ()
    remarks: tuple[FileRemark, ...] = ()
    alike: Column[tuple[int, int]] = Field(
        default=(),
        validate_default=True,
        description="pairs of entries, lower first, that look like one picture or one burst",
    )
    too_alike: tuple[str, ...] = Field(
        default=(), description="classes whose pictures are all much alike; of them near copies are linked"
    )
    crop_margin: float | None = Field(
        default=None,
        description="kept around the boxes that the images were cut out of; None: whole pictures",
    )

    def num_alike(self) -> int:
        """How many images look like another."""
        return len(np.unique(self.alike.numbers()))

    def two_labels(self) -> IntArray:
        """Pairs of rows (m, 2) that look like one picture and have different classes."""
        pairs, (classes, _) = self.alike.numbers(), self.entries.column("class_name").codes()
        return np.asarray(pairs[classes[pairs[:, 0]] != classes[pairs[:, 1]]])

    def num_declared(self) -> int:
        """How many images have a declared group."""
        return int((self.entries.column("group").codes()[0] >= 0).sum())

    @property
    def least_bits(self) -> int:
        """How many of 16 bits most pictures of over eight use; 0 where there are none of these."""
        used = self.entries.column("sample_bits").numbers()
        counts = np.bincount(used[used > 0])
        return int(len(counts) - 1 - counts[::-1].argmax()) if len(counts) else 0

    def locate(self, entry: ImageEntry) -> Path:
        """Where the file of an entry lies: below the root, or below the folder that brought it."""
        top, _, rest = entry.path.partition("/")
        for added in self.additions:
            if top == f"+{added.name}":
                return Path(added.root) / rest
        return Path(self.root) / entry.path


class DatasetRef(FolderRecord):
    """Where the decoded images lie: uint8 (n, size, size, 3), row i is manifest entry i."""

    FILES: ClassVar[tuple[str, ...]] = ("images.npy", "store.json")

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
    digests: Column[str]
    groups: Column[str] = Field(description="connected component of declared group and duplicates")
    image_classes: Column[str]
    splits: Column[Split | None]
    quarantined: tuple[Quarantined, ...] = ()
    kept_leaks: int = Field(
        default=0,
        description="images that the user's own trees share with a more protected one, kept on request",
    )

    def labels(self) -> IntArray:
        """Label index of every image, shape (n,); -1 for a held-out unknown class."""
        codes, names = self.image_classes.codes()
        index = {name: i for i, name in enumerate(self.class_names)}
        numbers = np.array([*(index.get(name, -1) for name in names), -1], dtype=np.int64)
        return numbers[codes]

    def used_as(self, *splits: Split) -> NDArray[np.bool_]:
        """Which images, shape (n,), are in one of some splits; without a split named, which are in any."""
        return self.splits.are_in(splits or tuple(Split))

    def learnt(self) -> frozenset[tuple[str, str]]:
        """(digest, class) of every image in use of a known class: what a model of these splits knows.

        An image under another label, or of a class that was held out, is none of them.
        """
        taught = self.used_as() & (self.labels() >= 0)
        return frozenset(zip(self.digests.take(taught), self.image_classes.take(taught), strict=True))

    def uses(self) -> dict[str, str]:
        """Digest of every image in use -> its split, or HELD_OUT where its class was never taught."""
        used = self.used_as()
        columns = zip(self.digests.take(used), self.labels()[used], self.splits.take(used), strict=True)
        return {digest: str(split) if label >= 0 else HELD_OUT for digest, label, split in columns}

    def taught_groups(self, declared: Column[str | None] | None = None) -> frozenset[str]:
        """Keys of the groups of images of known classes outside test: names of components, and as declared.

        `declared` is the group of each image as its file tells it; None: the names of components alone.
        """
        taught = self.used_as() & ~self.used_as(Split.TEST) & (self.labels() >= 0)
        own = declared.take(taught).codes()[1] if declared is not None else ()
        names = (*self.groups.take(taught).codes()[1], *own)
        return frozenset(comparison_key(group) for group in names if group)

    def num_groups(self, rows: IntArray | None = None) -> int:
        """How many groups some rows are of; without rows, all of them."""
        codes = self.groups.codes()[0]
        return len(np.unique(codes if rows is None else codes[rows]))

    def group_array(self) -> NDArray[np.str_]:
        """Group of every image, shape (n,)."""
        return np.array(list(self.groups), dtype=np.str_)

    def rows(self, split: Split, *, unknown: bool = False) -> IntArray:
        """Row numbers of a split, shape (m,), ascending: its known images, or its held-out unknown ones."""
        return np.flatnonzero(self.used_as(split) & ((self.labels() < 0) == unknown))
