"""A column and a table of values are the sequence that they were made of, in one canonical form."""

from __future__ import annotations

import io
import pickle
import sys
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from tests.processes import run_python
from vision.base.columns.column import CHUNK, Column
from vision.base.columns.kinds import kind_of
from vision.base.columns.parquet import read_table, write_table
from vision.base.columns.rows import Rows
from vision.base.record import Record
from vision.data.records import ImageEntry, Split

DIGEST = st.binary(min_size=32, max_size=32).map(bytes.hex)
VALUES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, st.text(max_size=4) | DIGEST),
    (str, DIGEST),
    (str | None, st.none() | st.sampled_from(["a", "b", ""])),
    (Split | None, st.none() | st.sampled_from(Split)),
    (int, st.integers(-(2**40), 2**40)),
    (float, st.floats(allow_nan=False)),
    (bool, st.booleans()),
    (datetime | None, st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))),
    (tuple[int, int], st.tuples(*[st.integers(0, 2**40)] * 2)),
    (tuple[float, float] | None, st.none() | st.tuples(*[st.floats(allow_nan=False)] * 2)),
]


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_a_column_is_the_list_that_it_was_made_of(data: st.DataObject) -> None:
    annotation, strategy = data.draw(st.sampled_from(VALUES))
    values = data.draw(st.lists(strategy, max_size=12))
    column: Column[Any] = Column.of(annotation, values)
    assert list(column) == values == column
    assert list(map(type, column)) == list(map(type, values))
    assert [column[row] for row in range(len(values))] == values
    assert column[1:5] == values[1:5]
    rows = np.array(data.draw(st.lists(st.sampled_from(range(len(values)) or [0]), max_size=9)), int)
    if values:
        assert column.take(rows) == [values[row] for row in rows]
        assert Column.join([column[:3], column[3:]]).array.equals(column.array)
    stored = io.BytesIO()
    digest = write_table(column.to_table(), stored)
    read: Column[Any] = Column.from_table(annotation, read_table(stored.getvalue()))
    assert read == column
    assert digest == column.digest == read.digest == pickle.loads(pickle.dumps(column)).digest


@given(st.lists(st.none() | st.sampled_from(["cod", "eel", "a" * 64, "b" * 64]), max_size=9))
@settings(deadline=None)
def test_values_are_numbered_counted_and_found(values: list[str | None]) -> None:
    column: Column[str | None] = Column.of(str | None, values)
    codes, names = column.codes()
    assert [names[code] if code >= 0 else None for code in codes.tolist()] == values
    assert dict(column.tally()) == {name: values.count(name) for name in names}
    assert {name: rows.tolist() for name, rows in column.places.items()} == {
        name: [row for row, value in enumerate(values) if value == name] for name in names
    }
    assert column.are_in(["eel"]).tolist() == [value == "eel" for value in values]
    known: Column[str | None] = Column.of(str, [name for name in names if name])
    if None not in values:
        assert [known[place] for place in column.find_in(known).tolist()] == values
        assert Column.numbered(str, codes, names) == column


def test_digests_take_32_bytes_and_texts_that_repeat_are_numbered() -> None:
    num = 2 * CHUNK
    digests = Column.of(str, (f"{row:064x}" for row in range(num)))
    classes = Column.of(str, (f"a rather long name of class {row % 7}" for row in range(num)))
    assert digests.array.nbytes == 32 * num
    assert classes.array.nbytes < 5 * num
    assert (digests[-1], classes[-1]) == (f"{num - 1:064x}", f"a rather long name of class {(num - 1) % 7}")
    assert Column.of(str, ["0" * 64, "F" * 64]) == ["0" * 64, "F" * 64]  # no digest: kept as it is


def test_what_has_no_column_and_values_of_another_type_are_refused() -> None:
    with pytest.raises(TypeError, match="dict"):
        kind_of(dict[str, int])
    with pytest.raises((TypeError, ValueError)):
        Column.of(int, ["one"])
    with pytest.raises(IndexError, match="Row 3"):
        Column.of(int, [1, 2, 3])[3]


class Point(BaseModel):
    x: int
    name: str | None = None


class Later(Point):
    colour: str = "red"


class Points(Record):
    points: Rows[Point]
    names: Column[str] = Column.of(str, ())


@pytest.mark.parametrize("known", [["a", "b"], ["a", "b"] * 9, ["0" * 64, "f" * 64]])
def test_a_value_that_is_not_among_the_others_has_no_place(known: list[str]) -> None:
    others: Column[str] = Column.of(str, known)
    assert Column.of(str, ["c", known[1], known[0]]).find_in(others).tolist() == [-1, 1, 0]
    assert others[:0].find_in(others).tolist() == []


def test_a_record_takes_lists_for_columns_and_gives_lists_in_json() -> None:
    points = [Point(x=row, name=f"{row % 3}") for row in range(10)]
    record = Points(points=points, names=["a"])
    assert Points.model_validate_json(record.model_dump_json()) == record
    assert list(record.model_dump()["points"]) == [each.model_dump() for each in points]
    changed = record.model_copy(update={"points": points[:2]})
    assert isinstance(changed.points, Rows)
    assert changed.points == points[:2] != points
    assert record.points.replace(x=range(10, 20))[0] == Point(x=10, name="0")
    with pytest.raises(ValueError, match=r"differ in length: \{'x': 9, 'name': 10\}"):
        record.points.replace(x=range(9))
    assert list(Rows.join([record.points, changed.points])) == points + points[:2]


def test_a_table_that_lacks_a_later_field_has_its_default_and_a_strange_column_is_refused() -> None:
    table = Rows.of(Point, [Point(x=1), Point(x=2)]).to_table()
    assert list(Rows.from_table(Later, table)) == [Later(x=1), Later(x=2)]
    with pytest.raises(ValueError, match="colour"):
        Rows.from_table(Point, Rows.of(Later, [Later(x=1)]).to_table())


def test_an_image_takes_some_hundred_bytes() -> None:
    num = 20_000
    entries = Rows.of(
        ImageEntry,
        (
            ImageEntry(
                path=f"class_{row // 100}/animal_{row // 5:06d}_frame{row % 5}.jpg",
                class_name=f"class_{row // 100}",
                digest=f"{row:064x}",
                num_bytes=row,
                width=64,
                height=48,
                group=f"animal_{row // 5:06d}",
            )
            for row in range(num)
        ),
    )
    assert entries.to_table().nbytes < 170 * num
    assert entries[num - 1].group == f"animal_{num // 5 - 1:06d}"


def test_the_records_of_data_do_without_pyarrow_until_they_hold_some() -> None:
    code = "import sys, vision.data.records; assert 'pyarrow' not in sys.modules"
    assert run_python("-c", code).returncode == 0, sys.version
