"""Where images come from, how they are read, checked and split."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from vision.base.names import normalise
from vision.config.base import Fraction, OpenFraction, PositiveFloat, Seed, Settings


class Resize(StrEnum):
    """How an image becomes a square: pad keeps all and the aspect, crop the centre, stretch all.

    `auto` stands in a config alone: `settle_resize` picks one of the three by the shapes of the pictures.
    """

    PAD = "pad"
    CROP = "crop"
    STRETCH = "stretch"
    AUTO = "auto"


class LeakPolicy(StrEnum):
    """What happens to images, near duplicates and groups that lie in two of the user's own trees.

    The run is refused; whole groups are dealt to the splits anew; the copies in the less protected tree are
    dropped; or all are kept where they lie, and the report says so. `fail` is an older name for refuse.
    """

    REFUSE = "refuse"
    MOVE = "move"
    DROP = "drop"
    KEEP = "keep"

    @classmethod
    def _missing_(cls, value: object) -> LeakPolicy | None:
        return cls.REFUSE if value == "fail" else None


AUTO_GROUPS = "auto"
"""`group_by` that reads the groups from the names of the files, where they tell any."""


def _check_group_pattern(value: str) -> str:
    if value == AUTO_GROUPS:
        return value
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from error
    if "group" not in pattern.groupindex:
        raise ValueError(f"{value!r} has no part named (?P<group>…), which marks the group")
    return value


def _check_layout(value: str) -> str:
    roles = value.split("/")
    singles = [roles.count(role) <= 1 for role in ("split", "group")]
    if value != "auto" and not (set(roles) <= set(LAYOUT_ROLES) and "class" in roles and all(singles)):
        raise ValueError(
            "expected auto, or what the folders are from the root down, such as class, split/class, "
            "place/class, class/class or class/group"
        )
    return value


LAYOUT_ROLES = ("split", "class", "place", "group")
"""What the folders of one level may be."""

LayoutPattern = Annotated[str, AfterValidator(_check_layout)]
"""`auto`, or the roles of the folders from the root down, with slashes between them."""

ClassNames = tuple[Annotated[str, AfterValidator(normalise)], ...]
"""Names of class folders, in NFC."""

GroupPattern = Annotated[str, AfterValidator(_check_group_pattern)]
"""Regular expression on a file name, or with a slash in it on the path; `(?P<group>…)` is the group.

Or `auto`, which finds the pattern if the names tell one."""


_LAYOUT_HELP = (
    "what the folders are, from the root down: class, split/class, place/class, class/group; auto reads it"
)
GROUP_HELP = (
    "regular expression on the file name, or with a slash in it on the path from the root; the part "
    "`(?P<group>…)` is the group; auto finds the pattern if the names tell one"
)


class FolderSettings(Settings):
    """How the class folders of a folder are read."""

    path: Path
    layout: LayoutPattern = Field(default="auto", description=_LAYOUT_HELP)
    group_by: GroupPattern | None = Field(default=None, description=GROUP_HELP)
    unknown_classes: ClassNames = Field(default=(), description="class folders held out as unknown")
    max_megapixels: PositiveFloat = Field(default=200.0, description="larger images are quarantined")
    skip_folders: tuple[str, ...] = Field(
        default=(), description="folders that are left out on purpose, by name or by path below `path`"
    )
    follow_links: bool = Field(default=False, description="follow links that lead out of the folder")
    keep_damaged: bool = Field(
        default=False,
        description="train on pictures of which a part is missing, as far as they can be decoded",
    )

    @model_validator(mode="after")
    def _groups_are_declared_once(self) -> Self:
        if self.group_by not in (None, AUTO_GROUPS) and "group" in self.layout.split("/"):
            raise ValueError(
                f"layout {self.layout} and group_by {self.group_by!r} both say what a group is; keep one of "
                "them"
            )
        return self


class Addition(FolderSettings):
    """A folder of further labelled images, one folder per class, that joins a source.

    In YAML a path alone is enough; everything else has a default.
    """

    name: str = Field(
        pattern=r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,99}$",
        description="its own among all additions; default: the last part of the path. Opens the images' "
        "paths (+NAME/...) and the names of their groups, so keep it when the folder moves",
    )
    shared_groups: bool = Field(
        default=False,
        description="groups of one name here and in the source are one (the same individuals again)",
    )

    @model_validator(mode="before")
    @classmethod
    def _take_a_path_alone(cls, value: Any) -> Any:
        given = {"path": value} if isinstance(value, str | Path) else value
        if not isinstance(given, dict) or "name" in given or not isinstance(given.get("path"), str | Path):
            return given
        name = Path(given["path"]).name
        if name in ("", ".."):
            raise ValueError(f"the path {str(given['path'])!r} ends in no folder name; add a name")
        return {**given, "name": name}


def check_addition_names(additions: tuple[Addition, ...]) -> tuple[Addition, ...]:
    """Refuse two additions of one name; names that differ only in case count as one."""
    seen: dict[str, Addition] = {}
    for each in additions:
        other = seen.setdefault(each.name.casefold(), each)
        if other is not each:
            raise ValueError(
                f"two additions are called {each.name!r} ({other.path} and {each.path}); give each a name of "
                "its own"
            )
    return additions


Additions = Annotated[tuple[Addition, ...], AfterValidator(check_addition_names)]


class GrowingSource(Settings):
    """Base of every source: folders of further labelled images may join it, and labels be corrected."""

    additions: Additions = Field(
        default=(), description="folders of further labelled images, one folder per class"
    )
    corrections: Path | None = Field(
        default=None,
        description="a suspected_labels.csv in which you wrote `exclude` or `relabel` into the column action",
    )
    regression: Path | None = Field(
        default=None,
        description="class folders of pictures that no model is taught and every later one is asked; who "
        "names fewer right than the model in production, by more than chance, is refused",
    )


class ReefSource(GrowingSource):
    """Painted fish: a data set that needs no download. Deterministic from `seed`."""

    source: Literal["reef"] = "reef"
    seed: Seed = 11
    images_per_class: int = Field(default=200, ge=2, le=20_000)
    unknown_images_per_class: int = Field(default=60, ge=0, le=20_000)
    frames_per_individual: int = Field(default=2, ge=1, le=50, description="largest number of frames")
    duplicates: int = Field(default=0, ge=0, description="files copied byte for byte")
    wrong_labels: int = Field(default=0, ge=0, description="files moved to another class's folder")
    corrupt_files: int = Field(default=0, ge=0, description="files cut short or filled with junk")
    exif_rotated: int = Field(default=0, ge=0, description="files turned, with an EXIF tag that says so")
    turbidity: Fraction = Field(default=0.0, description="drift: 0 the reef's own water, 1 very turbid, dim")


class FolderSource(GrowingSource, FolderSettings):
    """A folder of images: one folder per class, with folders of splits, places or groups above or below."""

    source: Literal["folder"] = "folder"


class ImageSettings(Settings):
    """How files become arrays."""

    size: int = Field(default=96, ge=16, le=1024, description="pixels; the network's square input")
    resize: Resize = Field(
        default=Resize.PAD,
        description="pad: all of it and its shape, on grey; stretch: all of it, its shape lost; crop: the "
        "centre; auto: stretch where pictures are nearly square, else pad",
    )


class CheckSettings(Settings):
    """How many images and groups a training needs; with fewer the data are refused."""

    max_quarantined: Fraction = Field(default=0.1, description="larger share of unusable files fails the run")
    min_images_per_class: int = Field(default=8, ge=4)
    min_groups_per_class: int = Field(default=4, ge=4, description="one for each of the four splits")


class SplitSettings(Settings):
    """Shares of the four splits. They must add up to 1."""

    train: OpenFraction = 0.55
    validation: OpenFraction = 0.15
    calibration: OpenFraction = 0.15
    test: OpenFraction = 0.15
    on_leak: LeakPolicy = Field(
        default=LeakPolicy.REFUSE,
        description="what your own trees share (copies, near duplicates, groups): refuse the run, move whole "
        "groups to one split, drop the copies from the less protected tree, or keep them where they lie",
    )

    @model_validator(mode="after")
    def _fractions_add_up(self) -> Self:
        total = self.train + self.validation + self.calibration + self.test
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"train + validation + calibration + test is {total:.4f}; expected 1")
        return self
