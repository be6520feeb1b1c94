"""Which columns of a table hold the path, the class, the group, the split and the box."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from vision.base.errors import SourceError
from vision.base.names import comparison_key
from vision.config.sources.tables import CsvSource
from vision.data.sources.split_words import read_split_name, words_of
from vision.data.sources.table.labels_file import LABEL_COLUMNS, find_table
from vision.data.sources.table.reading import PATH_COLUMNS, read_cell, read_table
from vision.data.sources.table.rows import Places, find_start

GROUP_WORDS = frozenset(
    [
        "group",
        "individual",
        "subject",
        "patient",
        "specimen",
        "video",
        "clip",
        "sequence",
        "seq",
        "burst",
        "visit",
        "location",
        "site",
        "camera",
        *("individuum", "individu", "individuo", "individus", "sujet", "sujeto", "soggetto"),
        *("paciente", "paziente", "spécimen", "espécimen", "exemplar"),
        *("standort", "ort", "lieu", "lugar", "luogo", "kamera", "caméra", "cámara", "fotocamera"),
        *("sequenz", "séquence", "secuencia", "sequenza", "besuch"),
    ]
)
"""What stays in one split, by the words of a column's name; `_NAMING` may stand beside them."""

AMBIGUOUS_WORDS = frozenset(
    ("animal", "tiere", "animale", "animais", "animales", "person", "personne", "persona")
)
"""Of columns that may tell the individual, and may as well repeat the class or tell who labelled."""

_NAMING = frozenset(("id", "ids", "name", "code", "no", "nr", "number"))
SPLIT_COLUMNS = ("split", "subset", "partition", "set")
BOX_COLUMNS = (
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("left", "top", "width", "height"),
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
    ("bbox_x", "bbox_y", "bbox_w", "bbox_h"),
)
"""Left, top, width and height in pixels, by the names that they have together."""

_EXAMPLES = 3


def recognise_columns(settings: CsvSource) -> CsvSource:
    """The settings of a table with every column named that is found, and the folder of its images.

    What the settings name already is kept; `group_column: null` and `split_column: null` say that there is
    none.

    Raises:
        SourceError: the table cannot be read, names no file that is there, or allows two readings, which are
            told with the setting of each.
    """
    if settings.images is not None or not settings.path.is_file():
        find_table(settings)
    table = _Table(settings, *read_table(settings.path))
    found = table.find_paths()
    if not settings.label_column and not settings.rank:
        found["label_column"] = table.find_label(found["path_column"])
    if not {"group_column", "group_by"} & settings.model_fields_set:
        label = settings.rank or settings.label_column or str(found["label_column"])
        found["group_column"] = table.find_group(label)
    if "split_column" not in settings.model_fields_set:
        found["split_column"] = table.find_split()
    if "box_columns" not in settings.model_fields_set:
        found["box_columns"] = table.find_box()
    return settings.model_copy(update={name: value for name, value in found.items() if value is not None})


def list_unused(settings: CsvSource) -> list[str]:
    """Columns of the table that no setting names."""
    header, _ = read_table(settings.path)
    named = {settings.path_column, settings.label_column, settings.rank, settings.group_column}
    named |= {settings.split_column, *(settings.box_columns or ())}
    return [name for name in header if name and name not in named]


def list_possible_groups(settings: CsvSource) -> list[str]:
    """Unused columns whose values repeat, each with one class: names of individuals, as a rule."""
    label = settings.rank or settings.label_column
    table = _Table(settings, *read_table(settings.path))
    if label is None or settings.group_column:
        return []
    classes = table.values[label]
    return [
        name
        for name in list_unused(settings)
        if len(set(classes)) < table.count(name) < table.num_rows and table.lies_within(name, classes)
    ]


class _Table:
    """Header and rows, and what may be read from them."""

    def __init__(self, settings: CsvSource, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.settings, self.header = settings, [name for name in header if name]
        filled = [row for row in rows if any(row)]
        self.values = {
            name: [read_cell(row, place) for row in filled] for place, name in enumerate(header) if name
        }
        self.num_rows = len(filled)

    def find_paths(self) -> dict[str, object]:
        """The column of paths, and the folder that they start from where it is not the table's."""
        settings = self.settings
        named = [settings.path_column] if settings.path_column else self._named(PATH_COLUMNS)
        hits = {name: self._locate(self.values.get(name, [])) for name in named or self.header}
        best = max((count for count, _ in hits.values()), default=0)
        found = [name for name, (count, _) in hits.items() if count == best > 0]
        if len(found) > 1:
            raise SourceError(self._tell_readings(found, "path_column", "the path"))
        if not found:
            first = next((value for name in named for value in self.values.get(name, []) if value), "")
            example = f" ({named[0]}: {first!r})" if first else ""
            places = Places(settings.images or settings.path.parent)
            firsts = [next(filter(None, self.values.get(name, [])), "") for name in named or self.header]
            there = next(filter(None, (places.list_named(each) for each in firsts if each)), [])
            called = f"; called so are {', '.join(there[:_EXAMPLES])}" if there else ""
            raise SourceError(
                f"{settings.path}: no column names a picture that is there{example}; looked from "
                f"{places.root} and the folders in and beside it{called}. Expected paths "
                "that start from a folder. Say from which: --set dataset.images=FOLDER"
            )
        images = hits[found[0]][1]
        return {"path_column": found[0], "images": None if images == settings.path.parent else images}

    def find_label(self, path_column: object) -> str:
        """The column of classes: by its name, else the one whose words repeat."""
        others = [name for name in self.header if name != path_column]
        if not others:
            raise SourceError(
                f"{self.settings.path}: the only column is {path_column!r}. Expected another with the class "
                "of each picture. Add it, or give a folder that holds one folder a class."
            )
        found = self._named(LABEL_COLUMNS) or [
            name
            for name in others
            if not _names_group(name)
            and comparison_key(name) not in SPLIT_COLUMNS
            and not any(value.replace(".", "", 1).isdigit() for value in self.values[name])
            and 2 <= self.count(name) <= self.num_rows / 2
        ]
        if len(found) != 1:
            raise SourceError(self._tell_readings(found or others, "label_column", "the class"))
        return found[0]

    def choose(self, names: Sequence[str], setting: str, what: str) -> str | None:
        """The one of these columns whose values repeat; None where there is none."""
        found = [name for name in names if 2 <= self.count(name) < self.num_rows]
        if len(found) > 1:
            raise SourceError(self._tell_readings(found, setting, what, or_none=True))
        return found[0] if found else None

    def find_group(self, label: str) -> str | None:
        """The column of what stays in one split; None where there is none.

        A column by an ambiguous name is one where it has more values than classes, each within a class.
        """
        kind, classes = "what stays in one split", self.values.get(label, [])
        names = [name for name in self.header if _names_group(name)]
        maybe = [name for name in names if _names_group(name, AMBIGUOUS_WORDS)]
        maybe = [name for name in maybe if name != label and 2 <= self.count(name) < self.num_rows]
        few = [name for name in maybe if self.count(name) <= len({*classes} - {""})]
        mixed = [name for name in maybe if name not in few and not self.lies_within(name, classes)]
        if mixed:
            raise SourceError(self._tell_readings(mixed, "group_column", kind, or_none=True))
        return self.choose([name for name in names if name not in few], "group_column", kind)

    def find_split(self) -> str | None:
        """The column that says train, validation or test in each row."""
        found = self.choose(self._named(SPLIT_COLUMNS), "split_column", "the split")
        wrong = next(
            (each for each in self.values.get(found or "", []) if read_split_name(each) is None), None
        )
        if wrong is not None:
            raise SourceError(
                f"{self.settings.path}: the column {found!r} holds {wrong!r}. Expected train, validation or "
                "test in every row. Correct it, or leave the column out: --set dataset.split_column=null"
            )
        return found

    def find_box(self) -> tuple[str, ...] | None:
        """The four columns of a box."""
        by_key = {comparison_key(name): name for name in self.header}
        sets = [tuple(by_key[key] for key in keys) for keys in BOX_COLUMNS if set(keys) <= set(by_key)]
        return sets[0] if sets else None

    def _named(self, names: Collection[str]) -> list[str]:
        return [name for name in self.header if comparison_key(name) in names]

    def count(self, name: str) -> int:
        """Different values of a column, empty ones left out."""
        return len({value for value in self.values[name] if value})

    def lies_within(self, name: str, classes: Sequence[str]) -> bool:
        """Whether each value of a column is of one class; rows that lack either tell nothing."""
        pairs = {pair for pair in zip(self.values[name], classes, strict=True) if all(pair)}
        return len(pairs) == len({value for value, _ in pairs})

    def _locate(self, values: Sequence[str]) -> tuple[int, Path]:
        """How many of some paths are files, and the folder that they start from."""
        images = self.settings.images
        return find_start(images or self.settings.path.parent, values, beside=images is None)

    def _tell_readings(
        self, columns: Sequence[str], setting: str, what: str, *, or_none: bool = False
    ) -> str:
        lines = [(f"--set dataset.{setting}={name}", self._describe(name)) for name in columns]
        lines += [(f"--set dataset.{setting}=null", "none of them")] if or_none else []
        width = max(len(option) for option, _ in lines)
        listed = "".join(f"\n  {option:<{width}}   {text}" for option, text in lines)
        return f"{self.settings.path}: {len(columns)} columns may be {what}. Say which:{listed}"

    def _describe(self, name: str) -> str:
        common = [value for value, _ in Counter(self.values[name]).most_common(_EXAMPLES) if value]
        more = ", …" if self.count(name) > len(common) else ""
        return f"{self.count(name):,} values: {', '.join(common)}{more}"


def _names_group(column: str, group_words: Collection[str] = GROUP_WORDS | AMBIGUOUS_WORDS) -> bool:
    words = set(words_of(column)) - _NAMING
    return bool(words) and words <= set(group_words)
