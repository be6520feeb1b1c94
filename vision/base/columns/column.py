"""One column: a sequence of values of one kind in an Arrow array."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar, Self, TypeVar, get_args, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from vision.base.columns.kinds import Kind, kind_of, settle, spell_out
from vision.base.columns.parquet import write_table

CHUNK = 4096
"""Values that are plain Python objects at one time."""

ValueT = TypeVar("ValueT")
Places = NDArray[np.integer[Any]] | NDArray[np.bool_]


class Columnar(Sequence[ValueT]):
    """A sequence in Arrow that is a field of a record: any sequence of its values is taken for it.

    In JSON it is the list of its values; the artifact store keeps it as a Parquet file (`to_table`).
    """

    __hash__: ClassVar[None]  # type: ignore[assignment]

    @classmethod
    @abstractmethod
    def of(cls, annotation: Any, values: Iterable[ValueT]) -> Self:
        """The values, of the type `annotation`; they are taken a chunk at a time."""

    @classmethod
    @abstractmethod
    def from_table(cls, annotation: Any, table: Any) -> Self:
        """What `to_table` made, of values of the type `annotation`."""

    @abstractmethod
    def to_table(self) -> Any:
        """The values as an Arrow table; equal values give equal tables."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the Parquet file of the values, hexadecimal."""
        return write_table(self.to_table(), None)

    @abstractmethod
    def take(self, rows: Places) -> Self:
        """The values at some places, or where a mask is true."""

    @abstractmethod
    def _at(self, start: int, stop: int) -> list[ValueT]:
        """The values from one place to another, as Python objects."""

    @overload
    def __getitem__(self, place: int) -> ValueT: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: int | slice) -> ValueT | Self:
        if isinstance(place, slice):
            return self.take(np.arange(*place.indices(len(self))))
        row = int(place) + (len(self) if place < 0 else 0)
        if not 0 <= row < len(self):
            raise IndexError(f"Row {place} was asked for; there are {len(self)}.")
        return self._at(row, row + 1)[0]

    def __iter__(self) -> Iterator[ValueT]:
        for start in range(0, len(self), CHUNK):
            yield from self._at(start, min(start + CHUNK, len(self)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, type(self)):
            return len(self) == len(other) and (not len(self) or self.to_table().equals(other.to_table()))
        if isinstance(other, Sequence) and not isinstance(other, str):
            return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))
        return NotImplemented

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3]))
        return f"{type(self).__name__}({shown}{', ...' if len(self) > 3 else ''}; {len(self)} in all)"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        (annotation,) = get_args(source)
        values = core_schema.tuple_variable_schema(handler.generate_schema(annotation))

        def take(given: Any, validate: Any) -> Any:
            return given if isinstance(given, cls) else cls.of(annotation, validate(given))

        return core_schema.no_info_wrap_validator_function(
            take,
            values,
            serialization=core_schema.wrap_serializer_function_ser_schema(
                lambda value, serialise: serialise(tuple(value)), schema=values
            ),
        )


class Column(Columnar[ValueT]):
    """Values of one kind; see `Kind` for which."""

    def __init__(self, kind: Kind, array: Any) -> None:
        """Values of a kind in an Arrow array."""
        self._kind, self._array = kind, settle(array)

    @classmethod
    def of(cls, annotation: Any, values: Iterable[ValueT]) -> Self:
        """The values of the type `annotation`."""
        import pyarrow as pa

        kind, left = kind_of(annotation), iter(values)
        chunks = [kind.pack([])]
        while taken := list(islice(left, CHUNK)):
            chunks.append(kind.pack(taken))
        return cls(kind, pa.chunked_array(chunks))

    @classmethod
    def numbered(cls, annotation: Any, codes: NDArray[np.integer[Any]], values: Sequence[ValueT]) -> Self:
        """`values[code]` for each of the codes (n,); None where it is negative."""
        import pyarrow as pa

        kind = kind_of(annotation)
        known = spell_out(values.array) if isinstance(values, Column) else kind.pack(list(values))
        places = pa.array(codes, pa.int32(), mask=codes < 0)
        return cls(kind, pa.DictionaryArray.from_arrays(places, known))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """The values of at least one part, one part after the other."""
        import pyarrow as pa

        return cls(parts[0]._kind, pa.chunked_array([spell_out(part.array) for part in parts]))

    @classmethod
    def from_table(cls, annotation: Any, table: Any) -> Self:
        """The one column of a table."""
        return cls.from_array(annotation, table.column(0))

    @classmethod
    def from_array(cls, annotation: Any, array: Any) -> Self:
        """The values of an Arrow array, of the type `annotation`."""
        kind = kind_of(annotation)
        return cls(kind, array.cast(kind.pack([]).type) if kind.is_tuple else array)

    def to_table(self) -> Any:
        """A table of one column, `value`."""
        import pyarrow as pa

        return pa.table({"value": self._array})

    @property
    def array(self) -> Any:
        """The Arrow array: digests are binary of 32 bytes, texts that repeat a dictionary."""
        return self._array

    def take(self, rows: Places) -> Self:
        """The values at some places, or where a mask is true."""
        import pyarrow as pa

        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        return type(self)(self._kind, self._array.take(pa.array(rows, pa.int64())))

    def codes(self) -> tuple[NDArray[np.int64], Self]:
        """A number for each value, shape (n,), -1 for None, and the values that they number."""
        import pyarrow.compute as pc
        from pyarrow import types

        found = self._array if types.is_dictionary(self._array.type) else pc.dictionary_encode(self._array)
        codes = pc.fill_null(found.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        return codes, type(self)(self._kind, found.dictionary)

    @classmethod
    def from_numbers(cls, annotation: Any, numbers: NDArray[Any]) -> Self:
        """Numbers (n,), or tuples of m of them (n, m), of the type `annotation`."""
        import pyarrow as pa

        kind = kind_of(annotation)
        flat = pa.array(numbers.ravel(), kind.pack([]).type if not kind.is_tuple else pa.int64())
        if not kind.is_tuple:
            return cls(kind, flat)
        ends = np.arange(len(numbers) + 1, dtype=np.int32) * numbers.shape[1]
        return cls(kind, pa.ListArray.from_arrays(pa.array(ends), flat))

    @classmethod
    def from_texts(cls, array: Any) -> Self:
        """A column of the texts of an Arrow array."""
        return cls(kind_of(str), array)

    def texts(self) -> Any:
        """The texts as an Arrow array of them."""
        return spell_out(self._array)

    def numbers(self) -> NDArray[Any]:
        """Numbers, truths or times as a numpy array (n,); tuples of m of them as (n, m)."""
        if self._kind.is_tuple:
            flat = self._array.flatten().to_numpy(zero_copy_only=False)
            return np.asarray(flat.reshape(len(self), -1) if len(self) else flat.reshape(0, 2))
        return np.asarray(self._array.to_numpy(zero_copy_only=False))

    @cached_property
    def places(self) -> dict[ValueT, NDArray[np.int64]]:
        """The places of each value but None, ascending."""
        codes, known = self.codes()
        order = np.argsort(codes, kind="stable")
        counts = np.bincount(codes + 1, minlength=len(known) + 1)
        return dict(zip(known, np.split(order, np.cumsum(counts)[:-1])[1:], strict=True))

    def tally(self) -> Counter[ValueT]:
        """How many there are of each value but None."""
        codes, known = self.codes()
        return Counter(dict(zip(known, np.bincount(codes[codes >= 0]).tolist(), strict=True)))

    def are_in(self, values: Collection[ValueT]) -> NDArray[np.bool_]:
        """Which of the values, shape (n,), are among some few."""
        codes, known = self.codes()
        return np.isin(codes, [code for code, value in enumerate(known) if value in values])

    def find_in(self, others: Self) -> NDArray[np.int64]:
        """Place of each value among others, shape (n,); -1 for one that is not there."""
        import pyarrow.compute as pc
        import pyarrow.types as kinds

        own, known = self._array, others._array
        if own.type != known.type or kinds.is_dictionary(own.type):
            own, known = spell_out(own), spell_out(known)
        found = pc.index_in(own, value_set=known)
        return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64))

    def __len__(self) -> int:
        return len(self._array)

    def _at(self, start: int, stop: int) -> list[ValueT]:
        return self._kind.unpack(self._array[start:stop])
