"""Which folder names say train, validation or test: told by their words, not by a list of names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from vision.base.names import normalise
from vision.data.records import Split

_SPLIT_WORDS = {
    Split.TRAIN: (
        *("train", "training", "trainval", "trn", "trainings"),
        *("entrenamiento", "entraînement", "apprentissage", "addestramento", "treinamento", "treino"),
    ),
    Split.VALIDATION: (
        *("val", "valid", "validation", "validate", "validating", "dev"),
        *("validierung", "validierungs", "validación", "validazione", "validação"),
    ),
    Split.TEST: (
        *("test", "testing", "tst", "holdout", "eval", "evaluation"),
        *("prueba", "pruebas", "teste", "essai"),
    ),
}
_SPLIT_OF = {word: split for split, words in _SPLIT_WORDS.items() for word in words}

# fmt: off
FILE_WORDS = frozenset([
    "annotation", "annotations", "bilder", "box", "boxes", "class", "classes", "data", "dataset",
    "datasets", "daten", "datos", "dir", "dirs", "file", "files", "folder", "folders", "fotos", "gt",
    "image", "images", "img", "imgs", "jpeg", "jpegimages", "jpg", "label", "labels", "mask", "masks",
    "part", "photo", "photos", "pic", "pics", "picture", "pictures", "png", "sample", "samples",
    "segmentation", "set", "sets", "split", "splits", "subset", "targets",
])
# fmt: on
"""Words that say what files are and never what they show."""

_WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])|\d+")


@dataclass(frozen=True)
class SplitName:
    """A folder name that holds the word of one split; `rest` are all others but numbers and `FILE_WORDS`."""

    split: Split
    rest: tuple[str, ...]


def read_split_name(name: str) -> SplitName | None:
    """The split that a name says; None if it says none, or several.

    `train`, `Training Set`, `trainset`, `seg_train`, `val2017` and `TestImages` say one each.
    """
    splits, rest, words = set(), [], words_of(name)
    joined = "".join(word for word in words if not word.isdigit())
    if _split_of(joined) is not None:
        words = [joined]  # hold_out
    for word in words:
        split = _split_of(word)
        if split is not None:
            splits.add(split)
        elif not word.isdigit() and word not in FILE_WORDS:
            rest.append(word)
    if splits == {Split.TRAIN, Split.VALIDATION}:
        splits = {Split.TRAIN}  # train_val: what is not test
    return SplitName(splits.pop(), tuple(rest)) if len(splits) == 1 else None


def find_split_names(names: Iterable[str]) -> dict[str, Split]:
    """Folder name -> split, of names that together are the splits of one data set.

    A name counts if it says its split alone, or if its other words are those of another split's name too:
    `seg_train` beside `seg_test`, but not `freight_train` beside `passenger_train`.
    """
    read = {name: found for name in names if (found := read_split_name(name)) is not None}
    splits_by_rest = Counter(rest for rest, _ in {(each.rest, each.split) for each in read.values()})
    return {name: each.split for name, each in read.items() if not each.rest or splits_by_rest[each.rest] > 1}


def is_named_alike(name: str, trees: Iterable[str]) -> bool:
    """Whether a name shares a word with split folders besides their splits: `seg_pred` beside `seg_train`."""
    shared = {word for tree in trees if (read := read_split_name(tree)) is not None for word in read.rest}
    return not shared.isdisjoint(words_of(name))


def names_files(name: str) -> bool:
    """Whether a name says what files are and nothing of what they show: `images`, `label masks`."""
    words = words_of(name)
    return bool(words) and FILE_WORDS.issuperset(words)


def words_of(name: str) -> list[str]:
    """The words and numbers of a name in lower case; capitals, digits and signs part them."""
    return [word.casefold() for word in _WORD.findall(normalise(name))]


def _split_of(word: str) -> Split | None:
    if word in _SPLIT_OF:
        return _SPLIT_OF[word]
    stems = {word.removesuffix(own) for own in FILE_WORDS} | {word.removeprefix(own) for own in FILE_WORDS}
    found = {_SPLIT_OF[stem] for stem in stems if stem in _SPLIT_OF}
    return found.pop() if len(found) == 1 else None
