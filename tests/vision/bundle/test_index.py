"""The nearest of many embeddings: faiss finds what comparing every one finds, bad input is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vision.base.errors import BundleError, StorageError, TaxonError
from vision.bundle.index import LEAST_RECALL, NEEDED, ExactIndex, FaissIndex, Index, build_index

NUM, WIDTH = 3000, 16


@pytest.fixture(scope="module")
def embeddings() -> Any:
    """Pictures of 100 kinds, of any length; the last two are equal."""
    rng = np.random.default_rng(0)
    drawn = np.repeat(rng.normal(size=(100, WIDTH)), NUM // 100, axis=0) + 0.3 * rng.normal(size=(NUM, WIDTH))
    drawn *= rng.uniform(0.1, 50, (NUM, 1))
    drawn[-1] = drawn[-2]
    return drawn.astype(np.float32)


@pytest.fixture(scope="module")
def path(embeddings: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index") / "index.faiss"
    assert build_index(embeddings, path) >= LEAST_RECALL
    return path


@pytest.fixture(params=["exact", "faiss"])
def index(request: pytest.FixtureRequest, embeddings: Any, path: Path) -> Index:
    return FaissIndex(path) if request.param == "faiss" else ExactIndex(embeddings.astype(np.float16))


def test_it_finds_the_largest_cosines(index: Index, embeddings: Any) -> None:
    unit = embeddings.astype(np.float64) / np.linalg.norm(embeddings, axis=1, keepdims=True)
    asked = np.random.default_rng(1).normal(0, 0.02, (100, WIDTH)) + unit[::30]
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    true = np.argsort(-(asked @ unit.T), axis=1)[:, :10]
    cosines, rows = index.search(1000 * asked, 10)
    assert np.mean([np.isin(*pair).mean() for pair in zip(true, rows, strict=True)]) >= 0.98
    assert np.abs(cosines - np.einsum("qd,qmd->qm", asked, unit[rows])).max() < 1e-3  # kept as float16
    assert (np.diff(cosines, axis=1) <= 0).all()


def test_of_equal_ones_the_lower_row_comes_first_and_its_cosine_is_one(index: Index, embeddings: Any) -> None:
    cosines, rows = index.search(embeddings[-1:], 2)
    assert rows.tolist() == [[NUM - 2, NUM - 1]]
    assert np.abs(cosines - 1).max() < 1e-6


def test_more_than_there_are_gives_all(index: Index, embeddings: Any) -> None:
    cosines, rows = index.search(embeddings[:2], NUM + 1)
    assert [np.array_equal(np.sort(each), np.arange(NUM)) for each in rows] == [True, True]
    assert np.isfinite(cosines).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_query_that_is_not_finite_is_refused(index: Index, value: float) -> None:
    with pytest.raises(TaxonError, match="not finite"):
        index.search(np.full((1, WIDTH), value, np.float32), 1)


@pytest.mark.parametrize("shape", [(1, WIDTH + 1), (WIDTH,)])
def test_a_query_of_another_width_is_refused(index: Index, shape: tuple[int, ...]) -> None:
    with pytest.raises(TaxonError, match=f"{WIDTH}"):
        index.search(np.ones(shape, np.float32), 1)


def test_equal_embeddings_give_equal_bytes(embeddings: Any, path: Path, tmp_path: Path) -> None:
    build_index(embeddings, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("content", [b"", b"an index it is not", None])
def test_what_is_no_index_is_refused(path: Path, tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "bad").write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(BundleError, match="index of embeddings"):
        FaissIndex(tmp_path / "bad")


def test_without_faiss_it_says_what_to_type(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(BundleError, match=NEEDED):
        FaissIndex(path)


def test_embeddings_that_are_not_finite_and_a_folder_that_is_not_there_are_refused(
    embeddings: Any, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match="absent"):
        build_index(embeddings[:50], tmp_path / "absent" / "index")
    spoiled = embeddings[:50].copy()
    spoiled[3, 3] = np.nan
    with pytest.raises(TaxonError, match="not finite"):
        build_index(spoiled, tmp_path / "index")
