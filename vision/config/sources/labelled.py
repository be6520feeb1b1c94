"""Sources whose labels lie in a file beside the images."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from vision.config.base import Fraction, PositiveFloat
from vision.config.data import ClassNames, GrowingSource


class LabelledSource(GrowingSource):
    """What every source has whose labels are not the names of folders."""

    unknown_classes: ClassNames = Field(default=(), description="classes held out as unknown")
    skip_classes: ClassNames = Field(default=(), description="classes that are left out on purpose")
    max_megapixels: PositiveFloat = Field(default=200.0, description="larger images are quarantined")
    keep_damaged: bool = Field(default=False, description="train on pictures of which a part is missing")


class CutSource(LabelledSource):
    """What every source has that may know where in a picture its subject is."""

    use: Literal["frames", "boxes"] = Field(
        default="frames",
        description="frames: one example a picture, which then needs one class; boxes: cut one example out "
        "of every box",
    )
    margin: Fraction = Field(default=0.1, description="kept around a box, as a share of its longer side")


class BoxedSource(CutSource):
    """What every source has whose boxes lie in a COCO file."""

    group_by: Literal["auto", "location", "sequence"] = Field(
        default="auto",
        description="what stays in one split: all pictures of a location, or of a sequence (seq_id, else a "
        "pause of at most 60 s); auto takes the location where every class has been seen at four or more",
    )


class CocoSource(BoxedSource):
    """A COCO or COCO Camera Traps file, and a folder of images; boxes also from MegaDetector's results."""

    source: Literal["coco"] = "coco"
    annotations: Path = Field(description="the .json file with images, categories and annotations")
    images: Path | None = Field(default=None, description="the images' folder; default: that of the file")
    detections: Path | None = Field(
        default=None, description="MegaDetector's results: boxes for pictures that have a label and no box"
    )
    min_confidence: Fraction = Field(default=0.2, description="of a detection that counts")


class FathomnetSource(BoxedSource):
    """Photographs of the sea from FathomNet, which `run.py harvest` fetches into a folder."""

    source: Literal["fathomnet"] = "fathomnet"
    folder: Path = Field(description="where the harvest lies")
    use: Literal["frames", "boxes"] = "boxes"
    concepts: tuple[str, ...] = Field(
        default=(), description="the classes, as FathomNet calls them; default: those with the most boxes"
    )
    num_classes: int = Field(default=10, ge=2, le=1_000, description="how many, where none are named")
    min_images: int = Field(default=100, ge=1, description="a concept with fewer is passed over")
    max_images: int = Field(default=500, ge=1, description="of a class, from as many dives as there are")
    workers: int = Field(default=8, ge=1, le=100, description="pictures that are fetched side by side")
    api: str = Field(default="https://database.fathomnet.org/api", pattern=r"^https?://\S+[^/\s]$")

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.max_images < self.min_images:
            raise ValueError(
                f"max_images {self.max_images} is below min_images {self.min_images}, which leaves no class. "
                "Raise max_images"
            )
        return self


class TfdsSource(LabelledSource):
    """An image-classification set of TensorFlow Datasets, by its name."""

    source: Literal["tfds"] = "tfds"
    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]*(/[\w.+-]+)?(:[\d.*]+)?$",
        description="as TensorFlow Datasets has it: fashion_mnist, cifar10:3.0.2, imagenette/320px; or "
        "image_folder, with files: a folder of split/class/picture",
    )
    data_dir: Path | None = Field(
        default=None,
        description="where prepared sets lie; default: TFDS_DATA_DIR, else ~/tensorflow_datasets",
    )
    files: Path | None = Field(
        default=None, description="a folder with the files that its makers publish, fetched by yourself"
    )
    download: bool = Field(default=False, description="fetch the set from its makers if it is not there")
    splits: tuple[str, ...] = Field(
        default=(),
        description="its splits that are used, or parts of them, as train[:1000]; default: those whose names "
        "say train, validation or test",
    )
