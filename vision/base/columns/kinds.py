"""How the values of one annotation lie in Arrow. PyArrow is imported where a value is packed, not before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_DIGEST_SIGNS, _DIGEST_BYTES = 64, 32
_SAMPLE = 65_536
"""Texts, from the first on, by which it is decided whether they repeat enough to be numbered."""


@dataclass(frozen=True)
class Kind:
    """Values of `base`: text, a StrEnum, int, float, bool, datetime (no time zone) or a tuple of these."""

    base: type[Any]
    is_tuple: bool = False
    is_optional: bool = False

    @property
    def is_text(self) -> bool:
        """Whether values are texts or members of a StrEnum."""
        return issubclass(self.base, str) and not self.is_tuple

    def pack(self, values: Sequence[Any]) -> Any:
        """An Arrow array of the values.

        Raises:
            TypeError or ValueError (also as pyarrow.ArrowInvalid): a value is of another type.
        """
        import pyarrow as pa

        known = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), datetime: pa.timestamp("us")}
        kind = pa.large_string() if issubclass(self.base, str) else known[self.base]
        return pa.array(values, pa.list_(kind) if self.is_tuple else kind)

    def unpack(self, array: Any) -> list[Any]:
        """The values of an Arrow array."""
        array = spell_out(array)
        values: list[Any]
        if self.is_tuple:
            values = [None if each is None else tuple(each) for each in array.to_pylist()]
        elif self.is_optional and not self.is_text:
            values = array.to_pylist()
        else:
            values = array.to_numpy(zero_copy_only=False).tolist()
        if issubclass(self.base, StrEnum):
            values = [None if each is None else self.base(each) for each in values]
        return values


def kind_of(annotation: Any) -> Kind:
    """The kind of an annotation such as `str`, `Split | None` or `tuple[float, float]`.

    Raises:
        TypeError: there is none.
    """
    if get_origin(annotation) in (Union, UnionType):
        plain = [each for each in get_args(annotation) if each is not NoneType]
        inner = kind_of(plain[0])
        return Kind(inner.base, inner.is_tuple, is_optional=True)
    if get_origin(annotation) is tuple:
        return Kind(get_args(annotation)[0], is_tuple=True)
    if isinstance(annotation, type) and issubclass(annotation, str | int | float | datetime):
        return Kind(annotation)
    raise TypeError(f"{annotation} has no column; expected text, a number, a time or a tuple of them.")


def settle(array: Any) -> Any:
    """The same values in the one form that equal values have: numbered texts, digests as 32 bytes, one piece.

    Texts of 64 hexadecimal signs become bytes; texts of which the first ones repeat are numbered in the order
    in which they come; all others stay as they are.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import types

    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if types.is_dictionary(array.type) or not len(array):
        array = spell_out(array)
    if not types.is_large_string(array.type):
        return array
    digests = _read_digests(array)
    if digests is not None:
        return digests
    return pc.dictionary_encode(array) if _repeats(array) else array


def spell_out(array: Any) -> Any:
    """The array with its texts as texts: not numbered, digests as 64 hexadecimal signs."""
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode().cast(pa.large_string())
    if not pa.types.is_fixed_size_binary(array.type):
        return array
    values = np.frombuffer(array.buffers()[1], np.uint8)
    start = array.offset * _DIGEST_BYTES
    values = values[start : start + len(array) * _DIGEST_BYTES]
    signs = np.stack([_HEX[values >> 4], _HEX[values & 15]], axis=-1)
    ends = np.arange(len(array) + 1, dtype=np.int64) * _DIGEST_SIGNS
    return pa.LargeStringArray.from_buffers(len(array), pa.py_buffer(ends), pa.py_buffer(signs.tobytes()))


def _repeats(array: Any) -> bool:
    import pyarrow.compute as pc

    sample = array[:_SAMPLE]
    return bool(2 * pc.count_distinct(sample, mode="all").as_py() <= len(sample))


def _read_digests(array: Any) -> Any:
    """The texts as 32 bytes each; None if one is not of 64 lower-case hexadecimal signs."""
    import pyarrow as pa

    if not len(array) or array.null_count:
        return None
    ends: NDArray[np.int64] = np.frombuffer(array.buffers()[1], np.int64)
    ends = ends[array.offset : array.offset + len(array) + 1]
    if (np.diff(ends) != _DIGEST_SIGNS).any():
        return None
    signs = np.frombuffer(array.buffers()[2], np.uint8)[ends[0] : ends[-1]]
    values = np.full(256, 16, np.uint8)
    values[_HEX] = np.arange(16)
    halves = values[signs]
    if (halves == 16).any():
        return None
    content = (halves[::2] << 4) | halves[1::2]
    size = pa.binary(_DIGEST_BYTES)
    return pa.FixedSizeBinaryArray.from_buffers(size, len(array), [None, pa.py_buffer(content.tobytes())])
