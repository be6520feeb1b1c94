"""One JSON of every stored record class in tests/golden/records: written once, read for ever.

    python -m tests.golden_records      writes the files that are missing, and changes none

A new field of a record has a default, so that what an earlier version stored is still read.
"""

from __future__ import annotations

import json
import pkgutil
from datetime import UTC, datetime
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

import vision
from orchestration.schedule.state import ScheduleState
from vision.base.record import FileSet, FolderRecord, Record

FOLDER = Path(__file__).parent / "golden" / "records"


def list_records() -> dict[str, type[Record]]:
    """Every class of record, by name."""
    for module in pkgutil.walk_packages(vision.__path__, "vision."):
        if module.name.endswith((".records", ".record", ".outputs", ".baselines")):
            import_module(module.name)
    found: dict[str, type[Record]] = {ScheduleState.__name__: ScheduleState}
    waiting: list[type[Record]] = [Record]
    while waiting:
        own = [each for each in waiting.pop().__subclasses__() if each.__module__.startswith("vision.")]
        waiting += own
        found |= {each.__name__: each for each in own}
    del found[FileSet.__name__], found[FolderRecord.__name__]  # what is stored is one of their kinds
    return found


def read_golden(record: type[Record]) -> tuple[Record, dict[str, Any]]:
    """The record as this version reads it, and what the file says."""
    tree: dict[str, Any] = json.loads((FOLDER / f"{record.__name__}.json").read_text(encoding="utf-8"))
    root = {"root": "files"} if issubclass(record, FileSet) else {}
    return record.model_validate(tree | root), tree


def fill(annotation: Any, name: str, place: int = 1) -> Any:
    """A small value of a type: what differs by field and place shows a field that is read as another."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return fill(next(each for each in arguments if each is not NoneType), name, place)
    if origin is Literal:
        return arguments[0]
    if origin is tuple:
        inner = arguments[:1] * 2 if arguments[1:] == (...,) else arguments
        return [fill(each, name, i + 1) for i, each in enumerate(inner)]
    if origin is dict:
        return {str(fill(arguments[0], name)): fill(arguments[1], name)}
    if origin is not None:  # Annotated
        return fill(arguments[0], name, place)
    return _fill_plain(annotation, name, place)


def _fill_plain(annotation: Any, name: str, place: int) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.items()
        known = {key: fill(each.annotation, key, place) for key, each in fields if not each.exclude}
        return known | ({"schema_version": 1} if "schema_version" in known else {})
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return next(iter(annotation)).value
    number = sum(map(ord, name)) % 50 + place
    values = {str: f"{name} {place}", Path: name, int: number, float: number / 64, bool: True}
    return values.get(annotation, datetime(2026, 1, place, tzinfo=UTC).isoformat())


def write_missing() -> None:
    """Write the file of every record class that has none."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, record in list_records().items():
        path = FOLDER / f"{name}.json"
        if not path.exists():
            tree = fill(record, name)
            path.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_missing()
