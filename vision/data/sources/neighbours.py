"""What a folder without class folders is instead: a detection set, a table of labels, labels in file names.

Each is named with what to type. Nothing here reads labels into a data set.
"""

from __future__ import annotations

import csv
import itertools
import json
import logging
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vision.base.wording import count_of
from vision.config.reading.yaml_text import write_inline
from vision.data.sources.split_words import FILE_WORDS, words_of

logger = logging.getLogger(__name__)

_COCO_WORDS = re.compile('"(bbox|categories)"')
_BOXES = "Cut the boxes out into one folder per class; docs/layouts.md shows how for YOLO"
_MOST_LOOKED_AT = 200
_MOST_ROWS = 100_000
_MOST_BYTES = 2**20
_LABEL_WORDS = {
    "breed",
    "category",
    "class",
    "classname",
    "kind",
    "label",
    "labels",
    "species",
    "target",
    "type",
}
_CAMERA_WORDS = FILE_WORDS | {
    "dsc",
    "dscf",
    "dscn",
    "frame",
    "gopr",
    "imag",
    "imgp",
    "mvi",
    "p",
    "pict",
    "pxl",
}
_TABLES = ("*.csv", "*.tsv", "*/*.csv", "*/*.tsv", "../*.csv", "../*.tsv")


@dataclass(frozen=True)
class Table:
    """A table that names images of the folder, and the column that may say what they show."""

    path: Path
    file_column: str
    label_column: str | None
    num_images: int


def describe_neighbour(root: Path, images: Sequence[str]) -> str | None:
    """What a folder holds that cannot be read as classes, and what to type; None if it is nothing known."""
    files = itertools.islice(_files(root, ("*.json", "*/*.json")), 20)
    starts = ((path, _read_start(path)) for path in files)
    labels = next((path for path, start in starts if '"images"' in start and _COCO_WORDS.search(start)), None)
    if labels is not None:
        return (
            f"has labels in a file of COCO's form, {labels.relative_to(root)}. Expected one folder per "
            "class. Such a file is a source too: write under dataset: {source: coco, annotations: "
            f"{labels}, images: {root}}} (docs/sources.md#coco)"
        )
    boxes = _find_boxes(root, images)
    if boxes is not None:
        return (
            f"is a detection set ({boxes}): it has boxes in pictures, not one class for each picture. "
            f"Expected one folder per class. {_BOXES}."
        )
    table = _find_table(root, images)
    if table is not None:
        return _describe_table(root, images, table)
    return _describe_names(root, images)


# --- boxes ----------------------------------------------------------------------------------------------


def _find_boxes(root: Path, images: Sequence[str]) -> str | None:
    """The kind of the files with boxes beside the images."""
    some = images[:: max(len(images) // _MOST_LOOKED_AT, 1)]
    for suffix, folder, words in ((".txt", "labels", "YOLO"), (".xml", "Annotations", "Pascal VOC")):
        found = [path for image in some for path in _beside(root / image, suffix, folder)]
        if 2 * len(found) >= len(some) > 0 and (suffix != ".txt" or _has_boxes(found[0])):
            return f"{words}, {found[0].relative_to(root)} beside the images"
    return None


def _beside(image: Path, suffix: str, folder: str) -> Iterator[Path]:
    """The file of an image's name: beside it, or with a folder of the path in place of the images' folder."""
    own = image.with_suffix(suffix)
    places = [own, *(parent.parent / folder / own.relative_to(parent) for parent in list(own.parents)[:3])]
    yield from itertools.islice((place for place in places if place.is_file()), 1)


def _has_boxes(path: Path) -> bool:
    """Whether a text is lines of a class number and at least four numbers."""
    lines = _read_start(path).split("\n")
    return any(re.fullmatch(r"\d+(\s+-?[\d.eE+-]+){4,}\s*", line) for line in lines)


# --- tables ---------------------------------------------------------------------------------------------


def _find_table(root: Path, images: Sequence[str]) -> Table | None:
    """The first table in the folder, one below or beside it, that names its images."""
    names = {PurePosixPath(image).name for image in images}
    stems = {PurePosixPath(image).stem for image in images}
    tables = (_read_table(path, names, stems) for path in itertools.islice(_files(root, _TABLES), 20))
    return max((table for table in tables if table), key=lambda table: table.num_images, default=None)


def _read_table(path: Path, names: set[str], stems: set[str]) -> Table | None:
    try:
        dialect = csv.Sniffer().sniff(_read_start(path)[:8192], ",;\t|")
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(itertools.islice(csv.DictReader(file, delimiter=dialect.delimiter), _MOST_ROWS))
    except csv.Error:
        return None  # no table that names images
    except (OSError, UnicodeDecodeError) as error:
        logger.warning(
            "%s cannot be read (%s), so it was not searched for labels. Save it as CSV in UTF-8.", path, error
        )
        return None
    if not rows:
        return None
    columns = [column for column in rows[0] if column]
    values = {column: [str(row.get(column) or "") for row in rows] for column in columns}
    known = {
        column: max(
            len({PurePosixPath(value).name for value in values[column]} & own) for own in (names, stems)
        )
        for column in columns
    }
    file_column, count = max(known.items(), key=lambda item: item[1])
    if 2 * count < min(len(rows), len(names)) or not count:
        return None
    labels = [
        each
        for each in columns
        if each != file_column and 2 <= len(set(values[each])) <= max(len(rows) // 2, 2)
    ]
    labels.sort(key=lambda each: not _LABEL_WORDS.intersection(words_of(each)))
    return Table(path, file_column, next(iter(labels), None), count)


def _describe_table(root: Path, images: Sequence[str], table: Table) -> str:
    file = table.path.resolve()
    where = "has" if file.is_relative_to(root.resolve()) else "has, beside the folder,"
    found = (
        f"{where} a table of labels: {file.name} names {table.num_images} of "
        f"{count_of(len(images), 'image')} (column {table.file_column!r})"
    )
    names = Counter(PurePosixPath(image).name for image in images)
    if table.label_column is None or max(names.values()) > 1:
        return (
            f"{found}. Expected one folder per class, or a column of classes and one of paths below {root}."
        )
    named = {"images": str(root), "path_column": table.file_column, "label_column": table.label_column}
    options = [f"--set dataset.{key}={write_inline(value)}" for key, value in named.items()]
    words = [word for option in options for word in option.split(" ", 1)]
    command = shlex.join(["python", "run.py", "new", "NAME", str(file), *words])
    return (
        f"{found} and what it shows ({table.label_column!r}). Expected one folder per class. Such a table is "
        f"a source too (docs/sources.md#csv). Type\n\n{command}"
    )


# --- labels in file names -------------------------------------------------------------------------------


def _describe_names(root: Path, images: Sequence[str]) -> str | None:
    """File names that begin with what may be a class, as cat.0.jpg and dog_12.jpg do."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for image in images:
        folder, _, name = image.rpartition("/")
        counts[folder][_first_word(PurePosixPath(name).stem)] += 1
    labelled = [folder for folder in counts if _are_labels(counts[folder])]
    if not labelled:
        return None
    folder = max(labelled, key=lambda each: counts[each].total())
    listed = ", ".join(f"{name} ({count})" for name, count in sorted(counts[folder].items())[:6])
    lines = [
        "import pathlib, re, shutil",
        f'for file in pathlib.Path({_text(root / folder)}).glob("*.*"):',
        f"    word = re.match({_text(_FIRST_WORD)}, file.stem)",
        f'    folder = pathlib.Path({_text(_sorted_root(root))}, word[0].lower() if word else "other")',
        "    folder.mkdir(parents=True, exist_ok=True)",
        "    shutil.copy(file, folder)",
    ]
    where = f"in {folder}/" if folder else "beside each other"
    return (
        f"has {count_of(counts[folder].total(), 'image')} {where} without class folders, with names that "
        f"begin with {listed}. Expected one folder per class. If these words are the classes, make "
        f"folders with{_type(root, lines)}"
    )


def _are_labels(counts: Counter[str]) -> bool:
    """Whether first words of file names may be classes: several, each often, and not what cameras write."""
    named = Counter({word: count for word, count in counts.items() if word})
    return (
        2 <= len(named) <= counts.total() // 4 and min(named.values()) > 1 and not set(named) <= _CAMERA_WORDS
    )


_FIRST_WORD = r"[^\W\d_]+(?:[ _-][^\W\d_]+)*"


def _first_word(stem: str) -> str:
    match = re.match(_FIRST_WORD, stem)
    return match[0].lower() if match else ""


def _sorted_root(root: Path) -> Path:
    named = root if root.name else root.absolute()
    return named.with_name(f"{named.name}-by-class")


def _type(root: Path, lines: Sequence[str]) -> str:
    command = shlex.quote("\n".join(lines))
    path = shlex.quote(str(_sorted_root(root)))
    return (
        f"\n\npython -c {command}\n\nand look at them: python run.py new NAME {path} (in a config that is "
        f"written: dataset.path: {path})"
    )


def _text(value: object) -> str:
    """A text as Python writes it, in double quotes, which stay as they are in a shell's single quotes."""
    return json.dumps(str(value), ensure_ascii=False)


def _files(root: Path, patterns: Sequence[str]) -> Iterator[Path]:
    for pattern in patterns:
        yield from (path for path in sorted(root.glob(pattern)) if path.is_file())


def _read_start(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES).decode("utf-8", "replace")
