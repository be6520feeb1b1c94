"""Rows of path and label become image files: checked, counted once, and contradictions set aside."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from vision.base.errors import SourceError
from vision.base.names import comparison_key, normalise
from vision.config.sources.labelled import LabelledSource
from vision.data.decoding.cutting import OUTSIDE, is_box
from vision.data.manifest import SourceFile
from vision.data.records import FileRemark, Quarantined, Split
from vision.data.sources.class_names import check_class_names, check_spelling, check_unknown_classes
from vision.data.sources.coco.cutting import place_boxes, read_sides
from vision.data.sources.coco.document import Mark
from vision.data.sources.declaration import Base
from vision.data.sources.finding import find_images
from vision.data.sources.folder import FolderListing, digest_listing
from vision.data.sources.split_words import FILE_WORDS, read_split_name, words_of
from vision.data.sources.table.reading import is_there

MOST_TRIED = 200
"""Rows whose files are looked for."""

MOST_FOLDERS = 60
"""Folders in and beside the table's that paths may start from."""

SETTING = "--set dataset.images={folder}"

_UNLABELLED = "rows without a label, which teach nothing"
_REPEATED = "rows that name a picture again, counted once"
_SKIPPED = "rows of classes that are left out on purpose"
_BOXLESS = "rows with a label and no box to cut out, left out"


@dataclass(frozen=True)
class LabelRow:
    """What one row says of a picture.

    Attributes:
        place: the row, as messages name it.
        label: its class; empty if it has none.
        split: the word of its split; None where the table has no splits.
        box: left, top, width and height in pixels.
    """

    place: str
    path: str
    label: str
    group: str = ""
    split: str | None = None
    box: tuple[float, float, float, float] | None = None


@dataclass
class _Sorted:
    rows: dict[tuple[str, tuple[float, ...]], list[LabelRow]] = field(
        default_factory=lambda: defaultdict(list)
    )
    quarantined: list[Quarantined] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    firsts: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def count(self, what: str, path: str) -> None:
        self.counts[what] += 1
        self.firsts.setdefault(what, path)


def list_rows(
    table: str, root: Path, rows: Iterable[LabelRow], settings: LabelledSource, *, by_box: bool = False
) -> FolderListing:
    """The pictures that rows name, with class, group, split and box.

    With `by_box`, a picture for each box of a file in place of one a file. `table` is named in messages.

    Raises:
        SourceError: fewer than two known classes, a split that is none, a class that is not there.
    """
    found, places = _Sorted(), Places(root)
    skipped = {comparison_key(name) for name in settings.skip_classes}
    classes = set()
    for row in rows:
        label = normalise(row.label)
        classes.add(label)
        path = places.find(row.path)
        if path is None:
            reason = f"lies outside {root}; set dataset.images" if row.path else "the row names no file"
            found.quarantined.append(Quarantined(path=row.path or row.place, reason=reason))
        elif not label:
            found.count(_UNLABELLED, row.path)
        elif comparison_key(label) in skipped:
            found.count(_SKIPPED, row.path)
        elif by_box and row.box is None:
            found.count(_BOXLESS, row.path)
        else:
            found.rows[path, (row.box or ()) if by_box else ()].append(row)
            found.labels.setdefault(label, f"{label!r} ({row.place})")
    classes.discard("")
    for named, setting in ((settings.skip_classes, "skip"), (settings.unknown_classes, "unknown")):
        check_unknown_classes(Path(table), named, f"dataset.{setting}_classes", classes)
    held_out = {comparison_key(name) for name in settings.unknown_classes}
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        work = sorted(found.rows.items())
        results = list(pool.map(lambda item: _make_file(table, root, item[0][0], item[1], held_out), work))
    for (path, _), of_one in found.rows.items():
        for _ in of_one[1:]:
            found.count(_REPEATED, path)
    files = tuple(each for each in results if isinstance(each, SourceFile))
    _check_files(table, files, found)
    quarantined = [*found.quarantined, *(each for each in results if isinstance(each, Quarantined))]
    remarks = tuple(
        FileRemark(what=what, count=count, first=found.firsts[what]) for what, count in found.counts.items()
    )
    return FolderListing(files, tuple(sorted(quarantined, key=lambda item: item.path)), remarks)


def describe_rows(root: Path, listing: FolderListing) -> tuple[str, Base]:
    """SHA-256 over what the rows say and the bytes of their files; the classes.

    Rows without a label are not in it: a table that waits to be labelled starts no training.
    """
    digest = hashlib.sha256(digest_listing(root, listing).encode())
    for file in listing.files:
        facts = (file.path, file.class_name, file.group, file.tree and str(file.tree), file.is_unknown)
        digest.update(f"{facts!r} {file.box!r}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest(), listing.base(root)


class Places:
    """Finds the files of a folder by what a table calls them."""

    def __init__(self, root: Path) -> None:
        self.root, self._names = Path(os.path.normpath(root.absolute())), dict[str, list[str]]()

    def find(self, text: str) -> str | None:
        """The POSIX path below the root; None if the text is empty or leads out of it.

        A bare name that is not there may be a file farther down, or lack its ending, if one is called so.
        """
        if not text:
            return None
        file = Path(os.path.normpath(self.root / Path(text).expanduser()))
        if "\\" in text and not is_there(file):  # a table that was written on Windows
            file = Path(os.path.normpath(self.root / PureWindowsPath(text).as_posix()))
        if not file.is_relative_to(self.root):
            return None
        path = file.relative_to(self.root).as_posix()
        if is_there(file) or path != text or "/" in text:
            return path
        named = self.list_named(path)
        return named[0] if len(named) == 1 else path

    def list_named(self, path: str) -> list[str]:
        """POSIX paths below the root of the images that are called as the last part of a path."""
        if not self._names:
            self._names = self._index()
        return self._names.get(PurePosixPath(path).name, [])

    def _index(self) -> dict[str, list[str]]:
        names: dict[str, list[str]] = defaultdict(list, {"": []})
        for image in find_images(self.root).images:
            for name in {PurePosixPath(image).name, PurePosixPath(image).stem}:
                names[name].append(image)
        return dict(names)


def find_start(
    home: Path, values: Sequence[str], *, beside: bool = True, way: str = SETTING
) -> tuple[int, Path]:
    """How many of some paths are files, and the folder that they start from.

    `home` is tried first, and taken where another has as many; with `beside`, the folders in and beside it
    are tried too. `way` tells how one of two is chosen.

    Raises:
        SourceError: two folders have as many of them, and more than `home`.
    """
    tried = [each for each in values[:: max(1, len(values) // MOST_TRIED)] if each]
    if tried and all(Path(each).is_absolute() for each in tried):
        home = Path(os.path.commonpath([Path(each).parent for each in tried]))
    near = [*_list_folders(home), *_list_folders(home.parent)] if beside else []
    counts = {home: _count_files(home, tried)}
    if counts[home] < len(tried):
        counts |= {each: _count_files(each, tried) for each in near}
    if any(counts.values()):
        return _choose_start(counts, home, way)
    named = all(PurePosixPath(each).suffix.strip(".0123456789") for each in tried)  # as files, not numbers
    photos = [each for each in near if named and FILE_WORDS.intersection(words_of(each.name))]
    for folder in (home, *photos):
        places = Places(folder)
        counts[folder] = _count_files(folder, [path for value in tried if (path := places.find(value))])
        if counts[home]:
            break
    return _choose_start(counts, home, way)


def _choose_start(counts: dict[Path, int], home: Path, way: str) -> tuple[int, Path]:
    """The folder that has most files, `home` where no other has more; SourceError if two have as many."""
    most = max(counts.values())
    if counts[home] == most:
        return most, home
    first, *others = (each for each, count in counts.items() if count == most)
    other = next((each for each in others if each.resolve() != first.resolve()), None)
    if other is not None:
        raise SourceError(
            f"The pictures that the table names are in {first} and in {other} alike. Expected them in one "
            f"folder. Say which: {way.format(folder=first)}"
        )
    return most, first


def _count_files(folder: Path, paths: Iterable[str]) -> int:
    """How many of some paths are files in a folder; what may not be opened is none."""
    return sum(is_there(folder / path) and (folder / path).is_file() for path in paths)


def _list_folders(folder: Path) -> list[Path]:
    if not os.access(folder, os.R_OK | os.X_OK):
        return []
    return sorted(each for each in folder.iterdir() if each.is_dir())[:MOST_FOLDERS]


def _make_file(
    table: str, root: Path, path: str, rows: Sequence[LabelRow], held_out: set[str]
) -> SourceFile | Quarantined:
    first = rows[0]
    label = normalise(first.label)
    for what in ("label", "group", "split"):
        by_value: dict[str, LabelRow] = {}
        for row in rows:
            by_value.setdefault(normalise(getattr(row, what) or ""), row)
        if len(by_value) > 1:
            told = ", ".join(f"{row.place} {value!r}" for value, row in by_value.items())
            return Quarantined(path=path, reason=f"rows differ in the {what}: {told}", class_name=label)
    given = [row.box for row in rows if row.box is not None]
    box = None
    if given and (sides := read_sides(root / path)) is not None:
        box = place_boxes([Mark(label, each) for each in given if is_box(each)], sides, None)
        if box is None:
            return Quarantined(path=path, reason=OUTSIDE, class_name=label)
    tree = None if first.split is None else _read_split(table, first)
    return SourceFile(path, label, first.group or None, tree, comparison_key(label) in held_out, box)


def _read_split(table: str, row: LabelRow) -> Split:
    found = read_split_name(row.split or "")
    if found is None:
        raise SourceError(
            f"{table}: {row.place} has the split {row.split!r}. Expected train, validation or test in every "
            "row with a label. Correct it, or take the column out of the settings."
        )
    return found.split


def _check_files(table: str, files: Sequence[SourceFile], found: _Sorted) -> None:
    classes = sorted({file.class_name for file in files})
    if len({file.class_name for file in files if not file.is_unknown}) < 2:
        told = "; ".join(f"{count} {what}" for what, count in found.counts.items())
        faults = f"; {len(found.quarantined)} set aside" if found.quarantined else ""
        raise SourceError(
            f"{table}: {'only ' + ', '.join(classes) if classes else 'no class'} to learn from"
            f"{'; ' + told if told else ''}{faults}. Expected at least two known classes. Check the columns, "
            "dataset.skip_classes and dataset.unknown_classes."
        )
    check_class_names(Path(table), files, "label")
    check_spelling(Path(table), classes, found.labels, "label")
