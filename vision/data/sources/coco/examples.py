"""Which photographs of a COCO file become examples, of which class and group; what is left out is counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path, PurePosixPath

from vision.base.errors import SourceError
from vision.base.names import comparison_key
from vision.base.wording import count_of, join_words
from vision.config.sources.labelled import BoxedSource
from vision.data.records import FileRemark, Quarantined
from vision.data.sources.coco.document import Document, Mark, Numbers, Photo

_PAUSE = timedelta(seconds=60)
_ENOUGH_LOCATIONS = 4  # one for each of the four splits

_UNLABELLED = "pictures without any annotation, which nobody has called empty, left out"
_CORRUPT = "pictures that the annotations call corrupt, left out"
_SEQUENCE = "pictures labelled by a sequence that shows several classes, left out"
_SEVERAL = "pictures of several classes, of which one example has one, left out (use: boxes cuts them apart)"
_BOXLESS = "pictures with a label and no box to cut out, left out"
_CROWD = "boxes that hold several individuals, left out"
_EMPTY_BOX = "boxes without a width or a height, left out"


@dataclass(frozen=True)
class Example:
    """One picture to learn from, before its file is opened.

    Several `marks`, annotations whose boxes hold it, are taken together; a `group` shares a split.
    """

    photo: Photo
    class_name: str
    marks: tuple[Mark, ...]
    group: str | None
    is_unknown: bool = False


@dataclass(frozen=True)
class Examples:
    """Examples sorted by path, files that cannot be used, and remarks with their counts."""

    examples: tuple[Example, ...]
    quarantined: tuple[Quarantined, ...]
    remarks: tuple[FileRemark, ...]
    grouped_by: str


def find_examples(
    settings: BoxedSource, document: Document, root: Path, detections: Mapping[str, tuple[Numbers, ...]]
) -> Examples:
    """The examples of a file.

    `detections` are boxes, by path, for pictures that have a label and no box.

    Raises:
        SourceError: not one picture is there; a class lost all its pictures.
    """
    skipped = {comparison_key(name) for name in settings.skip_classes}
    photos = [_without(photo, skipped) for photo in document.photos]
    usable, quarantined = _sort_by_file(photos, root)
    told: dict[str, list[str]] = defaultdict(list)
    usable = _refuse_labels(usable, told)
    usable = [_with_detections(photo, detections.get(photo.path, ())) for photo in usable]
    pick = _by_box if settings.use == "boxes" else _by_frame
    found = [example for photo in usable for example in pick(photo, told)]
    _refuse_lost_classes(root, found, quarantined)
    grouped_by, groups = _find_groups(settings, found)
    held_out = {comparison_key(name) for name in settings.unknown_classes}
    examples = tuple(
        replace(
            each,
            group=groups.get(each.photo.path),
            is_unknown=comparison_key(each.class_name) in held_out,
        )
        for each in found
    )
    remarks = [FileRemark(what=what, count=len(paths), first=paths[0]) for what, paths in told.items()]
    remarks += _tell_ranks({each.class_name for each in examples}, document.above)
    return Examples(examples, tuple(quarantined), tuple(remarks), grouped_by)


def _without(photo: Photo, skipped: set[str]) -> Photo:
    """The photograph without annotations of classes that are left out on purpose."""
    if not skipped:
        return photo
    return replace(
        photo, marks=tuple(mark for mark in photo.marks if comparison_key(mark.class_name) not in skipped)
    )


def _sort_by_file(photos: Iterable[Photo], root: Path) -> tuple[list[Photo], list[Quarantined]]:
    usable, missing, outside = [], [], []
    for photo in photos:
        if not photo.marks and not photo.is_corrupt:
            usable.append(photo)  # told as unlabelled, whether or not its file is there
        elif _leads_out(photo.path):
            outside.append(photo)
        elif not (root / photo.path).is_file():
            missing.append(photo)
        else:
            usable.append(photo)
    if missing and not any(photo.marks for photo in usable):
        raise SourceError(
            f"{root}: holds none of {count_of(len(missing), 'file')} that the annotations name (first: "
            f"{missing[0].path}). Expected the folder that these paths start from. Set dataset.images to it."
        )
    left_out = [
        Quarantined(
            path=photo.path, reason=reason, class_name=photo.marks[0].class_name if photo.marks else ""
        )
        for several, reason in (
            (missing, "is named in the annotations and not there"),
            (outside, "leads out of the images' folder"),
        )
        for photo in several
    ]
    return usable, left_out


def _leads_out(path: str) -> bool:
    parts = PurePosixPath(path)
    return parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]


def _refuse_labels(photos: Sequence[Photo], told: dict[str, list[str]]) -> list[Photo]:
    """The photographs whose labels can be believed; the others are told."""
    classes: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    for photo in photos:
        if photo.sequence is not None:
            classes[photo.location, photo.sequence] |= {mark.class_name for mark in photo.marks}
    usable = []
    for photo in photos:
        doubtful = any(mark.of_sequence for mark in photo.marks)
        if photo.is_corrupt:
            told[_CORRUPT].append(photo.path)
        elif not photo.marks:
            told[_UNLABELLED].append(photo.path)
        elif doubtful and len(classes.get((photo.location, photo.sequence or ""), ())) > 1:
            told[_SEQUENCE].append(photo.path)
        else:
            usable.append(photo)
    return usable


def _with_detections(photo: Photo, boxes: Sequence[Numbers]) -> Photo:
    """The photograph with detected boxes in place of the labels of its one class, where it has no box."""
    classes = {mark.class_name for mark in photo.marks}
    if not boxes or len(classes) > 1 or any(mark.box for mark in photo.marks):
        return photo
    return replace(photo, marks=tuple(replace(photo.marks[0], box=box, is_relative=True) for box in boxes))


def _by_frame(photo: Photo, told: dict[str, list[str]]) -> Iterable[Example]:
    classes = {mark.class_name for mark in photo.marks}
    if len(classes) > 1:
        told[_SEVERAL].append(photo.path)
        return
    boxed = tuple(mark for mark in photo.marks if mark.box and min(mark.box[2:]) > 0.0)
    yield Example(photo, classes.pop(), boxed, None)


def _by_box(photo: Photo, told: dict[str, list[str]]) -> Iterable[Example]:
    if not any(mark.box for mark in photo.marks):
        told[_BOXLESS].append(photo.path)
    for mark in photo.marks:
        if mark.box is None:
            continue
        if min(mark.box[2:]) <= 0.0:
            told[_EMPTY_BOX].append(photo.path)
        elif mark.is_crowd:
            told[_CROWD].append(photo.path)
        else:
            yield Example(photo, mark.class_name, (mark,), None)


def _refuse_lost_classes(root: Path, found: Sequence[Example], quarantined: Sequence[Quarantined]) -> None:
    lost = {item.class_name for item in quarantined} - {each.class_name for each in found} - {""}
    if lost:
        name = min(lost)
        own = [item for item in quarantined if item.class_name == name]
        raise SourceError(
            f"{root}: class {name!r} has no picture left: {count_of(len(own), 'file')} cannot be used "
            f"(first: {own[0].path}: {own[0].reason}). Expected some pictures of every class. Bring them, or "
            f"leave the class out on purpose: dataset.skip_classes: [{name}]"
        )


# --- groups ---------------------------------------------------------------------------------------------


def _find_groups(settings: BoxedSource, found: Sequence[Example]) -> tuple[str, dict[str, str]]:
    """What pictures are grouped by, and path -> group; pictures of which nothing is known have none."""
    photos = list({each.photo.path: each.photo for each in found}.values())
    by_location = settings.group_by == "location" or (settings.group_by == "auto" and _has_locations(found))
    if by_location:
        return "location", {photo.path: photo.location for photo in photos if photo.location is not None}
    groups = _find_sequences(photos)
    if settings.use == "boxes":  # what was cut out of one picture stays together
        groups = {photo.path: groups.get(photo.path, photo.path) for photo in photos}
    return "sequence", groups


def _has_locations(found: Sequence[Example]) -> bool:
    locations: dict[str, set[str | None]] = defaultdict(set)
    for each in found:
        locations[each.class_name].add(each.photo.location)
    return all(None not in own and len(own) >= _ENOUGH_LOCATIONS for own in locations.values())


def _find_sequences(photos: Iterable[Photo]) -> dict[str, str]:
    """Path -> sequence: as the file says, else pictures of one location with pauses of at most 60 seconds."""
    groups = {
        photo.path: "/".join(filter(None, (photo.location, photo.sequence)))
        for photo in photos
        if photo.sequence is not None
    }
    timed = [photo for photo in photos if photo.sequence is None and photo.location and photo.taken_at]
    last: Photo | None = None
    for photo in sorted(timed, key=lambda photo: (photo.location, photo.taken_at, photo.path)):
        pause = _pause(last, photo)
        opens = pause is None or pause > _PAUSE
        groups[photo.path] = (
            f"{photo.location}/{photo.taken_at}" if opens or last is None else groups[last.path]
        )
        last = photo
    return groups


def _pause(before: Photo | None, photo: Photo) -> timedelta | None:
    """Time between two pictures of one location; None where the location is another."""
    if before is None or before.location != photo.location or not before.taken_at or not photo.taken_at:
        return None
    return photo.taken_at - before.taken_at


# --- classes --------------------------------------------------------------------------------------------


def _tell_ranks(classes: set[str], above: Mapping[str, str]) -> list[FileRemark]:
    """A remark for each class that stands above other classes: a genus beside its species."""
    keys = {comparison_key(name): name for name in classes}
    below: dict[str, list[str]] = defaultdict(list)
    for name in sorted(classes):
        words = name.split()
        for other in {
            comparison_key(above.get(name, "")),
            comparison_key(words[0]) if len(words) > 1 else "",
        }:
            if other in keys and keys[other] != name:
                below[keys[other]].append(name)
    return [
        FileRemark(
            what=f"classes that belong to {name!r}, which is a class too ({join_words(own[:3])}): "
            "either answer is right; leave it out with skip_classes",
            count=len(own),
        )
        for name, own in sorted(below.items())
    ]
