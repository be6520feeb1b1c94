"""Which class names are refused: those that would not show, or that would be taken for something else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from vision.base.errors import SourceError
from vision.base.names import comparison_key, find_hidden, find_near
from vision.data.manifest import SourceFile
from vision.data.records import POOLED

ANSWERS = ("accept", "review", "unknown")
"""What a served model answers; a class of such a name would be taken for an answer."""


def check_class_names(root: Path, files: Iterable[SourceFile], noun: str = "class folder") -> None:
    """Refuse names that do not show, and names that tables use for something else.

    `noun` is what bears the name in `root`, a folder or a table.

    Raises:
        SourceError: names the class, and what to type.
    """
    for name, is_unknown in sorted({(file.class_name, file.is_unknown) for file in files}):
        hidden = find_hidden(name)
        if hidden is not None or not name.strip():
            fault = "is blank" if hidden is None else f"holds {hidden}, which does not show"
            raise SourceError(
                f"{root}: the name of the {noun} {name!a} {fault}. Expected letters, digits, signs and "
                "spaces. Rename it."
            )
        if is_unknown and name == POOLED:
            raise SourceError(
                f"{root}: the class {name!r} is held out as unknown, and {name!r} is what reports call all "
                "held-out classes together. Expected another name. Rename it."
            )
        if not is_unknown and comparison_key(name) in ANSWERS:
            raise SourceError(
                f"{root}: the {noun} {name!r} is called like an answer of the model "
                f"({', '.join(ANSWERS)}). Expected another name. If it holds pictures of other things, hold "
                f"them out: --set 'dataset.unknown_classes=[\"{name}\"]'. If it is a kind of its own, "
                "rename it."
            )


def check_spelling(
    root: Path,
    classes: Iterable[str],
    places: Mapping[str, str] | None = None,
    noun: str = "class folder",
) -> None:
    """Refuse names that only some file systems tell apart: they are one class or two by accident.

    `places` tells where a class lies, if it is not `name/`.

    Raises:
        SourceError: names both.
    """
    seen: dict[str, str] = {}
    where = places or {}
    for name in sorted(classes):
        key = comparison_key(name)
        if key in seen:
            both = " and ".join(where.get(each, repr(each)) for each in (seen[key], name))
            raise SourceError(
                f"{root}: the {noun}s {both} differ only in case, or in what does not show. Expected "
                "one spelling. Rename one of them."
            )
        seen[key] = name


def check_unknown_classes(root: Path, named: Iterable[str], setting: str, classes: Collection[str]) -> None:
    """Refuse held-out classes that there are not, whatever their case and form.

    Raises:
        SourceError: with the class that was probably meant.
    """
    keys = {comparison_key(name) for name in classes}
    for name in named:
        if comparison_key(name) not in keys:
            near = find_near(name, classes)
            hint = f"; did you mean {near}?" if near else "."
            raise SourceError(
                f"{root}: {setting} names {name!r}, which is no class there{hint} Expected some of: "
                f"{', '.join(sorted(classes))}."
            )
