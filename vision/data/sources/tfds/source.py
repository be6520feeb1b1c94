"""A set of TensorFlow Datasets, written once as files into the data folder and read from there ever after."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from vision.base.errors import SourceError
from vision.base.files import PARTIAL_SUFFIX, storage_errors
from vision.base.names import comparison_key, normalise
from vision.base.record import Value
from vision.config.sources.labelled import TfdsSource
from vision.data.decoding.formats import find_format
from vision.data.manifest import SourceFile
from vision.data.records import FileRemark, Manifest, Split
from vision.data.sources.class_names import check_class_names, check_unknown_classes
from vision.data.sources.declaration import Base, Progress, Source
from vision.data.sources.folder import FolderListing, digest_listing
from vision.data.sources.split_words import read_split_name
from vision.data.sources.tfds.builder import IMAGE_FOLDER, NamedSet, open_set

logger = logging.getLogger(__name__)

CARD = "set.json"
"""The file of a written set that says what is in it."""

_UNLABELLED = "pictures of the set without a class, left out"


class WrittenFile(Value):
    """One picture of the set: its file, the number of its class, and the split that it came with."""

    path: str
    label: int
    tree: Split | None


class Card(Value):
    """What was written of a set."""

    full_name: str
    class_names: tuple[str, ...]
    files: tuple[WrittenFile, ...]
    num_unlabelled: int


def _write_set(settings: TfdsSource, data_folder: Path) -> tuple[Path, Card]:
    """The folder with the set's files and what they are, written unless they are there already."""
    folder = data_folder.resolve() / f"tfds-{_key(settings)}"
    card = folder / CARD
    if card.is_file():
        with storage_errors(card, "read"):
            return folder, Card.model_validate_json(card.read_bytes())
    found = open_set(settings)
    logger.info("Writing the pictures of %s into %s", found.builder.info.full_name, folder)
    partial = folder.with_name(f".{folder.name}{PARTIAL_SUFFIX}")
    with storage_errors(folder):
        shutil.rmtree(partial, ignore_errors=True)
        written = _write_splits(found, _choose_splits(settings, found), partial)
        (partial / CARD).write_text(written.model_dump_json(), encoding="utf-8")
        os.sync()
        partial.replace(folder)
    return folder, written


def _key(settings: TfdsSource) -> str:
    """A folder name of what decides which files are written."""
    places = [str(each.expanduser()) if each else "" for each in (settings.data_dir, settings.files)]
    text = json.dumps([settings.name, places, settings.splits])
    if settings.name == IMAGE_FOLDER and settings.files is not None:  # it may have changed since
        text += json.dumps(_list_files(settings.files.expanduser()))
    return f"{settings.name.split('/')[0].split(':')[0]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _list_files(folder: Path) -> list[tuple[str, int, int]]:
    """Path, bytes and time of change of every file below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted((str(each), each.stat().st_size, each.stat().st_mtime_ns) for each in files)


def _choose_splits(settings: TfdsSource, found: NamedSet) -> dict[str, Split | None]:
    """The splits to write -> what they are used for; None for a single one, which is dealt by the shares."""
    named = settings.splits or found.splits
    uses = {name: _use_of(name) for name in named}
    if not settings.splits:
        uses = {name: use for name, use in uses.items() if use is not None}
    if not uses:
        raise SourceError(
            f"{found.builder.info.full_name} has the splits {', '.join(found.splits)}, none of which says "
            "train, validation or test. Expected some to use. Name them: dataset.splits."
        )
    return uses if len(uses) > 1 else dict.fromkeys(uses)


def _use_of(split: str) -> Split | None:
    name = read_split_name(split.partition("[")[0])
    return name.split if name else None


def _write_splits(found: NamedSet, uses: dict[str, Split | None], folder: Path) -> Card:
    files, num_unlabelled = [], 0
    for part, (split, use) in enumerate(uses.items()):
        for number, (raw, label) in enumerate(found.read(split)):
            if label < 0:
                num_unlabelled += 1
                continue
            path = f"{part}-{split.partition('[')[0]}/{label:04d}/{number:07d}{_ending(raw)}"
            _write(folder / path, raw)
            files.append(WrittenFile(path=path, label=label, tree=use))
    names = tuple(map(normalise, found.class_names))
    return Card(
        full_name=found.builder.info.full_name,
        class_names=names,
        files=tuple(sorted(files, key=lambda file: file.path)),
        num_unlabelled=num_unlabelled,
    )


def _ending(raw: bytes) -> str:
    form = find_format(raw)
    return form.endings[0] if form else ""


def _write(path: Path, raw: bytes) -> None:
    """The folder appears under its name when all is on disk, so that a single file need not wait for that."""
    try:
        path.write_bytes(raw)
    except FileNotFoundError:
        path.parent.mkdir(parents=True)
        path.write_bytes(raw)


# --- the source -----------------------------------------------------------------------------------------


def _list(settings: TfdsSource, data_folder: Path) -> tuple[Path, FolderListing]:
    """The folder, and its files with class and split; SourceError if these are not to be had."""
    folder, card = _write_set(settings, data_folder)
    skipped, held_out = _keys(settings.skip_classes), _keys(settings.unknown_classes)
    files = tuple(
        SourceFile(file.path, name, None, file.tree, comparison_key(name) in held_out)
        for file in card.files
        if comparison_key(name := card.class_names[file.label]) not in skipped
    )
    place = Path(card.full_name)
    check_class_names(place, files)
    check_unknown_classes(place, settings.unknown_classes, "dataset.unknown_classes", card.class_names)
    check_unknown_classes(place, settings.skip_classes, "dataset.skip_classes", card.class_names)
    if len({file.class_name for file in files if not file.is_unknown}) < 2:
        raise SourceError(
            f"{card.full_name}: fewer than two classes to learn are left of {len(card.class_names)}. Check "
            "dataset.skip_classes and dataset.unknown_classes."
        )
    remarks = [FileRemark(what=_UNLABELLED, count=card.num_unlabelled)] if card.num_unlabelled else []
    return folder, FolderListing(files, (), tuple(remarks))


def _keys(names: Iterable[str]) -> set[str]:
    return {comparison_key(name) for name in names}


def describe_set(settings: TfdsSource, data_folder: Path) -> tuple[str, Base]:
    """Digest of the written files, classes and splits; writes them the first time."""
    folder, listing = _list(settings, data_folder)
    return _digest(folder, listing), listing.base(folder)


def _digest(folder: Path, listing: FolderListing) -> str:
    """SHA-256 over paths, bytes, classes and splits."""
    digest = hashlib.sha256(digest_listing(folder, listing).encode())
    for file in listing.files:
        digest.update(f"{file.class_name}\0{file.tree}\0{file.is_unknown}\n".encode())
    return digest.hexdigest()


def read_set(settings: TfdsSource, data_folder: Path, progress: Progress | None) -> Manifest:
    """The manifest of the written files."""
    folder, listing = _list(settings, data_folder)
    return listing.read(folder, _digest(folder, listing), settings, progress)


TFDS = Source(check=lambda _settings: None, describe=describe_set, read=read_set)
