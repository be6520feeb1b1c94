"""The nearest of many embeddings by cosine: exact with numpy, or by a faiss file that is mapped into memory.

A million embeddings lie as float16 at unit length in lists around centres (inverted lists). A query is
compared with the lists whose centres are nearest, as many as found 99 of 100 true neighbours of a sample
when the file was built; what a search tells are exact cosines. faiss is imported only where such a file is
built or read.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vision.base.errors import BundleError, StorageError, TaxonError
from vision.base.record import FloatArray, IntArray

EXACT_ROWS = 100_000
"""Embeddings up to which numpy alone compares a query with every one."""

NEEDED = "pip install --no-deps --require-hashes -r serving/requirements-index.txt"
"""What installs faiss in the version that was tried."""

LEAST_RECALL = 0.99

_TRAINED_ON = 64
"""Embeddings for each list, of which the centres are made."""
_ASKED, _NUMBER = 100, 10
"""Rows, and neighbours of each, by which the lists to look into are counted."""
_CHUNK = 4096
_EPSILON = 1e-12

Found = tuple[FloatArray, IntArray]
"""Cosines (q, m) float32, the largest first, and rows (q, m)."""


class Index(Protocol):
    """Embeddings that can be searched, by several threads at once."""

    num_rows: int
    width: int

    def search(self, queries: FloatArray, number: int) -> Found:
        """The `number` rows with the largest cosine with each query (q, d); all, where there are fewer.

        Raises:
            TaxonError: the queries have another width, or values that are not finite.
        """
        ...


class ExactIndex:
    """Every embedding is compared with the query."""

    def __init__(self, embeddings: FloatArray) -> None:
        """Take the embeddings (n, d), of any length and float type."""
        self.num_rows, self.width = embeddings.shape
        self._unit = unit_rows(embeddings)

    def search(self, queries: FloatArray, number: int) -> Found:
        """As of `Index`; of equal cosines the lower row comes first."""
        unit, number = _check(self, queries, number)
        cosines = unit @ self._unit.T
        rows = np.stack([_take_best(each, number) for each in cosines])
        return np.take_along_axis(cosines, rows, axis=1), rows


class FaissIndex:
    """A file of `build_index`, mapped: processes share what they read of it."""

    def __init__(self, path: Path) -> None:
        """Open the file; BundleError if faiss is not installed, or the file is no such index."""
        faiss = _import_faiss()
        try:
            self._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
            self._lists = int(self._index.nlist)
        except (RuntimeError, AttributeError) as error:
            raise BundleError(
                f"{path} cannot be read as an index of embeddings: {_last_line(error)}. Restore the bundle "
                "or train again."
            ) from error
        faiss.downcast_InvertedLists(self._index.invlists).prefetch_nthread = 0  # one thread a search
        self.num_rows, self.width = int(self._index.ntotal), int(self._index.d)

    def search(self, queries: FloatArray, number: int) -> Found:
        """As of `Index`; about 1 of 100 true neighbours may be missed, where others stand in its place."""
        unit, number = _check(self, queries, number)
        _import_faiss().omp_set_num_threads(1)  # of this thread: the service has a thread for each request
        _, rows, found = self._index.search_and_reconstruct(unit, number)
        if (rows < 0).any():  # the lists that were looked into hold fewer
            every = _import_faiss().SearchParametersIVF(nprobe=self._lists)
            _, rows, found = self._index.search_and_reconstruct(unit, number, params=every)
        cosines = np.einsum("qd,qmd->qm", unit, unit_rows(found.reshape(-1, self.width)).reshape(found.shape))
        order = np.lexsort((rows, -cosines), axis=1)
        return np.take_along_axis(cosines, order, axis=1), np.take_along_axis(rows, order, axis=1)


def build_index(embeddings: FloatArray, path: Path) -> float:
    """Write an index of embeddings (n, d) for `FaissIndex`; the share of true neighbours that it finds.

    Equal embeddings give equal bytes.

    Raises:
        BundleError: faiss is not installed.
        StorageError: the file could not be written.
        TaxonError: an embedding is not finite.
    """
    faiss = _import_faiss()
    num, width = embeddings.shape
    rng = np.random.default_rng(0)
    chunks = [embeddings[start : start + _CHUNK] for start in range(0, num, _CHUNK)]
    if not all(np.isfinite(chunk).all() for chunk in chunks):
        raise TaxonError("An embedding is not finite. Expected numbers. Train or export again.")
    lists = max(1, round(2 * math.sqrt(num)))
    index: Any = faiss.index_factory(width, f"IVF{lists},SQfp16", faiss.METRIC_INNER_PRODUCT)
    index.train(unit_rows(embeddings[_draw(num, _TRAINED_ON * index.nlist, rng)]))
    for chunk in chunks:
        index.add(unit_rows(chunk))
    recall = _choose_probes(index, unit_rows(embeddings[_draw(num, _ASKED, rng)]))
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:
        raise StorageError(
            f"{path} could not be written: {_last_line(error)}. Expected a disk with space. Make some."
        ) from error
    return recall


def unit_rows(embeddings: FloatArray) -> FloatArray:
    """Embeddings (n, d) as float32 rows of length 1."""
    rows = np.asarray(embeddings, np.float32)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _EPSILON), np.float32)


def _draw(num: int, most: int, rng: np.random.Generator) -> IntArray:
    return np.sort(rng.choice(num, min(num, most), replace=False))


def _choose_probes(index: Any, queries: FloatArray) -> float:
    """Set how many lists a search looks into: the fewest, doubled, that reach the recall; which is told.

    The queries are rows of the index; that each finds itself does not count.
    """
    index.nprobe = index.nlist
    _, true = index.search(queries, _NUMBER + 1)
    index.nprobe = 8
    while True:
        _, rows = index.search(queries, _NUMBER + 1)
        hits = [np.isin(right[1:], own).mean() for right, own in zip(true, rows, strict=True)]
        recall = float(np.mean(hits))
        if recall >= LEAST_RECALL or index.nprobe >= index.nlist:
            return recall
        index.nprobe = min(2 * index.nprobe, index.nlist)


def _check(index: Index, queries: FloatArray, number: int) -> tuple[FloatArray, int]:
    """Unit queries, and how many neighbours each can have."""
    if queries.ndim != 2 or queries.shape[1] != index.width:
        raise TaxonError(
            f"An embedding of shape {queries.shape} was searched for; expected (n, {index.width}), as those "
            "of the index. The index and the network are not of one bundle: restore it or train again."
        )
    if not np.isfinite(queries).all():
        raise TaxonError("An embedding is not finite. Expected numbers. Try another image.")
    return np.ascontiguousarray(unit_rows(queries)), min(number, index.num_rows)


def _take_best(cosines: FloatArray, number: int) -> IntArray:
    """Places of the largest values, the largest first, of equal ones the first."""
    if not number:
        return np.zeros(0, np.int64)
    least = np.partition(cosines, len(cosines) - number)[-number]
    places = np.flatnonzero(cosines >= least)
    return places[np.argsort(-cosines[places], kind="stable")[:number]]


def _import_faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise BundleError(
            f"This model's index of more than {EXACT_ROWS:,} known images needs faiss, and it is not "
            f"installed here ({error}). Expected it beside the service. Type: {NEEDED}"
        ) from error
    return faiss


def _last_line(error: Exception) -> str:
    return str(error).strip().rpartition("\n")[2].rstrip(".") or type(error).__name__
