"""COCO annotations as a source: frames where they lie, or boxes that are cut out into the data folder."""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vision.base.errors import SourceError
from vision.config.sources.labelled import CocoSource
from vision.data.decoding.cutting import CUT_VERSION, OUTSIDE
from vision.data.manifest import SourceFile
from vision.data.records import Manifest, Quarantined
from vision.data.sources.class_names import check_class_names, check_spelling, check_unknown_classes
from vision.data.sources.coco.cutting import cut_boxes, place_boxes, read_sides
from vision.data.sources.coco.document import read_document
from vision.data.sources.coco.examples import Example, Examples, find_examples
from vision.data.sources.coco.megadetector import read_detections
from vision.data.sources.declaration import Base, Progress, Source
from vision.data.sources.finding import find_root
from vision.data.sources.folder import FolderListing, digest_listing

logger = logging.getLogger(__name__)


def find_coco(settings: CocoSource) -> Path:
    """The folder of the images; SourceError if it, or a file that the settings name, is missing."""
    for name, path in (("annotations", settings.annotations), ("detections", settings.detections)):
        if path is not None and not path.expanduser().is_file():
            raise SourceError(f"{path}: there is no such file. Expected a JSON file. Correct dataset.{name}.")
    folder = settings.images or settings.annotations.parent
    return find_root(folder, "Expected the folder that file_name starts from; set dataset.images to it.")


def list_coco(settings: CocoSource) -> Examples:
    """What the file offers, without opening a picture.

    Raises:
        SourceError: the file is wrong, its pictures are elsewhere, or there are fewer than two known classes.
    """
    root = find_coco(settings)
    document = read_document(settings.annotations)
    boxes = read_detections(settings.detections, settings.min_confidence) if settings.detections else {}
    found = find_examples(settings, document, root, boxes)
    _check_classes(settings, found)
    return found


def _check_classes(settings: CocoSource, found: Examples) -> None:
    path = settings.annotations
    files = [
        SourceFile(each.photo.path, each.class_name, is_unknown=each.is_unknown) for each in found.examples
    ]
    classes = sorted({each.class_name for each in found.examples})
    told = "".join(f" {remark.tell()}" for remark in found.remarks)
    if len({each.class_name for each in found.examples if not each.is_unknown}) < 2:
        some = f"only {', '.join(classes)}" if classes else "no class"
        raise SourceError(
            f"{path}: {some} to learn from.{told} Expected at least two known classes. Check dataset.use, "
            "dataset.skip_classes and dataset.unknown_classes."
        )
    check_class_names(path, files)
    check_spelling(path, classes)
    check_unknown_classes(path, settings.unknown_classes, "dataset.unknown_classes", classes)


def describe_coco(settings: CocoSource, _data_folder: Path) -> tuple[str, Base]:
    """Digest of annotations, rules and pictures, and the classes; tells what was found."""
    found = list_coco(settings)
    num_photos = len({each.photo.path for each in found.examples})
    logger.info(
        "%s: %d examples of %d classes in %d pictures, kept together by %s",
        settings.annotations.name,
        len(found.examples),
        len({each.class_name for each in found.examples}),
        num_photos,
        found.grouped_by,
    )
    classes = ((each.class_name, each.is_unknown) for each in found.examples)
    return _digest(settings, found), Base.of(find_coco(settings), classes)


def _digest(settings: CocoSource, found: Examples) -> str:
    """SHA-256 of what is learnt from: every example with its boxes, and the bytes of its photograph."""
    digest = hashlib.sha256(f"{CUT_VERSION} {settings.use} {settings.margin}\n".encode())
    for each in found.examples:
        row = (each.photo.path, each.class_name, each.group, each.is_unknown, each.photo.size, each.marks)
        digest.update(f"{row!r}\n".encode("utf-8", "surrogateescape"))
    paths = sorted({each.photo.path for each in found.examples})
    listing = FolderListing(tuple(SourceFile(path, "") for path in paths), found.quarantined)
    digest.update(digest_listing(find_coco(settings), listing).encode())
    return digest.hexdigest()


def read_coco(settings: CocoSource, data_folder: Path, progress: Progress | None) -> Manifest:
    """The manifest of the frames, or of the boxes that are cut out of them."""
    found = list_coco(settings)
    digest = _digest(settings, found)
    root = find_coco(settings)
    files, faults = _place(root, found)
    if settings.use == "boxes":
        photos, root = root, data_folder.resolve() / f"boxes-{digest[:16]}"
        files, more = cut_boxes(files, photos, root, settings.margin, progress)
        faults += more
    listing = FolderListing(tuple(files), (*found.quarantined, *faults), found.remarks)
    margin = settings.margin if settings.use == "boxes" else None
    return listing.read(root, digest, settings, progress).model_copy(update={"crop_margin": margin})


def _place(root: Path, found: Examples) -> tuple[list[SourceFile], list[Quarantined]]:
    """Frames with their boxes as shares of the picture as it is seen, and those whose box lies outside."""

    def place(each: Example) -> SourceFile | Quarantined:
        sides = read_sides(root / each.photo.path) if each.marks else None
        box = place_boxes(each.marks, sides, each.photo.size) if sides else None
        if sides and box is None:
            return Quarantined(path=each.photo.path, reason=OUTSIDE, class_name=each.class_name)
        return SourceFile(each.photo.path, each.class_name, each.group, None, each.is_unknown, box)

    with ThreadPoolExecutor(max_workers=4) as pool:
        placed = list(pool.map(place, found.examples))
    return [each for each in placed if isinstance(each, SourceFile)], [
        each for each in placed if isinstance(each, Quarantined)
    ]


COCO = Source(check=find_coco, describe=describe_coco, read=read_coco)
