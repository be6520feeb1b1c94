"""Frozen values of one class, such as the images of a data set, each field a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, repeat
from typing import Any, Self, TypeVar

import numpy as np
from pydantic import BaseModel

from vision.base.columns.column import CHUNK, Column, Columnar, Places
from vision.base.columns.kinds import kind_of

ItemT = TypeVar("ItemT", bound=BaseModel)


class Rows(Columnar[ItemT]):
    """Values of a pydantic class whose fields are columns; an item is made when it is asked for.

    Loops over a million items ask for whole columns instead: `rows.column("width").numbers()`.
    """

    def __init__(self, item: type[ItemT], columns: Mapping[str, Column[Any]]) -> None:
        """Items of a class, from a column for each of its fields.

        Raises:
            ValueError: the columns differ in length.
        """
        self._item, self._columns = item, dict(columns)
        lengths = {name: len(column) for name, column in self._columns.items()}
        self._length = next(iter(lengths.values()))
        if len({*lengths.values()}) > 1:
            raise ValueError(
                f"Columns of {item.__name__} differ in length: {lengths}. Expected a value a row."
            )

    @classmethod
    def of(cls, annotation: Any, values: Iterable[ItemT]) -> Self:
        """Values of the class `annotation`."""
        import pyarrow as pa

        kinds = {name: kind_of(field.annotation) for name, field in annotation.model_fields.items()}
        chunks = {name: [kind.pack([])] for name, kind in kinds.items()}
        left = iter(values)
        while taken := list(islice(left, CHUNK)):
            for name, kind in kinds.items():
                chunks[name].append(kind.pack([getattr(each, name) for each in taken]))
        columns: dict[str, Column[Any]] = {
            name: Column(kind, pa.chunked_array(chunks.pop(name))) for name, kind in kinds.items()
        }
        return cls(annotation, columns)

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """The items of at least one part, one part after the other."""
        first = parts[0]
        return cls(
            first._item, {name: Column.join([part.column(name) for part in parts]) for name in first._columns}
        )

    @classmethod
    def from_table(cls, annotation: Any, table: Any) -> Self:
        """The items of a stored table; a field that the class has got since then has its default.

        Raises:
            ValueError: a column is none of the class's fields, or a field without a default has no column.
        """
        fields = annotation.model_fields
        strange = set(table.column_names) ^ set(fields)
        if bad := [name for name in strange if name not in fields or fields[name].is_required()]:
            raise ValueError(f"the table has the columns {', '.join(table.column_names)}: wrong are {bad}")
        columns = {
            name: Column.from_array(field.annotation, table.column(name))
            if name in table.column_names
            else Column.of(field.annotation, repeat(field.get_default(), len(table)))
            for name, field in fields.items()
        }
        return cls(annotation, columns)

    def to_table(self) -> Any:
        """A table with a column for each field."""
        import pyarrow as pa

        return pa.table({name: column.array for name, column in self._columns.items()})

    def column(self, name: str) -> Column[Any]:
        """A field of every item."""
        return self._columns[name]

    def replace(self, **columns: Iterable[Any]) -> Self:
        """The same items with other values in some fields."""
        fields = self._item.model_fields
        new = {
            name: values if isinstance(values, Column) else Column.of(fields[name].annotation, values)
            for name, values in columns.items()
        }
        return type(self)(self._item, {**self._columns, **new})

    def take(self, rows: Places) -> Self:
        """The items at some places, or where a mask is true."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        return type(self)(self._item, {name: each.take(rows) for name, each in self._columns.items()})

    def __len__(self) -> int:
        return self._length

    def _at(self, start: int, stop: int) -> list[ItemT]:
        names = tuple(self._columns)
        values = zip(*(each._at(start, stop) for each in self._columns.values()), strict=True)
        return [self._item.model_construct(**dict(zip(names, each, strict=True))) for each in values]
