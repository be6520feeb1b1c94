"""Tensors of a PyTorch weights file of the format before 1.6, read without PyTorch; nothing in it is run.

The file holds pickles: a magic number, a protocol, sizes of types, a dictionary of name to tensor, names of
storages; then each storage: its length as 8 bytes, and its values. Only what such a dictionary is made of is
unpickled. A tensor is a view of its storage by offset, shape and strides; the strides matter, because
convolutions may be stored channels first or last.
"""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vision.base.errors import ConfigError

_KINDS = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Unpickler(pickle.Unpickler):
    """Knows ordered dictionaries, tensors and the two kinds of storage; refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: (storage, offset, shape, strides)
        if module == "torch" and name in _KINDS:
            return _KINDS[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[Any, str]:
        _, kind, key, *_ = pid
        return kind, key


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Name -> array of a weights file.

    Raises:
        ConfigError: the file is damaged, of another format, or holds more than tensors.
    """
    try:
        with path.open("rb") as file:
            _magic, _protocol, _sizes, tensors = (_Unpickler(file).load() for _ in range(4))
            kinds = {key: kind for (kind, key), *_ in tensors.values()}
            storages = {key: _read_storage(file, kinds[key]) for key in _Unpickler(file).load()}
            return {name: _view(storages[tensor[0][1]], *tensor[1:]) for name, tensor in tensors.items()}
    except (
        OSError,
        pickle.UnpicklingError,
        EOFError,
        struct.error,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
        MemoryError,
    ) as error:
        raise ConfigError(
            f"Weights {path} cannot be read as tensors of PyTorch: {error}. Expected the file as its package "
            "installs it; install the package again."
        ) from error


def _read_storage(file: BinaryIO, kind: np.dtype[Any]) -> NDArray[Any]:
    (length,) = struct.unpack("<q", file.read(8))
    values = np.frombuffer(file.read(length * kind.itemsize), kind)
    if len(values) != length:
        raise EOFError(f"a storage of {length} values ends after {len(values)}")
    return values


def _view(
    storage: NDArray[Any], offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> NDArray[Any]:
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    if min((offset, *strides), default=0) < 0 or last >= len(storage):
        raise ValueError(f"a tensor of shape {shape} reaches beyond its storage of {len(storage)} values")
    steps = [step * storage.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False).copy()
